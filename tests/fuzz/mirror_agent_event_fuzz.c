/* SPDX-License-Identifier: MIT
 *
 * What an agent might say when something has taken it over. What is understood is written and understood
 * again, and says the same.
 */
#include "mirror/agent/agent_message.h"
#include "schema/limits.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_auto(AgentEvent) event = {0};
    if (!agent_event_parse((const char *)data, size, &event, &error)) {
        g_assert_true(error != NULL && strchr(error->message, '\n') == NULL);
        return 0;
    }
    g_autoptr(GString) line = g_string_new(NULL);
    g_autoptr(GString) second = g_string_new(NULL);
    g_auto(AgentEvent) again = {0};
    agent_event_write(&event, line);
    g_assert_true(strchr(line->str, '\n') == line->str + line->len - 1);
    if (line->len - 1 > LIMIT_AGENT_LINE_BYTES)
        return 0;
    gboolean read = agent_event_parse(line->str, line->len - 1, &again, &error);
    g_assert_no_error(error);
    g_assert_true(read);
    agent_event_write(&again, second);
    g_assert_cmpstr(line->str, ==, second->str);
    return 0;
}

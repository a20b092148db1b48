/* SPDX-License-Identifier: MIT
 *
 * The state between two syncs of a git source: what can be read is written as something that reads the same.
 */
#include "mirror/agent/git_state.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_auto(GitState) state = {0}, again = {0};
    g_autofree char *text = g_strndup(size > 0 ? (const char *)data : "", size);
    if (!git_state_read(text, &state, &error)) {
        g_assert(error != NULL && state.prefix == NULL);
        return 0;
    }
    g_autofree char *written = git_state_write(&state);
    g_assert(git_state_read(written, &again, NULL));
    g_assert(git_id_equal(&state.commit, &again.commit) && state.packs == again.packs);
    g_assert(strcmp(state.prefix, again.prefix) == 0);
    return 0;
}

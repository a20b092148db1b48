/* SPDX-License-Identifier: MIT
 *
 * Changes, as another broker sends them in answer to generation 5: what is accepted leads on, and is written
 * back to something that is accepted.
 */
#include "mirror/catalog/journal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    signing_init();
    g_auto(JournalAnswer) answer = {0}, again = {0};
    g_autoptr(GError) error = NULL;
    if (!journal_answer_parse(data, size, 5, &answer, &error)) {
        g_assert_true(error != NULL && strchr(error->message, '\n') == NULL);
        return 0;
    }
    g_assert_true(answer.next > 5 || answer.next == answer.generation);
    g_autoptr(GString) json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        journal_answer_write(&answer, &writer);
    }
    g_assert_true(journal_answer_parse(json->str, json->len, 5, &again, &error));
    g_assert_cmpuint(again.next, ==, answer.next);
    g_assert_cmpuint(again.changes->len, ==, answer.changes->len);
    for (guint i = 0; i < again.changes->len; i++) {
        const JournalChange *a = g_ptr_array_index(answer.changes, i),
                            *b = g_ptr_array_index(again.changes, i);
        g_assert_cmpstr(a->path, ==, b->path);
        g_assert_true((a->item == NULL) == (b->item == NULL));
    }
    return 0;
}

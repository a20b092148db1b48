/* SPDX-License-Identifier: MIT
 *
 * The bodies of C2SP tlog-checkpoint: origin, size, root, extension lines.
 */
#include "schema/text.h"
#include "signing/note.h"

#include <string.h>

void checkpoint_free(Checkpoint *checkpoint)
{
    if (checkpoint == NULL)
        return;
    g_free(checkpoint->origin);
    g_ptr_array_unref(checkpoint->extensions);
    g_free(checkpoint);
}

static gboolean refuse(GError **error, guint line, const char *what)
{
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "line %u of the checkpoint %s", line, what);
    return FALSE;
}

/* Decimal digits, no leading zero: one number has one form. */
static gboolean parse_size(const char *text, guint64 *ret)
{
    return (text[0] != '0' || text[1] == '\0') && strspn(text, "0123456789") == strlen(text) &&
           g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, ret, NULL);
}

static gboolean parse_lines(Checkpoint *checkpoint, char **lines, guint count, GError **error)
{
    if (count < 3) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "the checkpoint has less than three lines");
        return FALSE;
    }
    for (guint i = 0; i < count; i++) {
        if (*lines[i] == '\0')
            return refuse(error, i + 1, "is empty");
    }
    checkpoint->origin = g_strdup(lines[0]);
    if (!parse_size(lines[1], &checkpoint->size))
        return refuse(error, 2, "is not a size in decimal digits");
    if (!base64_decode_exact(lines[2], checkpoint->root, sizeof checkpoint->root))
        return refuse(error, 3, "is not the base64 of a 32-byte root");
    for (guint i = 3; i < count; i++)
        g_ptr_array_add(checkpoint->extensions, g_strdup(lines[i]));
    return TRUE;
}

Checkpoint *checkpoint_parse(const char *text, GError **error)
{
    g_autoptr(Checkpoint) checkpoint = g_new0(Checkpoint, 1);
    checkpoint->extensions = g_ptr_array_new_with_free_func(g_free);
    gsize len = strlen(text);
    if (len == 0 || text[len - 1] != '\n' || !text_is_utf8(text, len, NULL)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "a checkpoint is UTF-8 and ends with a line feed");
        return NULL;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    return parse_lines(checkpoint, lines, g_strv_length(lines) - 1, error) ? g_steal_pointer(&checkpoint)
                                                                           : NULL;
}

static gboolean is_line(const char *text)
{
    return *text != '\0' && strchr(text, '\n') == NULL;
}

char *checkpoint_print(const Checkpoint *checkpoint)
{
    g_autofree char *root = base64_encode(checkpoint->root, sizeof checkpoint->root);
    GString *out = g_string_new(NULL);
    g_assert(is_line(checkpoint->origin));
    g_string_append_printf(out, "%s\n%" G_GUINT64_FORMAT "\n%s\n", checkpoint->origin, checkpoint->size,
                           root);
    for (guint i = 0; i < checkpoint->extensions->len; i++) {
        const char *line = g_ptr_array_index(checkpoint->extensions, i);
        g_assert(is_line(line));
        g_string_append_printf(out, "%s\n", line);
    }
    return g_string_free(out, FALSE);
}

const char *checkpoint_extension(const Checkpoint *checkpoint, const char *key)
{
    gsize key_len = strlen(key);
    for (guint i = 0; i < checkpoint->extensions->len; i++) {
        const char *line = g_ptr_array_index(checkpoint->extensions, i);
        if (strncmp(line, key, key_len) == 0 && line[key_len] == ' ')
            return line + key_len + 1;
    }
    return NULL;
}

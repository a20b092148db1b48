/* SPDX-License-Identifier: MIT */
#include "mirror/agent/git_state.h"

#include <string.h>

#include "schema/json_reader.h"
#include "schema/json_writer.h"
#include "schema/limits.h"
#include "schema/pack_path.h"

void git_state_clear(GitState *state)
{
    g_clear_pointer(&state->prefix, g_free);
}

char *git_state_write(const GitState *state)
{
    GString *out = g_string_new(NULL);
    g_auto(JsonWriter) writer;
    char commit[GIT_ID_HEX_CHARS + 1];
    git_id_hex(&state->commit, commit);
    json_writer_init(&writer, out, JSON_STYLE_CANONICAL);
    json_write_object_begin(&writer);
    json_write_member_string(&writer, "commit", commit);
    json_write_member_integer(&writer, "packs", state->packs);
    json_write_member_string(&writer, "prefix", state->prefix);
    json_write_object_end(&writer);
    return g_string_free(out, FALSE);
}

gboolean git_state_read(const char *text, GitState *ret, GError **error)
{
    const char *commit = NULL, *prefix = NULL;
    gint64 packs = 0;
    g_autoptr(JsonDoc) doc = json_doc_parse(text, strlen(text), LIMIT_GIT_STATE_BYTES, error);
    const JsonValue *root = doc != NULL ? json_doc_root(doc) : NULL;
    if (root == NULL)
        return FALSE;
    if (json_value_kind(root) != JSON_OBJECT) {
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "expected an object");
        return FALSE;
    }
    if (!json_get_string(root, "commit", JSON_REQUIRED, GIT_ID_HEX_CHARS, &commit, error) ||
        !json_get_integer(root, "packs", JSON_REQUIRED, 0, LIMIT_PACKS, &packs, error) ||
        !json_get_string(root, "prefix", JSON_REQUIRED, LIMIT_PACK_PATH_BYTES, &prefix, error) ||
        (*prefix != '\0' && !pack_path_check(prefix, error)))
        return FALSE;
    if (!git_id_parse(commit, &ret->commit)) {
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "/commit: expected 40 hex digits");
        return FALSE;
    }
    ret->packs = (guint)packs;
    ret->prefix = g_strdup(prefix);
    return TRUE;
}

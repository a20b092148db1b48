/* SPDX-License-Identifier: MIT */
#include "mirror/catalog/checkpoint.h"

#include <string.h>

#include "schema/limits.h"
#include "schema/scalar.h"

#define ORIGIN_TAIL "/catalog"
#define TIME_CHARS 20
#define GENERATION_MAX ((G_GUINT64_CONSTANT(1) << 53) - 1)

gboolean catalog_view_is_valid(const char *view)
{
    return strlen(view) == CATALOG_VIEW_CHARS && strspn(view, "0123456789abcdef") == CATALOG_VIEW_CHARS;
}

/* --- Signing --- */

static char *time_line(const char *key, gint64 time_s)
{
    g_autofree char *text = scalar_format_time(time_s);
    g_assert(text != NULL);
    return g_strconcat(key, " ", text, NULL);
}

char *catalog_checkpoint_sign(CatalogCheckpoint *checkpoint, const char *broker_name, const SecretKey *key,
                              GError **error)
{
    if (!note_name_is_valid(broker_name)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "name '%s' cannot stand in a signed note",
                    broker_name);
        return NULL;
    }
    g_assert(checkpoint->view[0] == '\0' || catalog_view_is_valid(checkpoint->view));
    checkpoint->expires_s = checkpoint->time_s + CATALOG_CHECKPOINT_SECONDS;
    g_autoptr(Checkpoint) body = g_new0(Checkpoint, 1);
    body->origin = g_strconcat(broker_name, ORIGIN_TAIL, NULL);
    body->size = checkpoint->count;
    memcpy(body->root, checkpoint->root, SHA256_BYTES);
    body->extensions = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(body->extensions,
                    g_strdup_printf("generation %" G_GUINT64_FORMAT, checkpoint->generation));
    g_ptr_array_add(body->extensions, time_line("time", checkpoint->time_s));
    g_ptr_array_add(body->extensions, time_line("expires", checkpoint->expires_s));
    if (checkpoint->view[0] != '\0')
        g_ptr_array_add(body->extensions, g_strconcat("view ", checkpoint->view, NULL));
    g_autofree char *text = checkpoint_print(body);
    return note_sign(text, broker_name, key, error);
}

/* --- Opening --- */

static gboolean refuse(GError **error, const char *rule)
{
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "catalog checkpoint: %s", rule);
    return FALSE;
}

/* A time in exactly the form in which we write it. */
static gboolean read_time(const Checkpoint *body, const char *key, gint64 *ret)
{
    const char *text = checkpoint_extension(body, key);
    if (text == NULL || strlen(text) != TIME_CHARS)
        return FALSE;
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, NULL);
    g_autofree char *again = time != NULL ? scalar_format_time(g_date_time_to_unix(time)) : NULL;
    if (again == NULL || strcmp(again, text) != 0)
        return FALSE;
    *ret = g_date_time_to_unix(time);
    return TRUE;
}

static gboolean read_generation(const Checkpoint *body, guint64 *ret)
{
    const char *text = checkpoint_extension(body, "generation");
    return text != NULL && *text != '0' && strspn(text, "0123456789") == strlen(text) &&
           g_ascii_string_to_unsigned(text, 10, 1, GENERATION_MAX, ret, NULL);
}

/* A checkpoint without the line is that of the public catalog. */
static gboolean read_view(const Checkpoint *body, char ret[CATALOG_VIEW_CHARS + 1])
{
    const char *text = checkpoint_extension(body, "view");
    if (text == NULL)
        text = "";
    else if (!catalog_view_is_valid(text))
        return FALSE;
    g_strlcpy(ret, text, CATALOG_VIEW_CHARS + 1);
    return TRUE;
}

static gboolean read_body(const Checkpoint *body, CatalogCheckpoint *ret, GError **error)
{
    if (strlen(body->origin) <= strlen(ORIGIN_TAIL) || !g_str_has_suffix(body->origin, ORIGIN_TAIL))
        return refuse(error, "the origin is not that of a catalog");
    if (body->size > LIMIT_CATALOG_ITEMS)
        return refuse(error, "the catalog is larger than this program compares");
    if (!read_generation(body, &ret->generation))
        return refuse(error, "no line 'generation NUMBER'");
    if (!read_time(body, "time", &ret->time_s) || !read_time(body, "expires", &ret->expires_s))
        return refuse(error, "no lines 'time' and 'expires' with times like 2026-01-31T12:00:00Z");
    if (ret->expires_s < ret->time_s)
        return refuse(error, "it expires before it was made");
    if (!read_view(body, ret->view))
        return refuse(error, "its line 'view' has no 16 lower-case hexadecimal digits");
    ret->count = body->size;
    memcpy(ret->root, body->root, SHA256_BYTES);
    return TRUE;
}

gboolean catalog_checkpoint_open(const void *data, gsize len, const PublicKey *key, CatalogCheckpoint *ret,
                                 char **ret_name, GError **error)
{
    CatalogCheckpoint checkpoint = {0};
    g_autoptr(Note) note = note_parse(data, len, error);
    g_autoptr(Checkpoint) body = note != NULL ? checkpoint_parse(note->text, error) : NULL;
    if (body == NULL || !read_body(body, &checkpoint, error))
        return FALSE;
    g_autofree char *name = g_strndup(body->origin, strlen(body->origin) - strlen(ORIGIN_TAIL));
    if (key != NULL && !note_verify(note, name, key, error))
        return FALSE;
    *ret = checkpoint;
    if (ret_name != NULL)
        *ret_name = g_steal_pointer(&name);
    return TRUE;
}

/* SPDX-License-Identifier: MIT */
#include "mirror/catalog/item.h"

#include <string.h>

#include "schema/limits.h"
#include "schema/pack_path.h"
#include "schema/text.h"
#include "signing/key.h"

#define LEAF_LABEL "kontor/leaf/v1"
#define MEMBERS 8
#define INTEGER_MAX ((G_GINT64_CONSTANT(1) << 53) - 1)

/* --- Rules --- */

static gboolean refuse(GError **error, const char *member, const char *rule)
{
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "catalog item: %s %s", member, rule);
    return FALSE;
}

static gboolean is_fingerprint(const char *text)
{
    return strlen(text) == FINGERPRINT_CHARS &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz234567") == FINGERPRINT_CHARS;
}

/* The shape of a date; whether there was such a day is of no importance to a hash. */
static gboolean is_date(const char *text)
{
    static const char shape[] = "0000-00-00T00:00:00Z";
    if (strlen(text) != sizeof shape - 1)
        return FALSE;
    for (gsize i = 0; i < sizeof shape - 1; i++) {
        if (shape[i] == '0' ? !g_ascii_isdigit(text[i]) : text[i] != shape[i])
            return FALSE;
    }
    return TRUE;
}

static gboolean check(const CatalogItemInfo *info, GError **error)
{
    gsize version_len = strlen(info->version);
    if (!pack_path_check(info->path, error)) {
        g_prefix_error(error, "catalog item: ");
        return FALSE;
    }
    if (version_len > LIMIT_MANIFEST_TEXT_BYTES || !text_is_utf8(info->version, version_len, NULL))
        return refuse(error, "version", "is too long or not UTF-8");
    if (*info->publisher != '\0' && !is_fingerprint(info->publisher))
        return refuse(error, "publisher", "is not the fingerprint of a key");
    if (*info->published_at != '\0' && !is_date(info->published_at))
        return refuse(error, "published_at", "is not of the form YYYY-MM-DDTHH:MM:SSZ");
    if (info->pages > INTEGER_MAX || info->bytes > INTEGER_MAX)
        return refuse(error, "pages or bytes", "is too large");
    return TRUE;
}

/* --- Life cycle --- */

void catalog_item_key(const char *path, guint8 ret_key[SHA256_BYTES])
{
    sha256(path, strlen(path), ret_key);
}

static void set_leaf(CatalogItem *item)
{
    g_autoptr(GString) bytes = g_string_new_len(LEAF_LABEL, sizeof LEAF_LABEL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, bytes, JSON_STYLE_CANONICAL);
        catalog_item_write(item, &writer);
    }
    sha256(bytes->str, bytes->len, item->leaf);
}

/* Copies a text to *end and moves *end behind it. */
static const char *place_text(char **end, const char *text)
{
    gsize size = strlen(text) + 1;
    const char *placed = memcpy(*end, text, size);
    *end += size;
    return placed;
}

CatalogItem *catalog_item_new(const CatalogItemInfo *info, GError **error)
{
    if (!check(info, error))
        return NULL;
    gsize texts_bytes =
        strlen(info->path) + strlen(info->version) + strlen(info->publisher) + strlen(info->published_at) + 4;
    CatalogItem *item = g_malloc(sizeof *item + texts_bytes);
    char *end = item->texts;
    g_atomic_ref_count_init(&item->refs);
    item->path = place_text(&end, info->path);
    item->version = place_text(&end, info->version);
    item->publisher = place_text(&end, info->publisher);
    item->published_at = place_text(&end, info->published_at);
    memcpy(item->digest, info->digest, SHA256_BYTES);
    memcpy(item->content_sha256, info->content_sha256, SHA256_BYTES);
    item->pages = info->pages;
    item->bytes = info->bytes;
    catalog_item_key(item->path, item->key);
    set_leaf(item);
    return item;
}

/* The functions of gatomicrefcount live in the GLib library, where ThreadSanitizer cannot see them order
 * anything; these macros are compiled here. */
CatalogItem *catalog_item_ref(CatalogItem *item)
{
    g_atomic_int_inc(&item->refs);
    return item;
}

void catalog_item_unref(CatalogItem *item)
{
    if (item != NULL && g_atomic_int_dec_and_test(&item->refs))
        g_free(item);
}

int catalog_item_compare(const CatalogItem *a, const CatalogItem *b)
{
    return memcmp(a->key, b->key, SHA256_BYTES);
}

/* --- Encoding --- */

void catalog_item_write(const CatalogItem *item, JsonWriter *writer)
{
    json_write_object_begin(writer);
    json_write_member_integer(writer, "bytes", (gint64)item->bytes);
    json_write_member_hex(writer, "content_sha256", item->content_sha256, SHA256_BYTES);
    json_write_member_hex(writer, "digest", item->digest, SHA256_BYTES);
    json_write_member_integer(writer, "pages", (gint64)item->pages);
    json_write_member_string(writer, "path", item->path);
    json_write_member_string(writer, "published_at", item->published_at);
    json_write_member_string(writer, "publisher", item->publisher);
    json_write_member_string(writer, "version", item->version);
    json_write_object_end(writer);
}

static gboolean read_hash(const JsonValue *object, const char *key, guint8 ret[SHA256_BYTES], GError **error)
{
    const char *text = NULL;
    if (!json_get_string(object, key, JSON_REQUIRED, SHA256_HEX_CHARS, &text, error))
        return FALSE;
    return hex_decode(text, ret, SHA256_BYTES) ||
           refuse(error, key, "is not a SHA-256 in lower-case hexadecimal");
}

static gboolean read_texts(const JsonValue *object, CatalogItemInfo *info, GError **error)
{
    return json_get_string(object, "path", JSON_REQUIRED, LIMIT_PACK_PATH_BYTES, &info->path, error) &&
           json_get_string(object, "version", JSON_REQUIRED, LIMIT_MANIFEST_TEXT_BYTES, &info->version,
                           error) &&
           json_get_string(object, "publisher", JSON_REQUIRED, FINGERPRINT_CHARS, &info->publisher, error) &&
           json_get_string(object, "published_at", JSON_REQUIRED, LIMIT_MANIFEST_TEXT_BYTES,
                           &info->published_at, error);
}

CatalogItem *catalog_item_read(const JsonValue *value, GError **error)
{
    guint8 digest[SHA256_BYTES], content[SHA256_BYTES];
    gint64 pages = 0, bytes = 0;
    CatalogItemInfo info = {.digest = digest, .content_sha256 = content};
    if (json_value_kind(value) != JSON_OBJECT || json_value_count(value) != MEMBERS) {
        refuse(error, "it", "is not an object with exactly the members of an item");
        return NULL;
    }
    if (!read_texts(value, &info, error) || !read_hash(value, "digest", digest, error) ||
        !read_hash(value, "content_sha256", content, error) ||
        !json_get_integer(value, "pages", JSON_REQUIRED, 0, INTEGER_MAX, &pages, error) ||
        !json_get_integer(value, "bytes", JSON_REQUIRED, 0, INTEGER_MAX, &bytes, error))
        return NULL;
    info.pages = (guint64)pages;
    info.bytes = (guint64)bytes;
    return catalog_item_new(&info, error);
}

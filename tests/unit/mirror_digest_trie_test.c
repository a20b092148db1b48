/* SPDX-License-Identifier: MIT
 *
 * The digest trie against frozen vectors and against the slow reference: any history leads to the digest that
 * the set alone determines, changes share what they do not touch, and differences are exactly what differs.
 */
#include "catalog_items.h"
#include "random_text.h"

#include "mirror/catalog/digest_view.h"

static void assert_hex(const guint8 *bytes, const char *expected)
{
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(bytes, SHA256_BYTES, hex);
    g_assert_cmpstr(hex, ==, expected);
}

static JsonDoc *vectors(void)
{
    gsize len = 0;
    g_autofree char *data = vector_read("catalog-digest.json", &len);
    g_autoptr(GError) error = NULL;
    JsonDoc *doc = json_doc_parse(data, len, len, &error);
    g_assert_no_error(error);
    return doc;
}

static const char *text_of(const JsonValue *object, const char *key)
{
    return json_value_string(json_object_get(object, key));
}

static guint number_of(const JsonValue *object, const char *key)
{
    return (guint)json_value_number(json_object_get(object, key));
}

/* --- Vectors --- */

static void test_items(void)
{
    g_autoptr(JsonDoc) doc = vectors();
    const JsonValue *list = json_object_get(json_doc_root(doc), "items");
    guint count = 0;
    for (const JsonValue *row = json_value_first(list); row != NULL; row = json_value_next(row), count++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(CatalogItem) item = catalog_item_read(json_object_get(row, "item"), &error);
        g_assert_no_error(error);
        GString *text = g_string_new(NULL);
        {
            g_auto(JsonWriter) writer;
            json_writer_init(&writer, text, JSON_STYLE_CANONICAL);
            catalog_item_write(item, &writer);
        }
        g_assert_cmpstr(text->str, ==, text_of(row, "canonical"));
        assert_hex(item->key, text_of(row, "key"));
        assert_hex(item->leaf, text_of(row, "leaf"));
        g_string_free(text, TRUE);
    }
    g_assert_cmpuint(count, >=, 5);
}

static void test_roots(void)
{
    g_autoptr(JsonDoc) doc = vectors();
    const JsonValue *list = json_object_get(json_doc_root(doc), "roots");
    for (const JsonValue *row = json_value_first(list); row != NULL; row = json_value_next(row)) {
        g_autoptr(GPtrArray) items = items_numbered(number_of(row, "count"));
        g_autoptr(DigestTrie) trie = trie_of(items);
        assert_hex(digest_trie_digest(trie), text_of(row, "digest"));
        g_assert_cmpuint(digest_trie_count(trie), ==, items->len);
    }
}

static void test_prefixes(void)
{
    g_autoptr(JsonDoc) doc = vectors();
    g_autoptr(GPtrArray) items = items_numbered(100);
    g_autoptr(DigestTrie) trie = trie_of(items);
    const JsonValue *list = json_object_get(json_doc_root(doc), "prefixes_of_100");
    for (const JsonValue *row = json_value_first(list); row != NULL; row = json_value_next(row)) {
        g_auto(DigestView) view = {0};
        digest_view_init(&view, trie, text_of(row, "prefix"));
        g_assert_cmpuint(view.count, ==, number_of(row, "count"));
        assert_hex(view.digest, text_of(row, "digest"));
    }
}

/* --- Items that are none --- */

/* An item of which one member has another value; a name that is none of an item's is added. */
static char *item_json(const char *name, const char *value)
{
    static const char hash[] = "\"0000000000000000000000000000000000000000000000000000000000000000\"";
    const char *const members[][2] = {
        {"bytes", "1"},    {"content_sha256", hash}, {"digest", hash},      {"pages", "1"},
        {"path", "\"a\""}, {"published_at", "\"\""}, {"publisher", "\"\""}, {"version", "\"\""},
    };
    g_autoptr(GString) json = g_string_new("{");
    gboolean replaced = FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(members); i++) {
        gboolean same = g_strcmp0(name, members[i][0]) == 0;
        replaced = replaced || same;
        g_string_append_printf(json, "%s\"%s\":%s", i > 0 ? "," : "", members[i][0],
                               same ? value : members[i][1]);
    }
    if (name != NULL && !replaced)
        g_string_append_printf(json, ",\"%s\":%s", name, value);
    g_string_append_c(json, '}');
    return g_string_free(g_steal_pointer(&json), FALSE);
}

static CatalogItem *read_item(const char *json, GError **error)
{
    g_autoptr(JsonDoc) doc = json_doc_parse(json, strlen(json), 4096, NULL);
    g_assert_nonnull(doc);
    return catalog_item_read(json_doc_root(doc), error);
}

static void test_bad_items(void)
{
    static const char *const bad[][2] = {
        {"bytes", "-1"},
        {"bytes", "1.5"},
        {"bytes", "9007199254740992"},
        {"content_sha256", "\"00\""},
        {"digest", "\"G\""},
        {"digest", "null"},
        {"pages", "\"1\""},
        {"path", "\"\""},
        {"path", "\"../x\""},
        {"path", "\"a//b\""},
        {"path", "\"a\\n\""},
        {"published_at", "\"2026-01-02\""},
        {"published_at", "\"2026-01-02T03:04:05+\""},
        {"publisher", "\"ABCDEFGHIJKLMNOP\""},
        {"publisher", "\"abc\""},
        {"version", "1"},
        {"more", "1"},
    };
    g_autofree char *good = item_json(NULL, NULL);
    g_autoptr(CatalogItem) item = read_item(good, NULL);
    g_assert_nonnull(item);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *json = item_json(bad[i][0], bad[i][1]);
        g_autoptr(GError) error = NULL;
        g_assert_null(read_item(json, &error));
        g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(read_item("[]", &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
}

/* --- The model --- */

enum { MODEL_NUMBERS = 400 };

/* Which edition of each number is in the set; 0 = none, n = edition n − 1. */
typedef struct {
    guint editions[MODEL_NUMBERS];
} Model;

static GPtrArray *model_items(const Model *model)
{
    GPtrArray *items = items_new();
    for (guint i = 0; i < MODEL_NUMBERS; i++) {
        if (model->editions[i] > 0)
            g_ptr_array_add(items, item_edition(i, model->editions[i] - 1));
    }
    g_ptr_array_sort(items, items_by_key);
    return items;
}

/* Random changes, to the model and to lists for the trie. */
static void change_model(Model *model, GRand *rng, guint count, GPtrArray *upserts, GPtrArray *removals)
{
    gboolean shrinking = random_below(rng, 3) == 0;
    for (guint i = 0; i < count; i++) {
        guint number = random_below(rng, MODEL_NUMBERS);
        CatalogItem *item = item_edition(number, random_below(rng, 3));
        gboolean remove = shrinking ? random_below(rng, 4) > 0 : random_below(rng, 4) == 0;
        gboolean known = FALSE;
        for (guint k = 0; k < upserts->len; k++)
            known = known || strcmp(((CatalogItem *)g_ptr_array_index(upserts, k))->path, item->path) == 0;
        if (remove && !known) {
            g_ptr_array_add(removals, g_strdup(item->path));
            model->editions[number] = 0;
        } else {
            model->editions[number] = (guint)g_ascii_strtoull(strrchr(item->version, '.') + 1, NULL, 10) + 1;
            g_ptr_array_add(upserts, catalog_item_ref(item));
        }
        catalog_item_unref(item);
    }
}

static void count_difference(CatalogItem *a, CatalogItem *b, gpointer user)
{
    g_assert_true(a != NULL || b != NULL);
    if (a != NULL && b != NULL) {
        g_assert_cmpstr(a->path, ==, b->path);
        g_assert_cmpmem(a->key, SHA256_BYTES, b->key, SHA256_BYTES);
    }
    ++*(guint *)user;
}

static guint model_differences(const Model *a, const Model *b)
{
    guint count = 0;
    for (guint i = 0; i < MODEL_NUMBERS; i++)
        count += a->editions[i] != b->editions[i];
    return count;
}

static void check_against_model(const DigestTrie *trie, const Model *model)
{
    guint8 expected[SHA256_BYTES];
    g_autoptr(GPtrArray) items = model_items(model);
    naive_digest(items, "", expected);
    g_assert_cmpmem(digest_trie_digest(trie), SHA256_BYTES, expected, SHA256_BYTES);
    g_assert_cmpuint(digest_trie_count(trie), ==, items->len);
    for (guint i = 0; i < items->len; i++) {
        CatalogItem *item = g_ptr_array_index(items, i);
        CatalogItem *found = digest_trie_find(trie, item->key);
        g_assert_nonnull(found);
        g_assert_cmpmem(found->leaf, SHA256_BYTES, item->leaf, SHA256_BYTES);
    }
}

static void test_histories(void)
{
    GRand *rng = random_new(4711);
    for (guint round = 0; round < 150; round++) {
        Model model = {0}, before;
        g_autoptr(DigestTrie) trie = digest_trie_new_empty();
        for (guint step = 0; step < 8; step++) {
            g_autoptr(GPtrArray) upserts = items_new();
            g_autoptr(GPtrArray) removals = g_ptr_array_new_with_free_func(g_free);
            before = model;
            change_model(&model, rng, random_below(rng, step % 2 == 0 ? 200 : 8), upserts, removals);
            DigestTrie *next = digest_trie_with_changes(trie, upserts, removals);
            guint differences = 0;
            digest_trie_diff(trie, next, count_difference, &differences);
            g_assert_cmpuint(differences, ==, model_differences(&before, &model));
            g_assert_true((next == trie) == (differences == 0));
            digest_trie_unref(trie);
            trie = next;
            check_against_model(trie, &model);
        }
        g_autoptr(GPtrArray) items = model_items(&model);
        g_autoptr(DigestTrie) rebuilt = trie_of(items);
        g_assert_cmpmem(digest_trie_digest(rebuilt), SHA256_BYTES, digest_trie_digest(trie), SHA256_BYTES);
    }
    g_rand_free(rng);
}

static void test_order_does_not_matter(void)
{
    GRand *rng = random_new(99);
    g_autoptr(GPtrArray) items = items_numbered(700);
    g_autoptr(DigestTrie) expected = trie_of(items);
    for (guint round = 0; round < 20; round++) {
        for (guint i = items->len - 1; i > 0; i--) {
            guint k = random_below(rng, i + 1);
            gpointer swap = items->pdata[i];
            items->pdata[i] = items->pdata[k];
            items->pdata[k] = swap;
        }
        g_autoptr(DigestTrie) trie = digest_trie_new_empty();
        for (guint i = 0; i < items->len;) {
            guint wanted = 1 + random_below(rng, 90);
            guint count = MIN(wanted, items->len - i);
            GPtrArray slice = {.pdata = items->pdata + i, .len = count};
            DigestTrie *next = digest_trie_with_changes(trie, &slice, NULL);
            digest_trie_unref(trie);
            trie = next;
            i += count;
        }
        g_assert_cmpmem(digest_trie_digest(trie), SHA256_BYTES, digest_trie_digest(expected), SHA256_BYTES);
    }
    g_rand_free(rng);
}

static void test_last_upsert_wins(void)
{
    g_autoptr(GPtrArray) upserts = items_new();
    g_autoptr(GPtrArray) removals = g_ptr_array_new();
    g_ptr_array_add(upserts, item_edition(5, 1));
    g_ptr_array_add(upserts, item_edition(5, 2));
    g_ptr_array_add(removals, (gpointer)(gsize) "set/5/pack-5");
    g_autoptr(DigestTrie) empty = digest_trie_new_empty();
    g_autoptr(DigestTrie) trie = digest_trie_with_changes(empty, upserts, removals);
    CatalogItem *expected = g_ptr_array_index(upserts, 1);
    g_assert_true(digest_trie_find(trie, expected->key) == expected);
    g_assert_cmpuint(digest_trie_count(trie), ==, 1);
}

/* --- Sharing --- */

/* Nodes of `a` that are not nodes of `b` at the same place. */
static guint own_nodes(const DigestTrie *a, const DigestTrie *b)
{
    if (a == b || a == NULL)
        return 0;
    guint count = 1;
    for (guint i = 0; digest_trie_is_inner(a) && i < DIGEST_FAN_OUT; i++) {
        gboolean comparable = b != NULL && digest_trie_is_inner(b);
        count += own_nodes(digest_trie_child(a, i), comparable ? digest_trie_child(b, i) : NULL);
    }
    return count;
}

static void test_a_change_costs_its_path(void)
{
    g_autoptr(GPtrArray) items = items_numbered(20000);
    g_autoptr(DigestTrie) base = trie_of(items);
    g_autoptr(GPtrArray) upserts = items_new();
    g_ptr_array_add(upserts, item_edition(12345, 1));
    g_autoptr(DigestTrie) next = digest_trie_with_changes(base, upserts, NULL);
    g_assert_cmpuint(own_nodes(next, base), <=, 5);
    g_assert_cmpuint(own_nodes(next, base), >=, 3);
    g_autoptr(DigestTrie) again = digest_trie_with_changes(next, upserts, NULL);
    g_assert_true(again == next);
}

/* Readers walk tries while successors are made and the originals go away. */
static gpointer read_trie(gpointer data)
{
    DigestTrie *trie = data;
    guint found = 0;
    for (guint i = 0; i < 2000; i++) {
        g_autoptr(CatalogItem) item = item_edition(i, 0);
        found += digest_trie_find(trie, item->key) != NULL;
    }
    digest_trie_unref(trie);
    return GUINT_TO_POINTER(found);
}

static void test_threads(void)
{
    GThread *threads[3];
    g_autoptr(GPtrArray) items = items_numbered(2000);
    g_autoptr(DigestTrie) trie = trie_of(items);
    g_ptr_array_set_size(items, 0);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("reader", read_trie, digest_trie_ref(trie));
    for (guint i = 0; i < 200; i++) {
        g_autoptr(GPtrArray) upserts = items_new();
        g_ptr_array_add(upserts, item_edition(i, 1));
        DigestTrie *next = digest_trie_with_changes(trie, upserts, NULL);
        digest_trie_unref(trie);
        trie = next;
    }
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_assert_cmpuint(GPOINTER_TO_UINT(g_thread_join(threads[i])), ==, 2000);
    g_assert_cmpuint(digest_trie_count(trie), ==, 2000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    g_test_add_func("/digest-trie/items", test_items);
    g_test_add_func("/digest-trie/roots", test_roots);
    g_test_add_func("/digest-trie/prefixes", test_prefixes);
    g_test_add_func("/digest-trie/bad-items", test_bad_items);
    g_test_add_func("/digest-trie/histories", test_histories);
    g_test_add_func("/digest-trie/order", test_order_does_not_matter);
    g_test_add_func("/digest-trie/last-upsert", test_last_upsert_wins);
    g_test_add_func("/digest-trie/sharing", test_a_change_costs_its_path);
    g_test_add_func("/digest-trie/threads", test_threads);
    return g_test_run();
}

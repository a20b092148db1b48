/* SPDX-License-Identifier: MIT
 *
 * Comparing two catalogs over JSON as two brokers send it: the walk finds exactly what differs, in few
 * requests, and whatever a hostile side sends ends in an error within the limits.
 */
#include "catalog_items.h"
#include "random_text.h"

#include "mirror/catalog/trie_walk.h"
#include "schema/limits.h"

/* --- A broker --- */

/* Spoils the JSON of an answer. */
typedef char *(*Spoiler)(const char *json, const char *prefix);

typedef struct {
    DigestTrie *trie;
    Spoiler spoil; /* or NULL */
    guint requests, prefixes;
    gsize bytes;
} Broker;

static char *answer_json(const DigestTrie *trie, const char *const *prefixes, guint count)
{
    GString *json = g_string_new(NULL);
    g_auto(JsonWriter) writer;
    json_writer_init(&writer, json, JSON_STYLE_PLAIN);
    if (count > 1) {
        json_write_object_begin(&writer);
        json_write_key(&writer, "nodes");
        json_write_array_begin(&writer);
    }
    for (guint i = 0; i < count; i++) {
        g_auto(DigestView) view = {0};
        digest_view_init(&view, trie, prefixes[i]);
        digest_view_write(&view, &writer);
    }
    if (count > 1) {
        json_write_array_end(&writer);
        json_write_object_end(&writer);
    }
    return g_string_free(json, FALSE);
}

static gboolean broker_views(gpointer user, const char *const *prefixes, guint count, DigestView *ret_views,
                             GError **error)
{
    Broker *broker = user;
    g_assert_cmpuint(count, >, 0);
    g_assert_cmpuint(count, <=, LIMIT_DIGEST_PREFIXES);
    g_autofree char *json = answer_json(broker->trie, prefixes, count);
    if (broker->spoil != NULL) {
        char *spoilt = broker->spoil(json, prefixes[0]);
        g_free(json);
        json = spoilt;
    }
    broker->requests++;
    broker->prefixes += count;
    broker->bytes += strlen(json);
    return digest_views_parse(json, strlen(json), prefixes, count, ret_views, error);
}

static TrieSource source_of(Broker *broker)
{
    TrieSource source = {.count = digest_trie_count(broker->trie), .views = broker_views, .user = broker};
    memcpy(source.root, digest_trie_digest(broker->trie), SHA256_BYTES);
    return source;
}

static void collect_pair(CatalogItem *a, CatalogItem *b, gpointer user)
{
    g_ptr_array_add(user, g_strdup_printf("%s %s %s", (a != NULL ? a : b)->path, a != NULL ? a->version : "-",
                                          b != NULL ? b->version : "-"));
}

static gint compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static gboolean walk(Broker *a, Broker *b, GPtrArray *found, GError **error)
{
    TrieSource left = source_of(a), right = source_of(b);
    TrieWalkReport report;
    gboolean done = trie_walk(&left, &right, collect_pair, found, &report, error);
    if (done) {
        g_assert_cmpuint(report.differences, ==, found->len);
        g_assert_cmpuint(report.requests[0], ==, a->requests);
        g_assert_cmpuint(report.requests[1], ==, b->requests);
    }
    g_ptr_array_sort(found, compare_texts);
    return done;
}

/* --- Honest sides --- */

static void check_walk(DigestTrie *a, DigestTrie *b)
{
    Broker left = {.trie = a}, right = {.trie = b};
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) expected = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    g_assert_true(walk(&left, &right, found, &error));
    g_assert_no_error(error);
    digest_trie_diff(a, b, collect_pair, expected);
    g_ptr_array_sort(expected, compare_texts);
    g_assert_cmpuint(found->len, ==, expected->len);
    for (guint i = 0; i < found->len; i++)
        g_assert_cmpstr(g_ptr_array_index(found, i), ==, g_ptr_array_index(expected, i));
    if (expected->len == 0)
        g_assert_cmpuint(left.requests + right.requests, ==, 0);
}

/* A random part of the first `range` numbers, some of them in another edition. */
static DigestTrie *random_trie(GRand *rng, guint range)
{
    g_autoptr(GPtrArray) items = items_new();
    guint share = random_below(rng, 101);
    for (guint i = 0; i < range; i++) {
        if (random_below(rng, 100) < share)
            g_ptr_array_add(items, item_edition(i, random_below(rng, 20) == 0));
    }
    return trie_of(items);
}

static void test_random_pairs(void)
{
    GRand *rng = random_new(31);
    for (guint round = 0; round < 120; round++) {
        guint range = round % 10 == 0 ? 3000 : 1 + random_below(rng, 200);
        g_autoptr(DigestTrie) a = random_trie(rng, range);
        g_autoptr(DigestTrie) b = random_trie(rng, range);
        check_walk(a, b);
        check_walk(a, a);
    }
    g_rand_free(rng);
}

static void test_few_differences_are_cheap(void)
{
    g_autoptr(GPtrArray) items = items_numbered(20000);
    g_autoptr(DigestTrie) a = trie_of(items);
    g_autoptr(GPtrArray) upserts = items_new();
    for (guint i = 0; i < 10; i++)
        g_ptr_array_add(upserts, item_edition(i * 1999, 1));
    g_autoptr(DigestTrie) b = digest_trie_with_changes(a, upserts, NULL);
    check_walk(a, b);
    Broker left = {.trie = a}, right = {.trie = b};
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    g_assert_true(walk(&left, &right, found, NULL));
    g_assert_cmpuint(found->len, ==, 10);
    g_assert_cmpuint(right.requests, <=, 5); /* one per level */
    g_assert_cmpuint(right.prefixes, <=, 41);
}

/* --- Hostile sides --- */

static char *replace_once(const char *json, const char *old, const char *fresh)
{
    g_autoptr(GString) text = g_string_new(json);
    g_string_replace(text, old, fresh, 1);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *another_root(const char *json G_GNUC_UNUSED, const char *prefix)
{
    g_autoptr(GPtrArray) items = items_numbered(2999);
    g_autoptr(DigestTrie) trie = trie_of(items);
    return answer_json(trie, &prefix, 1);
}

static char *wrong_count(const char *json, const char *prefix G_GNUC_UNUSED)
{
    return replace_once(json, "\"count\":3000", "\"count\":3001");
}

static char *shifted_counts(const char *json, const char *prefix)
{
    if (*prefix != '\0')
        return g_strdup(json);
    /* The sum stays, so that only the next level can show it. */
    g_autoptr(JsonDoc) doc = json_doc_parse(json, strlen(json), 1000000, NULL);
    const JsonValue *child = json_value_first(json_object_get(json_doc_root(doc), "children"));
    gint64 first = 0, second = 0;
    g_assert_true(json_value_integer(json_object_get(child, "count"), &first));
    g_assert_true(json_value_integer(json_object_get(json_value_next(child), "count"), &second));
    g_autofree char *a = g_strdup_printf("[{\"count\":%" G_GINT64_FORMAT, first);
    g_autofree char *b = g_strdup_printf("[{\"count\":%" G_GINT64_FORMAT, first + 1);
    g_autofree char *once = replace_once(json, a, b);
    g_autofree char *c = g_strdup_printf("},{\"count\":%" G_GINT64_FORMAT, second);
    g_autofree char *d = g_strdup_printf("},{\"count\":%" G_GINT64_FORMAT, second - 1);
    return replace_once(once, c, d);
}

static char *wrong_item(const char *json, const char *prefix G_GNUC_UNUSED)
{
    return replace_once(json, "\"version\":\"1.", "\"version\":\"2.");
}

static char *wrong_child(const char *json, const char *prefix G_GNUC_UNUSED)
{
    const char *at = strstr(json, "\"children\"");
    if (at == NULL)
        return g_strdup(json);
    g_autofree char *head = g_strndup(json, (gsize)(at - json));
    g_autoptr(GString) tail = g_string_new(at);
    char *digest = strstr(tail->str, "\"digest\":\"") + strlen("\"digest\":\"");
    *digest = *digest == '0' ? '1' : '0';
    return g_strconcat(head, tail->str, NULL);
}

static char *both_kinds(const char *json, const char *prefix G_GNUC_UNUSED)
{
    return replace_once(json, "{\"count\"", "{\"items\":[],\"count\"");
}

static char *not_json(const char *json, const char *prefix G_GNUC_UNUSED)
{
    return g_strndup(json, strlen(json) - 1);
}

/* What belongs to another prefix, in itself correct. */
static char *other_place(const char *json, const char *prefix)
{
    if (strlen(prefix) != 1)
        return g_strdup(json);
    g_autoptr(GPtrArray) items = items_numbered(20);
    g_autoptr(DigestTrie) trie = trie_of(items);
    const char *const whole[] = {""};
    return answer_json(trie, whole, 1);
}

static void test_hostile(void)
{
    static const struct {
        Spoiler spoil;
        KontorErrorCode code;
    } cases[] = {
        {another_root, KONTOR_ERROR_CONFLICT},   {wrong_count, KONTOR_ERROR_SIGNATURE},
        {shifted_counts, KONTOR_ERROR_CONFLICT}, {wrong_item, KONTOR_ERROR_SIGNATURE},
        {wrong_child, KONTOR_ERROR_SIGNATURE},   {both_kinds, KONTOR_ERROR_MALFORMED},
        {not_json, KONTOR_ERROR_MALFORMED},      {other_place, KONTOR_ERROR_MALFORMED},
    };
    g_autoptr(GPtrArray) items = items_numbered(3000);
    g_autoptr(DigestTrie) honest = trie_of(items);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        /* One difference below the first digit "0" keeps every request to one prefix. */
        g_autoptr(GPtrArray) removals = g_ptr_array_new();
        for (guint k = 0; k < items->len && removals->len == 0; k++) {
            CatalogItem *item = g_ptr_array_index(items, k);
            if (item->key[0] >> 4 == 0)
                g_ptr_array_add(removals, (gpointer)(gsize)item->path);
        }
        g_autoptr(DigestTrie) other = digest_trie_with_changes(honest, NULL, removals);
        Broker left = {.trie = other}, right = {.trie = honest, .spoil = cases[i].spoil};
        g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GError) error = NULL;
        g_assert_false(walk(&left, &right, found, &error));
        g_test_message("%u: %s", i, error->message);
        g_assert_error(error, KONTOR_ERROR, (gint)cases[i].code);
        g_assert_cmpuint(found->len, ==, 0);
    }
}

/* A side that goes on for ever: inner nodes all the way down, made from the bottom up, each in itself
 * correct. The last digit ends it. */
typedef struct {
    guint8 digests[DIGEST_PREFIX_MAX + 1][SHA256_BYTES];
} Tower;

static void tower_init(Tower *tower)
{
    memset(tower->digests[DIGEST_PREFIX_MAX], 7, SHA256_BYTES);
    for (guint depth = DIGEST_PREFIX_MAX; depth > 0; depth--) {
        guint8 children[DIGEST_FAN_OUT][SHA256_BYTES] = {{0}};
        memcpy(children[0], tower->digests[depth], SHA256_BYTES);
        digest_hash_children(children, tower->digests[depth - 1]);
    }
}

static gboolean tower_views(gpointer user, const char *const *prefixes, guint count, DigestView *ret_views,
                            GError **error)
{
    const Tower *tower = user;
    g_assert_cmpuint(count, ==, 1);
    gsize depth = strlen(prefixes[0]);
    DigestView view = {.count = 1000000};
    memcpy(view.digest, tower->digests[depth], SHA256_BYTES);
    if (depth < DIGEST_PREFIX_MAX) {
        view.children[0].count = 1000000;
        memcpy(view.children[0].digest, tower->digests[depth + 1], SHA256_BYTES);
    }
    g_autoptr(GString) json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        digest_view_write(&view, &writer);
    }
    return digest_views_parse(json->str, json->len, prefixes, count, ret_views, error);
}

static void test_endless_children(void)
{
    Tower tower;
    tower_init(&tower);
    g_autoptr(DigestTrie) nothing = digest_trie_new_empty();
    Broker left = {.trie = nothing};
    TrieSource empty = source_of(&left);
    TrieSource endless = {.count = 1000000, .views = tower_views, .user = &tower};
    memcpy(endless.root, tower.digests[0], SHA256_BYTES);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    TrieWalkReport report;
    g_autoptr(GError) error = NULL;
    g_assert_false(trie_walk(&empty, &endless, collect_pair, found, &report, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
    g_assert_cmpuint(report.requests[1], ==, DIGEST_PREFIX_MAX + 1);
    g_assert_cmpuint(found->len, ==, 0);
}

/* More items than a comparison takes: refused with the first answer. */
static void test_too_many_items(void)
{
    static const char json[] = "{\"count\":2000001,\"digest\":\"00\",\"items\":[]}";
    const char *const prefixes[] = {""};
    g_auto(DigestView) view = {0};
    g_autoptr(GError) error = NULL;
    g_assert_false(digest_views_parse(json, sizeof json - 1, prefixes, 1, &view, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    g_test_add_func("/trie-walk/random-pairs", test_random_pairs);
    g_test_add_func("/trie-walk/few-differences", test_few_differences_are_cheap);
    g_test_add_func("/trie-walk/hostile", test_hostile);
    g_test_add_func("/trie-walk/endless-children", test_endless_children);
    g_test_add_func("/trie-walk/too-many-items", test_too_many_items);
    return g_test_run();
}

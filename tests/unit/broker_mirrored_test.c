/* SPDX-License-Identifier: MIT
 *
 * Mirrored packs laid together with local ones, against a slow obvious model: three tables by path, of which
 * every catalog is made anew; and what a release must be like to be served.
 */
#include "broker/serve/mirrored.h"

#include <string.h>

enum { ROUNDS = 400, CHANGES_MAX = 6, NAMES = 14 };

static const char *const names[NAMES] = {"a",   "a/b", "a/b/c", "a-b", "b",     "b/a", "c",
                                         "c/d", "c/e", "d",     "e/f", "e/f/g", "f",   "a/c"};

/* --- Places --- */

static CatalogPack *judged_place(const char *path, const char *source, gboolean is_private)
{
    g_autoptr(CatalogPack) scanned = catalog_pack_new(path, "/nowhere");
    scanned->is_pack = TRUE;
    if (source != NULL)
        catalog_pack_set_mirrored(scanned, "00", source, is_private);
    CatalogRelease release = {
        .publisher = g_strdup(""), .version = g_strdup(""), .published_at = g_strdup("")};
    return catalog_pack_judged(scanned, &release, NULL);
}

static MirroredPack *record_of(const char *path, gboolean is_private)
{
    MirroredPack *record = g_new0(MirroredPack, 1);
    record->path = g_strdup(path);
    record->source = g_strdup("commons");
    record->fingerprint = g_strdup("");
    record->publisher = g_strdup("");
    record->version = g_strdup("");
    record->published_at = g_strdup("");
    record->origin = g_strdup("");
    record->is_private = is_private;
    return record;
}

/* --- The fast one and the model, side by side --- */

enum { LOCAL, OPEN, CLOSED, SPACES };

typedef struct {
    Mirrored *mirrored;
    Catalog *local, *catalog, *hidden;
    GHashTable *model[SPACES]; /* path → CatalogPack */
} World;

static void world_up(World *world)
{
    world->mirrored = mirrored_new();
    world->local = catalog_new_empty();
    world->catalog = catalog_new_empty();
    world->hidden = catalog_new_empty();
    for (guint i = 0; i < SPACES; i++)
        world->model[i] =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)catalog_pack_unref);
}

static void world_down(World *world)
{
    mirrored_free(world->mirrored);
    catalog_unref(world->local);
    catalog_unref(world->catalog);
    catalog_unref(world->hidden);
    for (guint i = 0; i < SPACES; i++)
        g_hash_table_unref(world->model[i]);
}

static void replace_catalog(Catalog **catalog, GPtrArray *upserts, GPtrArray *removals)
{
    Catalog *next = catalog_with_changes(*catalog, upserts, removals, NULL);
    catalog_unref(*catalog);
    *catalog = next;
}

static void change_local(World *world, const char *path, CatalogPack *place, MirroredTouch *touch)
{
    g_autoptr(GPtrArray) upserts = g_ptr_array_new(), removals = g_ptr_array_new();
    if (place != NULL)
        g_ptr_array_add(upserts, place);
    else
        g_ptr_array_add(removals, (gpointer)(guintptr)path);
    replace_catalog(&world->local, upserts, removals);
    g_hash_table_add(touch->public_paths, g_strdup(path));
}

/* One random change of one space, told to both. */
static void change_something(World *world, GRand *random, MirroredTouch *touch)
{
    guint which = (guint)g_rand_int_range(random, 0, SPACES);
    const char *path = names[g_rand_int_range(random, 0, NAMES)];
    gboolean put = g_rand_boolean(random);
    g_autoptr(CatalogPack) place =
        put ? judged_place(path, which == LOCAL ? NULL : "commons", which == CLOSED) : NULL;
    if (which == LOCAL)
        change_local(world, path, place, touch);
    else if (put)
        mirrored_put(world->mirrored, place, record_of(path, which == CLOSED), touch);
    else
        mirrored_remove(world->mirrored, path, which == CLOSED, touch);
    if (put)
        g_hash_table_replace(world->model[which], g_strdup(path), catalog_pack_ref(place));
    else
        g_hash_table_remove(world->model[which], path);
}

static void merge(World *world, const MirroredTouch *touch)
{
    g_auto(CatalogChange) open, closed;
    catalog_change_init(&open);
    catalog_change_init(&closed);
    mirrored_merge(world->mirrored, world->local, world->catalog, touch, &open);
    mirrored_merge_private(world->mirrored, world->hidden, touch, &closed);
    replace_catalog(&world->catalog, open.upserts, open.removals);
    replace_catalog(&world->hidden, closed.upserts, closed.removals);
}

static void check(const World *world)
{
    guint open = 0, closed = 0;
    for (guint i = 0; i < NAMES; i++) {
        const char *path = names[i];
        gpointer winner = g_hash_table_lookup(world->model[LOCAL], path);
        if (winner == NULL)
            winner = g_hash_table_lookup(world->model[OPEN], path);
        gpointer secret = g_hash_table_lookup(world->model[CLOSED], path);
        g_assert_true(catalog_place(world->catalog, path, strlen(path)) == winner);
        g_assert_true(catalog_place(world->hidden, path, strlen(path)) == secret);
        open += winner != NULL ? 1 : 0;
        closed += secret != NULL ? 1 : 0;
    }
    g_assert_cmpuint(catalog_pack_count(world->catalog), ==, open);
    g_assert_cmpuint(catalog_pack_count(world->hidden), ==, closed);
    g_assert_cmpuint(mirrored_count(world->mirrored, FALSE), ==, g_hash_table_size(world->model[OPEN]));
    g_assert_cmpuint(mirrored_count(world->mirrored, TRUE), ==, g_hash_table_size(world->model[CLOSED]));
}

static void test_model(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed((guint32)g_test_rand_int());
    World world;
    world_up(&world);
    for (guint round = 0; round < ROUNDS; round++) {
        g_auto(MirroredTouch) touch;
        mirrored_touch_init(&touch);
        gint changes = g_rand_int_range(random, 0, CHANGES_MAX);
        for (gint i = 0; i < changes; i++)
            change_something(&world, random, &touch);
        merge(&world, &touch);
        check(&world);
    }
    world_down(&world);
}

/* Touching everything, as after a first scan that failed, leads to the same. */
static void test_touch_all(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed((guint32)g_test_rand_int());
    World world;
    world_up(&world);
    {
        g_auto(MirroredTouch) lost;
        mirrored_touch_init(&lost);
        for (guint i = 0; i < 40; i++)
            change_something(&world, random, &lost);
    }
    g_auto(MirroredTouch) touch;
    mirrored_touch_init(&touch);
    g_autoptr(GPtrArray) places = catalog_places_below(world.local, "", 0);
    for (guint i = 0; i < places->len; i++)
        g_hash_table_add(touch.public_paths, g_strdup(((CatalogPack *)places->pdata[i])->path));
    mirrored_touch_all(world.mirrored, &touch);
    merge(&world, &touch);
    check(&world);
    world_down(&world);
}

/* What is as it should be is left alone, so that nothing is read, told or written for it. */
static void test_nothing_to_do(void)
{
    World world;
    world_up(&world);
    g_auto(MirroredTouch) touch;
    mirrored_touch_init(&touch);
    g_autoptr(CatalogPack) local = judged_place("a", NULL, FALSE),
                           below = judged_place("a", "commons", FALSE);
    change_local(&world, "a", local, &touch);
    merge(&world, &touch);
    mirrored_put(world.mirrored, below, record_of("a", FALSE), &touch);
    g_auto(CatalogChange) change;
    catalog_change_init(&change);
    mirrored_merge(world.mirrored, world.local, world.catalog, &touch, &change);
    g_assert_cmpuint(change.upserts->len + change.removals->len, ==, 0);
    /* The shadowed one comes back. */
    change_local(&world, "a", NULL, &touch);
    mirrored_merge(world.mirrored, world.local, world.catalog, &touch, &change);
    g_assert_cmpuint(change.upserts->len, ==, 1);
    g_assert_true(change.upserts->pdata[0] == below);
    world_down(&world);
}

/* --- Verdicts --- */

static CatalogFile file_of(const char *name, gboolean is_listed, guint8 byte)
{
    CatalogFile file = {.name = name, .is_listed = is_listed, .has_sha256 = TRUE};
    memset(file.sha256, byte, sizeof file.sha256);
    return file;
}

/* An unsigned pack as the store would have it. */
static CatalogPack *taken_place(const char *path, guint8 byte)
{
    CatalogPack *place = catalog_pack_new(path, "/nowhere");
    catalog_pack_set_mirrored(place, "0123456789abcdef", "commons", FALSE);
    place->is_pack = TRUE;
    g_autoptr(GArray) files = g_array_new(FALSE, FALSE, sizeof(CatalogFile));
    const CatalogFile all[] = {file_of("manifest.yaml", FALSE, byte), file_of("wiki/index.md", TRUE, byte)};
    g_array_append_vals(files, all, G_N_ELEMENTS(all));
    catalog_pack_set_files(place, files);
    return place;
}

static CatalogPack *verdict_on(CatalogPack *taken, const guint8 *digest, PackPolicy policy)
{
    g_autoptr(TrustList) trust = trust_list_parse("test", "publishers: []\n", 15, NULL);
    g_autoptr(MirroredPack) record = record_of(taken->path, FALSE);
    memcpy(record->digest, digest, SHA256_BYTES);
    record->policy = policy;
    g_autoptr(GPtrArray) places = g_ptr_array_new(), records = g_ptr_array_new();
    g_ptr_array_add(places, taken);
    g_ptr_array_add(records, record);
    g_autoptr(GPtrArray) verdicts = mirrored_verdicts(places, records, trust, /* now= */ 0, /* threads= */ 2);
    g_assert_cmpuint(verdicts->len, ==, 1);
    return catalog_pack_ref(verdicts->pdata[0]);
}

static void assert_refused(const CatalogPack *verdict, const char *text)
{
    g_assert_true(verdict->refused);
    g_assert_false(verdict->is_pack);
    g_assert_cmpuint(verdict->file_count, ==, 0);
    if (strstr(verdict->problem, text) == NULL)
        g_error("\"%s\" is not in: %s", text, verdict->problem);
    g_assert_nonnull(verdict->release.reason);
}

static void test_verdicts(void)
{
    g_autoptr(CatalogPack) taken = taken_place("a", 1), other = taken_place("a", 2);
    PackJudgeOptions options = {PACK_POLICY_OFF, NULL, 0};
    g_autoptr(CatalogPack) known = pack_judge(taken, &options);
    const guint8 *digest = known->release.content_sha256;
    g_autoptr(CatalogPack) off = verdict_on(taken, digest, PACK_POLICY_OFF);
    g_assert_false(off->refused);
    g_assert_cmpuint(off->file_count, ==, 2);
    g_autoptr(CatalogPack) preferred = verdict_on(taken, digest, PACK_POLICY_PREFERRED);
    g_assert_false(preferred->refused);
    g_autoptr(CatalogPack) required = verdict_on(taken, digest, PACK_POLICY_REQUIRED);
    assert_refused(required, "manifest.sig");
    g_autoptr(CatalogPack) swapped = verdict_on(other, digest, PACK_POLICY_OFF);
    assert_refused(swapped, "release 0123456789ab: its files are not those of that digest");
    g_assert_cmpint(swapped->release.rule, ==, ACCEPT_HASH);
    g_autoptr(CatalogPack) missing = taken_place("a", 1);
    missing->problem = g_strdup("is not in the release store");
    g_autoptr(CatalogPack) gone = verdict_on(missing, digest, PACK_POLICY_OFF);
    assert_refused(gone, "release 0123456789ab: is not in the release store");
}

/* Policies are those of the records, in whatever order they come. */
static void test_policies(void)
{
    g_autoptr(TrustList) trust = trust_list_parse("test", "publishers: []\n", 15, NULL);
    g_autoptr(GPtrArray) places = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_pack_unref);
    g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func((GDestroyNotify)mirrored_pack_free);
    const PackPolicy policies[] = {PACK_POLICY_REQUIRED, PACK_POLICY_OFF, PACK_POLICY_PREFERRED,
                                   PACK_POLICY_REQUIRED, PACK_POLICY_OFF};
    PackJudgeOptions options = {PACK_POLICY_OFF, NULL, 0};
    for (guint i = 0; i < G_N_ELEMENTS(policies); i++) {
        CatalogPack *place = taken_place(names[i], 1);
        g_autoptr(CatalogPack) known = pack_judge(place, &options);
        MirroredPack *record = record_of(names[i], FALSE);
        record->policy = policies[i];
        memcpy(record->digest, known->release.content_sha256, SHA256_BYTES);
        g_ptr_array_add(places, place);
        g_ptr_array_add(records, record);
    }
    g_autoptr(GPtrArray) verdicts = mirrored_verdicts(places, records, trust, 0, /* threads= */ 2);
    for (guint i = 0; i < G_N_ELEMENTS(policies); i++) {
        const CatalogPack *verdict = verdicts->pdata[i];
        g_assert_true(verdict->origin == places->pdata[i]);
        g_assert_cmpint(verdict->refused, ==, policies[i] == PACK_POLICY_REQUIRED);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mirrored/model", test_model);
    g_test_add_func("/mirrored/touch-all", test_touch_all);
    g_test_add_func("/mirrored/nothing-to-do", test_nothing_to_do);
    g_test_add_func("/mirrored/verdicts", test_verdicts);
    g_test_add_func("/mirrored/policies", test_policies);
    return g_test_run();
}

/* SPDX-License-Identifier: MIT
 *
 * Each store remembers which public and private catalog its latest view was made of, so that it can go on
 * from there whatever happened between, also when its token was revoked and given again meanwhile.
 */
#include "broker/serve/views.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "broker/log.h"
#include "broker/serve/exchange_writer.h"
#include "mirror/store/db.h"

/* What one view has on disk and in memory beyond its snapshots. All but the index belongs to the keeper's
 * thread. */
struct ViewStore {
    gint refs; /* atomic */
    char id[CATALOG_VIEW_CHARS + 1];
    char *directory;
    ReadToken *grants; /* some token that shows this view: its globs count */
    ExchangeWriter *exchange;
    gboolean told; /* the writer knows all places */
    SearchIndex *index;
    gint ready;       /* atomic: the index describes what was granted lately */
    gint damaged;     /* atomic */
    Catalog *indexed; /* what the index describes; NULL: has to be compared as a whole */
    Catalog *packs, *hidden;
    guint64 public_number;
    View *latest; /* made of these; NULL: none yet */
    gboolean wanted;
    SearchDamageFunc damage_func;
    gpointer damage_user;
};

struct ViewKeeper {
    char *directory;
    const SecretKey *key;
    GHashTable *stores; /* id → ViewStore, one reference each */
    gboolean tidied;    /* what others left was removed */
    SearchDamageFunc damage_func;
    gpointer damage_user;
};

/* --- Stores --- */

static ViewStore *store_ref(ViewStore *store)
{
    g_atomic_int_inc(&store->refs);
    return store;
}

static void store_unref(ViewStore *store)
{
    if (!g_atomic_int_dec_and_test(&store->refs))
        return;
    g_assert(store->latest == NULL);
    exchange_writer_free(store->exchange);
    search_index_free(store->index);
    catalog_unref(store->indexed);
    catalog_unref(store->packs);
    catalog_unref(store->hidden);
    read_token_free(store->grants);
    g_free(store->directory);
    g_free(store);
}

static ViewStore *store_new(const ViewKeeper *keeper, const char *id, const ReadToken *token)
{
    ViewStore *store = g_new0(ViewStore, 1);
    store->refs = 1;
    g_strlcpy(store->id, id, sizeof store->id);
    store->directory = g_build_filename(keeper->directory, id, NULL);
    store->damage_func = keeper->damage_func;
    store->damage_user = keeper->damage_user;
    g_autoptr(GPtrArray) paths = g_ptr_array_new();
    for (guint i = 0; i < token->paths->len; i++)
        g_ptr_array_add(paths, g_strdup(g_ptr_array_index(token->paths, i)));
    store->grants = read_token_new("", g_steal_pointer(&paths), 0, G_MAXINT64);
    return store;
}

static void on_damage(gpointer user, const char *message)
{
    ViewStore *store = user;
    g_atomic_int_set(&store->damaged, TRUE);
    if (store->damage_func != NULL)
        store->damage_func(store->damage_user, message);
}

static char *store_file(const ViewStore *store, const char *name)
{
    return g_build_filename(store->directory, name, NULL);
}

static gboolean open_exchange(ViewStore *store, const SecretKey *key, GError **error)
{
    g_autofree char *path = store_file(store, "catalog.db");
    store->exchange = exchange_writer_open(path, key, error);
    if (store->exchange == NULL)
        return FALSE;
    exchange_writer_set_view(store->exchange, store->id);
    return TRUE;
}

static gboolean open_index(ViewStore *store, GError **error)
{
    g_autofree char *path = store_file(store, "index.db"), *rebuilt = NULL;
    store->index = search_index_open(path, &rebuilt, error);
    if (store->index == NULL)
        return FALSE;
    if (rebuilt != NULL)
        log_event(LOG_WARNING, "view-index-rebuilt", "view", store->id, "reason", rebuilt, NULL);
    search_index_set_damage_func(store->index, on_damage, store);
    return TRUE;
}

/* Opens what is not open yet. A broken disk must not make strangers of token holders: they get what does not
 * need it. */
static void store_open(ViewStore *store, const SecretKey *key)
{
    g_autoptr(GError) error = NULL;
    if (store->exchange != NULL && store->index != NULL)
        return;
    if (g_mkdir_with_parents(store->directory, 0700) != 0)
        kontor_error_set_errno(&error, errno, "%s", store->directory);
    else if ((store->exchange != NULL || open_exchange(store, key, &error)) && store->index == NULL)
        open_index(store, &error);
    if (error != NULL)
        log_error_event(LOG_ERROR, "view-not-kept", error, "view", store->id, NULL);
}

/* --- Views --- */

static View *view_ref(View *view)
{
    g_atomic_int_inc(&view->refs);
    return view;
}

static void view_unref(View *view)
{
    if (view == NULL || !g_atomic_int_dec_and_test(&view->refs))
        return;
    catalog_unref(view->catalog);
    catalog_unref(view->granted);
    exchange_unref(view->exchange);
    store_unref(view->store);
    g_free(view);
}

SearchIndex *view_index(const View *view)
{
    return g_atomic_int_get(&view->store->ready) ? view->store->index : NULL;
}

/* Changes of one catalog. Elements are borrowed. */
typedef struct {
    GPtrArray *upserts, *removals;
    gboolean directories;
} Changes;

static void changes_init(Changes *changes, const Catalog *from, const Catalog *to)
{
    *changes = (Changes){g_ptr_array_new(), g_ptr_array_new(), FALSE};
    if (from != NULL)
        catalog_compare(from, to, changes->upserts, changes->removals, &changes->directories);
}

static void changes_clear(Changes *changes)
{
    g_ptr_array_unref(changes->upserts);
    g_ptr_array_unref(changes->removals);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Changes, changes_clear)

static const CatalogPack *place_at(const Catalog *catalog, const char *path)
{
    return catalog_place(catalog, path, strlen(path));
}

/* A copy of a catalog is another catalog even if nothing is new in it, so what is not there is not removed.
 */
static void remove_granted(const Catalog *granted, char *path, GPtrArray *removals)
{
    if (place_at(granted, path) != NULL)
        g_ptr_array_add(removals, path);
}

/* Only what is served is granted: a private pack that policy refuses must not stand in front of a public one.
 */
static Catalog *advance_granted(const ViewStore *store, Catalog *granted, const Changes *hidden)
{
    g_autoptr(GPtrArray) upserts = g_ptr_array_new(), removals = g_ptr_array_new();
    for (guint i = 0; i < hidden->removals->len; i++)
        remove_granted(granted, g_ptr_array_index(hidden->removals, i), removals);
    for (guint i = 0; i < hidden->upserts->len; i++) {
        CatalogPack *pack = g_ptr_array_index(hidden->upserts, i);
        if (pack->is_pack && read_token_allows(store->grants, pack->path))
            g_ptr_array_add(upserts, pack);
        else
            remove_granted(granted, pack->path, removals);
    }
    return catalog_with_changes(granted, upserts, removals, NULL);
}

typedef struct {
    const Catalog *packs, *granted; /* now */
    const Catalog *before;          /* the view's catalog before */
    GHashTable *seen;               /* of paths */
    Changes *result;
} Overlay;

/* What the path shows now, against what it showed. */
static void overlay_path(Overlay *overlay, char *path)
{
    if (!g_hash_table_add(overlay->seen, path))
        return;
    const CatalogPack *now = place_at(overlay->granted, path);
    if (now == NULL)
        now = place_at(overlay->packs, path);
    const CatalogPack *old = place_at(overlay->before, path);
    if (now != NULL && now != old)
        g_ptr_array_add(overlay->result->upserts, (gpointer)(gsize)now);
    else if (now == NULL && old != NULL)
        g_ptr_array_add(overlay->result->removals, path);
}

static void overlay_changes(Overlay *overlay, const Changes *changes)
{
    for (guint i = 0; i < changes->upserts->len; i++)
        overlay_path(overlay, ((CatalogPack *)g_ptr_array_index(changes->upserts, i))->path);
    for (guint i = 0; i < changes->removals->len; i++)
        overlay_path(overlay, g_ptr_array_index(changes->removals, i));
}

static Exchange *advance_exchange(ViewStore *store, const View *next, const Changes *changes,
                                  const ViewInput *input)
{
    if (store->exchange == NULL)
        return NULL;
    Exchange *before = store->latest != NULL ? store->latest->exchange : NULL;
    if (store->told)
        return exchange_writer_advance(store->exchange, before, changes->upserts, changes->removals,
                                       input->broker_name);
    /* What the public catalog tells, with the private packs over it. */
    g_autoptr(GPtrArray) granted = catalog_places_below(next->granted, "", 0);
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    exchange_writer_begin(store->exchange, input->trie);
    store->told = TRUE;
    return exchange_writer_advance(store->exchange, before, granted, none, input->broker_name);
}

/* The first view of a store begins with the public catalog as it is and shares its memory. */
static View *view_begin(ViewStore *store, const ViewInput *input)
{
    View *view = g_new0(View, 1);
    g_autoptr(Catalog) nothing = catalog_new_empty();
    g_atomic_ref_count_init(&view->refs);
    g_strlcpy(view->id, store->id, sizeof view->id);
    view->store = store_ref(store);
    view->granted = catalog_ref(store->latest != NULL ? store->latest->granted : nothing);
    view->catalog = catalog_ref(store->latest != NULL ? store->latest->catalog : input->packs);
    return view;
}

/* The view of these catalogs, as a new reference. */
static View *store_advance(ViewStore *store, const ViewInput *input)
{
    g_autoptr(Catalog) nothing = catalog_new_empty();
    g_auto(Changes) packs, hidden, changes;
    changes_init(&packs, store->latest != NULL ? store->packs : NULL, input->packs);
    changes_init(&hidden, store->latest != NULL ? store->hidden : nothing, input->hidden);
    changes_init(&changes, NULL, NULL);
    View *next = view_begin(store, input);
    Catalog *granted = advance_granted(store, next->granted, &hidden);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    Overlay overlay = {input->packs, granted, next->catalog, seen, &changes};
    overlay_changes(&overlay, &packs);
    overlay_changes(&overlay, &hidden);
    g_autoptr(GPtrArray) listed = packs.directories ? catalog_empty_directories(input->packs) : NULL;
    Catalog *catalog = catalog_with_changes(next->catalog, changes.upserts, changes.removals, listed);
    catalog_unref(next->granted);
    catalog_unref(next->catalog);
    next->granted = granted;
    next->catalog = catalog;
    next->exchange = advance_exchange(store, next, &changes, input);
    return next;
}

/* Keeps the view of now, or the one before when it says the same. */
static void store_step(ViewStore *store, const ViewInput *input)
{
    View *next = store_advance(store, input), *before = store->latest;
    gboolean same = before != NULL && catalog_is_same(before->catalog, next->catalog) &&
                    catalog_is_same(before->granted, next->granted) && before->exchange == next->exchange &&
                    store->public_number == input->public_number;
    next->number = same ? before->number : input->number;
    view_unref(before);
    store->latest = next;
    catalog_unref(store->packs);
    catalog_unref(store->hidden);
    store->packs = catalog_ref(input->packs);
    store->hidden = catalog_ref(input->hidden);
    store->public_number = input->public_number;
}

/* --- Tokens --- */

typedef struct {
    guint8 sha256[SHA256_BYTES];
    gint64 expires;
    View *view; /* owned */
} Grant;

struct Views {
    gint refs;      /* atomic */
    GArray *grants; /* of Grant, by hash */
    GPtrArray *all; /* of View *, borrowed from the grants, one per id */
};

static void grant_clear(gpointer data)
{
    view_unref(((Grant *)data)->view);
}

static Views *views_new(void)
{
    Views *views = g_new0(Views, 1);
    views->refs = 1;
    views->grants = g_array_new(FALSE, FALSE, sizeof(Grant));
    g_array_set_clear_func(views->grants, grant_clear);
    views->all = g_ptr_array_new();
    return views;
}

Views *views_ref(Views *views)
{
    g_atomic_int_inc(&views->refs);
    return views;
}

void views_unref(Views *views)
{
    if (views == NULL || !g_atomic_int_dec_and_test(&views->refs))
        return;
    g_ptr_array_unref(views->all);
    g_array_unref(views->grants);
    g_free(views);
}

gboolean views_any(const Views *views)
{
    return views != NULL && views->grants->len > 0;
}

static gint compare_grants(gconstpointer a, gconstpointer b)
{
    return memcmp(((const Grant *)a)->sha256, ((const Grant *)b)->sha256, SHA256_BYTES);
}

const View *views_find(const Views *views, const guint8 hash[SHA256_BYTES], gint64 now)
{
    Grant probe;
    guint at = 0;
    memcpy(probe.sha256, hash, SHA256_BYTES);
    if (!views_any(views) || !g_array_binary_search(views->grants, &probe, compare_grants, &at))
        return NULL;
    const Grant *grant = &g_array_index(views->grants, Grant, at);
    return now < grant->expires ? grant->view : NULL;
}

const View *views_by_id(const Views *views, const char *id)
{
    for (guint i = 0; views != NULL && i < views->all->len; i++) {
        const View *view = g_ptr_array_index(views->all, i);
        if (strcmp(view->id, id) == 0)
            return view;
    }
    return NULL;
}

guint views_count(const Views *views)
{
    return views != NULL ? views->all->len : 0;
}

/* --- The keeper --- */

ViewKeeper *view_keeper_new(const char *directory, const SecretKey *key)
{
    ViewKeeper *keeper = g_new0(ViewKeeper, 1);
    keeper->directory = g_strdup(directory);
    keeper->key = key;
    keeper->stores = g_hash_table_new(g_str_hash, g_str_equal);
    return keeper;
}

void view_keeper_set_damage_func(ViewKeeper *keeper, SearchDamageFunc func, gpointer user)
{
    keeper->damage_func = func;
    keeper->damage_user = user;
}

static void store_let_go(ViewStore *store)
{
    g_clear_pointer(&store->latest, view_unref);
    store_unref(store);
}

void view_keeper_free(ViewKeeper *keeper)
{
    if (keeper == NULL)
        return;
    GHashTableIter iter;
    gpointer store;
    g_hash_table_iter_init(&iter, keeper->stores);
    while (g_hash_table_iter_next(&iter, NULL, &store))
        store_let_go(store);
    g_hash_table_unref(keeper->stores);
    g_free(keeper->directory);
    g_free(keeper);
}

/* Removes what a view keeps on disk, and nothing that it does not know. */
static void remove_files(const char *directory)
{
    static const char *const names[] = {"catalog.db", "index.db"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(directory, names[i], NULL);
        g_autoptr(GError) error = NULL;
        if (!db_delete(path, &error))
            log_error_event(LOG_WARNING, "view-not-removed", error, NULL);
    }
    g_rmdir(directory);
}

/* Views of which a former process has left files, and no token is left. */
static void tidy(ViewKeeper *keeper)
{
    g_autoptr(GDir) directory = g_dir_open(keeper->directory, 0, NULL);
    const char *name;
    keeper->tidied = TRUE;
    while (directory != NULL && (name = g_dir_read_name(directory)) != NULL) {
        g_autofree char *path = g_build_filename(keeper->directory, name, NULL);
        if (catalog_view_is_valid(name) && !g_hash_table_contains(keeper->stores, name))
            remove_files(path);
    }
}

/* Nobody but the keeper has the store: no snapshot, and so no request, can come to it any more, since only
 * the keeper puts views into snapshots. */
static gboolean is_idle(ViewStore *store)
{
    gint own = store->latest != NULL ? 2 : 1;
    return (store->latest == NULL || g_atomic_int_get(&store->latest->refs) == 1) &&
           g_atomic_int_get(&store->refs) == own;
}

static void drop_unwanted(ViewKeeper *keeper)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, keeper->stores);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        ViewStore *store = value;
        if (store->wanted || !is_idle(store))
            continue;
        g_autofree char *directory = g_strdup(store->directory);
        g_hash_table_iter_remove(&iter);
        store_let_go(store);
        remove_files(directory);
    }
}

static void view_id(const ReadToken *token, char ret[CATALOG_VIEW_CHARS + 1])
{
    guint8 hash[SHA256_BYTES];
    read_token_grants_hash(token, hash);
    hex_encode(hash, CATALOG_VIEW_CHARS / 2, ret);
}

static ViewStore *store_of(ViewKeeper *keeper, const ReadToken *token)
{
    char id[CATALOG_VIEW_CHARS + 1];
    view_id(token, id);
    ViewStore *store = g_hash_table_lookup(keeper->stores, id);
    if (store == NULL) {
        store = store_new(keeper, id, token);
        g_hash_table_insert(keeper->stores, store->id, store);
    }
    return store;
}

static void forget_wishes(ViewKeeper *keeper)
{
    GHashTableIter iter;
    gpointer store;
    g_hash_table_iter_init(&iter, keeper->stores);
    while (g_hash_table_iter_next(&iter, NULL, &store))
        ((ViewStore *)store)->wanted = FALSE;
}

/* The store is stepped on by the first of its tokens. */
static void grant(ViewKeeper *keeper, Views *views, const ReadToken *token, const ViewInput *input)
{
    ViewStore *store = store_of(keeper, token);
    Grant entry = {.expires = token->expires};
    if (!store->wanted) {
        store->wanted = TRUE;
        store_open(store, keeper->key);
        store_step(store, input);
        g_ptr_array_add(views->all, store->latest);
    }
    memcpy(entry.sha256, token->sha256, sizeof entry.sha256);
    entry.view = view_ref(store->latest);
    g_array_append_val(views->grants, entry);
}

Views *view_keeper_advance(ViewKeeper *keeper, const ViewInput *input)
{
    Views *views = views_new();
    forget_wishes(keeper);
    for (guint i = 0; i < read_tokens_count(input->tokens); i++) {
        const ReadToken *token = read_tokens_nth(input->tokens, i);
        if (input->now < token->expires)
            grant(keeper, views, token, input);
    }
    g_array_sort(views->grants, compare_grants);
    if (!keeper->tidied)
        tidy(keeper);
    drop_unwanted(keeper);
    return views;
}

/* --- Indexes --- */

static gboolean apply_index(ViewStore *store, PackRoot *root, guint threads, GError **error)
{
    Catalog *granted = store->latest->granted;
    if (store->indexed == NULL || g_atomic_int_get(&store->damaged)) {
        g_atomic_int_set(&store->damaged, FALSE);
        return search_index_apply(store->index, root, granted, threads, NULL, error);
    }
    g_auto(Changes) changes;
    changes_init(&changes, store->indexed, granted);
    return changes.upserts->len + changes.removals->len == 0 ||
           search_index_apply_changes(store->index, root, changes.upserts, changes.removals, NULL, error);
}

static void store_index(ViewStore *store, PackRoot *root, guint threads)
{
    g_autoptr(GError) error = NULL;
    if (!store->wanted || store->index == NULL || store->latest == NULL)
        return;
    gboolean done = apply_index(store, root, threads, &error);
    g_clear_pointer(&store->indexed, catalog_unref);
    if (!done) {
        log_error_event(LOG_ERROR, "view-index-failed", error, "view", store->id, NULL);
        return;
    }
    store->indexed = catalog_ref(store->latest->granted);
    g_atomic_int_set(&store->ready, TRUE);
}

void view_keeper_index(ViewKeeper *keeper, PackRoot *root, guint threads)
{
    GHashTableIter iter;
    gpointer store;
    g_hash_table_iter_init(&iter, keeper->stores);
    while (g_hash_table_iter_next(&iter, NULL, &store))
        store_index(store, root, threads);
}

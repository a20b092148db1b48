/* SPDX-License-Identifier: MIT
 *
 * A tree of nodes, one per directory. A node holds its place (or none), its children sorted by the bytes of
 * their names (for UTF-8 the order of code points), and the totals of everything at and below it.
 *
 * catalog_with_changes sorts the changes so that those of one directory stand together, parents first and
 * children in the order of their names. One recursive descent then merges the sorted changes with the sorted
 * children: a child without changes is shared, a child with changes is copied once however many there are.
 * Nodes are written only between their creation and their first publication, so readers need no locks.
 */
#include "mirror/catalog/catalog.h"

#include "schema/limits.h"
#include "schema/pack_path.h"

#include <string.h>

typedef struct Node Node;
struct Node {
    gatomicrefcount refs;
    CatalogPack *place; /* NULL for a plain directory */
    gboolean listed;    /* shown in the tree although nothing is in it */
    gboolean served;    /* a place here or below is not refused */
    gboolean shown;     /* the tree has it */
    guint child_count;
    Node **children; /* sorted by name */
    /* Totals of this directory and everything below. */
    guint packs;
    guint problems;
    guint listed_count;
    guint64 pages;
    guint64 bytes;
    /* What it is called in its parent; "" for the root. */
    gsize name_len;
    char name[];
};

struct Catalog {
    gatomicrefcount refs;
    Node *root; /* never NULL */
};

/* The functions of gatomicrefcount live in the GLib library, where ThreadSanitizer cannot see them order
 * anything; these macros are compiled here. */
static void refs_inc(gatomicrefcount *refs)
{
    g_atomic_int_inc(refs);
}

static gboolean refs_dec(gatomicrefcount *refs)
{
    return g_atomic_int_dec_and_test(refs);
}

/* --- Places --- */

static gboolean ctime_equal(gint64 a, gint64 b)
{
    return a == b || a == FILE_CTIME_ANY || b == FILE_CTIME_ANY;
}

gboolean file_identity_equal(const FileIdentity *a, const FileIdentity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && ctime_equal(a->ctime_ns, b->ctime_ns);
}

CatalogPack *catalog_pack_new(const char *path, const char *directory)
{
    g_assert(pack_path_check(path, NULL));
    CatalogPack *pack = g_new0(CatalogPack, 1);
    g_atomic_ref_count_init(&pack->refs);
    pack->path = g_strdup(path);
    pack->directory = g_strdup(directory);
    pack->disk = pack->path;
    pack->name = g_strdup("");
    pack->version = g_strdup("");
    pack->summary = g_strdup("");
    pack->language = g_strdup("");
    pack->warnings = g_ptr_array_new_with_free_func(g_free);
    return pack;
}

void catalog_pack_set_mirrored(CatalogPack *pack, const char *disk, const char *source, gboolean is_private)
{
    g_assert(!pack->is_mirrored);
    pack->disk = g_strdup(disk);
    pack->is_mirrored = TRUE;
    pack->source = g_strdup(source);
    pack->is_private = is_private;
}

static gint compare_files(gconstpointer a, gconstpointer b)
{
    return strcmp(((const CatalogFile *)a)->name, ((const CatalogFile *)b)->name);
}

void catalog_pack_set_files(CatalogPack *pack, const GArray *files)
{
    g_assert(pack->files == NULL);
    gsize names_bytes = 0;
    for (guint i = 0; i < files->len; i++)
        names_bytes += strlen(g_array_index(files, CatalogFile, i).name) + 1;
    pack->file_count = files->len;
    pack->files = g_memdup2(files->data, files->len * sizeof(CatalogFile));
    pack->names = g_malloc(names_bytes);
    char *end = pack->names;
    for (guint i = 0; i < files->len; i++) {
        CatalogFile *file = &pack->files[i];
        gsize size = strlen(file->name) + 1;
        file->name = memcpy(end, file->name, size);
        end += size;
        pack->bytes += file->identity.size;
    }
    if (files->len > 0)
        qsort(pack->files, files->len, sizeof(CatalogFile), compare_files);
}

CatalogPack *catalog_pack_ref(CatalogPack *pack)
{
    refs_inc(&pack->refs);
    return pack;
}

void catalog_pack_unref(CatalogPack *pack)
{
    if (pack == NULL || !refs_dec(&pack->refs))
        return;
    catalog_release_clear(&pack->release);
    if (pack->origin != NULL) {
        if (pack->problem != pack->origin->problem)
            g_free(pack->problem);
        catalog_pack_unref(pack->origin);
        g_free(pack);
        return;
    }
    if (pack->disk != pack->path)
        g_free(pack->disk);
    g_free(pack->path);
    g_free(pack->directory);
    g_free(pack->source);
    g_free(pack->problem);
    g_free(pack->name);
    g_free(pack->version);
    g_free(pack->summary);
    g_free(pack->language);
    g_free(pack->files);
    g_free(pack->names);
    g_clear_pointer(&pack->warnings, g_ptr_array_unref);
    g_clear_pointer(&pack->signature, g_bytes_unref);
    g_free(pack);
}

CatalogPack *catalog_pack_judged(CatalogPack *scanned, const CatalogRelease *release, const char *refused)
{
    g_assert(scanned->origin == NULL);
    CatalogPack *pack = g_memdup2(scanned, sizeof *scanned);
    g_atomic_ref_count_init(&pack->refs);
    pack->origin = catalog_pack_ref(scanned);
    pack->release = *release;
    if (refused != NULL) {
        pack->refused = TRUE;
        pack->problem = g_strdup(refused);
        pack->is_pack = FALSE;
        pack->rows_indexed = 0;
        pack->bytes = 0;
        pack->file_count = 0;
        pack->files = NULL;
    }
    return pack;
}

void catalog_release_clear(CatalogRelease *release)
{
    g_clear_pointer(&release->reason, g_free);
    g_clear_pointer(&release->publisher, g_free);
    g_clear_pointer(&release->version, g_free);
    g_clear_pointer(&release->published_at, g_free);
}

/* Orders a slice against a NUL-terminated or sliced name by bytes; a prefix comes first. */
static int compare_slices(const char *a, gsize a_len, const char *b, gsize b_len)
{
    int order = memcmp(a, b, MIN(a_len, b_len));
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

const CatalogFile *catalog_pack_file(const CatalogPack *pack, const char *name, gsize len)
{
    guint low = 0, high = pack->file_count;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        const char *candidate = pack->files[middle].name;
        int order = compare_slices(name, len, candidate, strlen(candidate));
        if (order == 0)
            return &pack->files[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* --- Nodes --- */

static Node *node_new(const char *name, gsize name_len)
{
    Node *node = g_malloc0(sizeof(Node) + name_len + 1);
    g_atomic_ref_count_init(&node->refs);
    node->name_len = name_len;
    memcpy(node->name, name, name_len);
    return node;
}

static Node *node_ref(Node *node)
{
    refs_inc(&node->refs);
    return node;
}

/* Recursion is as deep as the tree: LIMIT_PATH_DEPTH. */
static void node_unref(Node *node)
{
    if (!refs_dec(&node->refs))
        return;
    for (guint i = 0; i < node->child_count; i++)
        node_unref(node->children[i]);
    catalog_pack_unref(node->place);
    g_free(node->children);
    g_free(node);
}

/* Index of the child of that name, or of where it would have to be inserted. */
static guint node_search(const Node *node, const char *name, gsize len, gboolean *ret_found)
{
    guint low = 0, high = node->child_count;
    *ret_found = FALSE;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        const Node *child = node->children[middle];
        int order = compare_slices(name, len, child->name, child->name_len);
        if (order == 0) {
            *ret_found = TRUE;
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static const Node *node_child(const Node *node, const char *name, gsize len)
{
    gboolean found = FALSE;
    guint index = node_search(node, name, len, &found);
    return found ? node->children[index] : NULL;
}

static gboolean node_is_empty(const Node *node)
{
    return node->place == NULL && !node->listed && node->child_count == 0;
}

static void node_sum_up(Node *node)
{
    const CatalogPack *place = node->place;
    if (place != NULL && place->is_pack) {
        node->packs = 1;
        node->pages = place->rows_indexed;
        node->bytes = place->bytes;
    }
    node->problems = place != NULL && place->problem != NULL;
    node->listed_count = node->listed ? 1 : 0;
    node->served = place != NULL && !place->refused;
    node->shown = node->listed || node->served;
    for (guint i = 0; i < node->child_count; i++) {
        const Node *child = node->children[i];
        node->packs += child->packs;
        node->problems += child->problems;
        node->listed_count += child->listed_count;
        node->served = node->served || child->served;
        node->shown = node->shown || child->shown;
        node->pages += child->pages;
        node->bytes += child->bytes;
    }
    /* What is refused is not shown for the sake of its raw/ and other empty directories. */
    if (place != NULL && place->refused)
        node->shown = node->served;
}

/* --- Changes --- */

typedef enum {
    /* In this order for one path: what takes away comes before what gives. */
    CHANGE_REMOVE,
    CHANGE_UNLIST,
    CHANGE_PUT,
    CHANGE_LIST,
} ChangeKind;

typedef struct {
    const char *path;
    ChangeKind kind;
    CatalogPack *pack; /* CHANGE_PUT; borrowed */
    guint order;       /* position among the inputs */
} Change;

/* Sorted changes, still to be applied, of which the first `skip` bytes of the path lead to the present
 * directory. */
typedef struct {
    const Change *begin;
    const Change *end;
    gsize skip;
} ChangeRange;

/* Slash counts as lower than every other byte, so that "a", "a/x" and "a/y" stand together before "a-b". */
static int compare_paths(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    int left = *a == '\0' ? 0 : *a == '/' ? 1 : (guchar)*a + 1;
    int right = *b == '\0' ? 0 : *b == '/' ? 1 : (guchar)*b + 1;
    return left - right;
}

static gint compare_changes(gconstpointer a, gconstpointer b)
{
    const Change *left = a, *right = b;
    int order = compare_paths(left->path, right->path);
    if (order != 0)
        return order;
    if (left->kind != right->kind)
        return (int)left->kind - (int)right->kind;
    return (left->order > right->order) - (left->order < right->order);
}

static void add_change(GArray *changes, const char *path, ChangeKind kind, CatalogPack *pack)
{
    /* Nodes are only ever made for checked paths: that bounds their depth. */
    g_assert((kind != CHANGE_PUT && kind != CHANGE_LIST) || pack_path_check(path, NULL));
    Change change = {path, kind, pack, changes->len};
    g_array_append_val(changes, change);
}

/* What is left of the first path below the present directory; "" when it is the directory itself. */
static const char *range_rest(const ChangeRange *range)
{
    return range->begin->path + range->skip;
}

/* Splits off the changes of the first child that has any. */
static ChangeRange range_take_child(ChangeRange *range, const char **ret_name, gsize *ret_len)
{
    const char *name = range_rest(range);
    gsize len = strcspn(name, "/");
    ChangeRange child = {range->begin, range->begin, 0};
    while (child.end < range->end) {
        const char *rest = child.end->path + range->skip;
        if (strncmp(rest, name, len) != 0 || (rest[len] != '\0' && rest[len] != '/'))
            break;
        child.end++;
    }
    /* Paths that end at the child have no slash to skip; `skip` then points at their NUL. */
    child.skip = range->skip + len;
    range->begin = child.end;
    *ret_name = name;
    *ret_len = len;
    return child;
}

static gboolean range_gives(const ChangeRange *range)
{
    for (const Change *change = range->begin; change < range->end; change++)
        if (change->kind == CHANGE_PUT || change->kind == CHANGE_LIST)
            return TRUE;
    return FALSE;
}

/* Applies the changes of the directory itself and leaves those below it. */
static void apply_own(Node *node, ChangeRange *range)
{
    for (; range->begin < range->end && *range_rest(range) == '\0'; range->begin++) {
        const Change *change = range->begin;
        if (change->kind == CHANGE_UNLIST || change->kind == CHANGE_LIST) {
            node->listed = change->kind == CHANGE_LIST;
            continue;
        }
        g_clear_pointer(&node->place, catalog_pack_unref);
        if (change->kind == CHANGE_PUT)
            node->place = catalog_pack_ref(change->pack);
    }
}

static Node *node_with_changes(const Node *base, const char *name, gsize name_len, ChangeRange range);

static void share_children(GPtrArray *children, const Node *base, guint from, guint to)
{
    for (guint i = from; i < to; i++)
        g_ptr_array_add(children, node_ref(base->children[i]));
}

/* Merges the children of `base` (may be NULL) with the changes below; both are sorted by name. */
static void merge_children(Node *node, const Node *base, ChangeRange range)
{
    g_autoptr(GPtrArray) children = g_ptr_array_new();
    guint next = 0, count = base != NULL ? base->child_count : 0;
    while (range.begin < range.end) {
        const char *name = NULL;
        gsize len = 0;
        ChangeRange below = range_take_child(&range, &name, &len);
        gboolean found = FALSE;
        guint at = base != NULL ? node_search(base, name, len, &found) : 0;
        share_children(children, base, next, at);
        next = found ? at + 1 : at;
        const Node *old = found ? base->children[at] : NULL;
        if (old == NULL && !range_gives(&below))
            continue; /* takes away what is not there; such paths were never checked, so do not follow them */
        Node *child = node_with_changes(old, name, len, below);
        if (child != NULL)
            g_ptr_array_add(children, child);
    }
    share_children(children, base, next, count);
    gsize length = 0;
    node->children = (Node **)g_ptr_array_steal(children, &length);
    node->child_count = (guint)length;
}

/* A copy of `base` (NULL: a directory that was not there) with the changes applied; NULL when nothing is
 * left. */
static Node *node_with_changes(const Node *base, const char *name, gsize name_len, ChangeRange range)
{
    Node *node = node_new(name, name_len);
    if (base != NULL) {
        node->place = base->place != NULL ? catalog_pack_ref(base->place) : NULL;
        node->listed = base->listed;
    }
    apply_own(node, &range);
    /* The rest begins with the slash before the child's name, except at the root. */
    if (name_len > 0)
        range.skip++;
    merge_children(node, base, range);
    if (name_len > 0 && node_is_empty(node)) {
        node_unref(node);
        return NULL;
    }
    node_sum_up(node);
    return node;
}

/* --- Catalogs --- */

static Catalog *catalog_new(Node *root)
{
    Catalog *catalog = g_new0(Catalog, 1);
    g_atomic_ref_count_init(&catalog->refs);
    catalog->root = root;
    return catalog;
}

Catalog *catalog_new_empty(void)
{
    return catalog_new(node_new("", 0));
}

Catalog *catalog_ref(Catalog *catalog)
{
    refs_inc(&catalog->refs);
    return catalog;
}

void catalog_unref(Catalog *catalog)
{
    if (catalog == NULL || !refs_dec(&catalog->refs))
        return;
    node_unref(catalog->root);
    g_free(catalog);
}

/* Only what differs from the list so far becomes a change: a scan names all empty directories every time. */
static void add_directories(GArray *changes, GHashTable *known, GPtrArray *directories)
{
    for (guint i = 0; i < directories->len; i++) {
        const char *path = g_ptr_array_index(directories, i);
        if (!g_hash_table_remove(known, path))
            add_change(changes, path, CHANGE_LIST, NULL);
    }
    GHashTableIter iter;
    gpointer gone;
    g_hash_table_iter_init(&iter, known);
    while (g_hash_table_iter_next(&iter, &gone, NULL))
        add_change(changes, gone, CHANGE_UNLIST, NULL);
}

Catalog *catalog_with_changes(Catalog *base, GPtrArray *upserts, GPtrArray *removals, GPtrArray *directories)
{
    g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(Change));
    g_autoptr(GPtrArray) listed = catalog_empty_directories(base);
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < listed->len; i++)
        g_hash_table_add(known, g_ptr_array_index(listed, i));
    for (guint i = 0; removals != NULL && i < removals->len; i++)
        add_change(changes, g_ptr_array_index(removals, i), CHANGE_REMOVE, NULL);
    for (guint i = 0; upserts != NULL && i < upserts->len; i++) {
        CatalogPack *pack = g_ptr_array_index(upserts, i);
        add_change(changes, pack->path, CHANGE_PUT, pack);
    }
    if (directories != NULL)
        add_directories(changes, known, directories);
    if (changes->len == 0)
        return catalog_new(node_ref(base->root));
    g_array_sort(changes, compare_changes);
    const Change *first = (const Change *)(gconstpointer)changes->data;
    ChangeRange all = {first, first + changes->len, 0};
    /* "" names the root, which is no place: such removals must not reach the descent. */
    while (all.begin < all.end && *all.begin->path == '\0')
        all.begin++;
    return catalog_new(node_with_changes(base->root, "", 0, all));
}

/* --- Comparing --- */

typedef struct {
    GPtrArray *upserts, *removals;
    gboolean directories;
} Comparison;

/* The child of `to` that stands at `at` and that of `from` at `from_at`, whichever name comes first, both
 * when they have one name; steps on. */
static void take_pair(const Node *from, guint *from_at, const Node *to, guint *to_at, const Node **ret_old,
                      const Node **ret_now)
{
    const Node *old = from != NULL && *from_at < from->child_count ? from->children[*from_at] : NULL;
    const Node *now = to != NULL && *to_at < to->child_count ? to->children[*to_at] : NULL;
    int order = old == NULL   ? 1
                : now == NULL ? -1
                              : compare_slices(old->name, old->name_len, now->name, now->name_len);
    *ret_old = order <= 0 ? old : NULL;
    *ret_now = order >= 0 ? now : NULL;
    *from_at += *ret_old != NULL;
    *to_at += *ret_now != NULL;
}

/* One of both may be NULL. Recursion is as deep as the tree: LIMIT_PATH_DEPTH. */
static void compare_nodes(const Node *from, const Node *to, Comparison *result)
{
    if (from == to)
        return;
    CatalogPack *old = from != NULL ? from->place : NULL;
    CatalogPack *now = to != NULL ? to->place : NULL;
    if (now != NULL && now != old)
        g_ptr_array_add(result->upserts, now);
    else if (now == NULL && old != NULL)
        g_ptr_array_add(result->removals, old->path);
    if ((from != NULL && from->listed) != (to != NULL && to->listed))
        result->directories = TRUE;
    guint from_at = 0, to_at = 0;
    for (;;) {
        const Node *old_child, *now_child;
        take_pair(from, &from_at, to, &to_at, &old_child, &now_child);
        if (old_child == NULL && now_child == NULL)
            return;
        compare_nodes(old_child, now_child, result);
    }
}

void catalog_compare(const Catalog *from, const Catalog *to, GPtrArray *ret_upserts, GPtrArray *ret_removals,
                     gboolean *ret_directories)
{
    Comparison result = {ret_upserts, ret_removals, FALSE};
    compare_nodes(from->root, to->root, &result);
    *ret_directories = result.directories;
}

/* --- Queries --- */

gboolean catalog_is_same(const Catalog *a, const Catalog *b)
{
    return a->root == b->root;
}

guint catalog_pack_count(const Catalog *catalog)
{
    return catalog->root->packs;
}

guint64 catalog_page_count(const Catalog *catalog)
{
    return catalog->root->pages;
}

guint64 catalog_byte_count(const Catalog *catalog)
{
    return catalog->root->bytes;
}

guint catalog_problem_count(const Catalog *catalog)
{
    return catalog->root->problems;
}

/* The length of the first segment of what is left of a path. */
static gsize segment_length(const char *path, gsize len)
{
    const char *slash = memchr(path, '/', len);
    return slash != NULL ? (gsize)(slash - path) : len;
}

/* With `shown`, below what the tree does not have there is nothing. */
static const Node *walk_to(const Catalog *catalog, const char *path, gsize len, gboolean shown)
{
    const Node *node = catalog->root;
    for (gsize at = 0; node != NULL && at < len;) {
        gsize segment = segment_length(path + at, len - at);
        node = node_child(node, path + at, segment);
        at += segment + 1;
        if (at == len) /* a slash at the end */
            return NULL;
        if (shown && node != NULL && !node->shown)
            return NULL;
    }
    return node;
}

static const Node *find_node(const Catalog *catalog, const char *path, gsize len)
{
    return walk_to(catalog, path, len, /* shown= */ FALSE);
}

static const Node *find_shown(const Catalog *catalog, const char *path, gsize len)
{
    return walk_to(catalog, path, len, /* shown= */ TRUE);
}

const CatalogPack *catalog_place(const Catalog *catalog, const char *path, gsize len)
{
    const Node *node = find_node(catalog, path, len);
    return node != NULL ? node->place : NULL;
}

gboolean catalog_resolve(const Catalog *catalog, const char *path, gsize len, const CatalogPack **ret_place,
                         const CatalogFile **ret_file)
{
    const CatalogPack
        *places[LIMIT_PATH_DEPTH]; /* on the way down, with where their file's name would begin */
    gsize file_at[LIMIT_PATH_DEPTH];
    guint count = 0;
    const Node *node = catalog->root;
    for (gsize at = 0; at < len;) {
        gsize segment = segment_length(path + at, len - at);
        node = node_child(node, path + at, segment);
        at += segment + 1;
        if (node == NULL || at >= len)
            break;
        if (node->place != NULL) {
            places[count] = node->place;
            file_at[count++] = at;
        }
    }
    while (count-- > 0) {
        const CatalogFile *file =
            catalog_pack_file(places[count], path + file_at[count], len - file_at[count]);
        if (file == NULL)
            continue;
        *ret_place = places[count];
        *ret_file = file;
        return TRUE;
    }
    return FALSE;
}

static gboolean is_hidden(const char *name)
{
    return name[0] == '.' || strcmp(name, "wiki") == 0 || strcmp(name, "raw") == 0;
}

gboolean catalog_children(const Catalog *catalog, const char *path, gsize len, GPtrArray **ret_children,
                          gboolean *ret_has_pack)
{
    const Node *node = find_shown(catalog, path, len);
    if (node == NULL)
        return FALSE;
    *ret_children = g_ptr_array_sized_new(node->child_count);
    for (guint i = 0; i < node->child_count; i++)
        if (node->children[i]->shown && !is_hidden(node->children[i]->name))
            g_ptr_array_add(*ret_children, node->children[i]->name);
    if (ret_has_pack != NULL)
        *ret_has_pack = node->place != NULL && node->place->is_pack;
    return TRUE;
}

/* `after` is what is left of the path below this node: "" is the node itself, NULL is before it. */
static void collect_packs_after(const Node *node, const char *after, guint limit, GPtrArray *packs)
{
    guint next = 0;
    if (node->packs == 0 || packs->len >= limit)
        return;
    if (after == NULL && node->place != NULL && node->place->is_pack)
        g_ptr_array_add(packs, node->place);
    if (after != NULL && *after != '\0') {
        gsize len = strcspn(after, "/");
        gboolean found = FALSE;
        next = node_search(node, after, len, &found);
        if (found)
            collect_packs_after(node->children[next++], after + len + (after[len] == '/'), limit, packs);
    }
    for (; next < node->child_count && packs->len < limit; next++)
        collect_packs_after(node->children[next], NULL, limit, packs);
}

GPtrArray *catalog_packs_after(const Catalog *catalog, const char *after, guint limit)
{
    GPtrArray *packs = g_ptr_array_new();
    collect_packs_after(catalog->root, after, limit, packs);
    return packs;
}

static void collect_places(const Node *node, GPtrArray *places)
{
    if (node->place != NULL)
        g_ptr_array_add(places, node->place);
    for (guint i = 0; i < node->child_count; i++)
        collect_places(node->children[i], places);
}

GPtrArray *catalog_places_below(const Catalog *catalog, const char *path, gsize len)
{
    GPtrArray *places = g_ptr_array_new();
    const Node *node = find_node(catalog, path, len);
    if (node != NULL)
        collect_places(node, places);
    return places;
}

static gint compare_places(gconstpointer a, gconstpointer b)
{
    const CatalogPack *const *left = a, *const *right = b;
    return strcmp((*left)->path, (*right)->path);
}

GPtrArray *catalog_places_sorted(const Catalog *catalog)
{
    GPtrArray *places = catalog_places_below(catalog, "", 0);
    /* The descent gives "a/x" before "a-b"; by whole paths it is the other way round. */
    g_ptr_array_sort(places, compare_places);
    return places;
}

static void collect_listed(const Node *node, GString *path, GPtrArray *directories)
{
    if (node->listed_count == 0)
        return;
    if (node->listed)
        g_ptr_array_add(directories, g_strndup(path->str, path->len));
    for (guint i = 0; i < node->child_count; i++) {
        const Node *child = node->children[i];
        gsize len = path->len;
        if (len > 0)
            g_string_append_c(path, '/');
        g_string_append_len(path, child->name, (gssize)child->name_len);
        collect_listed(child, path, directories);
        g_string_truncate(path, len);
    }
}

GPtrArray *catalog_empty_directories(const Catalog *catalog)
{
    GPtrArray *directories = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) path = g_string_new(NULL);
    collect_listed(catalog->root, path, directories);
    return directories;
}

/* SPDX-License-Identifier: MIT
 *
 * Directories that wait to be looked into lie on one stack; each thread takes one, lists it, takes it as a
 * place when it is one, and pushes its sub-directories. The scan is over when the stack is empty and nobody
 * is at work. Threads share only the Scanner, under its lock, which is never held during I/O.
 */
#include "mirror/store/pack_scan.h"

#include "mirror/store/pack_dir.h"
#include "mirror/store/pack_place.h"
#include "schema/limits.h"
#include "schema/pack_path.h"
#include "schema/text.h"
#include "signing/hash.h"

#include <pthread.h>
#include <string.h>

/* --- One scan --- */

typedef struct {
    int root_fd;
    const char *root_path;
    const PackScanOptions *options;
    const Catalog *base; /* of the options */
    gboolean recurse;    /* FALSE: look only into the directory that was asked for */
    /* pthread's and not GLib's, because ThreadSanitizer understands only those. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock: */
    GPtrArray *waiting; /* of char *, directories to be looked into, used as a stack */
    guint busy;         /* threads that are looking into one */
    guint directories;  /* ever pushed */
    guint problems_left_out;
    GHashTable *seen;  /* set of paths of places, owned */
    GPtrArray *unread; /* of char *, directories and places that must stay as they are in base */
    PackScan *result;
} Scanner;

void pack_scan_free(PackScan *scan)
{
    if (scan == NULL)
        return;
    g_ptr_array_unref(scan->upserts);
    g_ptr_array_unref(scan->removals);
    g_ptr_array_unref(scan->directories);
    g_ptr_array_unref(scan->problems);
    g_free(scan);
}

static PackScan *pack_scan_new(void)
{
    PackScan *scan = g_new0(PackScan, 1);
    scan->upserts = g_ptr_array_new_with_free_func((GDestroyNotify)catalog_pack_unref);
    scan->removals = g_ptr_array_new_with_free_func(g_free);
    scan->directories = g_ptr_array_new_with_free_func(g_free);
    scan->problems = g_ptr_array_new_with_free_func(g_free);
    return scan;
}

static void scanner_init(Scanner *scanner, PackRoot *root, const PackScanOptions *options)
{
    *scanner = (Scanner){.root_fd = pack_root_fd(root, PACK_ROOT_PACKS),
                         .root_path = pack_root_path(root, PACK_ROOT_PACKS),
                         .options = options,
                         .base = options->base,
                         .recurse = TRUE};
    pthread_mutex_init(&scanner->lock, NULL);
    pthread_cond_init(&scanner->changed, NULL);
    scanner->waiting = g_ptr_array_new_with_free_func(g_free);
    scanner->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    scanner->unread = g_ptr_array_new_with_free_func(g_free);
    scanner->result = pack_scan_new();
}

static void scanner_clear(Scanner *scanner)
{
    pthread_mutex_destroy(&scanner->lock);
    pthread_cond_destroy(&scanner->changed);
    g_ptr_array_unref(scanner->waiting);
    g_hash_table_unref(scanner->seen);
    g_ptr_array_unref(scanner->unread);
    pack_scan_free(scanner->result);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Scanner, scanner_clear)

/* Takes ownership of the line. Caller holds the lock. */
static void add_problem(Scanner *scanner, char *line)
{
    if (scanner->result->problems->len < LIMIT_SCAN_PROBLEMS) {
        g_ptr_array_add(scanner->result->problems, line);
        return;
    }
    scanner->problems_left_out++;
    g_free(line);
}

static void report(Scanner *scanner, const char *directory, const char *name, const char *what)
{
    g_autofree char *path = g_strconcat(directory, directory[0] != '\0' ? "/" : "", name, NULL);
    char *shown = text_for_message(path, strlen(path));
    char *line = g_strconcat(shown, ": ", what, NULL);
    g_free(shown);
    pthread_mutex_lock(&scanner->lock);
    add_problem(scanner, line);
    pthread_mutex_unlock(&scanner->lock);
}

/* What the base knows of the directory and below stays. */
static void keep_as_it_was(Scanner *scanner, const char *path, const char *what)
{
    pthread_mutex_lock(&scanner->lock);
    g_ptr_array_add(scanner->unread, g_strdup(path));
    add_problem(scanner, g_strdup_printf("%s; left as it was", what));
    pthread_mutex_unlock(&scanner->lock);
}

static void add_directory(Scanner *scanner, const char *path)
{
    pthread_mutex_lock(&scanner->lock);
    g_ptr_array_add(scanner->result->directories, g_strdup(path));
    pthread_mutex_unlock(&scanner->lock);
}

static void push(Scanner *scanner, char *path)
{
    pthread_mutex_lock(&scanner->lock);
    if (++scanner->directories <= LIMIT_SCAN_DIRECTORIES) {
        g_ptr_array_add(scanner->waiting, path);
        pthread_cond_signal(&scanner->changed);
    } else {
        if (scanner->directories == LIMIT_SCAN_DIRECTORIES + 1)
            add_problem(scanner, g_strdup_printf("more than %d directories: '%s' and others are left out",
                                                 LIMIT_SCAN_DIRECTORIES, path));
        g_free(path);
    }
    pthread_mutex_unlock(&scanner->lock);
}

/* --- Places --- */

static gboolean admit_place(Scanner *scanner, const char *path)
{
    pthread_mutex_lock(&scanner->lock);
    gboolean admitted = scanner->result->places < LIMIT_PACKS;
    if (admitted) {
        scanner->result->places++;
        g_hash_table_add(scanner->seen, g_strdup(path));
    } else {
        add_problem(scanner, g_strdup_printf("%s: more than %d packs, left out", path, LIMIT_PACKS));
    }
    pthread_mutex_unlock(&scanner->lock);
    return admitted;
}

static void note_outcome(Scanner *scanner, const char *path, PackPlaceOutcome outcome, CatalogPack *pack)
{
    pthread_mutex_lock(&scanner->lock);
    switch (outcome) {
    case PACK_PLACE_TAKEN:
        g_ptr_array_add(scanner->result->upserts, pack);
        break;
    case PACK_PLACE_UNCHANGED:
        scanner->result->unchanged++;
        break;
    case PACK_PLACE_GONE:
        scanner->result->places--;
        g_hash_table_remove(scanner->seen, path);
        break;
    case PACK_PLACE_UNREAD:
        break;
    }
    pthread_mutex_unlock(&scanner->lock);
}

static PackPlaceOutcome take_from_disk(Scanner *scanner, const char *path, const CatalogPack *base,
                                       CatalogPack **ret, GError **error)
{
    const PackScanOptions *options = scanner->options;
    gboolean distrusted = g_strcmp0(path, options->distrusted) == 0;
    if (distrusted)
        base = NULL;
    if (!options->hash)
        return pack_place_take(scanner->root_fd, scanner->root_path, path, base, ret, error);
    return pack_place_take_hashed(scanner->root_fd, scanner->root_path, path, base,
                                  distrusted ? NULL : options->known, ret, error);
}

static void take_place(Scanner *scanner, const char *path)
{
    if (!admit_place(scanner, path))
        return;
    const CatalogPack *base = scanner->base != NULL ? catalog_place(scanner->base, path, strlen(path)) : NULL;
    CatalogPack *pack = NULL;
    g_autoptr(GError) error = NULL;
    PackPlaceOutcome outcome = take_from_disk(scanner, path, base, &pack, &error);
    if (outcome == PACK_PLACE_UNREAD) {
        g_prefix_error(&error, "pack '%s': ", path);
        report(scanner, "", error->message, base != NULL ? "left as it was" : "left out");
    }
    note_outcome(scanner, path, outcome, pack);
}

/* --- Directories --- */

/* What a directory has in it. */
typedef struct {
    GPtrArray *children; /* of char *, names of sub-directories to look into */
    gboolean has_raw;
    gboolean is_place;
} Listing;

/* Not looked into: hidden ones, the pages of a pack, and the raw material it was made from. */
static gboolean is_looked_into(const char *name)
{
    return name[0] != '.' && strcmp(name, "wiki") != 0 && strcmp(name, "raw") != 0;
}

static void list_entry(Scanner *scanner, const char *path, const char *name, PackDirKind kind,
                       Listing *listing)
{
    if (name[0] == '.')
        return;
    if (kind == PACK_DIR_SYMLINK) {
        report(scanner, path, name, "symbolic link, not followed");
        return;
    }
    if (kind == PACK_DIR_FILE && strcmp(name, "manifest.yaml") == 0)
        listing->is_place = TRUE;
    if (kind != PACK_DIR_DIRECTORY)
        return;
    if (strcmp(name, "wiki") == 0)
        listing->is_place = TRUE;
    if (strcmp(name, "raw") == 0)
        listing->has_raw = TRUE;
    if (is_looked_into(name))
        g_ptr_array_add(listing->children, g_strdup(name));
}

static gboolean list_directory(Scanner *scanner, const char *path, Listing *listing, GError **error)
{
    g_autoptr(PackDir) dir = pack_dir_open(scanner->root_fd, path, error);
    if (dir == NULL)
        return FALSE;
    const char *name = NULL;
    PackDirKind kind;
    for (;;) {
        if (!pack_dir_next(dir, &name, &kind, error))
            return FALSE;
        if (name == NULL)
            return TRUE;
        list_entry(scanner, path, name, kind, listing);
    }
}

static char *join(const char *path, const char *name)
{
    return g_strconcat(path, path[0] != '\0' ? "/" : "", name, NULL);
}

/* The number of sub-directories that the tree can show. */
static guint descend(Scanner *scanner, const char *path, const Listing *listing)
{
    guint shown = 0;
    for (guint i = 0; i < listing->children->len; i++) {
        const char *name = g_ptr_array_index(listing->children, i);
        g_autofree char *child = join(path, name);
        g_autoptr(GError) refused = NULL;
        if (!pack_path_check(child, &refused)) {
            report(scanner, path, name, refused->message);
            continue;
        }
        shown++;
        if (scanner->recurse)
            push(scanner, g_steal_pointer(&child));
    }
    g_autofree char *raw = listing->has_raw ? join(path, "raw") : NULL;
    if (raw != NULL && pack_path_check(raw, NULL)) {
        shown++;
        add_directory(scanner, raw);
    }
    return shown;
}

/* Gone meanwhile, or not a directory any more: there is nothing to say. One that may not be read was made so
 * on purpose: it is shown, and what was in it is gone. Anything else is not the tree's doing. */
static void note_unlisted(Scanner *scanner, const char *path, const GError *error)
{
    if (g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))
        return;
    if (g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_DENIED)) {
        report(scanner, "", error->message, "left out");
        add_directory(scanner, path);
        return;
    }
    keep_as_it_was(scanner, path, error->message);
}

static void look_into(Scanner *scanner, const char *path)
{
    g_autoptr(GPtrArray) children = g_ptr_array_new_with_free_func(g_free);
    Listing listing = {.children = children};
    g_autoptr(GError) error = NULL;
    if (!list_directory(scanner, path, &listing, &error)) {
        note_unlisted(scanner, path, error);
        return;
    }
    guint shown = descend(scanner, path, &listing);
    if (listing.is_place && path[0] == '\0')
        report(scanner, "", "wiki/ or manifest.yaml directly in the packs directory",
               "not served, a pack needs a directory of its own");
    else if (listing.is_place)
        take_place(scanner, path);
    else if (shown == 0 && path[0] != '\0')
        add_directory(scanner, path);
}

/* --- Threads --- */

/* The next directory, or NULL when the scan is over. Caller holds the lock. */
static char *next_directory(Scanner *scanner)
{
    while (scanner->waiting->len == 0 && scanner->busy > 0)
        pthread_cond_wait(&scanner->changed, &scanner->lock);
    if (scanner->waiting->len == 0)
        return NULL;
    scanner->busy++;
    return g_ptr_array_steal_index_fast(scanner->waiting, scanner->waiting->len - 1);
}

static gpointer scan_thread(gpointer data)
{
    Scanner *scanner = data;
    pthread_mutex_lock(&scanner->lock);
    for (char *path; (path = next_directory(scanner)) != NULL;) {
        pthread_mutex_unlock(&scanner->lock);
        look_into(scanner, path);
        g_free(path);
        pthread_mutex_lock(&scanner->lock);
        if (--scanner->busy == 0 && scanner->waiting->len == 0)
            pthread_cond_broadcast(&scanner->changed);
    }
    pthread_mutex_unlock(&scanner->lock);
    return NULL;
}

static void run(Scanner *scanner, const char *path, guint threads)
{
    push(scanner, g_strdup(path));
    g_autoptr(GPtrArray) helpers = g_ptr_array_new();
    for (guint i = 1; i < threads; i++) {
        /* A system that gives no more threads only makes the scan slower. */
        GThread *helper = g_thread_try_new("scan", scan_thread, scanner, NULL);
        if (helper != NULL)
            g_ptr_array_add(helpers, helper);
    }
    scan_thread(scanner);
    for (guint i = 0; i < helpers->len; i++)
        g_thread_join(g_ptr_array_index(helpers, i));
}

/* --- What base has and the disk has not --- */

static gboolean is_at_or_below(const char *path, const char *directory)
{
    gsize len = strlen(directory);
    return len == 0 || (strncmp(path, directory, len) == 0 && (path[len] == '\0' || path[len] == '/'));
}

static gboolean is_unread(const Scanner *scanner, const char *path)
{
    for (guint i = 0; i < scanner->unread->len; i++)
        if (is_at_or_below(path, g_ptr_array_index(scanner->unread, i)))
            return TRUE;
    return FALSE;
}

static void find_removals(Scanner *scanner, const char *prefix)
{
    g_autoptr(GPtrArray) places = catalog_places_below(scanner->base, prefix, strlen(prefix));
    for (guint i = 0; i < places->len; i++) {
        const char *path = ((const CatalogPack *)g_ptr_array_index(places, i))->path;
        if (!g_hash_table_contains(scanner->seen, path) && !is_unread(scanner, path))
            g_ptr_array_add(scanner->result->removals, g_strdup(path));
    }
}

/* The list of directories is whole: those that this scan had nothing to say about are taken over, and all of
 * them when `prefix` is NULL. Those above `prefix` are not: if they still are empty, the scan has found them
 * so. */
static void keep_directories(Scanner *scanner, const char *prefix)
{
    g_autoptr(GPtrArray) known = catalog_empty_directories(scanner->base);
    for (guint i = 0; i < known->len; i++) {
        const char *path = g_ptr_array_index(known, i);
        gboolean scanned = prefix != NULL && (is_at_or_below(path, prefix) || is_at_or_below(prefix, path));
        if (!scanned || is_unread(scanner, path))
            g_ptr_array_add(scanner->result->directories, g_strdup(path));
    }
}

static gint compare_packs(gconstpointer a, gconstpointer b)
{
    const CatalogPack *const *left = a, *const *right = b;
    return strcmp((*left)->path, (*right)->path);
}

static gint compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Which thread found what first is chance; results are not. */
static void put_in_order(Scanner *scanner)
{
    PackScan *result = scanner->result;
    g_ptr_array_sort(result->upserts, compare_packs);
    g_ptr_array_sort(result->removals, compare_texts);
    g_ptr_array_sort(result->directories, compare_texts);
    g_ptr_array_sort(result->problems, compare_texts);
    if (scanner->problems_left_out > 0)
        g_ptr_array_add(result->problems, g_strdup_printf("%u further problems", scanner->problems_left_out));
}

/* --- Where to begin --- */

/* A prefix that no whole scan would look into has nothing below it. */
static gboolean prefix_is_looked_into(const char *prefix)
{
    if (prefix[0] == '\0')
        return TRUE;
    if (!pack_path_check(prefix, NULL))
        return FALSE;
    g_auto(GStrv) names = g_strsplit(prefix, "/", -1);
    for (guint i = 0; names[i] != NULL; i++)
        if (!is_looked_into(names[i]))
            return FALSE;
    return TRUE;
}

static gboolean directory_exists(int root_fd, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PackDir) dir = pack_dir_open(root_fd, path, &error);
    return dir != NULL || !g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
}

/* When `prefix` is gone, the directory above it that is left may have become empty, which the tree must show:
 * it is looked into by itself. */
static void look_above(Scanner *scanner, const char *prefix)
{
    g_autofree char *above = g_strdup(prefix);
    scanner->recurse = FALSE;
    for (char *slash; (slash = strrchr(above, '/')) != NULL;) {
        *slash = '\0';
        if (directory_exists(scanner->root_fd, above)) {
            run(scanner, above, /* threads= */ 1);
            return;
        }
    }
}

PackScan *pack_scan_with(PackRoot *root, const PackScanOptions *options, GError **error)
{
    const char *prefix = options->prefix;
    g_assert(options->threads >= 1 && pack_root_has(root, PACK_ROOT_PACKS));
    g_autoptr(PackDir) top = pack_dir_open(pack_root_fd(root, PACK_ROOT_PACKS), "", error);
    if (top == NULL)
        return NULL;
    g_auto(Scanner) scanner = {0};
    scanner_init(&scanner, root, options);
    gboolean looked = prefix_is_looked_into(prefix);
    if (looked && directory_exists(scanner.root_fd, prefix))
        run(&scanner, prefix, options->threads);
    else if (looked)
        look_above(&scanner, prefix);
    if (options->base != NULL && looked)
        find_removals(&scanner, prefix);
    if (options->base != NULL)
        keep_directories(&scanner, looked ? prefix : NULL);
    put_in_order(&scanner);
    return g_steal_pointer(&scanner.result);
}

PackScan *pack_scan(PackRoot *root, const char *prefix, const Catalog *base, guint threads, GError **error)
{
    PackScanOptions options = {.prefix = prefix, .base = base, .threads = threads};
    return pack_scan_with(root, &options, error);
}

/* --- Serving files --- */

gboolean pack_file_is_text(const char *name)
{
    static const char *const extensions[] = {"md",  "markdown", "txt",  "json", "yaml", "yml",  "sig",
                                             "csv", "tsv",      "html", "htm",  "css",  "js",   "toml",
                                             "ini", "rst",      "tex",  "log",  "bib",  "jsonl"};
    const char *slash = strrchr(name, '/');
    const char *dot = strrchr(slash != NULL ? slash + 1 : name, '.');
    if (dot == NULL)
        return TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(extensions); i++)
        if (g_ascii_strcasecmp(dot + 1, extensions[i]) == 0)
            return TRUE;
    return FALSE;
}

GBytes *pack_file_served_form(const CatalogFile *file, GBytes *raw, guint8 ret_sha256[32],
                              gboolean *ret_mismatch)
{
    g_autoptr(GBytes) folded = pack_file_is_text(file->name) ? text_fold_lines(raw) : g_bytes_ref(raw);
    sha256_of_bytes(folded, ret_sha256);
    gboolean mismatch = file->has_signed_hash && memcmp(ret_sha256, file->signed_sha256, SHA256_BYTES) != 0;
    guint8 raw_sha256[SHA256_BYTES];
    if (mismatch && folded != raw) {
        sha256_of_bytes(raw, raw_sha256);
        if (memcmp(raw_sha256, file->signed_sha256, SHA256_BYTES) == 0) {
            memcpy(ret_sha256, raw_sha256, SHA256_BYTES);
            g_clear_pointer(&folded, g_bytes_unref);
            folded = g_bytes_ref(raw);
            mismatch = FALSE;
        }
    }
    if (ret_mismatch != NULL)
        *ret_mismatch = mismatch;
    return g_steal_pointer(&folded);
}

/* SPDX-License-Identifier: MIT
 *
 * A take has two halves. The survey lists names and identities and makes the fingerprint of them; it is all
 * that an unchanged place costs. Only when the fingerprint is new are index.md, manifest.yaml and
 * manifest.sig read, each checked to be the surveyed file before and after reading; and, when hashes are
 * wanted that nobody knows, all other files.
 *
 * Time stamps move in ticks of some milliseconds. A file that was written in the present tick could be
 * written once more without any stamp telling; such a place is surveyed again after the tick, before it is
 * read.
 */
#include "mirror/store/pack_place.h"

#include "mirror/store/pack_dir.h"
#include "mirror/store/pack_hash.h"
#include "mirror/store/pack_scan.h"
#include "schema/index_rows.h"
#include "schema/limits.h"
#include "schema/manifest.h"
#include "schema/manifest_sig.h"
#include "schema/pack_path.h"
#include "schema/text.h"
#include "signing/hash.h"

#include <stdatomic.h>
#include <string.h>

enum {
    TAKES_MAX = 3,
    TICK_US = 10 * 1000, /* time stamps of CONFIG_HZ=100 kernels */
};

#define INDEX_NAME "wiki/index.md"

/* What the survey found. */
typedef struct {
    GArray *files; /* of CatalogFile, names in `names` */
    GStringChunk *names;
    GPtrArray *warnings; /* of char * */
    char *problem;
    guint warnings_left_out;
    guint entries; /* names of any kind seen under wiki/ */
    guint64 bytes;
    gint64 newest_us;  /* latest change of any file; 0 of a release, which is never written again */
    gboolean is_place; /* there is a manifest.yaml or a wiki/, usable or not */
    gboolean is_release;
} Survey;

static Survey *survey_new(gboolean is_release)
{
    Survey *survey = g_new0(Survey, 1);
    survey->is_release = is_release;
    survey->files = g_array_new(FALSE, FALSE, sizeof(CatalogFile));
    survey->names = g_string_chunk_new(4096);
    survey->warnings = g_ptr_array_new_with_free_func(g_free);
    return survey;
}

static void survey_free(Survey *survey)
{
    g_array_unref(survey->files);
    g_string_chunk_free(survey->names);
    g_ptr_array_unref(survey->warnings);
    g_free(survey->problem);
    g_free(survey);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Survey, survey_free)

static void survey_warn(Survey *survey, const char *name, const char *what)
{
    if (survey->warnings->len >= LIMIT_PACK_WARNINGS) {
        survey->warnings_left_out++;
        return;
    }
    g_autofree char *shown = text_for_message(name, strlen(name));
    g_ptr_array_add(survey->warnings, g_strdup_printf("%s: %s", shown, what));
}

/* The first problem stands. */
static void survey_fail(Survey *survey, const char *name, const char *what)
{
    if (survey->problem == NULL)
        survey->problem = g_strdup_printf("%s: %s", name, what);
}

/* Without index.md a place is no pack; if it is there and cannot be used, that is the reason to show. */
static void survey_leave_out(Survey *survey, const char *name, const char *what)
{
    if (strcmp(name, INDEX_NAME) == 0)
        survey_fail(survey, name, what);
    else
        survey_warn(survey, name, what);
}

/* --- Survey --- */

guint64 pack_place_file_bytes_max(const char *name)
{
    if (strcmp(name, "manifest.yaml") == 0)
        return LIMIT_MANIFEST_BYTES;
    if (strcmp(name, "manifest.sig") == 0)
        return LIMIT_MANIFEST_SIG_BYTES;
    return strcmp(name, INDEX_NAME) == 0 ? LIMIT_INDEX_BYTES : LIMIT_PACK_FILE_BYTES;
}

static void survey_add_file(Survey *survey, const char *name, const FileIdentity *identity)
{
    if (identity->size > pack_place_file_bytes_max(name)) {
        g_autofree char *what =
            g_strdup_printf("%" G_GUINT64_FORMAT " bytes, at most %" G_GUINT64_FORMAT " are allowed",
                            identity->size, pack_place_file_bytes_max(name));
        survey_leave_out(survey, name, what);
        return;
    }
    CatalogFile file = {.name = g_string_chunk_insert(survey->names, name), .identity = *identity};
    if (survey->is_release)
        file.identity.ctime_ns = FILE_CTIME_ANY;
    else
        survey->newest_us = MAX(survey->newest_us, identity->ctime_ns / 1000);
    g_array_append_val(survey->files, file);
    survey->bytes += identity->size;
    if (survey->bytes > LIMIT_PACK_BYTES) {
        g_autofree char *what =
            g_strdup_printf("with this file the pack is larger than %d bytes", LIMIT_PACK_BYTES);
        survey_fail(survey, name, what);
    }
}

static gboolean survey_directory(Survey *survey, PackDir *dir, GString *name, GError **error);

static gboolean survey_subdirectory(Survey *survey, PackDir *parent, const char *segment, GString *name,
                                    GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(PackDir) dir = pack_dir_open_child(parent, segment, name->str, &cause);
    if (dir != NULL)
        return survey_directory(survey, dir, name, error);
    if (!g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_DENIED)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    survey_warn(survey, name->str, "directory may not be read, left out");
    return TRUE;
}

/* `name` is the name of the entry relative to the place. FALSE when the place must be taken again or given
 * up. */
static gboolean survey_entry(Survey *survey, PackDir *dir, const char *segment, PackDirKind kind,
                             GString *name, GError **error)
{
    g_autoptr(GError) refused = NULL;
    if (!pack_path_check(name->str, &refused)) {
        survey_warn(survey, name->str, refused->message);
        return TRUE;
    }
    FileIdentity identity;
    switch (kind) {
    case PACK_DIR_DIRECTORY:
        return survey_subdirectory(survey, dir, segment, name, error);
    case PACK_DIR_FILE:
        if (!pack_dir_stat(dir, segment, &kind, &identity, error))
            return FALSE;
        if (kind == PACK_DIR_FILE)
            survey_add_file(survey, name->str, &identity);
        return TRUE;
    case PACK_DIR_SYMLINK:
        survey_leave_out(survey, name->str, "symbolic link, left out");
        return TRUE;
    case PACK_DIR_SPECIAL:
        survey_leave_out(survey, name->str, "neither file nor directory, left out");
        return TRUE;
    }
    g_assert_not_reached();
}

/* Recursion ends at LIMIT_PATH_DEPTH, because longer names are refused before their directory is opened. */
static gboolean survey_directory(Survey *survey, PackDir *dir, GString *name, GError **error)
{
    gsize len = name->len;
    const char *segment = NULL;
    PackDirKind kind;
    while (survey->entries <= LIMIT_PACK_FILES) {
        if (!pack_dir_next(dir, &segment, &kind, error))
            return FALSE;
        if (segment == NULL)
            break;
        if (segment[0] == '.')
            continue;
        if (++survey->entries > LIMIT_PACK_FILES) {
            g_autofree char *what = g_strdup_printf("more than %d names", LIMIT_PACK_FILES);
            survey_fail(survey, "wiki/", what);
            break;
        }
        g_string_append_printf(name, "/%s", segment);
        gboolean ok = survey_entry(survey, dir, segment, kind, name, error);
        g_string_truncate(name, len);
        if (!ok)
            return FALSE;
    }
    return TRUE;
}

static gboolean survey_top_file(Survey *survey, PackDir *dir, const char *name, GError **error)
{
    PackDirKind kind;
    FileIdentity identity;
    g_autoptr(GError) cause = NULL;
    if (!pack_dir_stat(dir, name, &kind, &identity, &cause)) {
        if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (kind != PACK_DIR_FILE) {
        survey_warn(survey, name, "not a regular file, left out");
        return TRUE;
    }
    survey->is_place = survey->is_place || strcmp(name, "manifest.yaml") == 0;
    survey_add_file(survey, name, &identity);
    return TRUE;
}

static gboolean survey_wiki(Survey *survey, PackDir *dir, GError **error)
{
    PackDirKind kind;
    FileIdentity identity;
    g_autoptr(GError) cause = NULL;
    if (!pack_dir_stat(dir, "wiki", &kind, &identity, &cause)) {
        if (g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (kind != PACK_DIR_DIRECTORY) {
        survey_warn(survey, "wiki", "not a directory, left out");
        return TRUE;
    }
    survey->is_place = TRUE;
    g_autoptr(GString) name = g_string_new("wiki");
    return survey_subdirectory(survey, dir, "wiki", name, error);
}

static gint compare_files(gconstpointer a, gconstpointer b)
{
    return strcmp(((const CatalogFile *)a)->name, ((const CatalogFile *)b)->name);
}

static gint compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static Survey *survey_place(int root_fd, const char *disk, gboolean is_release, GError **error)
{
    g_autoptr(PackDir) dir = pack_dir_open(root_fd, disk, error);
    if (dir == NULL)
        return NULL;
    g_autoptr(Survey) survey = survey_new(is_release);
    if (!survey_top_file(survey, dir, "manifest.yaml", error) ||
        !survey_top_file(survey, dir, "manifest.sig", error) || !survey_wiki(survey, dir, error))
        return NULL;
    /* Directory order is chance. */
    g_array_sort(survey->files, compare_files);
    g_ptr_array_sort(survey->warnings, compare_texts);
    if (survey->warnings_left_out > 0)
        g_ptr_array_add(survey->warnings, g_strdup_printf("%u further warnings", survey->warnings_left_out));
    return g_steal_pointer(&survey);
}

static const CatalogFile *survey_find(const Survey *survey, const char *name)
{
    for (guint i = 0; i < survey->files->len; i++) {
        const CatalogFile *file = &g_array_index(survey->files, CatalogFile, i);
        if (strcmp(file->name, name) == 0)
            return file;
    }
    return NULL;
}

static void append_number(GByteArray *out, guint64 value)
{
    guint64 little_endian = GUINT64_TO_LE(value);
    g_byte_array_append(out, (const guint8 *)&little_endian, sizeof little_endian);
}

static void append_text(GByteArray *out, const char *text)
{
    g_byte_array_append(out, (const guint8 *)text, (guint)strlen(text) + 1);
}

/* Warnings belong to it, so that a new symbolic link is told of. Device numbers do not: they may change when
 * the machine starts, and then everything would be read again. */
static void survey_fingerprint(const Survey *survey, guint8 ret[SHA256_BYTES])
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    for (guint i = 0; i < survey->files->len; i++) {
        const CatalogFile *file = &g_array_index(survey->files, CatalogFile, i);
        append_text(out, file->name);
        append_number(out, file->identity.inode);
        append_number(out, file->identity.size);
        append_number(out, (guint64)file->identity.mtime_ns);
        append_number(out, (guint64)file->identity.ctime_ns);
    }
    append_text(out, ""); /* no file has this name */
    for (guint i = 0; i < survey->warnings->len; i++)
        append_text(out, g_ptr_array_index(survey->warnings, i));
    append_text(out, survey->problem != NULL ? survey->problem : "");
    sha256(out->data, out->len, ret);
}

/* --- Reading --- */

/* What is to be taken, and how. */
typedef struct {
    int root_fd;
    const char *root_path;
    const char *disk; /* below the root */
    const CatalogPack *base;
    gboolean hash;
    const HashStore *known;
    const PackPlaceRelease *release; /* NULL: a local place, whose path is `disk` */
    gboolean settled;                /* nobody writes to it */
} Order;

/* One place being read. */
typedef struct {
    int root_fd;
    Survey *survey;
    CatalogPack *pack; /* being filled */
} Reader;

/* *ret NULL when the place has no such file, or it may not be read, which is noted. FALSE when the place must
 * be taken again or given up. */
static gboolean read_named(Reader *reader, const char *name, GBytes **ret, GError **error)
{
    const CatalogFile *file = survey_find(reader->survey, name);
    *ret = NULL;
    if (file == NULL)
        return TRUE;
    g_autofree char *path = g_strconcat(reader->pack->disk, "/", name, NULL);
    g_autoptr(GError) cause = NULL;
    *ret = pack_dir_read_file(reader->root_fd, path, &file->identity, &cause);
    if (*ret != NULL)
        return TRUE;
    if (!g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_DENIED)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    survey_leave_out(reader->survey, name, "may not be read");
    return TRUE;
}

static void take_text(char **to, const char *text)
{
    g_free(*to);
    *to = g_strdup(text);
}

static gboolean read_manifest(Reader *reader, GError **error)
{
    g_autoptr(GBytes) bytes = NULL;
    if (!read_named(reader, "manifest.yaml", &bytes, error))
        return FALSE;
    if (bytes == NULL)
        return TRUE;
    gsize len = 0;
    const char *data = g_bytes_get_data(bytes, &len);
    g_autoptr(Manifest) manifest = manifest_parse(data, len);
    take_text(&reader->pack->name, manifest->name);
    take_text(&reader->pack->version, manifest->version);
    take_text(&reader->pack->summary, manifest->summary);
    take_text(&reader->pack->language, manifest->language);
    if (manifest->warning != NULL)
        survey_warn(reader->survey, "manifest.yaml", manifest->warning);
    return TRUE;
}

static void mark_listed(Survey *survey, const char *page)
{
    g_autofree char *name = g_strconcat("wiki/", page, NULL);
    const CatalogFile key = {.name = name};
    guint at = 0;
    if (g_array_binary_search(survey->files, &key, compare_files, &at))
        g_array_index(survey->files, CatalogFile, at).is_listed = TRUE;
}

static gboolean read_index(Reader *reader, GError **error)
{
    g_autoptr(GBytes) bytes = NULL;
    if (!read_named(reader, INDEX_NAME, &bytes, error))
        return FALSE;
    if (bytes == NULL)
        return TRUE;
    gsize len = 0;
    const char *data = g_bytes_get_data(bytes, &len);
    g_autoptr(GError) refused = NULL;
    g_autoptr(GPtrArray) rows = index_rows_parse(data, len, &refused);
    if (rows == NULL) {
        survey_fail(reader->survey, INDEX_NAME, refused->message);
        return TRUE;
    }
    reader->pack->is_pack = TRUE;
    mark_listed(reader->survey, "index.md");
    for (guint i = 0; i < rows->len; i++) {
        const IndexRow *row = g_ptr_array_index(rows, i);
        reader->pack->rows_indexed += row->indexed ? 1 : 0;
        if (row->listed)
            mark_listed(reader->survey, row->file);
    }
    return TRUE;
}

/* The hash that manifest.sig has for a file of the place, or NULL. Pages are named relative to wiki/, the
 * files of a release relative to the pack. */
static const guint8 *signed_hash(const ManifestSig *sig, const char *name)
{
    if (strcmp(name, "manifest.yaml") == 0)
        return sig->manifest_sha256;
    const ManifestSigEntry *entry = NULL;
    if (g_str_has_prefix(name, "wiki/"))
        entry = manifest_sig_table_find(sig->pages, name + strlen("wiki/"));
    if (entry == NULL && sig->release != NULL)
        entry = manifest_sig_table_find(sig->release->files, name);
    return entry != NULL ? entry->sha256 : NULL;
}

static gboolean read_signature(Reader *reader, GError **error)
{
    g_autoptr(GBytes) bytes = NULL;
    if (!read_named(reader, "manifest.sig", &bytes, error))
        return FALSE;
    if (bytes == NULL)
        return TRUE;
    gsize len = 0;
    const char *data = g_bytes_get_data(bytes, &len);
    reader->pack->signature = g_bytes_ref(bytes);
    g_autoptr(GError) refused = NULL;
    g_autoptr(ManifestSig) sig = manifest_sig_parse(data, len, &refused);
    if (sig == NULL) {
        survey_warn(reader->survey, "manifest.sig", refused->message);
        return TRUE;
    }
    for (guint i = 0; i < reader->survey->files->len; i++) {
        CatalogFile *file = &g_array_index(reader->survey->files, CatalogFile, i);
        const guint8 *hash = signed_hash(sig, file->name);
        file->has_signed_hash = hash != NULL;
        if (hash != NULL)
            memcpy(file->signed_sha256, hash, SHA256_BYTES);
    }
    return TRUE;
}

/* Names that a file system without case, or one that composes accents, would take for one. */
static char *folded_name(const char *name)
{
    if (g_str_is_ascii(name))
        return g_ascii_strdown(name, -1);
    g_autofree char *composed = g_utf8_normalize(name, -1, G_NORMALIZE_NFC);
    return g_utf8_casefold(composed, -1);
}

static void warn_of_case_collisions(Survey *survey)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < survey->files->len; i++) {
        const char *name = g_array_index(survey->files, CatalogFile, i).name;
        char *folded = folded_name(name);
        const char *other = g_hash_table_lookup(seen, folded);
        if (other == NULL) {
            g_hash_table_insert(seen, folded, (gpointer)(guintptr)name);
            continue;
        }
        g_autofree char *what = g_strdup_printf("differs from %s only in case", other);
        survey_warn(survey, name, what);
        g_free(folded);
    }
}

static guint64 next_serial(void)
{
    static atomic_uint_least64_t serial;
    return atomic_fetch_add(&serial, 1) + 1;
}

/* Moves what was found into the pack. A pack with a problem keeps no files. */
static void finish(Reader *reader)
{
    CatalogPack *pack = reader->pack;
    Survey *survey = reader->survey;
    pack->problem = g_steal_pointer(&survey->problem);
    if (pack->problem != NULL) {
        pack->is_pack = FALSE;
        pack->rows_indexed = 0;
        g_array_set_size(survey->files, 0);
    }
    catalog_pack_set_files(pack, survey->files);
    g_ptr_array_extend_and_steal(pack->warnings, g_steal_pointer(&survey->warnings));
    survey->warnings = g_ptr_array_new_with_free_func(g_free);
    pack->serial = next_serial();
}

static CatalogPack *new_place(const Order *order)
{
    const PackPlaceRelease *release = order->release;
    g_autofree char *directory = g_build_filename(order->root_path, order->disk, NULL);
    CatalogPack *pack = catalog_pack_new(release != NULL ? release->path : order->disk, directory);
    if (release != NULL)
        catalog_pack_set_mirrored(pack, order->disk, release->source, release->is_private);
    return pack;
}

/* What manifest.sig does not list has no hash, as if it could not be read; it itself was read. */
static void hash_as_signed(CatalogPack *pack)
{
    for (guint i = 0; i < pack->file_count; i++) {
        CatalogFile *file = &pack->files[i];
        gboolean is_signature = strcmp(file->name, "manifest.sig") == 0 && pack->signature != NULL;
        if (is_signature)
            g_bytes_unref(pack_file_served_form(file, pack->signature, file->sha256, NULL));
        else if (file->has_signed_hash)
            memcpy(file->sha256, file->signed_sha256, sizeof file->sha256);
        file->has_sha256 = is_signature || file->has_signed_hash;
        file->served_size = (guint32)file->identity.size;
    }
}

static gboolean hash_place(const Order *order, CatalogPack *pack, GError **error)
{
    if (order->release != NULL && order->release->as_signed) {
        hash_as_signed(pack);
        return TRUE;
    }
    return (order->known != NULL && hash_store_fill(order->known, pack)) ||
           pack_hash_files(order->root_fd, pack, error);
}

/* NULL with CONFLICT when the place changed since the survey. */
static CatalogPack *read_place(Reader *reader, const Order *order, GError **error)
{
    g_autoptr(CatalogPack) pack = new_place(order);
    reader->pack = pack;
    survey_fingerprint(reader->survey, pack->fingerprint);
    /* What the survey has found wrong is reason enough; reading would only add to it. */
    if (reader->survey->problem == NULL &&
        (!read_manifest(reader, error) || !read_index(reader, error) || !read_signature(reader, error)))
        return NULL;
    warn_of_case_collisions(reader->survey);
    finish(reader);
    if (order->hash && !hash_place(order, pack, error))
        return NULL;
    return g_steal_pointer(&pack);
}

/* --- Takes --- */

static gboolean is_fresh(const Survey *survey)
{
    gint64 age_us = g_get_real_time() - survey->newest_us;
    return age_us >= 0 && age_us < TICK_US;
}

static gboolean is_race(const GError *cause)
{
    return g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_CONFLICT) ||
           g_error_matches(cause, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND);
}

static gboolean still_exists(int root_fd, const char *disk)
{
    g_autoptr(PackDir) dir = pack_dir_open(root_fd, disk, NULL);
    return dir != NULL;
}

/* A place that cannot be had gets a fingerprint that nothing has, so that the next scan looks again. Takes
 * `problem` over. */
static CatalogPack *bare_place(const Order *order, char *problem)
{
    CatalogPack *pack = new_place(order);
    pack->problem = problem;
    random_fill(pack->fingerprint, sizeof pack->fingerprint);
    pack->serial = next_serial();
    return pack;
}

/* One take. CONFLICT or NOT_FOUND: the place changed meanwhile. */
static gboolean take_once(const Order *order, gboolean may_wait, PackPlaceOutcome *ret_outcome,
                          CatalogPack **ret, GError **error)
{
    const CatalogPack *base = order->base;
    g_autoptr(Survey) survey = survey_place(order->root_fd, order->disk, order->release != NULL, error);
    if (survey == NULL)
        return FALSE;
    guint8 fingerprint[SHA256_BYTES];
    survey_fingerprint(survey, fingerprint);
    if (!survey->is_place || (base != NULL && memcmp(fingerprint, base->fingerprint, SHA256_BYTES) == 0)) {
        *ret_outcome = survey->is_place ? PACK_PLACE_UNCHANGED : PACK_PLACE_GONE;
        return TRUE;
    }
    gboolean fresh = !order->settled && is_fresh(survey);
    if (fresh && may_wait) {
        g_usleep(TICK_US);
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_CONFLICT, "%s: written this instant", order->disk);
        return FALSE;
    }
    Reader reader = {order->root_fd, survey, NULL};
    *ret = read_place(&reader, order, error);
    if (*ret == NULL)
        return FALSE;
    if (fresh)
        random_fill((*ret)->fingerprint, SHA256_BYTES);
    *ret_outcome = PACK_PLACE_TAKEN;
    return TRUE;
}

static PackPlaceOutcome take(const Order *order, CatalogPack **ret, GError **error)
{
    for (guint attempt = 1; attempt <= TAKES_MAX; attempt++) {
        PackPlaceOutcome outcome;
        g_autoptr(GError) cause = NULL;
        if (take_once(order, attempt < TAKES_MAX, &outcome, ret, &cause))
            return outcome;
        if (!is_race(cause)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return PACK_PLACE_UNREAD;
        }
    }
    if (!still_exists(order->root_fd, order->disk))
        return PACK_PLACE_GONE;
    *ret = bare_place(order, g_strdup_printf("changed on disk %d times while it was read", TAKES_MAX));
    return PACK_PLACE_TAKEN;
}

PackPlaceOutcome pack_place_take(int root_fd, const char *root_path, const char *path,
                                 const CatalogPack *base, CatalogPack **ret, GError **error)
{
    Order order = {.root_fd = root_fd, .root_path = root_path, .disk = path, .base = base};
    return take(&order, ret, error);
}

PackPlaceOutcome pack_place_take_settled(int root_fd, const char *root_path, const char *path,
                                         CatalogPack **ret, GError **error)
{
    Order order = {.root_fd = root_fd, .root_path = root_path, .disk = path, .settled = TRUE};
    return take(&order, ret, error);
}

PackPlaceOutcome pack_place_take_hashed(int root_fd, const char *root_path, const char *path,
                                        const CatalogPack *base, const HashStore *known, CatalogPack **ret,
                                        GError **error)
{
    Order order = {
        .root_fd = root_fd, .root_path = root_path, .disk = path, .base = base, .hash = TRUE, .known = known};
    return take(&order, ret, error);
}

CatalogPack *pack_place_take_release(int root_fd, const char *root_path, const PackPlaceRelease *release,
                                     const HashStore *known)
{
    Order order = {.root_fd = root_fd,
                   .root_path = root_path,
                   .disk = release->directory,
                   .hash = TRUE,
                   .known = known,
                   .release = release};
    g_autoptr(GError) error = NULL;
    CatalogPack *place = NULL;
    switch (root_fd >= 0 ? take(&order, &place, &error) : PACK_PLACE_GONE) {
    case PACK_PLACE_TAKEN:
        return place;
    case PACK_PLACE_GONE:
        return bare_place(&order, g_strdup("is not in the release store"));
    case PACK_PLACE_UNREAD:
        return bare_place(&order, g_strdup(error->message));
    case PACK_PLACE_UNCHANGED: /* needs a place to compare with */
        break;
    }
    g_assert_not_reached();
}

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
#include "mirror/store/pack_survey.h"
#include "schema/index_rows.h"
#include "schema/limits.h"
#include "schema/manifest.h"
#include "schema/manifest_sig.h"
#include "schema/name_fold.h"
#include "signing/hash.h"

#include <stdatomic.h>
#include <string.h>

enum {
    TAKES_MAX = 3,
    TICK_US = 10 * 1000, /* time stamps of CONFIG_HZ=100 kernels */
};

#define INDEX_NAME "wiki/index.md"

guint64 pack_place_file_bytes_max(const char *name)
{
    if (strcmp(name, "manifest.yaml") == 0)
        return LIMIT_MANIFEST_BYTES;
    if (strcmp(name, "manifest.sig") == 0)
        return LIMIT_MANIFEST_SIG_BYTES;
    return strcmp(name, INDEX_NAME) == 0 ? LIMIT_INDEX_BYTES : LIMIT_PACK_FILE_BYTES;
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
    PackSurvey *survey;
    CatalogPack *pack; /* being filled */
} Reader;

/* *ret NULL when the place has no such file, or it may not be read, which is noted. FALSE when the place must
 * be taken again or given up. */
static gboolean read_named(Reader *reader, const char *name, GBytes **ret, GError **error)
{
    const CatalogFile *file = pack_survey_find(reader->survey, name);
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
    pack_survey_leave_out(reader->survey, name, "may not be read");
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
        pack_survey_warn(reader->survey, "manifest.yaml", manifest->warning);
    return TRUE;
}

static void mark_listed(PackSurvey *survey, const char *page)
{
    g_autofree char *name = g_strconcat("wiki/", page, NULL);
    CatalogFile *file = pack_survey_find(survey, name);
    if (file != NULL)
        file->is_listed = TRUE;
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
        pack_survey_fail(reader->survey, INDEX_NAME, refused->message);
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
        pack_survey_warn(reader->survey, "manifest.sig", refused->message);
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

static void warn_of_case_collisions(PackSurvey *survey)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < survey->files->len; i++) {
        const char *name = g_array_index(survey->files, CatalogFile, i).name;
        char *folded = name_fold(name);
        const char *other = g_hash_table_lookup(seen, folded);
        if (other == NULL) {
            g_hash_table_insert(seen, folded, (gpointer)(guintptr)name);
            continue;
        }
        g_autofree char *what = g_strdup_printf("differs from %s only in case", other);
        pack_survey_warn(survey, name, what);
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
    PackSurvey *survey = reader->survey;
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
    pack_survey_fingerprint(reader->survey, pack->fingerprint);
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

static gboolean is_fresh(const PackSurvey *survey)
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
    g_autoptr(PackSurvey) survey =
        pack_survey_take(order->root_fd, order->disk, order->release != NULL, error);
    if (survey == NULL)
        return FALSE;
    guint8 fingerprint[SHA256_BYTES];
    pack_survey_fingerprint(survey, fingerprint);
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

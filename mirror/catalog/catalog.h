/* SPDX-License-Identifier: MIT
 *
 * The catalog: which packs this broker serves, as an immutable snapshot.
 *
 * A Catalog is a persistent tree of directories. A change copies the nodes on the path to the changed pack
 * and shares everything else, so that publishing one pack costs its own path and not the catalog. Nodes,
 * packs and catalogs are atomically reference counted and never change after they were published; any thread
 * that holds a reference may read without locks.
 *
 * A "place" is any directory that has something to serve: a manifest.yaml or a wiki/ directory. It is a pack
 * when it has wiki/index.md (facts of existing brokers: a place without it is shown in the tree and its
 * manifest is served, but it is not a pack). CatalogPack describes both.
 *
 * Places lie in the packs directory (local) or in the release store (mirrored); `path` and what it is called
 * on disk are two things.
 *
 * This module does no I/O: mirror/store/pack_scan.h and release_take.h make CatalogPacks from disk,
 * pack_judge.h says what their signatures are worth, broker/serve publishes catalogs.
 */
#pragma once

#include "signing/release.h"

/* What the file system said about a file when it was scanned. Two different contents have two different
 * identities unless somebody forges time stamps (ctime cannot be set by ordinary means). */
typedef struct {
    guint64 device;
    guint64 inode;
    guint64 size;    /* bytes */
    gint64 mtime_ns; /* since the epoch */
    gint64 ctime_ns; /* or FILE_CTIME_ANY */
} FileIdentity;

/* Of files of the release store, which several releases may share by hard links: each link that comes or goes
 * moves the change time and nothing else. Equal to every time. */
#define FILE_CTIME_ANY G_MININT64

gboolean file_identity_equal(const FileIdentity *a, const FileIdentity *b);

/* One regular file of a place. */
typedef struct {
    const char
        *name; /* relative to the place: "manifest.yaml", "manifest.sig" or "wiki/…"; owned by the pack */
    FileIdentity identity;
    gboolean has_signed_hash; /* a well-formed manifest.sig of the pack lists this file */
    guint8 signed_sha256[32]; /* hash of the form that must be served (raw or LF-folded) */
    gboolean is_listed;       /* a page: wiki/index.md, or listed by it (grammar b) */
    /* What the scan found by reading the file; not set when it did not hash, or could not read. */
    gboolean has_sha256;
    guint8 sha256[32];   /* of the served form */
    guint32 served_size; /* bytes of the served form */
} CatalogFile;

/* What is known of a pack as a release, and what policy makes of it. Filled in by pack_judge; of a place that
 * was not judged everything is 0, NULL or "". */
typedef struct {
    gboolean is_checked;                     /* FALSE: policy does not look at signatures */
    AcceptRule rule;                         /* when is_checked: ACCEPT_OK, or the first rule that failed */
    char *reason;                            /* of a rule that failed: one line naming file and rule; owned */
    char fingerprint[FINGERPRINT_CHARS + 1]; /* of the key whose signature fits; "" when there is none */
    char *publisher;                         /* its name; may be ""; owned */
    char *version;                           /* of the release, else of the manifest; owned */
    char *published_at;                      /* of the release; may be ""; owned */
    gboolean has_digest; /* the next three are known: a pack with manifest.yaml that was hashed */
    guint8 content_sha256[32];
    guint8 digest[32];
    guint64 bytes; /* of the files that the digest covers, as served */
} CatalogRelease;

typedef struct CatalogPack CatalogPack; /* fields below; made by pack_scan, immutable once in a catalog */
struct CatalogPack {
    gatomicrefcount refs;
    char *path;      /* slash path of the pack; owned */
    char *directory; /* absolute directory on disk; owned */
    char *disk; /* the same below its root (pack_root.h): of a local place `path` itself, of a mirrored one
                   the name of its release's directory; owned */
    gboolean is_mirrored; /* lies in the release store, not in the packs directory */
    gboolean is_private;  /* only for those who have a read token for it; only mirrored places are */
    char *source;         /* name of the source that a mirrored place is from; NULL of a local one; owned */
    gboolean is_pack;     /* has wiki/index.md and nothing is wrong with it */
    char *problem; /* why it is not served as a pack though it looks like one; NULL when fine; one line; owned
                    */
    char *name;    /* manifest: name; may be "" */
    char *version; /* manifest: version; may be "" */
    char *summary; /* manifest: summary; may be "" */
    char *language;         /* manifest: language; may be "" */
    guint rows_indexed;     /* rows of wiki/index.md that search knows */
    guint64 bytes;          /* all files together */
    guint8 fingerprint[32]; /* SHA-256 over names and identities of all files: equal means "need not be read
                               again" */
    guint64 serial; /* grows with every scan of this process that read the pack anew; part of cache keys */
    guint file_count;
    CatalogFile *files;  /* sorted by name (bytes); owned */
    char *names;         /* the one block that the names of the files lie in; owned */
    GPtrArray *warnings; /* of char *: skipped symlinks, unreadable files and the like; may be empty; owned */
    GBytes *signature;   /* manifest.sig as on disk; NULL: there is none; owned */
    CatalogRelease release;
    gboolean refused; /* policy does not allow it to be served: it has no files, `problem` says why, and the
                         tree does not show it */
    CatalogPack *origin; /* the place as it was scanned, when this is a judged copy of it; what the copy does
                            not change belongs to it; NULL otherwise */
};

/* A place without files, to be filled by its maker before anybody else sees it: texts are "", `problem` is
 * NULL, `warnings` is an empty array. Both arguments are copied; `path` must pass pack_path_check. */
CatalogPack *catalog_pack_new(const char *path, const char *directory);
/* Makes it a mirrored one, before anybody else sees it; texts are copied. */
void catalog_pack_set_mirrored(CatalogPack *pack, const char *disk, const char *source, gboolean is_private);
/* Gives the place its files, once: copies `files` (of CatalogFile, in any order, names distinct and copied),
 * sorts them and sets `bytes` to the sum of their sizes. */
void catalog_pack_set_files(CatalogPack *pack, const GArray *files);
/* A copy of a scanned place that carries a verdict. It shares everything with `scanned` but the release,
 * which is taken over, and, when `refused` is not NULL, has no files and `refused` (copied) as its problem.
 * Same fingerprint and serial. */
CatalogPack *catalog_pack_judged(CatalogPack *scanned, const CatalogRelease *release, const char *refused);
void catalog_release_clear(CatalogRelease *release);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CatalogRelease, catalog_release_clear)
CatalogPack *catalog_pack_ref(CatalogPack *pack);
void catalog_pack_unref(CatalogPack *pack);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CatalogPack, catalog_pack_unref)
/* The file of that name, or NULL. O(log files). `name` need not be NUL-terminated. */
const CatalogFile *catalog_pack_file(const CatalogPack *pack, const char *name, gsize len);

typedef struct Catalog Catalog;

/* --- Life cycle --- */

/* A catalog without packs. */
Catalog *catalog_new_empty(void);
Catalog *catalog_ref(Catalog *catalog);
void catalog_unref(Catalog *catalog);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Catalog, catalog_unref)

/* A new catalog: `base` with the places of `upserts` (of CatalogPack *, at their own paths) added or replaced
 * and the paths of `removals` (of char *) removed; a path in both is replaced, of several upserts of one path
 * the last counts. Generation = base's + 1. Directories that hold nothing any more disappear, unless they are
 * empty directories that shall be shown in the tree: `directories` (of char *) is the new list of all of
 * these, NULL keeps the list of `base`. Costs O(changes · depth · fan-out), with all changes below one
 * directory copying it only once. No array is kept. */
Catalog *catalog_with_changes(Catalog *base, GPtrArray *upserts, GPtrArray *removals, GPtrArray *directories);

/* What has to be done to `from` to make it `to`: places of `to` that are other objects than those of `from`
 * (of CatalogPack *) and paths of places that are gone (of char *), both borrowed and added to the arrays,
 * and in *ret_directories whether the empty directories differ. What both share is not looked at, so that it
 * costs what one catalog_with_changes did, or several did together. */
void catalog_compare(const Catalog *from, const Catalog *to, GPtrArray *ret_upserts, GPtrArray *ret_removals,
                     gboolean *ret_directories);

/* --- Queries --- */

/* TRUE when catalog_compare would find nothing because they share everything. */
gboolean catalog_is_same(const Catalog *a, const Catalog *b);
/* Packs (is_pack) and the indexed rows and bytes of all of them. */
guint catalog_pack_count(const Catalog *catalog);
guint64 catalog_page_count(const Catalog *catalog);
guint64 catalog_byte_count(const Catalog *catalog);
/* Places with a problem. */
guint catalog_problem_count(const Catalog *catalog);

/* The place at exactly `path` (`len` bytes), pack or not; NULL if there is none. Borrowed from the catalog.
 */
const CatalogPack *catalog_place(const Catalog *catalog, const char *path, gsize len);

/* Resolves the disk-like path "<place>/<file>" to the deepest place that has the file. Both outputs are
 * borrowed. FALSE if there is none. */
gboolean catalog_resolve(const Catalog *catalog, const char *path, gsize len, const CatalogPack **ret_place,
                         const CatalogFile **ret_file);

/* The directory at `path` ("" is the root). FALSE if there is no such directory in the tree. `ret_children`
 * receives a new array of borrowed names sorted by code point, without "wiki", "raw", dot-directories and
 * what has nothing in it but refused places and the empty directories below those; `ret_has_pack` may be
 * NULL.
 */
gboolean catalog_children(const Catalog *catalog, const char *path, gsize len, GPtrArray **ret_children,
                          gboolean *ret_has_pack);

/* All places in the order of their paths by code point of the whole path (as ORDER BY pack_path gives it),
 * borrowed, in a new array. O(places · log places): callers keep what they derive from it per generation. */
GPtrArray *catalog_places_sorted(const Catalog *catalog);

/* At most `limit` packs that follow `after` (any path, there or not; NULL: from the beginning), borrowed, in
 * a new array, in the order of the tree: a pack comes before those below it, these before its next sibling,
 * siblings by the bytes of their names. Costs the depth and `limit`, not the catalog. */
GPtrArray *catalog_packs_after(const Catalog *catalog, const char *after, guint limit);

/* The places at `path` and below it ("" = all), borrowed, in a new array, in no promised order. */
GPtrArray *catalog_places_below(const Catalog *catalog, const char *path, gsize len);

/* The empty directories that are shown in the tree (see catalog_with_changes), as a new array of new strings.
 */
GPtrArray *catalog_empty_directories(const Catalog *catalog);

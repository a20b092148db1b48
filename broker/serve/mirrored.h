/* SPDX-License-Identifier: MIT
 *
 * The set of mirrored packs, and what becomes of the catalog when it is laid together with the local packs.
 *
 * At every path there is at most one local place, one public mirrored one and one private mirrored one. A
 * local place wins over the public mirrored one, whole: files are never mixed. What is shadowed is
 * remembered, and comes back when the local place goes. Private places have a catalog of their own
 * (Snapshot.hidden) and neither shadow nor are shadowed.
 *
 * A change names the paths that it touches; mirrored_merge then looks at these and at nothing else, so that
 * it costs the same whether ten packs are mirrored or a million. Belongs to one thread (the indexer). No I/O.
 */
#pragma once

#include "mirror/catalog/pack_judge.h"
#include "mirror/store/mirror_db.h"

typedef struct Mirrored Mirrored;

/* --- Life cycle --- */

Mirrored *mirrored_new(void);
void mirrored_free(Mirrored *mirrored); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Mirrored, mirrored_free)

/* --- Operations --- */

/* Paths that are touched, as sets of char *, owned by the sets. */
typedef struct {
    GHashTable *public_paths; /* by local or public mirrored places */
    GHashTable *private_paths;
} MirroredTouch;

void mirrored_touch_init(MirroredTouch *touch);
void mirrored_touch_clear(MirroredTouch *touch);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MirroredTouch, mirrored_touch_clear)

/* Puts a judged place (a reference is taken) in, with what is known of it (taken over), instead of what was
 * at that path in the same name space. */
void mirrored_put(Mirrored *mirrored, CatalogPack *place, MirroredPack *record, MirroredTouch *touch);
void mirrored_remove(Mirrored *mirrored, const char *path, gboolean is_private, MirroredTouch *touch);
/* Judges all of them anew by this trust list and the policy of each; those with another verdict are replaced
 * and touched. */
void mirrored_judge(Mirrored *mirrored, const TrustList *trust, gint64 now, guint threads,
                    MirroredTouch *touch);
void mirrored_touch_all(const Mirrored *mirrored, MirroredTouch *touch);

/* --- Judging --- */

/* The judged copies of taken places (of CatalogPack *, of pack_place_take_release), each by the policy of its
 * record (of MirroredPack *, in the same order). What cannot be read, or does not have the digest that it is
 * filed under, is refused. A new array that owns its elements. */
GPtrArray *mirrored_verdicts(GPtrArray *taken, GPtrArray *records, const TrustList *trust, gint64 now,
                             guint threads);

/* --- Queries --- */

/* Borrowed; NULL when there is none. */
CatalogPack *mirrored_place(const Mirrored *mirrored, const char *path, gboolean is_private);
const MirroredPack *mirrored_record(const Mirrored *mirrored, const char *path, gboolean is_private);
guint mirrored_count(const Mirrored *mirrored, gboolean is_private);
/* The names on disk of all releases, borrowed, in a new set. */
GHashTable *mirrored_disks(const Mirrored *mirrored);

/* What catalog_with_changes needs; both own their elements. */
typedef struct {
    GPtrArray *upserts;  /* of CatalogPack * */
    GPtrArray *removals; /* of char * */
} CatalogChange;

void catalog_change_init(CatalogChange *change);
void catalog_change_clear(CatalogChange *change);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CatalogChange, catalog_change_clear)

/* Adds to `ret` what has to become of `catalog` so that at each of the touched public paths it has the place
 * of `local`, else the public mirrored one, else nothing. What is so already is left out. */
void mirrored_merge(const Mirrored *mirrored, const Catalog *local, const Catalog *catalog,
                    const MirroredTouch *touch, CatalogChange *ret);
/* The same for the catalog of private places and the touched private paths. */
void mirrored_merge_private(const Mirrored *mirrored, const Catalog *hidden, const MirroredTouch *touch,
                            CatalogChange *ret);

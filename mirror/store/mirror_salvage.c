/* SPDX-License-Identifier: MIT
 *
 * A damaged mirror.db must not keep a broker from serving, nor be forgotten as if nothing had ever been held.
 * What is held is read from both ends of its table, as far as the damage lets us, and each row is believed
 * only as far as it makes sense. Rows of other tables save work and nothing else; they are left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "mirror/store/mirror_rows.h"
#include "mirror/store/mirror_schema.h"
#include "schema/pack_path.h"
#include "schema/semver.h"

/* --- Putting aside --- */

static gboolean flush_directory_of(const char *path, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gboolean good = fd >= 0 && fsync(fd) == 0;
    if (!good)
        kontor_error_set_errno(error, errno, "%s", directory);
    if (fd >= 0)
        close(fd);
    return good;
}

/* The main file goes first: a log without one is dropped by whoever makes a new file of that name. */
static char *put_aside(const char *path, GError **error)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    guint8 random[4];
    char hex[2 * sizeof random + 1];
    random_fill(random, sizeof random);
    hex_encode(random, sizeof random, hex);
    g_autofree char *aside = g_strdup_printf("%s.damaged-%s", path, hex);
    for (guint i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree char *from = g_strconcat(path, suffixes[i], NULL);
        g_autofree char *to = g_strconcat(aside, suffixes[i], NULL);
        if (g_rename(from, to) != 0 && (i == 0 || errno != ENOENT)) {
            kontor_error_set_errno(error, errno, "%s", from);
            return NULL;
        }
    }
    return flush_directory_of(path, error) ? g_steal_pointer(&aside) : NULL;
}

/* --- What can still be read --- */

static gboolean makes_sense(const MirroredPack *pack)
{
    char fingerprint[FINGERPRINT_CHARS + 1];
    Semver version;
    return pack_path_check(pack->path, NULL) && pack->policy <= PACK_POLICY_REQUIRED &&
           (*pack->fingerprint == '\0' || trust_fingerprint_parse(pack->fingerprint, fingerprint)) &&
           (*pack->version == '\0' || semver_parse(pack->version, &version, NULL));
}

/* Rows that are read twice are the same. */
static guint copy_held(MirrorDb *to, DbStatement *rows)
{
    guint count = 0;
    for (gboolean row = TRUE; rows != NULL && db_step(rows, &row, NULL) && row;) {
        g_autoptr(MirroredPack) pack = mirror_held_of_row(rows);
        gboolean known = FALSE;
        g_autoptr(MirroredPack) before = NULL;
        if (!makes_sense(pack) || !mirror_db_has_source(to, pack->source, &known, NULL) ||
            !mirror_db_held(to, pack->path, pack->is_private, &before, NULL) || before != NULL)
            continue;
        pack->withdrawn = pack->withdrawn || !known;
        count += mirror_held_put(to, pack, NULL) ? 1 : 0;
    }
    return count;
}

static void copy_sources(MirrorDb *to, Db *from)
{
    g_autoptr(DbStatement) rows = db_prepare(from, "SELECT name, origin FROM sources", NULL);
    for (gboolean row = TRUE; rows != NULL && db_step(rows, &row, NULL) && row;) {
        g_autoptr(DbStatement) insert =
            db_prepare(to->db, "INSERT OR IGNORE INTO sources(name, origin) VALUES (?, ?)", NULL);
        if (insert == NULL)
            return;
        db_bind_text(insert, 1, db_column_text(rows, 0));
        db_bind_text(insert, 2, db_column_text(rows, 1));
        db_run(insert, NULL);
    }
}

/* What was held by the rows that could be read; their number. */
static guint copy_all(MirrorDb *to, Db *from)
{
    copy_sources(to, from);
    g_autoptr(DbStatement) up =
        db_prepare(from, "SELECT " MIRROR_HELD_COLUMNS " FROM held ORDER BY path, is_private", NULL);
    guint count = copy_held(to, up);
    g_autoptr(DbStatement) down = db_prepare(
        from, "SELECT " MIRROR_HELD_COLUMNS " FROM held ORDER BY path DESC, is_private DESC", NULL);
    return count + copy_held(to, down);
}

/* The file is opened for writing, since its log may have to be played back. */
static gboolean salvage(MirrorDb *to, const char *aside, guint *ret_count, GError **error)
{
    g_autoptr(Db) from = db_open(aside, DB_WRITE, &mirror_schema, NULL);
    *ret_count = 0;
    if (from == NULL)
        return TRUE;
    if (!mirror_db_begin(to, error))
        return FALSE;
    *ret_count = copy_all(to, from);
    return mirror_db_finish(to, TRUE, error);
}

MirrorDb *mirror_db_open_or_salvage(const char *path, char **ret_damage, GError **error)
{
    guint count = 0;
    g_autoptr(GError) damage = NULL;
    *ret_damage = NULL;
    g_autoptr(MirrorDb) db = mirror_db_open(path, DB_WRITE, &damage);
    if (db != NULL && db_check(db->db, &damage))
        return g_steal_pointer(&db);
    g_clear_pointer(&db, mirror_db_close);
    if (!g_error_matches(damage, KONTOR_ERROR, KONTOR_ERROR_CORRUPT)) {
        g_propagate_error(error, g_steal_pointer(&damage));
        return NULL;
    }
    g_autofree char *aside = put_aside(path, error);
    db = aside != NULL ? mirror_db_open(path, DB_WRITE, error) : NULL;
    if (db == NULL || !salvage(db, aside, &count, error))
        return NULL;
    *ret_damage = g_strdup_printf("%s; it was put aside as '%s' and made anew: of %u paths it is still known "
                                  "what they are at, all sources are asked for everything again, and for "
                                  "other paths older releases than before may be accepted",
                                  damage->message, aside, count);
    return g_steal_pointer(&db);
}

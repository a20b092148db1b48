/* SPDX-License-Identifier: MIT */
#include "mirror/store/mirror_schema.h"

static const char *const migrations[] = {
    /* What the configuration names, and how it fares. `origin`: when it changes, nothing that was known holds
     * any more. `epoch` counts how often the state was forgotten. */
    "CREATE TABLE sources ("
    "  name TEXT PRIMARY KEY,"
    "  origin TEXT NOT NULL,"
    "  state TEXT NOT NULL DEFAULT '',"
    "  policy_hash TEXT NOT NULL DEFAULT '',"
    "  epoch INTEGER NOT NULL DEFAULT 1,"
    "  last_try INTEGER NOT NULL DEFAULT 0,"
    "  last_ok INTEGER NOT NULL DEFAULT 0,"
    "  failures INTEGER NOT NULL DEFAULT 0,"
    "  last_error TEXT NOT NULL DEFAULT '',"
    "  alarm TEXT NOT NULL DEFAULT '',"
    "  alarm_reason TEXT NOT NULL DEFAULT '',"
    "  packs_seen INTEGER NOT NULL DEFAULT 0"
    ") STRICT, WITHOUT ROWID;"

    /* What became of the content that a source has at a path now. The columns from `digest` on describe the
     * release of outcome 0 (installed). `rule` is a name, since the order of the rules may change. */
    "CREATE TABLE packs ("
    "  source TEXT NOT NULL REFERENCES sources(name) ON DELETE CASCADE,"
    "  path TEXT NOT NULL,"
    "  is_private INTEGER NOT NULL CHECK (is_private IN (0, 1)),"
    "  identity TEXT NOT NULL,"
    "  outcome INTEGER NOT NULL CHECK (outcome BETWEEN 0 AND 3),"
    "  rule TEXT NOT NULL,"
    "  reason TEXT NOT NULL,"
    "  time INTEGER NOT NULL,"
    "  digest BLOB NOT NULL CHECK (length(digest) = 32),"
    "  content_sha256 BLOB NOT NULL CHECK (length(content_sha256) = 32),"
    "  policy INTEGER NOT NULL CHECK (policy BETWEEN 0 AND 2),"
    "  fingerprint TEXT NOT NULL,"
    "  publisher TEXT NOT NULL,"
    "  version TEXT NOT NULL,"
    "  published_at TEXT NOT NULL,"
    "  origin TEXT NOT NULL,"
    "  PRIMARY KEY (source, path)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX packs_by_path ON packs(path);"
    "CREATE INDEX packs_refused ON packs(source, is_private, rule) WHERE outcome = 2;"
    "CREATE INDEX packs_gone ON packs(source) WHERE outcome = 3;"

    /* The release that every path is at: served, or remembered so that nothing older may follow. `source` is
     * who brought it, even when it is not configured any more. */
    "CREATE TABLE held ("
    "  path TEXT NOT NULL,"
    "  is_private INTEGER NOT NULL CHECK (is_private IN (0, 1)),"
    "  served INTEGER NOT NULL CHECK (served IN (0, 1)),"
    "  source TEXT NOT NULL,"
    "  installed INTEGER NOT NULL,"
    "  digest BLOB NOT NULL CHECK (length(digest) = 32),"
    "  content_sha256 BLOB NOT NULL CHECK (length(content_sha256) = 32),"
    "  policy INTEGER NOT NULL CHECK (policy BETWEEN 0 AND 2),"
    "  fingerprint TEXT NOT NULL,"
    "  publisher TEXT NOT NULL,"
    "  version TEXT NOT NULL,"
    "  published_at TEXT NOT NULL,"
    "  origin TEXT NOT NULL,"
    "  PRIMARY KEY (path, is_private)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX held_served ON held(source) WHERE served = 1;"

    /* What was installed at a path, in the order of `number`; the last MIRROR_KEEP_MAX. */
    "CREATE TABLE releases ("
    "  path TEXT NOT NULL,"
    "  is_private INTEGER NOT NULL CHECK (is_private IN (0, 1)),"
    "  number INTEGER NOT NULL,"
    "  digest BLOB NOT NULL CHECK (length(digest) = 32),"
    "  installed INTEGER NOT NULL,"
    "  PRIMARY KEY (path, is_private, number)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX releases_by_digest ON releases(digest);"

    /* Ids grow: the newest row is never deleted. */
    "CREATE TABLE history ("
    "  id INTEGER PRIMARY KEY,"
    "  time INTEGER NOT NULL,"
    "  source TEXT NOT NULL,"
    "  path TEXT NOT NULL,"
    "  event TEXT NOT NULL,"
    "  rule TEXT NOT NULL,"
    "  version TEXT NOT NULL,"
    "  digest TEXT NOT NULL,"
    "  reason TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX history_by_source ON history(source, id);",

    /* 1: results were reported since `state` was stored. */
    "ALTER TABLE sources ADD COLUMN unsettled INTEGER NOT NULL DEFAULT 0 CHECK (unsettled IN (0, 1));",
    NULL,
};

const DbSchema mirror_schema = {.application_id = 0x4b4f4d49, .migrations = migrations};

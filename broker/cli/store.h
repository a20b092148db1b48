/* SPDX-License-Identifier: MIT
 *
 * The sub-commands of 'kontor store' and what they share. Their table is in cmd_store.c.
 */
#pragma once

#include "broker/cli/cli.h"
#include "broker/cli/client.h"
#include "broker/data_dir.h"
#include "mirror/store/mirror_db.h"
#include "mirror/store/release_store.h"

CliExit store_gc_run(const CliArgs *args);    /* store_gc.c */
CliExit store_check_run(const CliArgs *args); /* store_check.c */

/* The configuration that --data and --config name. */
Config *store_config_load(const CliArgs *args, GError **error);
/* The release store for looking; *ret NULL when nothing was ever mirrored. NOT_FOUND when there is no data
 * directory. */
gboolean store_open(const Config *config, ReleaseStore **ret, GError **error);
/* Whoever may change the store: the caller, who has taken the data directory then, or the broker that has it.
 * Exactly one of both is set. */
gboolean store_take(const Config *config, DataDir **ret_dir, CliClient **ret_broker, GError **error);
/* mirror.db, which is never made here: a store without it would look as if nothing in it were needed.
 * NOT_FOUND when there is none. */
MirrorDb *store_db_open(const Config *config, DbMode mode, GError **error);

/* Prints one line of JSON. */
void store_print_json(GString *json);
/* "1.2 MiB"; a new string. */
char *store_bytes(guint64 bytes);

/* SPDX-License-Identifier: MIT
 *
 * The layout of index.db, and how the numbers in it are made.
 *
 * Everything in the file is derived from the packs and can be made anew, so there are no migrations: a new
 * layout gets a new application_id, and a file with another one is thrown away. search_schema.c has the
 * tables with the meaning of every column.
 *
 * A page's number is (number of its pack << SEARCH_PACK_SHIFT) + its row in wiki/index.md. The full-text
 * table knows pages by this number alone, so that the pack of a match is known without a look-up, and numbers
 * ascend in index order.
 */
#pragma once

#include "mirror/store/db.h"
#include "schema/limits.h"

#define SEARCH_PACK_SHIFT 20
G_STATIC_ASSERT(LIMIT_INDEX_ROWS < (1 << SEARCH_PACK_SHIFT));

/* Application id and tables, for db_open. */
extern const DbSchema search_schema;

/* Opens the file for its one writer. */
Db *search_schema_open_writer(const char *path, GError **error);
/* Opens a connection for queries. */
Db *search_schema_open_reader(const char *path, GError **error);

/* Pages in the index, as the connection sees it. */
gboolean search_schema_count_rows(Db *db, guint64 *ret_rows, GError **error);

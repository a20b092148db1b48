/* SPDX-License-Identifier: MIT
 *
 * The tables of mirror.db. Only the modules of mirror_db.h include this; mirror_schema.c has the SQL with
 * what every column means.
 */
#pragma once

#include "mirror/store/db.h"

extern const DbSchema mirror_schema;

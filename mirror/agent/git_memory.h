/* SPDX-License-Identifier: MIT
 *
 * A ceiling on the memory that libgit2 takes, all its objects together: a few hundred bytes of a hostile
 * repository can describe gigabytes (an object that unpacks to 4 GiB, a delta on top of it). libgit2 reports
 * a refused allocation as an error, and the sync ends with LIMIT, where the process would otherwise be
 * killed.
 */
#pragma once

#include <glib.h>

/* Before libgit2 is started; again to change the ceiling. */
void git_memory_init(guint64 bytes_max);
/* In use now; about. */
guint64 git_memory_used(void);

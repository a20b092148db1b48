/* SPDX-License-Identifier: MIT
 *
 * Whole directory trees of the store: how much disk they take, and getting rid of them. Symbolic links are
 * never followed: nothing outside the tree is looked at or touched, whatever it holds.
 *
 * Blocking; any thread.
 */
#pragma once

#include "schema/error.h"

/* The bytes on disk of the file or directory `name` below the directory `at_fd`, with everything in it; a
 * file with several links counts its share. What vanishes meanwhile, and what may not be read, counts
 * nothing; so does a name that does not exist. */
guint64 dir_tree_bytes(int at_fd, const char *name);
/* Removes it with everything in it; success when it does not exist. On failure some of it may be gone. */
gboolean dir_tree_remove(int at_fd, const char *name, GError **error);

/* Flushes every file and directory of the tree to disk. */
gboolean dir_tree_flush(int at_fd, const char *name, GError **error);
/* Calls `func` with the name of everything in the directory `fd` but "." and "..", in no order. FALSE when
 * `func` is, or when the directory cannot be read. */
typedef gboolean (*DirTreeFunc)(const char *name, gpointer user, GError **error);
gboolean dir_tree_each(int fd, DirTreeFunc func, gpointer user, GError **error);

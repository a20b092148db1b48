/* SPDX-License-Identifier: MIT
 *
 * Names that some file systems take for one: those without case (NTFS, APFS by default) and those that
 * compose accents (APFS, HFS+). A pack that holds two such names cannot be laid down there, so it is refused
 * everywhere: what a reader gets must not depend on the reader's disk.
 *
 * Pure functions of UTF-8 text.
 */
#pragma once

#include "schema/error.h"

/* The form in which two names (or slash paths) that collide are equal: canonically composed and case-folded.
 * A new string. */
char *name_fold(const char *name);

/* A growing set of slash paths of files, that knows its own collisions. Embedded nowhere; one thread. */
typedef struct NameSet NameSet;

NameSet *name_set_new(void);
void name_set_free(NameSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NameSet, name_set_free)
/* Adds a file. When it, or a directory above it, collides with what is there already (another spelling, or a
 * file where a directory is meant), the spelling that is there; NULL when all is well. The result is borrowed
 * until the set is freed; directories end with a slash. */
const char *name_set_add(NameSet *set, const char *path);

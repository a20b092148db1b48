/* SPDX-License-Identifier: MIT
 *
 * The insides of a ReleaseStore, for the modules that release_store.h is made of: release_store.c, staging.c,
 * store_collect.c and store_check.c. Nobody else includes this.
 */
#pragma once

#include "mirror/store/release_store.h"

struct ReleaseStore {
    char *directory;    /* the store */
    char *releases_dir; /* the same with /releases */
    char *tmp_dir;
    int fd, releases_fd, tmp_fd; /* these three, open; -1 while opening */
    guint64 disk_free_min_bytes;
    guint64 unchecked_bytes; /* staged since the disk was looked at */
};

/* A name for something new in tmp/. */
char *release_store_new_name(const char *prefix);
/* The name of a release's directory. */
void release_store_name_of(const guint8 digest[SHA256_BYTES], char ret[SHA256_HEX_CHARS + 1]);

/* --- Staging, for the installer --- */

const char *staging_name(const Staging *staging); /* in tmp/ */
guint staging_files(const Staging *staging);
/* NULL when it was not set. */
const guint8 *staging_digest(const Staging *staging);
/* For messages: "pack 'history/rome'". */
const char *staging_label(const Staging *staging);
/* The directory's time becomes now, which is when the release counts as installed. */
gboolean staging_stamp(Staging *staging, GError **error);
gboolean staging_is_replacing(const Staging *staging);
/* It is no longer in tmp/. */
void staging_set_installed(Staging *staging);

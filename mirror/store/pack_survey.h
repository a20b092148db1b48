/* SPDX-License-Identifier: MIT
 *
 * The first half of taking a place (pack_place.h): which files it has, with names and identities, without
 * reading any. It is all that an unchanged place costs.
 *
 * Limits on names, sizes and numbers are enforced here; what is left out is named in the warnings, what makes
 * the place unfit to be served in the problem. A PackSurvey belongs to one thread.
 */
#pragma once

#include "mirror/catalog/catalog.h"

/* What was found. */
typedef struct {
    GArray *files; /* of CatalogFile, names in `names` */
    GStringChunk *names;
    GPtrArray *warnings; /* of char * */
    char *problem;
    guint warnings_left_out;
    guint entries; /* names of any kind seen under wiki/ */
    guint64 bytes;
    gint64 newest_us;  /* latest change of any file; 0 of a release, which is never written again */
    gboolean is_place; /* there is a manifest.yaml or a wiki/, usable or not */
    gboolean is_release;
} PackSurvey;

/* Surveys the directory `disk` below `root_fd`. Errors are those of pack_dir.h: CONFLICT and NOT_FOUND when
 * it changed meanwhile or is not there. */
PackSurvey *pack_survey_take(int root_fd, const char *disk, gboolean is_release, GError **error);
void pack_survey_free(PackSurvey *survey);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PackSurvey, pack_survey_free)

/* Adds a warning; only counts it when there are many. */
void pack_survey_warn(PackSurvey *survey, const char *name, const char *what);
/* Sets the problem; the first one stands. */
void pack_survey_fail(PackSurvey *survey, const char *name, const char *what);
/* Tells of a file that is not served. Without index.md a place is no pack: if it is there and cannot be used,
 * that is the problem to show. */
void pack_survey_leave_out(PackSurvey *survey, const char *name, const char *what);

/* The file of that name (relative to the place), or NULL. */
CatalogFile *pack_survey_find(const PackSurvey *survey, const char *name);
/* Equal means that the place need not be read again. Warnings belong to it, so that a new symbolic link is
 * told of. Device numbers do not: they may change when the machine starts, and then everything would be read
 * again. */
void pack_survey_fingerprint(const PackSurvey *survey, guint8 ret[SHA256_BYTES]);

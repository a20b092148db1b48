/* SPDX-License-Identifier: MIT
 *
 * Version numbers after Semantic Versioning 2.0.0, as manifests and skills carry them: "1.4.0-rc.2+linux".
 * A Semver is a plain value without pointers: copy and drop it freely. Build metadata is checked and
 * forgotten, because it has no part in precedence.
 *
 * Ranges ("^1.2") are not supported here.
 */
#pragma once

#include "schema/error.h"
#include "schema/limits.h"

typedef struct {
    guint64 major, minor, patch;
    char prerelease[LIMIT_SEMVER_BYTES + 1]; /* without the "-"; "" for a release */
} Semver;

/* Reads a whole string. FALSE with MALFORMED (not of the grammar: missing part, leading zero, empty
 * identifier, foreign character) or LIMIT (longer than LIMIT_SEMVER_BYTES, or a number beyond 2^63 − 1); *ret
 * is untouched then. */
gboolean semver_parse(const char *text, Semver *ret, GError **error);

/* Precedence (section 11 of the specification): < 0, 0 or > 0. Numeric identifiers of a pre-release are
 * compared at any length. Versions that differ in build metadata alone are equal. */
int semver_compare(const Semver *a, const Semver *b);

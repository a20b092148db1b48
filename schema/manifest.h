/* SPDX-License-Identifier: MIT
 *
 * manifest.yaml of a pack: what it is called, what it is about and where it comes from.
 *
 * Existing packs come in many shapes, so reading never fails: a manifest that is not YAML, not a mapping,
 * too large or odd in places gives empty values and a warning, and the pack is served all the same
 * (contract: the summary of such a manifest is ""). Values are the texts that Python's str() would give (see
 * schema/yaml_str.h); absent and null ones are "". Texts too long are cut at a character, lists too long
 * after LIMIT_MANIFEST_DOMAINS and LIMIT_MANIFEST_SOURCES items.
 *
 * Deliberately stricter than PyYAML: anchors, aliases, tags and double keys make a manifest malformed.
 * Nothing here is checked for truth; a version, say, is any text. Immutable after parsing.
 */
#pragma once

#include "schema/error.h"

typedef struct {
    char *url;     /* as written, which may be a file:/// path of the author's computer */
    char *fetched; /* a date, usually */
    char *hash;
} ManifestSource;

typedef struct {
    char *name;
    char *version;
    char *summary; /* unfolded, possibly several lines; at most LIMIT_SUMMARY_BYTES */
    char *description;
    char *brief;
    char *scope;
    char *language;         /* such as "it" */
    char *min_node_version; /* such as "0.1.0" */
    char **domains;         /* NULL-terminated */
    GPtrArray *sources;     /* of ManifestSource */
    char *warning;          /* one line about the first thing that was wrong, or NULL */
} Manifest;

/* Reads `len` bytes. Never NULL; the caller owns the result. */
Manifest *manifest_parse(const void *data, gsize len);
void manifest_free(Manifest *manifest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Manifest, manifest_free)

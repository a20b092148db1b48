/* SPDX-License-Identifier: MIT
 *
 * What the reading routes answer: each function makes one resource from a snapshot, on a worker.
 */
#pragma once

#include "broker/serve/fetch.h"

/* The file of a page, manifest, signature, release or blob route in its served form. CONFLICT when its bytes
 * are not those that the scan has hashed. */
Resource *content_file(const FetchInput *input, GError **error);
/* GET /tree: ["name", …] */
Resource *content_tree_root(const FetchInput *input, GError **error);
/* GET /tree/{path}: {"children": […], "has_pack": …}; NOT_FOUND when there is no such directory. */
Resource *content_tree(const FetchInput *input, GError **error);
/* GET /packs: the paths of all packs. */
Resource *content_packs(const FetchInput *input, GError **error);
/* GET /packs/summaries: {"summaries": {path: summary}} of all packs with indexed rows, in path order. */
Resource *content_summaries(const FetchInput *input, GError **error);
/* GET /publishers. */
Resource *content_publishers(const FetchInput *input, GError **error);

/* GET /catalog/tombstones/{pack}: the manifest.sig by which a public pack was withdrawn, whoever asks;
 * NOT_FOUND when there is none. */
Resource *content_tombstone(const FetchInput *input, GError **error);

/* A JSON document that may be compressed and tagged; frees `json`. */
Resource *content_json(GString *json);

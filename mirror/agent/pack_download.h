/* SPDX-License-Identifier: MIT
 *
 * Fetches a pack from a broker as an OCC Node does and hashes what comes, so that a verdict over the result
 * is the Node's verdict: wiki/index.md, then every listed page whose name is downloadable in the order of its
 * rows, then manifest.yaml, then manifest.sig. Texts are taken as a Node takes them: decoded by the charset
 * of the answer, with what is not text replaced, and encoded as UTF-8. A page that is answered with anything
 * but 200 is passed over and will be missed by the verdict.
 *
 * After that, what a Node does not ask for: the other files that the release in manifest.sig lists, as bytes.
 * Files that nobody lists cannot be known of over HTTP and are not in the content.
 *
 * Nothing is written to disk. Blocking, one request after another; a Fetch belongs to one thread at a time.
 */
#pragma once

#include "mirror/agent/fetch.h"
#include "signing/release.h"

typedef struct {
    const char *broker_url; /* http://host[:port][/prefix] without a slash at its end */
    const char *path;       /* of the pack */
    const char *ca_file;    /* as in FetchOptions */
    gboolean direct;        /* as in FetchOptions */
    const char *bearer;     /* as in FetchOptions */
    /* Redirects are an error, and not a way to other hosts; texts are UTF-8, and no answer chooses which of
     * the system's converters reads it. */
    gboolean strict;
    gint64 deadline_us; /* monotonic; 0: LIMIT_DOWNLOAD_SECONDS from now */
    /* Called with the size of every answer, whatever its status; FALSE with `error` ends the download. NULL:
     * nobody counts. */
    gboolean (*charge)(gsize bytes, gpointer user, GError **error);
    /* Called with every file ("manifest.yaml", "wiki/…") and the bytes that were hashed; FALSE with `error`
     * ends the download. NULL: nobody wants them. */
    gboolean (*receive)(const char *name, GBytes *bytes, gpointer user, GError **error);
    gpointer user; /* of both */
} PackDownloadOptions;

typedef struct {
    PackContent *content;
    GBytes *sig;           /* manifest.sig; NULL: the broker says that there is none */
    GPtrArray *not_a_name; /* of char *: listed pages that no Node downloads because of their names */
} PackDownload;

/* NOT_FOUND when the broker has no index.md or no manifest.yaml there; DENIED for 401 and 403; BUSY for 429,
 * 5xx and deadlines (LIMIT_DOWNLOAD_FILE_MS, LIMIT_DOWNLOAD_SECONDS); LIMIT for too many or too large files;
 * MALFORMED for an index that is none; everything else as fetch_get. Messages begin with
 * pack and file. */
PackDownload *pack_download(Fetch *fetch, const PackDownloadOptions *options, GError **error);
void pack_download_free(PackDownload *download);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PackDownload, pack_download_free)

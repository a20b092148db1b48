/* SPDX-License-Identifier: MIT
 *
 * A resource: one representation of something that is read with GET, in every form in which it is sent: as it
 * is, compressed, in part, or as "not modified". A worker makes it; afterwards it belongs to one I/O thread
 * (it lays out the rarer forms when they are first asked for). Its replies may be sent by any thread.
 *
 * Tags are strong: the hash of the bytes, with "-gz" behind it for the compressed form (RFC 9110 section
 * 8.8.3 wants different tags for different bytes).
 */
#pragma once

#include "broker/net/http.h"

typedef struct Resource Resource;

typedef struct {
    const char *content_type;
    gboolean compress;           /* make the gzip form, too, when it is worth it … */
    gboolean hashes;             /* … of what is hexadecimal digits for the most part */
    gboolean later;              /* but not yet, because nobody has asked for it: resource_lacks says when */
    gboolean sandbox;            /* a browser must not run what it contains */
    const char *security_policy; /* Content-Security-Policy of our own pages; NULL: none */
    const char *cache_control;   /* NULL: none */
} ResourceOptions;

/* --- Life cycle --- */

/* `sha256` (32 bytes) is the hash of `body`. Blocking when it compresses: workers. */
Resource *resource_new(const ResourceOptions *options, GBytes *body, const guint8 *sha256);
/* Says of every form that it is for this asker alone: no cache may keep it for others. Before it is shared.
 */
void resource_make_private(Resource *resource);
/* Wraps a finished reply that has one form only; takes it over. */
Resource *resource_new_plain(HttpReply *reply);
void resource_free(Resource *resource);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Resource, resource_free)

/* --- Queries --- */

/* The answer to a GET or HEAD: 200, 206, 304 or 416 as its headers ask. A new reference. */
HttpReply *resource_answer(Resource *resource, const HttpRequest *request);
/* TRUE when the request would get the gzip form if that had been made: then make the resource anew. */
gboolean resource_lacks(const Resource *resource, const HttpRequest *request);
/* The request takes the gzip form where there is one. */
gboolean resource_takes_gzip(const HttpRequest *request);
/* Memory to count for it, in bytes. */
gsize resource_cost(const Resource *resource);

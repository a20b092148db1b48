/* SPDX-License-Identifier: MIT
 *
 * A search or look-up as it was asked, checked and clamped, and the bodies that answer it. Pure functions.
 */
#pragma once

#include "broker/net/http.h"
#include "broker/search/search.h"

typedef enum { SEARCH_TEXT, SEARCH_LOOKUP } SearchKind;

typedef struct {
    SearchKind kind;
    char *text;  /* q or term */
    guint count; /* k or limit, clamped */
    char *scope; /* as asked, not yet normalized; "" for look-ups */
} SearchRequest;

void search_request_clear(SearchRequest *request);

/* Reads the body of POST /search or /lookup_entity. NULL on success; otherwise the 422, and `ret` is
 * untouched. */
HttpReply *search_request_parse(SearchKind kind, HttpSlice content_type, const guint8 *data, gsize len,
                                SearchRequest *ret);

/* {"results":[…]} of SearchHit *. */
HttpReply *search_hits_reply(const GPtrArray *hits);
/* {"results":[…]} of SearchEntity *. */
HttpReply *search_entities_reply(const GPtrArray *entities);

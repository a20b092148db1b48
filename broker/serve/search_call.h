/* SPDX-License-Identifier: MIT
 *
 * POST /search, POST /lookup_entity and the search of the home page: one search from request to answer.
 *
 * Order of checks (contract): body, rate limit, scope. The limit counts searches and look-ups together. Small
 * bodies are parsed on the I/O thread, larger ones by the worker that also runs the search. Answers are kept
 * per index generation.
 *
 * Who has a view is answered from two indexes: the public one and that of the view's private packs, each with
 * its own statistics, merged by score. So what private packs say never moves a score that a stranger sees.
 */
#pragma once

#include "broker/serve/search_request.h"
#include "broker/serve/state.h"

/* Answers the exchange, whose request is a POST of one of the two kinds. */
void search_call_post(ServeThread *thread, HttpExchange *exchange, const View *view, SearchKind kind);
/* Answers with an HTML page; `text` and `scope` come from the query of the target. */
void search_call_home(ServeThread *thread, HttpExchange *exchange, const View *view, const char *text,
                      const char *scope);

/* SPDX-License-Identifier: MIT
 *
 * Checks JSON bodies the way existing clients know it from the reference (facts section 1): the media type
 * must be JSON, numeric strings count as integers, null is not a string, unknown keys are ignored, and every
 * failed check becomes one member of the `detail` list of a 422. Pure but for the allocation of the answer.
 */
#pragma once

#include "broker/serve/status.h"
#include "schema/json_reader.h"

enum { REQUEST_BODY_PROBLEMS_MAX = 8 };

typedef struct {
    JsonDoc *doc; /* strings got from the body live as long as it */
    const JsonValue *root;
    StatusProblem problems[REQUEST_BODY_PROBLEMS_MAX];
    guint problem_count;
} RequestBody;

/* Parses. Afterwards the getters may be called in any case; request_body_is_valid tells whether all went
 * well. */
void request_body_init(RequestBody *body, HttpSlice content_type, const guint8 *data, gsize len);
void request_body_clear(RequestBody *body);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RequestBody, request_body_clear)

/* A string of at most `bytes_max`. `fallback` when the key is absent; NULL means that it is required. Never
 * returns NULL. */
const char *request_body_string(RequestBody *body, const char *key, gsize bytes_max, const char *fallback);
/* The same with null allowed; NULL when absent or null. */
const char *request_body_string_or_null(RequestBody *body, const char *key, gsize bytes_max);
/* An integer, clamped into min..max. Booleans count as 0 and 1, "7" and 7.0 as 7. */
gint64 request_body_integer(RequestBody *body, const char *key, gint64 min, gint64 max, gint64 fallback);

gboolean request_body_is_valid(const RequestBody *body);
/* The 422 for what was found. */
HttpReply *request_body_refusal(const RequestBody *body);

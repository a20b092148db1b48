/* SPDX-License-Identifier: MIT
 *
 * The one table that turns errors into HTTP: codes of schema/error.h to statuses, statuses to the
 * {"detail": …} bodies of the contract, and the shapes of validation failures. The loopback API has an
 * envelope of its own ({"error","message","status"}), made here as well.
 */
#pragma once

#include "broker/net/http.h"
#include "schema/error.h"

/* The status for an error of the world that reached a route. */
guint status_of_error(const GError *error);

/* {"detail": <reason phrase of the status>}; for 503 with Retry-After: 1. A new reference to a shared reply.
 */
HttpReply *status_reply(guint status);
/* {"detail": <detail>}; `detail` is our own text, or a message that may be shown to the caller. */
HttpReply *status_reply_detail(guint status, const char *detail);
/* 405 with Allow. */
HttpReply *status_reply_method(const char *allow);
/* 429 with the contract's text and Retry-After. */
HttpReply *status_reply_rate_limited(guint retry_after_s);
/* 503 with a text and Retry-After: 1. */
HttpReply *status_reply_busy(const char *detail);

/* One failed check of a body: a member of the list of a 422. `loc` is the key below "body", NULL for the body
 * itself. */
typedef struct {
    const char *loc;
    const char *type;
    const char *msg;
} StatusProblem;
/* {"detail":[{"type","loc","msg"} …]} */
HttpReply *status_reply_invalid(const StatusProblem *problems, guint count);

/* The loopback envelope. `code` is one of its stable names, such as "UNAUTHORIZED". */
HttpReply *status_reply_api(guint status, const char *code, const char *message);

/* A reply of JSON text that the writer has finished; frees `json`. */
HttpReply *status_reply_json(guint status, GString *json);

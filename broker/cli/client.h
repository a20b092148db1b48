/* SPDX-License-Identifier: MIT
 *
 * A broker's public HTTP surface, asked from the command line. Answers other than 2xx become errors that
 * carry the broker's own "detail", cleaned for a terminal: 404 and 410 NOT_FOUND, 401 and 403 DENIED, 429
 * LIMIT, 503 BUSY, 502 and 504 (of a front) IO, everything else MALFORMED.
 */
#pragma once

#include "broker/cli/cli.h"
#include "schema/json_reader.h"

typedef struct CliClient CliClient;

/* The broker that --at names; else the one that runs on the data directory; else http://127.0.0.1:8000,
 * unless
 * --data was given: IO when no broker runs there.
 * $SSL_CERT_FILE replaces the system's certificates. */
CliClient *cli_client_new(const CliArgs *args, GError **error);
/* The broker at a URL or host:port, as --at has it. */
CliClient *cli_client_new_at(const char *address);
/* The broker at `base_url`, asked without proxies and with a bearer token. */
CliClient *cli_client_new_loopback(const char *base_url, const char *bearer);
/* The loopback interface of the broker that runs on the data directory. NOT_FOUND when none runs there,
 * UNSUPPORTED when it is turned off, DENIED when its token may not be read. */
CliClient *cli_client_new_api(const char *data_dir, GError **error);
/* The token to send from now on (copied); NULL: none. */
void cli_client_set_bearer(CliClient *client, const char *bearer);
void cli_client_free(CliClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliClient, cli_client_free)

/* Whom it asks, for messages; without a slash at its end. */
const char *cli_client_url(const CliClient *client);

/* GET and POST of JSON: the bytes of the answer. `target` begins with "/" and is already escaped
 * (cli_client_target). */
GBytes *cli_client_get(CliClient *client, const char *target, GError **error);
GBytes *cli_client_post(CliClient *client, const char *target, const GString *body, GError **error);
/* An answer as JSON. */
JsonDoc *cli_client_parse(CliClient *client, GBytes *answer, GError **error);

/* prefix + path with everything but unreserved characters and "/" escaped + suffix. A new string. */
char *cli_client_target(const char *prefix, const char *path, const char *suffix);

/* Prints the error and returns the code that fits a question to a broker: NOT_FOUND; UNREACHABLE for IO, BUSY
 * and UNTRUSTED; else FAILURE. */
CliExit cli_client_fail(const GError *error);

/* SPDX-License-Identifier: MIT
 *
 * What the commands that sign, verify and compare packs share: where a pack comes from (a directory or a
 * URL), whom the user trusts, which time it is, and which exit code a verdict gets.
 */
#pragma once

#include "broker/cli/cli.h"
#include "signing/release.h"

#define CLI_OPTION_TRUST                                                                                     \
    {                                                                                                        \
        "trust", 0, "FILE", "trust list (default: that of the configuration)", FALSE                         \
    }
#define CLI_OPTION_AT_TIME                                                                                   \
    {                                                                                                        \
        "at-time", 0, "TIME", "the time to go by, such as 2026-01-31T12:00:00Z (default: now)", FALSE        \
    }

/* --- Packs --- */

typedef struct {
    PackContent *content;
    GBytes *sig; /* manifest.sig, or NULL */
    char *path;  /* under which it stands; NULL: a directory says nothing of it */
} VerifySource;

/* Reads a pack from an http(s) URL, such as https://library.example/packs/history/rome, as a Node would, or
 * from a directory. Messages begin with the operand. */
VerifySource *verify_source_open(const char *operand, GError **error);
/* The pack `path` of the broker at `broker_url`, asked with a read token unless `bearer` is NULL. */
VerifySource *verify_source_download(const char *broker_url, const char *path, const char *bearer,
                                     GError **error);
void verify_source_free(VerifySource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VerifySource, verify_source_free)

/* --- Verdicts --- */

/* The list of --trust, which must exist; else that of the configuration (--data), which may be absent. Says
 * on standard error which entries were skipped. */
TrustList *verify_trust_load(const CliArgs *args, GError **error);
/* --at-time as Unix seconds; the present time when it was not given. */
gboolean verify_time(const CliArgs *args, gint64 *ret, GError **error);

CliExit verify_exit_code(AcceptRule rule);
/* The worse of two: bad signature, untrusted, unsigned, mismatch, failure, not found, unreachable, good. */
CliExit verify_worse_exit(CliExit a, CliExit b);
/* The exit code for a pack that could not be had. */
CliExit verify_error_exit(const GError *error);

/* Threads for hashing: as many as there are processors, at most eight. */
guint verify_threads(void);

/* SPDX-License-Identifier: MIT
 *
 * The one error domain of Kontor. A GError of this domain says what the world did; our own mistakes are
 * asserts.
 *
 * Messages are one line without a final full stop and name the thing they are about:
 *   pack 'history/rome': page concepts/x.md: hash differs from manifest.sig
 * A caller that knows more prefixes with g_prefix_error (error, "pack '%s': ", path) and never restates. Only
 * broker/ translates codes into HTTP statuses and WebSocket answers, in one table (broker/serve/status.h).
 */
#pragma once

#include <glib.h>

#define KONTOR_ERROR (kontor_error_quark())

typedef enum {
    KONTOR_ERROR_NOT_FOUND,   /* the named thing does not exist, or may not be known to the asker */
    KONTOR_ERROR_MALFORMED,   /* bytes that do not follow their format */
    KONTOR_ERROR_SIGNATURE,   /* a signature or hash that does not fit the bytes */
    KONTOR_ERROR_UNTRUSTED,   /* a good signature by a key that nobody here trusts */
    KONTOR_ERROR_LIMIT,       /* a named limit of schema/limits.h or of the configuration exceeded */
    KONTOR_ERROR_CONFLICT,    /* contradicts what is already held */
    KONTOR_ERROR_ROLLBACK,    /* older than what is already held */
    KONTOR_ERROR_IO,          /* the operating system said no; the message carries strerror */
    KONTOR_ERROR_BUSY,        /* try again later: queue full, deadline passed, lock held by another process */
    KONTOR_ERROR_DENIED,      /* not permitted to this caller */
    KONTOR_ERROR_UNSUPPORTED, /* well-formed, but a version, algorithm or feature that is not implemented */
    KONTOR_ERROR_CORRUPT,     /* our own stored data is damaged */
    KONTOR_ERROR_CANCELLED,   /* the asker is gone or the program is stopping */
} KontorErrorCode;

/* The quark behind KONTOR_ERROR. */
GQuark kontor_error_quark(void);

/* Short stable lower-case name of a code ("not-found", "malformed", …), for metrics labels and JSON. */
const char *kontor_error_name(KontorErrorCode code);

/* Sets *error from errno: "<what>: <strerror>", code NOT_FOUND for ENOENT and ENOTDIR, DENIED for EACCES and
 * EPERM, LIMIT for ENOSPC, EDQUOT, EMFILE and ENAMETOOLONG, IO otherwise. Returns FALSE always, so that
 * callers can return it. */
gboolean kontor_error_set_errno(GError **error, int errno_value, const char *what_format, ...)
    G_GNUC_PRINTF(3, 4);

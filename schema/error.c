/* SPDX-License-Identifier: MIT */
#include "schema/error.h"

#include <errno.h>

/* Not G_DEFINE_QUARK: its cache is a plain variable, and several threads may fail for the first time at once.
 */
GQuark kontor_error_quark(void)
{
    static gsize quark;
    if (g_once_init_enter(&quark))
        g_once_init_leave(&quark, g_quark_from_static_string("kontor-error-quark"));
    return (GQuark)quark;
}

const char *kontor_error_name(KontorErrorCode code)
{
    static const char *const names[] = {
        [KONTOR_ERROR_NOT_FOUND] = "not-found",
        [KONTOR_ERROR_MALFORMED] = "malformed",
        [KONTOR_ERROR_SIGNATURE] = "signature",
        [KONTOR_ERROR_UNTRUSTED] = "untrusted",
        [KONTOR_ERROR_LIMIT] = "limit",
        [KONTOR_ERROR_CONFLICT] = "conflict",
        [KONTOR_ERROR_ROLLBACK] = "rollback",
        [KONTOR_ERROR_IO] = "io",
        [KONTOR_ERROR_BUSY] = "busy",
        [KONTOR_ERROR_DENIED] = "denied",
        [KONTOR_ERROR_UNSUPPORTED] = "unsupported",
        [KONTOR_ERROR_CORRUPT] = "corrupt",
        [KONTOR_ERROR_CANCELLED] = "cancelled",
    };
    g_assert((guint)code < G_N_ELEMENTS(names));
    return names[code];
}

static KontorErrorCode code_of_errno(int errno_value)
{
    switch (errno_value) {
    case ENOENT:
    case ENOTDIR:
        return KONTOR_ERROR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return KONTOR_ERROR_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENAMETOOLONG:
        return KONTOR_ERROR_LIMIT;
    default:
        return KONTOR_ERROR_IO;
    }
}

gboolean kontor_error_set_errno(GError **error, int errno_value, const char *what_format, ...)
{
    va_list args;
    va_start(args, what_format);
    g_autofree char *what = g_strdup_vprintf(what_format, args);
    va_end(args);
    g_set_error(error, KONTOR_ERROR, code_of_errno(errno_value), "%s: %s", what, g_strerror(errno_value));
    return FALSE;
}

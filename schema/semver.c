/* SPDX-License-Identifier: MIT */
#include "schema/semver.h"

#include "schema/text.h"

#include <string.h>

static gboolean refuse(GError **error, KontorErrorCode code, const char *text, const char *what)
{
    g_autofree char *shown = text_for_message(text, strlen(text));
    g_set_error(error, KONTOR_ERROR, code, "version '%s': %s", shown, what);
    return FALSE;
}

/* --- Parsing --- */

/* Length of the leading digits. */
static gsize digits_length(const char *text)
{
    gsize len = 0;
    while (g_ascii_isdigit(text[len]))
        len++;
    return len;
}

/* One of the three numbers; moves *at behind it. */
static gboolean take_number(const char *text, const char **at, guint64 *ret, GError **error)
{
    gsize len = digits_length(*at);
    if (len == 0)
        return refuse(error, KONTOR_ERROR_MALFORMED, text, "three numbers joined by dots expected");
    if (len > 1 && **at == '0')
        return refuse(error, KONTOR_ERROR_MALFORMED, text, "leading zero");
    guint64 value = 0;
    for (gsize i = 0; i < len; i++) {
        guint digit = (guint)((*at)[i] - '0');
        if (value > ((guint64)G_MAXINT64 - digit) / 10)
            return refuse(error, KONTOR_ERROR_LIMIT, text, "number too large");
        value = value * 10 + digit;
    }
    *ret = value;
    *at += len;
    return TRUE;
}

static gboolean take_numbers(const char *text, const char **at, Semver *ret, GError **error)
{
    guint64 *const numbers[] = {&ret->major, &ret->minor, &ret->patch};
    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (i > 0 && *(*at)++ != '.')
            return refuse(error, KONTOR_ERROR_MALFORMED, text, "three numbers joined by dots expected");
        if (!take_number(text, at, numbers[i], error))
            return FALSE;
    }
    return TRUE;
}

static gboolean is_identifier_byte(char c)
{
    return g_ascii_isalnum(c) || c == '-';
}

/* Identifiers joined by dots; moves *at behind them. Pre-release numbers have no leading zeros, build
 * metadata may. */
static gboolean take_identifiers(const char *text, const char **at, gboolean zeros_allowed, GError **error)
{
    for (;; (*at)++) {
        const char *start = *at;
        while (is_identifier_byte(**at))
            (*at)++;
        gsize len = (gsize)(*at - start);
        if (len == 0)
            return refuse(error, KONTOR_ERROR_MALFORMED, text, "empty identifier");
        if (!zeros_allowed && len > 1 && *start == '0' && digits_length(start) == len)
            return refuse(error, KONTOR_ERROR_MALFORMED, text, "leading zero");
        if (**at != '.')
            return TRUE;
    }
}

gboolean semver_parse(const char *text, Semver *ret, GError **error)
{
    if (strnlen(text, LIMIT_SEMVER_BYTES + 1) > LIMIT_SEMVER_BYTES)
        return refuse(error, KONTOR_ERROR_LIMIT, text, "too long");
    Semver version = {0};
    const char *at = text;
    if (!take_numbers(text, &at, &version, error))
        return FALSE;
    if (*at == '-') {
        const char *start = ++at;
        if (!take_identifiers(text, &at, /* zeros_allowed= */ FALSE, error))
            return FALSE;
        memcpy(version.prerelease, start, (gsize)(at - start));
    }
    if (*at == '+') {
        at++;
        if (!take_identifiers(text, &at, /* zeros_allowed= */ TRUE, error))
            return FALSE;
    }
    if (*at != '\0')
        return refuse(error, KONTOR_ERROR_MALFORMED, text, "unexpected character");
    *ret = version;
    return TRUE;
}

/* --- Precedence --- */

static int compare_numbers(guint64 a, guint64 b)
{
    return (a > b) - (a < b);
}

/* Identifiers of numbers only come before others and are compared as numbers: without leading zeros the
 * longer one is the larger. */
static int compare_identifiers(const char *a, gsize a_len, const char *b, gsize b_len)
{
    gboolean a_numeric = digits_length(a) == a_len, b_numeric = digits_length(b) == b_len;
    if (a_numeric != b_numeric)
        return a_numeric ? -1 : 1;
    if (a_numeric && a_len != b_len)
        return compare_numbers(a_len, b_len);
    int order = memcmp(a, b, MIN(a_len, b_len));
    return order != 0 ? order : compare_numbers(a_len, b_len);
}

static int compare_prereleases(const char *a, const char *b)
{
    /* A release comes after all its pre-releases. */
    if (*a == '\0' || *b == '\0')
        return (*a == '\0') - (*b == '\0');
    for (;;) {
        gsize a_len = strcspn(a, "."), b_len = strcspn(b, ".");
        int order = compare_identifiers(a, a_len, b, b_len);
        if (order != 0)
            return order;
        if (a[a_len] == '\0' || b[b_len] == '\0')
            return (a[a_len] != '\0') - (b[b_len] != '\0');
        a += a_len + 1;
        b += b_len + 1;
    }
}

int semver_compare(const Semver *a, const Semver *b)
{
    int order = compare_numbers(a->major, b->major);
    if (order == 0)
        order = compare_numbers(a->minor, b->minor);
    if (order == 0)
        order = compare_numbers(a->patch, b->patch);
    return order != 0 ? order : compare_prereleases(a->prerelease, b->prerelease);
}

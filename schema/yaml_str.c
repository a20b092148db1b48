/* SPDX-License-Identifier: MIT
 *
 * Resolution follows the order and the patterns that PyYAML uses for plain scalars: switch, float, integer,
 * null, timestamp. Everything here is short, so texts longer than any of these forms are left as they are
 * before a pattern is tried.
 */
#include "schema/yaml_str.h"

#include "schema/scalar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Longer plain scalars are text, or numbers that no manifest means. */
enum { RESOLVED_CHARS_MAX = 64 };

#define FLOAT_PATTERN                                                                                        \
    "^(?:[-+]?(?:[0-9][0-9_]*)\\.[0-9_]*(?:[eE][-+][0-9]+)?|\\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"              \
    "|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\\.[0-9_]*|[-+]?\\.(?:inf|Inf|INF)|\\.(?:nan|NaN|NAN))$"
#define INTEGER_PATTERN                                                                                      \
    "^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+"                          \
    "|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$"
#define TIME_PATTERN                                                                                         \
    "^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[Tt]|[ "                                                        \
    "\\t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\\.([0-9]*))?"                                               \
    "(?:[ \\t]*(Z|([-+])([0-9]{1,2})(?::([0-9]{2}))?))?$"

/* Compiled on first use and kept; any thread may be the first. */
static const GRegex *pattern(const char *text, gsize *once)
{
    if (g_once_init_enter(once)) {
        GRegex *compiled = g_regex_new(text, G_REGEX_OPTIMIZE | G_REGEX_DOLLAR_ENDONLY, 0, NULL);
        g_assert(compiled != NULL);
        g_once_init_leave(once, (gsize)compiled);
    }
    return (const GRegex *)*once;
}

static char *without_underscores(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "_", -1);
    return g_strjoinv("", parts);
}

/* --- Numbers --- */

/* Base 60, such as 1:30 = 90; the parts are whole except possibly the last. */
static double sexagesimal(const char *digits)
{
    g_auto(GStrv) parts = g_strsplit(digits, ":", -1);
    double value = 0;
    for (guint i = 0; parts[i] != NULL; i++)
        value = value * 60 + g_ascii_strtod(parts[i], NULL);
    return value;
}

static char *str_of_integer(const char *text)
{
    g_autofree char *clean = without_underscores(text);
    const char *sign = *clean == '-' ? "-" : "";
    const char *digits = clean + (*clean == '-' || *clean == '+' ? 1 : 0);
    if (strchr(digits, ':') != NULL)
        return g_strdup_printf("%s%.0f", sign, sexagesimal(digits));
    guint base = 10;
    if (g_str_has_prefix(digits, "0b"))
        base = 2;
    else if (g_str_has_prefix(digits, "0x"))
        base = 16;
    else if (*digits == '0')
        base = 8;
    guint64 value = 0;
    if (!g_ascii_string_to_unsigned(digits + (base == 2 || base == 16 ? 2 : 0), base, 0, G_MAXUINT64, &value,
                                    NULL))
        return g_strdup(text);
    return g_strdup_printf("%s%" G_GUINT64_FORMAT, value == 0 ? "" : sign, value);
}

/* Python's repr of a finite float ≥ 0: the shortest digits that read back to the same value, positional for
 * exponents from -4 to 15. */
static void append_float(GString *out, double value)
{
    char buffer[G_ASCII_DTOSTR_BUF_SIZE];
    for (int precision = 0; precision <= 16; precision++) {
        char format[8];
        g_snprintf(format, sizeof format, "%%.%de", precision);
        g_ascii_formatd(buffer, sizeof buffer, format, value);
        if (g_ascii_strtod(buffer, NULL) == value)
            break;
    }
    char *e = strchr(buffer, 'e');
    int exponent = (int)g_ascii_strtoll(e + 1, NULL, 10);
    *e = '\0';
    g_autoptr(GString) digits = g_string_new_len(buffer, 1);
    if (buffer[1] != '\0')
        g_string_append(digits, buffer + 2);
    if (exponent < -4 || exponent >= 16) {
        g_string_append_printf(out, "%c%s%se%c%02d", digits->str[0], digits->len > 1 ? "." : "",
                               digits->str + 1, exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    for (int i = exponent; i < 0; i++)
        g_string_prepend_c(digits, '0');
    int whole = MAX(exponent, 0) + 1;
    while ((int)digits->len < whole + 1)
        g_string_append_c(digits, '0');
    g_string_insert_c(digits, whole, '.');
    g_string_append(out, digits->str);
}

static char *str_of_float(const char *text)
{
    g_autofree char *clean = without_underscores(text);
    gboolean negative = *clean == '-';
    const char *digits = clean + (*clean == '-' || *clean == '+' ? 1 : 0);
    if (g_ascii_strcasecmp(digits, ".nan") == 0)
        return g_strdup("nan");
    double value = g_ascii_strcasecmp(digits, ".inf") == 0 ? (double)INFINITY
                   : strchr(digits, ':') != NULL           ? sexagesimal(digits)
                                                           : g_ascii_strtod(digits, NULL);
    g_autoptr(GString) out = g_string_new(negative ? "-" : "");
    if (isinf(value))
        g_string_append(out, "inf");
    else
        append_float(out, value);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

/* --- Timestamps --- */

static gint64 group_number(const GMatchInfo *match, int group)
{
    g_autofree char *digits = g_match_info_fetch(match, group);
    return digits == NULL ? 0 : g_ascii_strtoll(digits, NULL, 10);
}

/* ".25" is 250,000 microseconds; further digits are dropped. */
static void append_fraction(GString *out, const GMatchInfo *match)
{
    g_autofree char *digits = g_match_info_fetch(match, 7);
    guint microseconds = 0;
    for (guint i = 0; i < 6; i++) {
        gboolean more = digits != NULL && i < strlen(digits);
        microseconds = microseconds * 10 + (more ? (guint)g_ascii_digit_value(digits[i]) : 0);
    }
    if (microseconds > 0)
        g_string_append_printf(out, ".%06u", microseconds);
}

/* FALSE when the offset is a day or more, which Python refuses. */
static gboolean append_zone(GString *out, const GMatchInfo *match)
{
    g_autofree char *zone = g_match_info_fetch(match, 8);
    if (zone == NULL || *zone == '\0')
        return TRUE;
    gint64 minutes = group_number(match, 10) * 60 + group_number(match, 11);
    g_string_append_printf(out, "%c%02d:%02d", *zone == '-' && minutes > 0 ? '-' : '+', (int)(minutes / 60),
                           (int)(minutes % 60));
    return minutes < (gint64)24 * 60;
}

static char *str_of_time(const GMatchInfo *match)
{
    gint64 year = group_number(match, 1), month = group_number(match, 2), day = group_number(match, 3);
    gint64 hour = group_number(match, 4), minute = group_number(match, 5), second = group_number(match, 6);
    if (hour > 23 || minute > 59 || second > 59 || month < 1 || month > 12 || day < 1 ||
        !g_date_valid_dmy((GDateDay)day, (GDateMonth)month, (GDateYear)year))
        return NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    g_string_append_printf(out, "%04d-%02d-%02d %02d:%02d:%02d", (int)year, (int)month, (int)day, (int)hour,
                           (int)minute, (int)second);
    append_fraction(out, match);
    return append_zone(out, match) ? g_string_free(g_steal_pointer(&out), FALSE) : NULL;
}

char *yaml_str_scalar(const YamlNode *scalar)
{
    static gsize float_once, integer_once, time_once;
    const char *text = yamlnode_text(scalar);
    if (yamlnode_is_null(scalar))
        return NULL;
    if (!yamlnode_is_plain(scalar) || strlen(text) > RESOLVED_CHARS_MAX)
        return g_strdup(text);
    gboolean truth = FALSE;
    if (scalar_parse_boolean(text, &truth, NULL))
        return g_strdup(truth ? "True" : "False");
    if (g_regex_match(pattern(FLOAT_PATTERN, &float_once), text, 0, NULL))
        return str_of_float(text);
    if (g_regex_match(pattern(INTEGER_PATTERN, &integer_once), text, 0, NULL))
        return str_of_integer(text);
    g_autoptr(GMatchInfo) match = NULL;
    char *time =
        g_regex_match(pattern(TIME_PATTERN, &time_once), text, 0, &match) ? str_of_time(match) : NULL;
    return time != NULL ? time : g_strdup(text);
}

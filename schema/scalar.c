/* SPDX-License-Identifier: MIT */
#include "schema/scalar.h"

#include "schema/text.h"

#include <string.h>

typedef struct {
    const char *suffix;
    guint64 factor;
} Unit;

/* Largest first, as the printers need them. */
static const Unit duration_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const Unit size_units[] = {
    {"TiB", G_GUINT64_CONSTANT(1) << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};

static gboolean refuse(GError **error, const char *text, const char *expected)
{
    g_autofree char *quoted = text_for_message(text, strlen(text));
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "expected %s, found '%s'", expected, quoted);
    return FALSE;
}

/* --- Parsing --- */

static gboolean has_leading_zero(const char *digits)
{
    return digits[0] == '0' && g_ascii_isdigit(digits[1]);
}

gboolean scalar_parse_integer(const char *text, gint64 min, gint64 max, gint64 *ret, GError **error)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0')
        return refuse(error, text, "a whole number");
    if (has_leading_zero(digits))
        return refuse(error, text, "a whole number without leading zeros");
    gint64 value = 0;
    if (!g_ascii_string_to_signed(text, 10, min, max, &value, NULL)) {
        g_autofree char *quoted = text_for_message(text, strlen(text));
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT,
                    "'%s' is not between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT, quoted, min, max);
        return FALSE;
    }
    *ret = value;
    return TRUE;
}

gboolean scalar_parse_boolean(const char *text, gboolean *ret, GError **error)
{
    static const char *const names[][3] = {{"true", "True", "TRUE"}, {"yes", "Yes", "YES"},
                                           {"on", "On", "ON"},       {"false", "False", "FALSE"},
                                           {"no", "No", "NO"},       {"off", "Off", "OFF"}};
    for (guint i = 0; i < G_N_ELEMENTS(names) * 3; i++) {
        if (g_str_equal(text, names[i / 3][i % 3])) {
            *ret = i / 3 < 3;
            return TRUE;
        }
    }
    return refuse(error, text, "true or false");
}

typedef enum { UNIT_READ, UNIT_BAD_FORM, UNIT_TOO_LARGE } UnitOutcome;

/* Digits and one of `units`; `bare` is the unit meant when none is written, or NULL when only zero may go
 * without. */
static UnitOutcome parse_with_unit(const char *text, const Unit *units, guint unit_count, const Unit *bare,
                                   guint64 *ret)
{
    gsize digit_count = strspn(text, "0123456789");
    if (digit_count == 0 || has_leading_zero(text))
        return UNIT_BAD_FORM;
    const Unit *unit = text[digit_count] == '\0' ? bare : NULL;
    for (guint i = 0; i < unit_count && unit == NULL; i++) {
        if (g_str_equal(text + digit_count, units[i].suffix))
            unit = &units[i];
    }
    if (unit == NULL && g_str_equal(text, "0"))
        unit = &units[0];
    if (unit == NULL)
        return UNIT_BAD_FORM;
    g_autofree char *digits = g_strndup(text, digit_count);
    guint64 count = 0;
    if (!g_ascii_string_to_unsigned(digits, 10, 0, G_MAXUINT64, &count, NULL) ||
        !g_uint64_checked_mul(ret, count, unit->factor))
        return UNIT_TOO_LARGE;
    return UNIT_READ;
}

static char *format_with_unit(guint64 value, const Unit *units, guint unit_count)
{
    guint i = 0;
    while (i + 1 < unit_count && (value < units[i].factor || value % units[i].factor != 0))
        i++;
    return g_strdup_printf("%" G_GUINT64_FORMAT "%s", value / units[i].factor, units[i].suffix);
}

gboolean scalar_parse_duration(const char *text, gint64 min_ms, gint64 max_ms, gint64 *ret_ms, GError **error)
{
    guint64 ms = 0;
    UnitOutcome outcome = parse_with_unit(text, duration_units, G_N_ELEMENTS(duration_units), NULL, &ms);
    if (outcome == UNIT_BAD_FORM)
        return refuse(error, text, "a duration such as 500ms, 30s, 5m, 12h or 7d");
    if (outcome == UNIT_TOO_LARGE || ms > (guint64)max_ms || ms < (guint64)min_ms) {
        g_autofree char *quoted = text_for_message(text, strlen(text));
        g_autofree char *low = scalar_format_duration(min_ms);
        g_autofree char *high = scalar_format_duration(max_ms);
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "'%s' is not between %s and %s", quoted, low,
                    high);
        return FALSE;
    }
    *ret_ms = (gint64)ms;
    return TRUE;
}

gboolean scalar_parse_size(const char *text, guint64 min, guint64 max, guint64 *ret_bytes, GError **error)
{
    guint64 bytes = 0;
    const Unit *bare = &size_units[G_N_ELEMENTS(size_units) - 1];
    UnitOutcome outcome = parse_with_unit(text, size_units, G_N_ELEMENTS(size_units), bare, &bytes);
    if (outcome == UNIT_BAD_FORM)
        return refuse(error, text, "a size such as 512KiB, 8MiB or 50GiB");
    if (outcome == UNIT_TOO_LARGE || bytes > max || bytes < min) {
        g_autofree char *quoted = text_for_message(text, strlen(text));
        g_autofree char *low = scalar_format_size(min);
        g_autofree char *high = scalar_format_size(max);
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "'%s' is not between %s and %s", quoted, low,
                    high);
        return FALSE;
    }
    *ret_bytes = bytes;
    return TRUE;
}

/* --- Printing --- */

char *scalar_format_duration(gint64 ms)
{
    g_assert(ms >= 0);
    return format_with_unit((guint64)ms, duration_units, G_N_ELEMENTS(duration_units));
}

char *scalar_format_size(guint64 bytes)
{
    return format_with_unit(bytes, size_units, G_N_ELEMENTS(size_units));
}

char *scalar_format_time(gint64 unix_s)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(unix_s);
    return time != NULL ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : NULL;
}

/* --- For messages --- */

enum { NEAREST_CHARS_MAX = 40, NEAREST_DISTANCE_MAX = 2 };

/* Optimal string alignment distance (Levenshtein plus exchanged neighbours) of two texts of at most
 * NEAREST_CHARS_MAX bytes, without regard to ASCII case. */
static guint edit_distance(const char *a, gsize a_len, const char *b, gsize b_len)
{
    guint rows[NEAREST_CHARS_MAX + 1][NEAREST_CHARS_MAX + 1];
    for (gsize i = 0; i <= a_len; i++)
        rows[i][0] = (guint)i;
    for (gsize j = 0; j <= b_len; j++)
        rows[0][j] = (guint)j;
    for (gsize i = 1; i <= a_len; i++) {
        for (gsize j = 1; j <= b_len; j++) {
            char ca = g_ascii_tolower(a[i - 1]), cb = g_ascii_tolower(b[j - 1]);
            guint best = MIN(rows[i - 1][j], rows[i][j - 1]) + 1;
            best = MIN(best, rows[i - 1][j - 1] + (ca == cb ? 0 : 1));
            if (i > 1 && j > 1 && ca == g_ascii_tolower(b[j - 2]) && cb == g_ascii_tolower(a[i - 2]))
                best = MIN(best, rows[i - 2][j - 2] + 1);
            rows[i][j] = best;
        }
    }
    return rows[a_len][b_len];
}

const char *scalar_nearest(const char *text, const char *const *candidates)
{
    gsize text_len = strnlen(text, NEAREST_CHARS_MAX + 1);
    const char *nearest = NULL;
    guint nearest_distance = NEAREST_DISTANCE_MAX + 1;
    for (guint i = 0; candidates[i] != NULL && text_len <= NEAREST_CHARS_MAX; i++) {
        gsize len = strlen(candidates[i]);
        if (len > NEAREST_CHARS_MAX)
            continue;
        guint distance = edit_distance(text, text_len, candidates[i], len);
        if (distance < nearest_distance && 2 * distance < len) {
            nearest = candidates[i];
            nearest_distance = distance;
        }
    }
    return nearest;
}

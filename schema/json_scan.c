/* SPDX-License-Identifier: MIT
 *
 * A push-down automaton. `stack` holds an opening bracket per open container; `expect` says what may come
 * next:
 *
 *   VALUE           a value                             → AFTER_VALUE, or a new container
 *   VALUE_OR_CLOSE  after "[": a value or "]"
 *   KEY             after "," in an object: a string    → VALUE behind its colon
 *   KEY_OR_CLOSE    after "{": a string or "}"
 *   AFTER_VALUE     "," or the closing bracket; with no container open, the end
 */
#include "schema/json_scan.h"

#include "schema/limits.h"
#include "schema/text.h"

#include <string.h>

typedef enum { VALUE, VALUE_OR_CLOSE, KEY, KEY_OR_CLOSE, AFTER_VALUE } Expect;

typedef struct {
    const char *data;
    gsize len;
    gsize pos; /* the next byte to look at; on failure the offending one */
    guint value_count;
    guint depth;
    char stack[LIMIT_JSON_DEPTH];
    const char *problem; /* why the scan failed; literal */
    KontorErrorCode code;
} Scan;

/* --- Failing --- */

static gboolean fail(Scan *scan, KontorErrorCode code, const char *problem)
{
    scan->code = code;
    scan->problem = problem;
    return FALSE;
}

static gboolean malformed(Scan *scan, const char *problem)
{
    return fail(scan, KONTOR_ERROR_MALFORMED, scan->pos < scan->len ? problem : "ends too early");
}

/* --- Strings --- */

/* The code unit of the escape \uXXXX at the position, or -1. Does not move. */
static int peek_unit(const Scan *scan)
{
    if (scan->len - scan->pos < 6 || scan->data[scan->pos] != '\\' || scan->data[scan->pos + 1] != 'u')
        return -1;
    int unit = 0;
    for (gsize i = 2; i < 6; i++) {
        int digit = g_ascii_xdigit_value(scan->data[scan->pos + i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static gboolean scan_unicode_escape(Scan *scan)
{
    int unit = peek_unit(scan);
    if (unit < 0)
        return fail(scan, KONTOR_ERROR_MALFORMED, "\\u without four hexadecimal digits");
    if (unit == 0)
        return malformed(scan, "\\u0000 in a string");
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return malformed(scan, "lone surrogate");
    if (unit >= 0xd800 && unit <= 0xdbff) {
        gsize high_at = scan->pos;
        scan->pos += 6;
        int low = peek_unit(scan);
        if (low < 0xdc00 || low > 0xdfff) {
            scan->pos = high_at;
            return malformed(scan, "lone surrogate");
        }
    }
    scan->pos += 6;
    return TRUE;
}

static gboolean scan_escape(Scan *scan)
{
    char c = scan->pos + 1 < scan->len ? scan->data[scan->pos + 1] : '\0';
    if (c == 'u')
        return scan_unicode_escape(scan);
    if (c == '\0' || strchr("\"\\/bfnrt", c) == NULL)
        return malformed(scan, "unknown escape");
    scan->pos += 2;
    return TRUE;
}

/* From the opening quote to behind the closing one. */
static gboolean scan_string(Scan *scan)
{
    const char *data = scan->data;
    for (scan->pos++;;) {
        scan->pos += text_plain_prefix(data + scan->pos, scan->len - scan->pos);
        if (scan->pos == scan->len)
            return malformed(scan, "");
        guint8 byte = (guint8)data[scan->pos];
        if (byte == '"') {
            scan->pos++;
            return TRUE;
        }
        if (byte == '\\') {
            if (!scan_escape(scan))
                return FALSE;
        } else if (byte < 0x20) {
            return malformed(scan, "control character in a string");
        } else {
            guint length = text_char_length(data + scan->pos, scan->len - scan->pos);
            if (length == 0)
                return malformed(scan, "not UTF-8");
            scan->pos += length;
        }
    }
}

/* --- Numbers and words --- */

/* One or more digits. */
static gboolean scan_digits(Scan *scan)
{
    gsize start = scan->pos;
    while (scan->pos < scan->len && g_ascii_isdigit(scan->data[scan->pos]))
        scan->pos++;
    return scan->pos > start || malformed(scan, "digit expected");
}

static gboolean take(Scan *scan, char c)
{
    if (scan->pos == scan->len || scan->data[scan->pos] != c)
        return FALSE;
    scan->pos++;
    return TRUE;
}

/* RFC 8259, section 6. */
static gboolean scan_number(Scan *scan)
{
    gsize start = scan->pos;
    take(scan, '-');
    gboolean zero = take(scan, '0');
    if (!zero && !scan_digits(scan))
        return FALSE;
    if (zero && scan->pos < scan->len && g_ascii_isdigit(scan->data[scan->pos]))
        return malformed(scan, "leading zero");
    if (take(scan, '.') && !scan_digits(scan))
        return FALSE;
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '+'))
            take(scan, '-');
        if (!scan_digits(scan))
            return FALSE;
    }
    if (scan->pos - start > LIMIT_JSON_NUMBER_BYTES) {
        scan->pos = start;
        return fail(scan, KONTOR_ERROR_LIMIT, "number with too many digits");
    }
    return TRUE;
}

static gboolean scan_word(Scan *scan, const char *word)
{
    for (; *word != '\0'; word++) {
        if (!take(scan, *word))
            return malformed(scan, "value expected");
    }
    return TRUE;
}

/* --- Structure --- */

static void skip_space(Scan *scan)
{
    while (scan->pos < scan->len) {
        char c = scan->data[scan->pos];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return;
        scan->pos++;
    }
}

static gboolean open_container(Scan *scan, Expect *expect)
{
    if (scan->depth == LIMIT_JSON_DEPTH)
        return fail(scan, KONTOR_ERROR_LIMIT, "nested too deeply");
    char bracket = scan->data[scan->pos++];
    scan->stack[scan->depth++] = bracket;
    *expect = bracket == '{' ? KEY_OR_CLOSE : VALUE_OR_CLOSE;
    return TRUE;
}

static gboolean scan_value(Scan *scan, Expect *expect)
{
    if (++scan->value_count > LIMIT_JSON_VALUES)
        return fail(scan, KONTOR_ERROR_LIMIT, "too many values");
    *expect = AFTER_VALUE;
    switch (scan->data[scan->pos]) {
    case '{':
    case '[':
        return open_container(scan, expect);
    case '"':
        return scan_string(scan);
    case 't':
        return scan_word(scan, "true");
    case 'f':
        return scan_word(scan, "false");
    case 'n':
        return scan_word(scan, "null");
    default:
        if (scan->data[scan->pos] == '-' || g_ascii_isdigit(scan->data[scan->pos]))
            return scan_number(scan);
        return malformed(scan, "value expected");
    }
}

static gboolean scan_key(Scan *scan, Expect *expect)
{
    if (scan->data[scan->pos] != '"')
        return malformed(scan, "key expected");
    if (!scan_string(scan))
        return FALSE;
    skip_space(scan);
    *expect = VALUE;
    return take(scan, ':') || malformed(scan, "':' expected");
}

static gboolean is_closing(const Scan *scan)
{
    char c = scan->data[scan->pos];
    return scan->depth > 0 && c == (scan->stack[scan->depth - 1] == '{' ? '}' : ']');
}

static gboolean close_container(Scan *scan, Expect *expect)
{
    scan->depth--;
    scan->pos++;
    *expect = AFTER_VALUE;
    return TRUE;
}

static gboolean scan_after_value(Scan *scan, Expect *expect)
{
    if (scan->depth == 0)
        return malformed(scan, "something follows the value");
    if (is_closing(scan))
        return close_container(scan, expect);
    *expect = scan->stack[scan->depth - 1] == '{' ? KEY : VALUE;
    return take(scan, ',') || malformed(scan, "',' or closing bracket expected");
}

static gboolean scan_step(Scan *scan, Expect *expect)
{
    switch (*expect) {
    case VALUE:
        return scan_value(scan, expect);
    case VALUE_OR_CLOSE:
        return is_closing(scan) ? close_container(scan, expect) : scan_value(scan, expect);
    case KEY:
        return scan_key(scan, expect);
    case KEY_OR_CLOSE:
        return is_closing(scan) ? close_container(scan, expect) : scan_key(scan, expect);
    case AFTER_VALUE:
        return scan_after_value(scan, expect);
    }
    g_assert_not_reached();
}

static gboolean scan_document(Scan *scan)
{
    Expect expect = VALUE;
    for (;;) {
        skip_space(scan);
        if (scan->pos == scan->len)
            return (expect == AFTER_VALUE && scan->depth == 0) || malformed(scan, "");
        if (!scan_step(scan, &expect))
            return FALSE;
    }
}

gboolean json_scan_check(const char *data, gsize len, GError **error)
{
    Scan scan = {.data = data, .len = len};
    if (scan_document(&scan))
        return TRUE;
    g_set_error(error, KONTOR_ERROR, scan.code, "at byte %" G_GSIZE_FORMAT ": %s", scan.pos, scan.problem);
    return FALSE;
}

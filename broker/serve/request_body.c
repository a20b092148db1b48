/* SPDX-License-Identifier: MIT */
#include "broker/serve/request_body.h"

#include <math.h>
#include <string.h>

#include "schema/limits.h"

static void add_problem(RequestBody *body, const char *loc, const char *type, const char *msg)
{
    if (body->problem_count < REQUEST_BODY_PROBLEMS_MAX)
        body->problems[body->problem_count++] = (StatusProblem){loc, type, msg};
}

/* "application/json" or "application/…+json", whatever parameters follow. */
static gboolean is_json_type(HttpSlice content_type)
{
    static const char application[] = "application/";
    const gsize prefix = sizeof application - 1;
    if (content_type.text == NULL)
        return FALSE;
    const char *semicolon = memchr(content_type.text, ';', content_type.len);
    gsize len = semicolon != NULL ? (gsize)(semicolon - content_type.text) : content_type.len;
    while (len > 0 && g_ascii_isspace(content_type.text[len - 1]))
        len--;
    if (len <= prefix || g_ascii_strncasecmp(content_type.text, application, prefix) != 0)
        return FALSE;
    const char *subtype = content_type.text + prefix;
    len -= prefix;
    return (len == 4 && g_ascii_strncasecmp(subtype, "json", 4) == 0) ||
           (len > 5 && g_ascii_strncasecmp(subtype + len - 5, "+json", 5) == 0);
}

/* Existing clients may send U+0000 in free text, which the strict reader refuses: its escape (the raw byte is
 * no JSON) becomes blanks, which separate words just as it does. Returns a copy, or NULL when there is none.
 */
static char *without_nul(const guint8 *data, gsize len)
{
    static const char escape[] = "\\u0000";
    const gsize escape_len = sizeof escape - 1;
    if (memmem(data, len, escape, escape_len) == NULL)
        return NULL;
    char *copy = g_memdup2(data, len);
    /* A backslash escapes the character behind it, so that "\\\\u0000" (an escaped backslash) is left alone.
     */
    for (gsize i = 0; i + escape_len <= len; i++) {
        if (copy[i] != '\\')
            continue;
        if (memcmp(copy + i, escape, escape_len) == 0)
            memset(copy + i, ' ', escape_len);
        else
            i++;
    }
    return copy;
}

void request_body_init(RequestBody *body, HttpSlice content_type, const guint8 *data, gsize len)
{
    *body = (RequestBody){0};
    if (len == 0) {
        add_problem(body, NULL, "missing", "Field required");
        return;
    }
    if (!is_json_type(content_type)) {
        add_problem(body, NULL, "model_attributes_type",
                    "Input should be a valid dictionary (send it as application/json)");
        return;
    }
    g_autofree char *copy = without_nul(data, len);
    body->doc = json_doc_parse(copy != NULL ? (const void *)copy : data, len, LIMIT_HTTP_BODY_BYTES, NULL);
    if (body->doc == NULL) {
        add_problem(body, NULL, "json_invalid", "JSON decode error");
        return;
    }
    body->root = json_doc_root(body->doc);
    if (json_value_kind(body->root) != JSON_OBJECT) {
        add_problem(body, NULL, "model_attributes_type", "Input should be a valid dictionary");
        body->root = NULL;
    }
}

void request_body_clear(RequestBody *body)
{
    g_clear_pointer(&body->doc, json_doc_free);
}

static const JsonValue *member(const RequestBody *body, const char *key)
{
    return body->root != NULL ? json_object_get(body->root, key) : NULL;
}

/* The text of a present value; "" with a problem noted when it is none. */
static const char *checked_string(RequestBody *body, const char *key, const JsonValue *value, gsize bytes_max)
{
    if (json_value_kind(value) != JSON_STRING) {
        add_problem(body, key, "string_type", "Input should be a valid string");
        return "";
    }
    const char *text = json_value_string(value);
    if (strlen(text) > bytes_max) {
        add_problem(body, key, "string_too_long", "String is too long");
        return "";
    }
    return text;
}

const char *request_body_string(RequestBody *body, const char *key, gsize bytes_max, const char *fallback)
{
    const JsonValue *value = member(body, key);
    if (value != NULL)
        return checked_string(body, key, value, bytes_max);
    if (fallback == NULL && body->root != NULL)
        add_problem(body, key, "missing", "Field required");
    return fallback != NULL ? fallback : "";
}

const char *request_body_string_or_null(RequestBody *body, const char *key, gsize bytes_max)
{
    const JsonValue *value = member(body, key);
    if (value == NULL || json_value_kind(value) == JSON_NULL)
        return NULL;
    return checked_string(body, key, value, bytes_max);
}

/* A number that is written in decimal, with blanks around it and zeros behind a point allowed. Larger numbers
 * than fit become the largest. */
static gboolean parse_integer(const char *text, gint64 *ret)
{
    g_autofree char *trimmed = g_strstrip(g_strdup(text));
    const char *at = trimmed;
    gboolean negative = *at == '-';
    if (*at == '-' || *at == '+')
        at++;
    if (!g_ascii_isdigit(*at))
        return FALSE;
    gint64 value = 0;
    for (; g_ascii_isdigit(*at); at++)
        value = value > (G_MAXINT64 - 9) / 10 ? G_MAXINT64 : value * 10 + (*at - '0');
    if (*at == '.')
        at += 1 + strspn(at + 1, "0");
    if (*at != '\0')
        return FALSE;
    *ret = negative ? -value : value;
    return TRUE;
}

static gboolean number_to_integer(double number, gint64 *ret)
{
    if (number != floor(number))
        return FALSE;
    /* Beyond this a double has no fraction and a gint64 no room: the caller clamps anyway. */
    *ret = (gint64)CLAMP(number, -9e18, 9e18);
    return TRUE;
}

static gint64 checked_integer(RequestBody *body, const char *key, const JsonValue *value)
{
    gint64 integer = 0;
    switch (json_value_kind(value)) {
    case JSON_NUMBER:
        if (!number_to_integer(json_value_number(value), &integer))
            add_problem(body, key, "int_from_float",
                        "Input should be a valid integer, got a number with a fractional part");
        break;
    case JSON_STRING:
        if (!parse_integer(json_value_string(value), &integer))
            add_problem(body, key, "int_parsing",
                        "Input should be a valid integer, unable to parse string as an integer");
        break;
    case JSON_BOOLEAN:
        integer = json_value_boolean(value) ? 1 : 0;
        break;
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT:
    default:
        add_problem(body, key, "int_type", "Input should be a valid integer");
        break;
    }
    return integer;
}

gint64 request_body_integer(RequestBody *body, const char *key, gint64 min, gint64 max, gint64 fallback)
{
    const JsonValue *value = member(body, key);
    if (value == NULL)
        return fallback;
    gint64 integer = checked_integer(body, key, value);
    return CLAMP(integer, min, max);
}

gboolean request_body_is_valid(const RequestBody *body)
{
    return body->problem_count == 0;
}

HttpReply *request_body_refusal(const RequestBody *body)
{
    g_assert(body->problem_count > 0);
    return status_reply_invalid(body->problems, body->problem_count);
}

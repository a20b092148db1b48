/* SPDX-License-Identifier: MIT */
#include "broker/serve/negotiate.h"

#include <string.h>

static gboolean is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static HttpSlice slice_trim(const char *text, gsize len)
{
    while (len > 0 && is_blank(text[0])) {
        text++;
        len--;
    }
    while (len > 0 && is_blank(text[len - 1]))
        len--;
    return (HttpSlice){text, len};
}

static gboolean slice_is(HttpSlice slice, const char *word)
{
    return slice.len == strlen(word) && g_ascii_strncasecmp(slice.text, word, slice.len) == 0;
}

/* Cuts what stands before the next `separator` off `rest`, trimmed. FALSE at the end. */
static gboolean next_item(HttpSlice *rest, char separator, HttpSlice *ret)
{
    if (rest->text == NULL)
        return FALSE;
    const char *stop = memchr(rest->text, separator, rest->len);
    gsize len = stop != NULL ? (gsize)(stop - rest->text) : rest->len;
    *ret = slice_trim(rest->text, len);
    *rest = stop != NULL ? (HttpSlice){stop + 1, rest->len - len - 1} : (HttpSlice){NULL, 0};
    return TRUE;
}

void negotiate_collect(const HttpRequest *request, NegotiateHeaders *ret)
{
    *ret = (NegotiateHeaders){0};
    for (guint i = 0; i < request->header_count; i++) {
        const HttpHeader *header = &request->headers[i];
        HttpSlice *into = NULL;
        /* The length rules out nearly every other header before its text is looked at. */
        if (header->name.len == 15 && slice_is(header->name, "Accept-Encoding"))
            into = &ret->accept_encoding;
        else if (header->name.len == 13 && slice_is(header->name, "If-None-Match"))
            into = &ret->if_none_match;
        else if (header->name.len == 8 && slice_is(header->name, "If-Range"))
            into = &ret->if_range;
        else if (header->name.len == 5 && slice_is(header->name, "Range"))
            into = &ret->range;
        if (into != NULL && into->text == NULL)
            *into = header->value;
    }
}

/* TRUE when a weight is above 0; a malformed one counts as 1. */
static gboolean weight_is_positive(HttpSlice parameters)
{
    HttpSlice item;
    while (next_item(&parameters, ';', &item)) {
        if (item.len < 2 || g_ascii_tolower(item.text[0]) != 'q' || item.text[1] != '=')
            continue;
        for (gsize i = 2; i < item.len; i++) {
            if (item.text[i] != '0' && item.text[i] != '.')
                return TRUE;
        }
        return item.len == 2;
    }
    return TRUE;
}

gboolean negotiate_gzip(HttpSlice accept_encoding)
{
    gboolean any = FALSE;
    HttpSlice item;
    while (next_item(&accept_encoding, ',', &item)) {
        HttpSlice parameters = item, coding;
        next_item(&parameters, ';', &coding);
        if (slice_is(coding, "gzip") || slice_is(coding, "x-gzip"))
            return weight_is_positive(parameters);
        if (slice_is(coding, "*"))
            any = weight_is_positive(parameters);
    }
    return any;
}

gboolean negotiate_tag_listed(HttpSlice list, const char *etag)
{
    HttpSlice item;
    while (next_item(&list, ',', &item)) {
        if (slice_is(item, "*"))
            return TRUE;
        if (item.len >= 2 && item.text[0] == 'W' && item.text[1] == '/') {
            item.text += 2;
            item.len -= 2;
        }
        if (negotiate_tag_is(item, etag))
            return TRUE;
    }
    return FALSE;
}

gboolean negotiate_tag_is(HttpSlice value, const char *etag)
{
    return value.len == strlen(etag) && memcmp(value.text, etag, value.len) == 0;
}

/* A run of digits; larger numbers than fit are as good as the largest. FALSE when there is anything else. */
static gboolean parse_digits(HttpSlice text, guint64 *ret)
{
    guint64 value = 0;
    if (text.len == 0)
        return FALSE;
    for (gsize i = 0; i < text.len; i++) {
        if (!g_ascii_isdigit(text.text[i]))
            return FALSE;
        guint64 digit = (guint64)(text.text[i] - '0');
        value = value > (G_MAXUINT64 - digit) / 10 ? G_MAXUINT64 : value * 10 + digit;
    }
    *ret = value;
    return TRUE;
}

/* "-N": the last N bytes. */
static RangeKind suffix_range(HttpSlice digits, guint64 size, guint64 *ret_first, guint64 *ret_last)
{
    guint64 count;
    if (!parse_digits(digits, &count))
        return RANGE_WHOLE;
    if (count == 0 || size == 0)
        return RANGE_UNSATISFIABLE;
    *ret_first = count < size ? size - count : 0;
    *ret_last = size - 1;
    return RANGE_PART;
}

RangeKind negotiate_range(HttpSlice range, guint64 size, guint64 *ret_first, guint64 *ret_last)
{
    HttpSlice spec = range, unit;
    if (!next_item(&spec, '=', &unit) || !slice_is(unit, "bytes") || spec.text == NULL)
        return RANGE_WHOLE;
    spec = slice_trim(spec.text, spec.len);
    HttpSlice last = spec, first;
    if (!next_item(&last, '-', &first) || last.text == NULL)
        return RANGE_WHOLE;
    last = slice_trim(last.text, last.len);
    if (first.len == 0)
        return suffix_range(last, size, ret_first, ret_last);
    guint64 from, to = G_MAXUINT64;
    if (!parse_digits(first, &from) || (last.len > 0 && !parse_digits(last, &to)) || to < from)
        return RANGE_WHOLE;
    if (from >= size)
        return RANGE_UNSATISFIABLE;
    *ret_first = from;
    *ret_last = MIN(to, size - 1);
    return RANGE_PART;
}

/* SPDX-License-Identifier: MIT
 *
 * The scanner is a cursor over the bytes. Each scan_* function starts at the first byte of its piece and
 * leaves the cursor behind the last; FALSE means that the bytes are not JSON. Strings, where nearly all bytes
 * are, are skipped eight at a time as long as they are plain ASCII.
 */
#include "broker/relay/node_message.h"

#include "schema/json_writer.h"
#include "schema/limits.h"
#include "schema/text.h"

#include <math.h>
#include <string.h>

enum {
    KEY_BYTES_MAX = 32,    /* a longer key is none of ours */
    NUMBER_BYTES_MAX = 64, /* a longer number is none that anybody needs */
};

typedef struct {
    const char *at;
    const char *end;
} Cursor;

static const char *const key_names[MESSAGE_KEYS] = {
    [MESSAGE_KEY_TYPE] = "type",
    [MESSAGE_KEY_QUERY_ID] = "query_id",
    [MESSAGE_KEY_TO] = "to",
    [MESSAGE_KEY_FROM_NODE] = "from_node",
    [MESSAGE_KEY_REQUESTER_PUBKEY] = "requester_pubkey",
    [MESSAGE_KEY_PAYLOAD] = "payload",
    [MESSAGE_KEY_NODE_ID] = "node_id",
    [MESSAGE_KEY_TIER_NAME] = "tier_name",
    [MESSAGE_KEY_VRAM_USED_MB] = "vram_used_mb",
    [MESSAGE_KEY_PUBLIC_KEY] = "public_key",
    [MESSAGE_KEY_SIGNING_PUBKEY] = "signing_pubkey",
    [MESSAGE_KEY_SIGNATURE] = "signature",
};

/* --- Scanning --- */

static void skip_space(Cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static gboolean scan_byte(Cursor *c, char byte)
{
    if (c->at >= c->end || *c->at != byte)
        return FALSE;
    c->at++;
    return TRUE;
}

/* TRUE when none of the eight bytes needs a look: none is a quote, a backslash, a control or non-ASCII. */
static gboolean all_plain(const char *at)
{
    const guint64 ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    guint64 w;
    memcpy(&w, at, sizeof w);
    guint64 quote = w ^ (ones * '"');
    guint64 backslash = w ^ (ones * '\\');
    /* (x − n) & ~x has the high bit of a byte set where that byte of x is below n; a borrow from a lower byte
     * can only come from one that is itself below n. */
    guint64 found = ((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash);
    return ((found | w) & highs) == 0;
}

static gboolean scan_hex4(Cursor *c, guint *ret)
{
    if (c->end - c->at < 4)
        return FALSE;
    guint value = 0;
    for (guint i = 0; i < 4; i++) {
        int digit = g_ascii_xdigit_value(c->at[i]);
        if (digit < 0)
            return FALSE;
        value = value << 4 | (guint)digit;
    }
    c->at += 4;
    *ret = value;
    return TRUE;
}

/* What stands behind "\u", as a code point; a surrogate must be one of a pair. */
static gboolean scan_unicode_escape(Cursor *c, gunichar *ret)
{
    guint high, low;
    if (!scan_hex4(c, &high))
        return FALSE;
    *ret = high;
    if (high < 0xd800 || high > 0xdfff)
        return TRUE;
    if (high > 0xdbff || !scan_byte(c, '\\') || !scan_byte(c, 'u') || !scan_hex4(c, &low) || low < 0xdc00 ||
        low > 0xdfff)
        return FALSE;
    *ret = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return TRUE;
}

/* What stands behind a backslash, as a code point. */
static gboolean scan_escape(Cursor *c, gunichar *ret)
{
    if (c->at >= c->end)
        return FALSE;
    char letter = *c->at++;
    switch (letter) {
    case '"':
    case '\\':
    case '/':
        *ret = (gunichar)letter;
        return TRUE;
    case 'b':
        *ret = '\b';
        return TRUE;
    case 'f':
        *ret = '\f';
        return TRUE;
    case 'n':
        *ret = '\n';
        return TRUE;
    case 'r':
        *ret = '\r';
        return TRUE;
    case 't':
        *ret = '\t';
        return TRUE;
    case 'u':
        return scan_unicode_escape(c, ret);
    default:
        return FALSE;
    }
}

static gboolean scan_string(Cursor *c, MessageField *ret)
{
    if (!scan_byte(c, '"'))
        return FALSE;
    const char *start = c->at;
    gboolean escaped = FALSE;
    for (;;) {
        while (c->end - c->at >= 8 && all_plain(c->at))
            c->at += 8;
        if (c->at >= c->end)
            return FALSE;
        guint8 byte = (guint8)*c->at;
        if (byte == '"')
            break;
        if (byte == '\\') {
            gunichar ignored;
            escaped = TRUE;
            c->at++;
            if (!scan_escape(c, &ignored))
                return FALSE;
        } else if (byte < 0x20) {
            return FALSE;
        } else {
            guint len = text_char_length(c->at, (gsize)(c->end - c->at));
            if (len == 0)
                return FALSE;
            c->at += len;
        }
    }
    *ret = (MessageField){MESSAGE_FIELD_STRING, escaped, start, (gsize)(c->at - start)};
    c->at++;
    return TRUE;
}

static gboolean scan_digits(Cursor *c)
{
    const char *start = c->at;
    while (c->at < c->end && g_ascii_isdigit(*c->at))
        c->at++;
    return c->at > start;
}

static gboolean scan_number(Cursor *c, MessageField *ret)
{
    const char *start = c->at;
    scan_byte(c, '-');
    if (!scan_byte(c, '0') && !scan_digits(c))
        return FALSE;
    if (scan_byte(c, '.') && !scan_digits(c))
        return FALSE;
    if (scan_byte(c, 'e') || scan_byte(c, 'E')) {
        if (!scan_byte(c, '+'))
            scan_byte(c, '-');
        if (!scan_digits(c))
            return FALSE;
    }
    *ret = (MessageField){MESSAGE_FIELD_NUMBER, FALSE, start, (gsize)(c->at - start)};
    return TRUE;
}

static gboolean scan_word(Cursor *c, const char *word)
{
    gsize len = strlen(word);
    if ((gsize)(c->end - c->at) < len || memcmp(c->at, word, len) != 0)
        return FALSE;
    c->at += len;
    return TRUE;
}

static gboolean scan_value(Cursor *c, guint depth, MessageField *ret);

/* Array or object; nothing in it is of interest. The recursion is bounded by LIMIT_JSON_DEPTH. */
static gboolean scan_container(Cursor *c, guint depth)
{
    if (depth >= LIMIT_JSON_DEPTH)
        return FALSE;
    gboolean object = *c->at++ == '{';
    const char close = object ? '}' : ']';
    MessageField ignored;
    skip_space(c);
    if (scan_byte(c, close))
        return TRUE;
    do {
        skip_space(c);
        if (object) {
            if (!scan_string(c, &ignored))
                return FALSE;
            skip_space(c);
            if (!scan_byte(c, ':'))
                return FALSE;
            skip_space(c);
        }
        if (!scan_value(c, depth + 1, &ignored))
            return FALSE;
        skip_space(c);
    } while (scan_byte(c, ','));
    return scan_byte(c, close);
}

static gboolean scan_value(Cursor *c, guint depth, MessageField *ret)
{
    if (c->at >= c->end)
        return FALSE;
    switch (*c->at) {
    case '"':
        return scan_string(c, ret);
    case '{':
    case '[':
        *ret = (MessageField){.kind = MESSAGE_FIELD_OTHER};
        return scan_container(c, depth);
    case 't':
        *ret = (MessageField){.kind = MESSAGE_FIELD_OTHER};
        return scan_word(c, "true");
    case 'f':
        *ret = (MessageField){.kind = MESSAGE_FIELD_OTHER};
        return scan_word(c, "false");
    case 'n':
        *ret = (MessageField){.kind = MESSAGE_FIELD_ABSENT};
        return scan_word(c, "null");
    default:
        return scan_number(c, ret);
    }
}

/* The key's number, or MESSAGE_KEYS when it is none of ours. */
static MessageKey key_lookup(const MessageField *key)
{
    char buffer[KEY_BYTES_MAX];
    const char *text = key->raw;
    gsize len = key->len;
    if (key->escaped) {
        if (!message_field_decode(key, buffer, sizeof buffer, &len))
            return MESSAGE_KEYS;
        text = buffer;
    }
    for (MessageKey i = 0; i < MESSAGE_KEYS; i++)
        if (strlen(key_names[i]) == len && memcmp(key_names[i], text, len) == 0)
            return i;
    return MESSAGE_KEYS;
}

static gboolean scan_member(Cursor *c, NodeMessage *message, guint32 *seen)
{
    MessageField key, value;
    skip_space(c);
    if (!scan_string(c, &key))
        return FALSE;
    skip_space(c);
    if (!scan_byte(c, ':'))
        return FALSE;
    skip_space(c);
    if (!scan_value(c, /* depth= */ 1, &value))
        return FALSE;
    MessageKey known = key_lookup(&key);
    if (known == MESSAGE_KEYS)
        return TRUE;
    /* Readers differ in which of two equal keys they believe. */
    if (*seen & 1u << known)
        return FALSE;
    *seen |= 1u << known;
    message->fields[known] = value;
    return TRUE;
}

gboolean node_message_scan(NodeMessage *ret, const char *text, gsize len)
{
    memset(ret, 0, sizeof *ret);
    if (len == 0)
        return FALSE; /* `text` may be NULL */
    Cursor c = {text, text + len};
    guint32 seen = 0;
    skip_space(&c);
    if (!scan_byte(&c, '{'))
        return FALSE;
    skip_space(&c);
    if (!scan_byte(&c, '}')) {
        do {
            if (!scan_member(&c, ret, &seen))
                return FALSE;
            skip_space(&c);
        } while (scan_byte(&c, ','));
        if (!scan_byte(&c, '}'))
            return FALSE;
    }
    skip_space(&c);
    return c.at == c.end;
}

MessageType node_message_type(const NodeMessage *message)
{
    static const struct {
        const char *name;
        MessageType type;
    } types[] = {
        {"query", MESSAGE_QUERY},
        {"response", MESSAGE_RESPONSE},
        {"ping", MESSAGE_PING},
        {"register", MESSAGE_REGISTER},
    };
    char name[16];
    gsize len;
    const MessageField *type = &message->fields[MESSAGE_KEY_TYPE];
    if (type->kind != MESSAGE_FIELD_STRING || !message_field_decode(type, name, sizeof name, &len))
        return MESSAGE_UNKNOWN;
    for (guint i = 0; i < G_N_ELEMENTS(types); i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].type;
    return MESSAGE_UNKNOWN;
}

/* --- Fields --- */

static gboolean decode_escaped(const MessageField *field, char *buffer, gsize buffer_size, gsize *ret_len)
{
    Cursor c = {field->raw, field->raw + field->len};
    gsize len = 0;
    while (c.at < c.end) {
        char utf8[6];
        guint count = 1;
        utf8[0] = *c.at++;
        if (utf8[0] == '\\') {
            gunichar point = 0;
            gboolean valid = scan_escape(&c, &point);
            g_assert(valid); /* the string was scanned */
            if (point == 0)
                return FALSE;
            count = (guint)g_unichar_to_utf8(point, utf8);
        }
        if (count >= buffer_size - len)
            return FALSE;
        memcpy(buffer + len, utf8, count);
        len += count;
    }
    buffer[len] = '\0';
    *ret_len = len;
    return TRUE;
}

gboolean message_field_decode(const MessageField *field, char *buffer, gsize buffer_size, gsize *ret_len)
{
    g_assert(field->kind == MESSAGE_FIELD_STRING && buffer_size > 0);
    if (field->escaped)
        return decode_escaped(field, buffer, buffer_size, ret_len);
    /* Without an escape there is no U+0000 in it, nor any other control. */
    if (field->len >= buffer_size)
        return FALSE;
    memcpy(buffer, field->raw, field->len);
    buffer[field->len] = '\0';
    *ret_len = field->len;
    return TRUE;
}

gboolean message_field_integer(const MessageField *field, gint64 min, gint64 max, gint64 *ret)
{
    char buffer[NUMBER_BYTES_MAX];
    if (field->kind != MESSAGE_FIELD_NUMBER || field->len >= sizeof buffer)
        return FALSE;
    memcpy(buffer, field->raw, field->len);
    buffer[field->len] = '\0';
    double value = g_ascii_strtod(buffer, NULL);
    if (value != floor(value) || value < (double)min || value > (double)max)
        return FALSE;
    *ret = (gint64)value;
    return TRUE;
}

gboolean message_text_is_printable(const char *text, gsize len)
{
    for (const char *at = text; at < text + len;) {
        gunichar point;
        guint bytes = text_char_decode(at, (gsize)(text + len - at), &point);
        if (bytes == 0 || !g_unichar_isprint(point) || point == 0x2028 || point == 0x2029)
            return FALSE;
        at += bytes;
    }
    return TRUE;
}

/* --- Building --- */

/* A piece of a frame: literal text or what was scanned. */
typedef struct {
    const char *text;
    gsize len;
} Piece;

#define LITERAL(text)                                                                                        \
    (Piece)                                                                                                  \
    {                                                                                                        \
        "" text, sizeof(text) - 1                                                                            \
    }

static Piece text_piece(const char *text)
{
    return (Piece){text, strlen(text)};
}

static Piece field_piece(const NodeMessage *message, MessageKey key)
{
    const MessageField *field = &message->fields[key];
    return field->kind == MESSAGE_FIELD_STRING ? (Piece){field->raw, field->len} : LITERAL("");
}

static GBytes *join(const Piece *pieces, guint count)
{
    gsize len = 0;
    for (guint i = 0; i < count; i++)
        len += pieces[i].len;
    char *text = g_malloc(len);
    char *at = text;
    for (guint i = 0; i < count; i++) {
        memcpy(at, pieces[i].text, pieces[i].len);
        at += pieces[i].len;
    }
    return g_bytes_new_take(text, len);
}

char *node_message_quote(const char *text)
{
    GString *out = g_string_new(NULL);
    g_auto(JsonWriter) w;
    json_writer_init(&w, out, JSON_STYLE_PLAIN);
    json_write_string(&w, text);
    return g_string_free(out, FALSE);
}

GBytes *node_message_challenge(const char *nonce_base64)
{
    const Piece pieces[] = {
        LITERAL("{\"type\":\"challenge\",\"nonce\":\""),
        text_piece(nonce_base64),
        LITERAL("\"}"),
    };
    return join(pieces, G_N_ELEMENTS(pieces));
}

GBytes *node_message_registered(const char *node_id)
{
    g_autofree char *quoted = node_message_quote(node_id);
    const Piece pieces[] = {
        LITERAL("{\"type\":\"registered\",\"node_id\":"),
        text_piece(quoted),
        LITERAL("}"),
    };
    return join(pieces, G_N_ELEMENTS(pieces));
}

GBytes *node_message_error(const char *name, const char *query_id)
{
    g_autofree char *quoted = query_id == NULL ? NULL : node_message_quote(query_id);
    const Piece pieces[] = {
        LITERAL("{\"type\":\"error\",\"error\":\""),
        text_piece(name),
        quoted == NULL ? LITERAL("\"") : LITERAL("\",\"query_id\":"),
        text_piece(quoted == NULL ? "" : quoted),
        LITERAL("}"),
    };
    return join(pieces, G_N_ELEMENTS(pieces));
}

GBytes *node_message_query(const NodeMessage *query, const char *from_node_json)
{
    /* A registered id brings its own quotes. */
    gboolean own = from_node_json == NULL;
    const Piece pieces[] = {
        LITERAL("{\"type\":\"query\",\"query_id\":\""),
        field_piece(query, MESSAGE_KEY_QUERY_ID),
        own ? LITERAL("\",\"from_node\":\"") : LITERAL("\",\"from_node\":"),
        own ? field_piece(query, MESSAGE_KEY_FROM_NODE) : text_piece(from_node_json),
        own ? LITERAL("\",\"requester_pubkey\":\"") : LITERAL(",\"requester_pubkey\":\""),
        field_piece(query, MESSAGE_KEY_REQUESTER_PUBKEY),
        LITERAL("\",\"payload\":\""),
        field_piece(query, MESSAGE_KEY_PAYLOAD),
        LITERAL("\"}"),
    };
    return join(pieces, G_N_ELEMENTS(pieces));
}

GBytes *node_message_response(const NodeMessage *response, const char *from_node_json)
{
    const Piece pieces[] = {
        LITERAL("{\"type\":\"response\",\"query_id\":\""),
        field_piece(response, MESSAGE_KEY_QUERY_ID),
        LITERAL("\",\"from_node\":"),
        text_piece(from_node_json == NULL ? "null" : from_node_json),
        LITERAL(",\"payload\":\""),
        field_piece(response, MESSAGE_KEY_PAYLOAD),
        LITERAL("\"}"),
    };
    return join(pieces, G_N_ELEMENTS(pieces));
}

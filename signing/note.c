/* SPDX-License-Identifier: MIT
 *
 * The text of a note ends with the last empty line, so it may hold empty lines itself. Only ASCII control
 * characters but LF are forbidden in it, as the specification has it.
 */
#include "signing/note.h"

#include "schema/limits.h"
#include "schema/text.h"

#include <string.h>

#define DASH "\xe2\x80\x94 " /* U+2014 and a blank: what signature lines begin with */
#define KEY_ID_BYTES 4
#define ALGORITHM_ED25519 0x01
/* Longest signature that is kept in a line; other software has some of several kilobytes. */
#define SIGNATURE_CHARS_MAX 16384

/* The base64 of an Ed25519 signature line. */
typedef struct {
    guint8 key_id[KEY_ID_BYTES];
    guint8 signature[ED25519_SIGNATURE_BYTES];
} PackedSignature;
G_STATIC_ASSERT(sizeof(PackedSignature) == 68);

/* The base64 of a verifier key. */
typedef struct {
    guint8 algorithm;
    PublicKey key;
} PackedKey;
G_STATIC_ASSERT(sizeof(PackedKey) == 33);

static void signature_free(NoteSignature *signature)
{
    g_free(signature->name);
    g_free(signature);
}

void note_free(Note *note)
{
    if (note == NULL)
        return;
    g_free(note->text);
    g_ptr_array_unref(note->signatures);
    g_free(note);
}

static gboolean refuse(GError **error, KontorErrorCode code, const char *format, ...) G_GNUC_PRINTF(3, 4);

static gboolean refuse(GError **error, KontorErrorCode code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, KONTOR_ERROR, (int)code, message);
    return FALSE;
}

/* --- Names and keys --- */

gboolean note_name_is_valid(const char *key_name)
{
    gsize len = strlen(key_name);
    if (len == 0 || len > LIMIT_KEY_NAME_BYTES || !text_is_utf8(key_name, len, NULL))
        return FALSE;
    for (gsize at = 0; at < len;) {
        gunichar c = 0;
        at += text_char_decode(key_name + at, len - at, &c);
        if (c == '+' || text_is_space(c) || g_unichar_iscntrl(c))
            return FALSE;
    }
    return TRUE;
}

static gboolean check_name(const char *key_name, GError **error)
{
    if (note_name_is_valid(key_name))
        return TRUE;
    g_autofree char *shown = text_for_message(key_name, strlen(key_name));
    return refuse(error, KONTOR_ERROR_MALFORMED, "\"%s\" cannot be the name of a key in a signed note",
                  shown);
}

void note_key_id(const char *key_name, const PublicKey *key, guint8 ret[KEY_ID_BYTES])
{
    static const guint8 middle[] = {'\n', ALGORITHM_ED25519};
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    guint8 digest[SHA256_BYTES];
    g_byte_array_append(bytes, (const guint8 *)key_name, (guint)strlen(key_name));
    g_byte_array_append(bytes, middle, sizeof middle);
    g_byte_array_append(bytes, key->bytes, sizeof key->bytes);
    sha256(bytes->data, bytes->len, digest);
    memcpy(ret, digest, KEY_ID_BYTES);
}

char *note_verifier_key_print(const char *key_name, const PublicKey *key)
{
    guint8 key_id[KEY_ID_BYTES];
    char hex[2 * KEY_ID_BYTES + 1];
    PackedKey packed = {.algorithm = ALGORITHM_ED25519, .key = *key};
    g_assert(note_name_is_valid(key_name));
    note_key_id(key_name, key, key_id);
    hex_encode(key_id, sizeof key_id, hex);
    g_autofree char *base64 = base64_encode(&packed, sizeof packed);
    return g_strjoin("+", key_name, hex, base64, NULL);
}

gboolean note_verifier_key_parse(const char *text, char **ret_name, PublicKey *ret_key, GError **error)
{
    /* Base64 may hold a plus as well. */
    g_auto(GStrv) parts = g_strsplit(text, "+", 3);
    guint8 key_id[KEY_ID_BYTES], expected[KEY_ID_BYTES];
    PackedKey packed;
    if (g_strv_length(parts) != 3 || !hex_decode(parts[1], key_id, sizeof key_id))
        return refuse(error, KONTOR_ERROR_MALFORMED, "not a verifier key: NAME+KEYID+BASE64 is expected");
    if (!check_name(parts[0], error))
        return FALSE;
    gsize key_len = 0;
    g_autofree guchar *key = g_base64_decode(parts[2], &key_len);
    if (key_len > 0 && key[0] != ALGORITHM_ED25519)
        return refuse(error, KONTOR_ERROR_UNSUPPORTED, "unknown algorithm %u of the verifier key", key[0]);
    if (!base64_decode_exact(parts[2], (guint8 *)&packed, sizeof packed))
        return refuse(error, KONTOR_ERROR_MALFORMED, "the verifier key is not the base64 of 33 bytes");
    note_key_id(parts[0], &packed.key, expected);
    if (memcmp(expected, key_id, sizeof key_id) != 0)
        return refuse(error, KONTOR_ERROR_MALFORMED,
                      "the key id of the verifier key is not that of its name and key");
    *ret_name = g_strdup(parts[0]);
    *ret_key = packed.key;
    return TRUE;
}

/* --- Reading --- */

static gboolean check_text(const char *text, gsize len, GError **error)
{
    for (gsize i = 0; i < len; i++) {
        if ((guint8)text[i] < 0x20 && text[i] != '\n')
            return refuse(error, KONTOR_ERROR_MALFORMED, "control character %u in a signed note", text[i]);
    }
    if (!text_is_utf8(text, len, NULL))
        return refuse(error, KONTOR_ERROR_MALFORMED, "the signed note is not UTF-8");
    if (len == 0 || text[len - 1] != '\n')
        return refuse(error, KONTOR_ERROR_MALFORMED, "a signed note ends with a line feed");
    return TRUE;
}

/* Decodes the base64 of a signature line: *ret_is_ed25519 says whether it has the length of ours. FALSE when
 * it is no base64 of a key id and a signature. */
static gboolean decode_signature(const char *base64, NoteSignature *ret)
{
    PackedSignature packed;
    gsize chars = strlen(base64), len = 0;
    if (chars == 0 || chars % 4 != 0 || chars > SIGNATURE_CHARS_MAX)
        return FALSE;
    len = chars / 4 * 3 - (g_str_has_suffix(base64, "==") ? 2 : g_str_has_suffix(base64, "=") ? 1 : 0);
    g_autofree guint8 *bytes = g_malloc(len);
    if (len <= KEY_ID_BYTES || !base64_decode_exact(base64, bytes, len))
        return FALSE;
    memcpy(ret->key_id, bytes, KEY_ID_BYTES);
    ret->is_ed25519 = len == sizeof packed;
    if (ret->is_ed25519)
        memcpy(ret->signature, bytes + KEY_ID_BYTES, sizeof ret->signature);
    return TRUE;
}

/* "— <name> <base64>" */
static NoteSignature *parse_signature(const char *line, guint number, GError **error)
{
    g_autofree NoteSignature *signature = g_new0(NoteSignature, 1);
    const char *name = g_str_has_prefix(line, DASH) ? line + strlen(DASH) : NULL;
    const char *blank = name != NULL ? strchr(name, ' ') : NULL;
    g_autofree char *name_text = blank != NULL ? g_strndup(name, (gsize)(blank - name)) : NULL;
    if (name_text == NULL || !note_name_is_valid(name_text) || !decode_signature(blank + 1, signature)) {
        refuse(error, KONTOR_ERROR_MALFORMED, "signature line %u of the signed note is malformed", number);
        return NULL;
    }
    signature->name = g_steal_pointer(&name_text);
    return g_steal_pointer(&signature);
}

/* `lines` ends with LF. */
static gboolean parse_signatures(Note *note, const char *lines, GError **error)
{
    while (*lines != '\0') {
        const char *end = strchr(lines, '\n');
        g_autofree char *line = g_strndup(lines, (gsize)(end - lines));
        if (note->signatures->len >= LIMIT_NOTE_SIGNATURES)
            return refuse(error, KONTOR_ERROR_LIMIT, "the signed note has more than %d signatures",
                          LIMIT_NOTE_SIGNATURES);
        NoteSignature *signature = parse_signature(line, note->signatures->len + 1, error);
        if (signature == NULL)
            return FALSE;
        g_ptr_array_add(note->signatures, signature);
        lines = end + 1;
    }
    return note->signatures->len > 0 ||
           refuse(error, KONTOR_ERROR_MALFORMED, "the signed note has no signature");
}

Note *note_parse(const void *data, gsize len, GError **error)
{
    if (len > LIMIT_NOTE_BYTES) {
        refuse(error, KONTOR_ERROR_LIMIT, "a signed note has at most %d bytes", LIMIT_NOTE_BYTES);
        return NULL;
    }
    if (!check_text(data, len, error))
        return NULL;
    g_autofree char *text = g_strndup(data, len);
    char *split = g_strrstr(text, "\n\n");
    if (split == NULL) {
        refuse(error, KONTOR_ERROR_MALFORMED, "the signed note has no empty line before its signatures");
        return NULL;
    }
    g_autoptr(Note) note = g_new0(Note, 1);
    note->signatures = g_ptr_array_new_with_free_func((GDestroyNotify)signature_free);
    note->text_len = (gsize)(split - text) + 1;
    note->text = g_strndup(text, note->text_len);
    return parse_signatures(note, split + 2, error) ? g_steal_pointer(&note) : NULL;
}

/* --- Signing and verifying --- */

static char *signature_line(const char *text, const char *key_name, const SecretKey *key)
{
    PublicKey public_key;
    PackedSignature packed;
    secret_key_public(key, &public_key);
    note_key_id(key_name, &public_key, packed.key_id);
    secret_key_sign(key, text, strlen(text), packed.signature);
    g_autofree char *base64 = base64_encode(&packed, sizeof packed);
    return g_strconcat(DASH, key_name, " ", base64, "\n", NULL);
}

/* The note if it is not too long to be read. */
static char *check_length(char *note, GError **error)
{
    if (strlen(note) <= LIMIT_NOTE_BYTES)
        return note;
    g_free(note);
    refuse(error, KONTOR_ERROR_LIMIT, "the signed note would have more than %d bytes", LIMIT_NOTE_BYTES);
    return NULL;
}

char *note_sign(const char *text, const char *key_name, const SecretKey *key, GError **error)
{
    if (!check_text(text, strlen(text), error) || !check_name(key_name, error))
        return NULL;
    g_autofree char *line = signature_line(text, key_name, key);
    return check_length(g_strconcat(text, "\n", line, NULL), error);
}

char *note_cosign(const char *note_text, const char *key_name, const SecretKey *key, GError **error)
{
    g_autoptr(GError) missing = NULL;
    g_autoptr(Note) note = note_parse(note_text, strlen(note_text), error);
    PublicKey public_key;
    if (note == NULL || !check_name(key_name, error))
        return NULL;
    secret_key_public(key, &public_key);
    if (note_verify(note, key_name, &public_key, &missing))
        return g_strdup(note_text);
    if (!g_error_matches(missing, KONTOR_ERROR, KONTOR_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&missing));
        return NULL;
    }
    if (note->signatures->len >= LIMIT_NOTE_SIGNATURES) {
        refuse(error, KONTOR_ERROR_LIMIT, "the signed note has %d signatures already", LIMIT_NOTE_SIGNATURES);
        return NULL;
    }
    g_autofree char *line = signature_line(note->text, key_name, key);
    return check_length(g_strconcat(note_text, line, NULL), error);
}

gboolean note_verify(const Note *note, const char *key_name, const PublicKey *key, GError **error)
{
    guint8 key_id[KEY_ID_BYTES];
    guint found = 0;
    note_key_id(key_name, key, key_id);
    for (guint i = 0; i < note->signatures->len; i++) {
        const NoteSignature *signature = g_ptr_array_index(note->signatures, i);
        if (strcmp(signature->name, key_name) != 0 || memcmp(signature->key_id, key_id, sizeof key_id) != 0)
            continue;
        found++;
        if (!signature->is_ed25519 ||
            !public_key_verify(key, note->text, note->text_len, signature->signature))
            return refuse(error, KONTOR_ERROR_SIGNATURE, "the signature of %s does not fit the signed note",
                          key_name);
    }
    return found > 0 || refuse(error, KONTOR_ERROR_NOT_FOUND,
                               "the signed note has no signature of %s by this key", key_name);
}

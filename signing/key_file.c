/* SPDX-License-Identifier: MIT
 *
 * The order of checks makes the errors distinct: what the first line says (version, algorithm), then the
 * checksum over all lines, then the fields, then the seal, then whether both halves of the key belong
 * together. A wrong passphrase is only reported when the file is known to be undamaged.
 *
 * Whatever may hold a seed stands in guarded memory.
 */
#include "signing/key_file.h"

#include "schema/limits.h"
#include "schema/text.h"

#include <sodium.h>
#include <string.h>

#define CHECK_BYTES 8
#define SEALED_BYTES (crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + ED25519_SEED_BYTES)

#define SECRET_MAGIC "kontor-secret-key"
#define PUBLIC_MAGIC "kontor-public-key"
#define VERSION "v1"
#define ALGORITHM "ed25519"
#define KDF "argon2id"
#define COMMENT "untrusted comment: "
#define MINISIGN_COMMENT "minisign public key"
#define SIGNIFY_SUFFIX " public key"
#define SIGNIFY_ALGORITHM "Ed"
#define FIRST_LINE_BYTES_MAX 64 /* a longer one has swallowed others */
#define WORD_CHARS_MAX 16       /* of a version or algorithm that is worth naming */

/* What a new seal costs; reading allows up to LIMIT_KDF_*. */
#define KDF_PASSES 4
#define KDF_MEMORY_BYTES (64 * 1024 * 1024)

/* Algorithm, number and key, as minisign and signify have them in one piece of base64. */
typedef struct {
    char algorithm[2];
    guint8 number[KEY_NUMBER_BYTES];
    PublicKey key;
} SignifyKey;
G_STATIC_ASSERT(sizeof(SignifyKey) == 42);

/* The parameters of a seal. */
typedef struct {
    guint64 passes, memory_bytes;
    guint8 salt[crypto_pwhash_SALTBYTES];
} Kdf;

void key_file_free(KeyFile *file)
{
    if (file == NULL)
        return;
    g_free(file->name);
    secret_key_free(file->secret);
    g_free(file);
}

static void derive_number(const PublicKey *key, guint8 ret[KEY_NUMBER_BYTES])
{
    guint8 digest[SHA256_BYTES];
    sha256(key->bytes, sizeof key->bytes, digest);
    memcpy(ret, digest, KEY_NUMBER_BYTES);
}

static gboolean refuse(GError **error, KontorErrorCode code, const char *message)
{
    g_set_error_literal(error, KONTOR_ERROR, (int)code, message);
    return FALSE;
}

static gboolean refuse_text(GError **error, KontorErrorCode code, const char *what, const char *text)
{
    g_autofree char *shown = text_for_message(text, strlen(text));
    g_set_error(error, KONTOR_ERROR, (int)code, "%s \"%s\"", what, shown);
    return FALSE;
}

/* --- What it looks like --- */

static gboolean begins_with(const void *data, gsize len, const char *prefix)
{
    return len >= strlen(prefix) && memcmp(data, prefix, strlen(prefix)) == 0;
}

KeyFileKind key_file_kind(const void *data, gsize len)
{
    if (begins_with(data, len, SECRET_MAGIC " "))
        return memmem(data, len, "\nkdf: ", strlen("\nkdf: ")) != NULL ? KEY_FILE_SECRET_SEALED
                                                                       : KEY_FILE_SECRET;
    if (begins_with(data, len, PUBLIC_MAGIC " "))
        return KEY_FILE_PUBLIC;
    if (begins_with(data, len, COMMENT MINISIGN_COMMENT))
        return KEY_FILE_MINISIGN_PUBLIC;
    if (begins_with(data, len, COMMENT))
        return KEY_FILE_SIGNIFY_PUBLIC;
    return len == ED25519_SEED_BYTES ? KEY_FILE_RAW : KEY_FILE_UNKNOWN;
}

const char *key_file_kind_name(KeyFileKind kind)
{
    static const char *const names[] = {
        [KEY_FILE_SECRET] = "kontor-secret",     [KEY_FILE_SECRET_SEALED] = "kontor-sealed",
        [KEY_FILE_PUBLIC] = "kontor-public",     [KEY_FILE_RAW] = "raw",
        [KEY_FILE_MINISIGN_PUBLIC] = "minisign", [KEY_FILE_SIGNIFY_PUBLIC] = "signify",
        [KEY_FILE_UNKNOWN] = "unknown",
    };
    g_assert(kind < G_N_ELEMENTS(names));
    return names[kind];
}

/* --- Parts --- */

/* U+2028 and U+2029 are no control characters, but end lines for some readers. */
static gboolean may_stand_in_name(gunichar c)
{
    return !g_unichar_iscntrl(c) && c != 0x2028 && c != 0x2029;
}

gboolean key_file_name_check(const char *name, GError **error)
{
    gsize len = strlen(name);
    if (len > LIMIT_KEY_NAME_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "the name has more than %d bytes",
                    LIMIT_KEY_NAME_BYTES);
        return FALSE;
    }
    gboolean good = text_is_utf8(name, len, NULL) && text_trim(name, len).len == len;
    gunichar c = 0;
    for (gsize at = 0; good && at < len; good = may_stand_in_name(c))
        at += text_char_decode(name + at, len - at, &c);
    return good || refuse_text(error, KONTOR_ERROR_MALFORMED,
                               "control characters, white space at an end or no UTF-8 in the name", name);
}

static gboolean check_point(const PublicKey *key, GError **error)
{
    return crypto_core_ed25519_is_valid_point(key->bytes) == 1 ||
           refuse(error, KONTOR_ERROR_MALFORMED, "the public key is no point that Ed25519 may use");
}

/* --- Kontor's files: lines --- */

/* The next line of the NUL-terminated text, cut off in place; NULL at the end. */
static char *take_line(char **rest)
{
    char *line = *rest;
    char *end = strchr(line, '\n');
    if (end == NULL)
        return NULL;
    *end = '\0';
    *rest = end + 1;
    return line;
}

/* The value of the next line if it is that of `key`, and then takes it. */
static const char *take_field(char **rest, const char *key)
{
    gsize key_len = strlen(key);
    if (strncmp(*rest, key, key_len) != 0 || strncmp(*rest + key_len, ": ", 2) != 0)
        return NULL;
    char *line = take_line(rest);
    return line != NULL ? line + key_len + 2 : NULL;
}

static const char *need_field(char **rest, const char *key, GError **error)
{
    const char *value = take_field(rest, key);
    if (value == NULL)
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "the key file lacks its line \"%s:\"", key);
    return value;
}

static gboolean decode_field(char **rest, const char *key, guint8 *ret, gsize len, GError **error)
{
    const char *value = need_field(rest, key, error);
    if (value == NULL)
        return FALSE;
    if (base64_decode_exact(value, ret, len))
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                "line \"%s:\" of the key file is not the base64 of %zu bytes", key, len);
    return FALSE;
}

static const char first_line_damaged[] =
    "the key file is damaged: its first line does not end behind the algorithm";

/* TRUE for what a version or algorithm looks like. Anything else may be a seed that lost its line, and must
 * not stand in a message. */
static gboolean is_short_word(const char *text)
{
    gsize len = strlen(text);
    for (gsize i = 0; i < len; i++) {
        if (!g_ascii_isgraph(text[i]))
            return FALSE;
    }
    return len > 0 && len <= WORD_CHARS_MAX;
}

/* "<magic> v1 ed25519" */
static gboolean check_first_line(const char *line, GError **error)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 3);
    if (g_strv_length(words) != 3 || !is_short_word(words[1]))
        return refuse(error, KONTOR_ERROR_MALFORMED,
                      "the first line of the key file does not name version and algorithm");
    if (!is_short_word(words[2]))
        return refuse(error, KONTOR_ERROR_MALFORMED, first_line_damaged);
    if (strcmp(words[1], VERSION) != 0)
        return refuse_text(error, KONTOR_ERROR_UNSUPPORTED, "unknown version of the key file", words[1]);
    if (strcmp(words[2], ALGORITHM) != 0)
        return refuse_text(error, KONTOR_ERROR_UNSUPPORTED, "unknown key algorithm", words[2]);
    return TRUE;
}

static void check_of(const char *text, gsize len, char ret[2 * CHECK_BYTES + 1])
{
    guint8 digest[SHA256_BYTES];
    sha256(text, len, digest);
    hex_encode(digest, CHECK_BYTES, ret);
}

/* Cuts the last line, "check: <hex>", off the text if it fits what stands above it. */
static gboolean cut_check(char *text, gsize len, GError **error)
{
    static const char key[] = "check: ";
    gsize line_len = strlen(key) + 2 * CHECK_BYTES + 1;
    char expected[2 * CHECK_BYTES + 1];
    char *line = len > line_len ? text + len - line_len : NULL;
    if (line == NULL || line[-1] != '\n' || strncmp(line, key, strlen(key)) != 0 || text[len - 1] != '\n')
        return refuse(error, KONTOR_ERROR_MALFORMED,
                      "the key file is damaged: it does not end with its line \"check:\"");
    check_of(text, len - line_len, expected);
    if (strncmp(line + strlen(key), expected, 2 * CHECK_BYTES) != 0)
        return refuse(error, KONTOR_ERROR_MALFORMED, "the key file is damaged: its checksum does not fit");
    *line = '\0';
    return TRUE;
}

/* --- Seals --- */

static gboolean take_number(const char *word, const char *key, guint64 min, guint64 max, guint64 *ret)
{
    return g_str_has_prefix(word, key) &&
           g_ascii_string_to_unsigned(word + strlen(key), 10, min, max, ret, NULL);
}

/* "argon2id passes=4 memory=67108864 salt=<base64>" */
static gboolean parse_kdf(const char *value, Kdf *ret, GError **error)
{
    g_auto(GStrv) words = g_strsplit(value, " ", 5);
    if (words[0] == NULL || strcmp(words[0], KDF) != 0)
        return refuse_text(error, KONTOR_ERROR_UNSUPPORTED, "unknown key derivation", value);
    if (g_strv_length(words) != 4 || !take_number(words[1], "passes=", 0, G_MAXUINT64, &ret->passes) ||
        !take_number(words[2], "memory=", 0, G_MAXUINT64, &ret->memory_bytes) ||
        !g_str_has_prefix(words[3], "salt=") ||
        !base64_decode_exact(words[3] + strlen("salt="), ret->salt, sizeof ret->salt))
        return refuse(error, KONTOR_ERROR_MALFORMED,
                      "line \"kdf:\" of the key file has not the form passes=N memory=BYTES salt=BASE64");
    if (ret->passes < crypto_pwhash_argon2id_OPSLIMIT_MIN || ret->passes > LIMIT_KDF_PASSES ||
        ret->memory_bytes < crypto_pwhash_argon2id_MEMLIMIT_MIN || ret->memory_bytes > LIMIT_KDF_MEMORY_BYTES)
        return refuse(error, KONTOR_ERROR_UNSUPPORTED,
                      "the key derivation asks for more or less passes or memory than is allowed");
    return TRUE;
}

/* The key of a seal, in guarded memory; NULL with LIMIT. */
static guint8 *derive_key(const Kdf *kdf, const char *passphrase, GError **error)
{
    guint8 *key = secret_alloc(crypto_secretbox_KEYBYTES);
    if (crypto_pwhash(key, crypto_secretbox_KEYBYTES, passphrase, strlen(passphrase), kdf->salt, kdf->passes,
                      kdf->memory_bytes, crypto_pwhash_ALG_ARGON2ID13) == 0)
        return key;
    secret_free(key);
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT,
                "not enough memory to derive a key from the passphrase: %" G_GUINT64_FORMAT " bytes",
                kdf->memory_bytes);
    return NULL;
}

static gboolean open_seal(const Kdf *kdf, const guint8 sealed[SEALED_BYTES], const char *passphrase,
                          guint8 *ret_seed, GError **error)
{
    if (passphrase == NULL)
        return refuse(error, KONTOR_ERROR_DENIED, "the key is sealed and needs its passphrase");
    guint8 *key = derive_key(kdf, passphrase, error);
    if (key == NULL)
        return FALSE;
    const guint8 *box = sealed + crypto_secretbox_NONCEBYTES;
    int opened =
        crypto_secretbox_open_easy(ret_seed, box, SEALED_BYTES - crypto_secretbox_NONCEBYTES, sealed, key);
    secret_free(key);
    return opened == 0 || refuse(error, KONTOR_ERROR_DENIED, "wrong passphrase");
}

static void seal(const guint8 seed[ED25519_SEED_BYTES], const guint8 *key, guint8 ret_sealed[SEALED_BYTES])
{
    random_fill(ret_sealed, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(ret_sealed + crypto_secretbox_NONCEBYTES, seed, ED25519_SEED_BYTES, ret_sealed,
                          key);
}

/* --- Reading Kontor's files --- */

typedef struct {
    gboolean public_only; /* open no seal, keep no secret */
    gboolean raw_is_secret;
    const char *passphrase;
} ReadOptions;

/* Makes the secret key and checks that it is the other half of the public key; keeps it if it is wanted. */
static gboolean set_secret(KeyFile *file, const guint8 *seed, const ReadOptions *options, GError **error)
{
    PublicKey public_key;
    g_autoptr(SecretKey) secret = secret_key_from_seed(seed);
    secret_key_public(secret, &public_key);
    if (!public_key_equal(&public_key, &file->public_key))
        return refuse(error, KONTOR_ERROR_MALFORMED, "the public key does not belong to the seed");
    if (!options->public_only)
        file->secret = g_steal_pointer(&secret);
    return TRUE;
}

static gboolean read_plain(KeyFile *file, char **rest, const ReadOptions *options, GError **error)
{
    guint8 *seed = secret_alloc(ED25519_SEED_BYTES);
    gboolean good =
        decode_field(rest, "seed", seed, ED25519_SEED_BYTES, error) && set_secret(file, seed, options, error);
    secret_free(seed);
    return good;
}

static gboolean read_sealed(KeyFile *file, const char *kdf_value, char **rest, const ReadOptions *options,
                            GError **error)
{
    Kdf kdf;
    guint8 sealed[SEALED_BYTES];
    if (!parse_kdf(kdf_value, &kdf, error) || !decode_field(rest, "sealed", sealed, sizeof sealed, error))
        return FALSE;
    if (options->public_only)
        return TRUE;
    guint8 *seed = secret_alloc(ED25519_SEED_BYTES);
    gboolean good =
        open_seal(&kdf, sealed, options->passphrase, seed, error) && set_secret(file, seed, options, error);
    secret_free(seed);
    return good;
}

static gboolean read_number(KeyFile *file, char **rest, GError **error)
{
    const char *number = take_field(rest, "number");
    derive_number(&file->public_key, file->number);
    return number == NULL || hex_decode(number, file->number, KEY_NUMBER_BYTES) ||
           refuse(error, KONTOR_ERROR_MALFORMED,
                  "line \"number:\" of the key file is not 16 hexadecimal digits");
}

static gboolean read_fields(KeyFile *file, char *rest, gboolean secret, const ReadOptions *options,
                            GError **error)
{
    const char *name = need_field(&rest, "name", error);
    if (name == NULL || !key_file_name_check(name, error) ||
        !decode_field(&rest, "public", file->public_key.bytes, sizeof file->public_key.bytes, error) ||
        !check_point(&file->public_key, error) || !read_number(file, &rest, error))
        return FALSE;
    file->name = g_strdup(name);
    const char *kdf = secret ? take_field(&rest, "kdf") : NULL;
    if (kdf != NULL && !read_sealed(file, kdf, &rest, options, error))
        return FALSE;
    if (secret && kdf == NULL && !read_plain(file, &rest, options, error))
        return FALSE;
    return *rest == '\0' ||
           refuse(error, KONTOR_ERROR_MALFORMED, "the key file has more lines than it should");
}

/* `text` is a copy that may be cut up. */
static KeyFile *read_kontor(char *text, gsize len, gboolean secret, const ReadOptions *options,
                            GError **error)
{
    g_autoptr(KeyFile) file = g_new0(KeyFile, 1);
    if (strlen(text) != len) {
        refuse(error, KONTOR_ERROR_MALFORMED, "the key file has a NUL byte");
        return NULL;
    }
    const char *first_end = strchr(text, '\n');
    if (first_end == NULL || first_end - text > FIRST_LINE_BYTES_MAX) {
        refuse(error, KONTOR_ERROR_MALFORMED, first_line_damaged);
        return NULL;
    }
    /* A copy: the checksum needs the text before it is cut up. */
    g_autofree char *first = g_strndup(text, (gsize)(first_end - text));
    if (!check_first_line(first, error) || !cut_check(text, len, error))
        return NULL;
    return read_fields(file, text + strlen(first) + 1, secret, options, error) ? g_steal_pointer(&file)
                                                                               : NULL;
}

/* --- Reading other tools' files --- */

/* The name in signify's "<name> public key"; "" where there is none that may stand in a key file. */
static char *name_of_comment(const char *comment, KeyFileKind kind)
{
    g_autofree char *name = g_strdup(comment);
    if (kind == KEY_FILE_MINISIGN_PUBLIC)
        name[0] = '\0';
    if (g_str_has_suffix(name, SIGNIFY_SUFFIX))
        name[strlen(name) - strlen(SIGNIFY_SUFFIX)] = '\0';
    return key_file_name_check(name, NULL) ? g_steal_pointer(&name) : g_strdup("");
}

static KeyFile *read_signify(const char *text, gsize len, KeyFileKind kind, GError **error)
{
    g_autoptr(KeyFile) file = g_new0(KeyFile, 1);
    g_auto(GStrv) lines = g_strsplit(text + strlen(COMMENT), "\n", 4);
    SignifyKey key;
    guint count = g_strv_length(lines);
    if (strlen(text) != len || count < 2 || (count == 3 ? *lines[2] != '\0' : count > 3) ||
        !base64_decode_exact(g_strchomp(lines[1]), (guint8 *)&key, sizeof key)) {
        refuse(error, KONTOR_ERROR_MALFORMED,
               "not a public key of minisign or signify: a comment and the base64 of 42 bytes are expected");
        return NULL;
    }
    if (memcmp(key.algorithm, SIGNIFY_ALGORITHM, sizeof key.algorithm) != 0) {
        g_autofree char *algorithm = g_strndup(key.algorithm, sizeof key.algorithm);
        refuse_text(error, KONTOR_ERROR_UNSUPPORTED, "unknown key algorithm", algorithm);
        return NULL;
    }
    if (!check_point(&key.key, error))
        return NULL;
    file->name = name_of_comment(g_strchomp(lines[0]), kind);
    file->public_key = key.key;
    memcpy(file->number, key.number, sizeof key.number);
    return g_steal_pointer(&file);
}

static KeyFile *read_raw(const guint8 *bytes, const ReadOptions *options, GError **error)
{
    g_autoptr(KeyFile) file = g_new0(KeyFile, 1);
    file->name = g_strdup("");
    memcpy(file->public_key.bytes, bytes, sizeof file->public_key.bytes);
    if (options->raw_is_secret) {
        g_autoptr(SecretKey) secret = secret_key_from_seed(bytes);
        secret_key_public(secret, &file->public_key);
        if (!options->public_only)
            file->secret = g_steal_pointer(&secret);
    }
    derive_number(&file->public_key, file->number);
    return check_point(&file->public_key, error) ? g_steal_pointer(&file) : NULL;
}

static KeyFile *read_any(const void *data, gsize len, const ReadOptions *options, GError **error)
{
    if (len > LIMIT_KEY_FILE_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "a key file has at most %d bytes",
                    LIMIT_KEY_FILE_BYTES);
        return NULL;
    }
    KeyFileKind kind = key_file_kind(data, len);
    if (kind == KEY_FILE_RAW)
        return read_raw(data, options, error);
    if (kind == KEY_FILE_UNKNOWN) {
        refuse(error, KONTOR_ERROR_MALFORMED, "not a key file of Kontor, OCC, minisign or signify");
        return NULL;
    }
    char *text = secret_alloc(len + 1);
    memcpy(text, data, len);
    KeyFile *file = kind == KEY_FILE_MINISIGN_PUBLIC || kind == KEY_FILE_SIGNIFY_PUBLIC
                        ? read_signify(text, len, kind, error)
                        : read_kontor(text, len, kind != KEY_FILE_PUBLIC, options, error);
    secret_free(text);
    return file;
}

KeyFile *key_file_parse(const void *data, gsize len, gboolean raw_is_secret, const char *passphrase,
                        GError **error)
{
    ReadOptions options = {.raw_is_secret = raw_is_secret, .passphrase = passphrase};
    return read_any(data, len, &options, error);
}

KeyFile *key_file_parse_public(const void *data, gsize len, gboolean raw_is_secret, GError **error)
{
    ReadOptions options = {.raw_is_secret = raw_is_secret, .public_only = TRUE};
    return read_any(data, len, &options, error);
}

/* --- Writing --- */

void key_text_free(char *text)
{
    secret_free(text);
}

/* A growing text in guarded memory of LIMIT_KEY_FILE_BYTES. */
G_GNUC_PRINTF(2, 3) static void append(char *text, const char *format, ...)
{
    gsize used = strlen(text);
    va_list args;
    va_start(args, format);
    int len = g_vsnprintf(text + used, LIMIT_KEY_FILE_BYTES - used, format, args);
    va_end(args);
    g_assert(len >= 0 && used + (gsize)len < LIMIT_KEY_FILE_BYTES);
}

static void append_head(char *text, const char *magic, const PublicKey *key, const char *name)
{
    g_autofree char *public_text = base64_encode(key->bytes, sizeof key->bytes);
    g_assert(key_file_name_check(name, NULL));
    append(text, "%s " VERSION " " ALGORITHM "\nname: %s\npublic: %s\n", magic, name, public_text);
}

static void append_base64(char *text, const char *key, const guint8 *bytes, gsize len)
{
    char *value = base64_encode(bytes, len);
    append(text, "%s: %s\n", key, value);
    secret_wipe(value, strlen(value));
    g_free(value);
}

static void append_check(char *text)
{
    char check[2 * CHECK_BYTES + 1];
    check_of(text, strlen(text), check);
    append(text, "check: %s\n", check);
}

static gboolean append_sealed(char *text, const guint8 *seed, const char *passphrase, GError **error)
{
    Kdf kdf = {.passes = KDF_PASSES, .memory_bytes = KDF_MEMORY_BYTES};
    guint8 sealed[SEALED_BYTES];
    if (*passphrase == '\0')
        return refuse(error, KONTOR_ERROR_MALFORMED, "the passphrase is empty");
    random_fill(kdf.salt, sizeof kdf.salt);
    guint8 *key = derive_key(&kdf, passphrase, error);
    if (key == NULL)
        return FALSE;
    seal(seed, key, sealed);
    secret_free(key);
    g_autofree char *salt = base64_encode(kdf.salt, sizeof kdf.salt);
    append(text, "kdf: " KDF " passes=%d memory=%d salt=%s\n", KDF_PASSES, KDF_MEMORY_BYTES, salt);
    append_base64(text, "sealed", sealed, sizeof sealed);
    return TRUE;
}

char *key_file_print_secret(const SecretKey *secret, const char *name, const char *passphrase, GError **error)
{
    char *text = secret_alloc(LIMIT_KEY_FILE_BYTES);
    guint8 *seed = secret_alloc(ED25519_SEED_BYTES);
    PublicKey public_key;
    gboolean good = TRUE;
    secret_key_public(secret, &public_key);
    secret_key_seed(secret, seed);
    append_head(text, SECRET_MAGIC, &public_key, name);
    if (passphrase != NULL)
        good = append_sealed(text, seed, passphrase, error);
    else
        append_base64(text, "seed", seed, ED25519_SEED_BYTES);
    append_check(text);
    secret_free(seed);
    if (good)
        return text;
    secret_free(text);
    return NULL;
}

char *key_file_print_public(const PublicKey *key, const char *name, const guint8 *number)
{
    g_autofree char *text = g_malloc0(LIMIT_KEY_FILE_BYTES);
    guint8 derived[KEY_NUMBER_BYTES];
    derive_number(key, derived);
    append_head(text, PUBLIC_MAGIC, key, name);
    if (number != NULL && memcmp(number, derived, sizeof derived) != 0) {
        char hex[2 * KEY_NUMBER_BYTES + 1];
        hex_encode(number, KEY_NUMBER_BYTES, hex);
        append(text, "number: %s\n", hex);
    }
    append_check(text);
    return g_strdup(text);
}

static char *print_signify(const PublicKey *key, const guint8 *number, const char *comment)
{
    SignifyKey packed = {.key = *key};
    memcpy(packed.algorithm, SIGNIFY_ALGORITHM, sizeof packed.algorithm);
    memcpy(packed.number, number, sizeof packed.number);
    g_autofree char *text = base64_encode(&packed, sizeof packed);
    return g_strconcat(COMMENT, comment, "\n", text, "\n", NULL);
}

char *key_file_print_minisign(const PublicKey *key, const guint8 *number)
{
    guint8 derived[KEY_NUMBER_BYTES];
    guint64 shown = 0;
    derive_number(key, derived);
    number = number != NULL ? number : derived;
    /* minisign shows its number as a little-endian integer, without leading zeros. */
    for (guint i = KEY_NUMBER_BYTES; i > 0; i--)
        shown = shown << 8 | number[i - 1];
    g_autofree char *comment = g_strdup_printf(MINISIGN_COMMENT " %" G_GINT64_MODIFIER "X", shown);
    return print_signify(key, number, comment);
}

char *key_file_print_signify(const PublicKey *key, const char *name, const guint8 *number)
{
    guint8 derived[KEY_NUMBER_BYTES];
    derive_number(key, derived);
    g_assert(key_file_name_check(name, NULL));
    g_autofree char *comment = g_strconcat(*name != '\0' ? name : "kontor", SIGNIFY_SUFFIX, NULL);
    return print_signify(key, number != NULL ? number : derived, comment);
}

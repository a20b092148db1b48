/* SPDX-License-Identifier: MIT */
#include "mirror/agent/git_secret.h"

#include <string.h>

#include "schema/limits.h"
#include "schema/text.h"

enum { SSH_PORT = 22, SHA1_BYTES = 20 };

/* An empty text may be NULL, to which nothing may be added, not even nothing. */
static const char *end_of(const char *text, gsize len)
{
    return len > 0 ? text + len : text;
}

static void wipe_free(char *text)
{
    if (text == NULL)
        return;
    explicit_bzero(text, strlen(text));
    g_free(text);
}

void git_login_clear(GitLogin *login)
{
    g_clear_pointer(&login->user, wipe_free);
    g_clear_pointer(&login->password, wipe_free);
}

/* --- Files --- */

static gboolean read_file(const char *path, gsize bytes_max, char **ret, gsize *ret_len, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (!g_file_get_contents(path, ret, ret_len, &cause)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_DENIED, "credentials: %s", cause->message);
        return FALSE;
    }
    if (*ret_len <= bytes_max)
        return TRUE;
    explicit_bzero(*ret, *ret_len);
    g_clear_pointer(ret, g_free);
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_DENIED,
                "credentials: %s is larger than %" G_GSIZE_FORMAT " bytes", path, bytes_max);
    return FALSE;
}

static gboolean login_of_token(const MirrorSource *source, GitLogin *ret, GError **error)
{
    char *text = NULL;
    gsize len = 0;
    if (!read_file(source->token_file, LIMIT_SECRET_BYTES, &text, &len, error))
        return FALSE;
    ret->password = git_token_parse(text, len, error);
    explicit_bzero(text, len);
    g_free(text);
    if (ret->password == NULL) {
        g_prefix_error(error, "credentials: %s: ", source->token_file);
        return FALSE;
    }
    ret->user = g_strdup(source->user != NULL ? source->user : "git");
    return TRUE;
}

static gboolean login_of_netrc(const MirrorSource *source, const char *host, GitLogin *ret, GError **error)
{
    char *text = NULL;
    gsize len = 0;
    if (!read_file(source->netrc_file, LIMIT_NETRC_BYTES, &text, &len, error))
        return FALSE;
    if (git_netrc_find(text, len, host, ret) && ret->user == NULL)
        ret->user = g_strdup(source->user != NULL ? source->user : "git");
    explicit_bzero(text, len);
    g_free(text);
    return TRUE;
}

gboolean git_secret_login(const MirrorSource *source, const char *host, GitLogin *ret, GError **error)
{
    if (source->token_file != NULL)
        return login_of_token(source, ret, error);
    return source->netrc_file == NULL || login_of_netrc(source, host, ret, error);
}

static char *read_known_hosts(const MirrorSource *source, gsize *ret_len, GError **error)
{
    char *text = NULL;
    if (source->known_hosts_file == NULL) {
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_DENIED,
                            "name a file with the host's key by known_hosts");
        return NULL;
    }
    return read_file(source->known_hosts_file, LIMIT_KNOWN_HOSTS_BYTES, &text, ret_len, error) ? text : NULL;
}

gboolean git_secret_host_key(const MirrorSource *source, const char *host, guint port, const void *key,
                             gsize key_len, HostKeyVerdict *ret, GError **error)
{
    gsize len = 0;
    g_autofree char *text = read_known_hosts(source, &len, error);
    if (text == NULL)
        return FALSE;
    *ret = git_known_hosts_find(text, len, host, port, key, key_len);
    return TRUE;
}

char *git_secret_host_lines(const MirrorSource *source, const char *host, guint port, GError **error)
{
    gsize len = 0;
    g_autofree char *text = read_known_hosts(source, &len, error);
    return text != NULL ? git_known_hosts_of(text, len, host, port) : NULL;
}

/* --- Tokens --- */

char *git_token_parse(const char *text, gsize len, GError **error)
{
    const char *end = memchr(text, '\n', len);
    gsize line = end != NULL ? (gsize)(end - text) : len;
    while (line > 0 && g_ascii_isspace(text[line - 1]))
        line--;
    while (line > 0 && g_ascii_isspace(*text)) {
        text++;
        line--;
    }
    const char *problem = line == 0                   ? "the first line is empty"
                          : line > LIMIT_SECRET_BYTES ? "the first line is too long"
                                                      : NULL;
    for (gsize i = 0; i < line && problem == NULL; i++)
        if (g_ascii_iscntrl(text[i]))
            problem = "control character in the first line";
    if (problem == NULL)
        return g_strndup(text, line);
    g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_DENIED, problem);
    return NULL;
}

/* --- netrc --- */

typedef struct {
    const char *at, *end;
} NetrcText;

/* Appends a character of a quoted word; moves behind it. */
static void take_quoted(NetrcText *text, GString *word)
{
    static const char from[] = "nrt", to[] = "\n\r\t";
    if (*text->at == '\\' && text->at + 1 < text->end) {
        const char *known = memchr(from, *++text->at, sizeof from - 1);
        g_string_append_c(word, known != NULL ? to[known - from] : *text->at);
    } else {
        g_string_append_c(word, *text->at);
    }
    text->at++;
}

/* A new string, or NULL at the end. Comments begin with '#' where a word may. */
static char *next_word(NetrcText *text)
{
    while (text->at < text->end && (g_ascii_isspace(*text->at) || *text->at == '#')) {
        if (*text->at == '#')
            while (text->at + 1 < text->end && text->at[1] != '\n')
                text->at++;
        text->at++;
    }
    if (text->at >= text->end)
        return NULL;
    GString *word = g_string_new(NULL);
    if (*text->at == '"') {
        for (text->at++; text->at < text->end && *text->at != '"';)
            take_quoted(text, word);
        text->at += text->at < text->end ? 1 : 0;
    } else {
        for (; text->at < text->end && !g_ascii_isspace(*text->at); text->at++)
            g_string_append_c(word, *text->at);
    }
    return g_string_free(word, FALSE);
}

/* A macro ends with an empty line. */
static void pass_macro(NetrcText *text)
{
    while (text->at < text->end) {
        const char *line = memchr(text->at, '\n', (gsize)(text->end - text->at));
        text->at = line != NULL ? line + 1 : text->end;
        if (text->at < text->end && *text->at == '\n')
            return;
    }
}

/* What the words so far amount to. */
typedef struct {
    const char *host;
    GitLogin exact, fallback;
    GitLogin *into; /* NULL: an entry of another host, or one that comes too late */
    gboolean has_exact, has_fallback;
} NetrcSearch;

static void begin_entry(NetrcSearch *search, const char *machine)
{
    search->into = NULL;
    if (machine == NULL && !search->has_fallback) {
        search->has_fallback = TRUE;
        search->into = &search->fallback;
    } else if (machine != NULL && !search->has_exact && g_ascii_strcasecmp(machine, search->host) == 0) {
        search->has_exact = TRUE;
        search->into = &search->exact;
    }
}

static void set_once(char **to, const char *value)
{
    if (*to == NULL && value != NULL)
        *to = g_strdup(value);
}

static void take_word(NetrcSearch *search, NetrcText *text, const char *word)
{
    if (g_ascii_strcasecmp(word, "default") == 0) {
        begin_entry(search, NULL);
    } else if (g_ascii_strcasecmp(word, "macdef") == 0) {
        pass_macro(text);
    } else if (g_ascii_strcasecmp(word, "machine") == 0 || g_ascii_strcasecmp(word, "login") == 0 ||
               g_ascii_strcasecmp(word, "password") == 0 || g_ascii_strcasecmp(word, "account") == 0) {
        char *value = next_word(text);
        char kind = g_ascii_tolower(*word);
        if (kind == 'm')
            begin_entry(search, value != NULL ? value : "");
        else if (search->into != NULL && kind == 'l')
            set_once(&search->into->user, value);
        else if (search->into != NULL && kind == 'p')
            set_once(&search->into->password, value);
        wipe_free(value);
    }
}

gboolean git_netrc_find(const char *text, gsize len, const char *host, GitLogin *ret)
{
    NetrcText rest = {.at = text, .end = end_of(text, len)};
    NetrcSearch search = {.host = host};
    for (char *word; (word = next_word(&rest)) != NULL;) {
        take_word(&search, &rest, word);
        wipe_free(word);
    }
    GitLogin *found = search.has_exact ? &search.exact : &search.fallback;
    gboolean usable = found->password != NULL;
    if (usable) {
        *ret = *found;
        *found = (GitLogin){0};
    }
    git_login_clear(&search.exact);
    git_login_clear(&search.fallback);
    return usable;
}

/* --- known_hosts --- */

/* The next word of a line, separated by blanks; FALSE at its end. */
static gboolean line_word(TextSpan *line, TextSpan *ret)
{
    while (line->len > 0 && (*line->text == ' ' || *line->text == '\t')) {
        line->text++;
        line->len--;
    }
    gsize len = 0;
    while (len < line->len && line->text[len] != ' ' && line->text[len] != '\t')
        len++;
    *ret = (TextSpan){line->text, len};
    line->text += len;
    line->len -= len;
    return len > 0;
}

static gboolean span_is(TextSpan span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.text, text, span.len) == 0;
}

/* "|1|<salt>|<HMAC-SHA1 of the name>", both in base64. */
static gboolean hashed_name_fits(TextSpan pattern, const char *name)
{
    g_autofree char *text = text_span_dup(pattern);
    g_auto(GStrv) parts = g_strsplit(text, "|", 5);
    if (g_strv_length(parts) != 4 || strcmp(parts[1], "1") != 0)
        return FALSE;
    gsize salt_len = 0, hash_len = 0, made_len = SHA1_BYTES;
    guint8 made[SHA1_BYTES];
    g_autofree guchar *salt = g_base64_decode(parts[2], &salt_len);
    g_autofree guchar *hash = g_base64_decode(parts[3], &hash_len);
    if (salt_len == 0 || hash_len != SHA1_BYTES)
        return FALSE;
    GHmac *hmac = g_hmac_new(G_CHECKSUM_SHA1, salt, salt_len);
    g_hmac_update(hmac, (const guchar *)name, (gssize)strlen(name));
    g_hmac_get_digest(hmac, made, &made_len);
    g_hmac_unref(hmac);
    return memcmp(made, hash, SHA1_BYTES) == 0;
}

/* '*' is any bytes, '?' one byte. (GLib's patterns abort on what is not UTF-8.) Going back to the latest '*'
 * is enough, so it takes at most the product of both lengths. */
static gboolean pattern_fits(const char *pattern, const char *name)
{
    const char *star = NULL, *resume = NULL;
    while (*name != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            resume = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star + 1;
            name = ++resume;
        } else {
            return FALSE;
        }
    }
    return pattern[strspn(pattern, "*")] == '\0';
}

/* TRUE when a comma-separated list of patterns has the name; a pattern with '!' that fits takes it out. */
static gboolean names_fit(TextSpan patterns, const char *name)
{
    g_autofree char *text = text_span_dup(patterns);
    g_autofree char *lower = g_ascii_strdown(text, -1);
    g_auto(GStrv) list = g_strsplit(lower, ",", -1);
    gboolean fits = FALSE;
    for (guint i = 0; list[i] != NULL; i++) {
        gboolean negated = list[i][0] == '!';
        if (!pattern_fits(list[i] + (negated ? 1 : 0), name))
            continue;
        if (negated)
            return FALSE;
        fits = TRUE;
    }
    return fits;
}

static gboolean line_is_of(TextSpan names, const char *name)
{
    return names.len > 0 && *names.text == '|' ? hashed_name_fits(names, name) : names_fit(names, name);
}

/* As known_hosts writes it: a port other than 22 belongs to the name. */
static char *host_name(const char *host, guint port)
{
    g_autofree char *name = port == SSH_PORT ? g_strdup(host) : g_strdup_printf("[%s]:%u", host, port);
    return g_ascii_strdown(name, -1);
}

/* A line about a host. */
typedef struct {
    gboolean revoked; /* marked so */
    TextSpan kind, base64;
} HostLine;

/* TRUE when a line is about the host. Comments, certificate authorities and what makes no sense are about
 * nobody. */
static gboolean read_host_line(TextSpan line, const char *name, HostLine *ret)
{
    TextSpan rest = line, names;
    if (memchr(line.text, '\0', line.len) != NULL || !line_word(&rest, &names) || *names.text == '#')
        return FALSE;
    ret->revoked = span_is(names, "@revoked");
    if (*names.text == '@' && (!ret->revoked || !line_word(&rest, &names)))
        return FALSE;
    return line_word(&rest, &ret->kind) && line_word(&rest, &ret->base64) && line_is_of(names, name);
}

/* Steps through the lines about a host, from *at on. */
static gboolean next_host_line(const char **at, const char *end, const char *name, HostLine *ret)
{
    while (*at < end) {
        const char *newline = memchr(*at, '\n', (gsize)(end - *at));
        TextSpan line = text_trim_right(*at, (gsize)((newline != NULL ? newline : end) - *at));
        *at = newline != NULL ? newline + 1 : end;
        if (line.len > 0 && read_host_line(line, name, ret))
            return TRUE;
    }
    return FALSE;
}

static gboolean has_key(const HostLine *line, const void *key, gsize key_len)
{
    gsize found_len = 0;
    g_autofree char *text = text_span_dup(line->base64);
    g_autofree guchar *found = g_base64_decode(text, &found_len);
    return found_len == key_len && key_len > 0 && memcmp(found, key, key_len) == 0;
}

HostKeyVerdict git_known_hosts_find(const char *text, gsize len, const char *host, guint port,
                                    const void *key, gsize key_len)
{
    g_autofree char *name = host_name(host, port);
    HostKeyVerdict verdict = HOST_KEY_UNKNOWN;
    HostLine line;
    for (const char *at = text; next_host_line(&at, end_of(text, len), name, &line);) {
        gboolean same = has_key(&line, key, key_len);
        if (line.revoked && same)
            return HOST_KEY_REVOKED;
        if (!line.revoked && same)
            verdict = HOST_KEY_KNOWN;
        else if (!line.revoked && verdict == HOST_KEY_UNKNOWN)
            verdict = HOST_KEY_OTHER;
    }
    return verdict;
}

static gboolean is_base64(TextSpan span)
{
    for (gsize i = 0; i < span.len; i++)
        if (!g_ascii_isalnum(span.text[i]) && strchr("+/=", span.text[i]) == NULL)
            return FALSE;
    return TRUE;
}

char *git_known_hosts_of(const char *text, gsize len, const char *host, guint port)
{
    g_autofree char *name = host_name(host, port);
    GString *out = g_string_new(NULL);
    HostLine line;
    for (const char *at = text; next_host_line(&at, end_of(text, len), name, &line);)
        if (!line.revoked && is_base64(line.base64))
            g_string_append_printf(out, "%s %.*s %.*s\n", name, (int)line.kind.len, line.kind.text,
                                   (int)line.base64.len, line.base64.text);
    return g_string_free(out, FALSE);
}

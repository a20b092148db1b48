/* SPDX-License-Identifier: MIT */
#include "mirror/agent/source_check.h"

#include "schema/limits.h"
#include "schema/pack_path.h"
#include "schema/text.h"

#include <arpa/inet.h>
#include <string.h>

static gboolean refuse(GError **error, const char *message)
{
    g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, message);
    return FALSE;
}

static gboolean check_length(const char *text, gsize bytes_max, GError **error)
{
    if (strlen(text) <= bytes_max)
        return TRUE;
    g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "longer than %" G_GSIZE_FORMAT " bytes", bytes_max);
    return FALSE;
}

/* TRUE when the text is ASCII or other UTF-8 without blanks and controls. */
static gboolean is_word(const char *text)
{
    gsize len = strlen(text);
    for (gsize pos = 0; pos < len;) {
        gunichar c = 0;
        guint step = text_char_decode(text + pos, len - pos, &c);
        if (step == 0 || text_is_space(c) || g_unichar_iscntrl(c))
            return FALSE;
        pos += step;
    }
    return TRUE;
}

/* --- Members --- */

gboolean source_check_name(const char *name, GError **error)
{
    if (strlen(name) > LIMIT_SOURCE_NAME_BYTES || !g_ascii_isalnum(name[0]) ||
        name[strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-")] != '\0')
        return refuse(error, "expected a name of at most 64 letters, digits, '.', '_' and '-' that begins "
                             "with a letter or digit, such as commons");
    return TRUE;
}

/* The rules of git-check-ref-format(1) that concern a name without "refs/heads/". */
gboolean source_check_ref(const char *ref, GError **error)
{
    if (!check_length(ref, LIMIT_SOURCE_REF_BYTES, error))
        return FALSE;
    gboolean bad = !is_word(ref) || *ref == '\0' || *ref == '/' || *ref == '-' || *ref == '.' ||
                   g_str_has_suffix(ref, "/") || g_str_has_suffix(ref, ".") ||
                   strpbrk(ref, "~^:?*[\\") != NULL || strstr(ref, "..") != NULL ||
                   strstr(ref, "//") != NULL || strstr(ref, "/.") != NULL || strstr(ref, "@{") != NULL ||
                   strstr(ref, ".lock/") != NULL || g_str_has_suffix(ref, ".lock") || g_str_equal(ref, "@");
    if (bad)
        return refuse(error, "git allows no such name of a branch or tag; write it as 'git branch' shows it");
    return TRUE;
}

gboolean source_check_user(const char *user, GError **error)
{
    if (!check_length(user, LIMIT_SOURCE_USER_BYTES, error))
        return FALSE;
    return (*user != '\0' && is_word(user) && strpbrk(user, ":@/") == NULL) ||
           refuse(error, "expected a user name without blanks, ':', '@' and '/'");
}

gboolean source_check_path(const char *path, GError **error)
{
    return *path == '\0' || pack_path_check(path, error);
}

/* --- URLs --- */

/* "host[:port]" without anything else in it. */
static gboolean check_host(const char *host, gsize len, GError **error)
{
    const char *end = host + len;
    gsize name = 0;
    if (len > 0 && *host == '[') { /* IPv6 */
        const char *close = memchr(host, ']', len);
        name = close != NULL ? (gsize)(close - host) + 1 : 0;
    } else {
        while (name < len && host[name] != ':')
            name++;
    }
    if (name == 0 || *host == '-')
        return refuse(error, "the URL names no host");
    const char *port = host + name;
    if (port == end)
        return TRUE;
    gsize digits = (gsize)(end - port) - 1;
    guint64 number = 0;
    g_autofree char *text = g_strndup(port + 1, digits);
    if (*port != ':' || !g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT16, &number, NULL))
        return refuse(error, "the port of the URL is not a number from 1 to 65535");
    return TRUE;
}

/* "[user@]host[:port]". A password would show up in logs and in what others see; so would a token, which many
 * hosts take as the user. */
static gboolean check_authority(const char *text, gsize len, gboolean user_allowed, GError **error)
{
    const char *at = g_strrstr_len(text, (gssize)len, "@");
    if (at == NULL)
        return check_host(text, len, error);
    if (memchr(text, ':', (gsize)(at - text)) != NULL)
        return refuse(error, "there is a password in the URL; put it into a file named by token_file");
    if (!user_allowed)
        return refuse(
            error,
            "there is a user in the URL; take it out, and put a token into a file named by token_file");
    if (at == text)
        return refuse(error, "the URL names no user before '@'");
    return check_host(at + 1, len - (gsize)(at - text) - 1, error);
}

static gboolean check_url_text(const char *url, GError **error)
{
    if (!check_length(url, LIMIT_FETCH_URL_BYTES, error))
        return FALSE;
    if (*url == '\0' || !is_word(url))
        return refuse(error, "expected a URL without blanks and control characters");
    return strpbrk(url, "#?") == NULL ||
           refuse(error, "a URL here has no '?' and no '#'; a token belongs into a file named by token_file");
}

static const struct {
    const char *scheme;
    SourceTransport transport;
} schemes[] = {
    {"https", SOURCE_OVER_HTTPS}, {"http", SOURCE_OVER_HTTP}, {"ssh", SOURCE_OVER_SSH},
    {"git", SOURCE_OVER_GIT},     {"file", SOURCE_OVER_FILE},
};

static gboolean find_scheme(const char *url, gsize len, SourceTransport *ret, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(schemes); i++) {
        if (strlen(schemes[i].scheme) == len && g_ascii_strncasecmp(url, schemes[i].scheme, len) == 0) {
            *ret = schemes[i].transport;
            return TRUE;
        }
    }
    g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED,
                        "the scheme of the URL is not supported; use https, http, ssh, git or file");
    return FALSE;
}

/* What git calls the scp form: "[user@]host:path". A path with a colon begins with a slash here. */
static gboolean check_scp_form(const char *url, GError **error)
{
    const char *colon = strchr(url, ':'), *slash = strchr(url, '/');
    if (colon == NULL || (slash != NULL && slash < colon))
        return refuse(error, "a path of this host must be absolute, such as /srv/git/packs.git; for another "
                             "host write a URL");
    const char *at = strchr(url, '@');
    if (at != NULL && at > colon)
        return refuse(error, "there is a password in the URL; put it into a file named by token_file");
    if (colon[1] == '\0')
        return refuse(error, "the URL names no repository behind its host");
    return check_authority(url, (gsize)(colon - url), TRUE, error);
}

gboolean source_check_git_url(const char *url, SourceTransport *ret_transport, GError **error)
{
    SourceTransport unused;
    SourceTransport *transport = ret_transport != NULL ? ret_transport : &unused;
    if (!check_url_text(url, error))
        return FALSE;
    const char *behind = strstr(url, "://");
    if (behind == NULL) {
        *transport = *url == '/' ? SOURCE_OVER_FILE : SOURCE_OVER_SSH;
        return *url == '/' || check_scp_form(url, error);
    }
    if (!find_scheme(url, (gsize)(behind - url), transport, error))
        return FALSE;
    const char *authority = behind + 3;
    gsize len = strcspn(authority, "/");
    if (*transport == SOURCE_OVER_FILE)
        return (len == 0 && authority[0] == '/') ||
               refuse(error, "a file URL names an absolute path: file:///srv/git/packs.git");
    return check_authority(authority, len, *transport == SOURCE_OVER_SSH, error);
}

gboolean source_check_peer_url(const char *url, GError **error)
{
    if (!check_url_text(url, error))
        return FALSE;
    gsize scheme = g_str_has_prefix(url, "https://") ? 8 : g_str_has_prefix(url, "http://") ? 7 : 0;
    if (scheme == 0) {
        g_set_error_literal(error, KONTOR_ERROR, KONTOR_ERROR_UNSUPPORTED,
                            "expected the URL of a broker, such as https://north.example");
        return FALSE;
    }
    if (g_str_has_suffix(url, "/"))
        return refuse(error, "a peer's URL ends without a slash");
    return check_authority(url + scheme, strcspn(url + scheme, "/"), FALSE, error);
}

/* --- This machine --- */

gboolean source_host_is_local(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return g_ascii_strcasecmp(host, "localhost") == 0;
}

gboolean source_url_is_local(const char *url)
{
    g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED, NULL);
    const char *host = uri != NULL ? g_uri_get_host(uri) : NULL;
    return host != NULL && source_host_is_local(host);
}

/* --- All together --- */

static gboolean check_globs(const GPtrArray *globs, GError **error)
{
    if (globs->len > LIMIT_SOURCE_GLOBS) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "more than %d globs", LIMIT_SOURCE_GLOBS);
        return FALSE;
    }
    for (guint i = 0; i < globs->len; i++) {
        if (!trust_glob_check(g_ptr_array_index(globs, i), error))
            return FALSE;
    }
    return TRUE;
}

static gboolean check_file(const char *file, GError **error)
{
    if (file == NULL)
        return TRUE;
    if (!check_length(file, LIMIT_SOURCE_FILE_BYTES, error))
        return FALSE;
    return (*file == '/' && g_utf8_validate(file, -1, NULL)) ||
           refuse(error, "expected an absolute path in UTF-8");
}

static gboolean check_files(const MirrorSource *source, const char **ret_member, GError **error)
{
    const struct {
        const char *member, *file;
    } files[] = {
        {"token_file", source->token_file},
        {"ssh_key", source->ssh_key_file},
        {"netrc", source->netrc_file},
        {"known_hosts", source->known_hosts_file},
        {"ca", source->ca_file},
    };
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        *ret_member = files[i].member;
        if (!check_file(files[i].file, error))
            return FALSE;
    }
    return TRUE;
}

/* A credential that the transport has no use for would be believed to protect something. */
static gboolean check_credentials(const MirrorSource *source, SourceTransport transport,
                                  const char **ret_member, GError **error)
{
    gboolean http = transport == SOURCE_OVER_HTTPS || transport == SOURCE_OVER_HTTP;
    gboolean ssh = transport == SOURCE_OVER_SSH;
    const struct {
        const char *member;
        gboolean given, useful;
        const char *message;
    } uses[] = {
        {"token_file", source->token_file != NULL, http, "only a repository over https can be given a token"},
        {"netrc", source->netrc_file != NULL, http, "only a repository over https uses a netrc file"},
        {"ca", source->ca_file != NULL, transport == SOURCE_OVER_HTTPS,
         "only a URL with https has certificates"},
        {"ssh_key", source->ssh_key_file != NULL, ssh, "only a repository over ssh uses a key"},
        {"known_hosts", source->known_hosts_file != NULL, ssh, "only a repository over ssh has host keys"},
        {"user", source->user != NULL, http || ssh, "only a repository over https or ssh has users"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(uses); i++) {
        *ret_member = uses[i].member;
        if (uses[i].given && !uses[i].useful)
            return refuse(error, uses[i].message);
    }
    *ret_member = "netrc";
    if (source->netrc_file != NULL && source->token_file != NULL)
        return refuse(error, "given together with token_file; keep one of them");
    *ret_member = "git";
    if (ssh && source->ssh_key_file == NULL)
        return refuse(error, "ssh needs a private key; name its file by ssh_key");
    if (ssh && source->known_hosts_file == NULL)
        return refuse(error,
                      "ssh needs the host's key; name a file by known_hosts (ssh-keyscan HOST makes one; "
                      "compare it with what the host's owner says)");
    return TRUE;
}

static gboolean check_git(const MirrorSource *source, const char **ret_member, GError **error)
{
    SourceTransport transport;
    *ret_member = "git";
    if (!source_check_git_url(source->url, &transport, error))
        return FALSE;
    *ret_member = source->ref_is_tag ? "tag" : "branch";
    if (source->ref != NULL && !source_check_ref(source->ref, error))
        return FALSE;
    *ret_member = "path";
    if (!source_check_path(source->path, error))
        return FALSE;
    *ret_member = "pack";
    if (source->pack != NULL && !pack_path_check(source->pack, error))
        return FALSE;
    *ret_member = "user";
    if (source->user != NULL && !source_check_user(source->user, error))
        return FALSE;
    return check_credentials(source, transport, ret_member, error);
}

static gboolean check_peer(const MirrorSource *source, const char **ret_member, GError **error)
{
    *ret_member = "url";
    if (!source_check_peer_url(source->url, error))
        return FALSE;
    if (source->ref != NULL || *source->path != '\0' || source->pack != NULL || source->user != NULL ||
        source->ssh_key_file != NULL || source->known_hosts_file != NULL || source->netrc_file != NULL)
        return refuse(error, "a peer has no branch, tag, path, pack, user, ssh_key, known_hosts or netrc");
    *ret_member = "ca";
    if (source->ca_file != NULL && g_str_has_prefix(source->url, "http://"))
        return refuse(error, "only a URL with https has certificates");
    *ret_member = "token_file";
    if (source->token_file != NULL && g_str_has_prefix(source->url, "http://") &&
        !source_url_is_local(source->url))
        return refuse(error, "over http everybody on the way could read the token; use https");
    *ret_member = "visibility";
    return source->token_file == NULL || source->is_private ||
           refuse(error,
                  "what a peer shows to a token is private; take out 'visibility: public', or token_file");
}

static gboolean check_numbers(const MirrorSource *source, const char **ret_member, GError **error)
{
    *ret_member = "interval";
    if (source->interval_s < LIMIT_SOURCE_INTERVAL_MIN_SECONDS ||
        source->interval_s > LIMIT_SOURCE_INTERVAL_MAX_SECONDS)
        return refuse(error, "outside of 1s to 365d");
    *ret_member = "max_time";
    if (source->time_max_s < 1 || source->time_max_s > LIMIT_SOURCE_SECONDS_MAX)
        return refuse(error, "outside of 1s to 24h");
    *ret_member = "max_bytes";
    return source->bytes_max > 0 || refuse(error, "must be more than nothing");
}

gboolean source_check(const MirrorSource *source, const char **ret_member, GError **error)
{
    *ret_member = "name";
    if (!source_check_name(source->name, error))
        return FALSE;
    if (!(source->kind == SOURCE_GIT ? check_git : check_peer)(source, ret_member, error))
        return FALSE;
    *ret_member = "include";
    if (source->include->len == 0)
        return refuse(error, "an empty list would bring nothing; leave it out for everything");
    if (!check_globs(source->include, error))
        return FALSE;
    *ret_member = "exclude";
    return check_globs(source->exclude, error) && check_files(source, ret_member, error) &&
           check_numbers(source, ret_member, error);
}

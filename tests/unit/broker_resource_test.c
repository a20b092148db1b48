/* SPDX-License-Identifier: MIT
 *
 * The forms in which a resource is sent: whole, compressed, in part, not modified.
 */
#include <string.h>
#include <zlib.h>

#include "broker/net/http_reply.h"
#include "broker/serve/gzip.h"
#include "broker/serve/resource.h"
#include "signing/hash.h"
#include "tests/unit/fake_http.h"

static Resource *resource_of(const char *text, gboolean compress)
{
    ResourceOptions options = {.content_type = "text/markdown; charset=utf-8", .compress = compress};
    guint8 digest[SHA256_BYTES];
    sha256(text, strlen(text), digest);
    g_autoptr(GBytes) body = g_bytes_new(text, strlen(text));
    return resource_new(&options, body, digest);
}

/* The value of a header of a reply, or NULL. */
static const char *header_of(const HttpReply *reply, const char *name)
{
    for (guint i = 0; i + 1 < reply->pairs->len; i += 2) {
        if (strcmp(reply->pairs->pdata[i], name) == 0)
            return reply->pairs->pdata[i + 1];
    }
    return NULL;
}

static HttpReply *ask(Resource *resource, HttpMethod method, const char *headers)
{
    g_autoptr(HttpExchange) exchange = fake_exchange_new(method, "/x", headers, NULL);
    return resource_answer(resource, http_exchange_request(exchange));
}

static char *body_of(const HttpReply *reply)
{
    GBytes *body = http_reply_body(reply);
    gsize len = 0;
    const char *data = body != NULL ? g_bytes_get_data(body, &len) : "";
    return g_strndup(data, len);
}

static char *long_text(void)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < 500; i++)
        g_string_append_printf(text, "line %u of a page\n", i);
    return g_string_free(text, FALSE);
}

static void test_whole(void)
{
    g_autoptr(Resource) resource = resource_of("hello", TRUE);
    g_autoptr(HttpReply) reply = ask(resource, HTTP_GET, "Host: x\nAccept-Encoding: gzip");
    g_autofree char *body = body_of(reply);
    g_assert_cmpuint(http_reply_status(reply), ==, 200);
    g_assert_cmpstr(body, ==, "hello");
    g_assert_cmpstr(header_of(reply, "Content-Type"), ==, "text/markdown; charset=utf-8");
    g_assert_cmpstr(header_of(reply, "ETag"), ==,
                    "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"");
    g_assert_null(header_of(reply, "Content-Encoding"));
    g_assert_null(header_of(reply, "Vary"));
}

static void check_unpacks_to(const HttpReply *reply, const char *text)
{
    gsize len;
    const guint8 *packed = g_bytes_get_data(http_reply_body(reply), &len);
    gsize max = strlen(text) + 1;
    g_autofree guint8 *out = g_malloc(max);
    z_stream stream = {0};
    g_assert_cmpint(inflateInit2(&stream, 15 + 16), ==, Z_OK);
    stream.next_in = (z_const Bytef *)(gsize)packed;
    stream.avail_in = (uInt)len;
    stream.next_out = out;
    stream.avail_out = (uInt)max;
    g_assert_cmpint(inflate(&stream, Z_FINISH), ==, Z_STREAM_END);
    g_assert_cmpmem(out, stream.total_out, text, strlen(text));
    inflateEnd(&stream);
}

static void test_gzip(void)
{
    g_autofree char *text = long_text();
    g_autoptr(Resource) resource = resource_of(text, TRUE);
    g_autoptr(HttpReply) plain = ask(resource, HTTP_GET, "Host: x");
    g_autoptr(HttpReply) packed = ask(resource, HTTP_GET, "Accept-Encoding: deflate, gzip");
    g_autoptr(HttpReply) refused = ask(resource, HTTP_GET, "Accept-Encoding: gzip;q=0");
    g_assert_cmpstr(header_of(plain, "Vary"), ==, "Accept-Encoding");
    g_assert_cmpstr(header_of(packed, "Vary"), ==, "Accept-Encoding");
    g_assert_cmpstr(header_of(packed, "Content-Encoding"), ==, "gzip");
    g_assert_cmpstr(header_of(packed, "ETag"), !=, header_of(plain, "ETag"));
    g_assert_true(g_str_has_suffix(header_of(packed, "ETag"), "-gz\""));
    g_assert_true(refused == plain);
    check_unpacks_to(packed, text);
    g_assert_cmpuint(resource_cost(resource), >, strlen(text));
}

/* Random bytes cannot be packed, and short ones need not be. */
static void test_gzip_not_worth_it(void)
{
    guint8 noise[8192];
    random_fill(noise, sizeof noise);
    g_autoptr(GBytes) bytes = g_bytes_new(noise, sizeof noise);
    g_assert_null(gzip_compress(bytes));
    g_autoptr(GBytes) empty = g_bytes_new(NULL, 0);
    g_assert_null(gzip_compress(empty));
}

/* Lists of hashes take less with the setting made for them. */
static void test_gzip_of_hashes(void)
{
    g_autoptr(GString) json = g_string_new("[");
    for (guint i = 0; i < 200; i++) {
        guint8 hash[SHA256_BYTES];
        char hex[SHA256_HEX_CHARS + 1];
        sha256(&i, sizeof i, hash);
        hex_encode(hash, sizeof hash, hex);
        g_string_append_printf(json, "{\"count\":%u,\"digest\":\"%s\"},", i, hex);
    }
    g_autoptr(GBytes) bytes = g_bytes_new(json->str, json->len);
    g_autoptr(GBytes) text = gzip_compress(bytes);
    g_autoptr(GBytes) hashes = gzip_compress_hashes(bytes);
    g_assert_cmpuint(g_bytes_get_size(hashes), <, g_bytes_get_size(text) * 95 / 100);
    ResourceOptions options = {.content_type = "application/json", .compress = TRUE, .hashes = TRUE};
    guint8 hash[SHA256_BYTES] = {0};
    g_autoptr(Resource) resource = resource_new(&options, bytes, hash);
    g_autoptr(HttpReply) packed = ask(resource, HTTP_GET, "Accept-Encoding: gzip");
    check_unpacks_to(packed, json->str);
}

static void test_not_modified(void)
{
    g_autofree char *text = long_text();
    g_autoptr(Resource) resource = resource_of(text, TRUE);
    g_autoptr(HttpReply) plain = ask(resource, HTTP_GET, NULL);
    g_autofree char *tag = g_strdup_printf("If-None-Match: \"old\", W/%s", header_of(plain, "ETag"));
    g_autofree char *tag_gzip = g_strdup_printf("Accept-Encoding: gzip\n%s", tag);
    g_autoptr(HttpReply) same = ask(resource, HTTP_GET, tag);
    g_autoptr(HttpReply) again = ask(resource, HTTP_HEAD, tag);
    g_autoptr(HttpReply) gzip = ask(resource, HTTP_GET, tag_gzip);
    g_autoptr(HttpReply) any = ask(resource, HTTP_GET, "If-None-Match: *");
    g_autoptr(HttpReply) other = ask(resource, HTTP_GET, "If-None-Match: \"old\"");
    g_assert_cmpuint(http_reply_status(same), ==, 304);
    g_assert_true(same == again && same == any);
    g_assert_null(http_reply_body(same));
    g_assert_null(header_of(same, "Content-Type"));
    g_assert_cmpstr(header_of(same, "ETag"), ==, header_of(plain, "ETag"));
    g_assert_cmpuint(http_reply_status(gzip), ==, 304);
    g_assert_true(g_str_has_suffix(header_of(gzip, "ETag"), "-gz\""));
    g_assert_cmpuint(http_reply_status(other), ==, 200);
}

/* A condition that holds goes before a range (RFC 9110 section 13.2.2). */
static void test_ranges(void)
{
    g_autoptr(Resource) resource = resource_of("0123456789", FALSE);
    g_autoptr(HttpReply) part = ask(resource, HTTP_GET, "Range: bytes=2-4");
    g_autofree char *body = body_of(part);
    g_assert_cmpuint(http_reply_status(part), ==, 206);
    g_assert_cmpstr(body, ==, "234");
    g_assert_cmpstr(header_of(part, "Content-Range"), ==, "bytes 2-4/10");
    g_assert_cmpstr(header_of(part, "Content-Length"), ==, "3");
    g_assert_nonnull(header_of(part, "ETag"));
    g_autoptr(HttpReply) beyond = ask(resource, HTTP_GET, "Range: bytes=10-");
    g_assert_cmpuint(http_reply_status(beyond), ==, 416);
    g_assert_cmpstr(header_of(beyond, "Content-Range"), ==, "bytes */10");
    g_autoptr(HttpReply) several = ask(resource, HTTP_GET, "Range: bytes=0-1,3-4");
    g_assert_cmpuint(http_reply_status(several), ==, 200);
    g_autoptr(HttpReply) head = ask(resource, HTTP_HEAD, "Range: bytes=2-4");
    g_assert_cmpuint(http_reply_status(head), ==, 200);
    g_autoptr(HttpReply) condition = ask(resource, HTTP_GET, "Range: bytes=2-4\nIf-None-Match: *");
    g_assert_cmpuint(http_reply_status(condition), ==, 304);
}

static void test_if_range(void)
{
    g_autofree char *text = long_text();
    g_autoptr(Resource) resource = resource_of(text, TRUE);
    g_autoptr(HttpReply) whole = ask(resource, HTTP_GET, NULL);
    g_autofree char *fits =
        g_strdup_printf("Range: bytes=0-4\nAccept-Encoding: gzip\nIf-Range: %s", header_of(whole, "ETag"));
    g_autoptr(HttpReply) part = ask(resource, HTTP_GET, fits);
    g_autoptr(HttpReply) old = ask(resource, HTTP_GET, "Range: bytes=0-4\nIf-Range: \"old\"");
    g_autofree char *body = body_of(part);
    g_assert_cmpuint(http_reply_status(part), ==, 206);
    g_assert_cmpstr(body, ==, "line ");
    g_assert_null(header_of(part, "Content-Encoding"));
    g_assert_true(old == whole);
}

static void test_empty(void)
{
    g_autoptr(Resource) resource = resource_of("", TRUE);
    g_autoptr(HttpReply) whole = ask(resource, HTTP_GET, "Accept-Encoding: gzip");
    g_autoptr(HttpReply) part = ask(resource, HTTP_GET, "Range: bytes=0-");
    g_assert_cmpuint(http_reply_status(whole), ==, 200);
    g_assert_null(http_reply_body(whole));
    g_assert_cmpuint(http_reply_status(part), ==, 416);
}

static void test_sandbox(void)
{
    ResourceOptions options = {.content_type = "image/svg+xml", .sandbox = TRUE};
    guint8 digest[SHA256_BYTES] = {0};
    g_autoptr(GBytes) body = g_bytes_new("<svg/>", 6);
    g_autoptr(Resource) resource = resource_new(&options, body, digest);
    g_autoptr(HttpReply) whole = ask(resource, HTTP_GET, NULL);
    g_autoptr(HttpReply) part = ask(resource, HTTP_GET, "Range: bytes=0-1");
    g_assert_true(g_str_has_prefix(header_of(whole, "Content-Security-Policy"), "sandbox;"));
    g_assert_cmpstr(header_of(whole, "X-Content-Type-Options"), ==, "nosniff");
    g_assert_true(g_str_has_prefix(header_of(part, "Content-Security-Policy"), "sandbox;"));
}

/* What a view answers is marked in every form, whatever the maker asked for, and its tags stay the same. */
static void test_private(void)
{
    static const char *const headers[] = {"Host: x", "Accept-Encoding: gzip", "Range: bytes=0-4"};
    g_autofree char *text = long_text();
    g_autoptr(Resource) shared = resource_of(text, TRUE), own = resource_of(text, TRUE);
    gsize cost = resource_cost(own);
    resource_make_private(own);
    g_assert_cmpuint(resource_cost(own), <=, cost + 256);
    for (guint i = 0; i < G_N_ELEMENTS(headers); i++) {
        g_autoptr(HttpReply) a = ask(shared, HTTP_GET, headers[i]), b = ask(own, HTTP_GET, headers[i]);
        g_assert_cmpuint(http_reply_status(a), ==, http_reply_status(b));
        g_assert_cmpstr(header_of(a, "ETag"), ==, header_of(b, "ETag"));
        g_assert_cmpstr(header_of(a, "Content-Encoding"), ==, header_of(b, "Content-Encoding"));
        g_assert_true(g_bytes_equal(http_reply_body(a), http_reply_body(b)));
        g_assert_null(header_of(a, "Cache-Control"));
        g_assert_cmpstr(header_of(a, "Vary"), ==, "Accept-Encoding");
        g_assert_cmpstr(header_of(b, "Cache-Control"), ==, "private");
        g_assert_cmpstr(header_of(b, "Vary"), ==, "Authorization, Accept-Encoding");
    }
    g_autoptr(HttpReply) whole = ask(own, HTTP_GET, "Host: x");
    g_autofree char *condition = g_strconcat("If-None-Match: ", header_of(whole, "ETag"), NULL);
    g_autoptr(HttpReply) same = ask(own, HTTP_GET, condition);
    g_assert_cmpuint(http_reply_status(same), ==, 304);
    g_assert_cmpstr(header_of(same, "Cache-Control"), ==, "private");
    g_autoptr(Resource) small = resource_of("x", TRUE);
    resource_make_private(small);
    g_autoptr(HttpReply) plain = ask(small, HTTP_GET, "Host: x");
    g_assert_cmpstr(header_of(plain, "Vary"), ==, "Authorization");
}

/* Not even "public, immutable", which blobs have, gets past it. */
static void test_private_wins(void)
{
    ResourceOptions options = {.content_type = "text/plain", .cache_control = "public, max-age=31536000"};
    guint8 digest[SHA256_BYTES] = {0};
    g_autoptr(GBytes) body = g_bytes_new_static("x", 1);
    g_autoptr(Resource) resource = resource_new(&options, body, digest);
    resource_make_private(resource);
    g_autoptr(HttpReply) reply = ask(resource, HTTP_GET, "Host: x");
    g_assert_cmpstr(header_of(reply, "Cache-Control"), ==, "private");
}

/* The compressed form of what nobody wanted compressed so far. */
static void test_later(void)
{
    g_autofree char *text = long_text();
    ResourceOptions options = {.content_type = "text/plain", .compress = TRUE, .later = TRUE};
    guint8 digest[SHA256_BYTES];
    sha256(text, strlen(text), digest);
    g_autoptr(GBytes) body = g_bytes_new(text, strlen(text));
    g_autoptr(Resource) later = resource_new(&options, body, digest);
    options.later = FALSE;
    g_autoptr(Resource) made = resource_new(&options, body, digest);
    g_autoptr(HttpExchange) plain = fake_exchange_new(HTTP_GET, "/x", "Host: x", NULL);
    g_autoptr(HttpExchange) packed =
        fake_exchange_new(HTTP_GET, "/x", "Host: x\nAccept-Encoding: gzip", NULL);
    g_autoptr(HttpExchange) part =
        fake_exchange_new(HTTP_GET, "/x", "Host: x\nAccept-Encoding: gzip\nRange: bytes=0-1", NULL);
    g_assert_false(resource_lacks(later, http_exchange_request(plain)));
    g_assert_true(resource_lacks(later, http_exchange_request(packed)));
    g_assert_false(resource_lacks(later, http_exchange_request(part)));
    g_assert_false(resource_lacks(made, http_exchange_request(packed)));
    /* Caches must know from the first answer on that there may be another form. */
    g_autoptr(HttpReply) reply = resource_answer(later, http_exchange_request(plain));
    g_assert_cmpstr(header_of(reply, "Vary"), ==, "Accept-Encoding");
    g_assert_null(header_of(reply, "Content-Encoding"));
}

static void test_later_small(void)
{
    ResourceOptions options = {.content_type = "text/plain", .compress = TRUE, .later = TRUE};
    guint8 digest[SHA256_BYTES];
    sha256("small", 5, digest);
    g_autoptr(GBytes) body = g_bytes_new_static("small", 5);
    g_autoptr(Resource) resource = resource_new(&options, body, digest);
    g_autoptr(HttpExchange) packed =
        fake_exchange_new(HTTP_GET, "/x", "Host: x\nAccept-Encoding: gzip", NULL);
    g_assert_false(resource_lacks(resource, http_exchange_request(packed)));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signing_init();
    g_test_add_func("/broker/resource/whole", test_whole);
    g_test_add_func("/broker/resource/gzip", test_gzip);
    g_test_add_func("/broker/resource/gzip-not-worth-it", test_gzip_not_worth_it);
    g_test_add_func("/broker/resource/gzip-of-hashes", test_gzip_of_hashes);
    g_test_add_func("/broker/resource/not-modified", test_not_modified);
    g_test_add_func("/broker/resource/ranges", test_ranges);
    g_test_add_func("/broker/resource/if-range", test_if_range);
    g_test_add_func("/broker/resource/empty", test_empty);
    g_test_add_func("/broker/resource/sandbox", test_sandbox);
    g_test_add_func("/broker/resource/private", test_private);
    g_test_add_func("/broker/resource/private-wins", test_private_wins);
    g_test_add_func("/broker/resource/later", test_later);
    g_test_add_func("/broker/resource/later-small", test_later_small);
    return g_test_run();
}

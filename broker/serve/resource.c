/* SPDX-License-Identifier: MIT */
#include "broker/serve/resource.h"

#include "broker/serve/gzip.h"
#include "broker/serve/negotiate.h"
#include "broker/serve/status.h"
#include "signing/hash.h"

/* Smaller bodies fit into one packet with their head either way. */
#define COMPRESS_BYTES_MIN 1024

#define TAG_CHARS (SHA256_HEX_CHARS + sizeof "\"-gz\"")

/* One form: the whole answer and, once somebody asked, the 304 that goes with it. */
typedef struct {
    char tag[TAG_CHARS];
    HttpReply *reply; /* NULL: this form does not exist */
    HttpReply *not_modified;
} Form;

struct Resource {
    ResourceOptions options; /* its texts are literals */
    gboolean plain;          /* identity.reply is all there is */
    gboolean is_private;     /* what it says depends on who asks */
    gboolean lacks_gzip;     /* it may exist, but was not made */
    Form identity;
    Form gzip;
};

static void add_common_headers(const Resource *resource, HttpReply *reply, const char *tag)
{
    gboolean packed = resource->gzip.reply != NULL || resource->options.compress;
    http_reply_add_header(reply, "ETag", tag);
    if (resource->is_private) {
        http_reply_add_header(reply, "Vary", packed ? "Authorization, Accept-Encoding" : "Authorization");
        http_reply_add_header(reply, "Cache-Control", "private");
        return;
    }
    if (packed)
        http_reply_add_header(reply, "Vary", "Accept-Encoding");
    if (resource->options.cache_control != NULL)
        http_reply_add_header(reply, "Cache-Control", resource->options.cache_control);
}

static void add_body_headers(const Resource *resource, HttpReply *reply)
{
    http_reply_add_header(reply, "Accept-Ranges", "bytes");
    http_reply_add_header(reply, "X-Content-Type-Options", "nosniff");
    if (resource->options.sandbox)
        http_reply_add_header(reply, "Content-Security-Policy",
                              "sandbox; default-src 'none'; style-src 'unsafe-inline'");
    else if (resource->options.security_policy != NULL)
        http_reply_add_header(reply, "Content-Security-Policy", resource->options.security_policy);
}

static HttpReply *whole_reply(const Resource *resource, const char *tag, GBytes *body)
{
    HttpReply *reply = http_reply_new(200, resource->options.content_type, body);
    add_common_headers(resource, reply, tag);
    add_body_headers(resource, reply);
    return reply;
}

static HttpReply *packed_reply(const Resource *resource, GBytes *packed)
{
    HttpReply *reply = whole_reply(resource, resource->gzip.tag, packed);
    http_reply_add_header(reply, "Content-Encoding", "gzip");
    return reply;
}

Resource *resource_new(const ResourceOptions *options, GBytes *body, const guint8 *sha256)
{
    Resource *resource = g_new0(Resource, 1);
    char hex[SHA256_HEX_CHARS + 1];
    hex_encode(sha256, SHA256_BYTES, hex);
    g_snprintf(resource->identity.tag, TAG_CHARS, "\"%s\"", hex);
    g_snprintf(resource->gzip.tag, TAG_CHARS, "\"%s-gz\"", hex);
    resource->options = *options;
    g_autoptr(GBytes) packed = NULL;
    gboolean worthwhile = options->compress && g_bytes_get_size(body) >= COMPRESS_BYTES_MIN;
    resource->lacks_gzip = worthwhile && options->later;
    if (worthwhile && !options->later)
        packed = options->hashes ? gzip_compress_hashes(body) : gzip_compress(body);
    resource->options.compress = packed != NULL || resource->lacks_gzip;
    resource->identity.reply = whole_reply(resource, resource->identity.tag, body);
    if (packed != NULL)
        resource->gzip.reply = packed_reply(resource, packed);
    return resource;
}

void resource_make_private(Resource *resource)
{
    g_assert(!resource->plain && resource->identity.not_modified == NULL &&
             resource->gzip.not_modified == NULL);
    resource->is_private = TRUE;
    HttpReply *whole = resource->identity.reply, *packed = resource->gzip.reply;
    resource->identity.reply = whole_reply(resource, resource->identity.tag, http_reply_body(whole));
    if (packed != NULL)
        resource->gzip.reply = packed_reply(resource, http_reply_body(packed));
    http_reply_unref(whole);
    g_clear_pointer(&packed, http_reply_unref);
}

Resource *resource_new_plain(HttpReply *reply)
{
    Resource *resource = g_new0(Resource, 1);
    resource->plain = TRUE;
    resource->identity.reply = reply;
    return resource;
}

static void form_clear(Form *form)
{
    g_clear_pointer(&form->reply, http_reply_unref);
    g_clear_pointer(&form->not_modified, http_reply_unref);
}

void resource_free(Resource *resource)
{
    if (resource == NULL)
        return;
    form_clear(&resource->identity);
    form_clear(&resource->gzip);
    g_free(resource);
}

static HttpReply *not_modified(Resource *resource, Form *form)
{
    if (form->not_modified == NULL) {
        form->not_modified = http_reply_new(304, /* content_type= */ NULL, /* body= */ NULL);
        add_common_headers(resource, form->not_modified, form->tag);
    }
    return http_reply_ref(form->not_modified);
}

static gsize body_size(const HttpReply *reply)
{
    GBytes *body = http_reply_body(reply);
    return body != NULL ? g_bytes_get_size(body) : 0;
}

static HttpReply *unsatisfiable(gsize size)
{
    g_autofree char *range = g_strdup_printf("bytes */%" G_GSIZE_FORMAT, size);
    HttpReply *reply = status_reply_detail(416, http_status_text(416));
    http_reply_add_header(reply, "Content-Range", range);
    return reply;
}

/* Ranges are of the uncompressed form only. NULL: the whole is to be sent. */
static HttpReply *range_reply(Resource *resource, const NegotiateHeaders *headers)
{
    if (headers->if_range.text != NULL && !negotiate_tag_is(headers->if_range, resource->identity.tag))
        return NULL;
    gsize size = body_size(resource->identity.reply);
    guint64 first, last;
    switch (negotiate_range(headers->range, size, &first, &last)) {
    case RANGE_PART: {
        GBytes *whole = http_reply_body(resource->identity.reply);
        g_autoptr(GBytes) part = g_bytes_new_from_bytes(whole, first, last - first + 1);
        g_autofree char *text = g_strdup_printf(
            "bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GSIZE_FORMAT, first, last, size);
        HttpReply *reply = http_reply_new(206, resource->options.content_type, part);
        http_reply_add_header(reply, "Content-Range", text);
        add_common_headers(resource, reply, resource->identity.tag);
        add_body_headers(resource, reply);
        return reply;
    }
    case RANGE_UNSATISFIABLE:
        return unsatisfiable(size);
    case RANGE_WHOLE:
    default:
        return NULL;
    }
}

static gboolean takes_gzip(const NegotiateHeaders *headers)
{
    return headers->range.text == NULL && headers->accept_encoding.text != NULL &&
           negotiate_gzip(headers->accept_encoding);
}

HttpReply *resource_answer(Resource *resource, const HttpRequest *request)
{
    if (resource->plain)
        return http_reply_ref(resource->identity.reply);
    NegotiateHeaders headers;
    negotiate_collect(request, &headers);
    Form *form = &resource->identity;
    if (resource->gzip.reply != NULL && takes_gzip(&headers))
        form = &resource->gzip;
    if (headers.if_none_match.text != NULL &&
        (negotiate_tag_listed(headers.if_none_match, resource->identity.tag) ||
         negotiate_tag_listed(headers.if_none_match, resource->gzip.tag)))
        return not_modified(resource, form);
    HttpReply *part = NULL;
    if (headers.range.text != NULL && request->method == HTTP_GET)
        part = range_reply(resource, &headers);
    return part != NULL ? part : http_reply_ref(form->reply);
}

gboolean resource_takes_gzip(const HttpRequest *request)
{
    NegotiateHeaders headers;
    negotiate_collect(request, &headers);
    return takes_gzip(&headers);
}

gboolean resource_lacks(const Resource *resource, const HttpRequest *request)
{
    return resource->lacks_gzip && resource_takes_gzip(request);
}

gsize resource_cost(const Resource *resource)
{
    gsize cost = sizeof *resource + http_reply_cost(resource->identity.reply);
    if (resource->gzip.reply != NULL)
        cost += http_reply_cost(resource->gzip.reply);
    return cost;
}

/* SPDX-License-Identifier: MIT
 *
 * Request targets: decoding, routing and what is derived from a match must hold together for any bytes.
 */
#include <string.h>

#include "broker/serve/negotiate.h"
#include "broker/serve/route.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void check_match(const RouteMatch *match, const char *path, gsize len)
{
    g_assert_true(match->route > ROUTE_NONE && match->route < ROUTE_COUNT);
    g_assert_cmpint(match->route == ROUTE_UNKNOWN, ==, match->methods == ROUTE_METHODS_NONE);
    g_assert_true(match->rest >= path && match->rest + match->rest_len <= path + len);
    g_assert_nonnull(route_name(match->route));
}

static gboolean is_file(Route route)
{
    return route == ROUTE_PAGE || route == ROUTE_PACK_INDEX || route == ROUTE_MANIFEST ||
           route == ROUTE_SIGNATURE;
}

/* A path on disk that stays inside keeps staying inside when something is put behind it. */
static void check_disk_path(const RouteMatch *match)
{
    g_autofree char *disk = route_disk_path(match);
    g_autofree char *longer = g_strconcat(disk, "/x", NULL);
    gsize len = strlen(disk);
    g_assert_cmpint(route_path_escapes(disk, len), ==, route_path_escapes(longer, len + 2));
    if (strstr(disk, "..") == NULL)
        g_assert_false(route_path_escapes(disk, len));
}

/* The same bytes as header values. */
static void check_headers(HttpSlice value)
{
    guint64 first = 1, last = 0;
    if (negotiate_range(value, 1000, &first, &last) == RANGE_PART)
        g_assert_true(first <= last && last < 1000);
    negotiate_gzip(value);
    if (negotiate_tag_is(value, "\"tag\""))
        g_assert_true(negotiate_tag_listed(value, "\"tag\""));
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    HttpSlice target = {(const char *)data, size};
    check_headers(target);
    RouteMatch raw = route_match_api(target.text, target.len);
    check_match(&raw, target.text, target.len);
    g_autofree char *path = route_decode(target);
    if (path == NULL)
        return 0;
    gsize len = strlen(path);
    g_assert_true(g_utf8_validate(path, (gssize)len, NULL));
    g_assert_cmpuint(len, <=, size);
    RouteMatch match = route_match_public(path, len);
    check_match(&match, path, len);
    if (is_file(match.route))
        check_disk_path(&match);
    return 0;
}

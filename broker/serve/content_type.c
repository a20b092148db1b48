/* SPDX-License-Identifier: MIT */
#include "broker/serve/content_type.h"

#include <string.h>

#include "mirror/store/pack_scan.h"

/* Types of files that are not text. Sorted by use; the list is short enough for a walk, which only cold
 * requests do. */
static const struct {
    const char *extension;
    ContentType type;
} binary_types[] = {
    {"png", {"image/png", FALSE, FALSE}},
    {"jpg", {"image/jpeg", FALSE, FALSE}},
    {"jpeg", {"image/jpeg", FALSE, FALSE}},
    {"gif", {"image/gif", FALSE, FALSE}},
    {"webp", {"image/webp", FALSE, FALSE}},
    {"avif", {"image/avif", FALSE, FALSE}},
    {"svg", {"image/svg+xml", TRUE, TRUE}},
    {"bmp", {"image/bmp", TRUE, FALSE}},
    {"ico", {"image/x-icon", TRUE, FALSE}},
    {"tif", {"image/tiff", FALSE, FALSE}},
    {"tiff", {"image/tiff", FALSE, FALSE}},
    {"pdf", {"application/pdf", FALSE, TRUE}},
    {"epub", {"application/epub+zip", FALSE, FALSE}},
    {"woff", {"font/woff", FALSE, FALSE}},
    {"woff2", {"font/woff2", FALSE, FALSE}},
    {"ttf", {"font/ttf", TRUE, FALSE}},
    {"otf", {"font/otf", TRUE, FALSE}},
    {"mp3", {"audio/mpeg", FALSE, FALSE}},
    {"ogg", {"audio/ogg", FALSE, FALSE}},
    {"wav", {"audio/wav", TRUE, FALSE}},
    {"mp4", {"video/mp4", FALSE, FALSE}},
    {"webm", {"video/webm", FALSE, FALSE}},
    {"zip", {"application/zip", FALSE, FALSE}},
    {"gz", {"application/gzip", FALSE, FALSE}},
    {"wasm", {"application/wasm", TRUE, FALSE}},
};

ContentType content_type_of(const char *name)
{
    if (strcmp(name, "manifest.yaml") == 0)
        return (ContentType){"text/yaml; charset=utf-8", TRUE, FALSE};
    if (strcmp(name, "manifest.sig") == 0)
        return (ContentType){"application/json", TRUE, FALSE};
    const char *slash = strrchr(name, '/');
    const char *base = slash != NULL ? slash + 1 : name;
    const char *dot = strrchr(base, '.');
    for (guint i = 0; dot != NULL && i < G_N_ELEMENTS(binary_types); i++) {
        if (g_ascii_strcasecmp(dot + 1, binary_types[i].extension) == 0)
            return binary_types[i].type;
    }
    if (pack_file_is_text(name))
        return (ContentType){"text/markdown; charset=utf-8", TRUE, FALSE};
    return (ContentType){"application/octet-stream", FALSE, FALSE};
}

/* SPDX-License-Identifier: MIT */
#include "broker/serve/query_string.h"

#include <string.h>

#include "schema/pack_path.h"

gboolean query_string_get(HttpSlice query, const char *name, char **ret)
{
    g_autofree char *text = g_strndup(query.text != NULL ? query.text : "", query.len);
    g_auto(GStrv) pairs = g_strsplit(text, "&", -1);
    gsize name_len = strlen(name);
    *ret = NULL;
    for (char **pair = pairs; *pair != NULL; pair++) {
        if (strncmp(*pair, name, name_len) != 0 || (*pair)[name_len] != '=')
            continue;
        char *value = g_strdelimit(*pair + name_len + 1, "+", ' ');
        *ret = pack_path_percent_decode(value, strlen(value));
        return *ret != NULL;
    }
    return TRUE;
}

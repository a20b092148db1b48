/* SPDX-License-Identifier: MIT */
#include "mirror/agent/agent_environment.h"

#include <string.h>

/* What reaching a source may need. */
static gboolean may_keep(const char *name)
{
    static const char *const kept[] = {"http_proxy",   "https_proxy", "HTTPS_PROXY", "all_proxy",
                                       "ALL_PROXY",    "no_proxy",    "NO_PROXY",    "SSL_CERT_FILE",
                                       "SSL_CERT_DIR", "TZ"};
    static const char *const sanitizer[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS",
                                            "G_SLICE"};
    for (guint i = 0; i < G_N_ELEMENTS(kept); i++)
        if (strcmp(kept[i], name) == 0)
            return TRUE;
    for (guint i = 0; AGENT_UNDER_SANITIZER && i < G_N_ELEMENTS(sanitizer); i++)
        if (strcmp(sanitizer[i], name) == 0)
            return TRUE;
    return FALSE;
}

char **agent_environment(void)
{
    g_auto(GStrv) names = g_listenv();
    char **kept = NULL;
    for (guint i = 0; names[i] != NULL; i++)
        if (may_keep(names[i]))
            kept = g_environ_setenv(kept, names[i], g_getenv(names[i]), TRUE);
    return kept != NULL ? kept : g_new0(char *, 1);
}

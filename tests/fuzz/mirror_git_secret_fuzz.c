/* SPDX-License-Identifier: MIT
 *
 * Files of credentials: the first byte chooses between token, netrc and known_hosts, the rest is the file.
 */
#include "mirror/agent/git_secret.h"

#include <string.h>

#define KEY "the key a"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void try_token(const char *text, gsize len)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *token = git_token_parse(text, len, &error);
    g_assert((token == NULL) == (error != NULL));
    g_assert(token == NULL || (*token != '\0' && strchr(token, '\n') == NULL));
}

static void try_netrc(const char *text, gsize len)
{
    g_auto(GitLogin) login = {0};
    gboolean found = git_netrc_find(text, len, "git.example", &login);
    g_assert(found == (login.password != NULL));
    g_assert(found || login.user == NULL);
}

/* What is written for less clever readers says the same. */
static void try_known_hosts(const char *text, gsize len)
{
    for (guint port = 22; port <= 2222; port += 2200) {
        HostKeyVerdict verdict = git_known_hosts_find(text, len, "git.example", port, KEY, strlen(KEY));
        g_autofree char *lines = git_known_hosts_of(text, len, "git.example", port);
        HostKeyVerdict again =
            git_known_hosts_find(lines, strlen(lines), "git.example", port, KEY, strlen(KEY));
        g_assert(again != HOST_KEY_KNOWN || verdict == HOST_KEY_KNOWN || verdict == HOST_KEY_REVOKED);
    }
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    if (data[0] % 3 == 0)
        try_token(text, size - 1);
    else if (data[0] % 3 == 1)
        try_netrc(text, size - 1);
    else
        try_known_hosts(text, size - 1);
    return 0;
}

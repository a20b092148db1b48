/* SPDX-License-Identifier: MIT
 *
 * A small pack, its publisher and somebody who judges it, for tests of releases: everything that decides a
 * verdict can be bent before world_judge(). Strings of the World are literals or leak until world_clear.
 */
#pragma once

#include "signing/release.h"

#include <string.h>

typedef struct {
    PackContent *content;
    SecretKey *key;
    ReleaseOptions options;
    char *sig; /* made by world_sign; may be edited; NULL: unsigned */
    char *trust;
    const char *path; /* where the pack stands */
    gint64 now;
    gboolean require_release;
    gboolean without_content;
    gboolean has_held;
    HeldRelease held;
    AcceptVerdict verdict; /* of the latest world_judge */
} World;

#define WORLD_PATH "history/rome"
#define WORLD_DATE "2026-05-01T12:00:00Z"
#define WORLD_NOW G_GINT64_CONSTANT(1780000000) /* 2026-05-28 */

static inline void world_add(GArray *table, const char *name, const char *text)
{
    guint8 hash[SHA256_BYTES];
    sha256(text, strlen(text), hash);
    manifest_sig_table_add(table, name, hash);
    manifest_sig_table_sort(table);
}

static inline PackContent *world_content(void)
{
    PackContent *content = pack_content_new();
    g_free(content->version);
    content->version = g_strdup("1.2.0");
    content->has_manifest = TRUE;
    sha256("name: rome\n", 11, content->manifest_sha256);
    world_add(content->pages, "index.md", "| concepts/a.md | A | a |\n");
    world_add(content->pages, "concepts/a.md", "A\n");
    world_add(content->pages, "concepts/b.md", "B\n");
    world_add(content->files, "wiki/log.md", "log\n");
    world_add(content->files, "wiki/assets/x.png", "\x89PNG");
    return content;
}

static inline SecretKey *world_key(guint8 number)
{
    guint8 seed[32];
    memset(seed, number, sizeof seed);
    return secret_key_from_seed(seed);
}

static inline char *world_fingerprint(const SecretKey *key)
{
    PublicKey public_key;
    char fingerprint[FINGERPRINT_CHARS + 1];
    secret_key_public(key, &public_key);
    public_key_fingerprint(&public_key, fingerprint);
    return g_strdup(fingerprint);
}

/* A trust list of one entry with further lines ("  until: …\n") or "". */
static inline void world_trust(World *world, const char *further)
{
    g_autofree char *fingerprint = world_fingerprint(world->key);
    g_free(world->trust);
    world->trust = g_strdup_printf("publishers:\n- fingerprint: %s\n  name: Anna\n%s", fingerprint, further);
}

static inline void world_sign(World *world)
{
    g_autoptr(GError) error = NULL;
    g_free(world->sig);
    world->sig = release_sign(world->content, &world->options, world->key, &error);
    g_assert_no_error(error);
}

/* A world in which everything is well. */
static inline void world_init(World *world)
{
    *world = (World){
        .content = world_content(),
        .key = world_key(1),
        .options = {.path = WORLD_PATH, .signer_name = "Claims to be Anna", .published_at = WORLD_DATE},
        .path = WORLD_PATH,
        .now = WORLD_NOW,
    };
    world_trust(world, "");
    world_sign(world);
}

static inline void world_clear(World *world)
{
    pack_content_free(world->content);
    secret_key_free(world->key);
    g_free(world->sig);
    g_free(world->trust);
    accept_verdict_clear(&world->verdict);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(World, world_clear)

static inline AcceptRule world_judge(World *world)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TrustList) trust = trust_list_parse("trust.yaml", world->trust, strlen(world->trust), &error);
    g_assert_no_error(error);
    AcceptInput input = {
        .path = world->path,
        .sig = world->sig,
        .sig_len = world->sig != NULL ? strlen(world->sig) : 0,
        .content = world->without_content ? NULL : world->content,
        .trust = trust,
        .now = world->now,
        .require_release = world->require_release,
        .held = world->has_held ? &world->held : NULL,
    };
    accept_verdict_clear(&world->verdict);
    gboolean accepted = release_accept(&input, &world->verdict);
    g_assert_cmpint(accepted, ==, world->verdict.rule == ACCEPT_OK);
    g_assert_cmpint(accepted, ==, world->verdict.reason == NULL);
    g_assert_true(accepted ||
                  (*world->verdict.reason != '\0' && strchr(world->verdict.reason, '\n') == NULL));
    return world->verdict.rule;
}

#define world_assert(world, expected)                                                                        \
    g_assert_cmpstr(accept_rule_name(world_judge(world)), ==, accept_rule_name(expected))

/* Replaces the only occurrence of `from` in the signature file. */
static inline void world_edit(World *world, const char *from, const char *to)
{
    char *at = strstr(world->sig, from);
    g_assert_nonnull(at);
    g_assert_null(strstr(at + 1, from));
    char *edited = g_strdup_printf("%.*s%s%s", (int)(at - world->sig), world->sig, to, at + strlen(from));
    g_free(world->sig);
    world->sig = edited;
}

/* Offset of the first character of the string value of `key` (the `skip`-th of that name). */
static inline gsize world_value_at(const World *world, const char *key, guint skip)
{
    g_autofree char *quoted = g_strdup_printf("\"%s\": \"", key);
    const char *at = world->sig;
    for (guint i = 0; i <= skip; i++) {
        at = strstr(i > 0 ? at + 1 : at, quoted);
        g_assert_nonnull(at);
    }
    return (gsize)(at - world->sig) + strlen(quoted);
}

/* Takes the release out, as somebody would who wants to roll back; the rest stays as signed. */
static inline void world_strip_release(World *world)
{
    const char *from = strstr(world->sig, "  \"release\": ");
    const char *to = strstr(world->sig, "  \"signature_b64\": ");
    g_assert_true(from != NULL && to != NULL && from < to);
    char *stripped = g_strdup_printf("%.*s%s", (int)(from - world->sig), world->sig, to);
    g_free(world->sig);
    world->sig = stripped;
}

/* SPDX-License-Identifier: MIT
 *
 * A source: where mirrored packs come from, as kontor.yaml describes it. Either a git repository that holds a
 * pack or a tree of packs, or a peer broker. Immutable, atomically reference counted.
 *
 * The broker makes sources from its configuration (broker/config_sources.c) and hands them to the agent
 * process as JSON (source_write, source_read). Credentials are never in it, only the absolute names of the
 * files that hold them.
 */
#pragma once

#include "mirror/catalog/pack_judge.h"
#include "schema/json_reader.h"
#include "schema/json_writer.h"

typedef enum { SOURCE_GIT, SOURCE_PEER } SourceKind;

typedef struct {
    gatomicrefcount refs;
    SourceKind kind;
    char *name; /* [A-Za-z0-9._-]{1,64}, beginning with a letter or digit; unique among all sources */
    char *url;  /* git: https, http, ssh, git or file URL, or the scp form of ssh, or an absolute path; peer:
                   http  or https URL without a slash at its end. Never holds a password. */
    char *ref;  /* git: name of a branch or tag; NULL: what the repository's HEAD names */
    gboolean ref_is_tag;
    char *path; /* git: directory in the repository that holds the packs; "" is its root. Pack paths are
                   relative to it; when it is a pack itself, its path is `pack` */
    char *pack; /* git: the path of the pack when `path` is one pack; also a prefix "…/" is not needed: NULL
                   when not given, then the last segment of `path`, or the source's name */
    GPtrArray *include; /* of char *: globs of pack paths (trust_glob_matches); never empty, default "**" */
    GPtrArray *exclude; /* of char *: may be empty */
    gboolean is_private;
    PackPolicy policy; /* effective: the source's own `signed`, else signed.mirrors */
    gboolean require_release;
    gboolean follow_removals; /* stop serving what the source no longer has, without a tombstone */
    gboolean paused;
    guint interval_s;       /* between the starts of two syncs */
    guint64 bytes_max;      /* received in one sync */
    guint time_max_s;       /* of one sync */
    char *token_file;       /* a token: bearer for peers; password of `user` for git over https; or NULL */
    char *user;             /* git: user name for https and ssh; NULL: "git" */
    char *ssh_key_file;     /* git over ssh: private key; or NULL */
    char *known_hosts_file; /* git over ssh: host keys in OpenSSH's form; needed with ssh */
    char *netrc_file;       /* git over https: "machine … login … password …"; or NULL */
    char *ca_file;          /* PEM certificates to trust instead of the system's; or NULL */
    PublicKey key;          /* peer: pinned key of its broker */
    char *key_name; /* peer: the name that its checkpoints must be of; NULL: whatever it is, but always the
                       same */
} MirrorSource;

MirrorSource *source_ref(MirrorSource *source);
void source_unref(MirrorSource *source); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MirrorSource, source_unref)
/* For makers: everything zero but one reference, the defaults of schema/limits.h and include "**". */
MirrorSource *source_new(SourceKind kind, const char *name);

/* TRUE when the source is to bring packs of that path. */
gboolean source_wants(const MirrorSource *source, const char *pack_path);
/* SHA-256 over everything that decides which releases are wanted and accepted (globs, policy, trust list; not
 * interval, budgets or files of credentials). While it stays the same, a release that was refused is refused
 * again. As hexadecimal digits, a new string. */
char *source_policy_hash(const MirrorSource *source, const TrustList *trust);
/* A text that says which place the source fetches from, and for whom: kind, URL, branch or tag, directory,
 * pack and visibility. While it stays the same, what is known of the source holds. (A private source that
 * becomes public, or the other way round, is another one, so that nothing stays visible by an old record. The
 * key of a peer is not in it: packs are worth what their publishers' signatures are worth, whoever handed
 * them over.) A new string. */
char *source_origin(const MirrorSource *source);
/* TRUE when both have the same origin. */
gboolean source_same_origin(const MirrorSource *a, const MirrorSource *b);
/* The URL as people may see it: without user and query. A new string. */
char *source_shown_url(const MirrorSource *source);
/* "git" or "peer". */
const char *source_kind_name(SourceKind kind);
/* "off", "preferred", "required" by PackPolicy, NULL-terminated. */
extern const char *const source_policy_names[];

/* An object with its keys in order, for either style of writer. Everything is in it. */
void source_write(const MirrorSource *source, JsonWriter *writer);
/* Checked as configurations are (source_check). NULL with MALFORMED, LIMIT or UNSUPPORTED. */
MirrorSource *source_read(const JsonValue *value, GError **error);

/* SPDX-License-Identifier: MIT
 *
 * The listing in a tree object of git, read strictly: what libgit2 lets pass (entries out of order, the same
 * name twice, modes that git never writes) is seen here. The format is "<mode in octal> <name> NUL <20 bytes
 * of id>", repeated.
 *
 * A GitListing owns a copy of its bytes and never changes. Names are as in the object: any bytes but NUL,
 * which may be no UTF-8, hold slashes or be "..": whoever uses a name checks it. Pure functions.
 */
#pragma once

#include "schema/error.h"

#define GIT_ID_BYTES 20
#define GIT_ID_HEX_CHARS 40

/* The SHA-1 of an object. */
typedef struct {
    guint8 bytes[GIT_ID_BYTES];
} GitId;

gboolean git_id_equal(const GitId *a, const GitId *b);
void git_id_hex(const GitId *id, char ret[GIT_ID_HEX_CHARS + 1]);
/* FALSE unless the text is 40 lower-case hexadecimal digits. */
gboolean git_id_parse(const char *text, GitId *ret);

typedef enum {
    GIT_ENTRY_FILE,      /* 100644, 100755, 100664 */
    GIT_ENTRY_DIRECTORY, /* 40000 */
    GIT_ENTRY_LINK,      /* 120000: symbolic link */
    GIT_ENTRY_SUBMODULE, /* 160000 */
    GIT_ENTRY_STRANGE,   /* any other mode */
} GitEntryKind;

typedef struct {
    const char *name; /* lives as long as the listing; never "" */
    GitEntryKind kind;
    gboolean repeated; /* another entry has the same name */
    GitId id;
} GitEntry;

typedef struct GitListing GitListing;

/* NULL with MALFORMED (saying at which byte) or LIMIT (more than LIMIT_GIT_TREE_BYTES). */
GitListing *git_listing_read(const void *data, gsize len, GError **error);
void git_listing_free(GitListing *listing); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GitListing, git_listing_free)

/* In the order of the bytes of the names, which is not quite git's own order. */
guint git_listing_count(const GitListing *listing);
/* What it takes of memory. */
gsize git_listing_bytes(const GitListing *listing);
const GitEntry *git_listing_at(const GitListing *listing, guint index);
/* One of that name, or NULL. */
const GitEntry *git_listing_find(const GitListing *listing, const char *name);
/* "a symbolic link", "a submodule", … for messages. */
const char *git_entry_kind_name(GitEntryKind kind);

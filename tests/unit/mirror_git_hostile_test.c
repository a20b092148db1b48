/* SPDX-License-Identifier: MIT
 *
 * Repositories that want to do harm. Each breaks one rule in a pack named "bad" and has a good pack beside
 * it: the bad one is refused with a reason that names the file, the good one is mirrored, and nothing else is
 * written anywhere.
 */
#include "git_world.h"

#include <gio/gio.h>
#include <sys/resource.h>

#include "mirror/agent/git_memory.h"

/* Syncs, and expects exactly the good pack and the refusal of the bad one. */
static void expect_refusal(World *world, const char *reason)
{
    g_autoptr(GError) error = NULL;
    world_put_pack(world, "good", "x");
    world_commit(world);
    world_sync(world, &error);
    g_assert_no_error(error);
    g_autofree char *said = world_said(world);
    g_autofree char *expected = g_strdup_printf("! bad: %s\n+ good", reason);
    if (g_str_has_suffix(reason, "*")) {
        expected[strlen(expected) - strlen("*\n+ good")] = '\0';
        g_assert_true(g_str_has_prefix(said, expected));
        g_assert_true(strstr(said, "\n+ good") != NULL);
    } else {
        g_assert_cmpstr(said, ==, expected);
    }
    const SyncResult *result = g_ptr_array_index(world->results, 0);
    const SyncResult *other = g_ptr_array_index(world->results, 1);
    g_assert_cmpint((result->outcome == OUTCOME_REFUSED ? result : other)->rule, ==, ACCEPT_LIMITS);
    world_expect(world, ""); /* known by now */
}

/* --- Entries that no pack may have --- */

typedef struct {
    const char *name, *path;
    guint mode;
    const char *reason;
} BadEntry;

static const BadEntry bad_entries[] = {
    {"link", "bad/wiki/x.md", 0120000, "wiki/x.md: is a symbolic link"},
    {"linked-directory", "bad/wiki/assets", 0120000, "wiki/assets: is a symbolic link"},
    {"submodule", "bad/wiki/sub", 0160000, "wiki/sub: is a submodule"},
    {"strange-mode", "bad/wiki/x.md", 0100000, "wiki/x.md: is an entry with a mode that git does not know"},
    {"device", "bad/wiki/x.md", 020644, "wiki/x.md: is an entry with a mode that git does not know"},
    {"dot-git", "bad/wiki/.git/config", 0100644, "wiki/.git: path segment begins with .git: '.git'"},
    {"dot-GIT", "bad/wiki/.GIT", 0100644, "wiki/.GIT: path segment begins with .git: '.GIT'"},
    {"gitmodules", "bad/wiki/a/.gitmodules", 0100644, "wiki/a/.gitmodules: path segment begins with .git: *"},
    {"gitattributes", "bad/wiki/.gitattributes", 0100644,
     "wiki/.gitattributes: path segment begins with .git: *"},
    {"dot-dot", "bad/wiki/..", 0100644, "wiki/..: path segment '.' or '..': '..'"},
    {"dot-dot-directory", "bad/wiki/../x.md", 0100644, "wiki/..: path segment '.' or '..': '..'"},
    {"dot", "bad/wiki/./x.md", 0100644, "wiki/.: path segment '.' or '..': '.'"},
    {"bytes", "bad/wiki/\xff\xfe.md", 0100644, "wiki/\\xff\\xfe.md: path segment is not UTF-8: *"},
    {"overlong", "bad/wiki/\xc0\xaf.md", 0100644, "wiki/\\xc0\\xaf.md: path segment is not UTF-8: *"},
    {"surrogate", "bad/wiki/\xed\xa0\x80.md", 0100644,
     "wiki/\\xed\\xa0\\x80.md: path segment is not UTF-8: *"},
    {"newline", "bad/wiki/a\nb.md", 0100644, "wiki/a\\x0ab.md: control character in path segment: *"},
    {"escape", "bad/wiki/\x1b[2J.md", 0100644, "wiki/\\x1b[2J.md: control character in path segment: *"},
    {"case", "bad/wiki/A.md", 0100644, "wiki/a.md: collides with wiki/A.md where case does not count"},
    {"case-directory", "bad/wiki/A.MD/x", 0100644,
     "wiki/a.md: collides with wiki/A.MD/ where case does not count"},
    {"accent", "bad/wiki/e\xcc\x81.md", 0100644,
     "wiki/\xc3\xa9.md: collides with wiki/e\xcc\x81.md where case does not count"},
    {"twice", "bad/wiki/b.md", 0100644, "wiki/b.md: stands twice in its directory"},
    {"manifest-twice", "bad/manifest.yaml", 0100644, "manifest.yaml: stands twice in its directory"},
    {"wiki-twice", "bad/wiki", 0120000, "wiki: stands twice in its directory"},
    {"sig-link", "bad/manifest.sig", 0120000, "manifest.sig: is a symbolic link"},
    {"sig-submodule", "bad/manifest.sig", 0160000, "manifest.sig: is a submodule"},
};

static void test_entry(gconstpointer data)
{
    const BadEntry *bad = data;
    g_auto(World) world;
    world_init(&world);
    world_put_pack(&world, "bad", "x");
    world_put(&world, "bad/wiki/\xc3\xa9.md", "accent\n");
    world_add(&world, bad->path, bad->mode, world_blob(&world, "/etc/passwd"));
    expect_refusal(&world, bad->reason);
}

/* Things in the place of what makes a pack. */
static void test_linked_manifest(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put_pack(&world, "bad", "x");
    world_remove(&world, "bad/manifest.yaml");
    world_add(&world, "bad/manifest.yaml", 0120000, world_blob(&world, "/etc/passwd"));
    expect_refusal(&world, "manifest.yaml: is a symbolic link");
}

static void test_linked_wiki(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put(&world, "bad/manifest.yaml", WORLD_MANIFEST);
    world_add(&world, "bad/wiki", 0120000, world_blob(&world, "../good/wiki"));
    expect_refusal(&world, "wiki: is a symbolic link");
}

static void test_submodule_wiki(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put(&world, "bad/manifest.yaml", WORLD_MANIFEST);
    world_add(&world, "bad/wiki", 0160000, world_blob(&world, "x"));
    expect_refusal(&world, "wiki: is a submodule");
}

/* Hidden names are not part of a pack, whatever they are. */
static void test_hidden(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put_pack(&world, "good", "x");
    world_add(&world, "good/wiki/.link", 0120000, world_blob(&world, "/etc/passwd"));
    world_add(&world, "good/wiki/.sub", 0160000, world_blob(&world, "x"));
    world_add(&world, "good/wiki/.\xff", 0100644, world_blob(&world, "x"));
    world_commit(&world);
    world_expect(&world, "+ good");
}

/* --- Entries with slashes in their names: only raw trees have them --- */

static void add_raw(GByteArray *raw, const char *mode, const char *name, const git_oid *id)
{
    g_autofree char *head = g_strdup_printf("%s %s", mode, name);
    g_byte_array_append(raw, (const guint8 *)head, (guint)strlen(head) + 1);
    g_byte_array_append(raw, id->id, GIT_OID_RAWSZ);
}

static git_oid raw_tree(World *world, GByteArray *raw)
{
    return world_write(world, raw->data, raw->len, GIT_OBJECT_TREE);
}

static void test_slash(void)
{
    g_auto(World) world;
    world_init(&world);
    g_autoptr(GByteArray) raw = g_byte_array_new();
    git_oid blob = world_blob(&world, "x");
    git_oid index = world_blob(&world, WORLD_INDEX);
    add_raw(raw, "100644", "../../../../escaped", &blob);
    add_raw(raw, "100644", "index.md", &index);
    world_put(&world, "bad/manifest.yaml", WORLD_MANIFEST);
    world_add(&world, "bad/wiki", 040000, raw_tree(&world, raw));
    expect_refusal(&world, "wiki/../../../../escaped: slash in path segment: '../../../../escaped'");
}

static void test_unsorted(void)
{
    g_auto(World) world;
    world_init(&world);
    g_autoptr(GByteArray) raw = g_byte_array_new();
    git_oid blob = world_blob(&world, "x");
    git_oid index = world_blob(&world, WORLD_INDEX);
    add_raw(raw, "100644", "z.md", &blob);
    add_raw(raw, "100644", "index.md", &index);
    add_raw(raw, "100644", "z.md", &index);
    world_put(&world, "bad/manifest.yaml", WORLD_MANIFEST);
    world_add(&world, "bad/wiki", 040000, raw_tree(&world, raw));
    expect_refusal(&world, "wiki/z.md: stands twice in its directory");
}

/* --- Directories that cannot be part of a path --- */

static void test_directory_twice(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put_pack(&world, "bad", "one");
    world_put_pack(&world, "other", "two");
    world_put_pack(&world, "good", "x");
    git_oid other = world_write_node(&world, node_find(world.root, "other")->child);
    world_remove(&world, "other");
    world_add(&world, "bad", 040000, other);
    world_commit(&world);
    g_autoptr(GError) error = NULL;
    g_assert_true(world_sync(&world, &error));
    g_autofree char *said = world_said(&world);
    g_assert_cmpstr(said, ==, "! bad: its directory stands twice in the directory above\n+ good");
}

static void test_unusable_directories(void)
{
    static const struct {
        const char *name, *reported;
    } cases[] = {{"b\xff"
                  "d",
                  "! b\\xffd: path segment is not UTF-8"},
                 {"b\nd", "! b\\x0ad: control character"},
                 {".hidden", ""},
                 {".git", ""}};
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(World) world;
        world_init(&world);
        world_put_pack(&world, cases[i].name, "x");
        world_put_pack(&world, "good", "x");
        world_commit(&world);
        g_assert_true(world_sync(&world, NULL));
        g_autofree char *said = world_said(&world);
        g_assert_true(g_str_has_prefix(said, cases[i].reported));
        g_assert_true(g_str_has_suffix(said, "+ good"));
    }
}

/* Every directory has ten times the same directory in it: 10^32 directories from some hundred bytes. */
static void test_tree_bomb(void)
{
    g_auto(World) world;
    world_init(&world);
    git_oid tree = world_write(&world, "", 0, GIT_OBJECT_TREE);
    for (guint depth = 0; depth < 30; depth++) {
        g_autoptr(GByteArray) raw = g_byte_array_new();
        for (guint i = 0; i < 10; i++) {
            g_autofree char *name = g_strdup_printf("%u", i);
            add_raw(raw, "40000", name, &tree);
        }
        tree = raw_tree(&world, raw);
    }
    world_put_pack(&world, "bad", "x");
    world_add(&world, "bad/wiki/bomb", 040000, tree);
    expect_refusal(&world, "wiki/bomb/*");
    world_add(&world, "bomb", 040000, tree);
    world_commit(&world);
    world.seconds = 2;
    g_autoptr(GError) error = NULL;
    g_assert_false(world_sync(&world, &error));
    g_assert_true(g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT) ||
                  g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_BUSY));
}

/* --- Sizes --- */

static void test_too_many_files(void)
{
    g_auto(World) world;
    world_init(&world);
    g_autoptr(GByteArray) raw = g_byte_array_new();
    git_oid blob = world_blob(&world, "x");
    /* Beside a manifest, an index, two pages and a directory: one too many. */
    for (guint i = 0; i < LIMIT_PACK_FILES - 4; i++) {
        g_autofree char *name = g_strdup_printf("f%06u", i);
        add_raw(raw, "100644", name, &blob);
    }
    world_put_pack(&world, "bad", "x");
    world_add(&world, "bad/wiki/many", 040000, raw_tree(&world, raw));
    expect_refusal(&world, "wiki/many/f099995: more than 100000 files and directories");
}

static void test_large_listing(void)
{
    g_auto(World) world;
    world_init(&world);
    g_autoptr(GByteArray) raw = g_byte_array_new();
    git_oid blob = world_blob(&world, "x");
    g_autofree char *name = g_strnfill(4000, 'n');
    while (raw->len <= LIMIT_GIT_TREE_BYTES)
        add_raw(raw, "100644", name, &blob);
    world_put_pack(&world, "bad", "x");
    world_add(&world, "bad/wiki/large", 040000, raw_tree(&world, raw));
    expect_refusal(&world, "wiki/large: *");
}

/* Directories within one another, each with as many entries as one may have: all are in memory together. */
static void test_deep_large_listings(void)
{
    g_auto(World) world;
    world_init(&world);
    g_autoptr(GByteArray) many = g_byte_array_new();
    git_oid blob = world_blob(&world, "x");
    git_oid tree = world_write(&world, "", 0, GIT_OBJECT_TREE);
    for (guint i = 0; many->len <= LIMIT_GIT_TREE_BYTES - 100; i++) {
        g_autofree char *name = g_strdup_printf("b%06x", i);
        add_raw(many, "100644", name, &blob);
    }
    for (guint depth = 0; depth < 4; depth++) {
        g_autoptr(GByteArray) raw = g_byte_array_new();
        add_raw(raw, "40000", "a", &tree);
        g_byte_array_append(raw, many->data, many->len);
        tree = raw_tree(&world, raw);
    }
    world_put_pack(&world, "bad", "x");
    world_add(&world, "bad/wiki/deep", 040000, tree);
    expect_refusal(&world, "wiki/deep/a/a: listing the directories of the pack takes more than *");
    world_add(&world, "deep", 040000, tree);
    world_commit(&world);
    g_autoptr(GError) error = NULL;
    g_assert_false(world_sync(&world, &error));
    g_assert_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT);
    g_assert_nonnull(strstr(error->message, "'deep/a/a' and the directories above it"));
}

/* `count` zero bytes as a loose object, a thousandth of that on disk. */
static git_oid zeroes(World *world, gsize count)
{
    git_odb_stream *stream = NULL;
    git_oid id;
    g_autofree char *chunk = g_malloc0(1 << 20);
    g_assert_cmpint(git_odb_open_wstream(&stream, world->odb, (git_object_size_t)count, GIT_OBJECT_BLOB), ==,
                    0);
    for (gsize done = 0; done < count; done += 1 << 20)
        g_assert_cmpint(git_odb_stream_write(stream, chunk, MIN(count - done, 1 << 20)), ==, 0);
    g_assert_cmpint(git_odb_stream_finalize_write(&id, stream), ==, 0);
    git_odb_stream_free(stream);
    return id;
}

static glong peak_kilobytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void test_huge_file(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put_pack(&world, "bad", "x");
    world_add(&world, "bad/wiki/huge.bin", 0100644, zeroes(&world, (gsize)300 << 20));
    glong before = peak_kilobytes();
    expect_refusal(&world, "wiki/huge.bin: 314572800 bytes, at most 8388608 are allowed");
    g_assert_cmpint(peak_kilobytes() - before, <, 100 * 1024); /* it was not unpacked */
}

static void test_large_manifest(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put_pack(&world, "bad", "x");
    world_remove(&world, "bad/manifest.yaml");
    world_add(&world, "bad/manifest.yaml", 0100644, zeroes(&world, LIMIT_MANIFEST_BYTES + 1));
    expect_refusal(&world, "manifest.yaml: 262145 bytes, at most 262144 are allowed");
}

/* Every file is small enough, all of them are not. */
static void test_large_pack(void)
{
    g_auto(World) world;
    world_init(&world);
    git_oid blob = zeroes(&world, LIMIT_PACK_FILE_BYTES);
    world_put_pack(&world, "bad", "x");
    for (guint i = 0; i < 33; i++) {
        g_autofree char *path = g_strdup_printf("bad/wiki/z%02u.bin", i);
        world_add(&world, path, 0100644, blob);
    }
    expect_refusal(&world, "wiki/z31.bin: with this file the pack is larger than 268435456 bytes");
}

/* --- A pack file with deltas --- */

static void append_header(GByteArray *out, guint type, guint64 size)
{
    guint8 byte = (guint8)(type << 4 | (size & 15));
    for (size >>= 4; size > 0; size >>= 7) {
        guint8 more = byte | 0x80;
        g_byte_array_append(out, &more, 1);
        byte = size & 0x7f;
    }
    g_byte_array_append(out, &byte, 1);
}

static void append_number(GByteArray *out, guint64 value)
{
    for (; value >= 0x80; value >>= 7) {
        guint8 byte = (guint8)(value | 0x80);
        g_byte_array_append(out, &byte, 1);
    }
    guint8 byte = (guint8)value;
    g_byte_array_append(out, &byte, 1);
}

static void append_deflated(GByteArray *out, const void *data, gsize len)
{
    g_autoptr(GZlibCompressor) compressor = g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_ZLIB, 9);
    g_autoptr(GError) error = NULL;
    gsize size = len + 1024, read = 0, written = 0;
    g_autofree guint8 *packed = g_malloc(size);
    g_converter_convert(G_CONVERTER(compressor), data, len, packed, size, G_CONVERTER_INPUT_AT_END, &read,
                        &written, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(read, ==, len);
    g_byte_array_append(out, packed, (guint)written);
}

/* Puts a pack file with these objects (each with its header) into the origin, as a push would. */
static gboolean index_pack(World *world, GByteArray *objects, guint count)
{
    g_autoptr(GByteArray) pack = g_byte_array_new();
    guint32 words[] = {GUINT32_TO_BE(2), GUINT32_TO_BE(count)};
    g_byte_array_append(pack, (const guint8 *)"PACK", 4);
    g_byte_array_append(pack, (const guint8 *)words, sizeof words);
    g_byte_array_append(pack, objects->data, objects->len);
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA1);
    guint8 digest[20];
    gsize digest_len = sizeof digest;
    g_checksum_update(checksum, pack->data, pack->len);
    g_checksum_get_digest(checksum, digest, &digest_len);
    g_byte_array_append(pack, digest, sizeof digest);
    git_odb_writepack *writer = NULL;
    git_indexer_progress stats;
    g_assert_cmpint(git_odb_write_pack(&writer, world->odb, NULL, NULL), ==, 0);
    gboolean done =
        writer->append(writer, pack->data, pack->len, &stats) == 0 && writer->commit(writer, &stats) == 0;
    writer->free(writer);
    git_odb_refresh(world->odb);
    return done;
}

/* A delta of a few hundred kilobytes that makes `size` bytes of a base of 1 MiB. */
static void append_delta_bomb(GByteArray *out, const git_oid *base, guint64 base_size, guint64 size)
{
    g_autoptr(GByteArray) delta = g_byte_array_new();
    append_number(delta, base_size);
    append_number(delta, size);
    for (guint64 done = 0; done < size; done += 0x10000) {
        const guint8 copy[] = {0x80}; /* offset 0, size 0: that is 0x10000 */
        g_byte_array_append(delta, copy, sizeof copy);
    }
    append_header(out, 7, delta->len);
    g_byte_array_append(out, base->id, GIT_OID_RAWSZ);
    append_deflated(out, delta->data, delta->len);
}

static git_oid id_of_zeroes(guint64 size)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA1);
    g_autofree char *head = g_strdup_printf("blob %" G_GUINT64_FORMAT, size);
    g_autofree guint8 *chunk = g_malloc0(1 << 20);
    git_oid id;
    gsize len = GIT_OID_RAWSZ;
    g_checksum_update(checksum, (const guint8 *)head, (gssize)strlen(head) + 1);
    for (guint64 done = 0; done < size; done += 1 << 20)
        g_checksum_update(checksum, chunk, 1 << 20);
    g_checksum_get_digest(checksum, id.id, &len);
    return id;
}

/* 128 MiB made by a delta: the header tells, and nobody unpacks it. */
static void test_delta_bomb(void)
{
    g_auto(World) world;
    world_init(&world);
    g_autofree char *base = g_malloc0(1 << 20);
    git_oid base_id = id_of_zeroes(1 << 20);
    g_autoptr(GByteArray) objects = g_byte_array_new();
    append_header(objects, GIT_OBJECT_BLOB, 1 << 20);
    append_deflated(objects, base, 1 << 20);
    append_delta_bomb(objects, &base_id, 1 << 20, 128 << 20);
    g_assert_cmpuint(objects->len, <, 20000);
    g_assert_true(index_pack(&world, objects, 2));
    world_put_pack(&world, "bad", "x");
    world_add(&world, "bad/wiki/bomb.bin", 0100644, id_of_zeroes(128 << 20));
    expect_refusal(&world, "wiki/bomb.bin: 134217728 bytes, at most 8388608 are allowed");
}

/* A delta that makes more than we allow is not even taken into a copy. */
static void test_delta_bomb_in_fetch(void)
{
    g_auto(World) world;
    world_init(&world);
    g_autofree char *base = g_malloc0(1 << 20);
    git_oid base_id = id_of_zeroes(1 << 20);
    g_autoptr(GByteArray) objects = g_byte_array_new();
    append_header(objects, GIT_OBJECT_BLOB, 1 << 20);
    append_deflated(objects, base, 1 << 20);
    append_delta_bomb(objects, &base_id, 1 << 20, (guint64)LIMIT_GIT_OBJECT_BYTES + (1 << 20));
    glong before = peak_kilobytes();
    g_assert_false(index_pack(&world, objects, 2));
    g_assert_cmpint(peak_kilobytes() - before, <, 100 * 1024);
}

/* libgit2 may take so much memory and no more. */
static void test_memory(void)
{
    g_auto(World) world;
    world_init(&world);
    git_odb_object *object = NULL;
    size_t mapped = 0;
    g_assert_cmpint(git_libgit2_opts(GIT_OPT_GET_MWINDOW_MAPPED_LIMIT, &mapped), ==, 0);
    g_assert_cmpuint(mapped, ==, LIMIT_GIT_MAPPED_BYTES);
    guint64 before = git_memory_used();
    git_oid small = world_blob(&world, "small");
    g_assert_cmpint(git_odb_read(&object, world.odb, &small), ==, 0);
    g_assert_cmpuint(git_memory_used(), >=, before);
    git_odb_object_free(object);
    git_oid huge = zeroes(&world, 100 << 20);
    git_memory_init(64 << 20);
    g_assert_cmpint(git_odb_read(&object, world.odb, &huge), !=, 0);
    g_assert_cmpuint(git_memory_used(), <, before + (16 << 20));
    git_memory_init(LIMIT_GIT_MEMORY_BYTES);
    g_assert_cmpint(git_odb_read(&object, world.odb, &huge), ==, 0);
    g_assert_cmpuint(git_memory_used(), >, before + (100 << 20));
    git_odb_object_free(object);
}

/* --- Damage --- */

static void overwrite(World *world, const git_oid *id, const char *bytes, gsize len)
{
    char hex[GIT_OID_HEXSZ + 1];
    git_oid_tostr(hex, sizeof hex, id);
    g_autofree char *path = g_strdup_printf("%s/objects/%.2s/%s", world->origin, hex, hex + 2);
    g_chmod(path, 0644);
    g_assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
}

/* A page whose object holds another page: its id does not fit, so it is not served. */
static void test_swapped_object(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put_pack(&world, "bread", "x");
    git_oid victim = world_blob(&world, "the page that was signed\n");
    git_oid other = world_blob(&world, "the page that was not!!!\n");
    world_put(&world, "bread/wiki/a.md", "the page that was signed\n");
    world_commit(&world);
    char hex[GIT_OID_HEXSZ + 1];
    git_oid_tostr(hex, sizeof hex, &other);
    g_autofree char *path = g_strdup_printf("%s/objects/%.2s/%s", world.origin, hex, hex + 2);
    g_autofree char *bytes = NULL;
    gsize len = 0;
    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    overwrite(&world, &victim, bytes, len);
    world_expect_failure(&world, KONTOR_ERROR_CORRUPT, "pack 'bread': wiki/a.md: file ");
}

static void test_garbage(void)
{
    static const char *const garbage[] = {"", "x", "\x78\x9c garbage", "blob 3\0abc"};
    for (guint i = 0; i < G_N_ELEMENTS(garbage); i++) {
        g_auto(World) world;
        world_init(&world);
        world_put_pack(&world, "bread", "x");
        world_commit(&world);
        git_oid tree = world_write_node(&world, node_find(world.root, "bread")->child);
        overwrite(&world, &tree, garbage[i], strlen(garbage[i]));
        world_expect_failure(&world, KONTOR_ERROR_CORRUPT, "directory ");
    }
}

/* Raw bytes in the place of a listing. */
static void test_malformed_listing(void)
{
    static const char *const listings[] = {"x",
                                           "100644",
                                           "100644 a",
                                           "100644 a\0short",
                                           "40000 \0aaaaaaaaaaaaaaaaaaaa",
                                           "9 a\0aaaaaaaaaaaaaaaaaaaa"};
    static const gsize lengths[] = {1, 6, 8, 14, 27, 24};
    for (guint i = 0; i < G_N_ELEMENTS(listings); i++) {
        g_auto(World) world;
        world_init(&world);
        git_oid tree = world_write(&world, listings[i], lengths[i], GIT_OBJECT_TREE);
        world_add(&world, "broken", 040000, tree);
        world_commit(&world);
        world_expect_failure(&world, KONTOR_ERROR_MALFORMED, "directory listing: no ");
    }
}

/* A file where a directory is said to be, and the other way round. */
static void test_wrong_kinds(void)
{
    g_auto(World) world;
    world_init(&world);
    world_put_pack(&world, "bad", "x");
    world_add(&world, "bad/wiki/x", 040000, world_blob(&world, "x"));
    world_commit(&world);
    world_expect_failure(&world, KONTOR_ERROR_CORRUPT, "is no directory");
    world_remove(&world, "bad/wiki/x");
    world_add(&world, "bad/wiki/x", 0100644, world_write(&world, "", 0, GIT_OBJECT_TREE));
    world_commit(&world);
    world_expect_failure(&world, KONTOR_ERROR_CORRUPT, "is no file");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(bad_entries); i++) {
        g_autofree char *path = g_strconcat("/git-hostile/entry/", bad_entries[i].name, NULL);
        g_test_add_data_func(path, &bad_entries[i], test_entry);
    }
    g_test_add_func("/git-hostile/linked-manifest", test_linked_manifest);
    g_test_add_func("/git-hostile/linked-wiki", test_linked_wiki);
    g_test_add_func("/git-hostile/submodule-wiki", test_submodule_wiki);
    g_test_add_func("/git-hostile/hidden", test_hidden);
    g_test_add_func("/git-hostile/slash", test_slash);
    g_test_add_func("/git-hostile/unsorted", test_unsorted);
    g_test_add_func("/git-hostile/directory-twice", test_directory_twice);
    g_test_add_func("/git-hostile/unusable-directories", test_unusable_directories);
    g_test_add_func("/git-hostile/tree-bomb", test_tree_bomb);
    g_test_add_func("/git-hostile/too-many-files", test_too_many_files);
    g_test_add_func("/git-hostile/large-listing", test_large_listing);
    g_test_add_func("/git-hostile/deep-large-listings", test_deep_large_listings);
    g_test_add_func("/git-hostile/huge-file", test_huge_file);
    g_test_add_func("/git-hostile/large-manifest", test_large_manifest);
    g_test_add_func("/git-hostile/large-pack", test_large_pack);
    g_test_add_func("/git-hostile/delta-bomb", test_delta_bomb);
    g_test_add_func("/git-hostile/delta-bomb-in-fetch", test_delta_bomb_in_fetch);
    g_test_add_func("/git-hostile/memory", test_memory);
    g_test_add_func("/git-hostile/swapped-object", test_swapped_object);
    g_test_add_func("/git-hostile/garbage", test_garbage);
    g_test_add_func("/git-hostile/malformed-listing", test_malformed_listing);
    g_test_add_func("/git-hostile/wrong-kinds", test_wrong_kinds);
    return g_test_run();
}

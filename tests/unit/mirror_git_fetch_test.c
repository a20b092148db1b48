/* SPDX-License-Identifier: MIT
 *
 * Fetching from servers: a real one over git://, and servers that say what no good one would. What comes of
 * the bare copy when it is old, littered or damaged.
 */
#include "git_world.h"

#include "git_server.h"
#include "mirror/agent/git_copy.h"

static void use_url(World *world, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void use_url(World *world, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_free(world->source->url);
    world->source->url = g_strdup_vprintf(format, arguments);
    va_end(arguments);
}

/* An origin behind git daemon. */
static void serve(World *world, Server *server)
{
    *server = (Server){.directory = world->top};
    server_start(server);
    use_url(world, "git://127.0.0.1:%u/origin.git", server->port);
}

static char *copy_path(World *world)
{
    g_autofree char *name = git_sync_copy_name(world->source);
    g_assert_nonnull(name);
    return g_build_filename(world->store_dir, "git", name, NULL);
}

static GitOriginOptions options_of(World *world)
{
    return (GitOriginOptions){.source = world->source,
                              .store_dir = world->store_dir,
                              .deadline_us = g_get_monotonic_time() + 60 * G_USEC_PER_SEC,
                              .threads = 1};
}

static guint count_files(World *world, const char *directory, const char *suffix)
{
    g_autofree char *copy = copy_path(world);
    g_autofree char *path = g_build_filename(copy, directory, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint count = 0;
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;)
        count += g_str_has_suffix(name, suffix) ? 1 : 0;
    return count;
}

/* --- A good server --- */

static void test_daemon(void)
{
    g_auto(World) world;
    Server server;
    world_init(&world);
    serve(&world, &server);
    world_expect_failure(&world, KONTOR_ERROR_NOT_FOUND, "the repository is empty");
    g_autofree char *large = g_strnfill(500000, 'x');
    world_put(&world, "README.md", large);
    world_put_pack(&world, "history/rome", "one");
    world_put_pack(&world, "bread", "two");
    world_commit(&world);
    world_expect(&world, "+ bread\n+ history/rome");
    g_assert_cmpuint(world.progress.bytes, >, 0);
    guint64 first = world.progress.bytes;
    world_expect(&world, "");
    world_put(&world, "bread/wiki/a.md", "changed\n");
    world_commit(&world);
    world_expect(&world, "+ bread");
    g_assert_cmpuint(world.progress.bytes, <, first);
    world_commit_tree(&world, world_write_node(&world, world.root), TRUE); /* force-pushed */
    world_expect(&world, "");
    server_clear(&server);
}

static void test_references(void)
{
    g_auto(World) world;
    Server server;
    world_init(&world);
    serve(&world, &server);
    world_put_pack(&world, "a", "x");
    world_commit(&world);
    static const char *const names[] = {"b1", "b2", "b3", "b4", "b5", "b6"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *name = g_strconcat("refs/heads/", names[i], NULL);
        git_reference *reference = NULL;
        g_assert_cmpint(git_reference_create(&reference, world.repository, name, &world.commit, 0, NULL), ==,
                        0);
        git_reference_free(reference);
    }
    world.source->ref = g_strdup("mian");
    world_expect_failure(&world, KONTOR_ERROR_NOT_FOUND,
                         "no branch 'mian'; there are: b1, b2, b3, b4, b5 and others");
    world.source->ref_is_tag = TRUE;
    world_expect_failure(&world, KONTOR_ERROR_NOT_FOUND, "no tag 'mian'; there is none");
    world.source->ref_is_tag = FALSE;
    g_free(world.source->ref);
    world.source->ref = g_strdup("b3");
    world_expect(&world, "+ a");
    g_assert_cmpuint(count_files(&world, "refs/kontor", ""), ==, 1);
    g_assert_cmpuint(count_files(&world, "refs/heads", ""), ==, 0);
    use_url(&world, "git://127.0.0.1:%u/nothing.git", server.port);
    world_expect_failure(&world, KONTOR_ERROR_NOT_FOUND, "the server refuses: ");
    server_clear(&server);
}

/* --- The copy --- */

static void test_joined_packs(void)
{
    g_auto(World) world;
    Server server;
    world_init(&world);
    serve(&world, &server);
    for (guint i = 0; i < 6; i++) {
        g_autofree char *path = g_strdup_printf("p%u", i);
        world_put_pack(&world, path, "x");
        world_commit(&world);
        g_assert_true(world_sync(&world, NULL));
    }
    g_assert_cmpuint(count_files(&world, "objects/pack", ".pack"), ==, 6);
    GitOriginOptions options = options_of(&world);
    g_autofree char *name = git_sync_copy_name(world.source);
    g_autoptr(GitCopy) copy = git_copy_new(&options, name);
    g_autoptr(GError) error = NULL;
    git_copy_join_packs(copy, 6, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(count_files(&world, "objects/pack", ".pack"), ==, 6);
    git_copy_join_packs(copy, 5, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(count_files(&world, "objects/pack", ".pack"), ==, 2);
    g_assert_cmpuint(count_files(&world, "objects/pack", ".idx"), ==, 2);
    guint before = (guint)g_atomic_int_get(&server.connections);
    world.full = TRUE;
    g_assert_true(world_sync(&world, NULL));
    g_assert_cmpuint(world.results->len, ==, 6);
    g_assert_cmpint(g_atomic_int_get(&server.connections), ==, (gint)before + 1);
    server_clear(&server);
}

/* What a killed process leaves. */
static void test_litter(void)
{
    g_auto(World) world;
    Server server;
    world_init(&world);
    serve(&world, &server);
    world_put_pack(&world, "a", "x");
    world_commit(&world);
    world_expect(&world, "+ a");
    g_autofree char *copy = copy_path(&world);
    g_autofree char *unfinished = g_build_filename(copy, "objects/pack/pack_git2_abcdef", NULL);
    g_assert_true(g_file_set_contents(unfinished, "x", 1, NULL));
    g_autofree char *references = g_build_filename(copy, "refs/kontor", NULL);
    g_autoptr(GDir) dir = g_dir_open(references, 0, NULL);
    g_autofree char *lock = g_strconcat(references, "/", g_dir_read_name(dir), ".lock", NULL);
    g_assert_true(g_file_set_contents(lock, "", 0, NULL));
    world_put_pack(&world, "b", "x");
    world_commit(&world);
    world_expect(&world, "+ b");
    g_assert_false(g_file_test(unfinished, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(lock, G_FILE_TEST_EXISTS));
    server_clear(&server);
}

static void damage(const char *copy, const char *file, const char *suffix)
{
    g_autofree char *path = g_build_filename(copy, file, NULL);
    if (suffix == NULL) {
        g_assert_true(g_file_set_contents(path, "garbage", -1, NULL));
        return;
    }
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *victim = g_build_filename(path, name, NULL);
        gsize len = 0;
        g_autofree char *bytes = NULL;
        if (!g_str_has_suffix(name, suffix))
            continue;
        g_assert_true(g_file_get_contents(victim, &bytes, &len, NULL));
        memset(bytes + 12, 0xaa, len - 12);
        g_chmod(victim, 0644);
        g_assert_true(g_file_set_contents(victim, bytes, (gssize)len, NULL));
    }
}

/* Whatever is wrong with the copy, it is made again within the same sync. */
static void test_damaged_copy(void)
{
    static const struct {
        const char *file, *suffix;
    } cases[] = {{"objects/pack", ".pack"}, {"objects/pack", ".idx"}, {"HEAD", NULL}, {"config", NULL}};
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(World) world;
        Server server;
        world_init(&world);
        serve(&world, &server);
        world_put_pack(&world, "a", "x");
        world_commit(&world);
        world_expect(&world, "+ a");
        g_autofree char *copy = copy_path(&world);
        damage(copy, cases[i].file, cases[i].suffix);
        world_put_pack(&world, "b", "x");
        world_commit(&world);
        world_expect(&world, "+ b");
        world.full = TRUE;
        world_expect(&world, "+ a\n+ b");
        server_clear(&server);
    }
}

/* A server that rewrites its history does not fill the disk. */
static void test_growing_copy(void)
{
    g_auto(World) world;
    Server server;
    world_init(&world);
    serve(&world, &server);
    g_autofree guint8 *noise = g_malloc(8 << 20);
    world.source->bytes_max = 20 << 20;
    for (guint i = 0; i < 8; i++) {
        random_fill(noise, 8 << 20);
        world_put_pack(&world, "a", "x");
        world_add(&world, "noise", 0100644, world_write(&world, noise, 8 << 20, GIT_OBJECT_BLOB));
        world_commit_tree(&world, world_write_node(&world, world.root), TRUE);
        world_remove(&world, "noise");
        g_assert_true(world_sync(&world, NULL));
        g_autofree char *copy = copy_path(&world);
        g_assert_cmpuint(dir_tree_bytes(AT_FDCWD, copy), <, 50 << 20);
    }
    server_clear(&server);
}

static void test_too_many_bytes(void)
{
    g_auto(World) world;
    Server server;
    world_init(&world);
    serve(&world, &server);
    g_autofree guint8 *noise = g_malloc(1 << 20);
    random_fill(noise, 1 << 20);
    world_put_pack(&world, "a", "x");
    world_add(&world, "noise", 0100644, world_write(&world, noise, 1 << 20, GIT_OBJECT_BLOB));
    world_commit(&world);
    world.source->bytes_max = 500000;
    world_expect_failure(&world, KONTOR_ERROR_LIMIT, "sends more than 500000 bytes; raise max_bytes");
    g_assert_cmpuint(count_files(&world, "objects/pack", ".pack"), ==, 0);
    world.source->bytes_max = 5000000;
    world_expect(&world, "+ a");
    server_clear(&server);
}

/* --- Servers that nobody wants --- */

typedef struct {
    const char *name, *scheme, *answer;
    KontorErrorCode code;
    const char *message;
} BadAnswer;

#define HTTP_REFERENCES                                                                                      \
    "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nConnection: "           \
    "close\r\n\r\n"

static const BadAnswer bad_answers[] = {
    {"http-404", "http", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnono", KONTOR_ERROR_NOT_FOUND,
     "no such repository (HTTP status 404)"},
    {"http-401", "http",
     "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
     KONTOR_ERROR_DENIED, "the server wants credentials (HTTP status 401)"},
    {"http-500", "http", "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nnono", KONTOR_ERROR_IO,
     "HTTP status 500"},
    {"http-503", "http", "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n", KONTOR_ERROR_BUSY,
     "HTTP status 503"},
    {"http-redirect", "http",
     "HTTP/1.1 302 Found\r\nLocation: "
     "https://u:secret@evil.example/x.git/info/refs?token=secret\r\nContent-Length: "
     "0\r\n\r\n",
     KONTOR_ERROR_DENIED, "redirects to https://evil.example/x.git, which is not followed"},
    {"http-redirect-file", "http",
     "HTTP/1.1 301 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", KONTOR_ERROR_DENIED,
     "redirects to something that is not on the web"},
    {"http-page", "http", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
     KONTOR_ERROR_NOT_FOUND, "not as a git server does (content type 'text/html')"},
    {"http-empty", "http", HTTP_REFERENCES, KONTOR_ERROR_IO, ""},
    {"http-garbage", "http", HTTP_REFERENCES "\xff\xfe\xfd garbage that is no pkt-line", KONTOR_ERROR_IO, ""},
    {"http-not", "http", "SSH-2.0-OpenSSH\r\n", KONTOR_ERROR_IO, "the answer is not HTTP"},
    {"http-closed", "http", "", KONTOR_ERROR_IO, ""},
    {"git-closed", "git", "", KONTOR_ERROR_IO, ""},
    {"git-garbage", "git", "HTTP/1.1 400 Bad Request\r\n\r\n", KONTOR_ERROR_IO, ""},
    {"git-zero-length", "git", "0001", KONTOR_ERROR_IO, ""},
    {"git-error", "git", "0011ERR go \x1b[2Jx\n", KONTOR_ERROR_NOT_FOUND, "the server refuses: "},
    {"git-bad-id", "git", "003ezzzz567890123456789012345678901234567890 refs/heads/main\n0000",
     KONTOR_ERROR_IO, ""},
    {"git-traversal", "git", "00471234567890123456789012345678901234567890 refs/heads/../../../x\n0000",
     KONTOR_ERROR_NOT_FOUND, ""},
};

static void test_bad_answer(gconstpointer data)
{
    const BadAnswer *bad = data;
    g_auto(World) world;
    g_autoptr(GError) error = NULL;
    Server server = {.answer = bad->answer, .answer_len = strlen(bad->answer)};
    world_init(&world);
    server_start(&server);
    use_url(&world, "%s://127.0.0.1:%u/x.git", bad->scheme, server.port);
    world.seconds = 20;
    g_assert_false(world_sync(&world, &error));
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, bad->message));
    if (*bad->message != '\0')
        g_assert_cmpint(error->code, ==, (gint)bad->code);
    g_assert_null(strstr(error->message, "secret"));
    g_assert_null(strchr(error->message, '\x1b'));
    g_assert_false(g_error_matches(error, KONTOR_ERROR, KONTOR_ERROR_BUSY) && bad->code != KONTOR_ERROR_BUSY);
    server_clear(&server);
}

/* Connected, and then nothing; or a byte now and then. */
static void test_slow(gconstpointer data)
{
    const char *scheme = data;
    for (guint drip = 0; drip < 2; drip++) {
        g_auto(World) world;
        const char *answer = strcmp(scheme, "http") == 0 ? HTTP_REFERENCES : "00";
        Server server = {.answer = answer, .answer_len = strlen(answer), .silent = TRUE};
        if (drip == 1) {
            server.piece = 1;
            server.pause_ms = 200;
        }
        world_init(&world);
        server_start(&server);
        use_url(&world, "%s://127.0.0.1:%u/x.git", scheme, server.port);
        world.seconds = 2;
        gint64 began = g_get_monotonic_time();
        world_expect_failure(&world, KONTOR_ERROR_BUSY, "out of time after ");
        g_assert_cmpint(g_get_monotonic_time() - began, <, 10 * G_USEC_PER_SEC);
        server_clear(&server);
    }
}

/* Branches without end. */
static void test_endless_references(gconstpointer data)
{
    const char *scheme = data;
    static const char line[] = "003d1234567890123456789012345678901234567890 refs/heads/aaaa\n";
    g_auto(World) world;
    g_autoptr(GString) answer = g_string_new(NULL);
    if (strcmp(scheme, "http") == 0)
        g_string_append(answer, HTTP_REFERENCES "001e# service=git-upload-pack\n0000");
    g_string_append(answer, line);
    for (guint i = 0; i < 1000; i++)
        g_string_append(answer, line);
    Server server = {
        .answer = answer->str, .answer_len = answer->len, .endless = TRUE, .tail = 1000 * strlen(line)};
    world_init(&world);
    server_start(&server);
    use_url(&world, "%s://127.0.0.1:%u/x.git", scheme, server.port);
    world.source->bytes_max = 3000000;
    world_expect_failure(&world, KONTOR_ERROR_LIMIT, "sends more than 3000000 bytes");
    server_clear(&server);
}

static void test_nobody_there(void)
{
    g_auto(World) world;
    Server server = {.answer = ""};
    world_init(&world);
    server_start(&server);
    guint16 port = server.port;
    server_clear(&server);
    static const char *const schemes[] = {"git", "http", "https"};
    for (guint i = 0; i < G_N_ELEMENTS(schemes); i++) {
        use_url(&world, "%s://127.0.0.1:%u/x.git", schemes[i], port);
        world_expect_failure(&world, KONTOR_ERROR_IO, "onnect");
    }
}

/* --- Credentials --- */

static char *credentials_file(World *world, const char *text)
{
    char *path = g_build_filename(world->top, "credentials", NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return path;
}

static void test_login(void)
{
    static const struct {
        const char *token, *netrc, *user, *expected;
    } cases[] = {
        {"s3cret\n", NULL, NULL, "git:s3cret"},
        {"  s3cret  \r\nsecond line\n", NULL, "anna", "anna:s3cret"},
        {NULL, "machine 127.0.0.1 login bob password s3cret\n", NULL, "bob:s3cret"},
        {NULL, "machine other login bob password wrong\ndefault login any password s3cret", NULL,
         "any:s3cret"},
        {NULL, "machine other login bob password wrong\n", NULL, NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(World) world;
        const char *answer = "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n";
        Server server = {.answer = answer, .answer_len = strlen(answer)};
        world_init(&world);
        server_start(&server);
        use_url(&world, "http://127.0.0.1:%u/x.git", server.port);
        char **file = cases[i].token != NULL ? &world.source->token_file : &world.source->netrc_file;
        *file = credentials_file(&world, cases[i].token != NULL ? cases[i].token : cases[i].netrc);
        world.source->user = g_strdup(cases[i].user);
        world_expect_failure(&world, KONTOR_ERROR_DENIED,
                             cases[i].expected != NULL ? "refuses the credentials" : "wants credentials");
        g_autofree char *heard = server_heard(&server);
        const char *text = cases[i].expected != NULL ? cases[i].expected : "";
        g_autofree char *encoded = g_base64_encode((const guchar *)text, strlen(text));
        g_autofree char *header = g_strconcat("Authorization: Basic ", encoded, "\r\n", NULL);
        g_assert_cmpint(strstr(heard, header) != NULL, ==, cases[i].expected != NULL);
        g_assert_cmpint(strstr(heard, "Authorization:") != NULL, ==, cases[i].expected != NULL);
        server_clear(&server);
    }
}

static void test_bad_credentials(void)
{
    g_auto(World) world;
    world_init(&world);
    use_url(&world, "http://git.example/x.git");
    world.source->token_file = credentials_file(&world, "s3cret\n");
    world_expect_failure(&world, KONTOR_ERROR_DENIED, "credentials are not sent over http");
    use_url(&world, "https://127.0.0.1:1/x.git");
    g_assert_true(g_file_set_contents(world.source->token_file, "\n", -1, NULL));
    world_expect_failure(&world, KONTOR_ERROR_DENIED, "the first line is empty");
    g_assert_true(g_file_set_contents(world.source->token_file,
                                      "a\x01"
                                      "b",
                                      -1, NULL));
    world_expect_failure(&world, KONTOR_ERROR_DENIED, "control character in the first line");
    g_unlink(world.source->token_file);
    world_expect_failure(&world, KONTOR_ERROR_DENIED, "No such file");
}

/* Another place hears nothing of a redirect's origin. */
static void test_redirect_gets_no_credentials(void)
{
    g_auto(World) world;
    Server other = {.answer = ""};
    server_start(&other);
    g_autofree char *answer =
        g_strdup_printf("HTTP/1.1 307 Elsewhere\r\nLocation: "
                        "http://127.0.0.1:%u/x.git/info/refs\r\nContent-Length: 0\r\n\r\n",
                        other.port);
    Server server = {.answer = answer, .answer_len = strlen(answer)};
    world_init(&world);
    server_start(&server);
    use_url(&world, "http://127.0.0.1:%u/x.git", server.port);
    world.source->token_file = credentials_file(&world, "s3cret\n");
    world_expect_failure(&world, KONTOR_ERROR_DENIED, "redirects to http://127.0.0.1:");
    g_assert_cmpint(g_atomic_int_get(&server.connections), ==, 1);
    g_assert_cmpint(g_atomic_int_get(&other.connections), ==, 0);
    server_clear(&server);
    server_clear(&other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_unsetenv("http_proxy");
    g_unsetenv("https_proxy");
    g_unsetenv("all_proxy");
    g_test_add_func("/git-fetch/daemon", test_daemon);
    g_test_add_func("/git-fetch/references", test_references);
    g_test_add_func("/git-fetch/joined-packs", test_joined_packs);
    g_test_add_func("/git-fetch/litter", test_litter);
    g_test_add_func("/git-fetch/damaged-copy", test_damaged_copy);
    g_test_add_func("/git-fetch/growing-copy", test_growing_copy);
    g_test_add_func("/git-fetch/too-many-bytes", test_too_many_bytes);
    for (guint i = 0; i < G_N_ELEMENTS(bad_answers); i++) {
        g_autofree char *path = g_strconcat("/git-fetch/bad-answer/", bad_answers[i].name, NULL);
        g_test_add_data_func(path, &bad_answers[i], test_bad_answer);
    }
    g_test_add_data_func("/git-fetch/slow/http", "http", test_slow);
    g_test_add_data_func("/git-fetch/slow/git", "git", test_slow);
    g_test_add_data_func("/git-fetch/endless-references/http", "http", test_endless_references);
    g_test_add_data_func("/git-fetch/endless-references/git", "git", test_endless_references);
    g_test_add_func("/git-fetch/nobody-there", test_nobody_there);
    g_test_add_func("/git-fetch/login", test_login);
    g_test_add_func("/git-fetch/bad-credentials", test_bad_credentials);
    g_test_add_func("/git-fetch/redirect-gets-no-credentials", test_redirect_gets_no_credentials);
    return g_test_run();
}

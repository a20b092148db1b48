/* SPDX-License-Identifier: MIT
 *
 * The table of mirror_rule.h, line by line.
 */
#include "mirror/store/mirror_rule.h"

#include <string.h>

/* The strings are literals; nothing is freed. */
static char *text(const char *literal)
{
    return (char *)(gsize)literal;
}

static MirroredPack pack_of(const char *source, const char *fingerprint, const char *version,
                            const char *published_at, guint8 content)
{
    MirroredPack pack = {
        .path = text("history/rome"),
        .source = text(source),
        .fingerprint = text(fingerprint),
        .publisher = text(""),
        .version = text(version),
        .published_at = text(published_at),
        .origin = text(""),
    };
    memset(pack.digest, content, SHA256_BYTES);
    return pack;
}

#define EARLY "2026-01-01T00:00:00Z"
#define LATE "2026-02-01T00:00:00Z"

typedef struct {
    const char *what;
    const char *held[4]; /* source, fingerprint, version, date; source NULL: nothing is held */
    guint8 held_content;
    gboolean held_unserved;
    const char *offered[3]; /* fingerprint, version, date */
    guint8 offered_content;
    gboolean withdraws;
    MirrorRule expected;
    AcceptRule rule;
} Case;

static const Case cases[] = {
    {"new, unsigned", {NULL}, 0, FALSE, {"", "", ""}, 1, FALSE, MIRROR_RULE_TAKE, ACCEPT_OK},
    {"new, signed", {NULL}, 0, FALSE, {"a", "1.0.0", EARLY}, 1, FALSE, MIRROR_RULE_TAKE, ACCEPT_OK},
    {"new, tombstone", {NULL}, 0, FALSE, {"a", "1.0.0", EARLY}, 1, TRUE, MIRROR_RULE_TAKE, ACCEPT_OK},
    {"unsigned tombstone", {NULL}, 0, FALSE, {"", "", ""}, 1, TRUE, MIRROR_RULE_REFUSE, ACCEPT_UNSIGNED},
    {"unsigned over signed",
     {"me", "a", "1.0.0", EARLY},
     1,
     FALSE,
     {"", "", ""},
     2,
     FALSE,
     MIRROR_RULE_REFUSE,
     ACCEPT_HIJACK},
    {"unsigned over signed that is remembered",
     {"me", "a", "1.0.0", EARLY},
     1,
     TRUE,
     {"", "", ""},
     1,
     FALSE,
     MIRROR_RULE_REFUSE,
     ACCEPT_HIJACK},
    {"unsigned over unsigned of mine",
     {"me", "", "", ""},
     1,
     FALSE,
     {"", "", ""},
     2,
     FALSE,
     MIRROR_RULE_TAKE,
     ACCEPT_OK},
    {"unsigned over unsigned of another",
     {"other", "", "", ""},
     1,
     FALSE,
     {"", "", ""},
     2,
     FALSE,
     MIRROR_RULE_KEEP,
     ACCEPT_OK},
    {"the same of another",
     {"other", "", "", ""},
     1,
     FALSE,
     {"", "", ""},
     1,
     FALSE,
     MIRROR_RULE_KEEP,
     ACCEPT_OK},
    {"unsigned over what nobody brings",
     {"other", "", "", ""},
     1,
     TRUE,
     {"", "", ""},
     2,
     FALSE,
     MIRROR_RULE_TAKE,
     ACCEPT_OK},
    {"signed over unsigned of another",
     {"other", "", "", ""},
     1,
     FALSE,
     {"a", "1.0.0", EARLY},
     2,
     FALSE,
     MIRROR_RULE_TAKE,
     ACCEPT_OK},
    {"another publisher, older version",
     {"other", "a", "9.0.0", LATE},
     1,
     FALSE,
     {"b", "1.0.0", EARLY},
     2,
     FALSE,
     MIRROR_RULE_TAKE,
     ACCEPT_OK},
    {"newer version of another source",
     {"other", "a", "1.9.0", LATE},
     1,
     FALSE,
     {"a", "1.10.0", EARLY},
     2,
     FALSE,
     MIRROR_RULE_TAKE,
     ACCEPT_OK},
    {"older version",
     {"me", "a", "1.10.0", EARLY},
     1,
     FALSE,
     {"a", "1.9.0", LATE},
     2,
     FALSE,
     MIRROR_RULE_REFUSE,
     ACCEPT_ROLLBACK},
    {"older version than remembered",
     {"gone", "a", "1.10.0", EARLY},
     1,
     TRUE,
     {"a", "1.9.0", LATE},
     2,
     FALSE,
     MIRROR_RULE_REFUSE,
     ACCEPT_ROLLBACK},
    {"no version where one was",
     {"me", "a", "1.0.0", EARLY},
     1,
     FALSE,
     {"a", "", ""},
     2,
     FALSE,
     MIRROR_RULE_REFUSE,
     ACCEPT_ROLLBACK},
    {"version where none was",
     {"other", "a", "", ""},
     1,
     FALSE,
     {"a", "0.0.1", EARLY},
     2,
     FALSE,
     MIRROR_RULE_TAKE,
     ACCEPT_OK},
    {"same version, earlier date",
     {"me", "a", "1.0.0", LATE},
     1,
     FALSE,
     {"a", "1.0.0", EARLY},
     2,
     FALSE,
     MIRROR_RULE_REFUSE,
     ACCEPT_ROLLBACK},
    {"same version, another content",
     {"me", "a", "1.0.0", EARLY},
     1,
     FALSE,
     {"a", "1.0.0", LATE},
     2,
     FALSE,
     MIRROR_RULE_REFUSE,
     ACCEPT_CONFLICT},
    {"same release of another source",
     {"other", "a", "1.0.0", EARLY},
     1,
     FALSE,
     {"a", "1.0.0", EARLY},
     1,
     FALSE,
     MIRROR_RULE_KEEP,
     ACCEPT_OK},
    {"same release of mine",
     {"me", "a", "1.0.0", EARLY},
     1,
     FALSE,
     {"a", "1.0.0", EARLY},
     1,
     FALSE,
     MIRROR_RULE_TAKE,
     ACCEPT_OK},
    {"same release, remembered",
     {"gone", "a", "1.0.0", EARLY},
     1,
     TRUE,
     {"a", "1.0.0", EARLY},
     1,
     FALSE,
     MIRROR_RULE_TAKE,
     ACCEPT_OK},
    {"signed without release, mine",
     {"me", "a", "", ""},
     1,
     FALSE,
     {"a", "", ""},
     2,
     FALSE,
     MIRROR_RULE_TAKE,
     ACCEPT_OK},
    {"signed without release, of another",
     {"other", "a", "", ""},
     1,
     FALSE,
     {"a", "", ""},
     2,
     FALSE,
     MIRROR_RULE_KEEP,
     ACCEPT_OK},
    {"tombstone of the same version",
     {"other", "a", "1.0.0", EARLY},
     1,
     FALSE,
     {"a", "1.0.0", LATE},
     2,
     TRUE,
     MIRROR_RULE_TAKE,
     ACCEPT_OK},
    {"tombstone of an older version",
     {"other", "a", "1.0.0", EARLY},
     1,
     FALSE,
     {"a", "0.9.0", LATE},
     2,
     TRUE,
     MIRROR_RULE_REFUSE,
     ACCEPT_ROLLBACK},
    {"what was withdrawn, again",
     {"me", "a", "1.0.0", LATE},
     2,
     TRUE,
     {"a", "1.0.0", EARLY},
     1,
     FALSE,
     MIRROR_RULE_REFUSE,
     ACCEPT_ROLLBACK},
    {"newer than what was withdrawn",
     {"me", "a", "1.0.0", LATE},
     2,
     TRUE,
     {"a", "1.0.1", LATE},
     3,
     FALSE,
     MIRROR_RULE_TAKE,
     ACCEPT_OK},
};

static void test_table(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Case *c = &cases[i];
        MirroredPack held = {0};
        MirroredPack offered = pack_of("me", c->offered[0], c->offered[1], c->offered[2], c->offered_content);
        AcceptRule rule = ACCEPT_LIMITS;
        g_autofree char *reason = NULL;
        if (c->held[0] != NULL)
            held = pack_of(c->held[0], c->held[1], c->held[2], c->held[3], c->held_content);
        held.withdrawn = c->held_unserved;
        MirrorRule got =
            mirror_rule(c->held[0] != NULL ? &held : NULL, &offered, "me", c->withdraws, &rule, &reason);
        if (got != c->expected || rule != c->rule)
            g_error("%s: %d, %s", c->what, got, accept_rule_name(rule));
        g_assert_cmpint(reason != NULL, ==, got == MIRROR_RULE_REFUSE);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mirror-rule/table", test_table);
    return g_test_run();
}

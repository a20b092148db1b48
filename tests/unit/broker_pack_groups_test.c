/* SPDX-License-Identifier: MIT
 *
 * What is told of many packs: one by one while they are few, by cause when they are many.
 */
#include "broker/cli/pack_groups.h"

#include <string.h>

#include "signing/release.h"

static void hear(const char *text, gboolean bad, gpointer user)
{
    g_string_append_printf(user, "%s%s\n", bad ? "! " : "", text);
}

static void assert_told(PackGroups *groups, const char *expected)
{
    g_autoptr(GString) said = g_string_new(NULL);
    pack_groups_tell(groups, hear, said);
    g_assert_cmpstr(said->str, ==, expected);
}

static void add(PackGroups *groups, const char *event, const char *rule, const char *reason, guint count)
{
    for (guint i = 0; i < count; i++) {
        g_autofree char *path = g_strdup_printf("p/%u", i);
        g_autoptr(GString) text = g_string_new(reason);
        g_string_replace(text, "PATH", path, /* limit= */ 0);
        PackEvent what = {event, path, "1.0.0", rule, text->str};
        pack_groups_add(groups, &what);
    }
}

#define UNTRUSTED "manifest.sig: key abcdefghijklmnop is not in the trust list"
#define TRUST                                                                                                \
    "  what helps: 'kontor trust add abcdefghijklmnop' takes packs of that key, once you know whose it is\n"

static void test_few(void)
{
    g_auto(PackGroups) groups = {0};
    pack_groups_init(&groups, /* all= */ FALSE, "-v shows each");
    add(&groups, "installed", "", "", 2);
    add(&groups, "refused", "untrusted", UNTRUSTED, 2);
    add(&groups, "gone", "", "", 1);
    add(&groups, "damaged", "", "index.md: missing", 1);
    assert_told(&groups, "installed p/0 1.0.0\ninstalled p/1 1.0.0\n"
                         "! refused p/0: untrusted: " UNTRUSTED "\n! refused p/1: untrusted: " UNTRUSTED
                         "\n" TRUST "p/0 is no longer there\n"
                         "! p/0 is damaged here, to be fetched again: index.md: missing\n");
    assert_told(&groups, "");
}

static void test_many(void)
{
    g_auto(PackGroups) groups = {0};
    pack_groups_init(&groups, /* all= */ FALSE, "-v shows each");
    add(&groups, "refused", "untrusted", UNTRUSTED, 608);
    add(&groups, "installed", "", "", 21);
    add(&groups, "gone", "", "", 22);
    add(&groups, "damaged", "", "index.md: missing", 4);
    assert_told(&groups, "! refused 608 packs: untrusted: " UNTRUSTED
                         "\n  p/0, p/1, p/2 and 605 more; -v shows each\n" TRUST
                         "installed 21 packs\n  p/0, p/1, p/2 and 18 more; -v shows each\n"
                         "22 packs are no longer there\n  p/0, p/1, p/2 and 19 more; -v shows each\n"
                         "! 4 packs are damaged here, to be fetched again: index.md: missing\n"
                         "  p/0, p/1, p/2 and 1 more; -v shows each\n");
}

/* With everything wanted, nothing is told together; what helps still comes once. */
static void test_all(void)
{
    g_auto(PackGroups) groups = {0};
    pack_groups_init(&groups, /* all= */ TRUE, "");
    add(&groups, "refused", "untrusted", UNTRUSTED, 4);
    assert_told(&groups,
                "! refused p/0: untrusted: " UNTRUSTED "\n! refused p/1: untrusted: " UNTRUSTED
                "\n! refused p/2: untrusted: " UNTRUSTED "\n! refused p/3: untrusted: " UNTRUSTED "\n" TRUST);
}

/* A reason that names the pack is one cause; reasons that differ otherwise are as many, up to a bound. */
static void test_causes(void)
{
    g_auto(PackGroups) groups = {0};
    g_autoptr(GString) said = g_string_new(NULL);
    pack_groups_init(&groups, /* all= */ FALSE, "-v shows each");
    add(&groups, "refused", "limits", "PATH: too large", 5);
    assert_told(&groups,
                "! refused 5 packs: limits: p/0: too large\n  p/0, p/1, p/2 and 2 more; -v shows each\n"
                "  what helps: whoever keeps the source has to mend it; 'kontor pack lint' names what is "
                "too much\n");
    for (guint i = 0; i < 100; i++) {
        g_autofree char *path = g_strdup_printf("q/%02u", i);
        g_autofree char *reason = g_strdup_printf("page %02u", i);
        PackEvent what = {"refused", path, "", "hash", reason};
        pack_groups_add(&groups, &what);
    }
    pack_groups_tell(&groups, hear, said);
    g_assert_nonnull(strstr(said->str, "! refused q/07: hash: page 07\n"));
    g_assert_nonnull(strstr(said->str, "! refused 92 packs: hash, for various reasons such as: page 08\n"
                                       "  q/08, q/09, q/10 and 89 more; -v shows each\n"));
    g_assert_null(strstr(said->str, "page 09"));
}

/* What people may paste holds nothing of a reason but a fingerprint. */
static void test_remedies(void)
{
    static const char *const reasons[] = {"key $(rm -rf .) is", "key abc is", "key abcdefghijklmnopq is",
                                          "key ", ""};
    for (guint i = 0; i < G_N_ELEMENTS(reasons); i++) {
        g_autofree char *text = pack_groups_remedy("untrusted", reasons[i]);
        g_assert_nonnull(strstr(text, "'kontor trust add KEY'"));
    }
    for (guint rule = ACCEPT_OK + 1; rule < ACCEPT_RULES; rule++) {
        g_autofree char *text = pack_groups_remedy(accept_rule_name((AcceptRule)rule), "");
        g_assert_null(strchr(text, '%'));
        g_assert_cmpuint(strlen(text), <, 120);
    }
    g_autofree char *other = pack_groups_remedy("no-such-rule", "");
    g_assert_nonnull(strstr(other, "kontor pack lint"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pack-groups/few", test_few);
    g_test_add_func("/pack-groups/many", test_many);
    g_test_add_func("/pack-groups/all", test_all);
    g_test_add_func("/pack-groups/causes", test_causes);
    g_test_add_func("/pack-groups/remedies", test_remedies);
    return g_test_run();
}

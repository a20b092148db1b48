/* SPDX-License-Identifier: MIT */
#include "schema/name_fold.h"

#include <string.h>

static void assert_same(const char *a, const char *b, gboolean same)
{
    g_autofree char *fa = name_fold(a);
    g_autofree char *fb = name_fold(b);
    g_assert_cmpint(strcmp(fa, fb) == 0, ==, same);
}

static void test_fold(void)
{
    assert_same("README.md", "readme.MD", TRUE);
    assert_same("caf\xc3\xa9", "cafe\xcc\x81", TRUE);
    assert_same("CAF\xc3\x89", "cafe\xcc\x81", TRUE);
    assert_same("\xce\xa3", "\xcf\x82", TRUE); /* capital and final sigma */
    assert_same("stra\xc3\x9f"
                "e",
                "STRASSE", TRUE);
    assert_same("a", "b", FALSE);
    assert_same("cafe", "caf\xc3\xa9", FALSE);
    assert_same("\xff", "\xff", TRUE);
    assert_same("\xff", "\xfe", FALSE);
}

static void test_set(void)
{
    g_autoptr(NameSet) set = name_set_new();
    g_assert_null(name_set_add(set, "wiki/a.md"));
    g_assert_null(name_set_add(set, "wiki/concepts/a.md"));
    g_assert_null(name_set_add(set, "wiki/concepts/b.md"));
    g_assert_null(name_set_add(set, "manifest.yaml"));
    g_assert_cmpstr(name_set_add(set, "wiki/A.md"), ==, "wiki/a.md");
    g_assert_cmpstr(name_set_add(set, "wiki/a.md"), ==, "wiki/a.md");               /* the same again */
    g_assert_cmpstr(name_set_add(set, "wiki/Concepts/c.md"), ==, "wiki/concepts/"); /* a directory above */
    g_assert_cmpstr(name_set_add(set, "wiki/concepts"), ==, "wiki/concepts/"); /* a file for a directory */
    g_assert_cmpstr(name_set_add(set, "wiki/a.md/x"), ==, "wiki/a.md");        /* and the other way round */
    g_assert_null(name_set_add(set, "wiki/concepts/c.md"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/name-fold/fold", test_fold);
    g_test_add_func("/name-fold/set", test_set);
    return g_test_run();
}

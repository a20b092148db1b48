/* SPDX-License-Identifier: MIT */
#include "broker/cli/pack_groups.h"

#include <string.h>

#include "signing/key.h"
#include "signing/release.h"

#define NAMED_MAX 3 /* packs that are named where they are not printed one by one */

typedef struct {
    char *event, *rule, *reason; /* of its first pack */
    gboolean mixed;              /* the others have other reasons */
    GPtrArray *lines;            /* one per pack, at most as many as are printed one by one */
    GPtrArray *paths;            /* the first ones */
    guint64 count;
} Group;

static void group_free(gpointer data)
{
    Group *group = data;

    g_free(group->event);
    g_free(group->rule);
    g_free(group->reason);
    g_ptr_array_unref(group->lines);
    g_ptr_array_unref(group->paths);
    g_free(group);
}

/* --- Life cycle --- */

void pack_groups_init(PackGroups *groups, gboolean all, const char *more)
{
    *groups = (PackGroups){.all = all, .more = g_strdup(more)};
    groups->groups = g_ptr_array_new_with_free_func(group_free);
    groups->index = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    groups->rules = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void pack_groups_clear(PackGroups *groups)
{
    g_clear_pointer(&groups->index, g_hash_table_unref);
    g_clear_pointer(&groups->rules, g_hash_table_unref);
    g_clear_pointer(&groups->groups, g_ptr_array_unref);
    g_clear_pointer(&groups->more, g_free);
}

/* --- Gathering --- */

static gboolean is_bad(const char *event)
{
    return strcmp(event, "refused") == 0 || strcmp(event, "damaged") == 0;
}

static guint lines_max(const PackGroups *groups, const char *event)
{
    return groups->all ? G_MAXUINT : is_bad(event) ? PACK_GROUPS_REFUSED : PACK_GROUPS_GOOD;
}

static char *line_of(const PackEvent *event)
{
    if (strcmp(event->event, "refused") == 0) {
        return g_strdup_printf("refused %s: %s: %s", event->path, event->rule, event->reason);
    }
    if (strcmp(event->event, "gone") == 0) {
        return g_strdup_printf("%s is no longer there", event->path);
    }
    if (strcmp(event->event, "damaged") == 0) {
        return g_strdup_printf("%s is damaged here, to be fetched again: %s", event->path, event->reason);
    }
    return g_strchomp(g_strdup_printf("%s %s %s", event->event, event->path, event->version));
}

/* The reason with the pack's path taken out of it, so that it is the same for all packs of one cause. */
static char *cause_of(const PackEvent *event)
{
    g_autoptr(GString) reason = g_string_new(event->reason);

    if (*event->path != '\0') {
        g_string_replace(reason, event->path, "\001", /* limit= */ 0);
    }
    return g_strdup_printf("%s\n%s\n%s", event->event, event->rule, reason->str);
}

static Group *group_begin(PackGroups *groups, const PackEvent *event, char *cause)
{
    Group *group = g_new0(Group, 1);

    group->event = g_strdup(event->event);
    group->rule = g_strdup(event->rule);
    group->reason = g_strdup(event->reason);
    group->lines = g_ptr_array_new_with_free_func(g_free);
    group->paths = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(groups->groups, group);
    g_hash_table_insert(groups->index, cause, group);
    return group;
}

static Group *group_of(PackGroups *groups, const PackEvent *event)
{
    g_autofree char *cause = cause_of(event);
    g_autofree char *rule = g_strdup_printf("%s\n%s", event->event, event->rule);
    Group *group = g_hash_table_lookup(groups->index, cause);
    guint causes;

    if (group != NULL) {
        return group;
    }
    causes = GPOINTER_TO_UINT(g_hash_table_lookup(groups->rules, rule));
    if (causes < PACK_GROUPS_CAUSES) {
        g_hash_table_insert(groups->rules, g_steal_pointer(&rule), GUINT_TO_POINTER(causes + 1));
        return group_begin(groups, event, g_steal_pointer(&cause));
    }
    /* A cause always has two line breaks, so this key is nobody else's. */
    group = g_hash_table_lookup(groups->index, rule);
    if (group == NULL) {
        group = group_begin(groups, event, g_steal_pointer(&rule));
    }
    group->mixed = group->mixed || strcmp(group->reason, event->reason) != 0;
    return group;
}

void pack_groups_add(PackGroups *groups, const PackEvent *event)
{
    Group *group = group_of(groups, event);

    group->count++;
    if (group->lines->len < lines_max(groups, event->event)) {
        g_ptr_array_add(group->lines, line_of(event));
    }
    if (group->paths->len < NAMED_MAX) {
        g_ptr_array_add(group->paths, g_strdup(event->path));
    }
}

/* --- Telling --- */

static void tell_named(const Group *group, const char *more, PackGroupsLine line, gpointer user)
{
    g_autoptr(GString) text = g_string_new("  ");

    for (guint i = 0; i < group->paths->len; i++) {
        g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", (char *)g_ptr_array_index(group->paths, i));
    }
    g_string_append_printf(text, " and %" G_GUINT64_FORMAT " more; %s", group->count - NAMED_MAX, more);
    line(text->str, FALSE, user);
}

static void tell_together(const Group *group, const char *more, PackGroupsLine line, gpointer user)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (strcmp(group->event, "gone") == 0) {
        g_string_append_printf(text, "%" G_GUINT64_FORMAT " packs are no longer there", group->count);
    } else if (strcmp(group->event, "damaged") == 0) {
        g_string_append_printf(text, "%" G_GUINT64_FORMAT " packs are damaged here, to be fetched again",
                               group->count);
    } else {
        g_string_append_printf(text, "%s %" G_GUINT64_FORMAT " packs", group->event, group->count);
    }
    if (*group->rule != '\0') {
        g_string_append_printf(text, ": %s", group->rule);
    }
    if (*group->reason != '\0') {
        g_string_append_printf(text, "%s%s", group->mixed ? ", for various reasons such as: " : ": ",
                               group->reason);
    }
    line(text->str, is_bad(group->event), user);
    tell_named(group, more, line, user);
}

static void tell_group(const PackGroups *groups, const Group *group, PackGroupsLine line, gpointer user)
{
    if (group->count <= lines_max(groups, group->event)) {
        for (guint i = 0; i < group->lines->len; i++) {
            line(g_ptr_array_index(group->lines, i), is_bad(group->event), user);
        }
    } else {
        tell_together(group, groups->more, line, user);
    }
    if (strcmp(group->event, "refused") == 0) {
        g_autofree char *remedy = pack_groups_remedy(group->rule, group->reason);
        g_autofree char *text = g_strconcat("  what helps: ", remedy, NULL);

        line(text, FALSE, user);
    }
}

void pack_groups_tell(PackGroups *groups, PackGroupsLine line, gpointer user)
{
    for (guint i = 0; i < groups->groups->len; i++) {
        tell_group(groups, g_ptr_array_index(groups->groups, i), line, user);
    }
    g_hash_table_remove_all(groups->index);
    g_hash_table_remove_all(groups->rules);
    g_ptr_array_set_size(groups->groups, 0);
}

/* --- Remedies --- */

/* The fingerprint that a reason names as "key FINGERPRINT", or NULL. */
static char *key_in(const char *reason)
{
    const char *key = strstr(reason, "key ");
    gsize len = 0;

    if (key == NULL) {
        return NULL;
    }
    key += strlen("key ");
    while (g_ascii_islower(key[len]) || (key[len] >= '2' && key[len] <= '7')) {
        len++;
    }
    return len == FINGERPRINT_CHARS ? g_strndup(key, len) : NULL;
}

#define SIGN_AGAIN                                                                                           \
    "it was changed after it was signed; its publisher has to sign it again ('kontor pack sign')"

#define MEND_AND_SIGN "its publisher has to mend and sign it again ('kontor pack lint', 'kontor pack sign')"

/* By rule; "%s" stands for the key that the reason names. No other foreign text gets in here: people paste
 * it. */
static const struct {
    const char *rule, *remedy;
} remedies[] = {
    {"unsigned",
     "its publisher signs it ('kontor pack sign'), or 'signed: preferred' at the source takes it unsigned"},
    {"limits", "whoever keeps the source has to mend it; 'kontor pack lint' names what is too much"},
    {"untrusted", "'kontor trust add %s' takes packs of that key, once you know whose it is"},
    {"form", MEND_AND_SIGN},
    {"fingerprint", MEND_AND_SIGN},
    {"revoked", "nothing signed by that key is taken any more; its publisher has to sign with a new one"},
    {"expired", "its publisher signs with a valid key, or its entry in the trust list gets a later 'until'"},
    {"not-for-path", "if the publisher may have the path, add it to the 'paths' of %s in the trust list"},
    {"signature", SIGN_AGAIN},
    {"release-signature", SIGN_AGAIN},
    {"hash", SIGN_AGAIN},
    {"unlisted", SIGN_AGAIN},
    {"no-release",
     "its publisher signs it with 'kontor pack sign', or 'require_release' at the source is left out"},
    {"wrong-path",
     "'path' and 'pack' of the source decide where it stands; or its publisher signs it for this path"},
    {"rollback",
     "what is held stays served; if the older one is meant, its publisher gives it a higher version"},
    {"conflict", "what is held stays served; its publisher has to give what has changed a higher version"},
    {"withdrawn", "nothing: its publisher has withdrawn it, and nothing of it was here"},
    {"hijack", "what is held stays served; if the other publisher may have it, name the path in 'paths' of "
               "its entry in "
               "the trust list"},
};

char *pack_groups_remedy(const char *rule, const char *reason)
{
    g_autofree char *key = key_in(reason);
    g_autoptr(GString) text = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(remedies) && text == NULL; i++) {
        if (strcmp(remedies[i].rule, rule) == 0) {
            text = g_string_new(remedies[i].remedy);
        }
    }
    if (text == NULL) {
        text = g_string_new(MEND_AND_SIGN);
    }
    g_string_replace(text, "%s", key != NULL ? key : "KEY", /* limit= */ 1);
    return g_string_free(g_steal_pointer(&text), /* free_segment= */ FALSE);
}

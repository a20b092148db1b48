/* SPDX-License-Identifier: MIT */
#include "broker/cli/args.h"

#include <string.h>

#include "broker/cli/suggest.h"

struct CliArgs {
    GHashTable *values;  /* option name → GPtrArray of values ("" for flags), NULL-terminated */
    GPtrArray *operands; /* of const char* */
};

static const CliOption help_option = {"help", 'h', NULL, "show this help", FALSE};

void cli_args_free(CliArgs *args)
{
    if (args == NULL) {
        return;
    }
    g_hash_table_unref(args->values);
    g_ptr_array_unref(args->operands);
    g_free(args);
}

/* --- Parsing --- */

static const CliOption *find_long(const CliOption *options, const char *name, gsize len)
{
    for (const CliOption *o = options; o != NULL && o->name != NULL; o++) {
        if (strlen(o->name) == len && strncmp(o->name, name, len) == 0) {
            return o;
        }
    }
    return len == 4 && strncmp(name, "help", len) == 0 ? &help_option : NULL;
}

static const CliOption *find_short(const CliOption *options, char letter)
{
    for (const CliOption *o = options; o != NULL && o->name != NULL; o++) {
        if (o->letter == letter) {
            return o;
        }
    }
    return letter == 'h' ? &help_option : NULL;
}

static void set_unknown(GError **error, const CliOption *options, const char *name, gsize len)
{
    g_autofree char *wanted = g_strndup(name, len);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *nearest;

    for (const CliOption *o = options; o != NULL && o->name != NULL; o++) {
        g_ptr_array_add(names, (gpointer)(gsize)o->name);
    }
    g_ptr_array_add(names, NULL);
    nearest = cli_suggest(wanted, (const char *const *)names->pdata);
    if (nearest != NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "unknown option --%s; did you mean --%s?",
                    wanted, nearest);
    } else {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "unknown option --%s", wanted);
    }
}

/* Remembers a value. The array keeps a NULL behind its last value, so that it can be lent as a vector. */
static gboolean add_value(CliArgs *args, const CliOption *option, const char *value, GError **error)
{
    GPtrArray *values = g_hash_table_lookup(args->values, option->name);

    if (values == NULL) {
        values = g_ptr_array_new();
        g_ptr_array_add(values, NULL);
        g_hash_table_insert(args->values, (gpointer)(gsize)option->name, values);
    } else if (!option->repeatable && option->value != NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "--%s is given twice", option->name);
        return FALSE;
    }
    g_ptr_array_insert(values, (int)values->len - 1, (gpointer)(gsize)value);
    return TRUE;
}

/* Takes the value of an option from what is attached to it or from the next word, which is then consumed. */
static gboolean take_value(CliArgs *args, const CliOption *option, const char *attached,
                           const char *const **next, GError **error)
{
    if (option->value == NULL) {
        return add_value(args, option, "", error);
    }
    if (attached != NULL) {
        return add_value(args, option, attached, error);
    }
    if (**next == NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "--%s needs a value: %s", option->name,
                    option->value);
        return FALSE;
    }
    return add_value(args, option, *(*next)++, error);
}

static gboolean parse_long(CliArgs *args, const CliOption *options, const char *word,
                           const char *const **next, GError **error)
{
    gsize len = strcspn(word, "=");
    const char *attached = word[len] == '=' ? word + len + 1 : NULL;
    const CliOption *option = find_long(options, word, len);

    if (option == NULL) {
        set_unknown(error, options, word, len);
        return FALSE;
    }
    if (attached != NULL && option->value == NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "--%s takes no value", option->name);
        return FALSE;
    }
    return take_value(args, option, attached, next, error);
}

static gboolean parse_short(CliArgs *args, const CliOption *options, const char *word,
                            const char *const **next, GError **error)
{
    const CliOption *option = find_short(options, word[0]);

    if (option == NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "unknown option -%s", word);
        return FALSE;
    }
    if (word[1] != '\0' && option->value == NULL) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "-%c takes no value", option->letter);
        return FALSE;
    }
    return take_value(args, option, word[1] != '\0' ? word + 1 : NULL, next, error);
}

CliArgs *cli_args_parse(const CliOption *options, const char *const *words, GError **error)
{
    g_autoptr(CliArgs) args = g_new0(CliArgs, 1);
    gboolean only_operands = FALSE;

    args->values = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
    args->operands = g_ptr_array_new();
    while (*words != NULL) {
        const char *word = *words++;
        gboolean good = TRUE;

        if (only_operands || word[0] != '-' || word[1] == '\0') {
            g_ptr_array_add(args->operands, (gpointer)(gsize)word);
        } else if (strcmp(word, "--") == 0) {
            only_operands = TRUE;
        } else if (word[1] == '-') {
            good = parse_long(args, options, word + 2, &words, error);
        } else {
            good = parse_short(args, options, word + 1, &words, error);
        }
        if (!good) {
            return NULL;
        }
    }
    return g_steal_pointer(&args);
}

/* --- Queries --- */

char **cli_args_values(const CliArgs *args, const char *name)
{
    GPtrArray *values = g_hash_table_lookup(args->values, name);

    return values != NULL ? (char **)values->pdata : NULL;
}

gboolean cli_args_flag(const CliArgs *args, const char *name)
{
    return cli_args_values(args, name) != NULL;
}

const char *cli_args_value(const CliArgs *args, const char *name)
{
    char **values = cli_args_values(args, name);

    return values != NULL ? values[0] : NULL;
}

gboolean cli_args_integer(const CliArgs *args, const char *name, gint64 min, gint64 max, gint64 *ret,
                          GError **error)
{
    const char *text = cli_args_value(args, name);

    if (text == NULL) {
        return TRUE;
    }
    if (!g_ascii_string_to_signed(text, /* base= */ 10, min, max, ret, NULL)) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED,
                    "--%s %s: not a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, name, text, min,
                    max);
        return FALSE;
    }
    return TRUE;
}

guint cli_args_count(const CliArgs *args)
{
    return args->operands->len;
}

const char *cli_args_operand(const CliArgs *args, guint i)
{
    return i < args->operands->len ? g_ptr_array_index(args->operands, i) : NULL;
}

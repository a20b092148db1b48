/* SPDX-License-Identifier: MIT */
#include "broker/cli/help.h"

#include "broker/cli/commands.h"
#include "broker/cli/terminal.h"

#define NAME_COLUMNS 16 /* of the overview */

static void print_heading(FILE *stream, const char *text)
{
    fputc('\n', stream);
    terminal_print(stream, TERMINAL_BOLD, text);
    fputs(":\n", stream);
}

void cli_help_overview(FILE *stream)
{
    fputs("kontor " KONTOR_VERSION ": a broker for knowledge packs that federates\n\n"
          "Usage: kontor COMMAND [OPTION…] [OPERAND…]\n",
          stream);
    for (const CliGroup *g = cli_groups; g->commands != NULL; g++) {
        if (g->title != NULL) {
            print_heading(stream, g->title);
        }
        for (const CliCommand *c = g->commands; c->name != NULL; c++) {
            fprintf(stream, "  %-*s%s\n", NAME_COLUMNS, c->name, c->summary);
        }
    }
    fputs("\n'kontor help COMMAND' explains a command. Exit codes: 0 done, 1 failed, 2 wrong usage or\n"
          "configuration, 3 not found, 4 broker unreachable; of packs: 5 unsigned, 6 untrusted, 7 bad\n"
          "signature, 8 not the same; 9 refused by a mirror.\n",
          stream);
}

void cli_help_group(FILE *stream, const char *word)
{
    g_autofree char *prefix = g_strconcat(word, " ", NULL);
    g_autoptr(TerminalTable) table = terminal_table_new(2);

    fprintf(stream, "Usage: kontor %s COMMAND\n\n", word);
    for (const CliGroup *g = cli_groups; g->commands != NULL; g++) {
        for (const CliCommand *c = g->commands; c->name != NULL; c++) {
            if (g_str_has_prefix(c->name, prefix)) {
                terminal_table_add(table, TERMINAL_PLAIN, c->name, c->summary);
            }
        }
    }
    terminal_table_print(table, stream, 2);
}

static void add_option(TerminalTable *table, const CliOption *option)
{
    g_autofree char *letter =
        option->letter != 0 ? g_strdup_printf("-%c, ", option->letter) : g_strdup("    ");
    g_autofree char *form = g_strconcat(letter, "--", option->name, option->value != NULL ? " " : "",
                                        option->value != NULL ? option->value : "", NULL);

    terminal_table_add(table, TERMINAL_PLAIN, form, option->help);
}

void cli_help_command(FILE *stream, const CliCommand *command)
{
    static const CliOption help_option = {"help", 'h', NULL, "show this help", FALSE};
    g_autoptr(TerminalTable) table = terminal_table_new(2);
    gboolean has_options = command->options != NULL && command->options->name != NULL;

    fprintf(stream, "Usage: kontor %s%s%s%s\n\n%s.\n", command->name, has_options ? " [OPTION…]" : "",
            command->arguments != NULL ? " " : "", command->arguments != NULL ? command->arguments : "",
            command->summary);
    if (command->details != NULL) {
        fprintf(stream, "\n%s", command->details);
    }
    for (const CliOption *o = command->options; o != NULL && o->name != NULL; o++) {
        add_option(table, o);
    }
    add_option(table, &help_option);
    print_heading(stream, "Options");
    terminal_table_print(table, stream, 2);
    if (command->examples != NULL) {
        print_heading(stream, "Examples");
        fputs(command->examples, stream);
    }
}

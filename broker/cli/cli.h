/* SPDX-License-Identifier: MIT
 *
 * The command line: a table of commands, from which parsing, help and suggestions are derived, and which the
 * tests hold against the man page and the bash completion.
 *
 * To add commands: write broker/cli/cmd_<noun>.c with an array of CliCommand ended by an entry without a
 * name, declare it in commands.h and name it in commands.c. Commands of one group share their first word
 * ("config check", "config show"). Nothing here is shared between threads.
 *
 * Exit codes are a contract with scripts, the same for every command: CliExit.
 */
#pragma once

#include "broker/cli/args.h"

typedef enum {
    CLI_OK = 0,
    CLI_FAILURE = 1,       /* the command could not do what it was asked to; also: unexpected answers */
    CLI_USAGE = 2,         /* the command line or the configuration is wrong */
    CLI_NOT_FOUND = 3,     /* the pack, page or path does not exist */
    CLI_UNREACHABLE = 4,   /* no broker answers there, or not in time, or its certificate is not trusted */
    CLI_UNSIGNED = 5,      /* the pack has no signature, or not the kind that is required */
    CLI_UNTRUSTED = 6,     /* signed by a key that is not trusted, not any more, or not for this pack */
    CLI_BAD_SIGNATURE = 7, /* what was found is not what was signed */
    CLI_MISMATCH = 8,      /* the packs compared are not the same */
    CLI_REFUSED = 9,       /* mirroring went well, but brought releases that were refused */
} CliExit;

typedef struct CliCommand {
    const char *name;         /* one or two words; NULL ends a table */
    const char *arguments;    /* how operands look in the usage line, such as "PACK [PAGE]"; NULL: none */
    guint args_min, args_max; /* how many operands are accepted; G_MAXUINT: any number */
    const char *summary;      /* one line without full stop */
    const char *details;      /* paragraphs ended by LF, or NULL */
    const char *examples;     /* lines ended by LF, each indented by two blanks, or NULL */
    const CliOption *options; /* ended by an entry without a name, or NULL; --help is always known */
    CliExit (*run)(const CliArgs *args);
} CliCommand;

/* Runs the command that argv names and returns the exit code of the process. */
int cli_main(int argc, char **argv);

/* Prints "kontor: <message>" on standard error and returns the exit code: NOT_FOUND for that error code,
 * FAILURE for all others. */
CliExit cli_fail(const GError *error);
/* The same for what the command line or the configuration got wrong. */
CliExit cli_fail_usage(const GError *error);

/* The data directory that --data, $KONTOR_DATA or the home directory say, absolute. */
char *cli_data_dir(const CliArgs *args);

/* --- Options that many commands share --- */
#define CLI_OPTION_DATA                                                                                      \
    {                                                                                                        \
        "data", 0, "DIR", "data directory (default: $KONTOR_DATA, else ~/.kontor)", FALSE                    \
    }
#define CLI_OPTION_CONFIG                                                                                    \
    {                                                                                                        \
        "config", 0, "FILE", "configuration (default: kontor.yaml in the data directory)", FALSE             \
    }
#define CLI_OPTION_JSON                                                                                      \
    {                                                                                                        \
        "json", 0, NULL, "print JSON", FALSE                                                                 \
    }
#define CLI_OPTION_AT                                                                                        \
    {                                                                                                        \
        "at", 0, "URL",                                                                                      \
            "broker to ask (default: the one that runs on the data directory, else "                         \
            "http://127.0.0.1:8000)",                                                                        \
            FALSE                                                                                            \
    }
#define CLI_OPTION_END                                                                                       \
    {                                                                                                        \
        NULL, 0, NULL, NULL, FALSE                                                                           \
    }

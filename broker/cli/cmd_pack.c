/* SPDX-License-Identifier: MIT */
#include "broker/cli/commands.h"
#include "broker/cli/key_input.h"
#include "broker/cli/pack.h"
#include "broker/cli/verify.h"

static const CliOption init_options[] = {
    {"name", 0, "NAME", "name of the pack (default: that of the directory)", FALSE},
    CLI_OPTION_END,
};
static const CliOption lint_options[] = {
    {"fix", 0, NULL, "repair what can be repaired without guessing", FALSE},
    {"path", 0, "PATH", "also check the path under which the pack will be published", FALSE},
    CLI_OPTION_END,
};
static const CliOption sign_options[] = {
    {"key", 'k', "FILE", "secret key of the publisher", FALSE},
    {"path", 0, "PATH",
     "path under which the pack is published (default: as before, else the directory's name)", FALSE},
    {"name", 0, "NAME", "name of the publisher (default: that in the key file)", FALSE},
    CLI_OPTION_AT_TIME,
    {"withdraw", 0, NULL, "sign that this release is withdrawn", FALSE},
    {"all", 0, "ROOT", "sign all packs below ROOT, each under its path from there", FALSE},
    CLI_OPTION_PASSPHRASE_FD,
    CLI_OPTION_RAW,
    CLI_OPTION_END,
};
static const CliOption verify_options[] = {
    CLI_OPTION_TRUST,
    {"path", 0, "PATH", "the path at which a directory stands", FALSE},
    {"all", 0, NULL, "verify all packs below the directory, each under its path from there", FALSE},
    CLI_OPTION_AT_TIME,
    CLI_OPTION_DATA,
    CLI_OPTION_END,
};
static const CliOption digest_options[] = {CLI_OPTION_JSON, CLI_OPTION_END};

const CliCommand cmd_pack_commands[] = {
    {
        .name = "pack init",
        .arguments = "DIR",
        .args_min = 1,
        .args_max = 1,
        .summary = "Make the skeleton of a pack",
        .details = "Writes manifest.yaml, wiki/index.md and a first page. What exists already is kept.\n",
        .examples = "  kontor pack init packs/history/rome --name Rome\n",
        .options = init_options,
        .run = pack_init_run,
    },
    {
        .name = "pack lint",
        .arguments = "DIR",
        .args_min = 1,
        .args_max = 1,
        .summary = "Find what would make a Node or broker refuse a pack or index it wrongly",
        .details =
            "Each finding names file and line, the rule, and what to do. --fix repairs line ends, byte\n"
            "order marks, rows that search would not read, and repeated rows. Exit code 1 when there\n"
            "are errors; warnings alone give 0.\n",
        .examples = "  kontor pack lint packs/history/rome\n"
                    "  kontor pack lint --fix packs/history/rome --path history/rome\n",
        .options = lint_options,
        .run = pack_lint_run,
    },
    {
        .name = "pack sign",
        .arguments = "DIR",
        .args_max = 1,
        .summary = "Sign a pack, or all packs below a directory",
        .details =
            "Writes manifest.sig, which OCC Nodes verify as well, and binds path, version, date and all\n"
            "files. A pack with lint errors is refused. Signing the same content again changes nothing.\n"
            "Raise the version in manifest.yaml whenever the content changes.\n",
        .examples = "  kontor pack sign packs/history/rome --key publisher.key --path history/rome\n"
                    "  kontor pack sign --all packs --key publisher.key\n",
        .options = sign_options,
        .run = pack_sign_run,
    },
    {
        .name = "pack verify",
        .arguments = "DIR|URL",
        .args_min = 1,
        .args_max = 1,
        .summary = "Verify a pack on disk or at a broker, or all packs below a directory",
        .details =
            "Hashes every file as a Node would get it and checks manifest.sig against the trust list.\n"
            "Exit codes: 0 good, 3 no such pack or withdrawn, 4 broker unreachable, 5 unsigned,\n"
            "6 untrusted, 7 bad signature: the content is not what was signed.\n",
        .examples = "  kontor pack verify packs/history/rome --trust trusted_publishers.yaml\n"
                    "  kontor pack verify --all packs\n"
                    "  kontor pack verify https://library.example/packs/history/rome\n",
        .options = verify_options,
        .run = pack_verify_run,
    },
    {
        .name = "pack digest",
        .arguments = "DIR|URL",
        .args_min = 1,
        .args_max = 1,
        .summary = "Print what identifies the content of a pack",
        .details =
            "Packs with equal content_sha256 are bit-identical for a Node; equal digests also mean the\n"
            "same path, version, date and other files.\n",
        .examples = "  kontor pack digest packs/history/rome\n",
        .options = digest_options,
        .run = pack_digest_run,
    },
    {
        .name = "pack diff",
        .arguments = "A B",
        .args_min = 2,
        .args_max = 2,
        .summary = "Show which files of two packs differ",
        .details =
            "A and B are directories or URLs. Prints each file with its hashes on both sides. Exit code\n"
            "8 when something differs.\n",
        .examples = "  kontor pack diff packs/history/rome https://library.example/packs/history/rome\n",
        .options = NULL,
        .run = pack_diff_run,
    },
    {.name = NULL},
};

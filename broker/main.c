/* SPDX-License-Identifier: MIT
 *
 * The program: everything is a command.
 */
#include "broker/cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}

/* SPDX-License-Identifier: MIT
 *
 * The program: everything is a command, and one of them is not for people.
 */
#include "broker/cli/cli.h"
#include "broker/cli/cmd_agent.h"

int main(int argc, char **argv)
{
    if (cmd_agent_is_meant(argc, argv))
        return cmd_agent_run(argv);
    return cli_main(argc, argv);
}

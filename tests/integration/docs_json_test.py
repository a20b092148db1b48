# SPDX-License-Identifier: MIT
"""The members of --json that docs/operations.md lists are those that the commands write, with a broker and without."""
import json
import re
import unittest

from lib import broker, packs


def documented():
    """Command words → members; what stands behind the first semicolon of a cell is a remark."""
    text = (broker.SOURCE / "docs" / "operations.md").read_text().split("## Scripts", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `kontor ([^`]+) --json` \| (.+) \|$", text, re.MULTILINE)
    return {command: set(re.findall(r"`(\w+)`", cell.split(";")[0])) for command, cell in rows}


class DocsJson(broker.BrokerTest):
    def check(self, kontor, names):
        table = documented()
        for command, members in table.items():
            if not command.startswith(names):
                continue
            words = [{"PACK": "history/rome", "URL": kontor.endpoints and kontor.url, "NAME": "elsewhere"}.get(word, word) for word in command.split()]
            done = broker.run(*words, "--json", "--data", kontor.data)
            self.assertEqual(done.returncode, 0, (command, done.stderr))
            self.assertEqual(set(json.loads(done.stdout)), members, command)

    def test_every_row(self):
        own = self.broker(start=False)
        packs.library(own.packs)
        packs.sign(own.packs / "history/rome")
        packs.trust(own, [packs.PUBLISHER])
        done = broker.run("mirror", "add", "elsewhere", own.data, "--data", own.data)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreaterEqual(len(documented()), 12)
        self.check(own, ("mirror list", "mirror status", "mirror history", "peers", "store", "token", "trust"))
        own.start()
        own.wait_serving()
        self.check(own, "")


if __name__ == "__main__":
    unittest.main()

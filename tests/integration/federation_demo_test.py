# SPDX-License-Identifier: MIT
"""deploy/federation-demo does what it shows, on this very program, and leaves nothing behind."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from lib import broker, git_servers

DEMO = broker.SOURCE / "deploy" / "federation-demo"


class FederationDemo(unittest.TestCase):
    def setUp(self):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="kontor-demo-"))
        self.addCleanup(shutil.rmtree, self.place, ignore_errors=True)

    def demo(self, *words, **options):
        # A session of its own: whatever it started can be looked for, and ends with the test.
        process = subprocess.Popen([str(DEMO), *map(str, words)], env=broker.environment(), text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True, **options)
        self.addCleanup(self.end, process.pid)
        return process

    @staticmethod
    def end(group):
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def assert_nothing_runs(self, group):
        with self.assertRaises(ProcessLookupError):
            os.killpg(group, 0)

    def test_a_change_travels(self):
        process = self.demo("--kontor", broker.PROGRAM, "--dir", self.place / "work")
        said, _ = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, said)
        verdicts = re.findall(r"^http://\S+ +(\S+) +Ada +(\w{16}) +(\w+)$", said, re.MULTILINE)
        self.assertEqual([(version, verdict) for version, _, verdict in verdicts], [("1.0.0", "good")] * 2 + [("1.1.0", "good")] * 4, said)
        self.assertEqual(len({digest for _, digest, _ in verdicts}), 2)
        for words in ("0 differences; 1 here, 1 there", "refused history/hanse: hash: ", "# Done: one repository"):
            self.assertIn(words, said)
        self.assert_nothing_runs(process.pid)
        self.assertIn("name: south.example", (self.place / "work" / "south" / "kontor.yaml").read_text())

    def test_lines_of_the_readme(self):
        """They work when pasted; only ports and the place of the program are other ones here."""
        text = (broker.SOURCE / "README.md").read_text().split("## Federate", 1)[1]
        lines = text.split("```sh\n", 1)[1].split("```", 1)[0]
        self.assertLessEqual(len([line for line in lines.splitlines() if line]), 15)
        (self.place / "build" / "release").mkdir(parents=True)
        (self.place / "build" / "release" / "kontor").symlink_to(broker.PROGRAM)
        for port in ("8001", "8002", "7661", "7662"):
            self.assertIn(port, lines)
            lines = lines.replace(port, str(git_servers.free_port()))
        script = f"set -e\n{lines}\nkill %1 %2; wait\n"
        process = subprocess.Popen(["bash", "-c", script], cwd=self.place, text=True, start_new_session=True,
                                   env=broker.environment({"TMPDIR": str(self.place)}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(self.end, process.pid)
        said, _ = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, said)
        self.assertEqual(len(re.findall(r"^http://\S+ +\S+ +Ada +\w{16} +good$", said, re.MULTILINE)), 2, said)
        self.assert_nothing_runs(process.pid)

    def test_wrong_use(self):
        for words, message in ((("--kontor", self.place / "none"), "there is no program"), (("--dir", self.place), "File exists"),
                               (("--nonsense",), "usage: deploy/federation-demo"), (("--dir",), "usage: deploy/federation-demo")):
            process = self.demo(*(words if "--kontor" in words else ("--kontor", broker.PROGRAM, *words)))
            said, _ = process.communicate(timeout=60)
            self.assertNotEqual(process.returncode, 0, words)
            self.assertIn(message, said)


if __name__ == "__main__":
    unittest.main()

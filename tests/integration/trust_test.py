# SPDX-License-Identifier: MIT
"""kontor trust: the list is edited in place, wrong entries are skipped and named, the right broker is told and nobody else."""
import base64
import hashlib
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import tempfile

from lib import broker, packs

FILE = """# Whom we trust.
publishers:
  # The first.
  - fingerprint: fuao4jleholdet6v   # since the beginning
    name: Founder
    since: 2026-01-02

  - fingerprint: placeholder-second
  - {fingerprint: abcdefghijklmnop, until: soon}
  - fingerprint: aaaaaaaaaaaaaaaa
    name: Second
other: [1, 2]  # not ours
"""


def key(number):
    public = bytes([number]) * 31 + b"\x01"
    return base64.b64encode(public).decode(), base64.b32encode(hashlib.sha256(public).digest()).decode().lower()[:16]


class Trust(broker.BrokerTest):
    def setUp(self):
        self.data = pathlib.Path(tempfile.mkdtemp(prefix="kontor-trust-"))
        self.addCleanup(shutil.rmtree, self.data, ignore_errors=True)
        self.file = self.data / "trusted_publishers.yaml"

    def trust(self, *args, status=0, data=None):
        done = broker.run("trust", *args, "--data", data or self.data)
        self.assertEqual((done.returncode, broker.sanitizer_report(done.stderr)), (status, None), (args, done.stderr))
        return done.stderr if status else done.stdout

    def test_edit_in_place(self):
        self.file.write_text(FILE)
        self.file.chmod(0o640)
        self.trust("add", "bbbbbbbbbbbbbbbb", "--name", "Third: \"x\"", "--since", "2026-03-04", "--path", "history/**", "--path", "a?")
        added = FILE.replace("    name: Second\n", "    name: Second\n  - fingerprint: bbbbbbbbbbbbbbbb\n    name: \"Third: \\\"x\\\"\"\n"
                             "    since: \"2026-03-04\"\n    paths:\n      - \"history/**\"\n      - \"a?\"\n")
        self.assertEqual(self.file.read_text(), added)
        self.trust("revoke", "fuao4jleholdet6v")
        self.trust("remove", "bbbbbbbbbbbbbbbb")
        self.assertEqual(self.file.read_text(), FILE.replace("the beginning\n", "the beginning\n    revoked: true\n"))
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o640)
        self.assertEqual([p.name for p in self.data.iterdir()], [self.file.name])

    def test_list_names_what_is_skipped(self):
        self.file.write_text(FILE)
        listed = json.loads(self.trust("list", "--json"))
        self.assertEqual([p["fingerprint"] for p in listed["publishers"]], ["fuao4jleholdet6v", "aaaaaaaaaaaaaaaa"])
        self.assertEqual(len(listed["warnings"]), 2)
        self.assertRegex(listed["warnings"][0], r"yaml:8: publishers\[1\]: the fingerprint is a placeholder; entry skipped")
        self.assertRegex(listed["warnings"][1], r"yaml:9: publishers\[2\]\.until: \"soon\" is not a date")
        done = broker.run("trust", "list", "--data", self.data)
        self.assertEqual((done.returncode, len(done.stdout.splitlines()), len(done.stderr.splitlines())), (0, 2, 2))

    def test_refusals(self):
        self.assertIn("trusted_publishers.yaml", self.trust("list", status=3))
        self.assertIn("no entry has the fingerprint", self.trust("add", "aaaaaaaaaaaaaaaa") and self.trust("remove", "bbbbbbbbbbbbbbbb", status=3))
        self.assertIn("'kontor trust remove' it first", self.trust("add", "aaaaaaaaaaaaaaaa", status=1))
        self.assertIn("neither a fingerprint nor a key", self.trust("add", "not-there", status=3))
        self.assertIn("--until", self.trust("add", "cccccccccccccccc", "--until", "2026-02-30", status=2))
        self.assertIn("--path", self.trust("add", "cccccccccccccccc", "--path", "/a", status=2))
        before = self.file.read_text()
        for text, message in (("- x\n", "mapping"), ("publishers: [{fingerprint: bbbbbbbbbbbbbbbb}]\n", "by hand"), ("publishers: [\n", "yaml:2")):
            self.file.write_text(text)
            self.assertIn(message, self.trust("add" if "by" in message else "list", *(["cccccccccccccccc"] if "by" in message else []), status=1))
            self.assertEqual(self.file.read_text(), text)
        self.file.write_text(before)

    def test_key_and_link(self):
        target = self.data / "elsewhere.yaml"
        target.write_text("# kept\n")
        self.file.symlink_to(target)
        public, fingerprint = key(9)
        self.assertIn("no point", self.trust("add", base64.b64encode(bytes(32)).decode(), status=1))
        made = json.loads(broker.run("key", "new", "--out", self.data / "k.key", "--name", "Anna", "--json").stdout)
        self.trust("add", self.data / "k.pub")
        entry = json.loads(self.trust("list", "--json"))["publishers"][0]
        self.assertEqual((entry["fingerprint"], entry["public_key"], entry["name"]), (made["fingerprint"], made["public_key"], "Anna"))
        self.assertTrue(self.file.is_symlink())
        self.assertTrue(target.read_text().startswith("# kept\npublishers:\n"))
        target.write_text(f"publishers:\n- {{fingerprint: {made['fingerprint']}, public_key: {public}}}\n")
        warnings = json.loads(self.trust("list", "--json"))["warnings"]
        self.assertIn(f"the key has the fingerprint {fingerprint}, not {made['fingerprint']} as its entry says", warnings[0])

    def test_concurrent_edits_all_count(self):
        names = [letter * 16 for letter in "abcdefgh"]
        running = [subprocess.Popen([broker.PROGRAM, "trust", "add", name, "--data", self.data], env=broker.environment(),
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for name in names]
        for process in running:
            self.assertEqual((process.communicate(timeout=broker.PATIENCE)[1], process.returncode), (b"", 0))
        listed = json.loads(self.trust("list", "--json"))
        self.assertEqual(sorted(p["fingerprint"] for p in listed["publishers"]), names)

    def test_the_broker_is_told(self):
        kontor = self.broker(prepare=lambda b: packs.library(b.packs)).wait_serving()
        other = self.data / "other.yaml"
        edit = lambda *args: json.loads(self.trust(*args, "--json", data=kontor.data))
        self.assertTrue(edit("add", "aaaaaaaaaaaaaaaa")["reloaded"])
        self.assertFalse(edit("add", "aaaaaaaaaaaaaaaa", "--file", str(other))["reloaded"])
        self.assertTrue(edit("add", "bbbbbbbbbbbbbbbb", "--file", str(other), "--reload")["reloaded"])
        self.assertTrue(edit("revoke", "aaaaaaaaaaaaaaaa", "--file", str(kontor.data / "trusted_publishers.yaml"))["reloaded"])
        unchanged = edit("revoke", "aaaaaaaaaaaaaaaa")
        self.assertEqual((unchanged["changed"], unchanged["reloaded"]), (False, False))
        self.assertEqual(kontor.get("/tree").status, 200)

    def test_a_stale_process_id_is_left_alone(self):
        with subprocess.Popen(["/bin/sleep", "600"]) as bystander:
            self.addCleanup(bystander.kill)
            (self.data / "endpoints.json").write_text(json.dumps({"pid": bystander.pid, "public": "127.0.0.1:1"}))
            (self.data / "pid").write_text(f"{bystander.pid}\n")
            self.trust("add", "aaaaaaaaaaaaaaaa")
            self.assertIn("no broker runs", self.trust("add", "bbbbbbbbbbbbbbbb", "--reload", status=4))
            os.kill(bystander.pid, 0)
            self.assertIsNone(bystander.poll())
            bystander.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    broker.main()

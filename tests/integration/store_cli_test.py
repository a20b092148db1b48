# SPDX-License-Identifier: MIT
"""kontor store du, gc, check: what they say, with a broker and without, and what they must never remove. Damage itself is in
mirror_crash_test.py."""
import json
import os
import pathlib
import pty
import shutil
import subprocess
import tempfile

from lib import broker, mirror_world

VERSIONS = 5


class Empty(broker.BrokerTest):
    """Where nothing was ever mirrored."""

    def setUp(self):
        self.data = pathlib.Path(tempfile.mkdtemp(prefix="kontor-store-"))
        self.addCleanup(shutil.rmtree, self.data, ignore_errors=True)

    def store(self, *args, status=0, data=None):
        done = broker.run("store", *args, "--data", data or self.data)
        self.assertEqual((done.returncode, broker.sanitizer_report(done.stderr)), (status, None), (args, done.stdout, done.stderr))
        return done.stderr if status else done.stdout

    def test_nothing_there(self):
        self.assertIn("nothing", self.store("du"))
        self.assertEqual(json.loads(self.store("du", "--json"))["release_bytes"], 0)
        self.assertEqual(json.loads(self.store("gc", "--json"))["removed"], 0)
        self.assertEqual(json.loads(self.store("check", "--json")), {"checked": 0, "damaged": [], "repaired": False})
        self.assertFalse((self.data / "store").exists(), "looking makes nothing")

    def test_no_data_directory(self):
        for command in ("du", "gc", "check"):
            self.assertIn("nowhere", self.store(command, status=3, data=self.data / "nowhere"))
        self.assertFalse((self.data / "nowhere").exists())

    def test_usage(self):
        for args in (["gc", "--keep", "0"], ["gc", "--keep", "101"], ["gc", "--keep", "x"], ["du", "extra"], ["check", "--repare"], ["nothing"]):
            self.store(*args, status=2)

    def test_configuration_is_wrong(self):
        (self.data / "kontor.yaml").write_text("limits: {releases: 0}\n")
        for command in ("du", "gc", "check"):
            self.assertIn("kontor.yaml:1", self.store(command, status=2))


class Mirrored(mirror_world.MirrorTest):
    """A pack in several versions, all of them still in the store."""

    def setUp(self):
        super().setUp()
        self.git = self.world.repository("packs", self.anna)
        self.kontor = self.member("library")
        self.kontor.more.append(f"limits: {{search_per_minute: 0, register_per_minute: 0, releases: {VERSIONS}}}")
        self.kontor.describe = lambda: self.kontor  # the line above stands for the one that is always written
        lines = ["name: library.example", "log: {access: false}", self.kontor.more[0],
                 "mirrors:", f"  - {mirror_world.source(name='commons', git=self.git.url, interval='1h')}"]
        self.kontor.configure("\n".join(lines) + "\n")
        self.git.write("history/rome")
        self.git.write("science/moon")
        self.git.commit()
        self.kontor.start().wait_serving()
        self.kontor.sync("commons")
        for number in range(2, VERSIONS + 1):
            self.git.write("history/rome", text=f"Number {number}.")
            self.git.commit()
            self.kontor.sync("commons")
        self.serves_all()

    def serves_all(self):
        self.wait_versions(self.kontor, {"history/rome": f"{VERSIONS}.0.0", "science/moon": "1.0.0"})
        self.kontor.verified()

    def store(self, *args, status=0):
        done = self.kontor.command("store", *args)
        self.assertEqual((done.returncode, broker.sanitizer_report(done.stderr)), (status, None), (args, done.stdout, done.stderr))
        return done.stderr if status else done.stdout

    def releases(self):
        return sorted(entry.name for entry in (self.kontor.data / "store/releases").iterdir())

    def test_usage(self):
        usage = json.loads(self.store("du", "--json"))
        self.assertEqual((usage["releases"], usage["quarantined"]), (VERSIONS + 1, 0))
        self.assertGreater(usage["release_bytes"], 0)
        self.assertGreaterEqual(usage["disk_total_bytes"], usage["disk_free_bytes"])
        self.assertRegex(self.store("du"), rf"releases +\S+\s\S+ +{VERSIONS + 1}, at most 50.0\sGiB")

    def test_with_a_broker(self):
        """The broker keeps what its configuration says, whoever asks."""
        self.assertIn("limits.releases", self.store("gc", "--keep", "1", status=2))
        self.assertEqual(json.loads(self.store("gc", "--dry-run", "--json"))["removed"], 0)
        self.assertRegex(self.store("gc"), rf"removed 0 releases.*; {VERSIONS + 1} kept")
        self.assertEqual(json.loads(self.store("check", "--json"))["checked"], VERSIONS + 1)
        self.serves_all()

    def test_without_a_broker(self):
        before = self.releases()
        self.kontor.stop()
        would = json.loads(self.store("gc", "--keep", "2", "--dry-run", "--json"))
        self.assertEqual((would["dry_run"], would["removed"], would["kept"], would["failed"]), (True, VERSIONS - 2, 3, 0))
        self.assertGreater(would["removed_bytes"], 0)
        self.assertEqual(self.releases(), before)
        done = json.loads(self.store("gc", "--keep", "2", "--json"))
        self.assertEqual(done, {**would, "dry_run": False})
        self.assertEqual(len(self.releases()), 3)
        self.assertRegex(self.store("gc", "--keep", "1"), r"removed 1 releases, .*; 2 kept")
        self.assertEqual(list((self.kontor.data / "store/tmp").iterdir()), [])
        self.kontor.start().wait_serving()
        self.serves_all()

    def test_without_mirror_db(self):
        """What nobody knows of is not therefore garbage."""
        before = self.releases()
        self.kontor.stop()
        for file in (self.kontor.data / "store").glob("mirror.db*"):
            file.unlink()
        self.assertIn("mirror.db does not exist", self.store("gc", status=3))
        self.assertEqual(self.releases(), before)
        self.assertEqual(json.loads(self.store("check", "--json"))["damaged"], [])

    def test_repair_without_a_broker(self):
        digest = self.kontor.catalog()["science/moon"]["digest"]
        self.kontor.stop()
        page = self.kontor.data / "store/releases" / digest / "wiki/concepts/page-1.md"
        page.unlink()
        page.write_text("Another page.\n")
        found = json.loads(self.command_with("check", "--json", status=1))
        self.assertEqual([(damage["digest"], damage["paths"]) for damage in found["damaged"]], [(digest, ["science/moon"])])
        self.assertIn("wiki/concepts/page-1.md", found["damaged"][0]["problem"])
        self.assertFalse(found["repaired"])
        self.assertTrue(json.loads(self.store("check", "--repair", "--json"))["repaired"])
        self.assertNotIn(digest, self.releases())
        self.assertEqual(json.loads(self.store("du", "--json"))["quarantined"], 1)
        self.assertEqual(json.loads(self.store("check", "--json"))["damaged"], [])
        self.kontor.start().wait_serving()
        self.serves_all()
        self.assertIn(digest, self.releases())
        events = [row["event"] for row in self.kontor.history(path="science/moon")]
        self.assertEqual(events, ["installed", "damaged", "installed"])

    def command_with(self, *args, status):
        done = self.kontor.command("store", *args)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout

    def test_progress_on_a_terminal(self):
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        command = [broker.PROGRAM, "store", "check", "--data", str(self.kontor.data)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=follower, env=broker.environment(), timeout=60, check=True)
        os.close(follower)
        shown = os.read(leader, 65536).decode()
        self.assertIn(f"checked 0 of {VERSIONS + 1} releases", shown)
        self.assertTrue(shown.endswith("\r\x1b[K"), "the line is cleaned away")
        self.assertEqual(done.stdout.decode(), f"{VERSIONS + 1} releases checked, 0 damaged\n")


if __name__ == "__main__":
    broker.main()

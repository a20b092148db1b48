# SPDX-License-Identifier: MIT
"""kontor mirror add, list, pause, resume, remove: kontor.yaml is edited in place, what is wrong is said in the words of the command line,
the right broker is told. kontor mirror sync, status, history and peers: the same with a broker and without."""
import json
import os
import pathlib
import pty
import select
import shutil
import stat
import subprocess
import tempfile

from lib import broker, mirror_world

FILE = """# Our broker.
name: library.example   # a domain

# Where packs come from.
mirrors:
  # The commons, the whole of it.
  - {name: commons, git: https://git.example/packs.git}  # since 2026

  - name: arts
    git: https://git.example/arts.git
    include:
      - arts/**   # nothing else
# Few Nodes.
limits: {nodes: 20}
"""
KEY = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


class Edit(broker.BrokerTest):
    def setUp(self):
        self.data = pathlib.Path(tempfile.mkdtemp(prefix="kontor-mirror-"))
        self.addCleanup(shutil.rmtree, self.data, ignore_errors=True)
        self.file = self.data / "kontor.yaml"
        self.secret = self.data / "secret"
        self.secret.touch(0o600)

    def mirror(self, *args, status=0, command="mirror"):
        done = broker.run(command, *args, "--data", self.data)
        self.assertEqual((done.returncode, broker.sanitizer_report(done.stderr)), (status, None), (args, done.stderr))
        return done.stderr if status else done.stdout

    def sources(self):
        return {source["name"]: source for source in json.loads(self.mirror("list", "--json"))["sources"]}

    def test_edit_in_place(self):
        self.file.write_text(FILE)
        self.file.chmod(0o640)
        self.mirror("add", "north", "https://north.example/", "--peer-key", KEY, "--token-file", self.secret, "--interval", "30s")
        added = FILE + ("peers:\n  - name: north\n    url: https://north.example\n"
                        f"    key: \"{KEY}\"\n    interval: 30s\n    token_file: secret\n")
        self.assertEqual(self.file.read_text(), added)
        self.assertEqual(self.sources()["north"]["visibility"], "private")
        self.mirror("pause", "commons")
        self.mirror("pause", "arts")
        paused = added.replace("packs.git}", "packs.git, paused: true}").replace("nothing else\n", "nothing else\n    paused: true\n")
        self.assertEqual(self.file.read_text(), paused)
        self.assertIn("paused already", self.mirror("pause", "arts"))
        self.mirror("resume", "commons")
        self.mirror("resume", "arts")
        self.assertEqual(self.file.read_text(), paused.replace("paused: true", "paused: false"))
        self.mirror("remove", "commons")
        self.mirror("remove", "north")
        left = FILE.replace("  - {name: commons, git: https://git.example/packs.git}  # since 2026\n", "")
        self.assertEqual(self.file.read_text(), left.replace("nothing else\n", "nothing else\n    paused: false\n") + "peers: []\n")
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o640)
        self.assertEqual(sorted(p.name for p in self.data.iterdir()), ["kontor.yaml", "secret"])

    def test_every_option(self):
        """What is written means what was asked for, whatever needs quotes."""
        self.mirror("add", "one", "https://git.example/p.git", "--tag", "1.0", "--path", "data/yes", "--pack", "true", "--include", "a/**",
                    "--include", "b: c", "--exclude", "a/#x", "--private", "--signed", "preferred", "--require-release", "--removals",
                    "follow", "--interval", "5m", "--max-time", "1h", "--max-bytes", "5GiB", "--user", "bot", "--netrc", self.secret)
        self.mirror("add", "two", "git@git.example:p.git", "--branch", "release/2", "--ssh-key", self.secret, "--known-hosts", self.secret)
        self.mirror("add", "three", self.data)
        one, two, three = (self.sources()[name] for name in ("one", "two", "three"))
        self.assertEqual(one, {
            "name": "one", "kind": "git", "url": "https://git.example/p.git", "tag": "1.0", "path": "data/yes", "pack": "true",
            "include": ["a/**", "b: c"], "exclude": ["a/#x"], "visibility": "private", "signed": "preferred", "require_release": True,
            "removals": "follow", "interval_seconds": 300, "paused": False})
        self.assertEqual((two["branch"], two["url"]), ("release/2", "git.example:p.git"))
        self.assertEqual(three["url"], str(self.data))
        self.assertIn("max_bytes: 5GiB", self.file.read_text())

    def test_refusals(self):
        self.file.write_text(FILE)
        for words, status, message in (
                (("add", "commons", "https://h/p"), 1, "there is a mirror named 'commons' already"),
                (("add", "-x", "--", "https://h/p"), 2, "unknown option"),
                (("add", "a b", "https://h/p"), 2, "expected a name"),
                (("add", "x", "packs.git"), 2, "URL: a path of this host must be absolute"),
                (("add", "x", "ftp://h/p"), 2, "URL: the scheme of the URL is not supported"),
                (("add", "x", "https://bot:hunter2@h/p"), 2, "URL: there is a password in the URL"),
                (("add", "x", "https://hunter2@h/p"), 2, "URL: there is a user in the URL"),
                (("add", "x", "https://h/p?token=hunter2"), 2, "URL: a URL here has no '?'"),
                (("add", "x", "ssh://h/p"), 2, "URL: ssh needs a private key"),
                (("add", "x", "https://h/p", "--interval", "5"), 2, "--interval: expected a duration"),
                (("add", "x", "https://h/p", "--interval", "5s, paused: true"), 2, "--interval: expected a word"),
                (("add", "x", "https://h/p", "--branch", "a", "--tag", "b"), 2, "--tag: given together with branch"),
                (("add", "x", "https://h/p", "--include", "/a"), 2, "--include"),
                (("add", "x", "https://h/p", "--token-file", self.data / "none"), 3, "--token-file: there is no file"),
                (("add", "x", "https://h", "--peer-key", "abc"), 2, "--peer-key: expected the peer's public key"),
                (("add", "x", "https://h", "--peer-key", KEY, "--branch", "main"), 2, "--branch: unknown key"),
                (("add", "x", "http://127.0.0.1:1", "--peer"), 1, "http://127.0.0.1:1"),
                (("remove", "comons"), 3, "did you mean 'commons'?"),
                (("pause", "zzz"), 3, "'kontor mirror list' shows them")):
            said = self.mirror(*words, status=status)
            self.assertIn(message, said)
            self.assertNotIn("hunter2", said)
            self.assertEqual(self.file.read_text(), FILE, words)
        for text, message in (("limits: {node: 1}\n", "kontor.yaml:1: limits.node"), ("mirrors: [\n", "kontor.yaml:2")):
            self.file.write_text(text)
            self.assertIn(message, self.mirror("add", "x", "https://h/p", status=2))
        self.file.write_text("{name: x}\n")
        self.assertIn("add the item by hand (line 1): {name: x, git: https://h/p}", self.mirror("add", "x", "https://h/p", status=2))
        self.assertEqual(self.file.read_text(), "{name: x}\n")

    def test_two_of_the_same_are_warned_of(self):
        self.mirror("add", "a", "https://h/p")
        done = json.loads(self.mirror("add", "b", "https://h/p", "--json"))
        self.assertEqual((done["action"], done["changed"], done["reloaded"], len(done["warnings"])), ("added", True, False, 1))
        self.assertIn("'a' and 'b' fetch from the same place", broker.run("config", "check", "--data", self.data).stderr)


class Told(broker.BrokerTest):
    def test_running_broker_is_told(self):
        own = self.broker()
        done = json.loads(broker.run("mirror", "add", "x", own.data, "--json", "--data", own.data).stdout)
        self.assertTrue(done["reloaded"])
        self.assertEqual(json.loads(broker.run("mirror", "pause", "x", "--json", "--data", own.data).stdout)["action"], "paused")

    def test_trust_on_first_use(self):
        """The key of a peer is asked for, shown, and taken only when somebody says so."""
        other, data = self.broker(), pathlib.Path(tempfile.mkdtemp(prefix="kontor-mirror-"))
        self.addCleanup(shutil.rmtree, data, ignore_errors=True)
        url = other.url
        key = json.loads(other.get("/version").body)["key"]
        words = ("mirror", "add", "other", url, "--peer", "--data", data)
        refused = broker.run(*words)
        self.assertEqual(refused.returncode, 6, refused.stderr)
        for part in (key, "trust on first use", "--peer-key", "--yes"):
            self.assertIn(part, refused.stderr)
        self.assertFalse((data / "kontor.yaml").exists())
        self.assertEqual(self.on_terminal(words, "n\n")[0], 6)
        status, said = self.on_terminal(words, "y\n")
        self.assertEqual(status, 0, said)
        shown = json.loads(broker.run("mirror", "list", "--json", "--data", data).stdout)["sources"][0]
        self.assertEqual((shown["key"], shown["kind"], shown["url"]), (key, "peer", url))
        self.assertIn(shown["fingerprint"], said)
        self.assertEqual(broker.run("mirror", "add", "again", url, "--peer", "--yes", "--data", data).returncode, 0)

    @staticmethod
    def on_terminal(words, answer):
        """Runs the program with a terminal of its own; its exit code and what stood there."""
        near, far = pty.openpty()
        with subprocess.Popen([broker.PROGRAM, *map(str, words)], env=broker.environment(), stdin=far, stdout=far, stderr=far, close_fds=True) as process:
            os.close(far)
            os.write(near, answer.encode())
            said = b""
            while select.select([near], [], [], broker.PATIENCE)[0]:
                try:
                    chunk = os.read(near, 4096)
                except OSError:
                    break
                if not chunk:
                    break
                said += chunk
            os.close(near)
            return process.wait(broker.PATIENCE), said.decode()


class Watch(mirror_world.MirrorTest):
    """A library of anna's packs, and one of eve's, whom nobody trusts."""

    def setUp(self):
        super().setUp()
        self.eve = self.world.publisher("eve")
        self.library = self.world.repository("library", self.anna)
        self.library.write_many([f"history/{number}" for number in range(5)])
        self.library.write("arts/fake", publisher=self.eve)
        self.library.commit("first")
        self.keeper = self.member("keeper").mirror("library", self.library, interval="1h")

    def command(self, *args, status=0, member=None):
        done = (member or self.keeper).command(*args)
        self.assertEqual((done.returncode, broker.sanitizer_report(done.stderr)), (status, None), (args, done.stdout, done.stderr))
        return done.stdout

    def status(self):
        shown = json.loads(self.command("mirror", "status", "--json"))
        return next(source for source in shown["sources"] if source["name"] == "library"), shown["refused"]

    def test_without_a_broker(self):
        """The command does what a broker would do, and one that starts later serves it."""
        self.assertIn("never synced", self.command("mirror", "status"))
        self.assertEqual(json.loads(self.command("mirror", "history", "--json")), {"history": []})
        said = self.command("mirror", "sync", status=9)
        for words in ("installed history/0 1.0.0", "refused arts/fake: untrusted: ", "good: 6 packs there, 5 installed, 1 refused"):
            self.assertIn(words, said)
        source, refused = self.status()
        self.assertEqual((source["state"], source["packs"]), ("ok", {"seen": 6, "served": 5, "refused": 1, "gone": 0}))
        self.assertEqual([(entry["source"], entry["path"], entry["rule"]) for entry in refused], [("library", "arts/fake", "untrusted")])
        self.assertIn("library: refused arts/fake: untrusted: ", self.command("mirror", "status", "library"))
        history = json.loads(self.command("mirror", "history", "library", "--path", "history", "--limit", "3", "--json"))["history"]
        self.assertEqual([row["event"] for row in history], ["installed"] * 3)
        self.assertEqual([row["id"] for row in history], sorted(row["id"] for row in history))
        self.keeper.start().wait_serving()
        self.assertEqual(len(self.keeper.verified().packs), 5)

    def test_watching_a_broker(self):
        self.keeper.start().wait_serving()
        self.wait_versions(self.keeper, {f"history/{number}": "1.0.0" for number in range(5)})
        self.library.write("history/0", "Changed.")
        self.library.commit("second")
        events = [json.loads(line) for line in self.command("mirror", "sync", "library", "--json").splitlines()]
        self.assertEqual([event["path"] for event in events if event["event"] == "installed"], ["history/0"])
        self.assertTrue(events[-1]["event"] == "ended" and events[-1]["ok"], events[-1])
        # What the command reports is served when it ends.
        self.assertEqual(self.keeper.versions()["history/0"], "2.0.0")
        self.assertEqual(self.status()[0]["state"], "ok")

        for number in range(3):
            self.library.remove(f"history/{number}")
        self.library.commit("lose three")
        self.assertIn("alarm shrink", self.command("mirror", "sync", status=1))
        self.assertEqual((self.status()[0]["state"], self.status()[0]["alarm"]), ("held", "shrink"))
        shown = self.command("mirror", "status")
        self.assertIn("--prune", shown)
        self.assertEqual(shown.count("3 of 6 packs are gone"), 1, shown)
        self.command("mirror", "sync", "library", "--prune")
        self.assertEqual(sorted(self.keeper.versions()), ["history/3", "history/4"])
        self.assertEqual(self.status()[0]["alarm"], "")

    def test_failing_and_paused(self):
        self.keeper.mirror("nowhere", "/nonexistent/packs.git", interval="1h").start().wait_serving()
        said = self.command("mirror", "sync", status=1)
        self.assertRegex(said, r"nowhere: failed: .*nonexistent")
        self.assertIn("2 sources: 1 good, 1 failed", said)
        self.assertRegex(self.command("mirror", "status"), r"nowhere: .*nonexistent")
        self.command("mirror", "remove", "nowhere")
        self.command("mirror", "pause", "library")
        broker.wait_until(lambda: self.status()[0]["state"] == "paused", "the broker to know that the source is paused")
        self.assertEqual(self.command("mirror", "sync"), "")
        self.assertIn("good", self.command("mirror", "sync", "library"))

    def test_refused_wishes(self):
        for words, status, message in ((("sync", "libary"), 3, "did you mean 'library'?"), (("sync", "--prune"), 2, "need the NAME"),
                                       (("sync", "--reset"), 2, "need the NAME"), (("status", "x"), 3, "no mirror or peer is named 'x'"),
                                       (("history", "--limit", "0"), 2, "--limit")):
            done = self.keeper.command("mirror", *words)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(message, done.stderr)

    def test_peers(self):
        self.keeper.start().wait_serving()
        self.wait_versions(self.keeper, {f"history/{number}": "1.0.0" for number in range(5)})
        reader = self.member("reader").peer("keeper", self.keeper, interval="1h").start().wait_serving()
        self.command("mirror", "sync", member=reader)
        self.wait_versions(reader, {f"history/{number}": "1.0.0" for number in range(5)})
        peer = json.loads(self.command("peers", "--json", member=reader))["peers"][0]
        shown = json.loads(self.command("mirror", "list", "--json", member=reader))["sources"][0]
        self.assertEqual((peer["name"], peer["url"], peer["key"], peer["state"], peer["alarm"]),
                         ("keeper", self.keeper.address, self.keeper.broker_key, "ok", ""))
        self.assertEqual(peer["fingerprint"], shown["fingerprint"])
        self.assertGreater(peer["generation"], 0)
        for words in (peer["fingerprint"], f"generation {peer['generation']}", self.keeper.address):
            self.assertIn(words, self.command("peers", member=reader))
        self.assertEqual(json.loads(self.command("peers", "--json")), {"peers": []})


if __name__ == "__main__":
    broker.main()

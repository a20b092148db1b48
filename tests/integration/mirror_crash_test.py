# SPDX-License-Identifier: MIT
"""kill -9 at random instants: of brokers and of their agents, while changes come in from git and from a peer.

A cycle commits a change, starts the syncs, sometimes collects garbage, kills something within 0.3 s, starts it again if it was a
broker, and asks whether the promises still hold: all that is served verifies (lib/checker.py) and was committed by the publisher;
nothing that was reported as installed or withdrawn is lost; staging is empty. KONTOR_CRASH_CYCLES says how many cycles (default: a
few), KONTOR_CRASH_SEED repeats a run.

Besides, damage by hand in the release store: never served, found by `kontor store check`, healed by `--repair`.
"""
import contextlib
import json
import os
import pathlib
import random
import signal
import time

from lib import broker, checker, mirror_world

CYCLES = int(os.environ.get("KONTOR_CRASH_CYCLES") or (6 if broker.SANITIZED else 16))
SEED = int(os.environ.get("KONTOR_CRASH_SEED") or time.time_ns() % 1000000)
PATHS = [f"shelf-{number % 4}/book-{number}" for number in range(24)]


def number_of(version):
    return int(version.split(".")[0])


def children(pid):
    """Processes that `pid` has started."""
    found = []
    for directory in pathlib.Path("/proc").iterdir():
        if directory.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (directory / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid and fields[0] != "Z":
                    found.append(int(directory.name))
    return found


class Truth:
    """What the publisher has said, ever."""

    def __init__(self, library):
        self.library = library
        self.digests = {}  # path -> {digest: number of its version}
        self.withdrawn = {}  # path -> number of the withdrawn version
        self.now = {}  # path -> number of the version that is to be served

    def note(self, path):
        """A new release of `path` is in the work tree."""
        sig = json.loads((self.library.packs / path / "manifest.sig").read_text())
        digest = checker.hashlib.sha256(checker.occ_verify.canonical(sig["release"])).hexdigest()
        number = number_of(sig["release"]["version"])
        if sig["release"].get("withdrawn"):
            self.withdrawn[path] = number
            self.now.pop(path, None)
        else:
            self.digests.setdefault(path, {})[digest] = number
            self.now[path] = number

    def versions(self):
        return {path: f"{number}.0.0" for path, number in self.now.items()}


class Kills(mirror_world.MirrorTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.library = self.world.repository("library", self.anna)
        self.library.write_many(PATHS)
        self.truth = Truth(self.library)
        for path in PATHS:
            self.truth.note(path)
        self.library.commit("first")
        self.a = self.member("a").mirror("library", self.library)
        self.b = self.member("b").peer("a", self.a, removals="follow")
        self.members = {self.a: "library", self.b: "a"}
        self.acknowledged = {member: {} for member in self.members}  # path -> (event, number)
        self.counts = {"broker": 0, "agent": 0, "no agent": 0}

    # One cycle

    def change(self):
        """A commit of some kind."""
        kind = self.random.choice(["one", "one", "many", "add", "withdraw", "return"])
        paths = sorted(self.truth.now)
        gone = sorted(set(self.truth.withdrawn) - set(paths))
        if kind == "withdraw" and len(paths) > len(PATHS) // 2:
            touched = [self.random.choice(paths)]
            self.library.withdraw(touched[0])
        else:
            if kind == "return" and gone:
                touched = [self.random.choice(gone)]
            elif kind == "add":
                touched = [f"new/{len(self.truth.digests)}"]
            else:
                touched = self.random.sample(paths, 5 if kind == "many" else 1)
            for path in touched:
                self.library.write(path, f"Text {self.random.random()}.")
        for path in touched:
            self.truth.note(path)
        self.library.commit(kind)

    def learn(self, member):
        """Remembers what the broker says it has done: from now on it must not forget it."""
        for row in reversed(member.history()):
            if row["event"] in ("installed", "withdrawn"):
                self.acknowledged[member][row["path"]] = (row["event"], number_of(row["version"]))

    def kill(self, member, kind):
        """kill -9 of a broker or of its agent, and the start that follows."""
        if kind == "agent":
            agents = children(member.pid)
            for pid in agents:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.counts["agent" if agents else "no agent"] += 1
            return
        self.counts["broker"] += 1
        member.kill()
        (member.data / "endpoints.json").unlink(missing_ok=True)
        staged = {entry.name for entry in (member.data / "store/tmp").iterdir()}
        member.start().wait_serving()
        left = staged & {entry.name for entry in (member.data / "store/tmp").iterdir()}
        self.assertEqual(left, set(), "what a crash left in staging is gone after the start")

    def judge(self, member, at_once=True):
        """All promises, now. What was reported becomes visible within moments, unless the broker has started since: then it is so
        already (`at_once`)."""
        lost = self.lost(member)
        if lost and not at_once:
            broker.wait_until(lambda: not self.lost(member), f"what {member.name} has reported to be served: {lost}")
        elif lost:
            self.fail(f"{member.name}: {lost}")

    def lost(self, member):
        """What is not as it was acknowledged, after everything that is served was verified."""
        report = member.verified(blobs=False)
        for path, item in report.packs.items():
            self.assertIn(item["digest"], self.truth.digests.get(path, {}), f"{path}: nobody has published this")
        lost = []
        for path, (event, number) in self.acknowledged[member].items():
            served = number_of(report.packs[path]["version"]) if path in report.packs else None
            if event == "withdrawn":
                good = served is None or served > number
            else:
                good = served >= number if served is not None else self.truth.withdrawn.get(path, 0) >= number
            if not good:
                lost.append(f"{path}: {event} {number}, but {served} is served")
        return lost

    def remembers(self, member):
        """The history still has what was acknowledged."""
        known = {(row["path"], row["event"], number_of(row["version"])) for row in member.history() if row["version"]}
        for path, (event, number) in self.acknowledged[member].items():
            self.assertIn((path, event, number), known, f"{member.name} does not remember")

    def settle(self):
        """Without further kills everything arrives everywhere."""
        for member, source in self.members.items():
            self.sync_to_success(member, source)
            self.wait_versions(member, self.truth.versions())
            self.learn(member)
            self.judge(member)
            self.remembers(member)
        a, b = (member.verified() for member in self.members)
        self.assertEqual((a.root, a.content()), (b.root, b.content()))

    def sync_to_success(self, member, source):
        broker.wait_until(lambda: member.sync(source, good=None, full=True)["ok"], f"{member.name} to sync {source}")

    def test_kills_at_random_instants(self):
        print(f"seed {SEED}, {CYCLES} cycles", flush=True)
        for member in self.members:
            member.start().wait_serving()
        self.settle()
        for cycle in range(CYCLES):
            with self.subTest(cycle=cycle, seed=SEED):
                self.change()
                victim = self.random.choice(list(self.members))
                kind = self.random.choice(["broker", "agent"])
                for member in self.members:
                    member.wish(self.members[member])
                time.sleep(self.random.uniform(0, 0.3))
                self.learn(victim)
                if self.random.random() < 0.3:
                    victim.ask("POST", "/v1/store/gc")
                self.kill(victim, kind)
                for member in self.members:
                    self.judge(member, at_once=member is not victim or kind == "broker")
                if cycle % 8 == 7:
                    self.settle()
        self.settle()
        print(self.counts, flush=True)
        for member in self.members:
            held = checker.audit_store(member.data / "store/releases")
            self.assertGreaterEqual(set(held), {item["digest"] for item in member.verified().packs.values()})
            done = member.command("store", "check")
            self.assertEqual((done.returncode, broker.sanitizer_report(done.stderr)), (0, None), done.stdout + done.stderr)
            self.assertEqual(list((member.data / "store/tmp").iterdir()), [])

    def test_both_killed_during_the_first_sync(self):
        """The very first sync, again and again: whatever is in the store is whole, and in the end all of it is there."""
        for delay in [0.0, 0.02, 0.05, 0.1, 0.2][:max(3, CYCLES // 4)]:
            for member in self.members:
                member.start()
            time.sleep(delay)
            for member in self.members:
                member.kill()
                (member.data / "endpoints.json").unlink(missing_ok=True)
                releases = member.data / "store/releases"
                if releases.exists():
                    checker.audit_store(releases)
        for member in self.members:
            member.start().wait_serving()
        self.settle()


class Damage(mirror_world.MirrorTest):
    """Files of the release store in the hands of a broken disk."""

    VICTIM = PATHS[0]

    def setUp(self):
        super().setUp()
        self.library = self.world.repository("library", self.anna)
        self.library.write_many(PATHS[:6])
        self.library.commit("first")
        self.kontor = self.member("a").mirror("library", self.library, interval="1h")
        self.kontor.start().wait_serving()
        self.versions = dict.fromkeys(PATHS[:6], "1.0.0")
        self.wait_versions(self.kontor, self.versions)
        self.good = self.kontor.verified()
        self.release = self.kontor.data / "store/releases" / self.good.packs[self.VICTIM]["digest"]
        self.page = self.release / "wiki/concepts/page-0.md"
        self.target = f"/packs/{self.VICTIM}/wiki/concepts/page-0.md"
        self.body = self.page.read_bytes()

    def writable(self):
        """Releases are read-only; whoever breaks them must be allowed to."""
        for directory, _, files in os.walk(self.release):
            os.chmod(directory, 0o755)
            for name in files:
                os.chmod(os.path.join(directory, name), 0o644)

    def flip(self):
        data = bytearray(self.page.read_bytes())
        data[-2] ^= 1
        stat = self.page.stat()
        self.page.write_bytes(data)
        os.utime(self.page, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def swap_signature(self):
        other = self.kontor.data / "store/releases" / self.good.packs[PATHS[1]]["digest"]
        (self.release / "manifest.sig").write_bytes((other / "manifest.sig").read_bytes())

    def harms(self):
        return [("a flipped bit", self.flip), ("a cut file", lambda: os.truncate(self.page, 10)), ("a lost file", self.page.unlink),
                ("another signature", self.swap_signature), ("another file", lambda: (self.release / "wiki/assets/new.js").write_text("x")),
                ("a lost release", lambda: mirror_world.shutil.rmtree(self.release)),
                ("a symbolic link", lambda: (self.page.unlink(), self.page.symlink_to("/etc/hostname")))]

    def nothing_wrong_is_served(self):
        reply = self.kontor.get(self.target)
        self.assertTrue(reply.status in (404, 503) or reply.body == self.body, reply)
        for path, item in self.kontor.verified().packs.items():
            self.assertEqual(item["digest"], self.good.packs[path]["digest"])

    def check(self, *args):
        done = self.kontor.command("store", "check", *args)
        self.assertIsNone(broker.sanitizer_report(done.stderr), done.stderr)
        return done

    def repaired(self, what):
        found = self.check()
        if found.returncode == 0:  # the broker has met the damage itself and was quicker
            self.assertTrue(list((self.kontor.data / "store/quarantine").glob(f"{self.release.name}*")), (what, found.stdout))
        else:
            self.assertIn(self.release.name[:12], found.stdout + found.stderr)
        healed = self.check("--repair")
        self.assertEqual(healed.returncode, 0, (what, healed.stdout, healed.stderr))
        # Put away, taken out of the catalog, fetched, judged, served again: each on its own.
        broker.wait_until(lambda: self.release.exists() and self.kontor.verified().content() == self.good.content(), f"{what} to be healed")
        self.assertEqual(self.kontor.get(self.target).body, self.body)
        checker.audit_store(self.kontor.data / "store/releases")
        self.assertEqual(self.check().returncode, 0)

    def test_damage_while_it_runs(self):
        for what, harm in self.harms():
            with self.subTest(what):
                self.writable()
                harm()
                self.nothing_wrong_is_served()
                self.repaired(what)

    def test_damage_while_it_is_stopped(self):
        for what, harm in self.harms():
            with self.subTest(what):
                self.kontor.stop()
                self.writable()
                harm()
                self.kontor.start().wait_serving()
                self.nothing_wrong_is_served()
                self.repaired(what)

    def test_leftovers_in_staging(self):
        self.kontor.stop()
        left = self.kontor.data / "store/tmp/half-a-pack"
        (left / "wiki").mkdir(parents=True)
        (left / "wiki/index.md").write_text("half")
        self.kontor.start().wait_serving()
        self.assertFalse(left.exists())

    def test_without_what_can_be_made_again(self):
        """The clone and the hashes are caches: without them nothing is lost and everything goes on."""
        self.kontor.stop()
        for name in ("git", "peers"):
            mirror_world.shutil.rmtree(self.kontor.data / "store" / name, ignore_errors=True)
        for name in ("index.db", "hashes.db", "catalog.db"):
            for file in self.kontor.data.rglob(f"{name}*"):
                file.unlink()
        self.kontor.start().wait_serving()
        self.assertEqual(self.kontor.verified().content(), self.good.content())
        self.library.write(self.VICTIM, "Second.")
        self.library.commit("second")
        self.kontor.sync("library")
        self.wait_versions(self.kontor, {**self.versions, self.VICTIM: "2.0.0"})
        self.kontor.verified()


if __name__ == "__main__":
    broker.main()

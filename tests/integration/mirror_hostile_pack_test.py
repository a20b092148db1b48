# SPDX-License-Identifier: MIT
"""What a git repository may offer and a broker must not take: every rule of acceptance is broken once by a real commit. The refusal
is shown and counted under its rule, and what was served before stays served, bit for bit."""
import base64
import json
import re
import shutil
import signal

from lib import broker, mirror_world, occ_verify, packs

PATHS = [f"{shelf}/{book}" for shelf in ("history", "science") for book in ("one", "two", "three", "four")]
VICTIM, OTHER = "history/one", "history/two"


class HostilePacks(mirror_world.MirrorTest):
    by_command = False  # ask the command line as well

    def setUp(self):
        super().setUp()
        self.mallory = self.world.publisher("mallory")
        self.library = self.world.repository("library", self.anna)
        self.library.write_many(PATHS)
        self.first_commit = self.library.commit("first")
        self.kontor = self.member("north", [self.anna]).mirror("commons", self.library, interval="1h")

    def serving(self, **options):
        """Starts the broker; everything of the first commit is served."""
        if options:
            self.kontor.mirrors.clear()
            self.kontor.mirror("commons", self.library, interval="1h", **options)
        self.kontor.start().wait_serving()
        self.wait_versions(self.kontor, dict.fromkeys(PATHS, "1.0.0"))
        self.before = self.kontor.verified()

    def trust(self, *entries):
        """Another trust list, in force."""
        self.kontor.trust(entries)
        self.reload()

    def reload(self):
        """SIGHUP, and everything that it leads to."""
        scans = self.metric("kontor_scans_total")
        self.kontor.signal(signal.SIGHUP)
        broker.wait_until(lambda: self.metric("kontor_scans_total") > scans, "the reload")

    def metric(self, name, **labels):
        """The value of a sample, or 0 when there is none."""
        want = "".join(f'{key}="{value}"' for key, value in labels.items())
        for line in self.kontor.get("/metrics").text.splitlines():
            match = re.fullmatch(re.escape(name) + r"(?:\{(.*)\})? ([0-9.eE+-]+)", line)
            if match and (match[1] or "") == want:
                return float(match[2])
        return 0.0

    def edit(self, path, change):
        """Rewrites a pack's manifest.sig by `change(document)`, and keeps the form."""
        file = self.library.packs / path / "manifest.sig"
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")

    def offer(self):
        """Commits what was done to the repository and has it looked at: how that ended."""
        self.library.commit("something new")
        return self.kontor.sync("commons", good=None)

    def refused(self, rule, words="", path=VICTIM):
        """Offers; the pack at `path` is refused by `rule`, everybody is told, and the same as before is served."""
        counted = self.metric("kontor_mirror_refused_total", rule=rule)
        self.offer()
        self.is_refused(rule, words, path)
        self.assertGreater(self.metric("kontor_mirror_refused_total", rule=rule), counted)
        self.assertEqual(self.kontor.verified().content(), self.before.content())

    def is_refused(self, rule, words="", path=VICTIM):
        """Status and history say so, and the command line."""
        row = next((row for row in self.kontor.history("commons", path) if row["path"] == path), None)
        self.assertIsNotNone(row, self.kontor.history())
        self.assertEqual((row["event"], row["rule"]), ("refused", rule), row)
        self.assertIn(words, row["reason"])
        self.assertNotIn("\n", row["reason"])
        status = self.kontor.source_status("commons")
        self.assertGreaterEqual(status["packs"]["refused"], 1)
        for command in (("mirror", "history", "commons"), ("mirror", "status", "-v", "commons")) if self.by_command else ():
            shown = self.kontor.command(*command)
            self.assertEqual((shown.returncode, broker.sanitizer_report(shown.stderr)), (0, None), shown.stderr)
            self.assertIn(rule, shown.stdout, command)
            self.assertIn(path, shown.stdout, command)

    def accepted(self, version, path=VICTIM):
        """After all of it, a good release is taken as ever."""
        self.assertEqual(self.kontor.verified().packs[path]["version"], version)


class Contents(HostilePacks):
    """What does not fit what was signed."""

    by_command = True

    def test_a_signed_page_is_replaced(self):
        self.serving()
        page = self.library.packs / VICTIM / "wiki/concepts/page-0.md"
        page.write_text(page.read_text() + "\nOne line more.\n")
        self.refused("hash", "concepts/page-0.md")
        self.library.write(VICTIM, "Repaired.")
        self.offer()
        self.accepted("2.0.0")

    def test_a_file_outside_of_occ_signature_is_replaced(self):
        self.serving()
        (self.library.packs / VICTIM / "wiki/assets/dot.png").write_bytes(b"another picture")
        self.refused("hash", "assets/dot.png")

    def test_the_manifest_is_replaced(self):
        self.serving()
        manifest = self.library.packs / VICTIM / "manifest.yaml"
        manifest.write_text(manifest.read_text().replace("A pack for tests.", "Buy now."))
        self.refused("hash", "manifest.yaml")

    def test_a_listed_page_is_missing(self):
        self.serving()
        (self.library.packs / VICTIM / "wiki/concepts/page-1.md").unlink()
        self.refused("hash", "concepts/page-1.md")

    def test_a_file_is_added(self):
        self.serving()
        (self.library.packs / VICTIM / "wiki/assets/extra.js").write_text("alert(1)\n")
        self.refused("unlisted", "extra.js")

    def test_no_index(self):
        self.serving()
        (self.library.packs / VICTIM / "wiki/index.md").unlink()
        self.library.commit("no pack any more")
        self.kontor.sync("commons", good=None)
        self.assertEqual(self.kontor.verified().content(), self.before.content())

    def test_signatures_are_swapped(self):
        self.serving()
        one, two = (self.library.packs / path / "manifest.sig" for path in (VICTIM, OTHER))
        first, second = one.read_bytes(), two.read_bytes()
        one.write_bytes(second)
        two.write_bytes(first)
        self.refused("hash")
        self.is_refused("hash", path=OTHER)

    def test_paths_are_swapped(self):
        """Everything fits but the place."""
        self.serving()
        one, two = (self.library.packs / path for path in (VICTIM, OTHER))
        one.rename(one.with_name("aside"))
        two.rename(one)
        one.with_name("aside").rename(two)
        self.refused("wrong-path", OTHER)
        self.is_refused("wrong-path", VICTIM, path=OTHER)

    def test_a_copy_at_another_path(self):
        self.serving()
        shutil.copytree(self.library.packs / VICTIM, self.library.packs / "history/copy")
        self.refused("wrong-path", VICTIM, path="history/copy")


class Signatures(HostilePacks):
    """What is signed wrongly, by the wrong one, or not at all."""

    def resign_release(self, **members):
        """A release part of other words, signed by a key that Anna does not have any more."""
        def change(document):
            document["release"].update(members)
        self.edit(VICTIM, change)

    def test_unsigned(self):
        self.serving()
        (self.library.packs / VICTIM / "manifest.sig").unlink()
        self.refused("unsigned")

    def test_not_a_signature(self):
        self.serving()
        for damage in ("{", "[]\n", '{"alg": "rot13"}\n'):
            (self.library.packs / VICTIM / "manifest.sig").write_text(damage)
            self.refused("form", "manifest.sig")

    def test_another_fingerprint(self):
        self.serving()
        self.edit(VICTIM, lambda document: document.update(signer_fingerprint="a" * 16))
        self.refused("fingerprint")

    def test_a_broken_signature(self):
        self.serving()
        self.edit(VICTIM, lambda document: document.update(signature_b64=base64.b64encode(bytes(64)).decode()))
        self.refused("signature")

    def test_a_later_date_is_written_in(self):
        self.serving()
        self.resign_release(published_at="2031-01-01T00:00:00Z")
        self.refused("release-signature")

    def test_the_release_is_taken_out(self):
        """A signature as OCC makes them claims no version, so it is older than any that does."""
        self.serving()
        self.library.write(VICTIM, "Second.")
        self.edit(VICTIM, lambda document: [document.pop(name) for name in ("release", "release_signature_b64")])
        # Without a release the files outside of OCC's signature are covered by nothing.
        for name in ("wiki/log.md", "wiki/assets/dot.png"):
            (self.library.packs / VICTIM / name).unlink()
        self.refused("rollback")

    def test_releases_are_required(self):
        self.serving(require_release=True)
        self.library.write(VICTIM, "Second.")
        self.edit(VICTIM, lambda document: [document.pop(name) for name in ("release", "release_signature_b64")])
        self.refused("no-release")

    def test_an_untrusted_key(self):
        self.serving()
        self.library.write(VICTIM, "Bought.", publisher=self.mallory)
        self.refused("untrusted", self.mallory.fingerprint)

    def test_an_expired_key(self):
        self.serving()
        self.trust(self.anna, self.mallory.entry(until="2026-01-01"))
        self.library.write("history/new", publisher=self.mallory)
        self.refused("expired", path="history/new")

    def test_a_path_of_somebody_else(self):
        self.serving()
        self.trust(self.anna, self.mallory.entry(paths=["mallory/**"]))
        self.library.write("history/new", publisher=self.mallory)
        self.refused("not-for-path", path="history/new")

    def test_a_revoked_key(self):
        """What was served by it is gone at once, without a sync, and nothing new comes in."""
        self.serving()
        self.trust(self.anna.entry(revoked=True))
        broker.wait_until(lambda: self.kontor.versions() == {}, "everything of a revoked key to be gone")
        self.before = self.kontor.verified()
        self.assertEqual(self.kontor.get(f"/packs/{VICTIM}/wiki/index.md").status, 404)
        self.library.write(VICTIM, "Second.")
        self.refused("revoked")
        # A mistake can be taken back: nothing has to be fetched again for what was there.
        self.trust(self.anna)
        self.kontor.sync("commons")
        self.wait_versions(self.kontor, {**dict.fromkeys(PATHS, "1.0.0"), VICTIM: "2.0.0"})
        self.kontor.verified()


class Histories(HostilePacks):
    """What was said before binds what may be said now."""

    def test_the_version_is_rolled_back(self):
        self.serving()
        self.library.write(VICTIM, "Second.")
        self.offer()
        self.accepted("2.0.0")
        self.before = self.kontor.verified()
        # An old tree in a new commit, and the branch moved back to the old commit.
        self.library.git("checkout", "-q", self.first_commit, "--", ".")
        self.refused("rollback", "1.0.0")
        self.library.git("reset", "-q", "--hard", self.first_commit)
        self.kontor.sync("commons", good=None)
        self.assertEqual(self.kontor.verified().content(), self.before.content())

    def test_the_branch_is_moved_back(self):
        self.serving()
        self.library.write(VICTIM, "Second.")
        self.offer()
        self.before = self.kontor.verified()
        self.library.git("reset", "-q", "--hard", self.first_commit)
        self.kontor.sync("commons", good=None)
        self.is_refused("rollback")
        self.assertEqual(self.kontor.verified().content(), self.before.content())

    def test_a_lower_version_at_a_later_time(self):
        self.serving()
        self.library.write(VICTIM, "Older in words, newer in time.", version="0.9.0")
        self.refused("rollback", "0.9.0")

    def test_the_same_version_with_other_content(self):
        self.serving()
        self.library.write(VICTIM, "Something else.", version="1.0.0")
        self.refused("conflict", "1.0.0")

    def test_another_publisher(self):
        """A trusted publisher may not take over the path of another one, unless the operator names that very path."""
        self.serving()
        self.trust(self.anna, self.mallory)
        self.library.write(VICTIM, "Taken over.", version="9.0.0", publisher=self.mallory)
        self.refused("hijack")
        self.trust(self.anna, self.mallory.entry(paths=["history/*"]))
        self.kontor.sync("commons", good=None)
        self.is_refused("hijack")
        self.trust(self.anna, self.mallory.entry(paths=[VICTIM]))
        self.kontor.sync("commons")
        self.wait_versions(self.kontor, {**dict.fromkeys(PATHS, "1.0.0"), VICTIM: "9.0.0"})
        self.assertEqual(self.kontor.verified().packs[VICTIM]["publisher"], self.mallory.fingerprint)

    def test_a_tombstone(self):
        self.serving()
        self.library.withdraw(VICTIM)
        self.offer()
        rest = dict.fromkeys(set(PATHS) - {VICTIM}, "1.0.0")
        self.wait_versions(self.kontor, rest)
        self.kontor.verified()
        self.assertEqual(self.kontor.get(f"/packs/{VICTIM}/wiki/index.md").status, 404)
        self.assertEqual([hit for hit in self.kontor.search("page of history") if hit["pack_path"] == VICTIM], [])
        row = self.kontor.history("commons", VICTIM)[0]
        self.assertEqual((row["event"], row["version"]), ("withdrawn", "1.0.0"), row)
        # The old release does not come back, a higher one does.
        self.before = self.kontor.verified()
        self.library.git("checkout", "-q", self.first_commit, "--", VICTIM)
        self.refused("conflict" if self.conflict_of_withdrawn() else "rollback")
        self.library.write(VICTIM, "Again.")
        self.offer()
        self.wait_versions(self.kontor, {**rest, VICTIM: "2.0.0"})

    def conflict_of_withdrawn(self):
        """Whether the old release has the time of its tombstone: then it is no older, but another of the same version."""
        old = json.loads(self.library.git("show", f"{self.first_commit}:{VICTIM}/manifest.sig"))["release"]
        new = json.loads(self.library.git("show", f"HEAD:{VICTIM}/manifest.sig"))["release"]
        return old["published_at"] >= new["published_at"]

    def test_a_tombstone_of_a_stranger(self):
        self.serving()
        self.trust(self.anna, self.mallory)
        self.mallory.sign(self.library.packs / VICTIM, VICTIM, "--withdraw")
        self.refused("hijack")

    def test_a_tombstone_that_is_old(self):
        self.serving()
        self.library.withdraw(VICTIM)
        tombstone = (self.library.packs / VICTIM / "manifest.sig").read_bytes()
        self.library.write(VICTIM, "Second.")
        self.offer()
        self.accepted("2.0.0")
        self.before = self.kontor.verified()
        (self.library.packs / VICTIM / "manifest.sig").write_bytes(tombstone)
        self.refused("rollback")

    def test_a_pack_disappears(self):
        """Without a word of its publisher it stays."""
        self.serving()
        self.library.remove(VICTIM)
        self.offer()
        self.assertEqual(self.kontor.verified().content(), self.before.content())
        self.assertEqual(self.kontor.source_status("commons")["packs"]["gone"], 1)

    def test_removals_are_followed_where_the_operator_says_so(self):
        self.serving(removals="follow")
        self.library.remove(VICTIM)
        self.offer()
        self.wait_versions(self.kontor, dict.fromkeys(set(PATHS) - {VICTIM}, "1.0.0"))
        self.kontor.verified()

    def test_a_fifth_disappears(self):
        """More than a fifth at once: nothing of that commit counts until the operator confirms it."""
        self.serving(removals="follow")
        for path in PATHS[:2]:
            self.library.remove(path)
        self.library.write(PATHS[3], "Second.")
        end = self.offer()
        self.assertFalse(end["ok"])
        self.assertEqual(self.kontor.verified().content(), self.before.content())
        status = self.kontor.source_status("commons")
        self.assertEqual(status["alarm"], "shrink", status)
        self.assertIn("--prune", status["alarm_reason"])
        shown = self.kontor.command("mirror", "status").stdout
        self.assertIn("shrink", shown)
        self.kontor.sync("commons", prune=True)
        self.wait_versions(self.kontor, {**dict.fromkeys(PATHS[2:], "1.0.0"), PATHS[3]: "2.0.0"})
        self.kontor.verified()
        self.assertEqual(self.kontor.source_status("commons")["alarm"], "")

    def test_all_at_once(self):
        """One bad pack keeps no good one away."""
        self.serving()
        (self.library.packs / PATHS[0] / "wiki/log.md").write_text("other")
        (self.library.packs / PATHS[1] / "manifest.sig").unlink()
        self.library.write(PATHS[2], "Low.", version="0.1.0")
        self.library.write(PATHS[3], "Second.")
        self.library.write("history/new")
        self.offer()
        for path, rule in zip(PATHS, ("hash", "unsigned", "rollback")):
            self.is_refused(rule, path=path)
        self.wait_versions(self.kontor, {**dict.fromkeys(PATHS, "1.0.0"), PATHS[3]: "2.0.0", "history/new": "1.0.0"})
        self.kontor.verified()
        # The same again is not counted again.
        rows = len(self.kontor.history("commons"))
        self.kontor.sync("commons", good=None)
        self.assertEqual(len(self.kontor.history("commons")), rows)

    def test_no_pack_repository(self):
        stranger = self.world.repository("stranger", self.anna)
        (stranger.root / "README.md").write_text("# No packs here\n")
        stranger.commit("hello")
        self.kontor.mirror("stranger", stranger, interval="1h")
        self.serving()
        self.kontor.sync("stranger", good=False)
        self.assertIn("no pack repository", self.kontor.source_status("stranger")["detail"])
        self.assertEqual(self.kontor.verified().content(), self.before.content())


class Independent(HostilePacks):
    """What was signed by the rules of this text alone, and by no line of the program, is taken as well."""

    def test_an_independent_signature(self):
        self.serving()
        directory = mirror_world.lay_pack(self.library.packs, "history/python", "1.0.0", "By another hand.")
        (directory / "wiki/log.md").unlink()
        packs.sign_release(directory, "history/python")
        self.trust(self.anna, {"fingerprint": packs.fingerprint(), "name": "Python", "since": "2025-01-01", "note": ""})
        self.offer()
        item = self.kontor.verified().packs["history/python"]
        self.assertEqual(item["content_sha256"], packs.content_sha256(directory))
        document = json.loads((directory / "manifest.sig").read_text())
        self.assertEqual(item["digest"], occ_verify.digest(occ_verify.canonical(document["release"])))


if __name__ == "__main__":
    broker.main()

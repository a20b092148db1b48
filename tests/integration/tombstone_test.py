# SPDX-License-Identifier: MIT
"""What a publisher withdraws goes from broker to broker, by the publisher's signature and by nothing else.

Nobody here follows removals, and most of what is withdrawn is more than a fifth of all: what disappears does so because of its tombstone.
"""
import json

from lib import broker, checker, doctored, mirror_world, packs

VICTIM, OTHER = "history/rome", "law/codes"
FIRST = {VICTIM: "1.0.0", OTHER: "1.0.0"}


class Tombstones(mirror_world.MirrorTest):
    def library(self):
        library = self.world.repository("library", self.anna)
        library.write_many(FIRST)
        self.first = library.commit("first")
        return library

    def line(self, library):
        """A has the repository, B knows A, C knows B."""
        a = self.member("a").mirror("library", library)
        b = self.member("b").peer("a", a)
        c = self.member("c").peer("b", b)
        for member in (a, b, c):
            member.start().wait_serving()
        for member in (a, b, c):
            self.wait_versions(member, FIRST)
        return a, b, c

    def tombstone(self, member, path=VICTIM):
        return member.get(f"/catalog/tombstones/{path}")

    def test_down_the_line(self):
        library = self.library()
        line = a, b, c = self.line(library)
        for member in line:
            self.assertEqual(self.tombstone(member).status, 404)
        library.withdraw(VICTIM)
        library.commit("withdraw")
        signed = (library.packs / VICTIM / "manifest.sig").read_bytes()
        for member in line:
            self.wait_versions(member, {OTHER: "1.0.0"})
            member.verified()
            reply = self.tombstone(member)
            self.assertEqual((reply.status, reply.body), (200, signed), member.name)
            self.assertEqual(reply.header("Content-Type"), "application/json")
            again = member.get(f"/catalog/tombstones/{VICTIM}", headers=[("If-None-Match", reply.header("ETag"))])
            self.assertEqual(again.status, 304)
            self.assertEqual(member.get(f"/packs/{VICTIM}/wiki/index.md").status, 404)
            for path in (OTHER, "", "no/such", "history", "x" * 600):
                self.assertEqual(self.tombstone(member, path).status, 404, path)
        for member, name in ((b, "a"), (c, "b")):
            member.sync(name)
            self.assertEqual(member.history(name, VICTIM)[0]["event"], "withdrawn")
            self.assertEqual(member.source_status(name)["packs"]["gone"], 0)

        # It outlives a start and a collection, and is whole for the store's own check.
        b.ask("POST", "/v1/store/gc", {})
        b.stop()
        checked = b.command("store", "check")
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.assertEqual(set(checker.audit_store(b.data / "store/releases").values()), set(FIRST))
        b.start().wait_serving()
        self.wait_versions(b, {OTHER: "1.0.0"})
        self.assertEqual(self.tombstone(b).body, signed)

        # The old release comes back to nobody, not even from a repository that C did not know; a higher one does.
        old = self.world.repository("old", self.anna)
        library.git("worktree", "add", "-q", self.world.root / "checkout", self.first)
        for path in (self.world.root / "checkout" / VICTIM).rglob("*"):
            if path.is_file():
                packs.write(old.packs, VICTIM, {str(path.relative_to(self.world.root / "checkout" / VICTIM)): path.read_bytes()})
        old.commit("old")
        c.mirror("old", old)
        c.stop()
        c.start().wait_serving()
        c.sync("old", good=None)
        self.assertEqual(c.history("old", VICTIM)[0]["event"], "refused")
        self.wait_versions(c, {OTHER: "1.0.0"})
        library.write(VICTIM, "Again.")
        library.commit("again")
        for member in line:
            self.wait_versions(member, {OTHER: "1.0.0", VICTIM: "2.0.0"})
            self.assertEqual(self.tombstone(member).status, 404)

    def test_of_a_local_pack(self):
        """A's operator is the publisher: the packs lie in A's own directory."""
        a = self.member("a")
        for path in FIRST:
            mirror_world.lay_pack(a.packs, path)
        self.anna.sign_all(a.packs)
        b = self.member("b").peer("a", a)
        for member in (a, b):
            member.start().wait_serving()
        self.wait_versions(b, FIRST)
        self.anna.sign(a.packs / VICTIM, VICTIM, "--withdraw")
        a.stop()
        a.start().wait_serving()
        signed = (a.packs / VICTIM / "manifest.sig").read_bytes()
        for member in (a, b):
            self.wait_versions(member, {OTHER: "1.0.0"})
            self.assertEqual(self.tombstone(member).body, signed, member.name)

    def test_forged(self):
        """A peer that hides a pack and says that it was withdrawn must show what its publisher has signed."""
        library = self.library()
        mallory = self.world.publisher("mallory")
        more = [f"arts/{number}" for number in range(8)]
        library.write_many(more)
        library.commit("more")
        everything = {**FIRST, **dict.fromkeys(more, "1.0.0")}
        a = self.member("a").mirror("library", library)
        a.start().wait_serving()
        self.wait_versions(a, everything)
        proxy = doctored.Doctored(a)
        self.addCleanup(proxy.close)
        b = self.member("b", [self.anna, mallory]).peer("a", a, url=proxy.url)
        b.start().wait_serving()
        self.wait_versions(b, everything)
        mirror_world.lay_pack(self.world.root / "forged", VICTIM)
        mallory.sign(self.world.root / "forged" / VICTIM, VICTIM, "--withdraw")
        forged = (self.world.root / "forged" / VICTIM / "manifest.sig").read_bytes()
        renamed = json.dumps({**json.loads(forged), "signer_name": "anna"}).encode()
        for path, lie in ((VICTIM, forged), (more[0], renamed)):
            proxy.doctor = lambda target, status, body, lie=lie: (200, lie) if "/catalog/tombstones/" in target else (status, body)
            library.remove(path)
            library.commit("lose")
            a.sync("library", prune=True)
            broker.wait_until(lambda: b.source_status("a")["packs"]["gone"] == (1 if path == VICTIM else 2), "B to miss it")
            self.assertTrue([target for target in proxy.targets if target.endswith(f"/catalog/tombstones/{path}")])
            self.assertEqual(b.versions(), everything)
            self.assertEqual(self.tombstone(b, path).status, 404)
        b.verified()
        self.assertEqual([row for row in b.history("a") if row["event"] == "withdrawn"], [])


if __name__ == "__main__":
    broker.main()

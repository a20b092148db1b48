# SPDX-License-Identifier: MIT
"""Brokers that mirror brokers: in a line, in a ring, behind a token; and peers that lie, which are told apart.

Every state is judged by lib/checker.py, which recomputes all that is served. Two brokers hold the same when their items have the same
digests; then the roots are equal, too.
"""
import json
import re
import signal

from lib import broker, checker, doctored, mirror_world

PATHS = [f"{shelf}/{number}" for shelf in ("arts", "history", "law") for number in range(4)]
FIRST = dict.fromkeys(PATHS, "1.0.0")


class PeersTest(mirror_world.MirrorTest):
    def library(self, paths=None):
        library = self.world.repository("library", self.anna)
        library.write_many(paths or PATHS)
        library.commit("first")
        return library

    def same_everywhere(self, members, expected):
        """All of them serve exactly these versions, verified, bit for bit the same, with one root."""
        for member in members:
            self.wait_versions(member, expected)
        reports = [member.verified() for member in members]
        for member, report in zip(members, reports):
            self.assertEqual(report.content(), reports[0].content(), member.name)
            self.assertEqual(report.root, reports[0].root, member.name)
        for one, other in zip(members, members[1:] + members[:1]):
            done = broker.run("diff", one.address, "--at", other.address, "--json")
            self.assertEqual((done.returncode, broker.sanitizer_report(done.stderr)), (0, None), done.stderr)
            self.assertEqual(json.loads(done.stdout)["differences"], [])
        return reports[0]

    def peer_line(self, member, name):
        """What `kontor peers` says of one peer, as a person and as a program read it."""
        shown = member.command("peers")
        self.assertEqual((shown.returncode, broker.sanitizer_report(shown.stderr)), (0, None), shown.stderr)
        listed = member.command("peers", "--json")
        entry = next(entry for entry in json.loads(listed.stdout)["peers"] if entry["name"] == name)
        return shown.stdout, entry


class Lines(PeersTest):
    def test_three_in_a_line(self):
        """A has the repository, B knows A, C knows B: what a publisher commits arrives everywhere as it was signed."""
        library = self.library()
        a = self.member("a").mirror("library", library)
        b = self.member("b").peer("a", a, removals="follow")
        c = self.member("c").peer("b", b, removals="follow")
        line = [a, b, c]
        for member in line:
            member.start().wait_serving()
        self.same_everywhere(line, FIRST)

        library.write(PATHS[0], "Changed.")
        library.write("music/new", "Added.")
        library.commit("change and add")
        expected = {**FIRST, PATHS[0]: "2.0.0", "music/new": "1.0.0"}
        self.same_everywhere(line, expected)

        library.withdraw(PATHS[1])
        library.commit("withdraw")
        del expected[PATHS[1]]
        self.same_everywhere(line, expected)

        # Nobody takes a pack that only disappears for withdrawn, wherever it disappears.
        library.remove(PATHS[2])
        library.write(PATHS[3], "Changed.")
        library.commit("lose one")
        expected[PATHS[3]] = "2.0.0"
        report = self.same_everywhere(line, expected)
        self.assertIn(PATHS[2], report.packs)

        for hit in c.search("Changed"):
            self.assertIn(hit["pack_path"], expected)
        self.assertIn(PATHS[3], [hit["pack_path"] for hit in c.search("Changed")])

    def test_the_middle_goes_away(self):
        """C goes on serving while B is away, and catches up afterwards; B, started again, has forgotten nothing."""
        library = self.library()
        a = self.member("a").mirror("library", library)
        b = self.member("b").peer("a", a)
        c = self.member("c").peer("b", b)
        for member in (a, b, c):
            member.start().wait_serving()
        self.same_everywhere([a, b, c], FIRST)
        b.stop()
        library.write(PATHS[0], "Meanwhile.")
        library.commit("meanwhile")
        expected = {**FIRST, PATHS[0]: "2.0.0"}
        self.wait_versions(a, expected)
        broker.wait_until(lambda: c.source_status("b")["failures"] > 0, "C to miss B")
        self.assertEqual(c.verified().content().keys(), FIRST.keys())
        b.start().wait_serving()
        c.sync("b", good=None)
        self.same_everywhere([a, b, c], expected)

    def test_a_ring(self):
        """A knows C, C knows B, B knows A, and A has the repository: changes go round once and then there is peace."""
        library = self.library()
        a, b, c = ring = [self.member(name) for name in "abc"]
        a.mirror("library", library).peer("c", c, removals="follow")
        b.peer("a", a, removals="follow")
        c.peer("b", b, removals="follow")
        for member in ring:
            member.start().wait_serving()
        self.same_everywhere(ring, FIRST)
        library.write(PATHS[0], "Changed.")
        library.withdraw(PATHS[1])
        library.commit("change and withdraw")
        expected = {**FIRST, PATHS[0]: "2.0.0"}
        del expected[PATHS[1]]
        self.same_everywhere(ring, expected)
        generations = [member.verified().generation for member in ring]
        for _ in range(3):
            for member, peer in zip(ring, ("c", "a", "b")):
                member.sync(peer)
        self.assertEqual([member.verified().generation for member in ring], generations, "nothing has changed")

    def test_a_part_of_a_peer(self):
        """Globs say what is wanted; what is not wanted is not asked for."""
        library = self.library()
        a = self.member("a").mirror("library", library)
        a.start().wait_serving()
        self.wait_versions(a, FIRST)
        proxy = doctored.Doctored(a)
        self.addCleanup(proxy.close)
        b = self.member("b").peer("a", a, url=proxy.url, include=["history/*"], exclude=["history/0"])
        b.start().wait_serving()
        self.wait_versions(b, {path: "1.0.0" for path in PATHS if path.startswith("history/") and path != "history/0"})
        b.verified()
        self.assertEqual([target for target in proxy.targets if "/packs/arts" in target or "/packs/law" in target], [])

    def test_local_packs_win(self):
        """The operator's own pack stands before a mirrored one of its path, and the mirrored one comes back without it."""
        library = self.library()
        a = self.member("a").mirror("library", library)
        b = self.member("b").peer("a", a)
        mirror_world.lay_pack(b.packs, PATHS[0], "7.0.0", "My own words.")
        self.anna.sign(b.packs / PATHS[0], PATHS[0])
        for member in (a, b):
            member.start().wait_serving()
        self.wait_versions(b, {**FIRST, PATHS[0]: "7.0.0"})
        b.verified()
        mirror_world.shutil.rmtree(b.packs / PATHS[0])
        b.signal(signal.SIGHUP)
        self.same_everywhere([a, b], FIRST)


class Private(PeersTest):
    SECRET = ["secret/plan", "secret/price"]

    def setUp(self):
        super().setUp()
        library = self.library(PATHS[:4])
        vault = self.world.repository("vault", self.anna)
        vault.write_many(self.SECRET, "Zanzibar confidential.")
        vault.commit("secret")
        self.vault = vault
        self.b = self.member("b").mirror("library", library).mirror("vault", vault, visibility="private")
        self.b.start().wait_serving()
        self.public = dict.fromkeys(PATHS[:4], "1.0.0")
        self.all = {**self.public, **dict.fromkeys(self.SECRET, "1.0.0")}
        self.wait_versions(self.b, self.public)

    def token(self, member, *options):
        """A new read token."""
        done = member.command("token", "new", *options, "--json")
        self.assertEqual((done.returncode, broker.sanitizer_report(done.stderr)), (0, None), done.stderr)
        return json.loads(done.stdout)

    def revoke(self, member, token):
        done = member.command("token", "revoke", token["name"])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_behind_a_token(self):
        """C with a token has B's private packs and shows them to nobody without a token of its own; D without one has none."""
        token = self.token(self.b, "c")
        self.wait_versions(self.b, self.all, token["token"])
        c, d = self.member("c"), self.member("d")
        (c.data / "b.token").write_text(token["token"] + "\n")
        (c.data / "b.token").chmod(0o600)
        c.peer("b", self.b, token_file="b.token")
        d.peer("b", self.b)
        for member in (c, d):
            member.start().wait_serving()
        self.wait_versions(d, self.public)
        granted = self.token(c, "reader", "--path", "secret/**")
        self.wait_versions(c, dict.fromkeys(self.SECRET, "1.0.0"), granted["token"])
        # What a token shows is marked private as a whole: C cannot know which of it B shows to everybody.
        everything = self.token(c, "all")
        self.wait_versions(c, self.all, everything["token"])
        seen_at_b, seen_at_c = self.b.verified(token["token"]), c.verified(everything["token"])
        self.assertEqual(seen_at_b.content(), seen_at_c.content())
        self.assertEqual(seen_at_b.root, seen_at_c.root)
        self.assertEqual(c.verified().content(), {})
        self.assertEqual(d.verified().content(), self.b.verified().content())
        self.strangers_see_nothing(self.b)
        self.strangers_see_nothing(c)
        self.strangers_see_nothing(d)
        self.changes_arrive_and_end(c, token, granted)

    def strangers_see_nothing(self, member):
        """No name and no word of the private packs in any answer; the same as of packs that never were."""
        for target in ("/", "/packs", "/packs/summaries", "/tree", "/catalog", "/catalog/digest", "/catalog/checkpoint", "/metrics", "/version",
                       "/catalog/changes?since=0", "/publishers"):
            body = member.get(target).body
            self.assertNotIn(b"secret", body, (member.name, target))
            self.assertNotIn(b"anzibar", body, (member.name, target))
        for secret, nothing in (("/packs/secret/plan/wiki/index.md", "/packs/secret/none/wiki/index.md"), ("/tree/secret", "/tree/nothere"),
                                ("/packs/secret/plan/manifest.yaml", "/packs/secret/none/manifest.yaml"),
                                ("/packs/secret/plan/manifest.sig", "/packs/secret/none/manifest.sig")):
            first, second = member.get(secret), member.get(nothing)
            self.assertEqual((first.status, first.body), (second.status, second.body), secret)
        self.assertEqual(member.search("Zanzibar confidential"), [])

    def changes_arrive_and_end(self, c, token, granted):
        """A change arrives; a token that is revoked is an alarm at C, and what C has it keeps."""
        self.vault.write(self.SECRET[0], "Zanzibar again.")
        self.vault.commit("change")
        expected = {**dict.fromkeys(self.SECRET, "1.0.0"), self.SECRET[0]: "2.0.0"}
        self.wait_versions(c, expected, granted["token"])
        self.revoke(self.b, token)
        self.wait_versions(self.b, self.public, token["token"])
        broker.wait_until(lambda: c.source_status("b")["alarm"] == "token", "the alarm of a token that is taken no more")
        text, entry = self.peer_line(c, "b")
        self.assertEqual(entry["alarm"], "token", entry)
        self.assertIn("token", text)
        self.assertEqual(c.verified(granted["token"]).packs.keys(), expected.keys())
        self.strangers_see_nothing(c)

    def test_a_token_that_is_in_no_url_and_no_log(self):
        token = self.token(self.b, "c")
        proxy = doctored.Doctored(self.b)
        self.addCleanup(proxy.close)
        c = self.member("c")
        (c.data / "b.token").write_text(token["token"] + "\n")
        (c.data / "b.token").chmod(0o600)
        c.peer("b", self.b, url=proxy.url, token_file="b.token")
        c.start().wait_serving()
        everything = self.token(c, "all")
        self.wait_versions(c, self.all, everything["token"])
        self.assertEqual(proxy.tokens, {f"Bearer {token['token']}"})
        said = [*proxy.targets, c.log(), self.b.log(), c.command("mirror", "status").stdout, c.command("peers", "--json").stdout,
                c.command("config", "show").stdout, (c.data / "kontor.yaml").read_text(), (self.b.data / "read_tokens.json").read_text()]
        self.assertEqual([text for text in said if token["token"] in text], [])
        command_line = (broker.pathlib.Path(f"/proc/{c.pid}/cmdline").read_bytes())
        self.assertNotIn(token["token"].encode(), command_line)


class Liars(PeersTest):
    """A peer with the right key that does not tell the truth."""

    def setUp(self):
        super().setUp()
        self.source = self.library(PATHS[:6])
        self.served = dict.fromkeys(PATHS[:6], "1.0.0")
        self.a = self.member("a").mirror("library", self.source)
        self.a.start().wait_serving()
        self.wait_versions(self.a, self.served)
        raw = self.world.root / "broker.raw"
        self.world.kontor("key", "export", self.a.data / "keys/broker.key", "--to", "raw-secret", "--out", raw)
        self.liar = doctored.Doctored(self.a, raw.read_bytes())
        self.addCleanup(self.liar.close)
        self.first_note = self.a.get("/catalog/checkpoint").body
        self.b = self.member("b").peer("liar", self.a, url=self.liar.url, interval="1h")
        self.b.start().wait_serving()
        self.wait_versions(self.b, self.served)
        self.before = self.b.verified()

    def change(self, text="Changed."):
        """The true A goes on by one change."""
        self.source.write(PATHS[0], text)
        self.source.commit("change")
        self.served[PATHS[0]] = f"{self.source.versions[PATHS[0]]}.0.0"
        self.wait_versions(self.a, self.served)

    def told_apart(self, kind, words=""):
        """The lie has its own name in every place, and nothing of it counts."""
        counted = self.counted(kind)
        self.b.sync("liar", good=None)
        text, entry = self.peer_line(self.b, "liar")
        self.assertEqual(entry["alarm"], kind, (entry, self.b.log()[-3000:]))
        self.assertRegex(text, kind)
        self.assertIn(words, entry["alarm_reason"])
        rows = [row for row in self.b.history("liar") if row["event"] == "alarm"]
        self.assertIn(kind, rows[0]["reason"] + rows[0]["rule"])
        self.assertGreater(self.counted(kind), counted)
        self.assertEqual(self.b.verified().content(), self.before.content())

    def counted(self, kind):
        """The number of alarms in /metrics, of this kind where kinds are told."""
        total = 0.0
        for line in self.b.get("/metrics").text.splitlines():
            match = re.match(r"kontor_mirror_alarms_total(?:\{([^}]*)\})? (\S+)", line)
            if match and (not match[1] or kind in match[1]):
                total += float(match[2])
        return total

    def all_is_well(self, **wishes):
        """The peer tells the truth again, and is believed."""
        self.liar.doctor = None
        self.b.sync("liar", **wishes)
        self.assertEqual(self.peer_line(self.b, "liar")[1]["alarm"], "")
        self.same_everywhere([self.a, self.b], self.served)

    def test_rollback(self):
        self.change()
        self.b.sync("liar")
        self.same_everywhere([self.a, self.b], self.served)
        self.before = self.b.verified()
        self.liar.replay(self.first_note)
        self.told_apart("rollback")
        self.all_is_well(reset=True)

    def test_fork(self):
        """Two catalogs of one generation: both notes are kept, and the peer is not believed until somebody has looked."""
        self.liar.another_root()
        self.told_apart("fork")
        evidence = [file for file in (self.b.data / "store/evidence").rglob("*") if file.is_file()]
        notes = b"".join(file.read_bytes() for file in evidence)
        self.assertIn(self.first_note, notes)
        self.assertEqual(notes.count("\u2014 a.example ".encode()), 2)
        self.change()
        self.liar.doctor = None
        self.b.sync("liar", good=None)
        self.assertEqual(self.peer_line(self.b, "liar")[1]["alarm"], "fork", "not forgotten")
        self.assertEqual(self.b.verified().content(), self.before.content())
        self.b.stop()
        self.b.start().wait_serving()
        self.b.sync("liar", good=None)
        self.assertEqual(self.peer_line(self.b, "liar")[1]["alarm"], "fork", "not even over a restart")
        self.all_is_well(reset=True)

    def test_stale(self):
        self.liar.expired()
        self.told_apart("stale")
        self.all_is_well()

    def test_a_root_that_fits_nothing(self):
        self.change()
        self.liar.another_root_later()
        self.told_apart("mismatch")
        self.liar.doctor = None
        self.b.sync("liar", good=None)

    def test_other_items_than_promised(self):
        """The checkpoint is true, the journal and the digests are not."""
        self.change()
        self.liar.doctor = lambda target, status, body: (status, body.replace(b'"2.0.0"', b'"3.0.0"')) \
            if target.startswith(("/catalog/changes", "/catalog/digest")) else (status, body)
        self.told_apart("mismatch")
        self.all_is_well()

    def test_a_wrong_key(self):
        """Another key than the pinned one: an error with its own words, no alarm about a catalog."""
        stranger = self.world.root / "stranger.key"
        self.world.kontor("key", "new", "--out", stranger, "--name", "stranger")
        raw = self.world.root / "stranger.raw"
        self.world.kontor("key", "export", stranger, "--to", "raw-secret", "--out", raw)
        self.liar.key = doctored.nacl.signing.SigningKey(raw.read_bytes())
        self.change()
        self.liar.resigned(lambda lines: lines)
        self.b.sync("liar", good=False)
        self.assertRegex(self.b.source_status("liar")["detail"], "sign|key")
        self.assertEqual(self.b.verified().content(), self.before.content())
        self.all_is_well()

    def test_other_pages_than_signed(self):
        """The catalog is true, the files are not: refused by the rule of hashes, and taken when they are true."""
        self.change()
        self.liar.doctor = lambda target, status, body: (status, body.replace(b"Changed.", b"Chained.")) \
            if target.startswith(("/packs/", "/blobs/")) else (status, body)
        self.b.sync("liar", good=None)
        self.assertEqual(self.b.verified().content(), self.before.content())
        status = self.b.source_status("liar")
        self.assertTrue(status["packs"]["refused"] or status["failures"], status)
        self.all_is_well(full=True)

    def test_the_checker_catches_lies(self):
        """What judges all others here is judged itself: each lie that this file knows is a mismatch."""
        verifier = checker.verifier_key("a.example", checker.base64.b64decode(self.a.broker_key))
        judge = checker.Checker(checker.wire.split_address(self.liar.url), verifier=verifier)
        self.addCleanup(judge.close)
        self.assertEqual(judge.check(self.a.trusted).content(), self.before.content())
        lies = [(self.liar.another_root, ()), (self.liar.another_root_later, ()), (self.liar.expired, ()),
                (self.liar.other_bytes, ("/packs/arts/0/wiki/concepts/", lambda body: body.replace(b"First", b"Frist"))),
                (self.liar.other_bytes, ("/packs/arts/0/manifest.sig", lambda body: body.replace(b'"1.0.0"', b'"1.0.1"'))),
                (self.liar.other_bytes, ("/packs/arts/0/wiki/assets", lambda body: body + b"x")),
                (self.liar.other_bytes, ("/catalog?", lambda body: body.replace(b'"pages":2', b'"pages":3', 1))),
                (self.liar.other_bytes, ("/catalog/releases/", lambda body: body + b" ")),
                (self.liar.other_bytes, ("/blobs/", lambda body: body + b" ")),
                (self.liar.other_bytes, ("/packs", lambda body: body.replace(b'"arts/0",', b"")))]
        for number, (lie, arguments) in enumerate(lies):
            lie(*arguments)
            with self.subTest(number):
                with self.assertRaises(checker.Mismatch):
                    judge.check(self.a.trusted)
        self.liar.doctor = None
        with self.assertRaises(checker.Mismatch):
            judge.check({"a" * 16})


if __name__ == "__main__":
    broker.main()

# SPDX-License-Identifier: MIT
"""Nothing outside a pack is ever read, whatever stands in a URL, an index row, a link or a name."""
import os

from lib import broker, packs

SECRET = "kontor-secret-outside-of-every-pack"


class Paths(broker.SharedBrokerTest):
    options = {"config": "limits: {search_per_minute: 0}\n"}

    @classmethod
    def prepare(cls, kontor):
        packs.library(kontor.packs)
        (kontor.data / "secret.md").write_text(SECRET)
        (kontor.data / "packs-sibling").mkdir()
        packs.pack(kontor.data / "packs-sibling", "p", [("s", SECRET, SECRET, SECRET)])
        packs.write(kontor.packs, "evil", {
            "manifest.yaml": packs.manifest("evil", "Index rows that point outside."),
            "wiki/index.md": packs.index([("../../../secret.md", "Dots", "uniquedots"), ("/etc/passwd", "Absolute", "uniqueabsolute"),
                                          ("link.md", "Link", "uniquelink"), ("linked/secret.md", "Linked", "uniquelinked"),
                                          ("a" * 300 + ".md", "Long", "uniquelong"), ("con\x01trol.md", "Control", "uniquecontrol"),
                                          ("..%2f..%2f..%2fsecret.md", "Encoded", "uniqueencoded"), ("good.md", "Good", "uniquegood"),
                                          ("fifo.md", "Fifo", "uniquefifo"), ("\\..\\..\\secret.md", "Backslash", "uniqueback")]),
            "wiki/good.md": "# Good\n\ngoodbody\n", "wiki/named %41.md": "percent\n", "wiki/ümläut.md": "umlaut\n",
            "wiki/-dash.md": "dash\n", "wiki/.dot.md": "dot\n"})
        wiki = kontor.packs / "evil/wiki"
        os.symlink(kontor.data / "secret.md", wiki / "link.md")
        os.symlink(kontor.data, wiki / "linked")
        os.symlink("good.md", wiki / "inside-link.md")
        os.mkfifo(wiki / "fifo.md")
        os.symlink(kontor.data / "packs-sibling", kontor.packs / "sibling")
        os.symlink("/", kontor.packs / "evil/root")
        (wiki / "unreadable.md").write_text(SECRET)
        packs.write(kontor.packs, "evil-utf8", {"wiki/index.md": b"# x\n| a.md | t\xff | s |\n"})
        packs.write(kontor.packs, "evil-link", {"raw/x.md": "x"})
        os.symlink(kontor.data / "packs-sibling/p/wiki", kontor.packs / "evil-link/wiki")
        os.symlink(kontor.data / "secret.md", kontor.packs / "evil-link/manifest.yaml")

    def harmless(self, target):
        """No answer holds the secret or a system file, and none is a server error or a redirect."""
        with self.kontor.connect() as connection:
            connection.send(b"GET " + target + b" HTTP/1.1\r\nHost: t\r\n\r\n")
            reply = connection.read_response()
        self.assertNotIn(SECRET.encode(), reply.body, target)
        self.assertNotIn(b"root:", reply.body, target)
        self.assertIn(reply.status, (400, 403, 404), target)

    def test_traversal_in_urls(self):
        steps = [b"../", b"..%2f", b"%2e%2e/", b"%2e%2e%2f", b".%2e/", b"..%5c", b"..\\", b"%252e%252e%252f", b"....//", b"..;/",
                 b"..%c0%af", b"%c0%ae%c0%ae/", b"..%00/", b"./../"]
        prefixes = [b"/packs/evil/wiki/", b"/packs/", b"/tree/", b"/packs/evil/", b"/packs/docker/wiki/concepts/", b"/"]
        for prefix in prefixes:
            for step in steps:
                for depth in (1, 2, 3, 8):
                    self.harmless(prefix + step * depth + b"secret.md")
                self.harmless(prefix + step * 8 + b"etc/passwd")
        for target in (b"/tree/..", b"/tree/../packs-sibling", b"/tree/%2e%2e", b"/packs/..", b"/packs/../wiki/index.md",
                       b"/packs/./wiki/secret.md", b"/packs/../packs-sibling/p/wiki/index.md", b"/packs/../secret.md",
                       b"/tree/../packs-sibling/p", b"/packs/evil/../../secret.md", b"/packs//etc/wiki/passwd",
                       b"/packs/%2fetc/wiki/passwd", b"/packs/evil/wiki//etc/passwd", b"/packs/evil/wiki/%2fetc%2fpasswd"):
            self.harmless(target)

    def test_nul_control_characters_and_bad_escapes(self):
        for target in (b"/tree/%00", b"/packs/docker/wiki/index.md%00", b"/packs/docker%00/wiki/index.md", b"/packs/docker/wiki/index.md%00.png",
                       b"/tree/%0a", b"/tree/%0d%0aX-Injected:%20y", b"/packs/docker/wiki/%zz", b"/packs/docker/wiki/%", b"/packs/docker/wiki/%4",
                       b"/tree/%ff", b"/tree/%ed%a0%80", b"/tree/%f8%88%80%80%80", b"/packs/docker/wiki/\xff.md", b"/tree/%7f"):
            self.harmless(target)

    def test_overlong_paths(self):
        for target in (b"/tree/" + b"a" * 256, b"/tree/" + b"a/" * 200 + b"a", b"/packs/docker/wiki/" + b"b" * 300 + b".md",
                       b"/packs/" + b"c" * 600 + b"/wiki/index.md", b"/packs/docker/wiki/" + b"d/" * 400 + b"x.md",
                       b"/packs/docker/wiki/" + b"%41" * 300):
            self.harmless(target)

    def test_symbolic_links_are_not_followed(self):
        for target in (b"/packs/evil/wiki/link.md", b"/packs/evil/wiki/linked/secret.md", b"/packs/sibling/p/wiki/index.md",
                       b"/packs/evil/root/etc/passwd", b"/packs/evil-link/wiki/index.md", b"/packs/evil-link/manifest.yaml",
                       b"/tree/sibling/p", b"/packs/evil/wiki/linked", b"/packs/evil/wiki/fifo.md"):
            self.harmless(target)

    def test_linked_packs_are_not_listed(self):
        self.assertNotIn("sibling", self.kontor.get("/tree").json())
        self.assertEqual([p for p in self.kontor.get("/packs").json() if "sibling" in p or p == "evil-link"], [])

    def test_index_rows_that_point_outside_bring_nothing_in(self):
        for word in (SECRET, "kontor-secret", "root x 0 0", "secret"):
            for result in self.kontor.search(word):
                self.assertNotIn(SECRET, str(result), word)
        hits = self.kontor.search("uniquegood")
        self.assertEqual([hit["page_file"] for hit in hits], ["good.md"])
        self.assertEqual(self.kontor.search("goodbody")[0]["page_file"], "good.md")

    def test_other_pages_of_an_evil_pack_are_served(self):
        self.assertEqual(self.kontor.get("/packs/evil/wiki/good.md").body, b"# Good\n\ngoodbody\n")
        self.assertEqual(self.kontor.get("/packs/evil/wiki/named%20%2541.md").body, b"percent\n")
        self.assertEqual(self.kontor.get("/packs/evil/wiki/%C3%BCml%C3%A4ut.md").body, b"umlaut\n")
        self.assertEqual(self.kontor.get("/packs/evil/wiki/-dash.md").body, b"dash\n")
        self.assertEqual(self.kontor.get("/packs/docker/wiki/index.md").status, 200)

    def test_a_malformed_pack_stops_nobody_and_is_named(self):
        status = self.kontor.command("status")
        self.assertIn("evil-utf8", status.stdout + status.stderr)
        self.assertNotIn("evil-utf8", self.kontor.get("/packs").json())

    def test_scope_cannot_reach_outside(self):
        for scope in ("..", "../x", "a/../b", "docker%", "dock_r", "a\\b"):
            reply = self.kontor.post_json("/search", {"q": "x", "scope": scope})
            self.assertEqual((reply.status, reply.body), (400, b'{"detail":"invalid scope"}'), scope)


if __name__ == "__main__":
    broker.main()

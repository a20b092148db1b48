# SPDX-License-Identifier: MIT
"""POST /admin/reindex and SIGHUP: who may, what changes, and that nobody ever sees half of it."""
import json
import shutil
import signal
import threading
import time

from lib import broker, packs

TOKEN = "kontor-test-token-one"
SECOND = "kontor-test-token-two"


def stamped(root, path, number, pages=30):
    """A pack whose every page and row carries one number, so that a mixture would show."""
    packs.pack(root, path, [(f"page-{i}", f"Title {number}", f"generation{number}", f"body{number}") for i in range(pages)],
               summary=f"summary{number}")


class Reindex(broker.BrokerTest):
    def serving(self, **options):
        options.setdefault("config", "limits: {search_per_minute: 0}\n")
        options.setdefault("env", {"OCC_REINDEX_TOKEN": TOKEN})
        return self.broker(prepare=lambda b: packs.library(b.packs), **options).wait_serving()

    def done(self, reply):
        self.assertEqual((reply.status, reply.type), (200, "application/json"), reply)
        result = reply.json()
        self.assertEqual(set(result) & {"ok", "packs_indexed", "pages_indexed"}, {"ok", "packs_indexed", "pages_indexed"})
        self.assertIs(result["ok"], True)
        return result["packs_indexed"], result["pages_indexed"]

    def test_tokens(self):
        kontor = self.serving()
        for token in ("", "wrong", TOKEN + "x", TOKEN[:-1], TOKEN.upper(), " " * 30):
            reply = kontor.reindex(token)
            self.assertEqual((reply.status, reply.type, reply.body), (401, "application/json", b'{"detail":"invalid token"}'), token)
        self.assertEqual(kontor.post_json("/admin/reindex", {}).status, 401)
        self.done(kontor.reindex(TOKEN))
        # The body is checked before the token, as existing tools see it.
        self.assertEqual(kontor.request("POST", "/admin/reindex", [("X-OCC-Token", "wrong")]).status, 422)
        self.assertEqual(kontor.post_json("/admin/reindex", {"pack_path": 5}, [("X-OCC-Token", TOKEN)]).status, 422)

    def test_several_tokens_from_a_file_can_be_rotated(self):
        def prepare(b):
            packs.library(b.packs)
            (b.data / "admin.tokens").write_text(f"# operators\n{TOKEN}\n\n{SECOND}\n")
            (b.data / "admin.tokens").chmod(0o600)
        kontor = self.broker(config="admin_tokens_file: admin.tokens\n", prepare=prepare).wait_serving()
        self.done(kontor.reindex(TOKEN))
        self.done(kontor.reindex(SECOND))
        self.assertEqual(kontor.reindex("# operators").status, 401)
        self.assertEqual(kontor.reindex("").status, 401)
        (kontor.data / "admin.tokens").write_text(f"{SECOND}\n")
        kontor.signal(signal.SIGHUP)
        broker.wait_until(lambda: kontor.reindex(TOKEN).status == 401, "the withdrawn token to be refused")
        self.done(kontor.reindex(SECOND))

    def test_counts_of_all_and_one(self):
        kontor = self.serving()
        self.assertEqual(self.done(kontor.reindex(TOKEN)), (5, 7))
        self.assertEqual(self.done(kontor.reindex(TOKEN, "")), (5, 7))
        reply = kontor.post_json("/admin/reindex", {"pack_path": None}, [("X-OCC-Token", TOKEN)])
        self.assertEqual(self.done(reply), (5, 7))
        self.assertEqual(self.done(kontor.reindex(TOKEN, "history/rome")), (1, 2))
        self.assertEqual(self.done(kontor.reindex(TOKEN, "nothing/here")), (0, 0))

    def test_bad_paths_are_refused_or_unknown(self):
        kontor = self.serving()
        for path in ("../packs", "/etc", "a/../..", "history/rome/", "x" * 5000, "a\0b", "."):
            reply = kontor.reindex(TOKEN, path)
            self.assertIn(reply.status, (200, 400, 422), (path, reply))
        self.assertEqual(kontor.get("/packs").json(), ["docker", "history/greece", "history/rome", "science", "science/physik"])

    def test_a_new_pack_appears(self):
        kontor = self.serving()
        packs.pack(kontor.packs, "art/baroque", [("bernini", "Bernini", "Sculptor.", "chiaroscuroword")], summary="Baroque.")
        self.assertEqual(self.done(kontor.reindex(TOKEN, "art/baroque")), (1, 1))
        self.assertIn("art/baroque", kontor.get("/packs").json())
        self.assertIn("art", kontor.get("/tree").json())
        self.assertEqual(kontor.get("/packs/summaries").json()["summaries"]["art/baroque"], "Baroque.")
        self.assertEqual(kontor.get("/packs/art/baroque/wiki/concepts/bernini.md").status, 200)
        self.assertEqual(kontor.search("chiaroscuroword")[0]["pack_path"], "art/baroque")

    def test_a_changed_page_is_served_and_found(self):
        kontor = self.serving()
        target = "/packs/docker/wiki/concepts/container.md"
        before = kontor.get(target)
        (kontor.packs / "docker/wiki/concepts/container.md").write_text(packs.page("Container", "Something quixoticword."))
        self.done(kontor.reindex(TOKEN, "docker"))
        after = kontor.get(target, [("If-None-Match", before.header("ETag"))])
        self.assertEqual(after.status, 200)
        self.assertIn(b"quixoticword", after.body)
        self.assertEqual(kontor.search("quixoticword")[0]["page_file"], "concepts/container.md")

    def test_a_removed_pack_disappears_everywhere(self):
        kontor = self.serving()
        shutil.rmtree(kontor.packs / "history/rome")
        self.assertEqual(self.done(kontor.reindex(TOKEN, "history/rome")), (0, 0))
        self.assertNotIn("history/rome", kontor.get("/packs").json())
        self.assertEqual(kontor.get("/packs/history/rome/wiki/index.md").status, 404)
        self.assertEqual(kontor.get("/packs/history/rome/wiki/concepts/caesar.md").status, 404)
        self.assertEqual(kontor.get("/packs/history/rome/manifest.yaml").status, 404)
        self.assertEqual(kontor.search("Rubicon"), [])
        self.assertEqual(kontor.get("/tree/history").json(), {"children": ["greece"], "has_pack": False})

    def test_reindex_of_one_pack_leaves_others_as_they_were(self):
        kontor = self.serving()
        packs.pack(kontor.packs, "later", [("x", "Later", "s", "laterword")])
        packs.pack(kontor.packs, "history/greece", [("athens", "Athens", "A polis.", "polisword")])
        self.done(kontor.reindex(TOKEN, "history/greece"))
        self.assertEqual(len(kontor.search("polisword")), 1)
        self.assertNotIn("later", kontor.get("/packs").json())
        self.done(kontor.reindex(TOKEN))
        self.assertIn("later", kontor.get("/packs").json())

    def test_sighup_scans_the_packs_again(self):
        kontor = self.serving()
        packs.pack(kontor.packs, "hup", [("x", "Hup", "s", "hupword")])
        with kontor.connect() as connection:
            self.assertEqual(connection.request("GET", "/tree").status, 200)
            kontor.signal(signal.SIGHUP)
            broker.wait_until(lambda: kontor.search("hupword"), "the new pack to be found")
            self.assertIn("hup", connection.request("GET", "/packs").json())

    def test_an_unannounced_change_on_disk_never_shows_a_mixture(self):
        """A file replaced in place is served old or new, and its validator belongs to its bytes."""
        kontor = self.serving()
        target = "/packs/docker/wiki/concepts/image.md"
        old = kontor.get(target)
        path = kontor.packs / "docker/wiki/concepts/image.md"
        replacement = path.with_suffix(".tmp")
        replacement.write_text("# New\n\nAnother text.\n")
        replacement.rename(path)
        new = broker.wait_until(lambda: (lambda r: r if r.body != old.body else None)(
            (self.done(kontor.reindex(TOKEN, "docker")), kontor.get(target))[1]), "the new text")
        self.assertEqual(new.body, b"# New\n\nAnother text.\n")
        self.assertNotEqual(new.header("ETag"), old.header("ETag"))

    def test_readers_see_one_generation_while_packs_change(self):
        kontor = self.serving()
        stamped(kontor.packs, "stamp", 0)
        self.done(kontor.reindex(TOKEN, "stamp"))
        failures, stop = [], threading.Event()

        def reader():
            try:
                with kontor.connect() as connection:
                    while not stop.is_set():
                        connection.send_request("POST", "/search", [("Content-Type", "application/json")],
                                                json.dumps({"q": "Title", "k": 50, "scope": "stamp"}).encode())
                        hits = connection.read_response().json()["results"]
                        seen = {(h["title"].split()[1], h["summary"][10:], h["pack_summary"][7:]) for h in hits}
                        if len(hits) != 30 or len(seen) != 1 or len(set(next(iter(seen)))) != 1:
                            failures.append((len(hits), seen))
                        if connection.request("GET", "/packs/stamp/wiki/index.md").status != 200:
                            failures.append("index.md missing")
            except Exception as error:  # pylint: disable=broad-except
                failures.append(repr(error))

        readers = [threading.Thread(target=reader) for _ in range(3)]
        for thread in readers:
            thread.start()
        for number in range(1, 11):
            # A deployment that a reader could catch in the middle: the directory is exchanged by rename.
            stamped(kontor.data / "staging", "stamp", number)
            (kontor.packs / "stamp").rename(kontor.data / f"old-{number}")
            (kontor.data / "staging/stamp").rename(kontor.packs / "stamp")
            self.assertEqual(self.done(kontor.reindex(TOKEN, "stamp")), (1, 30))
        stop.set()
        for thread in readers:
            thread.join()
        # Between the two renames the page is missing on disk; the index of search must never be.
        self.assertEqual([f for f in failures if f != "index.md missing"], [])
        self.assertEqual(kontor.search("generation10", scope="stamp", k=50)[0]["title"], "Title 10")

    def rebuild(self, kontor, generation):
        """How long a rebuild took, and how long the longest of the requests that were made meanwhile."""
        for number in range(60):
            stamped(kontor.packs, f"bulk/p{number}", generation, pages=20)
        result, longest = [], 0.0
        rebuild = threading.Thread(target=lambda: result.append(kontor.reindex(TOKEN)))
        with kontor.connect() as connection:
            began = time.monotonic()
            rebuild.start()
            while rebuild.is_alive():
                started = time.monotonic()
                self.assertEqual(connection.request("GET", "/packs/docker/wiki/index.md").status, 200)
                longest = max(longest, time.monotonic() - started)
        rebuild.join()
        elapsed = time.monotonic() - began
        self.assertEqual(self.done(result[0]), (65, 7 + 1200))
        return elapsed, longest

    def test_other_requests_go_on_during_a_rebuild(self):
        """A request never waits for a rebuild to end. A machine with too much to do may stop one of them for a while, but not in every
        round."""
        kontor = self.serving()
        rounds = []
        while not any(longest < elapsed / 2 for elapsed, longest in rounds):
            self.assertLess(len(rounds), 5, rounds)
            rounds.append(self.rebuild(kontor, len(rounds)))

    def test_a_pack_that_breaks_is_named_and_the_others_stay(self):
        kontor = self.serving()
        (kontor.packs / "docker/wiki/index.md").write_bytes(b"\xff\xfe broken")
        self.done(kontor.reindex(TOKEN))
        self.assertNotIn("docker", kontor.get("/packs").json())
        self.assertIn("history/rome", kontor.get("/packs").json())
        status = kontor.command("status")
        self.assertEqual(status.returncode, 0, status.stderr)
        self.assertIn("docker", status.stdout)
        packs.pack(kontor.packs, "docker", [("container", "Container", "Good again.", "x")])
        self.done(kontor.reindex(TOKEN, "docker"))
        self.assertIn("docker", kontor.get("/packs").json())


if __name__ == "__main__":
    broker.main()

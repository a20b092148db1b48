# SPDX-License-Identifier: MIT
"""GET /catalog, /catalog/releases and /blobs: what another broker asks for."""
import hashlib
import json
import signal
import urllib.parse

from lib import broker, packs

COUNT = 230


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def path_of(number):
    """Some nested in others, siblings that a slash sorts differently from a dash."""
    return f"t{number % 7}/p{number}" + ("/sub" if number % 5 == 0 else "-x" if number % 5 == 1 else "")


class Catalog(broker.BrokerTest):
    def serving(self, prepare, **options):
        kontor = self.broker(prepare=prepare, **options)
        kontor.wait_serving()
        return kontor

    def pages(self, kontor, limit):
        items, cursor, count = [], "", 0
        while True:
            reply = kontor.get(f"/catalog?limit={limit}&cursor={cursor}")
            self.assertEqual(reply.status, 200)
            page = reply.json()
            self.assertLessEqual(len(page["items"]), limit)
            items += page["items"]
            count += 1
            if page["next"] is None:
                return items, count
            cursor = page["next"]

    def library(self, kontor):
        packs.trust(kontor, [packs.PUBLISHER])
        for number in range(COUNT):
            packs.pack(kontor.packs, path_of(number), [("a", "A", "first", f"Page {number}.")])
            if number % 5 == 0 and number % 2 == 0:
                packs.pack(kontor.packs, path_of(number)[:-4], [("a", "A", "first", f"Above {number}.")])
        packs.sign(kontor.packs / path_of(1))
        packs.sign_release(kontor.packs / path_of(2), path_of(2), "3.1.4")
        packs.write(kontor.packs, "no-manifest", {"wiki/index.md": packs.index([])})
        packs.write(kontor.packs, "no-pack", {"manifest.yaml": "name: x\n"})

    def test_paging(self):
        kontor = self.serving(self.library)
        whole, count = self.pages(kontor, 1000)
        self.assertEqual(count, 1)
        paths = [item["path"] for item in whole]
        self.assertEqual(sorted(paths), kontor.get("/packs").json())
        self.assertEqual(paths, sorted(paths, key=lambda path: path.split("/")), "the order of the tree")
        self.assertEqual(len(set(paths)), len(paths))
        for limit in (1, 7, 100, len(paths), len(paths) + 1):
            items, count = self.pages(kontor, limit)
            self.assertEqual(items, whole, limit)
            self.assertEqual(count, max(1, -(-len(paths) // limit)))

    def test_items(self):
        kontor = self.serving(self.library)
        items = {item["path"]: item for item in self.pages(kontor, 1000)[0]}
        plain, signed, release = (items[path_of(number)] for number in (3, 1, 2))
        for number, item in ((3, plain), (1, signed), (2, release)):
            directory = kontor.packs / path_of(number)
            names = ("index.md", "concepts/a.md")
            content = {"manifest_sha256": sha256((directory / "manifest.yaml").read_bytes()),
                       "pages": {name: sha256((directory / "wiki" / name).read_bytes()) for name in names}}
            self.assertEqual(item["content_sha256"], sha256(packs.canonical(content)))
            self.assertEqual(item["bytes"], sum((directory / name).stat().st_size for name in
                                                ("manifest.yaml", "wiki/index.md", "wiki/concepts/a.md")))
            self.assertEqual(item["pages"], 1)
        self.assertEqual((plain["signature"], plain["publisher"], plain["version"], plain["digest"]),
                         ("unsigned", "", "1.0.0", plain["content_sha256"]))
        self.assertEqual((signed["signature"], signed["publisher"], signed["digest"]),
                         ("ok", packs.fingerprint(), signed["content_sha256"]))
        document = json.loads((kontor.packs / path_of(2) / "manifest.sig").read_text())
        self.assertEqual((release["version"], release["published_at"], release["digest"]),
                         ("3.1.4", "2025-06-01T00:00:00Z", sha256(packs.canonical(document["release"]))))
        self.assertEqual((items["no-manifest"]["digest"], items["no-manifest"]["content_sha256"]), (None, None))
        self.assertNotIn("no-pack", items)

    def test_tags(self):
        kontor = self.serving(self.library, env={"OCC_REINDEX_TOKEN": "t"})
        first = kontor.get("/catalog?limit=5")
        tag = first.header("ETag")
        self.assertEqual(kontor.get("/catalog?limit=5", [("If-None-Match", tag)]).status, 304)
        self.assertNotEqual(kontor.get("/catalog?limit=6").header("ETag"), tag)
        kontor.reindex("t")
        self.assertEqual(kontor.get("/catalog?limit=5", [("If-None-Match", tag)]).status, 304, "nothing has changed")
        packs.write(kontor.packs, first.json()["items"][1]["path"], {"wiki/concepts/a.md": "new\n"})
        kontor.reindex("t")
        self.assertEqual(kontor.get("/catalog?limit=5", [("If-None-Match", tag)]).status, 200)
        self.assertEqual(kontor.request("HEAD", "/catalog").status, 200)
        self.assertEqual(kontor.request("POST", "/catalog", body=b"").status, 405)

    def test_a_listing_that_goes_on_while_packs_change(self):
        kontor = self.serving(self.library, env={"OCC_REINDEX_TOKEN": "t"})
        before = kontor.get("/packs").json()
        page = kontor.get("/catalog?limit=50").json()
        seen = [item["path"] for item in page["items"]]
        # The pack the cursor names goes; others come before and after it.
        gone = seen[-1]
        (kontor.packs / gone / "wiki/index.md").unlink()
        packs.pack(kontor.packs, "a-first", [("a", "A", "x", "y")])
        packs.pack(kontor.packs, "z-last", [("a", "A", "x", "y")])
        kontor.reindex("t")
        while page["next"]:
            page = kontor.get(f"/catalog?limit=50&cursor={page['next']}").json()
            seen += [item["path"] for item in page["items"]]
        self.assertEqual(sorted(seen), sorted([*before, "z-last"]))

    def test_hostile_cursors_and_limits(self):
        kontor = self.serving(lambda k: packs.pack(k.packs, "one", [("a", "A", "x", "y")]))
        cursors = ["x", "6", "6f6", "6F", "zz", "00", "2e2e", "2f", "6f2f2e2e2f", "61" * 513, "61" * 3000, "ff", "%", "%00", "%ff",
                   "2e2e2f2e2e", "one", "6f6e65%0a", "-1", "'; DROP TABLE places"]
        for cursor in cursors:
            target = "/catalog?cursor=" + (cursor if "%" in cursor else urllib.parse.quote(cursor))
            self.assertEqual(kontor.get(target).status, 400, cursor)
        for limit in ("0", "-1", "1001", "1e3", "", "x", "99999999999999999999", "1%00", "+5", "0x10"):
            self.assertEqual(kontor.get(f"/catalog?limit={limit}").status, 400, limit)
        self.assertEqual(kontor.get("/catalog?limit=1000").status, 200)
        self.assertEqual(kontor.get("/catalog/").status, 200)
        for path in ("zzz", "a", "one", "one/below"):
            reply = kontor.get(f"/catalog?cursor={path.encode().hex()}")
            self.assertEqual((reply.status, len(reply.json()["items"])), (200, 1 if path == "a" else 0), path)

    def test_an_empty_catalog(self):
        kontor = self.serving(lambda k: None)
        self.assertEqual(kontor.get("/catalog").json(), {"count": 0, "items": [], "next": None})

    # By hash

    def test_blobs(self):
        def prepare(kontor):
            packs.pack(kontor.packs, "one", [("a", "A", "first", "Same text."), ("b", "B", "x", "y" * 4000)])
            packs.pack(kontor.packs, "two", [("a", "A", "first", "Same text.")])
            packs.write(kontor.packs, "one", {"wiki/crlf.md": "a\r\nb\r\n", "wiki/picture.svg": "<svg onload='x'/>",
                                              "wiki/empty.md": ""})
        kontor = self.serving(prepare, env={"OCC_REINDEX_TOKEN": "t"})
        for file in [*kontor.packs.rglob("*.md"), *kontor.packs.rglob("*.svg"), *kontor.packs.rglob("manifest.yaml")]:
            data = packs.served_form(file.read_bytes())
            reply = kontor.get(f"/blobs/sha256/{sha256(data)}")
            self.assertEqual((reply.status, reply.body), (200, data), file)
            self.assertEqual(reply.header("Cache-Control"), "public, max-age=31536000, immutable")
            self.assertEqual(reply.header("X-Content-Type-Options"), "nosniff")
            self.assertEqual(reply.type, "application/octet-stream")
            again = kontor.get(f"/blobs/sha256/{sha256(data)}", [("If-None-Match", reply.header("ETag"))])
            self.assertEqual(again.status, 304)
        big = (kontor.packs / "one/wiki/concepts/b.md").read_bytes()
        packed = kontor.get(f"/blobs/sha256/{sha256(big)}", [("Accept-Encoding", "gzip")])
        self.assertEqual(packed.gunzip(), big)
        self.assertEqual(kontor.get(f"/blobs/sha256/{sha256(big)}", [("Range", "bytes=0-3")]).body, big[:4])
        # The same page in another pack is still there when the first goes, and gone with the last.
        shared = f"/blobs/sha256/{sha256((kontor.packs / 'two/wiki/concepts/a.md').read_bytes())}"
        for name, status in (("one", 200), ("two", 404)):
            (kontor.packs / name).rename(kontor.data / name)
            kontor.reindex("t", name)
            self.assertEqual(kontor.get(shared).status, status, name)
        for name in ("one", "two"):
            (kontor.data / name).rename(kontor.packs / name)
        kontor.reindex("t")
        self.assertEqual(kontor.get(shared).status, 200)

    def test_blobs_of_a_pack_that_changes(self):
        kontor = self.serving(lambda k: packs.pack(k.packs, "one", [("a", "A", "x", "y")]))
        page = kontor.packs / "one/wiki/concepts/a.md"
        old, new = page.read_bytes(), b"changed\n"
        page.write_bytes(new)
        self.assertEqual(kontor.get(f"/blobs/sha256/{sha256(old)}").status, 404, "changed bytes are not the blob")
        self.assertEqual(kontor.get(f"/blobs/sha256/{sha256(new)}").body, new)

    def test_releases(self):
        def prepare(kontor):
            packs.trust(kontor, [packs.PUBLISHER])
            packs.sign_release(packs.pack(kontor.packs, "one", [("a", "A", "x", "y")]), "one", "1.2.3")
            packs.sign(packs.pack(kontor.packs, "two", [("b", "B", "x", "y")]))
            packs.pack(kontor.packs, "three", [("c", "C", "x", "y")])
            packs.write(kontor.packs, "bad", {})
            bad = packs.pack(kontor.packs, "bad", [("d", "D", "x", "y")])
            packs.sign(bad)
            (bad / "wiki/concepts/d.md").write_text("secret change\n")
        kontor = self.serving(prepare)
        items = {item["path"]: item for item in kontor.get("/catalog").json()["items"]}
        for path in ("one", "two"):
            reply = kontor.get(f"/catalog/releases/{items[path]['digest']}")
            self.assertEqual((reply.status, reply.type), (200, "application/json"))
            self.assertEqual(reply.body, (kontor.packs / path / "manifest.sig").read_bytes())
        self.assertEqual(kontor.get(f"/catalog/releases/{items['three']['digest']}").status, 404, "unsigned")
        self.assertEqual(kontor.get(f"/catalog/releases/{packs.content_sha256(kontor.packs / 'bad')}").status, 404)
        for file in (kontor.packs / "bad").rglob("*"):
            if file.is_file() and file.name != "manifest.yaml":
                self.assertEqual(kontor.get(f"/blobs/sha256/{sha256(file.read_bytes())}").status, 404, file)
        # The page cache forgets as well.
        digest, page = items["one"]["digest"], f"/blobs/sha256/{sha256((kontor.packs / 'one/wiki/concepts/a.md').read_bytes())}"
        self.assertEqual(kontor.get(page).status, 200)
        packs.trust(kontor, [packs.PUBLISHER], revoked=True)
        kontor.signal(signal.SIGHUP)
        broker.wait_until(lambda: kontor.get("/packs").json() == ["three"], "the revocation")
        self.assertEqual(kontor.get(f"/catalog/releases/{digest}").status, 404)
        self.assertEqual(kontor.get(page).status, 404)

    def test_hostile_hashes(self):
        kontor = self.serving(lambda k: packs.pack(k.packs, "one", [("a", "A", "x", "y")]))
        data = (kontor.packs / "one/wiki/concepts/a.md").read_bytes()
        good = sha256(data)
        for hexes in ("", "0", "0" * 63, "0" * 64, "0" * 65, good.upper(), good + "/x", good + "x", "../" + good, "%2e%2e/" + good,
                      "x" * 64, good[:-1] + "%00", good[:-2] + "%ff", "packs/one", "0" * 5000):
            for route in ("/blobs/sha256/", "/catalog/releases/"):
                self.assertEqual(kontor.get(route + hexes).status, 404, (route, hexes))
        self.assertEqual(kontor.get("/blobs/sha256/" + good).status, 200)
        self.assertEqual(kontor.get("/blobs/md5/" + "0" * 32).status, 404)


if __name__ == "__main__":
    broker.main()

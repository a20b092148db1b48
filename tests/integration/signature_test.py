# SPDX-License-Identifier: MIT
"""What signatures, the trust list and the policy decide: who is served, with which state, and what happens when packs change.

Signatures are made here with PyNaCl, by the format and not by the program under test.
"""
import hashlib
import json
import os
import signal
import sqlite3
import stat
import time

import nacl.signing

from lib import broker, packs

STRANGER = nacl.signing.SigningKey(b"s" * 32)
PAGES = [("a", "A", "first", "Alphaword."), ("b", "B", "second", "Betaword.")]


def pack(kontor, path, word="plainword"):
    return packs.pack(kontor.packs, path, PAGES + [("w", "W", "third", word)])


class SignatureTest(broker.BrokerTest):
    def serving(self, prepare, policy="preferred"):
        kontor = self.broker(config=f"signed: {{local: {policy}}}\nlimits: {{search_per_minute: 0}}\n", prepare=prepare,
                             env={"OCC_REINDEX_TOKEN": "t"})
        kontor.wait_serving()
        return kontor

    def states(self, kontor):
        reply = kontor.get("/catalog?limit=1000").json()
        self.assertIsNone(reply["next"])
        self.assertEqual(reply["count"], len(reply["items"]))
        return {item["path"]: item["signature"] for item in reply["items"]}

    def status(self, kontor):
        reply = kontor.command("status", "--json")
        self.assertEqual(reply.returncode, 0, reply.stderr)
        return json.loads(reply.stdout)

    def assert_refused(self, kontor, path, rule, word=None):
        """No route has the pack, nothing counts it, and everything that reports problems says why."""
        slug = f"/packs/{path}"
        for target in (f"{slug}/wiki/index.md", f"{slug}/wiki/concepts/a.md", f"{slug}/manifest.yaml", f"{slug}/manifest.sig"):
            self.assertEqual(kontor.get(target).status, 404, target)
        self.assertEqual(kontor.get(f"/tree/{path}").status, 404)
        self.assertNotIn(path, kontor.get("/packs").json())
        self.assertNotIn(path, kontor.get("/packs/summaries").json()["summaries"])
        self.assertNotIn(path, self.states(kontor))
        self.assertNotIn(f"/packs/{path}/", kontor.get("/").body.decode())
        if word:
            self.assertEqual(kontor.search(word), [])
        entry = next(e for e in self.status(kontor)["packs"] if e["path"] == path)
        self.assertEqual((entry["refused"], entry["signature"], entry["is_pack"]), (True, rule, False))
        self.assertTrue(any(f"pack '{path}'" in line for line in self.status(kontor)["problems"]))
        metrics = kontor.get("/metrics").body.decode()
        self.assertRegex(metrics, rf'kontor_pack_refused{{reason="{rule}"}} [1-9]')
        self.assertIn("pack-refused", kontor.log())

    def hangup(self, kontor, condition, what):
        kontor.signal(signal.SIGHUP)
        broker.wait_until(condition, what)

    # States and policy

    def mixed(self, kontor):
        packs.trust(kontor, [packs.PUBLISHER])
        pack(kontor, "unsigned")
        packs.sign(pack(kontor, "good"))
        packs.sign_release(pack(kontor, "release"), "release", "2.0.0")
        packs.sign(pack(kontor, "stranger"), key=STRANGER)
        tampered = pack(kontor, "tampered", "tamperedword")
        packs.sign(tampered)
        (tampered / "wiki/concepts/b.md").write_text("other\n")
        strange = pack(kontor, "strange-tampered")
        packs.sign(strange, key=STRANGER)
        (strange / "manifest.yaml").write_text("name: other\n")
        packs.sign_release(pack(kontor, "moved"), "somewhere/else")
        packs.sign_release(pack(kontor, "gone"), "gone", withdrawn=True)
        (pack(kontor, "broken") / "manifest.sig").write_text("{not json")
        extra = pack(kontor, "extra")
        packs.sign_release(extra, "extra")
        (extra / "wiki/notes.txt").write_text("not in the release\n")
        forged = packs.sign(pack(kontor, "forged"))
        forged["signature_b64"] = "A" * 86 + "=="
        (kontor.packs / "forged/manifest.sig").write_text(json.dumps(forged))
        posing = packs.sign(pack(kontor, "posing"), key=STRANGER)
        posing["signer_fingerprint"] = packs.fingerprint()
        (kontor.packs / "posing/manifest.sig").write_text(json.dumps(posing))

    BAD = {"tampered": "hash", "strange-tampered": "hash", "moved": "wrong-path", "gone": "withdrawn", "broken": "form",
           "extra": "unlisted", "forged": "signature", "posing": "fingerprint"}

    def test_preferred(self):
        kontor = self.serving(self.mixed)
        self.assertEqual(self.states(kontor), {"unsigned": "unsigned", "good": "ok", "release": "ok", "stranger": "untrusted"})
        for path, rule in self.BAD.items():
            with self.subTest(path=path):
                self.assert_refused(kontor, path, rule)
        self.assertEqual(kontor.search("tamperedword"), [])
        home = kontor.get("/").body.decode()
        self.assertIn("not signed", home)
        self.assertIn("signed by Test Publisher", home)
        self.assertIn("not trusted here", home)
        self.assertEqual(kontor.get("/tree").json(), ["good", "release", "stranger", "unsigned"])
        self.assertEqual(self.status(kontor)["catalog"]["packs"], 4)

    def test_required(self):
        kontor = self.serving(self.mixed, "required")
        self.assertEqual(self.states(kontor), {"good": "ok", "release": "ok"})
        for path, rule in {**self.BAD, "unsigned": "unsigned", "stranger": "untrusted"}.items():
            # Trust comes before the signature; what does not fit is named all the same.
            with self.subTest(path=path):
                self.assert_refused(kontor, path, rule)

    def test_off(self):
        kontor = self.serving(self.mixed, "off")
        states = self.states(kontor)
        self.assertEqual(set(states.values()), {"unchecked"})
        self.assertEqual(len(states), 12)
        self.assertEqual(kontor.get("/packs/tampered/wiki/concepts/b.md").body, b"other\n")
        self.assertIn('kontor_pack_signatures{state="unchecked"} 12', kontor.get("/metrics").body.decode())

    def test_policy_changes_on_reload(self):
        kontor = self.serving(self.mixed)
        kontor.configure("signed: {local: required}\nlimits: {search_per_minute: 0}\n")
        self.hangup(kontor, lambda: set(self.states(kontor)) == {"good", "release"}, "required")
        kontor.configure("signed: {local: 'off'}\nlimits: {search_per_minute: 0}\n")
        self.hangup(kontor, lambda: len(self.states(kontor)) == 12, "off")
        kontor.configure("signed: {local: preferred}\nlimits: {search_per_minute: 0}\n")
        self.hangup(kontor, lambda: len(self.states(kontor)) == 4, "preferred")

    def test_refusals_hide_no_neighbours(self):
        def prepare(kontor):
            pack(kontor, "history/rome/deep")
            (pack(kontor, "history/rome") / "manifest.sig").write_text("[]")
            (pack(kontor, "lonely/pack") / "manifest.sig").write_text("[]")
        kontor = self.serving(prepare)
        self.assertEqual(kontor.get("/tree").json(), ["history"])
        self.assertEqual(kontor.get("/tree/history/rome").json(), {"children": ["deep"], "has_pack": False})
        self.assertEqual(kontor.get("/tree/lonely").status, 404)
        self.assertEqual(kontor.get("/packs/history/rome/deep/wiki/index.md").status, 200)
        self.assertEqual(kontor.get("/packs/history/rome/wiki/index.md").status, 404)

    def test_a_refused_pack_is_not_shown_for_its_directories(self):
        def prepare(kontor):
            bad = pack(kontor, "history/bad")
            (bad / "manifest.sig").write_text("[]")
            (bad / "raw").mkdir()
            (bad / "_refs/empty").mkdir(parents=True)
            (kontor.packs / "plain/raw").mkdir(parents=True)
        kontor = self.serving(prepare)
        self.assert_refused(kontor, "history/bad", "form")
        for path in ("history", "history/bad/raw", "history/bad/_refs", "history/bad/_refs/empty"):
            self.assertEqual(kontor.get(f"/tree/{path}").status, 404, path)
        self.assertEqual(kontor.get("/tree").json(), ["plain"])

    # Trust

    def test_revocation_reads_no_file_again(self):
        def prepare(kontor):
            packs.trust(kontor, [packs.PUBLISHER, STRANGER])
            packs.sign(pack(kontor, "one", "revokedword"))
            packs.sign(pack(kontor, "other"), key=STRANGER)
        kontor = self.serving(prepare)
        self.assertEqual(self.states(kontor), {"one": "ok", "other": "ok"})
        self.assertEqual(len(kontor.search("revokedword")), 1)
        digest = packs.content_sha256(kontor.packs / "one")
        # The pack's files are out of reach: what is known of them must do.
        (kontor.packs).rename(kontor.data / "elsewhere")
        (kontor.packs).write_text("not a directory\n")
        entries = [{"fingerprint": packs.fingerprint(), "name": "Test Publisher", "revoked": True},
                   {"fingerprint": packs.fingerprint(STRANGER), "name": "Other"}]
        (kontor.data / "trusted_publishers.yaml").write_text(json.dumps({"publishers": entries}))
        self.hangup(kontor, lambda: "pack-refused" in kontor.log(), "the refusal")
        broker.wait_until(lambda: "one" not in kontor.get("/packs").json(), "the revocation")
        self.assertEqual(kontor.search("revokedword"), [])
        self.assertEqual(kontor.log().count("pack-refused"), 1)
        self.assertEqual(kontor.get(f"/catalog/releases/{digest}").status, 404)
        (kontor.packs).unlink()
        (kontor.data / "elsewhere").rename(kontor.packs)
        self.hangup(kontor, lambda: self.states(kontor) == {"other": "ok"}, "the scan")
        self.assert_refused(kontor, "one", "revoked")
        # Nothing has changed: nothing is said again.
        said = kontor.log().count("pack-refused")
        kontor.reindex("t")
        kontor.reindex("t", "one")
        self.assertEqual(kontor.log().count("pack-refused"), said, "one line per change")
        packs.trust(kontor, [packs.PUBLISHER, STRANGER])
        self.hangup(kontor, lambda: self.states(kontor) == {"one": "ok", "other": "ok"}, "trust again")
        self.assertEqual(len(kontor.search("revokedword")), 1)
        self.assertIn("pack-served-again", kontor.log())

    def test_revocation_waits_for_no_index(self):
        def prepare(kontor):
            packs.trust(kontor, [packs.PUBLISHER])
            packs.sign(pack(kontor, "one", "revokedword"))
            pack(kontor, "plain", "revokedword")
        kontor = self.serving(prepare)
        self.assertEqual({hit["pack_path"] for hit in kontor.search("revokedword")}, {"one", "plain"})
        # Somebody else holds the index: nothing can be taken out of it.
        index = sqlite3.connect(kontor.data / "index.db", isolation_level=None)
        index.execute("BEGIN IMMEDIATE")
        entries = [{"fingerprint": packs.fingerprint(), "name": "Test Publisher", "revoked": True}]
        (kontor.data / "trusted_publishers.yaml").write_text(json.dumps({"publishers": entries}))
        self.hangup(kontor, lambda: kontor.get("/packs").json() == ["plain"], "the revocation")
        self.assertFalse("index-failed" in kontor.log(), "pages do not wait until the index has given up")
        self.assertEqual([hit["pack_path"] for hit in kontor.search("revokedword")], ["plain"])
        found = kontor.post_json("/lookup_entity", {"term": "revokedword"}).json()["results"]
        self.assertEqual([entity["pack_path"] for entity in found], ["plain"])
        self.assertNotIn("/packs/one/", kontor.get("/?q=revokedword").body.decode())
        index.execute("ROLLBACK")
        index.close()
        kontor.reindex("t")
        self.assert_refused(kontor, "one", "revoked")
        self.assertEqual(len(kontor.search("revokedword")), 1)

    def test_trust_ends_by_itself(self):
        until = time.time() + 3

        def prepare(kontor):
            packs.trust(kontor, [packs.PUBLISHER], until=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until)))
            packs.sign(pack(kontor, "one"))
        kontor = self.serving(prepare, "required")
        if time.time() < until - 1:
            self.assertEqual(self.states(kontor), {"one": "ok"})
        broker.wait_until(lambda: not self.states(kontor), "the end of trust")
        self.assert_refused(kontor, "one", "expired")

    def test_paths(self):
        def prepare(kontor):
            packs.trust(kontor, [packs.PUBLISHER], paths=["history/**"])
            packs.sign(pack(kontor, "history/rome"))
            packs.sign(pack(kontor, "science"))
        kontor = self.serving(prepare)
        self.assertEqual(self.states(kontor), {"history/rome": "ok", "science": "not-for-path"})
        self.assertEqual(kontor.get("/publishers").json(), {"publishers": [
            {"fingerprint": packs.fingerprint(), "name": "Test Publisher", "since": "2025-01-01", "note": "", "paths": ["history/**"]}]})

    def test_a_bad_trust_file(self):
        def prepare(kontor):
            packs.trust(kontor, [packs.PUBLISHER])
            packs.sign(pack(kontor, "one"))
        kontor = self.serving(prepare)
        file = kontor.data / "trusted_publishers.yaml"
        good = file.read_text()
        file.write_text("publishers: {no: list}\n")
        self.hangup(kontor, lambda: "trust-list-kept" in kontor.log(), "the refusal")
        self.assertEqual(self.states(kontor), {"one": "ok"})
        # A bad entry is skipped and named, the others count.
        file.write_text(json.dumps({"publishers": [*json.loads(good)["publishers"], {"fingerprint": "?"}]}))
        self.hangup(kontor, lambda: "trust-entry-skipped" in kontor.log(), "the warning")
        self.assertEqual(self.states(kontor), {"one": "ok"})
        broker.wait_until(lambda: self.status(kontor)["signatures"]["trust_warnings"], "the status")
        # At a start nobody knows who was revoked: it is refused.
        kontor.stop()
        file.write_text("publishers: {no: list}\n")
        kontor.spawn()
        self.assertEqual(kontor.wait_exit(), 1)
        self.assertIn("trusted_publishers.yaml", kontor.log().splitlines()[-1])
        kontor.process = None
        file.write_text(good)
        kontor.start().wait_serving()

    # Changes on disk

    def test_tampering_after_the_scan(self):
        def prepare(kontor):
            packs.trust(kontor, [packs.PUBLISHER])
            packs.sign(pack(kontor, "one"))
        kontor = self.serving(prepare)
        page = kontor.packs / "one/wiki/concepts/b.md"
        before = page.stat()
        text = page.read_bytes()
        page.write_bytes(text.replace(b"Betaword", b"Evilword"))
        os.utime(page, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.assertEqual(page.stat().st_size, before.st_size)
        self.assertEqual(kontor.get("/packs/one/wiki/concepts/b.md").status, 404)
        self.assert_refused(kontor, "one", "hash")
        page.write_bytes(text)
        kontor.reindex("t", "one")
        self.assertEqual(self.states(kontor), {"one": "ok"})
        self.assertEqual(kontor.get("/packs/one/wiki/concepts/b.md").body, text)

    def hashes(self, kontor):
        return sqlite3.connect(kontor.data / "hashes.db", isolation_level=None)

    def poison(self, kontor, path, old, new):
        """Makes the store claim `new` of the file that has the hash `old`: a file whose bytes changed behind an identity that
        did not."""
        with self.hashes(kontor) as db:
            (blob,) = db.execute("SELECT hashes FROM places WHERE path = ?", (path,)).fetchone()
            self.assertEqual(blob.count(old), 1)
            db.execute("UPDATE places SET hashes = ? WHERE path = ?", (blob.replace(old, new), path))

    def test_changed_bytes_behind_the_same_identity(self):
        def prepare(kontor):
            packs.trust(kontor, [packs.PUBLISHER])
            packs.sign(pack(kontor, "one"))
        kontor = self.serving(prepare)
        page = kontor.packs / "one/wiki/concepts/b.md"
        signed = hashlib.sha256(page.read_bytes()).digest()
        page.write_bytes(page.read_bytes().replace(b"Betaword", b"Evilword"))
        kontor.reindex("t", "one")
        self.assert_refused(kontor, "one", "hash")
        kontor.stop()
        self.poison(kontor, "one", hashlib.sha256(page.read_bytes()).digest(), signed)
        kontor.start().wait_serving()
        self.assertEqual(self.states(kontor), {"one": "ok"}, "the store is believed until the file is read")
        self.assertEqual(kontor.get("/packs/one/wiki/concepts/a.md").status, 200)
        reply = kontor.get("/packs/one/wiki/concepts/b.md")
        self.assertEqual(reply.status, 404)
        self.assert_refused(kontor, "one", "hash")
        self.assertIn('kontor_rejections_total{reason="changed-unseen"} 1', kontor.get("/metrics").body.decode())

    def test_a_wrong_store_heals(self):
        kontor = self.serving(lambda k: pack(k, "one"))
        page = (kontor.packs / "one/wiki/concepts/b.md").read_bytes()
        item = kontor.get("/catalog").json()["items"][0]
        kontor.stop()
        self.poison(kontor, "one", hashlib.sha256(page).digest(), bytes(32))
        kontor.start().wait_serving()
        self.assertNotEqual(kontor.get("/catalog").json()["items"][0], item)
        self.assertEqual(kontor.get("/packs/one/wiki/concepts/b.md").body, page)
        self.assertEqual(kontor.get("/catalog").json()["items"][0], item)
        kontor.stop()
        kontor.start().wait_serving()
        self.assertEqual(kontor.get("/catalog").json()["items"][0], item, "the right hash was kept")
        kontor.stop()
        (kontor.data / "hashes.db").write_bytes(b"no database" * 500)
        kontor.start().wait_serving()
        self.assertEqual(kontor.get("/catalog").json()["items"][0], item)
        self.assertIn("hashes-rebuilt", kontor.log())

    def test_hashes_are_kept_across_starts(self):
        kontor = self.serving(lambda k: (pack(k, "one"), pack(k, "two")))
        kontor.stop()
        packs.write(kontor.packs, "two", {"wiki/concepts/a.md": "new\n"})
        (kontor.packs / "one").rename(kontor.packs / "three")
        kontor.start().wait_serving()
        with self.hashes(kontor) as db:
            self.assertEqual(sorted(row[0] for row in db.execute("SELECT path FROM places")), ["three", "two"])

    def test_an_unreadable_page(self):
        if os.geteuid() == 0:
            self.skipTest("root may read everything")
        kontor = self.serving(lambda k: (pack(k, "one") / "wiki/concepts/a.md").chmod(0))
        self.assertEqual(self.states(kontor), {"one": "unsigned"})
        entry = self.status(kontor)["packs"][0]
        self.assertTrue(any("may not be read" in line for line in entry["warnings"]))

    # The broker's key

    def test_the_broker_key(self):
        kontor = self.serving(lambda k: pack(k, "one"))
        file = kontor.data / "keys/broker.key"
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(file.parent.stat().st_mode), 0o700)
        key = self.status(kontor)["key"]
        self.assertRegex(key["fingerprint"], r"\A[a-z2-7]{16}\Z")
        self.assertEqual(kontor.get("/version").json()["key"], key["verifier_key"])
        self.assertIn(key["fingerprint"], kontor.get("/").body.decode())
        text = file.read_text()
        self.assertNotIn(text.splitlines()[-1], kontor.log())
        kontor.stop()
        kontor.start().wait_serving()
        self.assertEqual(self.status(kontor)["key"], key)
        self.assertEqual(file.read_text(), text)

    def refused_start(self, kontor, word):
        kontor.spawn()
        self.assertEqual(kontor.wait_exit(), 1)
        kontor.process = None
        self.assertRegex(kontor.log().splitlines()[-1], rf"broker\.key: .*{word}")

    def test_a_broker_key_that_cannot_be_used(self):
        kontor = self.serving(lambda k: None)
        file = kontor.data / "keys/broker.key"
        text = file.read_text()
        kontor.stop()
        file.chmod(0o644)
        self.refused_start(kontor, "may be read by others")
        file.chmod(0o600)
        file.write_text(text[:40])
        self.refused_start(kontor, "")
        file.write_text("x" * 100000)
        self.refused_start(kontor, "")
        file.unlink()
        file.symlink_to("elsewhere")
        self.refused_start(kontor, "")
        file.unlink()
        file.write_text(text)
        file.chmod(0o600)
        kontor.start().wait_serving()


if __name__ == "__main__":
    broker.main()

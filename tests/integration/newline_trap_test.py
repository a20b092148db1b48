# SPDX-License-Identifier: MIT
"""The newline trap: a signature may have been made over the bytes on the author's disk (CRLF) or over what a broker served (LF).

Each file is served in the form whose hash stands in manifest.sig, and LF-folded when nothing is signed. Whoever downloads a
pack must find every hash right, as a Node does before it writes anything.
"""
import hashlib
import json

from lib import broker, packs

CRLF_INDEX = packs.index([("concepts/a.md", "A", "first"), ("concepts/b.md", "B", "second")]).replace("\n", "\r\n")
PAGE_A = "# A\r\nline\rlone carriage return\nmixed\r\n"
PAGE_B = "\ufeff# B with a mark\r\nüñí\u2028code\r\n"


def crlf_pack(root, path):
    return packs.write(root, path, {"manifest.yaml": packs.manifest("crlf", "Windows.").replace("\n", "\r\n"),
                                    "wiki/index.md": CRLF_INDEX, "wiki/concepts/a.md": PAGE_A, "wiki/concepts/b.md": PAGE_B})


class NewlineTrap(broker.SharedBrokerTest):
    # With another policy, packs whose signature does not fit are not served at all: see signature_test.py.
    options = {"config": "signed: {local: off}\n"}

    @classmethod
    def prepare(cls, kontor):
        crlf_pack(kontor.packs, "unsigned")
        packs.sign(crlf_pack(kontor.packs, "hub"))
        packs.sign(crlf_pack(kontor.packs, "backfilled"), form=packs.served_form)
        mixed = crlf_pack(kontor.packs, "mixed")
        page = (mixed / "wiki/concepts/a.md").read_bytes()
        packs.sign(mixed, hashes={"index.md": hashlib.sha256(packs.served_form(CRLF_INDEX.encode())).hexdigest(),
                                  "concepts/a.md": hashlib.sha256(page).hexdigest(), "concepts/b.md": "0" * 64})
        broken = crlf_pack(kontor.packs, "broken")
        (broken / "manifest.sig").write_text("{not json")

    def served(self, path):
        reply = self.kontor.get(f"/packs/{path}")
        self.assertEqual(reply.status, 200, path)
        return reply.body

    def disk(self, path):
        return (self.kontor.packs / path).read_bytes()

    def install(self, pack):
        """Verifies a pack as a Node does: every page that the signature names, and the manifest, by hash of what is served."""
        signature = json.loads(self.served(f"{pack}/manifest.sig"))
        manifest = self.served(f"{pack}/manifest.yaml")
        self.assertEqual(hashlib.sha256(manifest).hexdigest(), signature["manifest_sha256"], f"{pack}: manifest.yaml")
        for name, wanted in signature["pages"].items():
            text = self.served(f"{pack}/wiki/{name}").decode("utf-8")
            self.assertEqual(hashlib.sha256(text.encode("utf-8")).hexdigest(), wanted, f"{pack}: {name}")

    def test_unsigned_text_is_folded(self):
        for name in ("wiki/index.md", "wiki/concepts/a.md", "wiki/concepts/b.md", "manifest.yaml"):
            self.assertEqual(self.served(f"unsigned/{name}"), packs.served_form(self.disk(f"unsigned/{name}")), name)
        self.assertTrue(self.served("unsigned/wiki/concepts/b.md").startswith(b"\xef\xbb\xbf"), "the mark is part of the text")

    def test_signed_over_disk_bytes_is_served_raw(self):
        self.assertEqual(self.served("hub/wiki/concepts/a.md"), PAGE_A.encode())
        self.install("hub")

    def test_signed_over_served_bytes_is_served_folded(self):
        self.assertEqual(self.served("backfilled/wiki/concepts/a.md"), packs.served_form(PAGE_A.encode()))
        self.install("backfilled")

    def test_the_form_is_chosen_per_file(self):
        self.assertEqual(self.served("mixed/wiki/index.md"), packs.served_form(CRLF_INDEX.encode()))
        self.assertEqual(self.served("mixed/wiki/concepts/a.md"), PAGE_A.encode())
        # Neither form has the signed hash: the folded one is served, and the Node finds out.
        self.assertEqual(self.served("mixed/wiki/concepts/b.md"), packs.served_form(PAGE_B.encode()))

    def test_the_one_segment_index_route_serves_the_same_form(self):
        self.assertEqual(self.served("hub/index.md"), CRLF_INDEX.encode())
        self.assertEqual(self.served("backfilled/index.md"), packs.served_form(CRLF_INDEX.encode()))

    def test_a_broken_signature_counts_as_none(self):
        self.assertEqual(self.served("broken/wiki/concepts/a.md"), packs.served_form(PAGE_A.encode()))
        self.assertEqual(self.served("broken/manifest.sig"), b"{not json")

    def test_compression_and_ranges_use_the_served_form(self):
        reply = self.kontor.get("/packs/hub/wiki/concepts/a.md", [("Range", "bytes=0-4")])
        self.assertEqual(reply.body, PAGE_A.encode()[:5])
        reply = self.kontor.get("/packs/hub/wiki/index.md", [("Accept-Encoding", "gzip")])
        text = reply.gunzip() if reply.header("Content-Encoding") else reply.body
        self.assertEqual(text, CRLF_INDEX.encode())


if __name__ == "__main__":
    broker.main()

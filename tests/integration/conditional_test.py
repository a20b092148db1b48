# SPDX-License-Identifier: MIT
"""ETag, If-None-Match, Range and gzip on what Nodes and browsers fetch again and again."""
from lib import broker, packs

PAGE = "/packs/docker/wiki/long.md"
TEXT = "".join(f"Line {number} of a page that compresses well.\n" for number in range(400)).encode()


class Conditional(broker.SharedBrokerTest):
    @classmethod
    def prepare(cls, kontor):
        packs.library(kontor.packs)
        packs.write(kontor.packs, "docker", {"wiki/long.md": TEXT, "wiki/tiny.md": "x\n", "wiki/none.md": "",
                                             "wiki/assets/a/b.png": bytes(range(256)) * 40})

    def get(self, *headers, target=PAGE, method="GET"):
        return self.kontor.request(method, target, headers)

    # Validators

    def test_the_same_bytes_have_the_same_etag(self):
        first, second = self.get(), self.get()
        self.assertRegex(first.header("ETag"), r'\A(W/)?"[!-~]+"\Z')
        self.assertEqual(first.header("ETag"), second.header("ETag"))
        self.assertNotEqual(first.header("ETag"), self.get(target="/packs/docker/wiki/tiny.md").header("ETag"))

    def test_if_none_match_is_answered_by_304_without_a_body(self):
        tag = self.get().header("ETag")
        for value in (tag, f'"other", {tag}', f'{tag} , "x"', "*", tag if tag.startswith("W/") else f"W/{tag}"):
            reply = self.get(("If-None-Match", value))
            self.assertEqual((reply.status, reply.header("ETag")), (304, tag), value)
            self.assertIn(reply.header("Content-Length"), (None, "0", str(len(TEXT))))

    def test_a_304_keeps_the_connection_in_step(self):
        tag = self.get().header("ETag")
        with self.kontor.connect() as connection:
            for _ in range(5):
                self.assertEqual(connection.request("GET", PAGE, [("If-None-Match", tag)]).status, 304)
                self.assertEqual(connection.request("GET", "/healthz").status, 200)

    def test_if_none_match_that_does_not_match(self):
        tag = self.get().header("ETag")
        for value in ('"other"', tag.strip('"'), '""', tag[:-2] + '"', "", ",", '"'):
            self.assertEqual(self.get(("If-None-Match", value)).status, 200, value)

    def test_head_is_conditional_as_well(self):
        tag = self.get().header("ETag")
        self.assertEqual(self.get(("If-None-Match", tag), method="HEAD").status, 304)

    def test_listings_have_validators_too(self):
        for target in ("/tree", "/packs", "/packs/summaries", "/packs/docker/manifest.yaml", "/packs/docker/index.md"):
            tag = self.get(target=target).header("ETag")
            self.assertIsNotNone(tag, target)
            self.assertEqual(self.get(("If-None-Match", tag), target=target).status, 304, target)

    # Compression

    def test_gzip_when_asked_for(self):
        for value in ("gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8, *;q=0.1", "GZIP", "x-gzip, gzip"):
            reply = self.get(("Accept-Encoding", value))
            self.assertEqual((reply.status, reply.header("Content-Encoding")), (200, "gzip"), value)
            self.assertEqual(reply.gunzip(), TEXT)
            self.assertLess(len(reply.body), len(TEXT) // 4)
            self.assertIn("accept-encoding", reply.header("Vary").lower())

    def test_no_gzip_when_not_asked_for(self):
        for value in (None, "identity", "br", "gzip;q=0", "gzip;q=0.000", "deflate", "agzip", "gzipped"):
            reply = self.get(*([("Accept-Encoding", value)] if value is not None else []))
            self.assertEqual((reply.status, reply.header("Content-Encoding"), reply.body), (200, None, TEXT), value)
            self.assertIn("accept-encoding", (reply.header("Vary") or "").lower(), "caches must know that there are two forms")

    def test_both_forms_have_different_strong_etags(self):
        plain, zipped = self.get(), self.get(("Accept-Encoding", "gzip"))
        if not plain.header("ETag").startswith("W/"):
            self.assertNotEqual(plain.header("ETag"), zipped.header("ETag"))
        reply = self.get(("Accept-Encoding", "gzip"), ("If-None-Match", zipped.header("ETag")))
        self.assertEqual(reply.status, 304)

    def test_what_does_not_shrink_is_left_alone(self):
        for target in ("/packs/docker/wiki/tiny.md", "/packs/docker/wiki/assets/a/b.png", "/packs/docker/wiki/none.md"):
            reply = self.get(("Accept-Encoding", "gzip"), target=target)
            self.assertEqual((reply.status, reply.header("Content-Encoding")), (200, None), target)

    def test_gzip_of_head_names_the_length_of_get(self):
        get = self.get(("Accept-Encoding", "gzip"))
        head = self.get(("Accept-Encoding", "gzip"), method="HEAD")
        self.assertEqual(head.header("Content-Length"), str(len(get.body)))

    # Ranges

    def part(self, value, *headers):
        return self.get(("Range", value), *headers)

    def test_ranges_of_one_part(self):
        size = len(TEXT)
        self.assertEqual(self.get().header("Accept-Ranges"), "bytes")
        for value, first, last in (("bytes=0-9", 0, 9), ("bytes=5-5", 5, 5), (f"bytes={size - 3}-", size - 3, size - 1),
                                   ("bytes=-4", size - 4, size - 1), (f"bytes=-{size * 2}", 0, size - 1),
                                   (f"bytes=10-{size * 9}", 10, size - 1), ("bytes=0-", 0, size - 1)):
            reply = self.part(value)
            self.assertEqual((reply.status, reply.body), (206, TEXT[first:last + 1]), value)
            self.assertEqual(reply.header("Content-Range"), f"bytes {first}-{last}/{size}")
            self.assertEqual(reply.type, "text/markdown; charset=utf-8")

    def test_ranges_outside_the_page_are_416(self):
        for value in (f"bytes={len(TEXT)}-", "bytes=999999999999999999999-", f"bytes={len(TEXT)}-{len(TEXT) + 5}", "bytes=-0"):
            reply = self.part(value)
            self.assertEqual((reply.status, reply.header("Content-Range")), (416, f"bytes */{len(TEXT)}"), value)

    def test_ranges_that_are_none_are_ignored(self):
        for value in ("bytes=9-5", "bytes=a-b", "bytes=-", "bytes=", "lines=0-9", "bytes 0-9", "", "bytes=0-9-", "bytes=1.5-3"):
            reply = self.part(value)
            self.assertEqual((reply.status, reply.body), (200, TEXT), value)

    def test_several_parts_are_answered_whole_or_as_parts(self):
        reply = self.part("bytes=0-1,4-5")
        self.assertTrue(reply.status == 200 and reply.body == TEXT or
                        reply.status == 206 and reply.type.startswith("multipart/byteranges"), reply)
        many = self.part("bytes=" + ",".join(f"{i}-{i}" for i in range(0, 800, 2)))
        self.assertIn(many.status, (200, 206, 416))

    def test_if_range(self):
        tag = self.get().header("ETag")
        self.assertEqual(self.part("bytes=0-3", ("If-Range", tag)).status, 200 if tag.startswith("W/") else 206)
        self.assertEqual(self.part("bytes=0-3", ("If-Range", '"other"')).status, 200)

    def test_a_range_with_gzip_accepted_never_mixes_forms(self):
        reply = self.part("bytes=0-9", ("Accept-Encoding", "gzip"))
        if reply.header("Content-Encoding") == "gzip":
            self.assertEqual(reply.body, self.get(("Accept-Encoding", "gzip")).body[:10])
        else:
            self.assertIn(reply.body, (TEXT[:10], TEXT))

    def test_ranges_of_a_binary(self):
        reply = self.get(("Range", "bytes=256-511"), target="/packs/docker/wiki/assets/a/b.png")
        self.assertEqual((reply.status, reply.body, reply.type), (206, bytes(range(256)), "image/png"))

    def test_an_empty_page(self):
        reply = self.get(target="/packs/docker/wiki/none.md")
        self.assertEqual((reply.status, reply.body, reply.header("Content-Length")), (200, b"", "0"))
        self.assertIn(self.get(("Range", "bytes=0-0"), target="/packs/docker/wiki/none.md").status, (200, 416))


if __name__ == "__main__":
    broker.main()

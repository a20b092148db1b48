# SPDX-License-Identifier: MIT
"""kontor verify: one pack at two real brokers, and at none: every verdict, its exit code, and the file that differs. The brokers
check no signatures themselves here, so that they serve what a dishonest one would."""
import json
import pathlib
import shutil
import tempfile
import threading
import http.server
import unittest

from lib import broker, occ_verify, packs

OK, FAILURE, USAGE, NOT_FOUND, UNREACHABLE, UNSIGNED, UNTRUSTED, BAD_SIGNATURE, MISMATCH = range(9)
PATH = "history/rome"
PAGES = [("caesar", "Caesar", "Dictator.", "He crossed the Rubicon."), ("senate", "Senate", "Elders.", "It met in the curia.")]
NOBODY = "http://127.0.0.1:1"
PUBLISHER = occ_verify.fingerprint(bytes(packs.PUBLISHER.verify_key))


class Brokers(broker.BrokerTest):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="kontor-verify-"))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.key = self.root / "publisher.key"
        self.key.write_bytes(bytes(range(32)))
        self.key.chmod(0o600)
        self.trust = self.root / "trust.yaml"
        self.trust.write_text(f"publishers:\n- fingerprint: {PUBLISHER}\n  name: Anna\n")

    def original(self, extra=""):
        """The pack, signed, in a directory of its own."""
        directory = packs.pack(self.root / f"original{len(list(self.root.iterdir()))}", PATH,
                               [(slug, title, text, body + extra) for slug, title, text, body in PAGES])
        packs.write(directory, "wiki", {"log.md": "# Log\n", "assets/map.png": b"\x89PNG\r\n\x1a\n\x00\r"})
        self.sign(directory)
        return directory

    def sign(self, directory, key=None, path=PATH):
        done = broker.run("pack", "sign", directory, "--key", key or self.key, "--raw", "secret", "--path", path, "--at-time",
                          "2026-05-01T12:00:00Z")
        self.assertEqual(done.returncode, OK, done.stderr)

    def serving(self, directory, change=None):
        """A broker with a copy of the pack, changed or not."""
        def prepare(kontor):
            if directory is not None:
                shutil.copytree(directory, kontor.packs / PATH)
                if change:
                    change(kontor.packs / PATH)

        kontor = self.broker(prepare=prepare, config="signed: {local: off}\n")
        kontor.wait_serving()
        return kontor.url

    def verify(self, status, *urls, trust=True, path=PATH):
        args = [word for url in urls for word in ("--at", url)]
        args += ["--trust", self.trust] if trust else ["--data", self.root]
        done = broker.run("verify", path, *args)
        self.assertIsNone(broker.sanitizer_report(done.stderr), done.stderr)
        self.assertEqual(done.returncode, status, (done.stdout, done.stderr))
        report = json.loads(broker.run("verify", path, "--json", *args).stdout)
        self.assertEqual(report["good"], status == OK)
        return done.stdout, report

    @staticmethod
    def verdicts(report):
        return [entry["verdict"] for entry in report["brokers"]]

    def test_the_same_pack_at_two_brokers(self):
        pack = self.original()
        north, south = self.serving(pack), self.serving(pack)
        out, report = self.verify(OK, north, south)
        self.assertEqual(self.verdicts(report), ["good", "good"])
        first, second = ({k: v for k, v in entry.items() if k != "broker"} for entry in report["brokers"])
        self.assertEqual(first, second)
        sig = json.loads((pack / "manifest.sig").read_bytes())
        self.assertEqual(first["content_sha256"], sig["release"]["content_sha256"])
        self.assertEqual(first["served_content_sha256"], first["content_sha256"])
        self.assertEqual(first["digest"], occ_verify.digest(occ_verify.canonical(sig["release"])))
        self.assertEqual(first["publisher"], "Anna")
        self.assertNotIn("mismatch", report)
        rows = out.splitlines()
        self.assertEqual(rows[0].split(), ["BROKER", "VERSION", "PUBLISHER", "DIGEST", "VERDICT"])
        self.assertEqual(rows[1].split(), [north, "1.0.0", "Anna", first["digest"][:16], "good"])
        self.assertEqual(len(rows), 3)

    def test_one_broker_and_the_default(self):
        pack = self.original()
        north = self.serving(pack)
        self.verify(OK, north)
        self.verify(OK, north, path=PATH + "/")
        done = broker.run("verify", PATH, "--data", self.root)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("--at", done.stderr)
        done = broker.run("pack", "verify", f"{north}/packs/{PATH}", "--trust", self.trust)
        self.assertEqual(done.returncode, OK, done.stdout + done.stderr)
        done = broker.run("pack", "diff", pack, f"{north}/packs/{PATH}/")
        self.assertEqual((done.returncode, done.stdout), (OK, ""), done.stderr)

    def test_two_good_releases_that_differ(self):
        north, south = self.serving(self.original()), self.serving(self.original(extra=" More."))
        out, report = self.verify(MISMATCH, north, south)
        self.assertEqual(self.verdicts(report), ["good", "good"])
        self.assertEqual(report["mismatch"]["first_file"], "wiki/concepts/caesar.md")
        self.assertIn(f"wiki/concepts/caesar.md differs between {north} and {south}", out)

    def test_the_same_files_under_two_releases(self):
        def sign_later(directory):
            broker.run("pack", "sign", directory, "--key", self.key, "--raw", "secret", "--at-time", "2026-06-01")

        pack = self.original()
        _, report = self.verify(MISMATCH, self.serving(pack), self.serving(pack, sign_later))
        self.assertNotIn("first_file", report["mismatch"])

    def test_unsigned(self):
        pack = self.original()
        _, report = self.verify(UNSIGNED, self.serving(pack), self.serving(pack, lambda d: (d / "manifest.sig").unlink()))
        self.assertEqual(self.verdicts(report), ["good", "unsigned"])

    def test_untrusted(self):
        pack = self.original()
        _, report = self.verify(UNTRUSTED, self.serving(pack), trust=False)
        self.assertEqual(self.verdicts(report), ["untrusted"])

    def test_tampered(self):
        def page(directory):
            target = directory / "wiki/concepts/senate.md"
            target.write_text(target.read_text().replace("curia", "forum"))

        def log(directory):
            (directory / "wiki/log.md").write_text("# Other log\n")

        def signature(directory):
            target = directory / "manifest.sig"
            target.write_text(target.read_text().replace('"index.md": "', '"index.md": "0').replace('0"', '"', 1))

        pack = self.original()
        north = self.serving(pack)
        for change, file in ((page, "wiki/concepts/senate.md"), (log, "wiki/log.md")):
            out, report = self.verify(BAD_SIGNATURE, north, self.serving(pack, change))
            self.assertEqual(self.verdicts(report), ["good", "hash"])
            self.assertIn(f"{file}: hash differs from manifest.sig", report["brokers"][1]["reason"])
            self.assertEqual(report["mismatch"]["first_file"], file)
            self.assertIn(file, out)
        _, report = self.verify(BAD_SIGNATURE, north, self.serving(pack, signature))
        self.assertIn(report["brokers"][1]["verdict"], ("form", "signature"))

    def test_missing_and_added_pages(self):
        pack = self.original()
        north = self.serving(pack)
        _, report = self.verify(BAD_SIGNATURE, north, self.serving(pack, lambda d: (d / "wiki/concepts/senate.md").unlink()))
        self.assertEqual(self.verdicts(report), ["good", "hash"])
        self.assertEqual(report["mismatch"]["first_file"], "wiki/concepts/senate.md")

    def test_another_path(self):
        directory = packs.pack(self.root / "other", PATH, PAGES)
        self.sign(directory, path="history/carthage")
        _, report = self.verify(BAD_SIGNATURE, self.serving(directory))
        self.assertEqual(self.verdicts(report), ["wrong-path"])

    def test_not_there_and_nobody_there(self):
        north, empty = self.serving(self.original()), self.serving(None)
        _, report = self.verify(NOT_FOUND, north, empty)
        self.assertEqual(self.verdicts(report), ["good", "not-found"])
        _, report = self.verify(UNREACHABLE, north, NOBODY)
        self.assertEqual(self.verdicts(report), ["good", "unreachable"])
        self.verify(NOT_FOUND, empty, NOBODY)

    def test_refusals_name_broker_pack_file_and_rule(self):
        north, empty = self.serving(self.original()), self.serving(None)
        out, _ = self.verify(UNTRUSTED, north, empty, trust=False)
        self.assertIn(f"\n{north}: pack '{PATH}': untrusted: manifest.sig: key ", out)
        self.assertIn(f"\n{empty}: pack '{PATH}': wiki/index.md: answered 404\n", out)
        done = broker.run("pack", "verify", f"{empty}/packs/{PATH}", "--trust", "/dev/null")
        self.assertEqual((done.returncode, done.stderr), (NOT_FOUND, f"kontor: {empty}: pack '{PATH}': wiki/index.md: answered 404\n"))

    def test_same_numbers_from_disk_and_broker(self):
        """manifest.sig is no part of the content, wherever the content comes from."""
        pack = self.original()
        numbers = [json.loads(broker.run("pack", "digest", place, "--json").stdout) for place in (pack, f"{self.serving(pack)}/packs/{PATH}")]
        self.assertEqual(numbers[0], numbers[1])

    def test_windows_line_ends_on_one_broker(self):
        """A broker serves the signed form whatever its disk has, so both copies are the same for a Node."""
        def to_crlf(directory):
            for target in directory.rglob("*.md"):
                target.write_bytes(target.read_bytes().replace(b"\n", b"\r\n"))

        pack = self.original()
        self.verify(OK, self.serving(pack), self.serving(pack, to_crlf))

    def test_usage(self):
        for args in (["verify"], ["verify", "../x", "--at", NOBODY], ["verify", "a", "--at", NOBODY, "--trust", "/nonexistent"],
                     ["pack", "verify", "http://127.0.0.1:1/nothing"]):
            done = broker.run(*args)
            self.assertIn(done.returncode, (USAGE, FAILURE), (args, done.stdout, done.stderr))
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)


class Hostile(http.server.BaseHTTPRequestHandler):
    """A broker that answers with what its class says."""

    answers = {}
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802 (the name that the standard library wants)
        status, kind, body = self.answers.get(self.path.removeprefix(f"/packs/{PATH}/"), (404, "text/plain", b""))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class HostileBrokers(unittest.TestCase):
    """What a Node would make of answers that no honest broker gives."""

    def serve(self, answers):
        handler = type("Handler", (Hostile,), {"answers": answers})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="kontor-hostile-"))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.trust = self.root / "trust.yaml"
        self.trust.write_text(f"publishers:\n- fingerprint: {PUBLISHER}\n")
        pack = packs.pack(self.root, PATH, [("caffe", "Caffè", "s", "Caffè.")])
        packs.sign(pack)
        self.answers = {name: (200, "text/markdown; charset=utf-8", (pack / name).read_bytes())
                        for name in ("manifest.yaml", "manifest.sig", "wiki/index.md", "wiki/concepts/caffe.md")}

    def check(self, status, changes):
        url = self.serve({**self.answers, **changes})
        done = broker.run("verify", PATH, "--at", url, "--trust", self.trust)
        self.assertIsNone(broker.sanitizer_report(done.stderr), done.stderr)
        self.assertEqual(done.returncode, status, (done.stdout, done.stderr))
        return done.stdout

    def test_answers(self):
        page = self.answers["wiki/concepts/caffe.md"][2]
        kind = "text/markdown; charset="
        self.check(OK, {})
        self.check(OK, {"wiki/concepts/caffe.md": (200, "text/markdown", page)})
        self.check(OK, {"wiki/concepts/caffe.md": (200, kind + "iso-8859-1", page.decode().encode("latin-1"))})
        self.check(BAD_SIGNATURE, {"wiki/concepts/caffe.md": (200, kind + "iso-8859-1", page)})
        self.check(BAD_SIGNATURE, {"wiki/concepts/caffe.md": (200, kind + "utf-8", page.decode().encode("latin-1"))})
        self.check(BAD_SIGNATURE, {"wiki/concepts/caffe.md": (404, "text/plain", b"")})
        self.check(BAD_SIGNATURE, {"wiki/concepts/caffe.md": (200, kind + "utf-8", page.replace(b"\n", b"\r\n"))})
        self.check(UNREACHABLE, {"wiki/concepts/caffe.md": (503, "text/plain", b"")})
        self.check(UNREACHABLE, {"manifest.sig": (429, "text/plain", b"")})
        self.check(UNSIGNED, {"manifest.sig": (404, "text/plain", b"")})
        self.check(NOT_FOUND, {"manifest.yaml": (404, "text/plain", b"")})
        self.check(FAILURE, {"wiki/index.md": (200, "text/markdown", b"a\x00b\n")})
        self.check(FAILURE, {"manifest.yaml": (200, "text/yaml", b"x" * (256 * 1024 + 1))})
        for garbage in (b"", b"[]", b"{", b"\xff" * 100, b"[" * 100000):
            self.check(BAD_SIGNATURE, {"manifest.sig": (200, "application/json", garbage)})


if __name__ == "__main__":
    broker.main()

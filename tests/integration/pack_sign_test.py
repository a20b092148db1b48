# SPDX-License-Identifier: MIT
"""kontor pack: signing thousands of random packs and judging them with a second, independent program; lint and --fix; keys;
what signing again does, and what an interrupted one leaves."""
import json
import os
import pathlib
import random
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import unittest

from lib import broker, occ_verify, packs

OK, FAILURE, USAGE, NOT_FOUND = 0, 1, 2, 3
UNSIGNED, UNTRUSTED, BAD_SIGNATURE, MISMATCH = 5, 6, 7, 8
SEED = int(os.environ.get("RANDOM_SEED", "20260501"))
PACKS = 300 if broker.SANITIZED else 2500

NAMES = ["a", "B", "z9", "-x", "_", "a.b", "x..", "README", "caf\u00e9", "e\u0301", "\U0001f600", "a b", "q\"q", "it's", "con", "a%20b",
         "deep/er", "deep/_index", ".hidden", "long-" + "n" * 80]
TEXTS = ["", "plain\n", "no end", "quote \" back \\ slash\n", "del \x7f ctl \x01 tab\t\n", "astral \U0001f600\U00010000\n", "e\u0301\u0308 combining\n",
         "nel \x85 ls \u2028 ps \u2029 vt \x0b ff \x0c\n", "nul \x00 inside\n", "---\ntitle: x\n---\nbody\n", "\n\n\n"]
SICK = ["crlf\r\n", "old\rmac\n", "\ufeffbom\n"]


class Tree(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="kontor-sign-"))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.key = self.root / "publisher.key"
        self.key.write_bytes(bytes(range(32)))
        self.key.chmod(0o600)
        self.fingerprint = occ_verify.fingerprint(bytes(packs.PUBLISHER.verify_key))
        self.trust = self.root / "trust.yaml"
        self.trust.write_text(f"publishers:\n- fingerprint: {self.fingerprint}\n  name: Anna\n")
        self.packs = self.root / "packs"
        self.packs.mkdir()

    def kontor(self, status, *args, **options):
        done = broker.run(*args, timeout=broker.PATIENCE * 6, **options)
        self.assertIsNone(broker.sanitizer_report(done.stderr), done.stderr)
        self.assertEqual(done.returncode, status, (args, done.stdout[-2000:], done.stderr[-2000:]))
        return done

    def sign(self, status, *args):
        return self.kontor(status, "pack", "sign", "--key", self.key, "--raw", "secret", "--name", "Anna", *args)

    def verify(self, status, *args):
        return self.kontor(status, "pack", "verify", "--trust", self.trust, *args)


def read_files(directory):
    """name -> bytes of what belongs to a pack."""
    files = {}
    for name in ("manifest.yaml", "manifest.sig"):
        if (directory / name).is_file():
            files[name] = (directory / name).read_bytes()
    for parent, directories, names in os.walk(directory / "wiki"):
        directories[:] = [d for d in directories if not d.startswith(".")]
        for name in names:
            path = pathlib.Path(parent) / name
            if not name.startswith("."):
                files[str(path.relative_to(directory))] = path.read_bytes()
    return files


def second_opinion(directory, path, trusted):
    """The rule that the independent program names, or None when all is well."""
    files = read_files(directory)
    try:
        manifest, pages, sig = occ_verify.download(files.get)
        document = occ_verify.verify(manifest, pages, sig, trusted)
        rest = {name: data for name, data in files.items()
                if name not in ("manifest.yaml", "manifest.sig") and name.removeprefix("wiki/") not in pages}
        occ_verify.verify_release(document, rest, path)
        return None
    except occ_verify.Refused as refused:
        return refused.args[0]


class RandomPacks(Tree):
    def make(self, rng, path):
        """One random pack; TRUE when it must be signed."""
        healthy, rows, files = True, [], {"manifest.yaml": packs.manifest(path.rsplit("/", 1)[-1], rng.choice(["s", "caf\u00e9 \"x\""]))}
        for name in rng.sample(NAMES, rng.randrange(0, 6)):
            file = ("concepts/" if rng.random() < 0.7 else "") + name + ".md"
            is_listed = rng.random() < 0.85
            text = rng.choice(TEXTS)
            if rng.random() < 0.04:
                text = rng.choice(SICK)
            hidden = "/." in "/" + file
            if not hidden or is_listed:
                healthy = healthy and text not in SICK
            if is_listed:
                # An indented or two-column row is a finding; a row that is read as none is, too.
                shape = rng.choice(["| {} | T | s |"] * 12 + ["| {} | T |"])
                rows.append(shape.format(file))
                first = file.startswith("-")
                healthy = healthy and occ_verify.downloadable(file) and not hidden and not first and shape.count("|") == 4
                if rng.random() < 0.03:
                    healthy = False
                    continue  # a row without its file
            files["wiki/" + file] = text
        files["wiki/index.md"] = "# I\n\n| File | Title | Summary |\n|---|---|---|\n" + "".join(row + "\n" for row in rows)
        if rng.random() < 0.5:
            files["wiki/log.md"] = rng.choice(TEXTS)
        if rng.random() < 0.3:
            files["wiki/assets/x.png"] = b"\x89PNG\r\n\x1a\n" + rng.randbytes(20)
        if rng.random() < 0.2:
            files["raw/source.txt"] = "beside the pack\r\n"
        packs.write(self.packs, path, files)
        return healthy

    def test_two_programs_agree(self):
        rng = random.Random(SEED)
        paths = [f"{rng.choice(['a', 'b/c', 'd'])}/p{i}" for i in range(PACKS)]
        healthy = {path for path in paths if self.make(rng, path)}
        self.assertGreater(len(healthy), PACKS // 4)
        self.assertGreater(PACKS - len(healthy), PACKS // 10)
        done = self.sign(FAILURE, "--all", self.packs, "--at-time", "2026-05-01T12:00:00Z")
        signed = {path for path in paths if (self.packs / path / "manifest.sig").exists()}
        self.assertEqual((sorted(signed - healthy)[:3], sorted(healthy - signed)[:3]), ([], []), done.stderr[:2000])
        self.assertIn(f"{PACKS} packs: {len(signed)} signed, 0 unchanged, {PACKS - len(signed)} refused", done.stdout)
        for path in signed:
            self.assertIsNone(second_opinion(self.packs / path, path, {self.fingerprint}), path)
        self.assertEqual(self.refused(UNSIGNED), {path: "unsigned" for path in set(paths) - signed})
        # Damage of every kind, judged by both.
        for path in signed:
            self.damage(rng, self.packs / path)
        mine = {path: second_opinion(self.packs / path, path, {self.fingerprint}) for path in paths}
        mine = {path: rule for path, rule in mine.items() if rule}
        self.assertGreater(len([rule for rule in mine.values() if rule != "unsigned"]), len(signed) // 3)
        self.assertEqual(self.refused(BAD_SIGNATURE), mine)

    def refused(self, status):
        """path -> rule of every pack that `kontor pack verify --all` refuses."""
        done = self.verify(status, "--all", self.packs)
        lines = [line.split(": ", 2) for line in done.stdout.splitlines()[:-1]]
        return {path: rule for path, rule, _ in lines}

    @staticmethod
    def damage(rng, directory):
        """One of several accidents; some of them harmless."""
        files = [name for name in read_files(directory) if name != "manifest.sig"]
        name = rng.choice(sorted(files))
        target, kind = directory / name, rng.randrange(5)
        if kind == 0:
            target.write_bytes(target.read_bytes() + b"x")
        elif kind == 1 and name != "wiki/index.md" and name != "manifest.yaml":
            target.unlink()
        elif kind == 2:
            (directory / "wiki" / "added.md").write_text("not listed anywhere\n")
        elif kind == 3:
            sig = json.loads((directory / "manifest.sig").read_bytes())
            sig["signer_name"] = "somebody else"  # is not signed
            (directory / "manifest.sig").write_text(json.dumps(sig))
        else:
            sig = json.loads((directory / "manifest.sig").read_bytes())
            sig["pages"]["index.md"] = "0" * 64
            (directory / "manifest.sig").write_text(json.dumps(sig))


class OnePack(Tree):
    def setUp(self):
        super().setUp()
        self.pack = packs.pack(self.packs, "history/rome", [("caesar", "Caesar", "s", "b"), ("senate", "Senate", "s", "b")])
        self.sig = self.pack / "manifest.sig"

    def test_signing_again_changes_nothing(self):
        self.sign(OK, self.pack, "--path", "history/rome")
        first, status = self.sig.read_bytes(), self.sig.stat()
        done = self.sign(OK, self.pack)  # the path is known by now
        self.assertIn("unchanged history/rome", done.stdout)
        self.assertEqual((self.sig.read_bytes(), self.sig.stat().st_mtime_ns, self.sig.stat().st_ino),
                         (first, status.st_mtime_ns, status.st_ino))
        self.assertEqual(stat.S_IMODE(status.st_mode) & 0o444, 0o444)
        self.assertEqual([p.name for p in self.pack.iterdir() if p.name.startswith(".")], [])

    def test_same_time_gives_same_bytes(self):
        self.sign(OK, self.pack, "--path", "history/rome", "--at-time", "2026-05-01T12:00:00Z")
        first = self.sig.read_bytes()
        self.assertEqual(json.loads(first)["release"]["published_at"], "2026-05-01T12:00:00Z")
        self.sig.unlink()
        self.sign(OK, self.pack, "--path", "history/rome", "--at-time", "2026-05-01T12:00:00Z")
        self.assertEqual(self.sig.read_bytes(), first)
        self.sign(OK, self.pack, "--at-time", "2026-05-02")
        self.assertEqual(json.loads(self.sig.read_bytes())["release"]["published_at"], "2026-05-02T00:00:00Z")

    def test_changed_content_is_signed_anew(self):
        self.sign(OK, self.pack)
        self.assertIn("manifest.sig", os.listdir(self.pack))
        (self.pack / "wiki/log.md").write_text("more\n")
        self.verify(BAD_SIGNATURE, self.pack)
        done = self.sign(OK, self.pack)
        self.assertIn("signed before with other content", done.stderr)
        self.verify(OK, self.pack)
        manifest = (self.pack / "manifest.yaml").read_text()
        (self.pack / "manifest.yaml").write_text(manifest.replace("1.0.0", "1.0.1"))
        self.assertEqual(self.sign(OK, self.pack).stderr, "")
        self.verify(OK, self.pack)

    def test_an_older_version_is_pointed_out(self):
        manifest = self.pack / "manifest.yaml"
        self.assertEqual(self.sign(OK, self.pack).stderr, "")
        manifest.write_text(manifest.read_text().replace("1.0.0", "1.10.0"))
        self.assertEqual(self.sign(OK, self.pack).stderr, "")
        manifest.write_text(manifest.read_text().replace("1.10.0", "1.9.0"))
        self.assertIn("version 1.10.0 was signed before and 1.9.0 is older", self.sign(OK, self.pack).stderr)

    def test_lint_errors_are_not_signed(self):
        page = self.pack / "wiki/concepts/caesar.md"
        page.write_bytes(page.read_bytes().replace(b"\n", b"\r\n"))
        done = self.sign(FAILURE, self.pack)
        self.assertRegex(done.stderr, r"wiki/concepts/caesar\.md:1: error: crlf: ")
        self.assertFalse(self.sig.exists())
        self.assertIn("crlf", self.kontor(FAILURE, "pack", "lint", self.pack).stdout)
        self.assertIn("fixed ", self.kontor(OK, "pack", "lint", "--fix", self.pack).stdout)
        self.assertNotIn(b"\r", page.read_bytes())
        self.assertEqual(self.kontor(OK, "pack", "lint", self.pack).stdout, "")
        self.sign(OK, self.pack)

    def test_lint_names_what_is_no_file(self):
        (self.pack / "wiki/link.md").symlink_to("/etc/passwd")
        os.mkfifo(self.pack / "wiki/pipe")
        out = self.kontor(FAILURE, "pack", "lint", self.pack).stdout
        self.assertRegex(out, r"wiki/link\.md: error: not-a-file: symbolic link")
        self.assertRegex(out, r"wiki/pipe: error: not-a-file")

    def test_a_good_old_signature_survives_a_refusal(self):
        self.sign(OK, self.pack)
        before = self.sig.read_bytes()
        (self.pack / "wiki/index.md").write_text("| nowhere.md | x | y |\n")
        self.sign(FAILURE, self.pack)
        self.assertEqual(self.sig.read_bytes(), before)

    def test_a_killed_signer_leaves_no_half_file(self):
        self.sign(OK, self.pack)
        stop = threading.Event()
        seen = []

        def read_all_the_time():
            while not stop.is_set():
                seen.append(self.sig.read_bytes())

        reader = threading.Thread(target=read_all_the_time)
        reader.start()
        try:
            for i in range(30):
                (self.pack / "wiki/log.md").write_text(f"{i}\n")
                process = subprocess.Popen([broker.PROGRAM, "pack", "sign", str(self.pack), "--key", str(self.key), "--raw", "secret"],
                                           env=broker.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                if i % 2:
                    process.send_signal(signal.SIGKILL)
                process.wait()
        finally:
            stop.set()
            reader.join()
        for data in set(seen):
            json.loads(data)

    def test_verify_says_why_not(self):
        self.verify(UNSIGNED, self.pack)
        self.sign(OK, self.pack, "--path", "history/rome")
        self.verify(OK, self.pack, "--path", "history/rome")
        self.assertIn("wrong-path", self.verify(BAD_SIGNATURE, self.pack, "--path", "history/carthage").stdout)
        self.assertIn("untrusted", self.kontor(UNTRUSTED, "pack", "verify", self.pack, "--data", self.root).stdout)
        self.trust.write_text(f"publishers:\n- fingerprint: {self.fingerprint}\n  until: 2020-01-01\n")
        self.assertIn("expired", self.verify(UNTRUSTED, self.pack).stdout)
        self.trust.write_text(f"publishers:\n- fingerprint: {self.fingerprint}\n  paths: [\"science/**\"]\n")
        self.assertIn("not-for-path", self.verify(UNTRUSTED, self.pack).stdout)
        self.trust.write_text(f"publishers:\n- fingerprint: {self.fingerprint}\n- {{fingerprint: {self.fingerprint}, revoked: true}}\n")
        self.assertIn("revoked", self.verify(UNTRUSTED, self.pack).stdout)
        self.verify(NOT_FOUND, self.root / "nothing")
        self.kontor(USAGE, "pack", "verify", self.pack, "--trust", self.root / "nothing")
        self.verify(USAGE, self.pack, "--at-time", "yesterday")

    def test_withdrawing(self):
        self.sign(OK, self.pack, "--path", "history/rome", "--withdraw")
        self.assertIs(json.loads(self.sig.read_bytes())["release"]["withdrawn"], True)
        self.assertIn("withdrawn", self.verify(NOT_FOUND, self.pack).stdout)

    def test_digest_and_diff(self):
        self.sign(OK, self.pack)
        numbers = json.loads(self.kontor(OK, "pack", "digest", "--json", self.pack).stdout)
        sig = json.loads(self.sig.read_bytes())
        self.assertEqual(numbers["content_sha256"], sig["release"]["content_sha256"])
        self.assertEqual(numbers["digest"], occ_verify.digest(occ_verify.canonical(sig["release"])))
        copy = self.root / "copy"
        shutil.copytree(self.pack, copy)
        self.assertEqual(self.kontor(OK, "pack", "diff", self.pack, copy).stdout, "")
        (copy / "wiki/concepts/caesar.md").write_text("other\n")
        (copy / "wiki/concepts/senate.md").unlink()
        (copy / "wiki/z.md").write_text("z\n")
        lines = [line.split()[:2] for line in self.kontor(MISMATCH, "pack", "diff", self.pack, copy).stdout.splitlines()]
        self.assertEqual(lines, [["changed", "wiki/concepts/caesar.md"], ["removed", "wiki/concepts/senate.md"], ["added", "wiki/z.md"]])

    def test_bad_keys(self):
        for name, data in (("empty", b""), ("short", b"x" * 31), ("text", b"hello\n")):
            path = self.root / name
            path.write_bytes(data)
            path.chmod(0o600)
            done = self.kontor(FAILURE, "pack", "sign", self.pack, "--key", path)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertIn(name, done.stderr)
        self.kontor(USAGE, "pack", "sign", self.pack)
        self.sign(USAGE)
        self.sign(USAGE, self.pack, "--all", self.packs)
        self.assertFalse(self.sig.exists())

    def test_init_makes_a_clean_pack(self):
        new = self.packs / "new"
        self.kontor(OK, "pack", "init", new, "--name", "A \"new\" pack: with colon")
        self.assertEqual(self.kontor(OK, "pack", "lint", new).stdout, "")
        (new / "manifest.yaml").write_text((new / "manifest.yaml").read_text().replace("1.0.0", "1.1.0"))
        self.assertIn("kept", self.kontor(OK, "pack", "init", new).stdout)
        self.assertIn("1.1.0", (new / "manifest.yaml").read_text())
        self.sign(OK, new)
        self.assertIsNone(second_opinion(new, "new", {self.fingerprint}))


if __name__ == "__main__":
    broker.main()

# SPDX-License-Identifier: MIT
"""Key files: what minisign and signify make of ours and we of theirs, with real signatures; seals opened by PyNaCl from the
words of docs/formats.md; passphrases that never show; files that are never overwritten."""
import base64
import hashlib
import json
import os
import pathlib
import pty
import shutil
import signal
import stat
import subprocess
import tempfile
import unittest

import nacl.exceptions
import nacl.pwhash
import nacl.secret
import nacl.signing

from lib import broker

MESSAGE = b"what is signed\n"


def fields(path):
    """The lines of a key file of Kontor."""
    first, *lines = pathlib.Path(path).read_text().splitlines()
    return {"first": first, **dict(line.split(": ", 1) for line in lines)}


class KeyTest(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="kontor-key-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.passphrase = self.dir / "passphrase"
        self.passphrase.write_text("sesame öffne dich\nnext line\n")

    def kontor(self, *args, status=0, passphrase=None):
        """Runs the program, with the file of a passphrase on a descriptor of its own."""
        fd = os.open(passphrase, os.O_RDONLY) if passphrase else None
        extra = ["--passphrase-fd", str(fd)] if passphrase else []
        try:
            done = subprocess.run([broker.PROGRAM, *map(str, args), *extra], env=broker.environment(), cwd=self.dir, capture_output=True,
                                  stdin=subprocess.DEVNULL, pass_fds=[fd] if passphrase else [], timeout=broker.PATIENCE,
                                  start_new_session=True, check=False)
        finally:
            if fd is not None:
                os.close(fd)
        stderr = done.stderr.decode()
        self.assertEqual((done.returncode, broker.sanitizer_report(stderr)), (status, None), (args, stderr))
        if status:
            self.assertEqual(len(stderr.strip().splitlines()), 1, stderr)
            return stderr
        return done.stdout.decode(errors="replace")

    def tool(self, *args, status=0):
        done = subprocess.run([*map(str, args)], cwd=self.dir, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
        self.assertEqual(done.returncode != 0, status != 0, (args, done.stdout, done.stderr))

    def write(self, name, data):
        path = self.dir / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def seed(self, key, **options):
        out = self.dir / f"{key}.raw"
        self.kontor("key", "export", key, "--to", "raw-secret", "--out", out, **options)
        return out.read_bytes()


class Files(KeyTest):
    def test_new_key(self):
        shown = json.loads(self.kontor("key", "new", "--data", "d", "--name", "Anna", "--json"))
        secret, public = self.dir / "d/keys/publisher.key", self.dir / "d/keys/publisher.pub"
        self.assertEqual(stat.S_IMODE(secret.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(secret.parent.stat().st_mode), 0o700)
        seed = base64.b64decode(fields(secret)["seed"])
        key = bytes(nacl.signing.SigningKey(seed).verify_key)
        self.assertEqual(base64.b64decode(fields(public)["public"]), key)
        self.assertEqual(shown["public_key"], base64.b64encode(key).decode())
        fingerprint = base64.b32encode(hashlib.sha256(key).digest()).decode().lower()[:16]
        self.assertEqual(shown["fingerprint"], fingerprint)
        for operand in (secret, public, shown["public_key"]):
            self.assertEqual(self.kontor("key", "fingerprint", operand), fingerprint + "\n")
        for path in (secret, public):
            text = path.read_bytes()
            head, _, check = text.rpartition(b"check: ")
            self.assertEqual(check.decode().strip(), hashlib.sha256(head).hexdigest()[:16])
        self.assertNotIn("seed", self.kontor("key", "show", secret))
        self.assertEqual([p.name for p in secret.parent.iterdir() if p.name not in ("publisher.key", "publisher.pub")], [])

    def test_nothing_is_overwritten(self):
        self.write("a.key", "mine")
        self.write("b.pub", "mine")
        os.symlink("nowhere", self.dir / "c.key")
        for name in ("a.key", "b.key", "c.key"):
            self.assertIn("exists already and is not overwritten", self.kontor("key", "new", "--out", name, status=1))
        self.assertEqual((self.dir / "a.key").read_text() + (self.dir / "b.pub").read_text(), "minemine")
        self.assertFalse((self.dir / "b.key").exists())
        self.kontor("key", "new", "--out", "d.key")
        self.assertIn("exists already", self.kontor("key", "export", "d.key", "--to", "raw-secret", "--out", "a.key", status=1))
        self.assertIn("exists already", self.kontor("key", "export", "d.pub", "--to", "signify", "--out", "a.key", status=1))

    def test_no_secret_without_its_public_file(self):
        name = "x" * 246  # has room for what is added to write it, and with ".pub" no more
        self.assertIn("File name too long", self.kontor("key", "new", "--out", name, status=1))
        self.assertEqual(list(self.dir.glob("x*")), [])

    def test_import_names_what_it_refuses(self):
        self.kontor("key", "new", "--out", "p.key")
        self.assertIn("p.pub: a key file of Kontor already", self.kontor("key", "import", "p.pub", "--out", "q.pub", status=1))

    def test_seal_as_documented(self):
        self.kontor("key", "new", "--out", "s.key", passphrase=self.passphrase)
        lines = fields(self.dir / "s.key")
        self.assertNotIn("seed", lines)
        name, *parameters = lines["kdf"].split()
        self.assertEqual(name, "argon2id")
        kdf = dict(p.split("=", 1) for p in parameters)
        key = nacl.pwhash.argon2id.kdf(32, "sesame öffne dich".encode(), base64.b64decode(kdf["salt"]), opslimit=int(kdf["passes"]),
                                       memlimit=int(kdf["memory"]))
        seed = nacl.secret.SecretBox(key).decrypt(base64.b64decode(lines["sealed"]))
        self.assertEqual(bytes(nacl.signing.SigningKey(seed).verify_key), base64.b64decode(lines["public"]))
        self.assertEqual(self.seed("s.key", passphrase=self.passphrase), seed)
        self.assertEqual(stat.S_IMODE((self.dir / "s.key.raw").stat().st_mode), 0o600)
        self.assertTrue(json.loads(self.kontor("key", "show", "s.key", "--json"))["sealed"])

    def test_refusals_are_distinct(self):
        export = ("--to", "raw-secret", "--out", "x.raw")
        self.kontor("key", "new", "--out", "s.key", passphrase=self.passphrase)
        self.kontor("key", "new", "--out", "p.key")
        wrong = self.write("wrong", "Sesame\n")
        empty = self.write("empty", "\n")
        plain, sealed = (self.dir / "p.key").read_bytes(), (self.dir / "s.key").read_bytes()
        other = fields(self.dir / "s.key")["public"].encode()
        lines = plain.replace(fields(self.dir / "p.key")["public"].encode(), other).rpartition(b"check: ")[0]
        cases = {
            "wrong passphrase": self.kontor("key", "export", "s.key", *export, passphrase=wrong, status=1),
            "the passphrase is empty": self.kontor("key", "export", "s.key", *export, passphrase=empty, status=1),
            "there is no terminal to ask for the passphrase": self.kontor("key", "export", "s.key", *export, status=1),
        }
        for text, name, data in (
                ("its checksum does not fit", "damaged", sealed.replace(b"sealed: ", b"sealed: A")),
                ("it does not end with its line", "cut", sealed[:-1]),
                ("unknown key algorithm \"ed448\"", "algorithm", plain.replace(b"ed25519", b"ed448")),
                ("unknown version of the key file \"v2\"", "version", plain.replace(b" v1 ", b" v2 ")),
                ("the public key does not belong to the seed", "halves", lines + b"check: " + hashlib.sha256(lines).hexdigest()[:16].encode() + b"\n"),
                ("not a key file", "nonsense", b"-----BEGIN PRIVATE KEY-----\n"),
                ("a public key, but the secret key is needed here", "public", (self.dir / "p.pub").read_bytes()),
                ("say with --raw whether they are a secret or a public key", "raw", bytes(32)),
                ("larger than 4096 bytes", "large", bytes(5000))):
            path = self.write(name, data)
            path.chmod(0o600)
            cases[text] = self.kontor("key", "export", name, *export, status=1, passphrase=self.passphrase)
            self.assertIn(f"kontor: {name}: ", cases[text])
        for text, message in cases.items():
            self.assertIn(text, message)
        (self.dir / "p.key").chmod(0o640)
        self.assertIn("other users may read this secret key (mode 0640)", self.kontor("key", "export", "p.key", *export, status=1))
        self.assertFalse((self.dir / "x.raw").exists())
        self.assertIn("--out is missing", self.kontor("key", "export", "p.key", "--to", "raw-secret", status=2))
        self.kontor("key", "show", "absent", status=3)

    def ask(self, arguments, answers):
        """Runs the program on a terminal of its own: what the terminal showed, and the exit status."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execve(broker.PROGRAM, [broker.PROGRAM, *arguments], broker.environment())
        shown = b""
        try:
            for answer in answers:
                while not shown.endswith(b": "):
                    shown += os.read(terminal, 4096)
                os.write(terminal, answer + b"\n")
                shown += b"|"
            while True:
                shown += os.read(terminal, 4096)
        except OSError:  # the other side is gone
            pass
        os.close(terminal)
        return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_terminal_shows_no_passphrase(self):
        shown, status = self.ask(["key", "new", "--out", "t.key", "--passphrase"], [b"secret words", b"secret words"])
        self.assertEqual((status, "secret words" in shown), (0, False), shown)
        shown, status = self.ask(["key", "export", "t.key", "--to", "raw-secret", "--out", "t.raw"], [b"secret words"])
        self.assertEqual((status, "secret words" in shown), (0, False), shown)
        self.assertEqual(len((self.dir / "t.raw").read_bytes()), 32)
        shown, status = self.ask(["key", "new", "--out", "u.key", "--passphrase"], [b"one", b"two"])
        self.assertEqual(status, 1)
        self.assertIn("the two passphrases differ", shown)
        self.assertFalse((self.dir / "u.key").exists())

    def test_interrupt_at_the_prompt(self):
        """The interrupt may come in the very moment when the prompt is out and nobody reads yet."""
        for _ in range(20):
            shown, status = self.ask(["key", "new", "--out", "i.key", "--passphrase"], [b"\x03"])
            self.assertEqual(status, -signal.SIGINT, shown)
            self.assertEqual(list(self.dir.glob("i.*")), [])

    def test_occ_raw_files(self):
        seed = bytes(range(32))
        self.write("signing.key", seed).chmod(0o600)
        public = bytes(nacl.signing.SigningKey(seed).verify_key)
        self.write("signing.pub", public)
        self.kontor("key", "import", "signing.key", "--raw", "secret", "--out", "occ.key", "--name", "OCC")
        self.assertEqual(fields(self.dir / "occ.key")["seed"], base64.b64encode(seed).decode())
        self.kontor("key", "import", "signing.pub", "--raw", "public", "--out", "occ2.pub")
        fingerprint = base64.b32encode(hashlib.sha256(public).digest()).decode().lower()[:16]
        for name, raw in (("occ.key", []), ("occ2.pub", []), ("signing.pub", ["--raw", "public"]), ("signing.key", ["--raw", "secret"])):
            self.assertEqual(self.kontor("key", "fingerprint", name, *raw).strip(), fingerprint)
        self.kontor("key", "export", "occ.key", "--to", "raw-public", "--out", "back.pub")
        self.assertEqual((self.dir / "back.pub").read_bytes(), public)
        self.assertEqual(self.seed("occ.key"), seed)


@unittest.skipUnless(shutil.which("minisign"), "minisign is not installed")
class Minisign(KeyTest):
    def sign(self, seed, public_file, prehashed):
        """A signature as minisign writes it, by the key of `seed`."""
        key = nacl.signing.SigningKey(seed)
        packed = base64.b64decode(public_file.read_text().splitlines()[1])
        data = hashlib.blake2b(MESSAGE).digest() if prehashed else MESSAGE
        signature = key.sign(data).signature
        comment = b"a trusted comment"
        return (b"untrusted comment: x\n" + base64.b64encode((b"ED" if prehashed else b"Ed") + packed[2:10] + signature) + b"\n"
                b"trusted comment: " + comment + b"\n" + base64.b64encode(key.sign(signature + comment).signature) + b"\n")

    def test_minisign_verifies_with_our_public_key(self):
        self.kontor("key", "new", "--out", "k.key")
        self.kontor("key", "export", "k.pub", "--to", "minisign", "--out", "mini.pub")
        message = self.write("message", MESSAGE)
        for prehashed in (False, True):
            self.write("message.minisig", self.sign(self.seed("k.key"), self.dir / "mini.pub", prehashed))
            (self.dir / "k.key.raw").unlink()
            self.tool("minisign", "-V", "-p", "mini.pub", "-m", "message")
            self.write("message", MESSAGE + b"x")
            self.tool("minisign", "-V", "-p", "mini.pub", "-m", "message", status=1)
            message.write_bytes(MESSAGE)

    def test_we_read_the_key_of_minisign(self):
        self.tool("minisign", "-G", "-W", "-p", "their.pub", "-s", "their.key")
        self.write("message", MESSAGE)
        self.tool("minisign", "-S", "-s", "their.key", "-m", "message")
        self.kontor("key", "import", "their.pub", "--out", "ours.pub", "--name", "They")
        key = nacl.signing.VerifyKey(base64.b64decode(fields(self.dir / "ours.pub")["public"]))
        packed = base64.b64decode((self.dir / "message.minisig").read_text().splitlines()[1])
        data = hashlib.blake2b(MESSAGE).digest() if packed[:2] == b"ED" else MESSAGE
        key.verify(data, packed[10:])
        with self.assertRaises(nacl.exceptions.BadSignatureError):
            key.verify(data + b"x", packed[10:])
        self.kontor("key", "export", "ours.pub", "--to", "minisign", "--out", "again.pub")
        self.assertEqual((self.dir / "again.pub").read_bytes(), (self.dir / "their.pub").read_bytes())
        self.tool("minisign", "-V", "-p", "again.pub", "-m", "message")
        for name in ("message.minisig", "their.key"):
            self.assertIn(name, self.kontor("key", "import", name, "--out", "no.pub", status=1))


@unittest.skipUnless(shutil.which("signify-openbsd"), "signify-openbsd is not installed")
class Signify(KeyTest):
    def test_signify_verifies_with_our_public_key(self):
        self.kontor("key", "new", "--out", "k.key", "--name", "Anna")
        self.kontor("key", "export", "k.pub", "--to", "signify", "--out", "sig.pub")
        packed = base64.b64decode((self.dir / "sig.pub").read_text().splitlines()[1])
        signature = nacl.signing.SigningKey(self.seed("k.key")).sign(MESSAGE).signature
        self.write("message", MESSAGE)
        self.write("message.sig", b"untrusted comment: verify with sig.pub\n" + base64.b64encode(packed[:10] + signature) + b"\n")
        self.tool("signify-openbsd", "-V", "-q", "-p", "sig.pub", "-m", "message")
        self.write("message", MESSAGE + b"x")
        self.tool("signify-openbsd", "-V", "-q", "-p", "sig.pub", "-m", "message", status=1)

    def test_we_read_the_key_of_signify(self):
        self.tool("signify-openbsd", "-G", "-n", "-c", "Anna", "-p", "their.pub", "-s", "their.sec")
        self.write("message", MESSAGE)
        self.tool("signify-openbsd", "-S", "-s", "their.sec", "-m", "message")
        self.kontor("key", "import", "their.pub", "--out", "ours.pub")
        lines = fields(self.dir / "ours.pub")
        self.assertEqual(lines["name"], "Anna")
        key = nacl.signing.VerifyKey(base64.b64decode(lines["public"]))
        key.verify(MESSAGE, base64.b64decode((self.dir / "message.sig").read_text().splitlines()[1])[10:])
        self.kontor("key", "export", "ours.pub", "--to", "signify", "--out", "again.pub")
        self.assertEqual((self.dir / "again.pub").read_bytes(), (self.dir / "their.pub").read_bytes())
        self.tool("signify-openbsd", "-V", "-q", "-p", "again.pub", "-m", "message")
        for name in ("message.sig", "their.sec"):
            self.assertIn(name, self.kontor("key", "import", name, "--out", "no.pub", status=1))


if __name__ == "__main__":
    unittest.main()

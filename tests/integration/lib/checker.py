# SPDX-License-Identifier: MIT
"""An independent judge of what a broker serves: written from docs/formats.md, with hashlib and PyNaCl, and without a line of the
program.

`Checker(address).check(trusted)` fetches the checkpoint, the whole catalog and every pack in it, and recomputes everything that can be
recomputed: the note's signature, key id and form, the digest trie up to the root, of every pack both signatures, all hashes, the content
and the digest, and every figure of its catalog item. What does not fit raises Mismatch, and names the pack. A catalog that changes
while it is read is no mismatch: the check begins again.

`audit_store(directory)` does the same to a release store on disk.
"""
import base64
import datetime
import hashlib
import json
import re
import urllib.parse

import nacl.exceptions
import nacl.signing

from lib import occ_verify, wire

BUCKET = 32
NIBBLES = "0123456789abcdef"
MEMBERS = ("bytes", "content_sha256", "digest", "pages", "path", "published_at", "publisher", "version")
LEAF_LABEL = b"kontor/leaf/v1\0"
ATTEMPTS = 40


class Mismatch(AssertionError):
    """What is served is not what was promised."""


class NotReady(Mismatch):
    """There is no answer yet (503); whoever waits for something may ask again."""


def expect(condition, message):
    if not condition:
        raise Mismatch(message)


def sha(data):
    return hashlib.sha256(data).digest()


def key_of(path):
    """Key of an item in the digest trie."""
    return sha(path.encode())


def leaf_of(item):
    return sha(LEAF_LABEL + occ_verify.canonical({name: item[name] for name in MEMBERS}))


def digest_of_pairs(pairs, depth=0):
    """D of sorted (key, leaf) pairs that share their first `depth` hexadecimal digits."""
    if len(pairs) <= BUCKET:
        return sha(b"\0" + b"".join(key + leaf for key, leaf in pairs))
    below = [[] for _ in NIBBLES]
    for pair in pairs:
        byte = pair[0][depth // 2]
        below[byte & 15 if depth % 2 else byte >> 4].append(pair)
    return sha(b"\1" + b"".join(digest_of_pairs(part, depth + 1) if part else bytes(32) for part in below))


def digest_of(items, prefix=""):
    """D(prefix) over items, 32 bytes."""
    pairs = sorted((key_of(item["path"]), leaf_of(item)) for item in items)
    return digest_of_pairs([pair for pair in pairs if pair[0].hex().startswith(prefix)], len(prefix))


# Signed notes

def key_id(name, public):
    return sha(f"{name}\n".encode() + b"\1" + public)[:4]


def verifier_key(name, public):
    """A verifier key as C2SP writes it."""
    return f"{name}+{key_id(name, public).hex()}+{base64.b64encode(bytes([1]) + public).decode()}"


def sign_note(text, name, key):
    """A note of `text` (which ends with LF) signed by one key."""
    blob = key_id(name, bytes(key.verify_key)) + key.sign(text.encode()).signature
    return f"{text}\n\u2014 {name} {base64.b64encode(blob).decode()}\n".encode()


def open_note(note, verifier):
    """The text of a note that the key of `verifier` has signed."""
    name, identifier, encoded = verifier.split("+", 2)
    public = base64.b64decode(encoded, validate=True)
    expect(len(public) == 33 and public[0] == 1 and key_id(name, public[1:]).hex() == identifier, f"malformed verifier key {verifier}")
    text, blank, signatures = note.decode("utf-8").rpartition("\n\n")
    expect(blank and signatures.endswith("\n"), "the note has no signatures")
    text += "\n"
    expect(not any(ord(char) < 32 and char != "\n" for char in text), "control characters in the note")
    verified = 0
    for line in signatures[:-1].split("\n"):
        match = re.fullmatch("\u2014 ([^ +]+) ([A-Za-z0-9+/]+=*)", line)
        expect(match is not None, f"not a signature line: {line!r}")
        blob = base64.b64decode(match[2], validate=True)
        if match[1] != name or blob[:4] != key_id(name, public[1:]):
            continue
        try:
            nacl.signing.VerifyKey(public[1:]).verify(text.encode(), blob[4:])
        except nacl.exceptions.BadSignatureError:
            raise Mismatch("the checkpoint's signature does not fit") from None
        verified += 1
    expect(verified > 0, f"the checkpoint is not signed by {name}")
    return text


def read_time(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)


class Checkpoint:
    """What a signed checkpoint says."""

    def __init__(self, note, verifier):
        self.note = note
        lines = open_note(note, verifier).split("\n")
        expect(lines[-1] == "" and len(lines) >= 7, "the checkpoint lacks lines")
        expect(lines[0] == verifier.split("+", 1)[0] + "/catalog", f"origin {lines[0]!r} is not that of the key")
        expect(re.fullmatch("0|[1-9][0-9]*", lines[1]) is not None, f"size {lines[1]!r}")
        self.count = int(lines[1])
        self.root = base64.b64decode(lines[2], validate=True)
        expect(len(self.root) == 32, "the root is not 32 bytes")
        self.extensions = dict(line.split(" ", 1) for line in lines[3:-1])
        self.generation = int(self.extensions["generation"])
        self.time, self.expires = (read_time(self.extensions[name]) for name in ("time", "expires"))
        self.view = self.extensions.get("view")


class Report:
    """What a check found, all of it verified."""

    def __init__(self, checkpoint, packs):
        self.checkpoint = checkpoint
        self.packs = packs  # path -> catalog item
        self.requests = self.files = 0

    @property
    def root(self):
        return self.checkpoint.root.hex()

    @property
    def generation(self):
        return self.checkpoint.generation

    def content(self):
        """{path: what tells whether two brokers hold it bit for bit}."""
        return {path: (item["digest"], item["content_sha256"]) for path, item in self.packs.items()}


class _Changed(Exception):
    """The catalog is not any more what it was when the check began."""


class Checker:
    """The other side of one broker. `address` is (host, port); `token` a read token; `verifier` the broker's key when it is known, else
    what /version says is believed."""

    def __init__(self, address, token=None, verifier=None, timeout=30.0):
        self.address, self.token, self.verifier, self.timeout = address, token, verifier, timeout
        self.requests = 0
        self.connection = None

    # Asking

    def get(self, target):
        """One answer, over a connection that is kept."""
        headers = [("Authorization", f"Bearer {self.token}")] if self.token else []
        for fresh in (False, True):
            if self.connection is None:
                self.connection, fresh = wire.Connection(self.address, self.timeout), True
            try:
                self.requests += 1
                return self.connection.request("GET", target, headers)
            except (wire.Closed, OSError):
                self.close()
                if fresh:
                    raise
        raise AssertionError("a fresh connection either answers or raises")

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def answer(self, target):
        """What is there for certain."""
        reply = self.get(target)
        if reply.status == 503:
            raise NotReady(f"{target} answered 503")
        expect(reply.status == 200, f"{target} answered {reply.status}")
        return reply

    def json(self, target):
        return self.answer(target).json()

    def checkpoint(self):
        reply = self.answer("/catalog/checkpoint")
        return Checkpoint(reply.body, self.verifier or self.json("/version")["key"])

    def listing(self, limit=1000):
        """All items of the catalog that have a digest."""
        items, cursor = [], ""
        while cursor is not None:
            page = self.json(f"/catalog?limit={limit}&cursor={urllib.parse.quote(cursor)}")
            items += [item for item in page["items"] if item["digest"] is not None]
            cursor = page["next"]
        return items

    def file(self, pack, name):
        """A file of a pack, or None."""
        reply = self.get(f"/packs/{urllib.parse.quote(pack)}/{urllib.parse.quote(name)}")
        expect(reply.status in (200, 404), f"pack '{pack}': {name} answered {reply.status}")
        return reply.body if reply.status == 200 else None

    # Judging

    def check(self, trusted=None, required=True, blobs=True):
        """Everything, or Mismatch. `trusted`: fingerprints that may have signed (None: any). `required`: nothing without a good
        signature may be served; else what is unsigned is only compared with its listing. `blobs`: every file by its hash, too."""
        for _ in range(ATTEMPTS):
            before = self.checkpoint()
            try:
                return self._check_at(before, trusted, required, blobs)
            except (Mismatch, _Changed):
                # A fault while nothing changed is a fault; while something changed it may be the mixture that the reader made.
                if self.checkpoint().note == before.note:
                    raise
        raise Mismatch("the catalog does not stand still for long enough to be checked")

    def _check_at(self, checkpoint, trusted, required, blobs):
        requests = self.requests
        items = self.listing()
        if self.checkpoint().note != checkpoint.note:
            raise _Changed()
        expect(checkpoint.expires > datetime.datetime.now(datetime.timezone.utc), "the checkpoint has expired")
        report = Report(checkpoint, {item["path"]: {name: item[name] for name in MEMBERS} for item in items})
        expect(len(report.packs) == len(items), "a path stands twice in the catalog")
        expect([item["path"] for item in items] == sorted(report.packs, key=lambda path: path.encode()), "the catalog is not in order")
        expect(checkpoint.count == len(items), f"{len(items)} items, but the checkpoint counts {checkpoint.count}")
        expect(digest_of(items) == checkpoint.root, "the root of the digest trie is not that of the checkpoint")
        listed = self.json("/catalog/digest")
        expect((listed["count"], listed["digest"]) == (len(items), checkpoint.root.hex()), "/catalog/digest says something else")
        if required:
            expect(sorted(self.json("/packs")) == sorted(report.packs), "/packs names others than the catalog")
        for item in report.packs.values():
            report.files += self._check_pack(item, trusted, required, blobs)
        report.requests = self.requests - requests
        return report

    def _check_pack(self, item, trusted, required, blobs):
        """Fetches and recomputes one pack; the number of its files."""
        path = item["path"]
        try:
            manifest, pages, sig = occ_verify.download(lambda name: self.file(path, name))
            if sig is None:
                expect(not required and item["publisher"] == "", f"pack '{path}': served without a signature")
                return 0
            document = json.loads(sig)
            trusted = {document["signer_fingerprint"]} if trusted is None else trusted
            document = occ_verify.verify(manifest, pages, sig, trusted)
            others = {name: self.file(path, name) for name in document.get("release", {}).get("files", {})}
            found = judge(path, manifest, pages, sig, {name: body for name, body in others.items() if body is not None})
        except occ_verify.Refused as refused:
            raise Mismatch(f"pack '{path}': {refused.args[0]}") from refused
        for name, value in found.items():
            expect(item[name] == value, f"pack '{path}': {name} is {value!r}, but the catalog has {item[name]!r}")
        reply = self.get(f"/catalog/releases/{item['digest']}")
        expect((reply.status, reply.body) == (200, sig), f"pack '{path}': /catalog/releases has another manifest.sig")
        bodies = [manifest, *pages.values(), *others.values()]
        if blobs:
            for body in bodies:
                digest = hashlib.sha256(body).hexdigest()
                reply = self.get(f"/blobs/sha256/{digest}")
                expect((reply.status, reply.body) == (200, body), f"pack '{path}': blob {digest} is not what was asked for")
        return len(bodies)


def judge(path, manifest, pages, sig, others):
    """Recomputes what a catalog item says of a signed pack from its files; raises occ_verify.Refused. `others`: files outside of OCC's
    signature by their names in the pack."""
    document = json.loads(sig)
    content = hashlib.sha256(occ_verify.canonical({name: document[name] for name in ("manifest_sha256", "pages")})).hexdigest()
    found = {"path": path, "content_sha256": content, "digest": content, "publisher": document["signer_fingerprint"],
             "pages": len(occ_verify.listed(pages["index.md"])),
             "bytes": sum(map(len, (manifest, *pages.values(), *others.values())))}
    if "release" in document:
        found["digest"] = occ_verify.verify_release(document, others, path)
        found["version"], found["published_at"] = document["release"]["version"], document["release"]["published_at"]
    return found


def audit_store(releases):
    """Judges every release on disk by nothing but its own bytes and its name, and returns {digest: path of its release}."""
    held = {}
    for directory in sorted(releases.iterdir()):
        name = directory.name
        files = {str(file.relative_to(directory)): file for file in directory.rglob("*") if not file.is_dir()}
        expect(all(file.is_file() and not file.is_symlink() for file in files.values()), f"release {name}: not only files")
        try:
            if set(files) == {"manifest.sig"}:
                held_path, found_digest = occ_verify.verify_tombstone(files["manifest.sig"].read_bytes())
                expect(found_digest == name, f"tombstone {name} has the digest {found_digest}")
                held[name] = held_path
                continue
            manifest, pages, sig = occ_verify.download(lambda asked, files=files: files[asked].read_bytes() if asked in files else None)
            document = json.loads(sig)
            occ_verify.verify(manifest, pages, sig, {document["signer_fingerprint"]})
            covered = {"manifest.yaml", "manifest.sig", *(f"wiki/{page}" for page in document["pages"])}
            others = {other: file.read_bytes() for other, file in files.items() if other not in covered}
            path = document.get("release", {}).get("path")
            found = judge(path, manifest, pages, sig, others)
        except occ_verify.Refused as refused:
            raise Mismatch(f"release {name}: {refused.args[0]}") from refused
        expect(found["digest"] == name, f"release {name} has the digest {found['digest']}")
        held[name] = path
    return held

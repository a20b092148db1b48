# SPDX-License-Identifier: MIT
"""A second opinion on manifest.sig, written from the description of the formats and sharing nothing with the program: what an
OCC Node checks after a download, and what Kontor's release adds. Refusals are Refused with a short rule."""
import base64
import hashlib
import json
import re

import nacl.exceptions
import nacl.signing

DOWNLOADABLE = re.compile(r"(?!.*\.\.)[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*\Z")
RELEASE_LABEL = b"kontor/release/v1\0"


class Refused(Exception):
    """The pack is not accepted; args[0] names the rule."""


def canonical(value):
    """JSON as it is signed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def fingerprint(public):
    return base64.b32encode(hashlib.sha256(public).digest()).decode().lower()[:16]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def listed(index):
    """Names of the rows that are downloaded and signed: "| cell1 | cell2 |" at the beginning of a line is enough."""
    names = []
    for line in index.decode("utf-8").splitlines():
        match = re.match(r"\|([^|]+)\|([^|]+)\|", line)
        if not match:
            continue
        first, second = match.group(1).strip(), match.group(2).strip()
        if first and second and first.lower() != "file" and not first.startswith("-") and first not in names:
            names.append(first)
    return names


def downloadable(name):
    return name.endswith(".md") and DOWNLOADABLE.match(name) is not None


def download(get):
    """What a Node holds after downloading: (manifest, pages, sig). `get(name)` gives the bytes of a file or None."""
    index = get("wiki/index.md")
    if index is None:
        raise Refused("no index")
    pages = {"index.md": index}
    for name in listed(index):
        body = get("wiki/" + name) if downloadable(name) else None
        if body is not None:
            pages[name] = body
    manifest = get("manifest.yaml")
    if manifest is None:
        raise Refused("no manifest")
    return manifest, pages, get("manifest.sig")


def _signed_by(public, signature, message):
    try:
        nacl.signing.VerifyKey(public).verify(message, signature)
        return True
    except (nacl.exceptions.BadSignatureError, ValueError):
        return False


def verify(manifest, pages, sig, trusted):
    """An OCC Node's rules in their order. Returns the parsed signature."""
    if sig is None:
        raise Refused("unsigned")
    document = json.loads(sig)
    if not isinstance(document, dict) or document.get("alg") != "ed25519" or not document.get("signer_pubkey_b64"):
        raise Refused("form")
    public = base64.b64decode(document["signer_pubkey_b64"])
    if document["signer_fingerprint"] != fingerprint(public):
        raise Refused("fingerprint")
    if fingerprint(public) not in trusted:
        raise Refused("untrusted")
    signed = {"manifest_sha256": document["manifest_sha256"], "pages": document["pages"]}
    if not _signed_by(public, base64.b64decode(document["signature_b64"]), canonical(signed)):
        raise Refused("signature")
    if digest(manifest) != signed["manifest_sha256"]:
        raise Refused("hash")
    for name, expected in signed["pages"].items():
        if name not in pages or digest(pages[name]) != expected:
            raise Refused("hash")
    if set(pages) - set(signed["pages"]):
        raise Refused("unlisted")
    return document


def verify_release(document, files, path):
    """What Kontor's release binds besides: path, content, and every other file (name -> bytes)."""
    release = document["release"]
    public = base64.b64decode(document["signer_pubkey_b64"])
    if not _signed_by(public, base64.b64decode(document["release_signature_b64"]), RELEASE_LABEL + canonical(release)):
        raise Refused("release-signature")
    signed = {"manifest_sha256": document["manifest_sha256"], "pages": document["pages"]}
    if release["content_sha256"] != digest(canonical(signed)):
        raise Refused("release-signature")
    for name, expected in release["files"].items():
        if name not in files or digest(files[name]) != expected:
            raise Refused("hash")
    if set(files) - set(release["files"]):
        raise Refused("unlisted")
    if release["path"] != path:
        raise Refused("wrong-path")
    return digest(canonical(release))


def verify_tombstone(sig):
    """A manifest.sig of which nothing else is kept, because it withdraws the pack: its path and digest, if both signatures fit."""
    document = json.loads(sig)
    release, public = document["release"], base64.b64decode(document["signer_pubkey_b64"])
    signed = canonical({"manifest_sha256": document["manifest_sha256"], "pages": document["pages"]})
    if document["signer_fingerprint"] != fingerprint(public):
        raise Refused("fingerprint")
    if release.get("withdrawn") is not True:
        raise Refused("no tombstone")
    if not _signed_by(public, base64.b64decode(document["signature_b64"]), signed) or release["content_sha256"] != digest(signed):
        raise Refused("signature")
    if not _signed_by(public, base64.b64decode(document["release_signature_b64"]), RELEASE_LABEL + canonical(release)):
        raise Refused("release-signature")
    return release["path"], digest(canonical(release))

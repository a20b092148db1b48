#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes catalog-digest.json: items, keys, leaves, digests of prefixes and a signed checkpoint, computed from the text of
docs/formats.md with hashlib and PyNaCl alone."""
import base64
import hashlib
import json
import pathlib

import nacl.signing

BUCKET = 32
SIZES = (0, 1, 2, 31, 32, 33, 100, 1000, 5000)
SPECIAL = [
    {"path": "astronomia/Größe \"der\" Erde", "version": "1.0.0-β+1", "publisher": "abcdefghijklmnop",
     "published_at": "2026-01-02T03:04:05Z", "pages": 0, "bytes": 2**53 - 1},
    {"path": "a/\U0001f30d", "version": "tab\tdel\x7f/\\", "publisher": "", "published_at": "", "pages": 7, "bytes": 0},
]


def sha(data):
    return hashlib.sha256(data).digest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def numbered(i):
    """Item number i of the sets; the tests in C make the same."""
    signed = i % 3 != 0
    return {"path": f"set/{i % 7}/pack-{i}", "version": f"1.{i}.0", "publisher": "abcdefghijklmnop" if signed else "",
            "published_at": "2026-01-02T03:04:05Z" if signed else "", "pages": i, "bytes": i * 1000,
            "digest": sha(b"digest %d" % i).hex(), "content_sha256": sha(b"content %d" % i).hex()}


def key(item):
    return sha(item["path"].encode())


def leaf(item):
    return sha(b"kontor/leaf/v1\0" + canonical(item))


def digest(pairs, prefix=""):
    """D(prefix) of the pairs (key, leaf) below it, in the order of their keys; None when there is none."""
    below = [pair for pair in pairs if pair[0].hex().startswith(prefix)]
    if len(below) <= BUCKET:
        return sha(b"\0" + b"".join(k + l for k, l in below))
    children = (digest(below, prefix + nibble) if any(k.hex().startswith(prefix + nibble) for k, _ in below) else bytes(32)
                for nibble in "0123456789abcdef")
    return sha(b"\1" + b"".join(children))


def pairs_of(items):
    return sorted((key(item), leaf(item)) for item in items)


def described(item):
    return {"item": item, "canonical": canonical(item).decode(), "key": key(item).hex(), "leaf": leaf(item).hex()}


def checkpoint():
    """A C2SP signed note over the set of 100."""
    seed = bytes(range(32))
    signer = nacl.signing.SigningKey(seed)
    public = bytes(signer.verify_key)
    root = digest(pairs_of([numbered(i) for i in range(100)]))
    name = "library.example"
    text = (f"{name}/catalog\n100\n{base64.b64encode(root).decode()}\ngeneration 1767323045\n"
            "time 2026-01-02T03:04:05Z\nexpires 2026-01-04T03:04:05Z\n")
    key_id = sha(name.encode() + b"\n\x01" + public)[:4]
    line = base64.b64encode(key_id + signer.sign(text.encode()).signature).decode()
    return {"seed": seed.hex(), "public": public.hex(), "name": name, "time_s": 1767323045,
            "generation": 1767323045, "note": f"{text}\n\u2014 {name} {line}\n"}


def main():
    special = [{**item, "digest": sha(b"s%d" % i).hex(), "content_sha256": sha(b"c%d" % i).hex()}
               for i, item in enumerate(SPECIAL)]
    hundred = pairs_of([numbered(i) for i in range(100)])
    prefixes = [""] + list("0123456789abcdef") + [hundred[0][0].hex()[:2], hundred[0][0].hex(), "ff" * 32]
    document = {
        "items": [described(item) for item in special + [numbered(0), numbered(1), numbered(99)]],
        "roots": [{"count": size, "digest": digest(pairs_of([numbered(i) for i in range(size)])).hex()} for size in SIZES],
        "prefixes_of_100": [{"prefix": p, "count": sum(k.hex().startswith(p) for k, _ in hundred),
                             "digest": digest(hundred, p).hex()} for p in prefixes],
        "checkpoint": checkpoint(),
    }
    path = pathlib.Path(__file__).with_name("catalog-digest.json")
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()

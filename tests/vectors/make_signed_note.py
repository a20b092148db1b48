#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes signed-note.json: C2SP signed notes and verifier keys made with PyNaCl alone, from the words of the specification.

usage: tests/vectors/make_signed_note.py > tests/vectors/signed-note.json
"""
import base64
import hashlib
import json

import nacl.signing

ALGORITHM = b"\x01"
SIGNERS = {"library.example/catalog": 1, "witness.example": 2, "Köln": 3}
TEXTS = {
    "checkpoint": "library.example/catalog\n42\n" + base64.b64encode(bytes(range(32))).decode() + "\ngeneration 7\ntime 2026-11-20T00:00:00Z\n",
    "empty lines": "first\n\n\nsecond\n",
    "one line": "a\n",
    "looks like a signature": "— library.example/catalog AAAA\n\n— b\n",
    "not ascii": "Grüße, мир, 世界 \U0001f600\x7f\n",
}


def key(number):
    return nacl.signing.SigningKey(bytes([number]) * 32)


def key_id(name, public):
    return hashlib.sha256(name.encode() + b"\n" + ALGORITHM + public).digest()[:4]


def line(name, text):
    signer = key(SIGNERS[name])
    packed = key_id(name, bytes(signer.verify_key)) + signer.sign(text.encode()).signature
    return f"— {name} {base64.b64encode(packed).decode()}\n"


def foreign_line(name, size):
    """A signature of another kind, such as a cosignature with a time in it."""
    return f"— {name} {base64.b64encode(bytes(range(size))).decode()}\n"


def main():
    first, second = "library.example/catalog", "witness.example"
    keys = []
    for name, number in SIGNERS.items():
        public = bytes(key(number).verify_key)
        identifier = key_id(name, public).hex()
        keys.append({"name": name, "seed_hex": (bytes([number]) * 32).hex(), "public_b64": base64.b64encode(public).decode(),
                     "key_id_hex": identifier, "verifier": f"{name}+{identifier}+{base64.b64encode(ALGORITHM + public).decode()}"})
    notes = []
    for title, text in TEXTS.items():
        notes.append({"title": title, "text": text, "signers": [first], "note": text + "\n" + line(first, text)})
    text = TEXTS["checkpoint"]
    notes.append({"title": "three signers", "text": text, "signers": list(SIGNERS),
                  "note": text + "\n" + "".join(line(name, text) for name in SIGNERS)})
    mixed = text + "\n" + foreign_line("cosigner.example", 76) + line(second, text) + foreign_line("hybrid.example", 5)
    print(json.dumps({"keys": keys, "notes": notes, "foreign_lines": mixed}, indent=1))


main()

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes python-text.json: what Python itself makes of lines, white space and index rows.

Existing software reads index.md with str.splitlines, str.strip and regular expressions; the C code claims to give the same
answers. The file is frozen: run this again only to add cases, and review the difference.
"""
import json
import pathlib
import random
import re

SEED = 20240229
INDEXED = re.compile(r"\|([^|]+)\|([^|]+)\|(.+)\|", re.DOTALL)
LISTED = re.compile(r"\|([^|]+)\|([^|]+)\|")
SPACES = "\t\v\f\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\u200b\ufeff\u180e"
LETTERS = ["a", "b.md", "é", "日本", "😀", "-", "--", "File", "file", "FILE", "fi\u017fe", "\x7f", "x"]


def code_points(predicate):
    """All code points but NUL and the surrogates that satisfy the predicate."""
    return [c for c in range(1, 0x110000) if not 0xD800 <= c <= 0xDFFF and predicate(chr(c))]


def random_text(rng, alphabet, length_max):
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(length_max)))


def random_index(rng, alphabet):
    """A few lines that look like rows, more or less."""
    lines = []
    for _ in range(rng.randrange(1, 4)):
        cells = [random_text(rng, alphabet, 4) for _ in range(rng.randrange(1, 6))]
        ends = rng.choice(["||", "||", "||", "||", "|", " |"])
        lines.append(ends[0] + "|".join(cells) + ends[1:] + rng.choice(["", "", " ", "\u3000"]))
    return rng.choice(["\n", "\r\n"]).join(lines)


def rows_of(text):
    """[line, cell 1, cell 2, summary or None] of each row."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        listed = LISTED.match(line)
        if listed is None:
            continue
        file, title = listed.group(1).strip(), listed.group(2).strip()
        if not file or not title or file.startswith("-") or file.lower() == "file":
            continue
        indexed = INDEXED.fullmatch(line.rstrip())
        rows.append([number, file, title, indexed.group(3).strip() if indexed else None])
    return rows


def main():
    rng = random.Random(SEED)
    text_alphabet = LETTERS + list(SPACES) + ["\n", "\r", "\r\n"]
    cell_alphabet = LETTERS * 5 + [" "] * 30 + list(SPACES)
    texts = [random_text(rng, text_alphabet, 14) for _ in range(300)]
    indexes = [random_index(rng, cell_alphabet) for _ in range(400)]
    vectors = {
        "note": "made by make_python_text.py; frozen",
        "space": code_points(str.isspace),
        "line_end": code_points(lambda c: len(("a" + c + "a").splitlines()) == 2),
        "texts": [{"text": t, "lines": t.splitlines(), "strip": t.strip(), "rstrip": t.rstrip(),
                   "folded": t.replace("\r\n", "\n").replace("\r", "\n"), "chars": len(t)} for t in texts],
        "indexes": [{"text": t, "rows": rows_of(t)} for t in indexes],
    }
    path = pathlib.Path(__file__).with_name("python-text.json")
    path.write_text(json.dumps(vectors, indent=0, ensure_ascii=True) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()

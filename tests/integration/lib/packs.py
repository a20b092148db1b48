# SPDX-License-Identifier: MIT
"""Packs on disk as publishers lay them down, and their signatures."""
import base64
import hashlib
import json

import nacl.signing

PUBLISHER = nacl.signing.SigningKey(bytes(range(32)))


def index(rows, title="Index"):
    """wiki/index.md of rows (file, title, summary)."""
    lines = [f"# {title}", "", "Last updated: 2025-01-01  ", f"Total pages: {len(rows)}", "", "## Pages", "",
             "| File | Title | Summary |", "|------|-------|---------|"]
    lines += [f"| {file} | {name} | {summary} |" for file, name, summary in rows]
    return "\n".join(lines) + "\n"


def page(title, body, summary="A page."):
    """A page with the usual front matter."""
    return f"---\ntitle: {title}\nsummary: {summary}\ncategory: concept\ntags: [test]\n---\n\n# {title}\n\n{body}\n"


def write(root, path, files):
    """Writes files (name -> str or bytes) below root/path."""
    for name, content in files.items():
        target = root / path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    return root / path


def manifest(name, summary, language="en"):
    return (f"name: {name}\nversion: 1.0.0\ndomains:\n- test\nsummary: {json.dumps(summary, ensure_ascii=False)}\n"
            f"language: {language}\nsources: []\nsignature: null\nmin_node_version: 0.1.0\n")


def pack(root, path, pages, summary="A pack for tests.", language="en"):
    """A whole pack; `pages` is a list of (slug, title, summary, body)."""
    files = {"manifest.yaml": manifest(path.rsplit("/", 1)[-1], summary, language),
             "wiki/index.md": index([(f"concepts/{slug}.md", title, text) for slug, title, text, _ in pages])}
    for slug, title, text, body in pages:
        files[f"wiki/concepts/{slug}.md"] = page(title, body, text)
    return write(root, path, files)


def library(root):
    """The packs that most tests use: a single pack, a category with nested packs, an overview pack with a pack below it, one in
    another language, and directories that are no packs."""
    pack(root, "docker", [
        ("container", "Container", "An isolated process with its own view of the system.", "A container shares the kernel."),
        ("image", "Image", "A read-only template of layers.", "Images are built from a Dockerfile. Zanzibarlayer."),
    ], summary="Containers and images.")
    pack(root, "history/rome", [
        ("caesar", "Gaius Julius Caesar", "Dictator of Rome.", "Caesar crossed the Rubicon."),
        ("senate", "The Senate", "The council of elders.", "The senate met in the curia."),
    ], summary="Rome from the kings to the emperors.")
    pack(root, "history/greece", [("athens", "Athens", "A city state.", "Athens fought Sparta.")], summary="")
    pack(root, "science", [("method", "Scientific Method", "How we know.", "Observe, guess, test.")],
         summary="Science: an overview.")
    pack(root, "science/physik", [("kraft", "Kraft", "Masse mal Beschleunigung.", "Die Kräfte größerer Körper. Ä Ö Ü ß.")],
         summary="Physik auf Deutsch.", language="de")
    write(root, "mcp", {"manifest.yaml": manifest("mcp", "No index here."), "raw/notes.md": "raw\n"})
    (root / "empty").mkdir()
    write(root, ".hidden/secret", {"wiki/index.md": index([])})
    write(root, "docker", {"raw/articles/source.md": "raw text\n"})


def served_form(data):
    """CRLF and lone CR folded to LF, as the reference reads text."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def canonical(value):
    """The canonical JSON that a publisher signs."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def fingerprint(key=PUBLISHER):
    """Of a publisher's key, as it stands in manifest.sig and trust lists."""
    return base64.b32encode(hashlib.sha256(bytes(key.verify_key)).digest()).decode().lower()[:16]


def trust(kontor, keys, **members):
    """Writes the broker's trust list; `members` go into every entry."""
    entries = [{"fingerprint": fingerprint(key), "name": "Test Publisher", "since": "2025-01-01", "note": "", **members}
               for key in keys]
    (kontor.data / "trusted_publishers.yaml").write_text(json.dumps({"publishers": entries}) + "\n")


def content_sha256(directory):
    """What identifies the content of a signed pack."""
    document = json.loads((directory / "manifest.sig").read_text())
    return hashlib.sha256(canonical({name: document[name] for name in ("manifest_sha256", "pages")})).hexdigest()


def sign_release(directory, path, version="1.0.0", published_at="2025-06-01T00:00:00Z", key=PUBLISHER, **members):
    """Signs the listed pages as `sign` does and adds a release that binds path, version, date and all other files. Returns the
    digest of the release."""
    document = sign(directory, key=key)
    pages = document["pages"]
    files = {str(file.relative_to(directory)): hashlib.sha256(file.read_bytes()).hexdigest()
             for file in (directory / "wiki").rglob("*") if file.is_file() and str(file.relative_to(directory / "wiki")) not in pages}
    release = {"path": path, "version": version, "published_at": published_at, "content_sha256": content_sha256(directory),
               "files": files, **members}
    document["release"] = release
    document["release_signature_b64"] = base64.b64encode(key.sign(b"kontor/release/v1\0" + canonical(release)).signature).decode()
    (directory / "manifest.sig").write_text(json.dumps(document, indent=2) + "\n")
    return hashlib.sha256(canonical(release)).hexdigest()


def sign(directory, hashes=None, form=lambda data: data, key=PUBLISHER):
    """Writes manifest.sig over the pack's files, hashing `form(bytes)` of each; `hashes` replaces the pages' hashes."""
    wiki = directory / "wiki"
    if hashes is None:
        hashes = {str(path.relative_to(wiki)): hashlib.sha256(form(path.read_bytes())).hexdigest()
                  for path in wiki.rglob("*.md")}
    signed = {"manifest_sha256": hashlib.sha256(form((directory / "manifest.yaml").read_bytes())).hexdigest(), "pages": hashes}
    public = bytes(key.verify_key)
    document = {"alg": "ed25519", "signer_name": "Test Publisher", "signer_pubkey_b64": base64.b64encode(public).decode(),
                "signer_fingerprint": base64.b32encode(hashlib.sha256(public).digest()).decode().lower()[:16],
                "signed_at": "2025-01-01T00:00:00Z", **signed,
                "signature_b64": base64.b64encode(key.sign(canonical(signed)).signature).decode()}
    (directory / "manifest.sig").write_text(json.dumps(document, indent=2) + "\n")
    return document

# SPDX-License-Identifier: MIT
"""Private packs and who cannot see them.

Two brokers are the same to the last byte of name, key, public packs, files and times; one mirrors private packs besides and has read
tokens. Every public route is asked by every kind of stranger in every way there is, and must answer the same bytes. Only what is a
time, or a figure of the process itself, is masked, each by its name. The same comparison then says that a token shows its own packs and
nothing of what another one shows.
"""
import base64
import contextlib
import gzip
import hashlib
import itertools
import json
import re
import shutil
import sqlite3
import threading
import urllib.parse

import yaml

from lib import broker, mirror_world

PUBLIC_LOCAL = ["history/rome", "history/greece"]
PUBLIC_MIRRORED = ["science/botany", "science"]
ALPHA = ["alpha/orchids", "alpha/deep/one", "alpha"]
BETA = ["beta/quartz", "history/rome/annex"]
SHADOW = "science/botany"  # a private pack of beta stands in front of the public one
SHARED_WORD, ALPHA_WORD, BETA_WORD = "granite", "xanthophyll", "quetzalcoatl"
ABSENT = ["absent/pack", "absent"]
# Of a token of which the broker never heard.
STRANGE_TOKEN = "kontor_" + "A" * 43
REINDEX_TOKEN = "reindex-token"


def path_key(path):
    return hashlib.sha256(path.encode()).hexdigest()


def bearer(token):
    return [("Authorization", f"Bearer {token}")]


class Asker:
    """One side of a comparison: a broker, and with what it is asked."""

    def __init__(self, member, headers=()):
        self.member, self.headers = member, list(headers)

    def ask(self, method, target, headers=(), body=None):
        return self.member.request(method, target, [*self.headers, *headers], body)

    def json(self, target):
        return self.ask("GET", target).json()

    def status(self, target):
        return self.ask("GET", target).status


# What may differ between two processes

# What the process takes of the system, times, and bytes of answers that hold such times. Requests, hits, misses, answers by status and
# everything about packs, sources and searches is compared.
PROCESS_METRICS = re.compile(r"(process_|kontor_\w+_seconds(_bucket|_sum)?\b|kontor_http_response_body_bytes_total|kontor_page_cache_bytes)")


def mask_checkpoint(text):
    text = re.sub(r"^(time|expires) .*$", r"\1 MASKED", text, flags=re.M)
    return re.sub(r"^(\u2014 \S+) .*$", r"\1 MASKED", text, flags=re.M)


def mask_metrics(text):
    return "\n".join(line for line in text.split("\n") if not PROCESS_METRICS.match(line.removeprefix("# HELP ").removeprefix("# TYPE ")))


def picture(target, reply, generations=False):
    """An answer as it is compared. `generations`: two views that came about at different times are compared."""
    headers = [(name, value) for name, value in reply.headers if name.lower() != "date"]
    body = reply.body
    route = target.split("?")[0]
    dated = route == "/catalog/checkpoint" or (generations and route == "/catalog/changes")
    if dated or route == "/metrics":
        headers = [(name, "MASKED" if name.lower() in ("etag", "content-length") else value) for name, value in headers]
        headers = [(name, value) for name, value in headers if name.lower() not in ("vary", "content-encoding")]
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
    if route == "/catalog/checkpoint":
        body = mask_checkpoint(body.decode()).encode()
        if generations:
            body = re.sub(rb"^generation .*$", b"generation MASKED", body, flags=re.M)
    elif dated and reply.status == 200 and body:
        answer = json.loads(body)
        # Two views may have come about in other steps.
        body = json.dumps(sorted(answer["changes"], key=json.dumps)).encode()
    elif route == "/metrics":
        body = mask_metrics(body.decode()).encode()
    return reply.status, headers, body


# Every question there is

class Questions:
    """All requests that are compared, made from what a full view of the private broker knows."""

    def __init__(self, seer, paths, words):
        self.seer, self.paths, self.words = seer, paths, words
        self.items = self.listing()

    def listing(self):
        items, cursor = [], ""
        while cursor is not None:
            page = self.seer.json(f"/catalog?cursor={cursor}")
            items += page["items"]
            cursor = page["next"]
        return items

    def files(self):
        """Paths and hashes of some files of every pack."""
        for path in self.paths:
            for name in ("manifest.yaml", "manifest.sig", "wiki/index.md", "wiki/concepts/page-0.md", "wiki/log.md", "wiki/assets/dot.png",
                         "wiki/none.md"):
                yield f"/packs/{path}/{name}"

    def hashes(self):
        for target in self.files():
            reply = self.seer.ask("GET", target)
            if reply.status == 200:
                yield hashlib.sha256(reply.body).hexdigest()
        yield "0" * 64

    def reads(self):
        """Targets of GET."""
        yield from ("/", "/?page=1", "/?page=2", "/tree", "/tree/", "/packs", "/packs/", "/packs/summaries", "/publishers", "/nodes", "/healthz",
                    "/readyz", "/version", "/metrics", "/ws", "/nothing", "/packs/", "/catalog", "/catalog/", "/catalog?limit=1", "/catalog?limit=0",
                    "/catalog/checkpoint", "/catalog/digest", "/catalog/digest/0,1,f", "/catalog/digest/x", "/catalog/changes?since=0",
                    "/catalog/changes", "/packs/../x", "/packs/%2e%2e/x")
        for path in self.paths:
            parts = path.split("/")
            yield from (f"/tree/{'/'.join(parts[:depth])}" for depth in range(1, len(parts) + 1))
            yield f"/packs/{path}/index.md"
            yield f"/packs/{urllib.parse.quote(path, safe='')}/manifest.yaml"
            yield f"/catalog/tombstones/{path}"
            key = path_key(path)
            yield from (f"/catalog/digest/{key[:n]}" for n in (1, 2, 8, 64))
            yield f"/catalog?cursor={path.encode().hex()}"
            yield f"/catalog?limit=1&cursor={path.encode().hex()}"
            yield from (f"/?q={word}&scope={urllib.parse.quote(path)}" for word in self.words[:2])
        yield from (f"/?q={word}" for word in self.words)
        yield from self.files()
        for digest in {item["digest"] for item in self.items if item["digest"]} | {"0" * 64}:
            yield f"/catalog/releases/{digest}"
        yield from (f"/blobs/sha256/{value}" for value in sorted(set(self.hashes())))

    def posts(self):
        """(target, value) of POST."""
        for word in self.words:
            yield from (("/search", {"q": word, "k": k}) for k in (1, 3, 50))
            yield "/lookup_entity", {"term": word, "limit": 20}
            yield "/lookup_entity", {"term": word, "limit": 1}
        for path in self.paths:
            yield "/search", {"q": f"{self.words[0]} {SHARED_WORD} page", "k": 20, "scope": path}
            yield "/search", {"q": path.replace("/", " "), "k": 20}
        yield "/search", {"q": " ".join(self.words), "k": 50}
        yield "/search", {"q": 1}
        yield "/search", {"q": "x", "scope": "../x"}
        yield from (("/admin/reindex", {"pack_path": path}) for path in (self.paths[0], ABSENT[0]))

    def conditions(self, target):
        """Headers that ask for another form of the same: gzip, part, not modified (by the tag that the seer gets)."""
        tag = self.seer.ask("GET", target).header("ETag") or '"none"'
        yield [("Accept-Encoding", "gzip")]
        yield [("Range", "bytes=0-9")]
        yield [("Range", "bytes=999999999-")]
        yield [("If-None-Match", tag)]
        yield [("If-None-Match", "*")]

    def all(self):
        """(method, target, headers, body)."""
        targets = list(dict.fromkeys(self.reads()))
        for target in targets:
            yield "GET", target, [], None
        for target in targets:
            yield "HEAD", target, [], None
            yield from (("GET", target, headers, None) for headers in self.conditions(target))
        for target in targets[:: 5]:
            yield "POST", target, [], b"{}"
            yield "PUT", target, [], None
        for target, value in self.posts():
            yield "POST", target, [("Content-Type", "application/json")], json.dumps(value).encode()


def covered_routes(targets):
    """The routes of schema/openapi.yaml that none of the targets belongs to."""
    document = yaml.safe_load((broker.SOURCE / "schema/openapi.yaml").read_text())
    missing = []
    for template in document["paths"]:
        pattern = re.sub(r"\\\{[^}]*\\\}", ".+", re.escape(template))
        if not template.startswith("/v1") and not any(re.fullmatch(pattern, target) for target in targets):
            missing.append(template)
    return missing


class Leak(mirror_world.MirrorTest):
    """Worlds with and without private packs."""

    def setUp(self):
        super().setUp()
        self.open = self.world.repository("open", self.anna)
        for path in PUBLIC_MIRRORED:
            self.open.write(path, text=f"Public {SHARED_WORD}.")
        self.open.commit()
        self.alpha = self.closed("alpha", ALPHA, ALPHA_WORD)
        self.beta = self.closed("beta", [*BETA, SHADOW], BETA_WORD)

    def closed(self, name, paths, word):
        repository = self.world.repository(name, self.anna)
        for path in paths:
            repository.write(path, text=f"Private {word} {SHARED_WORD}.", pages=3)
        repository.commit()
        return repository

    def lay_local(self, member):
        for path in PUBLIC_LOCAL:
            mirror_world.lay_pack(member.packs, path, text=f"Local {SHARED_WORD}.")
            self.anna.sign(member.packs / path, path)

    def original(self):
        """A broker with all public packs, at rest: what the others are copies of."""
        member = self.member("library")
        self.lay_local(member)
        member.mirror("open", self.open, interval="1d").start().wait_serving()
        self.wait_versions(member, {path: "1.0.0" for path in [*PUBLIC_LOCAL, *PUBLIC_MIRRORED]})
        member.stop()
        return member

    def copy(self, original, sources=(), tokens=None):
        """The same broker once more, times of files included, with other things private."""
        member = self.member("library")
        shutil.rmtree(member.data)
        shutil.copytree(original.data, member.data, symlinks=True)
        member.broker_key = original.broker_key
        member.env = {"OCC_REINDEX_TOKEN": REINDEX_TOKEN}
        member.mirrors = list(original.mirrors)
        for name, repository in sources:
            member.mirror(name, repository, interval="1d", visibility="private")
        if tokens is not None:
            shutil.copy2(tokens, member.data / "read_tokens.json")
        member.describe().start().wait_serving()
        return member

    def start_again(self, member):
        """Starts it again and asks it nothing, so that all counters begin at nothing."""
        member.stop()
        seen = member.log().count('"event":"ready"')
        member.start()
        broker.wait_until(lambda: member.log().count('"event":"ready"') > seen, "the log to say ready")

    def token(self, member, name, *options):
        return member.command("token", "new", name, *options).stdout.strip()

    def wait_private(self, member, token, paths):
        expected = {path: "1.0.0" for path in [*PUBLIC_LOCAL, *PUBLIC_MIRRORED, *paths]}
        self.wait_versions(member, expected, token)

    def compare(self, left, right, questions, **options):
        """Asks both the same in the same order; the answers must be the same bytes. Returns how many were compared."""
        count = 0
        for count, (method, target, headers, body) in enumerate(questions, 1):
            ours = picture(target, left.ask(method, target, headers, body), **options)
            theirs = picture(target, right.ask(method, target, headers, body), **options)
            self.assertEqual(ours, theirs, f"{method} {target} {headers} {body}")
        return count

    def assert_silent(self, asker, questions, secrets):
        """No answer, head or body, packed or not, contains any of the secrets but where the request itself brought it."""
        for method, target, headers, body in questions:
            reply = asker.ask(method, target, headers, body)
            text = reply.body
            with contextlib.suppress(OSError, EOFError):
                text = gzip.decompress(text)
            told = f"{reply.headers}".encode() + text
            for secret in secrets:
                asked = secret in urllib.parse.unquote(target) or (body is not None and secret.encode() in body)
                self.assertTrue(asked or secret.encode() not in told, f"{method} {target} {headers} {body} tells of {secret}")


class StrangerTest(Leak):
    """Who has no token."""

    def test_bytes(self):
        original = self.original()
        sealed = self.copy(original, [("alpha", self.alpha), ("beta", self.beta)])
        full = self.token(sealed, "full")
        over = self.token(sealed, "over", "--expires", "1s")
        gone = self.token(sealed, "gone")
        sealed.command("token", "revoke", "gone")
        self.wait_private(sealed, full, [*ALPHA, *BETA])
        self.wait_private_search(sealed, full)
        plain = self.copy(original)
        questions = Questions(Asker(sealed, bearer(full)), [*PUBLIC_LOCAL, *PUBLIC_MIRRORED, *ALPHA, *BETA, *ABSENT],
                              [ALPHA_WORD, BETA_WORD, SHARED_WORD, "pages"])
        everything = list(questions.all())
        self.assertEqual(covered_routes({target.split("?")[0] for _, target, _, _ in everything}), [])
        broker.wait_until(lambda: not self.sees(sealed, over), "a token to expire")
        for member in (sealed, plain):
            self.start_again(member)
        askers = {"nobody": [], "strange": bearer(STRANGE_TOKEN), "short": bearer(full[:-1]), "long": bearer(full + "A"), "over": bearer(over),
                  "gone": bearer(gone), "basic": [("Authorization", "Basic " + base64.b64encode(b"a:" + full.encode()).decode())],
                  "bare": [("Authorization", full)], "elsewhere": [("X-OCC-Token", full)]}
        compared = 0
        for name, headers in askers.items():
            with self.subTest(name):
                some = everything if name in ("nobody", "strange") else everything[:: 7]
                compared += self.compare(Asker(sealed, headers), Asker(plain, headers), some)
        self.assertGreater(compared, 3000)
        self.compare(Asker(sealed), Asker(plain), self.reindexes())
        self.assert_metrics(sealed, plain)

    def sees(self, member, token):
        return Asker(member, bearer(token)).status(f"/packs/{ALPHA[0]}/wiki/index.md") == 200

    def reindexes(self):
        """Who may have packs indexed again is told nothing of private ones either."""
        headers = [("X-OCC-Token", REINDEX_TOKEN), ("Content-Type", "application/json")]
        for path in (PUBLIC_LOCAL[0], SHADOW, ALPHA[0], BETA[1], ABSENT[0], None):
            yield "POST", "/admin/reindex", headers, json.dumps({"pack_path": path} if path else {}).encode()
            yield "GET", "/packs", [], None
            yield "GET", "/metrics", [], None

    def wait_private_search(self, member, token):
        def found():
            reply = member.request("POST", "/search", [*bearer(token), ("Content-Type", "application/json")],
                                   json.dumps({"q": BETA_WORD}).encode())
            return reply.status == 200 and reply.json()["results"]

        broker.wait_until(found, "private packs to be searched")

    def assert_metrics(self, sealed, plain):
        """The mask hides no more than it says: names that speak of packs are compared."""
        text = mask_metrics(plain.get("/metrics").text)
        for name in ("kontor_packs", "kontor_pages", "kontor_http_requests_total", "kontor_rejections_total"):
            self.assertRegex(text, rf"(?m)^{name}\b")
        for word in ("alpha", "beta", *ALPHA, *BETA):
            self.assertNotIn(word, sealed.get("/metrics").text)

    def test_figures(self):
        """A private change moves no figure: not even hits and misses of caches tell of it, nor numbers of states."""
        original = self.original()
        sealed = self.copy(original)
        sealed.mirrors.append(mirror_world.source(name="alpha", git=self.alpha.url, interval="1s", visibility="private"))
        token = self.token(sealed, "full")
        sealed.describe()
        self.start_again(sealed)
        self.wait_private(sealed, token, ALPHA)
        targets = ["/packs", "/tree", "/catalog/digest", "/", "/packs/summaries", f"/packs/{PUBLIC_LOCAL[0]}/wiki/index.md", "/metrics"]
        for target in targets:
            self.assertEqual(sealed.get(target).status, 200)
        sealed.search(SHARED_WORD)
        checkpoint = sealed.get("/catalog/checkpoint").body
        self.alpha.write("alpha/new", text="Another one.")
        before = self.figures(sealed)
        self.alpha.commit()
        self.wait_release(sealed, 1 + len(ALPHA) + len(PUBLIC_MIRRORED))
        between = self.figures(sealed)
        for target in targets:
            sealed.get(target)
        sealed.search(SHARED_WORD)
        after = self.figures(sealed)
        self.wait_private(sealed, token, [*ALPHA, "alpha/new"])
        self.assertEqual(self.changed(before, between), {"kontor_page_cache_misses_total": 1})
        moved = self.changed(between, after)
        self.assertEqual((moved["kontor_page_cache_hits_total"], moved["kontor_search_cache_hits_total"]), (len(targets) - 1, 1))
        self.assertEqual(moved["kontor_page_cache_misses_total"], 2, "/metrics itself is never kept")
        self.assertEqual(sealed.get("/catalog/checkpoint").body, checkpoint)

    def wait_release(self, member, count):
        """Waits for releases on disk and for a view that has them, without a request."""
        releases = member.data / "store/releases"
        broker.wait_until(lambda: len(list(releases.iterdir())) == count, "a release to be installed")
        broker.wait_until(lambda: self.is_indexed(member), "the view to be indexed")

    def is_indexed(self, member):
        database = sqlite3.connect(f"file:{next((member.data / 'views').iterdir()) / 'index.db'}?mode=ro", uri=True)
        with contextlib.closing(database):
            return database.execute("SELECT count(*) FROM packs WHERE path = 'alpha/new'").fetchone()[0]

    def figures(self, member):
        lines = mask_metrics(member.get("/metrics").text).split("\n")
        return dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))

    def changed(self, before, after):
        return {name: int(value) - int(before.get(name, "0")) for name, value in after.items()
                if value != before.get(name, "0") and '"/metrics"' not in name}


class TokenTest(Leak):
    """Who has a token, and of what."""

    def test_partial(self):
        """Token A sees on a broker with A's and B's packs what it sees on one with A's alone, in every answer, count and score."""
        original = self.original()
        both = self.copy(original, [("alpha", self.alpha), ("beta", self.beta)])
        a = self.token(both, "a", "--path", "alpha", "--path", "alpha/**")
        b = self.token(both, "b", "--path", "beta/**", "--path", "history/**", "--path", "science/*")
        full = self.token(both, "full")
        self.wait_private(both, full, [*ALPHA, *BETA])
        self.wait_private(both, a, ALPHA)
        self.wait_private(both, b, BETA)
        alone = self.copy(original, [("alpha", self.alpha)], tokens=both.data / "read_tokens.json")
        self.wait_private(alone, a, ALPHA)
        self.wait_searched(both, {a: ALPHA_WORD, b: BETA_WORD, full: BETA_WORD})
        self.wait_searched(alone, {a: ALPHA_WORD})
        questions = Questions(Asker(both, bearer(full)), [*PUBLIC_LOCAL, *PUBLIC_MIRRORED, *ALPHA, *BETA, *ABSENT],
                              [ALPHA_WORD, BETA_WORD, SHARED_WORD, "pages"])
        everything = [row for row in questions.all() if not row[1].startswith("/metrics")]
        self.compare(Asker(both, bearer(a)), Asker(alone, bearer(a)), everything, generations=True)
        self.assert_silent(Asker(both, bearer(a)), everything[:: 3], ["quartz", "annex", BETA_WORD])
        self.assert_silent(Asker(both, bearer(b)), everything[:: 3], ["orchids", "alpha/deep", ALPHA_WORD])
        self.assert_silent(Asker(both), everything[:: 3], ["orchids", "quartz", "annex", ALPHA_WORD, BETA_WORD])
        for token, paths in ((a, ALPHA), (b, BETA), (full, [*ALPHA, *BETA]), (None, [])):
            report = both.verified(token)
            self.assertEqual(sorted(report.packs), sorted([*PUBLIC_LOCAL, *PUBLIC_MIRRORED, *paths]))
        self.shadowing(both, a, b)

    def wait_searched(self, member, words):
        for token, word in words.items():
            broker.wait_until(lambda t=token, w=word: self.search(member, t, w).status == 200 and
                              self.search(member, t, w).json()["results"], "private packs to be searched")

    def search(self, member, token, query, **options):
        return member.request("POST", "/search", [*bearer(token), ("Content-Type", "application/json")],
                              json.dumps({"q": query, **options}).encode())

    def shadowing(self, member, a, b):
        """Where a private pack stands in front of a public one, its holder gets it, and nothing of the public one."""
        page = f"/packs/{SHADOW}/wiki/concepts/page-0.md"
        self.assertIn(BETA_WORD, Asker(member, bearer(b)).ask("GET", page).text)
        self.assertIn("Public", Asker(member, bearer(a)).ask("GET", page).text)
        self.assertIn("Public", member.get(page).text)
        hits = [hit for hit in self.search(member, b, SHARED_WORD, k=50).json()["results"] if hit["pack_path"] == SHADOW]
        self.assertEqual(len(hits), 3, hits)
        hits = [hit for hit in self.search(member, a, SHARED_WORD, k=50).json()["results"] if hit["pack_path"] == SHADOW]
        self.assertEqual(len(hits), 2, hits)

    def test_search_merges(self):
        """Scores ascend, public scores are those that strangers get, and k holds for the merged list."""
        original = self.original()
        member = self.copy(original, [("alpha", self.alpha)])
        token = self.token(member, "full")
        self.wait_private(member, token, ALPHA)
        self.wait_searched(member, {token: ALPHA_WORD})
        public = {(hit["pack_path"], hit["page_file"]): hit["score"] for hit in member.search(SHARED_WORD, k=50)}
        hits = self.search(member, token, SHARED_WORD, k=50).json()["results"]
        self.assertEqual([hit["score"] for hit in hits], sorted(hit["score"] for hit in hits))
        seen = {(hit["pack_path"], hit["page_file"]): hit["score"] for hit in hits}
        self.assertEqual({key: score for key, score in seen.items() if key in public}, public)
        self.assertEqual({path for path, _ in seen if path not in [*PUBLIC_LOCAL, *PUBLIC_MIRRORED]}, set(ALPHA))
        self.assertEqual(self.search(member, token, SHARED_WORD, k=3).json()["results"], hits[:3])
        lookup = member.request("POST", "/lookup_entity", [*bearer(token), ("Content-Type", "application/json")],
                                json.dumps({"term": SHARED_WORD, "limit": 20}).encode()).json()["results"]
        self.assertEqual(lookup, sorted(lookup, key=lambda entity: (-entity["match_count"], entity["pack_path"])))
        self.assertLessEqual(set(ALPHA), {entity["pack_path"] for entity in lookup})
        self.assertEqual({hit["pack_path"] for hit in self.search(member, token, SHARED_WORD, k=50, scope="alpha").json()["results"]},
                         set(ALPHA))

    def test_answers(self):
        """What a view answers is marked as being for one asker; tags, parts and 304 work."""
        original = self.original()
        member = self.copy(original, [("alpha", self.alpha)])
        token = self.token(member, "full")
        self.wait_private(member, token, ALPHA)
        asker = Asker(member, bearer(token))
        blob = hashlib.sha256(asker.ask("GET", f"/packs/{ALPHA[0]}/wiki/index.md").body).hexdigest()
        for target, status in ((f"/packs/{ALPHA[0]}/wiki/index.md", 200), ("/packs", 200), ("/", 200), ("/catalog", 200), ("/catalog/digest", 200),
                               ("/catalog/checkpoint", 200), (f"/blobs/sha256/{blob}", 200), ("/packs/absent/wiki/index.md", 404),
                               ("/catalog/changes?since=1", 410)):
            reply = asker.ask("GET", target)
            self.assertEqual((reply.status, reply.header("Cache-Control")), (status, "private"), target)
            self.assertIn("Authorization", reply.header("Vary"), target)
            tag = reply.header("ETag")
            if tag:
                again = asker.ask("GET", target, [("If-None-Match", tag)])
                self.assertEqual((again.status, again.header("Cache-Control"), again.header("ETag")), (304, "private", tag), target)
                self.assertIn("Authorization", again.header("Vary"), target)
        part = asker.ask("GET", f"/packs/{ALPHA[0]}/wiki/index.md", [("Range", "bytes=0-4")])
        self.assertEqual((part.status, len(part.body), part.header("Cache-Control")), (206, 5, "private"))
        for headers in (bearer(STRANGE_TOKEN), []):
            for target in ("/packs", "/catalog/digest"):
                reply = member.request("GET", target, headers)
                self.assertIsNone(reply.header("Cache-Control"), target)
                self.assertNotIn("Authorization", reply.header("Vary") or "", target)
        mixed = [asker.ask("GET", "/packs").json(), member.get("/packs").json(), asker.ask("GET", "/packs").json()]
        self.assertEqual(mixed[0], mixed[2])
        self.assertEqual(sorted(set(mixed[0]) - set(mixed[1])), sorted(ALPHA))
        for spelling in ("bearer", "BEARER", "Bearer  "):
            reply = member.request("GET", "/packs", [("Authorization", f"{spelling} {token}")])
            self.assertEqual(reply.json(), mixed[0], spelling)

    def test_life(self):
        """A token works at once, ends at its time, and is worth nothing once it is revoked; views outlive a restart."""
        original = self.original()
        member = self.copy(original, [("alpha", self.alpha)])
        token, short = self.token(member, "long"), self.token(member, "short", "--expires", "3s")
        self.wait_private(member, token, ALPHA)
        page = f"/packs/{ALPHA[0]}/wiki/index.md"
        self.assertEqual(member.get(page).status, 404)
        broker.wait_until(lambda: Asker(member, bearer(short)).status(page) == 404, "a token to expire")
        self.assertEqual(Asker(member, bearer(token)).status(page), 200)
        before = member.checker(token).checkpoint()
        member.stop()
        member.start().wait_serving()
        self.wait_private(member, token, ALPHA)
        after = member.checker(token).checkpoint()
        self.assertEqual((before.generation, before.root, before.view), (after.generation, after.root, after.view))
        self.assertEqual(member.command("token", "revoke", "long").returncode, 0)
        broker.wait_until(lambda: Asker(member, bearer(token)).status(page) == 404, "a token to be revoked")
        other = self.token(member, "other", "--path", "nothing/**")
        broker.wait_until(lambda: Asker(member, bearer(other)).ask("GET", "/packs").header("Cache-Control"), "a token to be known")
        self.assertEqual(Asker(member, bearer(other)).status(page), 404)
        listed = json.loads(member.command("token", "list", "--json").stdout)["tokens"]
        self.assertEqual([(entry["name"], entry["expired"]) for entry in listed], [("short", True), ("other", False)])

    def test_load(self):
        """Views come and go while everybody asks: strangers never get anything private, holders never anything but answers."""
        original = self.original()
        member = self.copy(original)
        member.threads = 2
        member.mirrors.append(mirror_world.source(name="alpha", git=self.alpha.url, interval="1s", visibility="private"))
        member.describe()
        self.start_again(member)
        token = self.token(member, "full")
        self.wait_private(member, token, ALPHA)
        faults, done = [], threading.Event()
        targets = ["/packs", "/catalog/checkpoint", "/catalog/digest", "/catalog?limit=3", "/tree/alpha", f"/packs/{ALPHA[0]}/wiki/index.md", "/",
                   f"/packs/{ALPHA[0]}/manifest.yaml"]

        def ask_on(headers, statuses):
            with member.connect() as connection:
                for turn in itertools.count():
                    if done.is_set():
                        return
                    if turn % 9 == 8:
                        body = json.dumps({"q": f"{ALPHA_WORD} {turn % 5}"}).encode()
                        reply = connection.request("POST", "/search", [*headers, ("Content-Type", "application/json")], body)
                    else:
                        reply = connection.request("GET", targets[turn % len(targets)], headers)
                    told = ALPHA_WORD in reply.text or "orchids" in reply.text
                    if reply.status not in statuses or (404 in statuses and told):
                        faults.append((headers, reply))
                        return

        askers = [threading.Thread(target=ask_on, args=args)
                  for args in (([], (200, 404)), (bearer(STRANGE_TOKEN), (200, 404)), (bearer(token), (200,)), (bearer(token), (200,)))]
        for asker in askers:
            asker.start()
        for turn in range(4):
            other = self.token(member, f"other-{turn}", "--path", f"alpha/deep/{turn % 2}*", "--path", "alpha/deep/one")
            self.alpha.write("alpha/deep/one", text=f"Turn {turn} {ALPHA_WORD}.")
            self.alpha.commit()
            broker.wait_until(lambda t=turn, o=other: member.versions(o).get("alpha/deep/one") == f"{t + 2}.0.0", "a change to be seen")
            member.command("token", "revoke", f"other-{turn}")
        done.set()
        for asker in askers:
            asker.join()
        self.assertEqual(faults, [])

    def test_files(self):
        """A damaged file of tokens: a running broker keeps the old ones, a starting one refuses."""
        original = self.original()
        member = self.copy(original, [("alpha", self.alpha)])
        token = self.token(member, "full")
        self.wait_private(member, token, ALPHA)
        path = member.data / "read_tokens.json"
        good = path.read_text()
        self.assertNotIn(token, good)
        self.assertNotIn(token[7:], member.log())
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        path.write_text(good.replace('"expires"', '"expire"'))
        member.signal(1)
        broker.wait_until(lambda: "read-tokens-kept" in member.log(), "the reload")
        self.assertEqual(Asker(member, bearer(token)).status(f"/packs/{ALPHA[0]}/wiki/index.md"), 200)
        member.stop()
        member.spawn()
        self.assertEqual(member.wait_exit(), 1)
        self.assertIn("read_tokens.json: /tokens/0: unknown member", member.log())
        path.write_text(good)
        member.start().wait_serving()

    def test_commands(self):
        """diff and verify with a token; a token goes to nobody else."""
        original = self.original()
        member, plain = self.copy(original, [("alpha", self.alpha)]), self.copy(original)
        token = self.token(member, "full")
        self.wait_private(member, token, ALPHA)
        file = self.world.root / "full.token"
        file.write_text(token + "\n")
        self.assertEqual(plain.command("diff", member.address).returncode, 0)
        done = plain.command("diff", member.address, "--token-file", file)
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (8, len(ALPHA)), done.stdout + done.stderr)
        self.assertEqual(plain.command("diff", member.address, "--token-file", f"{plain.address}={file}").returncode, 0)
        done = member.command("verify", ALPHA[0], "--at", member.address, "--token-file", file)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(member.command("verify", ALPHA[0], "--at", member.address).returncode, 3)
        both = ("--at", member.address, "--at", plain.address)
        self.assertEqual(member.command("verify", ALPHA[0], *both, "--token-file", file).returncode, 2)
        done = member.command("verify", PUBLIC_LOCAL[0], *both, "--token-file", f"{member.address}={file}")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(member.command("verify", ALPHA[0], *both, "--token-file", f"http://127.0.0.1:1={file}").returncode, 2)
        file.write_text("two words\n")
        self.assertEqual(plain.command("diff", member.address, "--token-file", file).returncode, 2)


if __name__ == "__main__":
    broker.main()

# SPDX-License-Identifier: MIT
"""Digests, checkpoint and changes of the catalog, recomputed by an independent client; `kontor diff` between real brokers and
against servers that lie."""
import base64
import contextlib
import datetime
import hashlib
import http.server
import json
import shutil
import sqlite3
import threading

import nacl.signing

from lib import broker, packs

TOKEN = "exchange-token"
BUCKET = 32
MEMBERS = ("bytes", "content_sha256", "digest", "pages", "path", "published_at", "publisher", "version")
NIBBLES = "0123456789abcdef"


# The format, as docs/formats.md has it

def sha(data):
    return hashlib.sha256(data).digest()


def key_of(path):
    return sha(path.encode())


def pair_of(item):
    return key_of(item["path"]), sha(b"kontor/leaf/v1\0" + packs.canonical(item))


def digest_of(items, prefix=""):
    """D(prefix), as 32 bytes."""
    pairs = sorted(pair for pair in map(pair_of, items) if pair[0].hex().startswith(prefix))
    if len(pairs) <= BUCKET:
        return sha(b"\0" + b"".join(k + leaf for k, leaf in pairs))
    below = [[item for item in items if key_of(item["path"]).hex().startswith(prefix + n)] for n in NIBBLES]
    return sha(b"\1" + b"".join(digest_of(part, prefix + n) if part else bytes(32) for n, part in zip(NIBBLES, below)))


def open_note(note, verifier):
    """Text of a C2SP signed note, its one signature verified by the verifier key of /version."""
    name, key_id, encoded = verifier.split("+", 2)
    public = base64.b64decode(encoded)
    assert public[0] == 1 and sha(f"{name}\n".encode() + public)[:4].hex() == key_id
    text, _, signatures = note.decode().rpartition("\n\n")
    text += "\n"
    dash, signer, blob = signatures.rstrip("\n").split(" ")
    blob = base64.b64decode(blob)
    assert (dash, signer, blob[:4].hex()) == ("\u2014", name, key_id)
    nacl.signing.VerifyKey(public[1:]).verify(text.encode(), blob[4:])
    return text


class Client:
    """The other side of one broker."""

    def __init__(self, kontor):
        self.kontor = kontor

    def json(self, target):
        reply = self.kontor.get(target)
        assert reply.status == 200, (target, reply)
        return reply.json()

    def listing(self):
        """All items, by GET /catalog."""
        items, cursor = [], ""
        while cursor is not None:
            page = self.json(f"/catalog?limit=7&cursor={cursor}")
            items += [{name: item[name] for name in MEMBERS} for item in page["items"] if item["digest"] is not None]
            cursor = page["next"]
        return items

    def checkpoint(self):
        verifier = self.json("/version")["key"]
        lines = open_note(self.kontor.get("/catalog/checkpoint").body, verifier).split("\n")
        assert lines[0] == verifier.split("+")[0] + "/catalog" and lines[-1] == ""
        extensions = dict(line.split(" ", 1) for line in lines[3:-1])
        return {"count": int(lines[1]), "root": base64.b64decode(lines[2]), "generation": int(extensions["generation"]),
                "time": extensions["time"], "expires": extensions["expires"]}

    def walk(self, prefix=""):
        """All items, by digests; everything that comes is recomputed."""
        suffix = f"/{prefix}" if prefix else ""
        node = self.json(f"/catalog/digest{suffix}")
        if "items" in node:
            assert node["count"] == len(node["items"]) <= BUCKET
            assert node["digest"] == digest_of(node["items"], prefix).hex()
            return node["items"]
        assert node["count"] == sum(child["count"] for child in node["children"]) > BUCKET
        assert node["digest"] == sha(b"\1" + b"".join(bytes.fromhex(c["digest"]) for c in node["children"])).hex()
        items = []
        for nibble, child in zip(NIBBLES, node["children"]):
            if child["count"]:
                below = self.walk(prefix + nibble)
                assert len(below) == child["count"]
                items += below
        return items

    def changes(self, since, limit=1000):
        """The state after `since` as ({path: item or None}, generation)."""
        state = {}
        while True:
            answer = self.json(f"/catalog/changes?since={since}&limit={limit}")
            for change in answer["changes"]:
                path = change["item"]["path"] if "item" in change else change["removed"]
                state[path] = change.get("item")
            since = answer["next"]
            if since == answer["generation"]:
                return state, since


def lay_down(root, count, kind="x"):
    for number in range(count):
        packs.pack(root, f"set/{number % 5}/pack-{number}", [("page", f"Page {number}", kind, "Body.")], summary=f"{kind} {number}")


def small(root, path, text):
    packs.pack(root, path, [("page", "Page", "A page.", text)])


class Exchange(broker.BrokerTest):
    def library(self, kontor):
        lay_down(kontor.packs, 60)
        packs.library(kontor.packs)
        packs.sign(kontor.packs / "history/rome")
        packs.trust(kontor, [packs.PUBLISHER])

    def serving(self, prepare=None, **options):
        kontor = self.broker(prepare=prepare or self.library, env={"OCC_REINDEX_TOKEN": TOKEN}, **options)
        kontor.wait_serving()
        return kontor, Client(kontor)

    def rescan(self, kontor):
        self.assertEqual(kontor.reindex(TOKEN).status, 200)

    # What is told

    def test_checkpoint_listing_and_digests_say_the_same(self):
        kontor, client = self.serving()
        items = client.listing()
        checkpoint = client.checkpoint()
        self.assertEqual((checkpoint["count"], checkpoint["root"]), (len(items), digest_of(items)))
        self.assertGreater(len(items), BUCKET)
        self.assertEqual(sorted(client.walk(), key=lambda i: i["path"]), sorted(items, key=lambda i: i["path"]))
        rome = next(item for item in items if item["path"] == "history/rome")
        self.assertEqual(len(rome["publisher"]), 16)
        self.assertNotIn("mcp", [item["path"] for item in items], "no pack")
        times = [datetime.datetime.strptime(checkpoint[name], "%Y-%m-%dT%H:%M:%SZ") for name in ("time", "expires")]
        self.assertEqual(times[1] - times[0], datetime.timedelta(hours=48))
        self.assertIn(f"\nkontor_catalog_generation {checkpoint['generation']}\n", kontor.get("/metrics").body.decode())
        status = json.loads(kontor.command("status", "--json").stdout)["catalog"]
        self.assertEqual((status["generation"], status["items"], status["digest"]),
                         (checkpoint["generation"], checkpoint["count"], checkpoint["root"].hex()))
        self.assertEqual(kontor.get("/catalog/checkpoint").type, "text/plain; charset=utf-8")

    def test_digests_of_prefixes(self):
        kontor, client = self.serving()
        items = client.listing()
        deep = key_of("docker").hex()
        for prefix in ["", *NIBBLES, "0f", deep, deep[:63] + ("0" if deep[63] != "0" else "1")]:
            reply = kontor.get("/catalog/digest" + (f"/{prefix}" if prefix else ""))
            expected = digest_of(items, prefix).hex()
            self.assertEqual((reply.json()["digest"], reply.header("ETag")), (expected, f'"{expected}"'))
            below = sum(key_of(item["path"]).hex().startswith(prefix) for item in items)
            self.assertEqual(reply.json()["count"], below)
        several = client.json("/catalog/digest/0,1,0f," + deep)["nodes"]
        self.assertEqual(several, [client.json(f"/catalog/digest/{p}") for p in ("0", "1", "0f", deep)])
        self.assertEqual(kontor.get("/catalog/digest/", []).json(), kontor.get("/catalog/digest").json())

    def test_an_empty_catalog(self):
        _, client = self.serving(prepare=lambda kontor: None)
        self.assertEqual(client.json("/catalog/digest"), {"count": 0, "digest": sha(b"\0").hex(), "items": []})
        self.assertEqual(client.checkpoint()["root"], sha(b"\0"))

    def test_not_modified(self):
        kontor, _ = self.serving()
        generation = Client(kontor).checkpoint()["generation"]
        for target in ("/catalog/checkpoint", "/catalog/digest", "/catalog/digest/a", f"/catalog/changes?since={generation}"):
            tag = kontor.get(target).header("ETag")
            reply = kontor.get(target, [("If-None-Match", tag)])
            self.assertEqual((reply.status, reply.body), (304, b""), target)
        tag = kontor.get("/catalog/checkpoint").header("ETag")
        self.rescan(kontor)
        self.assertEqual(kontor.get("/catalog/checkpoint", [("If-None-Match", tag)]).status, 304, "nothing has changed")
        small(kontor.packs, "docker", "other")
        self.rescan(kontor)
        self.assertEqual(kontor.get("/catalog/checkpoint", [("If-None-Match", tag)]).status, 200)

    def test_what_policy_refuses_is_not_told(self):
        def prepare(kontor):
            self.library(kontor)
            kontor.configure("signed: {local: required}\n")
        _, client = self.serving(prepare=prepare)
        self.assertEqual([item["path"] for item in client.walk()], ["history/rome"])
        self.assertEqual(client.checkpoint()["count"], 1)

    def test_bad_questions(self):
        kontor, _ = self.serving()
        for target in ("/catalog/digest/A", "/catalog/digest/0g", "/catalog/digest/0,", "/catalog/digest/,", "/catalog/digest/" + "0" * 65,
                       "/catalog/digest/" + ",".join("0" * 65), "/catalog/digest/a/b", "/catalog/digest/..", "/catalog/changes",
                       "/catalog/changes?since=", "/catalog/changes?since=-1", "/catalog/changes?since=x", "/catalog/changes?since=1&limit=0",
                       "/catalog/changes?since=1&limit=1001", "/catalog/changes?since=9007199254740992"):
            reply = kontor.get(target)
            self.assertEqual((reply.status, list(reply.json())), (400, ["detail"]), target)

    # Changes

    def test_changes_lead_to_the_present(self):
        kontor, client = self.serving()
        start = client.checkpoint()["generation"]
        known = {item["path"]: item for item in client.listing()}
        steps = [(start, dict(known))]
        for step in range(4):
            small(kontor.packs, "docker", f"version {step}")
            small(kontor.packs, f"new/{step}", "hello")
            if step == 2:
                shutil.rmtree(kontor.packs / "science")
                shutil.rmtree(kontor.packs / "new/0")
            self.rescan(kontor)
            steps.append((client.checkpoint()["generation"], {item["path"]: item for item in client.listing()}))
        generations = [generation for generation, _ in steps]
        self.assertEqual(generations, sorted(set(generations)))
        self.assertEqual(generations[-1], client.checkpoint()["generation"])
        for limit in (1, 3, 1000):
            for generation, state in steps:
                changed, last = client.changes(generation, limit)
                self.assertEqual(last, generations[-1])
                state = {path: item for path, item in {**state, **changed}.items() if item is not None}
                self.assertEqual(digest_of(list(state.values())), client.checkpoint()["root"])
        changed, _ = client.changes(start)
        self.assertIsNone(changed["science"])
        self.assertIsNone(changed["new/0"])
        first = client.json(f"/catalog/changes?since={start}&limit=1")
        self.assertEqual((len(first["changes"]), first["next"]), (2, generations[1]), "whole generations")

    def test_everything_is_a_change_since_nothing(self):
        _, client = self.serving()
        changed, _ = client.changes(0)
        self.assertEqual(digest_of(list(changed.values())), client.checkpoint()["root"])

    def test_generations_that_nobody_knows(self):
        kontor, client = self.serving()
        generation = client.checkpoint()["generation"]
        for since in (1, generation - 1, generation + 1, 2**53 - 1):
            reply = kontor.get(f"/catalog/changes?since={since}")
            self.assertEqual((reply.status, list(reply.json())), (410, ["detail"]), since)

    def test_a_change_too_large_to_keep(self):
        kontor, client = self.serving(prepare=lambda kontor: small(kontor.packs, "one", "1"))
        before = client.checkpoint()["generation"]
        lay_down(kontor.packs, 1001)
        self.rescan(kontor)
        self.assertEqual(kontor.get(f"/catalog/changes?since={before}").status, 410)
        self.assertEqual(kontor.get("/catalog/changes?since=0").status, 410)
        self.assertEqual(client.changes(client.checkpoint()["generation"])[0], {})
        self.assertEqual(digest_of(client.walk()), client.checkpoint()["root"])

    # Restarts

    def restart(self, kontor, kill=False):
        if kill:
            kontor.kill()
            (kontor.data / "endpoints.json").unlink()
        else:
            kontor.stop()
        kontor.start().wait_serving()

    def test_a_restart_keeps_generation_and_journal(self):
        kontor, client = self.serving()
        first = client.checkpoint()
        small(kontor.packs, "docker", "second")
        self.rescan(kontor)
        second = client.checkpoint()
        for kill in (False, True):
            self.restart(kontor, kill)
            self.assertEqual(client.checkpoint()["generation"], second["generation"])
            self.assertEqual(list(client.changes(first["generation"])[0]), ["docker"])

    def test_changes_while_stopped_are_in_the_journal(self):
        kontor, client = self.serving()
        before = client.checkpoint()
        kontor.stop()
        small(kontor.packs, "docker", "changed while nobody looked")
        shutil.rmtree(kontor.packs / "science")
        kontor.start().wait_serving()
        self.assertGreater(client.checkpoint()["generation"], before["generation"])
        changed, _ = client.changes(before["generation"])
        self.assertEqual(sorted(changed), ["docker", "science", "science/physik"])

    def test_a_kill_right_after_a_change_loses_nothing_that_was_told(self):
        kontor, client = self.serving()
        for round_number in range(3):
            small(kontor.packs, "docker", f"round {round_number}")
            self.rescan(kontor)
            told = client.checkpoint()
            self.restart(kontor, kill=True)
            again = client.checkpoint()
            self.assertEqual((again["generation"], again["root"]), (told["generation"], told["root"]))

    def test_without_catalog_db_generations_still_grow(self):
        kontor, client = self.serving()
        before = client.checkpoint()
        for damage in (lambda path: path.unlink(), lambda path: path.write_bytes(b"no database " * 1000)):
            kontor.stop()
            for name in ("catalog.db-wal", "catalog.db-shm"):
                (kontor.data / name).unlink(missing_ok=True)
            damage(kontor.data / "catalog.db")
            broker.wait_until(lambda: datetime.datetime.now(datetime.timezone.utc).timestamp() >= before["generation"] + 1,
                              "the next second")
            kontor.start().wait_serving()
            after = client.checkpoint()
            self.assertGreater(after["generation"], before["generation"])
            self.assertEqual(after["root"], before["root"])
            before = after
        self.assertIn("journal-rebuilt", kontor.log())

    def test_a_journal_that_cannot_be_written_keeps_nobody_from_pages(self):
        kontor, client = self.serving()
        before = client.checkpoint()
        path = kontor.data / "catalog.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as lock:
            lock.execute("BEGIN IMMEDIATE")
            small(kontor.packs, "late", "written while the journal was locked")
            self.rescan(kontor)
            self.assertEqual(kontor.get("/packs/late/index.md").status, 200)
            self.assertEqual(client.checkpoint(), before)
            self.assertIn("journal-failed", kontor.log())
            lock.execute("ROLLBACK")
        self.rescan(kontor)
        self.assertEqual(list(client.changes(before["generation"])[0]), ["late"])

    # kontor diff

    def diff(self, url, at, *args):
        result = broker.run("diff", url, "--at", at, *args)
        self.assertIsNone(broker.sanitizer_report(result.stderr), result.stderr)
        return result

    def test_diff_of_two_brokers(self):
        here, here_client = self.serving()
        there, there_client = self.serving()
        same = self.diff(there.url, here.url, "--json")
        self.assertEqual(same.returncode, 0, same.stderr)
        document = json.loads(same.stdout)
        self.assertEqual((document["differences"], document["there"]["requests"]), ([], 1))
        small(here.packs, "only/here", "x")
        small(there.packs, "only/there", "x")
        small(there.packs, "docker", "another text")
        for kontor in (here, there):
            self.rescan(kontor)
        result = self.diff(there.url, here.url, "--json")
        self.assertEqual(result.returncode, 8, result.stderr)
        document = json.loads(result.stdout)
        left = {item["path"]: item for item in here_client.listing()}
        right = {item["path"]: item for item in there_client.listing()}
        expected = [{"path": path, "here": left.get(path), "there": right.get(path)}
                    for path in sorted(left.keys() | right.keys()) if left.get(path) != right.get(path)]
        self.assertEqual(document["differences"], expected)
        self.assertEqual([d["path"] for d in expected], ["docker", "only/here", "only/there"])
        self.assertEqual(document["there"]["root"], there_client.checkpoint()["root"].hex())
        self.assertLessEqual(document["there"]["requests"], 4)
        table = self.diff(there.url, here.url)
        self.assertEqual(table.returncode, 8)
        self.assertEqual([line.split()[0] for line in table.stdout.splitlines()], ["differs", "only", "only"])
        self.assertIn("3 differences", table.stderr)

    def test_diff_against_nothing(self):
        here, client = self.serving()
        there, _ = self.serving(prepare=lambda kontor: None)
        for one, other, state in ((here, there, "here"), (there, here, "there")):
            result = self.diff(other.url, one.url, "--json")
            self.assertEqual(result.returncode, 8, result.stderr)
            differences = json.loads(result.stdout)["differences"]
            self.assertEqual(len(differences), len(client.listing()))
            self.assertTrue(all(d["there" if state == "here" else "here"] is None for d in differences))

    def test_diff_since_and_signer(self):
        here, client = self.serving()
        start = client.checkpoint()["generation"]
        small(here.packs, "docker", "new text")
        shutil.rmtree(here.packs / "science/physik")
        self.rescan(here)
        verifier = client.json("/version")["key"]
        result = broker.run("diff", here.url, "--since", start, "--json", "--signer", verifier)
        self.assertEqual(result.returncode, 8, result.stderr)
        document = json.loads(result.stdout)
        self.assertEqual([c.get("removed") or c["item"]["path"] for c in document["changes"]], ["docker", "science/physik"])
        self.assertEqual(broker.run("diff", here.url, "--since", document["next"]).returncode, 0)
        self.assertEqual(broker.run("diff", here.url, "--since", 5).returncode, 3)
        name = verifier.split("+")[0]
        public = b"\1" + bytes(nacl.signing.SigningKey(bytes(32)).verify_key)
        stranger = f"{name}+{sha(name.encode() + chr(10).encode() + public)[:4].hex()}+{base64.b64encode(public).decode()}"
        self.assertEqual(self.diff(here.url, here.url, "--signer", stranger).returncode, 7)
        self.assertEqual(self.diff(here.url, here.url, "--signer", verifier).returncode, 0)
        self.assertEqual(self.diff(here.url, here.url, "--signer", "nonsense").returncode, 2)
        self.assertEqual(self.diff("http://127.0.0.1:1", here.url).returncode, 4)

    # Brokers that lie

    @contextlib.contextmanager
    def liar(self, answer):
        """A server that answers a target with (status, body)."""
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            requests = 0

            def do_GET(self):
                type(self).requests += 1
                status, body = answer(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", Handler
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    @staticmethod
    def note(count, root):
        key = nacl.signing.SigningKey(bytes(range(32)))
        public = bytes(key.verify_key)
        text = (f"liar.example/catalog\n{count}\n{base64.b64encode(root).decode()}\ngeneration 5\n"
                "time 2026-01-02T03:04:05Z\nexpires 2999-01-04T03:04:05Z\n")
        blob = sha(b"liar.example\n\x01" + public)[:4] + key.sign(text.encode()).signature
        return f"{text}\n\u2014 liar.example {base64.b64encode(blob).decode()}\n".encode()

    def test_lies_end_in_an_error(self):
        here, _ = self.serving()
        tower = [bytes([7]) * 32]
        for _ in range(64):
            tower.append(sha(b"\1" + tower[-1] + bytes(32) * 15))
        tower.reverse()

        def endless(target):
            if target == "/catalog/checkpoint":
                return 200, self.note(1000000, tower[0])
            depth = len(target.removeprefix("/catalog/digest").lstrip("/"))
            if depth >= 64:
                return 200, json.dumps({"count": 1000000, "digest": tower[64].hex(), "items": []}).encode()
            children = [{"count": 1000000, "digest": tower[depth + 1].hex()}] + [{"count": 0, "digest": "00" * 32}] * 15
            return 200, json.dumps({"count": 1000000, "digest": tower[depth].hex(), "children": children}).encode()

        def wrong_root(target):
            if target == "/catalog/checkpoint":
                return 200, self.note(0, bytes(32))
            return 200, json.dumps({"count": 0, "digest": sha(b"\0").hex(), "items": []}).encode()

        def with_checkpoint(body):
            return lambda target: (200, self.note(3, sha(b"x")) if target == "/catalog/checkpoint" else body)

        cases = {"endless": (endless, {7}), "wrong root": (wrong_root, {1}), "not JSON": (with_checkpoint(b"{"), {1}),
                 "million items": (with_checkpoint(b'{"count":3,"digest":"' + b"0" * 64 + b'","items":[' +
                                                   b",".join([b"{}"] * 1000000) + b"]}"), {1}),
                 "no digests": (lambda t: (200, self.note(3, sha(b"x"))) if "checkpoint" in t else (404, b"{}"), {3}),
                 "not a checkpoint": (lambda t: (200, b"hello\n"), {1}), "huge count": (lambda t: (200, self.note(10**15, sha(b"x"))), {1})}
        for name, (answer, codes) in cases.items():
            with self.subTest(name), self.liar(answer) as (url, handler):
                result = self.diff(url, here.url)
                self.assertIn(result.returncode, codes, result.stderr)
                self.assertEqual((result.stdout, result.stderr.count("\n")), ("", 1), "one line that says why")
                self.assertLessEqual(handler.requests, 70)


if __name__ == "__main__":
    broker.main()

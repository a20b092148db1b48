# SPDX-License-Identifier: MIT
"""Peers that are hostile on the wire: that drip, hang, never stop, claim enormous catalogs, or serve nothing of what they list. Each sync
ends within its budget and with one clear line, what was mirrored before is served on, and other sources are not held up."""
import base64
import hashlib
import socket
import threading
import time

import nacl.signing

from lib import broker, checker, mirror_world, packs

NAME = "hog.example"
NIBBLES = "0123456789abcdef"
FOREVER = 1 << 40
BUDGET = 4  # seconds of a sync


def sha(data):
    return hashlib.sha256(data).digest()


def item(number, publisher, size=0):
    """One that nobody has: a well-formed promise."""
    digest = sha(b"%d" % number).hex()
    return {"bytes": size, "content_sha256": digest, "digest": digest, "pages": 1, "path": f"hog/{number}", "published_at": "2026-01-01T00:00:00Z",
            "publisher": publisher, "version": "1.0.0"}


class Catalog:
    """A true digest trie over items, which may be many."""

    def __init__(self, items):
        pairs = [(sha(one["path"].encode()), sha(b"kontor/leaf/v1\0" + packs.canonical(one)), one) for one in items]
        self.pairs = sorted(pairs, key=lambda pair: pair[0])
        self.keys = [key.hex() for key, _, _ in self.pairs]
        self.digests = {}
        self.root = self.digest("", 0, len(self.pairs))

    def split(self, prefix, low, high):
        """(nibble, low, high) of each part."""
        for nibble in NIBBLES:
            end = low
            while end < high and self.keys[end][len(prefix)] == nibble:
                end += 1
            yield nibble, low, end
            low = end

    def digest(self, prefix, low, high):
        if high - low <= 32:
            value = sha(b"\0" + b"".join(key + leaf for key, leaf, _ in self.pairs[low:high]))
        else:
            value = sha(b"\1" + b"".join(self.digest(prefix + n, a, b) if b > a else bytes(32) for n, a, b in self.split(prefix, low, high)))
        self.digests[prefix] = (value, low, high)
        return value

    def view(self, prefix):
        value, low, high = self.digests.get(prefix, (sha(b"\0"), 0, 0))
        view = {"count": high - low, "digest": value.hex()}
        if high - low <= 32:
            view["items"] = [one for _, _, one in self.pairs[low:high]]
        else:
            view["children"] = [{"count": b - a, "digest": (self.digests[prefix + n][0] if b > a else bytes(32)).hex()}
                                for n, a, b in self.split(prefix, low, high)]
        return view

    def answer(self, prefixes):
        views = [self.view(prefix) for prefix in prefixes.split(",")]
        return packs.canonical(views[0] if len(views) == 1 else {"nodes": views})


class Hog:
    """A server that says whatever `behave(target, connection)` writes; None: the truth about its catalog."""

    def __init__(self, key, catalog):
        self.key, self.catalog, self.behave = key, catalog, None
        self.generation, self.count = 1000, len(catalog.pairs)
        self.targets, self.sent, self.asked_at = [], 0, 0.0
        self.closing = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def close(self):
        self.closing.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # closing alone would leave it to the thread that accepts
        self.listener.close()

    def wait_quiet(self):
        """Until requests that were given up at the end of a sync have been heard, too."""
        broker.wait_until(lambda: time.monotonic() - self.asked_at > 0.5, "the hog to be left in peace")
        return len(self.targets)

    def accept(self):
        while not self.closing.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        buffer = b""
        with connection:
            try:
                while True:
                    while b"\r\n\r\n" not in buffer:
                        data = connection.recv(65536)
                        if not data:
                            return
                        buffer += data
                    head, buffer = buffer.split(b"\r\n\r\n", 1)
                    target = head.split(b" ")[1].decode()
                    self.targets.append(target)
                    self.asked_at = time.monotonic()
                    if not (self.behave and self.behave(target, connection)):
                        self.tell_truth(target, connection)
            except OSError:
                return  # hung up on: that is what is tested

    def tell_truth(self, target, connection):
        if target == "/catalog/checkpoint":
            self.reply(connection, self.note())
        elif target.startswith("/catalog/digest"):
            self.reply(connection, self.catalog.answer(target[len("/catalog/digest/"):]))
        else:
            self.reply(connection, b"", 404)

    def note(self):
        now = int(time.time())
        times = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when)) for when in (now, now + 48 * 3600)]
        text = (f"{NAME}/catalog\n{self.count}\n{base64.b64encode(self.catalog.root).decode()}\ngeneration {self.generation}\n"
                f"time {times[0]}\nexpires {times[1]}\n")
        return checker.sign_note(text, NAME, self.key)

    @staticmethod
    def reply(connection, body, status=200):
        connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)

    # Behaviours

    def hang(self, where):
        """Takes the request and says nothing."""
        return self.when(where, lambda connection: self.closing.wait(60))

    def drip(self, where, head=b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"):
        """One byte after another, never so slowly that the line seems dead."""
        def send(connection):
            for number in range(100000):
                connection.sendall(head[number:number + 1] or b"x")
                self.sent += 1
                if self.closing.wait(0.02):
                    return
        return self.when(where, send)

    def flood(self, where, head=b"HTTP/1.1 200 OK\r\n\r\n", piece=b"x" * 65536):
        """A body without end."""
        def send(connection):
            connection.sendall(head)
            while not self.closing.is_set():
                connection.sendall(piece)
                self.sent += len(piece)
        return self.when(where, send)

    def when(self, where, act):
        def behave(target, connection):
            if not target.startswith(where):
                return False
            act(connection)
            raise OSError("the connection is used up")
        self.behave = behave
        return self


class HostilePeers(mirror_world.MirrorTest):
    def setUp(self):
        super().setUp()
        self.key = nacl.signing.SigningKey(bytes(range(32)))

    def hog(self, count=3, **options):
        hog = Hog(self.key, Catalog([item(number, self.anna.fingerprint, **options) for number in range(count)]))
        self.addCleanup(hog.close)
        return hog

    def reader(self, hog, **options):
        """A broker that mirrors the hog when it is told to, and a good repository all the time."""
        library = self.world.repository("library", self.anna)
        library.write_many(["arts/0", "arts/1"])
        library.commit("first")
        options = {"interval": "1h", "max_time": f"{BUDGET}s", **options}
        member = self.member("reader").mirror("library", library)
        member.peer("hog", None, url=hog.url, key=base64.b64encode(bytes(self.key.verify_key)).decode(), **options)
        self.library = library
        member.start().wait_serving()
        self.wait_versions(member, {"arts/0": "1.0.0", "arts/1": "1.0.0"})
        broker.wait_until(lambda: member.source_status("hog")["failures"] > 0, "the first sync, which nobody wished for, to end")
        return member

    def ends_badly(self, member, hog, words, seconds=BUDGET):
        """A sync ends in time with one line that says what is wrong, and changes nothing that is served."""
        before = member.verified().content()
        started = time.monotonic()
        end = member.sync("hog", good=False, full=True)
        took = time.monotonic() - started
        self.assertLess(took, seconds + (20 if broker.SANITIZED else 5))
        self.assertRegex(end["error"], words)
        self.assertIn(hog.url, end["error"])
        detail = member.source_status("hog")["detail"]
        self.assertNotEqual(detail, "")
        self.assertNotIn("\n", detail + end["error"])
        self.assertEqual(member.verified().content(), before)
        return took

    def test_nothing_and_drops(self):
        """Hanging and dripping servers cost the budget and no more; the good source goes on meanwhile."""
        hog = self.hog()
        hog.hang("/catalog/checkpoint")
        member = self.reader(hog)
        self.ends_badly(member, hog, "(?i)time")
        hog.drip("/catalog/checkpoint")
        self.ends_badly(member, hog, "(?i)time|slow")
        hog.drip("/catalog/checkpoint", b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self.ends_badly(member, hog, "(?i)time|slow")
        hog.drip("/catalog/digest")
        self.ends_badly(member, hog, "(?i)time|slow")
        hog.drip("/catalog/releases")
        self.ends_badly(member, hog, "(?i)time|slow")
        # While the hog drips, a change of the good source arrives.
        member.wish("hog", full=True)
        self.library.write("arts/0", "Changed.")
        self.library.commit("change")
        self.wait_versions(member, {"arts/0": "2.0.0", "arts/1": "1.0.0"})

    def test_without_end(self):
        """Bodies and heads that never stop are cut at their ceilings."""
        hog = self.hog()
        hog.flood("/catalog/checkpoint")
        member = self.reader(hog)
        self.ends_badly(member, hog, "larger than")
        hog.flood("/catalog/checkpoint", b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n")
        self.ends_badly(member, hog, "head|header|large")
        hog.sent = 0
        hog.flood("/catalog/releases")
        self.ends_badly(member, hog, "larger than|time|bytes")
        hog.behave = None
        # More than a sync may bring, in a well-formed catalog.
        self.assertLess(hog.sent, 3 * 64 * 1024 * 1024 + 16 * 1024 * 1024)

    def test_garbage(self):
        """What is no HTTP, no note and no JSON is said to be none."""
        hog = self.hog()
        hog.when("/catalog/checkpoint", lambda connection: connection.sendall(b"220 mail.example ESMTP\r\n"))
        member = self.reader(hog)
        self.ends_badly(member, hog, "HTTP")
        hog.when("/catalog/checkpoint", lambda connection: hog.reply(connection, b"<html>It works!</html>"))
        self.ends_badly(member, hog, "note|checkpoint")
        hog.when("/catalog/digest", lambda connection: hog.reply(connection, b"{" * 100000))
        self.ends_badly(member, hog, "at byte|deep|depth")
        hog.when("/catalog/digest", lambda connection: hog.reply(connection, b'{"count":1e999}'))
        self.ends_badly(member, hog, "number|integer|count|finite|at byte")
        hog.when("/catalog/digest", lambda connection: hog.reply(connection, b"", 302))
        self.ends_badly(member, hog, "answered 302")
        hog.when("/catalog/checkpoint", lambda connection: hog.reply(connection, b"", 503))
        self.ends_badly(member, hog, "answered 503")

    def test_enormous_catalogs(self):
        """A count that nobody has is refused; a catalog that is too large for the budget ends with the budget."""
        hog = self.hog(20000)
        hog.count = 3000000
        member = self.reader(hog, max_bytes="1MiB")
        self.ends_badly(member, hog, "larger than this program compares")
        hog.count = 1000000
        hog.generation += 1
        self.ends_badly(member, hog, "does not fit to the checkpoint")
        self.assertEqual(member.source_status("hog")["alarm"], "mismatch")
        hog.count = len(hog.catalog.pairs)
        hog.generation += 1
        asked = len(hog.targets)
        self.ends_badly(member, hog, "as many bytes as one sync may bring")
        self.assertLess(len(hog.targets) - asked, 100)

    def test_storm_of_404(self):
        """Nothing of what is listed is there: given up after a while, and not begun again at once."""
        hog = self.hog(500)
        member = self.reader(hog)
        before = hog.wait_quiet()
        self.ends_badly(member, hog, "gave up after 64 packs")
        asked = hog.wait_quiet()
        self.assertLess(asked - before, 150)
        member.sync("hog", good=False)
        hog.wait_quiet()
        first, again = ({target for target in part if "releases" in target} for part in (hog.targets[before:asked], hog.targets[asked:]))
        self.assertLess(len(again), 150)
        self.assertEqual(first & again, set())

    def test_a_signature_for_something_else(self):
        """manifest.sig is that of another release: asked for once per pack, and nothing of the pack is asked for."""
        hog = self.hog(5)
        signature = b'{"alg": "ed25519"}'
        hog.behave = lambda target, connection: target.startswith("/catalog/releases/") and not hog.reply(connection, signature)
        member = self.reader(hog)
        self.ends_badly(member, hog, "5 packs could not be fetched.*manifest.sig")
        self.assertEqual([target for target in hog.targets if target.startswith(("/blobs", "/packs"))], [])


if __name__ == "__main__":
    broker.main()

# SPDX-License-Identifier: MIT
"""A peer that lies: a proxy before a real broker, with that broker's key in its hands.

It passes on what the broker says, answer for answer, except where a doctor was told to change it. So everything but the one lie is
what a real peer would send, and the lie itself may even be signed. It counts the requests of each kind.
"""
import base64
import collections
import http.client
import http.server
import threading

import nacl.signing

from lib import checker

PASSED_ON = ("Content-Type", "ETag", "Retry-After", "Content-Encoding")


class Doctored:
    """A lying neighbour of `member`. `doctor(target, status, body)` returns (status, body); None passes everything on."""

    def __init__(self, member, seed=None):
        self.member = member
        self.doctor = None
        self.targets = []
        self.tokens = set()
        self.key = nacl.signing.SigningKey(seed) if seed else None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one piece: in two, each answer waits for an acknowledgement

            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                """The tests look at answers, not at this."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def kinds(self):
        """How often each kind of target was asked for."""
        return collections.Counter("/".join(target.split("?")[0].split("/")[:3]) for target in self.targets)

    # Answers

    def answer(self, handler):
        target, doctor = handler.path, self.doctor
        self.targets.append(target)
        if handler.headers.get("Authorization"):
            self.tokens.add(handler.headers["Authorization"])
        # A lie never hides behind "not modified".
        passed = {name: handler.headers[name] for name in ("Authorization", *(() if doctor else ("If-None-Match",)))
                  if handler.headers.get(name)}
        upstream = http.client.HTTPConnection(*self.member.public, timeout=60)
        try:
            upstream.request("GET", target, headers=passed)
            reply = upstream.getresponse()
            status, body = reply.status, reply.read()
            headers = [(name, reply.headers[name]) for name in PASSED_ON if reply.headers.get(name)]
        except OSError:
            status, body, headers = 502, b"", []
        finally:
            upstream.close()
        if doctor:
            status, body = doctor(target, status, body)
            headers = [(name, value) for name, value in headers if name != "ETag"]
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        if status != 304:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if status != 304:
            handler.wfile.write(body)

    # Lies

    def replay(self, note):
        """An old checkpoint, word for word."""
        self.doctor = lambda target, status, body: (200, note) if target == "/catalog/checkpoint" else (status, body)

    def resigned(self, change):
        """Checkpoints whose lines `change` has had in its hands, signed by the true key."""
        def doctor(target, status, body):
            if target != "/catalog/checkpoint" or status != 200:
                return status, body
            text = body.decode().rpartition("\n\n")[0] + "\n"
            lines = change(text.split("\n"))
            return 200, checker.sign_note("\n".join(lines), f"{self.member.name}.example", self.key)
        self.doctor = doctor

    def another_root(self):
        """Two catalogs of one generation."""
        def change(lines):
            root = bytearray(base64.b64decode(lines[2]))
            root[0] ^= 1
            return [*lines[:2], base64.b64encode(root).decode(), *lines[3:]]
        self.resigned(change)

    def another_root_later(self):
        """A new generation whose root fits no catalog."""
        def change(lines):
            root = bytearray(base64.b64decode(lines[2]))
            root[0] ^= 1
            return [*lines[:2], base64.b64encode(root).decode(),
                    *(f"generation {int(line.split()[1]) + 1000}" if line.startswith("generation ") else line for line in lines[3:])]
        self.resigned(change)

    def expired(self):
        """A checkpoint of last year."""
        def change(lines):
            replaced = {"time": "time 2025-01-01T00:00:00Z", "expires": "expires 2025-01-03T00:00:00Z"}
            return [replaced.get(line.split(" ")[0], line) for line in lines]
        self.resigned(change)

    def other_bytes(self, prefix, change):
        """Other bytes in all answers to targets that begin so."""
        self.doctor = lambda target, status, body: (status, change(body)) if target.startswith(prefix) and status == 200 else (status, body)

# SPDX-License-Identifier: MIT
"""Attacks on TLS connections: handshakes and requests that never end, HTTP/2 frames in odd orders, downloads read slowly or not at
all, and a certificate that is exchanged or broken in the middle of it."""
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

from lib import broker, node, packs, wire, ws

CONFIG = """
listen_tls: ["127.0.0.1:0"]
tls: {cert: cert.pem, key: key.pem}
limits: {register_per_minute: 0, search_per_minute: 0, connections_per_ip: 40}
"""
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def certificate(directory, name):
    """A self-signed certificate, laid down by rename."""
    cert, key = directory / "cert.new", directory / "key.new"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    key.rename(directory / "key.pem")
    cert.rename(directory / "cert.pem")


def client_context(*protocols):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def literal(name, value):
    """One header, neither indexed nor compressed."""
    def text(data):
        data = data.encode()
        if len(data) < 127:
            return bytes([len(data)]) + data
        rest, out = len(data) - 127, b"\x7f"
        while rest >= 128:
            out, rest = out + bytes([rest & 127 | 128]), rest >> 7
        return out + bytes([rest]) + data
    return b"\x00" + text(name) + text(value)


def block(method, path, *headers):
    return b"".join(literal(*h) for h in ((":method", method), (":scheme", "https"), (":authority", "t"), (":path", path), *headers))


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class H2:
    """A client that sends the frames it is told to and collects what comes back by stream."""

    def __init__(self, address, settings=(), window=0, timeout=20.0):
        self.wire = wire.Connection(address, timeout, tls=client_context("h2"))
        assert self.wire.socket.selected_alpn_protocol() == "h2"
        self.wire.send(PREFACE + frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *s) for s in settings)))
        if window:
            self.wire.send(frame(WINDOW, 0, 0, struct.pack(">I", window)))
        self.data, self.ended, self.reset, self.headers, self.goaway = {}, set(), set(), {}, None

    def request(self, stream, method, path, *headers, end=True):
        self.wire.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(method, path, *headers)))

    def step(self, credit=True):
        """Handles one frame; with `credit` both windows are filled up again at once."""
        head = self.wire.read_exactly(9)
        length, kind, flags = struct.unpack(">I", b"\0" + head[:3])[0], head[3], head[4]
        stream = struct.unpack(">I", head[5:])[0]
        payload = self.wire.read_exactly(length)
        if kind == DATA:
            self.data[stream] = self.data.get(stream, b"") + payload
            if credit and payload:
                grant = struct.pack(">I", len(payload))
                self.wire.send(frame(WINDOW, 0, 0, grant) + (frame(WINDOW, 0, stream, grant) if not flags & END_STREAM else b""))
        elif kind == HEADERS:
            self.headers[stream] = payload
        elif kind == SETTINGS and not flags & ACK:
            self.wire.send(frame(SETTINGS, ACK, 0))
        elif kind == RST:
            self.reset.add(stream)
        elif kind == GOAWAY:
            self.goaway = payload
        elif kind == PING and not flags & ACK:
            self.wire.send(frame(PING, ACK, 0, payload))
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self.ended.add(stream)
        return kind

    def until_ended(self, *streams):
        while not set(streams) <= self.ended | self.reset:
            self.step()

    def close(self):
        self.wire.close()


class TlsAttacks(broker.BrokerTest):
    def serving(self, threads=2, config=CONFIG):
        def prepare(b):
            packs.library(b.packs)
            packs.write(b.packs, "big", {"wiki/index.md": packs.index([("page.md", "Big", "s")]), "wiki/page.md": "x" * 6_000_000})
            certificate(b.data, "first")
        self.kontor = self.broker(config=config, prepare=prepare, threads=threads).wait_serving()
        self.address = wire.split_address(self.kontor.endpoints["tls"][0])
        return self.kontor

    def connect(self, *protocols):
        connection = wire.Connection(self.address, timeout=broker.PATIENCE, tls=client_context(*protocols))
        self.addCleanup(connection.close)
        return connection

    def h2(self, **options):
        client = H2(self.address, timeout=broker.PATIENCE, **options)
        self.addCleanup(client.close)
        return client

    def assert_quota_free(self):
        """All 40 connections of the address can be had, so every path gave back what it took."""
        def all_free():
            opened = []
            try:
                for _ in range(40):
                    opened.append(wire.Connection(self.address, timeout=10, tls=client_context()))
                    if opened[-1].request("GET", "/healthz").status != 200:
                        return False
                return True
            except (wire.Closed, wire.ProtocolError, OSError):
                return False
            finally:
                for connection in opened:
                    connection.close()
        broker.wait_until(all_free, "the quota to be free again")

    def test_handshakes_that_fail_give_everything_back(self):
        self.serving()
        hello = bytes.fromhex("16030100c8010000c40303") + bytes(189)
        for round_ in range(15):
            for data in (b"", b"\x16", hello[:50], hello, b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 5000, PREFACE):
                connection = wire.Connection(self.address)
                if round_ % 2:
                    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.send(data)
                connection.close()
        self.assert_quota_free()

    def test_upgrades_that_fail_over_tls(self):
        self.serving()
        for path in ("/ws", "/tree", "/nothing"):
            for extra in ("", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", "Sec-WebSocket-Version: 12\r\n",
                          "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n"):
                for upgrade in ("websocket", "h2c", "x"):
                    connection = self.connect()
                    connection.socket.settimeout(0.3)
                    try:
                        connection.send((f"GET {path} HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n"
                                         f"{extra}\r\n").encode() + b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
                        connection.read_to_end()
                    except OSError:
                        pass
                    connection.close()
        self.assert_quota_free()

    def test_h2_bodies_and_many_streams(self):
        self.serving()
        client = self.h2()
        for stream in range(1, 61, 2):
            client.request(stream, "GET", "/healthz")
        client.until_ended(*range(1, 61, 2))
        self.assertEqual(client.reset, set())
        body = b'{"q":"Rubicon"}'
        client.request(61, "POST", "/search", ("content-type", "application/json"), ("content-length", str(len(body))), end=False)
        # One frame at a time: the library takes a body's last frame and the frame behind it, read together, for a body that
        # is too long, and hangs up.
        for flags, part in ((0, body[:5]), (END_STREAM, body[5:])):
            time.sleep(0.2)
            client.wire.send(frame(DATA, flags, 61, part))
        client.until_ended(61)
        self.assertIn(b"history/rome", client.data[61])
        client.request(63, "POST", "/admin/reindex")
        client.until_ended(63)
        self.assertIn(b"detail", client.data[63])

    def test_h2_large_page_through_a_small_window(self):
        self.serving()
        client = self.h2(settings=[(4, 1000)])
        client.request(1, "GET", "/packs/big/wiki/page.md")
        client.request(3, "GET", "/packs/big/wiki/page.md")
        client.until_ended(1, 3)
        self.assertEqual([len(client.data[s]) for s in (1, 3)], [6_000_000] * 2)

    def test_h2_resets_in_the_middle(self):
        self.serving()
        client = self.h2()
        for stream in range(1, 41, 2):
            client.request(stream, "GET", "/packs/big/wiki/page.md")
            client.wire.send(frame(RST, 0, stream, struct.pack(">I", 8)))
        client.request(41, "GET", "/healthz")
        client.until_ended(41)
        client.close()
        # A search that is asked for and given up before its answer: at worst this ends the connection of who does it.
        for _ in range(20):
            other = self.h2()
            other.request(1, "POST", "/search", ("content-type", "application/json"), ("content-length", "15"), end=False)
            other.wire.send(frame(DATA, END_STREAM, 1, b'{"q":"Rubicon"}') + frame(RST, 0, 1, struct.pack(">I", 8)))
            other.close()
        for _ in range(10):
            other = self.h2()
            for stream in range(1, 21, 2):
                other.request(stream, "GET", "/packs/big/wiki/page.md")
            other.step()
            other.close()
        self.assert_quota_free()

    def test_h2_odd_frames(self):
        self.serving()
        connect = b"".join(literal(*h) for h in ((":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
                                                 (":authority", "t"), (":path", "/ws"), ("sec-websocket-version", "13")))
        odd = [
            frame(HEADERS, END_HEADERS, 1, connect), frame(HEADERS, END_HEADERS | END_STREAM, 1, connect),
            frame(HEADERS, END_HEADERS | END_STREAM, 2, block("GET", "/tree")), frame(HEADERS, END_HEADERS | END_STREAM, 0, block("GET", "/tree")),
            frame(DATA, END_STREAM, 1, b"x"), frame(DATA, 0, 0, b"x"), frame(CONTINUATION, 0, 1, b"x"), frame(WINDOW, 0, 0, b"\0\0\0\0"),
            frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff") * 2, frame(SETTINGS, 0, 0, b"xxxxx"), frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 2 ** 31)),
            frame(PING, 0, 0, b"short"), frame(RST, 0, 7, b"\0\0\0\0"), frame(GOAWAY, 0, 0, bytes(8)), frame(77, 255, 9, b"unknown"),
            b"\xff\xff\xff" + bytes([DATA, 0]) + bytes(4) + bytes(5000), frame(HEADERS, END_HEADERS, 1, b"\xff" * 200),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, b""), frame(HEADERS, END_HEADERS | END_STREAM, 1, block("", "")),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, block("GET", "x")), frame(HEADERS, END_HEADERS | END_STREAM, 1, block("GET", "*")),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, block("GET", "/" + "a" * 9000)),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, block("GET", "/tree?" + "a=b&" * 1000)),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, block("GET", "/tree", *[(f"x-{i}", "y" * 100) for i in range(100)])),
            frame(HEADERS, END_HEADERS, 1, block("POST", "/search", ("content-length", "5"))) + frame(DATA, END_STREAM, 1, b"x" * 5000),
            frame(HEADERS, END_HEADERS, 1, block("POST", "/search", ("content-length", "5000"))) + frame(DATA, END_STREAM, 1, b"x"),
            frame(HEADERS, END_HEADERS, 1, block("POST", "/search")) + frame(HEADERS, END_HEADERS | END_STREAM, 1, literal("a", "b")),
            frame(HEADERS, END_HEADERS, 1, block("GET", "/tree")) + frame(DATA, END_STREAM, 1, b"x" * 100),
            frame(HEADERS, 0, 1, block("GET", "/tree")[:10]) + frame(CONTINUATION, END_HEADERS, 1, block("GET", "/tree")[10:]),
            frame(HEADERS, 0, 1, block("GET", "/tree")) + frame(DATA, 0, 1, b"x"),
            b"".join(frame(HEADERS, END_HEADERS | END_STREAM, s, block("GET", "/tree")) for s in range(1, 2001, 2)),
            b"".join(frame(HEADERS, END_HEADERS, s, block("GET", "/tree")) + frame(RST, 0, s, bytes(4)) for s in range(1, 2001, 2)),
            frame(PING, 0, 0, bytes(8)) * 2000, frame(SETTINGS, 0, 0) * 2000,
        ]
        for number, data in enumerate(odd):
            client = H2(self.address, timeout=0.3)
            try:
                client.wire.send(data)
                while True:
                    client.step()
            except (wire.ProtocolError, OSError):
                pass
            client.close()
            self.assertIsNone(self.kontor.process.poll(), f"frames {number}: {data[:60]!r}\n{self.kontor.log()[-3000:]}")
        self.assert_quota_free()

    def test_a_slow_download_is_not_cut_off(self):
        self.serving()
        readers = [self.connect(), self.h2(settings=[(4, 8192)])]
        readers[0].send(b"GET /packs/big/wiki/page.md HTTP/1.1\r\nHost: t\r\n\r\n")
        readers[1].request(1, "GET", "/packs/big/wiki/page.md")
        readers[0].socket.settimeout(5)
        started = time.monotonic()
        while time.monotonic() - started < 40:
            readers[0].fill()
            for _ in range(4):
                readers[1].step()
            time.sleep(0.5)
        head = readers[0].read_head()
        self.assertEqual(head[1], 200)
        self.assertEqual(len(readers[0].read_exactly(6_000_000)), 6_000_000)
        readers[1].until_ended(1)
        self.assertEqual(len(readers[1].data[1]), 6_000_000)

    def test_what_never_ends_is_cut_off(self):
        """Handshake, heads, bodies, idle and unread answers, all at once because each takes its time."""
        self.serving(config=CONFIG.replace("connections_per_ip: 40", "connections_per_ip: 60"))
        half = {}
        half["handshake"] = wire.Connection(self.address)
        half["silent"] = self.connect()
        half["head"] = self.connect()
        half["head"].send(b"GET / HT")
        half["body"] = self.connect()
        half["body"].send(b"POST /search HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n{")
        half["second head"] = self.connect()
        half["second head"].send(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
        self.assertEqual(half["second head"].read_response().status, 200)
        half["second head"].send(b"GET / HT")
        half["idle"] = self.connect()
        self.assertEqual(half["idle"].request("GET", "/healthz").status, 200)
        for name, data in (("h2 idle", b""), ("h2 head", frame(HEADERS, 0, 1, block("GET", "/tree"))),
                           ("h2 body", frame(HEADERS, END_HEADERS, 1, block("POST", "/search", ("content-length", "10"))) + frame(DATA, 0, 1, b"x"))):
            client = self.h2()
            client.step()
            client.wire.send(data)
            half[name] = client.wire
        client = self.h2(settings=[(4, 0)])
        client.request(1, "GET", "/packs/big/wiki/page.md")
        half["h2 unread"] = client.wire
        half["unread"] = self.connect()
        half["unread"].send(b"GET /packs/big/wiki/page.md HTTP/1.1\r\nHost: t\r\n\r\n" * 3)
        started, ended = time.monotonic(), {}
        while len(ended) < len(half) and time.monotonic() - started < 110:
            for name, connection in half.items():
                if name in ended:
                    continue
                connection.socket.settimeout(0.01)
                try:
                    if "unread" in name:
                        # Its end of the stream is behind what is not read; a reset answers who sends to a closed socket.
                        if time.monotonic() - started > 60:
                            connection.send(PREFACE[:1])
                    elif not connection.fill():
                        ended[name] = time.monotonic() - started
                except TimeoutError:
                    pass
                except OSError:
                    ended[name] = time.monotonic() - started
            time.sleep(0.1)
        self.assertEqual(set(half) - set(ended), set(), ended)
        self.assertLess(ended["handshake"], 30, ended)
        self.assertLess(ended["head"], 30, ended)
        self.assertLess(ended["body"], 60, ended)

    def test_requests_in_flight_are_finished_at_the_end(self):
        kontor = self.serving()
        download, half, stream = self.connect(), self.connect(), self.h2()
        download.send(b"GET /packs/big/wiki/page.md HTTP/1.1\r\nHost: t\r\n\r\n")
        self.assertEqual(download.read_head()[1], 200)
        half.send(b"POST /search HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"q\":")
        stream.request(1, "GET", "/packs/big/wiki/page.md")
        stream.step()
        time.sleep(0.2)
        kontor.signal(signal.SIGTERM)
        broker.wait_until(lambda: "stopping" in kontor.log(), "the signal to be taken")
        time.sleep(0.3)
        half.send(b"\"Rubicon\"}")
        self.assertEqual(len(download.read_exactly(6_000_000)), 6_000_000)
        self.assertEqual(half.read_response().status, 200)
        stream.until_ended(1)
        self.assertEqual(len(stream.data[1]), 6_000_000)
        started = time.monotonic()
        self.assertEqual(kontor.wait_exit(), 0)
        self.assertLess(time.monotonic() - started, 4)

    def test_the_end_with_everything_open(self):
        for threads in (1, 2):
            kontor = self.serving(threads=threads)

            class Secure:
                public = self.address

            held = [self.connect(), wire.Connection(self.address), self.h2(), self.h2(), node.Agent(kontor, node.Identity("plain")),
                    node.Agent(Secure, node.Identity("secure"), options={"tls": client_context()})]
            held[0].send(b"GET /packs/big/wiki/page.md HTTP/1.1\r\nHost: t\r\n\r\n" * 5)
            held[2].request(1, "GET", "/packs/big/wiki/page.md")
            held[3].request(1, "POST", "/search", ("content-length", "100"), end=False)
            half = ws.WebSocket(kontor.public)
            half.connection.send(ws.frame(ws.TEXT, b"x" * 100_000)[:50_000])
            time.sleep(0.3)
            started = time.monotonic()
            kontor.signal(signal.SIGTERM)
            self.assertEqual(kontor.wait_exit(), 0)
            self.assertLess(time.monotonic() - started, 12)
            for connection in held:
                getattr(connection, "abort", connection.close)()
            half.abort()

    def test_certificates_exchanged_and_broken_under_load(self):
        kontor = self.serving()
        stop, broken = threading.Event(), []

        def load():
            while not stop.is_set():
                try:
                    with wire.Connection(self.address, timeout=20, tls=client_context()) as connection:
                        for _ in range(3):
                            if connection.request("GET", "/tree").status != 200:
                                broken.append("status")
                except (wire.Closed, wire.ProtocolError, OSError) as error:
                    broken.append(error)
        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(12):
            if number % 2:
                (kontor.data / "cert.pem").write_text("this is no certificate\n")
            else:
                certificate(kontor.data, f"number-{number}")
            log = len(kontor.log())
            kontor.signal(signal.SIGHUP)
            broker.wait_until(lambda: '"reloaded"' in kontor.log()[log:], "the reload")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(broken, [])


if __name__ == "__main__":
    broker.main()

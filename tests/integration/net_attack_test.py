# SPDX-License-Identifier: MIT
"""Attacks on plain connections: clients that break rules on purpose, vanish at the worst moment or hold what they got. After each
of them the broker serves others, and nothing that was counted for the attacker stays counted."""
import json
import socket
import struct
import threading
import time

from lib import broker, node, packs, wire, ws

CONFIG = "limits: {register_per_minute: 0, search_per_minute: 0, connections_per_ip: 40}\n"
SEARCH = b'POST /search HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"q":"Rubicon"}'
GET = b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"
UPGRADE = ("GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n")


def reset(connection):
    """Ends a connection the hard way: a reset instead of an end of stream."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Attacks(broker.SharedBrokerTest):
    options = {"config": CONFIG, "threads": 2}

    @classmethod
    def prepare(cls, kontor):
        packs.library(kontor.packs)
        packs.write(kontor.packs, "big", {"wiki/index.md": packs.index([("page.md", "Big", "s")]), "wiki/page.md": "x" * 6_000_000})

    def tearDown(self):
        """The whole quota of the address is there again, so every path gave back what it took."""
        def all_free():
            opened = []
            try:
                for _ in range(40):
                    opened.append(self.kontor.connect())
                    if opened[-1].request("GET", "/healthz").status != 200:
                        return False
                return True
            except (wire.Closed, wire.ProtocolError, OSError):
                return False
            finally:
                for connection in opened:
                    connection.close()
        broker.wait_until(all_free, "the quota to be free again")

    def test_empty_lines_between_pipelined_requests(self):
        with self.kontor.connect() as connection:
            connection.send(SEARCH + b"\r\n" + GET + b"\r\n\r\n" + GET)
            self.assertEqual([connection.read_response().status for _ in range(3)], [200, 200, 200])

    def test_an_endless_flood_of_empty_lines_starves_nobody(self):
        stop = threading.Event()

        def flood():
            with self.kontor.connect() as connection:
                connection.socket.settimeout(1)
                try:
                    while not stop.is_set():
                        connection.send(b"\r\n" * 32768)
                except OSError:
                    pass
        threads = [threading.Thread(target=flood) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                started = time.monotonic()
                self.assertEqual(self.kontor.get("/healthz").status, 200)
                self.assertLess(time.monotonic() - started, 2)
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def test_pipelines_that_vanish_while_an_answer_is_owed(self):
        for before in (0, 1, 62, 63, 64, 126, 127, 128):
            for hard in (False, True):
                connection = self.kontor.connect()
                connection.send(GET * before + SEARCH + GET * 3)
                if hard:
                    reset(connection)
                else:
                    connection.close()
        self.assertEqual(self.kontor.get("/healthz").status, 200)

    def test_many_searches_in_one_pipeline_are_answered_in_order(self):
        with self.kontor.connect() as connection:
            connection.send((SEARCH + GET) * 100)
            for _ in range(100):
                self.assertIn("results", connection.read_response().json())
                self.assertNotIn("results", connection.read_response().json())

    def test_upgrades_that_fail(self):
        variants = [
            b"GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            b"GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
            b"GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
            UPGRADE.replace("websocket\r", "websocket, h2c\r").encode() + b"\r\n",
            UPGRADE.replace("websocket\r", "h2c, websocket\r").encode() + b"\r\n",
            UPGRADE.replace("Version: 13", "Version: 12").encode() + b"\r\n",
            UPGRADE.replace("HTTP/1.1", "HTTP/1.0").encode() + b"\r\n",
            UPGRADE.encode() + b"Content-Length: 5\r\n\r\nhello",
            UPGRADE.encode() + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            UPGRADE.encode() + b"Sec-WebSocket-Protocol: chat, superchat\r\n\r\n",
            UPGRADE.encode() + b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
            UPGRADE.encode() + b"Sec-WebSocket-Key: BBBBBBBBBBBBBBBBBBBBBB==\r\n\r\n",
            UPGRADE.encode() + b"X: " + b"y" * 9000 + b"\r\n\r\n",
            UPGRADE.encode() + b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
            UPGRADE.replace("/ws", "/ws?a=b").encode() + b"\r\n",
            UPGRADE.replace("/ws ", "//ws ").encode() + b"\r\n",
            UPGRADE.replace("/ws ", "/%77s ").encode() + b"\r\n",
            UPGRADE.replace("/ws ", "http://t/ws ").encode() + b"\r\n",
            UPGRADE.replace("/ws ", "http://other/ws ").encode() + b"\r\n",
        ]
        for variant in variants:
            for tail in (b"", GET, GET * 80, b"\x81\x05hello", b"\x00" * 5000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
                with self.subTest(request=variant[:300], tail=tail[:20]):
                    connection = self.kontor.connect()
                    connection.socket.settimeout(0.3)
                    try:
                        connection.send(variant + tail)
                        seen = connection.read_to_end()
                    except (socket.timeout, OSError):
                        seen = connection.buffer
                    self.assertTrue(seen.startswith(b"HTTP/1.1 "), seen[:80])
                    self.assertIn(int(seen[9:12]), (101, 400, 404, 405, 426), seen[:200])
                    reset(connection)
        self.assertEqual(self.kontor.get("/healthz").status, 200)

    def test_websockets_that_vanish_at_every_stage(self):
        full = UPGRADE.encode() + b"\r\n"
        for cut in (0, 10, len(full) - 1, len(full)):
            for hard in (False, True):
                for tail in (b"", ws.frame(ws.TEXT, b"{}"), ws.frame(ws.TEXT, b"x" * 70000)[:5000], ws.frame(ws.CLOSE, b"")):
                    connection = self.kontor.connect()
                    connection.send(full[:cut] + (tail if cut == len(full) else b""))
                    if hard:
                        reset(connection)
                    else:
                        connection.close()
        self.assertEqual(self.kontor.get("/healthz").status, 200)

    def test_a_frame_behind_the_upgrade_is_read(self):
        with self.kontor.connect() as connection:
            connection.send(UPGRADE.encode() + b"\r\n" + ws.frame(ws.TEXT, b'{"type":"ping"}') * 50)
            self.assertEqual(connection.read_head()[1], 101)
            deadline = time.monotonic() + 10
            while connection.buffer.count(b'"error"') + connection.buffer.count(b'"pong"') < 50 and time.monotonic() < deadline:
                self.assertTrue(connection.fill(), connection.buffer)
            self.assertGreaterEqual(connection.buffer.count(b'"error"') + connection.buffer.count(b'"pong"'), 50)

    def test_downloads_that_stop_in_the_middle(self):
        for _ in range(10):
            connection = self.kontor.connect()
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.send(b"GET /packs/big/wiki/page.md HTTP/1.1\r\nHost: t\r\n\r\n" * 10)
            connection.fill()
            reset(connection)
        self.assertEqual(self.kontor.get("/healthz").status, 200)

    def test_a_download_goes_on_while_the_client_keeps_sending(self):
        with self.kontor.connect() as connection:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
            connection.send(b"GET /packs/big/wiki/page.md HTTP/1.1\r\nHost: t\r\n\r\n")
            self.assertEqual(connection.read_head()[1], 200)
            got = 0
            for _ in range(50):
                connection.send(GET)
                got += len(connection.read_exactly(50_000))
            self.assertEqual(connection.read_exactly(6_000_000 - got), b"x" * (6_000_000 - got))
            for _ in range(50):
                self.assertEqual(connection.read_response().status, 200)

    def test_refusals_reach_a_client_that_is_still_sending(self):
        for head, status in ((b"POST /search HTTP/1.1\r\nHost: t\r\nContent-Length: 3000000\r\n\r\n", 413),
                             (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: t\r\n\r\n", 414),
                             (b"GET / HTTP/1.1\r\nHost: t\r\n" + b"X: y\r\n" * 3000, 431)):
            with self.kontor.connect() as connection:
                connection.send(head)
                for _ in range(30):
                    connection.send(b"z" * 100_000)
                self.assertEqual(connection.read_response().status, status)
                self.assertTrue(connection.at_end())

    def test_a_partial_body_is_408_and_a_partial_head_too(self):
        halves = [self.kontor.connect() for _ in range(4)]
        halves[0].send(b"GET / HT")
        halves[1].send(b"POST /search HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n{")
        halves[2].send(b"POST /search HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
        halves[3].send(GET + b"GET / HT")
        self.assertEqual(halves[3].read_response().status, 200)
        started = time.monotonic()
        for half, least, most in ((halves[0], 14, 19), (halves[3], 14, 19), (halves[1], 29, 34), (halves[2], 29, 34)):
            half.socket.settimeout(60)
            self.assertEqual(half.read_response().status, 408)
            self.assertTrue(least <= time.monotonic() - started <= most, time.monotonic() - started)
            self.assertTrue(half.at_end())
            half.close()

    def test_stuck_readers_are_dropped(self):
        stuck = self.kontor.connect()
        stuck.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(3):
            stuck.send(b"GET /packs/big/wiki/page.md HTTP/1.1\r\nHost: t\r\n\r\n")
        broker.wait_until(lambda: self.gone(stuck), "the broker to drop it", 50)
        stuck.close()

    def gone(self, connection):
        """The broker reset the connection; asked by sending, because reading would be progress."""
        try:
            connection.send(b"\r\n")
            time.sleep(0.5)
            connection.send(b"\r\n")
            return False
        except OSError:
            return True


class Memory(broker.BrokerTest):
    """What one address can make the broker hold."""

    def test_unfinished_messages_share_one_budget(self):
        kontor = self.broker(config="limits: {register_per_minute: 0}\n", threads=1)
        healthy = node.Agent(kontor, node.Identity("healthy"))
        holders = [node.Socket(kontor) for _ in range(160)]
        begun = ws.frame(ws.TEXT, b"x" * 900_000, fin=False, key=b"\0\0\0\0")
        for holder in holders:
            try:
                holder.connection.send(begun)
            except OSError:
                pass
        healthy.ping()
        closed = set()

        def enough():
            for holder in set(holders) - closed:
                holder.connection.socket.settimeout(0.001)
                try:
                    self.assertEqual(holder.expect_close(), (1008, "too many unfinished messages"))
                    closed.add(holder)
                except TimeoutError:
                    pass
            return len(closed) >= 5
        broker.wait_until(enough, "some to be closed")
        self.assertLess(len(closed), 80)
        for holder in holders:
            holder.abort()
        healthy.ping()
        requester = node.Requester(kontor)
        requester.query(healthy.identity.node_id, "y" * 900_000)
        self.assertEqual(len(healthy.next_query()["payload"]), 900_000)
        requester.abort()
        healthy.abort()


if __name__ == "__main__":
    broker.main()

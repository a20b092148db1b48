# SPDX-License-Identifier: MIT
"""The WebSocket protocol and its limits: framing, sizes, quotas, slow readers, floods."""
import json
import pathlib
import re
import struct
import threading
import time

from lib import broker, node, wire, ws

MIB = 1 << 20


class Framing(broker.SharedBrokerTest):
    options = {"config": "limits: {register_per_minute: 0}\n"}

    def socket(self, **options):
        socket = node.Socket(self.kontor, timeout=broker.PATIENCE / 4, **options)
        self.addCleanup(socket.abort)
        return socket

    def closed(self, data, *codes):
        """Bytes after which the broker must close with one of `codes`."""
        socket = self.socket()
        socket.connection.send(data)
        code, _ = socket.expect_close()
        self.assertIn(code, codes, data[:20])

    # Handshake

    def handshake(self, *changes, line=b"GET /ws HTTP/1.1"):
        headers = {b"Host": b"t", b"Upgrade": b"websocket", b"Connection": b"Upgrade", b"Sec-WebSocket-Version": b"13",
                   b"Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ=="}
        for name, value in changes:
            headers[name] = value
        with self.kontor.connect() as connection:
            connection.send(line + b"\r\n" + b"".join(k + b": " + v + b"\r\n" for k, v in headers.items() if v is not None) + b"\r\n")
            minor, status, reason, fields = connection.read_head()
            return wire.Response(minor, status, reason, fields, b"")

    def test_the_sample_of_the_rfc(self):
        reply = self.handshake()
        self.assertEqual((reply.status, reply.header("Sec-WebSocket-Accept")), (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
        self.assertIsNone(reply.header("Sec-WebSocket-Protocol"))

    def test_spellings_of_the_upgrade(self):
        for change in ((b"Connection", b"keep-alive, Upgrade"), (b"Connection", b"upgrade"), (b"Upgrade", b"WebSocket"),
                       (b"Origin", b"https://example.org"), (b"Sec-WebSocket-Extensions", b"permessage-deflate; client_max_window_bits")):
            self.assertEqual(self.handshake(change).status, 101, change)
        self.assertEqual(self.handshake(line=b"GET /ws?x=1 HTTP/1.1").status, 101)

    def test_handshakes_that_are_none(self):
        for change in ((b"Sec-WebSocket-Key", None), (b"Sec-WebSocket-Key", b"short"), (b"Sec-WebSocket-Key", b"x" * 200),
                       (b"Upgrade", None), (b"Upgrade", b"h2c"), (b"Connection", None), (b"Connection", b"close")):
            self.assertIn(self.handshake(change).status, (400, 404, 426), change)
        for version in (None, b"8", b"0", b"14", b"x"):
            reply = self.handshake((b"Sec-WebSocket-Version", version))
            self.assertIn(reply.status, (400, 426), version)
            if reply.status == 426:
                self.assertEqual(reply.header("Sec-WebSocket-Version"), "13")
        self.assertIn(self.handshake(line=b"POST /ws HTTP/1.1").status, (400, 405, 426))
        self.assertIn(self.handshake(line=b"GET /ws HTTP/1.0").status, (400, 426))
        self.assertEqual(self.handshake(line=b"GET /other HTTP/1.1").status, 404)
        self.assertIn(self.kontor.get("/ws").status, (400, 404, 426))

    # Frames

    def test_protocol_errors_end_the_connection(self):
        """With 1002 where the library says why; some errors it answers by an echo of the close or just by the end."""
        text = b'{"type":"ping"}'
        for name, data in {
                "reserved bit": ws.frame(ws.TEXT, text, rsv=4),
                "reserved bit 2": ws.frame(ws.TEXT, text, rsv=1), "reserved opcode": ws.frame(3, text),
                "reserved control": ws.frame(11, b""), "fragmented ping": ws.frame(ws.PING, b"", fin=False),
                "long ping": ws.frame(ws.PING, b"x" * 126), "lone continuation": ws.frame(0, text),
                "text within fragments": ws.frame(ws.TEXT, b"a", fin=False) + ws.frame(ws.TEXT, text),
                "close of one byte": ws.frame(ws.CLOSE, b"x"), "close 1005": ws.frame(ws.CLOSE, struct.pack(">H", 1005)),
                "close 999": ws.frame(ws.CLOSE, struct.pack(">H", 999)), "close 5000": ws.frame(ws.CLOSE, struct.pack(">H", 5000)),
                "negative length": b"\x81\xff" + b"\xff" * 8 + b"abcd"}.items():
            with self.subTest(name):
                self.closed(data, *((1002,) if not name.startswith(("long", "close", "negative")) else (1002, None, 999, 5000)))

    def test_bad_utf_8_closes_with_1007(self):
        for data in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"):
            self.closed(ws.frame(ws.TEXT, b'{"type":"' + data + b'"}' if data != b"\xe2\x82" else data), 1007)
        self.closed(ws.frame(ws.CLOSE, struct.pack(">H", 1000) + b"\xff"), 1007, 1002, 1000, None)

    def test_binary_messages_end_the_connection(self):
        self.closed(ws.frame(ws.BINARY, b'{"type":"ping"}'), 1003)

    def test_pings_are_answered_with_their_payload(self):
        socket = self.socket()
        for payload in (b"", b"x", bytes(range(125))):
            socket.send_frame(ws.PING, payload)
            self.assertEqual(socket.receive(), (ws.PONG, payload))
        socket.send_frame(ws.PONG, b"unasked")
        self.assertEqual(socket.ask({"type": "ping"}), {"type": "pong"})

    def test_fragments_with_pings_between_them(self):
        socket = self.socket()
        data = '{"type":"ping","text":"é漢😀"}'.encode()
        for cut in range(1, len(data)):
            socket.send_frame(ws.TEXT, data[:cut], fin=False)
            socket.send_frame(ws.PING, b"between")
            socket.send_frame(0, b"", fin=False)
            socket.send_frame(0, data[cut:])
            self.assertEqual(socket.receive(), (ws.PONG, b"between"))
            self.assertEqual(socket.receive_json(), {"type": "pong"}, f"cut at {cut}")

    def test_frames_byte_by_byte_and_many_in_one_segment(self):
        socket = self.socket()
        data = ws.frame(ws.TEXT, b'{"type":"ping"}')
        for position in range(len(data)):
            socket.connection.send(data[position:position + 1])
        self.assertEqual(socket.receive_json(), {"type": "pong"})
        socket.connection.send(data * 500)
        for _ in range(500):
            self.assertEqual(socket.receive_json(), {"type": "pong"})

    def test_the_closing_handshake(self):
        for code in (1000, 1001, 3000, 4999):
            socket = self.socket()
            socket.send_frame(ws.CLOSE, struct.pack(">H", code) + "bye é".encode())
            self.assertEqual(socket.expect_close()[0], code)
            self.assertTrue(socket.connection.at_end(), "the broker must end the TCP connection")
        socket = self.socket()
        socket.send_frame(ws.CLOSE)
        self.assertIn(socket.expect_close()[0], (None, 1000))

    def test_garbage_after_the_upgrade(self):
        import random
        source = random.Random(3)
        for _ in range(40):
            socket = self.socket()
            try:
                socket.connection.send(bytes(source.randrange(256) for _ in range(source.randrange(1, 400))))
                socket.abort()
            except OSError:
                pass
        self.assertEqual(self.socket().ask({"type": "ping"}), {"type": "pong"})

    # Sizes

    def test_a_message_over_1_mib_is_an_error_and_the_socket_stays(self):
        socket = self.socket()
        query = json.dumps(node.query_message("nobody", "x" * MIB, "find-me"))
        for data in (query, query.replace("find-me", "other-id"), "x" * (MIB + 1), '{"type":"ping","x":"' + "é" * (MIB // 2) + '"}'):
            self.assertGreater(len(data.encode()), MIB)
            socket.send_text(data)
            reply = socket.receive_json()
            self.assertEqual((reply["type"], reply["error"]), ("error", "frame_too_large"))
            if data.startswith('{"type": "query"'):
                # Without its id the requester would wait for 60 s.
                self.assertEqual(reply["query_id"], "find-me" if "find-me" in data else "other-id")
            self.assertEqual(socket.ask({"type": "ping"}), {"type": "pong"})

    def test_a_fragmented_message_over_1_mib(self):
        socket = self.socket()
        socket.send_frame(ws.TEXT, b"x" * 600000, fin=False)
        socket.send_frame(0, b"x" * 600000, fin=False)
        socket.send_frame(ws.PING, b"still there")
        socket.send_frame(0, b"x" * 10)
        answers = [socket.receive(), socket.receive()]
        self.assertIn((ws.PONG, b"still there"), answers)
        answers.remove((ws.PONG, b"still there"))
        self.assertEqual(json.loads(answers[0])["error"], "frame_too_large")
        self.assertEqual(socket.ask({"type": "ping"}), {"type": "pong"})

    def test_an_endless_message_does_not_fill_the_memory(self):
        socket = self.socket()
        before = self.rss()
        socket.send_frame(ws.TEXT, b"x" * 100000, fin=False)
        for _ in range(300):
            try:
                socket.send_frame(0, b"x" * 100000, fin=False, key=b"\0\0\0\0")
            except OSError:
                break
        self.assertLess(self.rss() - before, 20 << 20)

    def test_forwarded_frames_stay_within_1_mib(self):
        """A client's library closes with 1009 on a larger message, and escapes can make a message grow on its way."""
        with node.Agent(self.kontor, node.Identity("large", node_id="t" * 100)) as agent:
            for filler in ("x", "é", "😀", "\"", "\x01", "\x7f", "/"):
                for size in (MIB - 400, MIB - 100, MIB - 10, MIB):
                    message = node.query_message("t" * 100, "", from_node="f")
                    base = len(json.dumps(message).encode())
                    unit = len(json.dumps(filler, ensure_ascii=False).encode()) - 2
                    message["payload"] = filler * ((size - base) // unit)
                    with node.Agent(self.kontor, node.Identity("asker-large", node_id="a" * 128)) as asker:
                        asker.send_text(json.dumps(message, ensure_ascii=False))
                        asker.send({"type": "ping"})
                        reply = asker.receive_json()
                        if reply["type"] == "error":
                            self.assertEqual((reply["error"], reply["query_id"]), ("frame_too_large", message["query_id"]))
                            continue
                        self.assertEqual(reply, {"type": "pong"})
                        _, _, _, data = agent.receive_frame()
                        self.assertLessEqual(len(data), MIB)
                        self.assertEqual(json.loads(data)["payload"], message["payload"])

    def rss(self):
        status = pathlib.Path(f"/proc/{self.kontor.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+([0-9]+) kB", status)[1]) * 1024


class Quotas(broker.BrokerTest):
    def serving(self, limits="", **options):
        return self.broker(config=f"limits: {{register_per_minute: 0{limits}}}\n", **options)

    def agent(self, kontor, label, **options):
        agent = node.Agent(kontor, node.Identity(label), **options)
        self.addCleanup(agent.abort)
        return agent

    def requester(self, kontor, **options):
        requester = node.Requester(kontor, **options)
        self.addCleanup(requester.abort)
        return requester

    def fill(self, requester, target, count):
        """Sends queries that nobody answers; the ids of those that were refused as broker_busy."""
        ids = [requester.query(target, "p") for _ in range(count)]
        requester.send({"type": "ping"})
        refused = []
        while True:
            reply = requester.receive_json()
            if reply["type"] == "pong":
                return refused
            self.assertEqual((reply["type"], reply["error"]), ("error", "broker_busy"))
            self.assertIn(reply["query_id"], ids)
            refused.append(reply["query_id"])

    def test_pending_queries_in_total(self):
        kontor = self.serving(", pending_queries: 10")
        target = self.agent(kontor, "target")
        first, second = self.requester(kontor), self.requester(kontor)
        self.assertEqual(len(self.fill(first, target.identity.node_id, 6)), 0)
        self.assertEqual(len(self.fill(second, target.identity.node_id, 6)), 2)
        # An answer makes room, and so does an asker that leaves.
        target.answer(target.next_query(), "x")
        self.assertEqual(first.receive_json()["type"], "response")
        self.assertEqual(len(self.fill(second, target.identity.node_id, 2)), 1)
        first.abort()
        broker.wait_until(lambda: not self.fill(second, target.identity.node_id, 1), "the places of the asker who left")

    def test_pending_queries_of_one_address(self):
        kontor = self.serving(", pending_per_ip: 5")
        target = self.agent(kontor, "target")
        # The address is that of the socket: a front of many clients has the limits of one client and is configured so.
        one, same = self.requester(kontor), self.requester(kontor)
        other = self.requester(kontor, source="127.0.0.2")
        self.assertEqual(len(self.fill(one, target.identity.node_id, 3)), 0)
        self.assertEqual(len(self.fill(same, target.identity.node_id, 4)), 2)
        self.assertEqual(len(self.fill(other, target.identity.node_id, 5)), 0)

    def test_pending_queries_of_one_connection(self):
        kontor = self.serving()
        targets = [self.agent(kontor, f"target-{i}") for i in range(2)]
        requester = self.requester(kontor)
        refused = sum(len(self.fill(requester, target.identity.node_id, 700)) for target in targets)
        self.assertGreater(refused, 0)
        self.assertEqual(len(self.fill(self.requester(kontor), targets[1].identity.node_id, 5)), 0)

    def test_a_slow_reader_is_closed_and_others_do_not_notice(self):
        kontor = self.serving()
        lazy = self.agent(kontor, "lazy", options={"receive_buffer": 4096})
        lively = self.agent(kontor, "lively")
        requester = self.requester(kontor)
        payload = "x" * 500000
        unread = []
        for _ in range(60):
            unread.append(requester.query(lazy.identity.node_id, payload))
        broker.wait_until(lambda: lazy.identity.node_id not in kontor.get("/nodes").json(), "the slow reader to be closed")
        # Every query is answered: those that no longer fitted at once, the others when their target is gone.
        answers = [requester.receive_json() for _ in unread]
        self.assertEqual({answer["type"] for answer in answers}, {"error"})
        self.assertEqual({answer["query_id"] for answer in answers}, set(unread))
        query_id = requester.query(lively.identity.node_id, "p")
        lively.answer(lively.next_query(), "alive")
        self.assertEqual(requester.result(query_id)["payload"], "alive")
        self.assertEqual(requester.result(requester.query(lazy.identity.node_id, "p"))["error"], "no_target")

    def test_a_requester_that_does_not_read_is_closed_too(self):
        kontor = self.serving()
        agent = self.agent(kontor, "answering")
        lazy = self.requester(kontor, receive_buffer=4096)
        count = 60

        def answer():
            for _ in range(count):
                agent.answer(agent.next_query(), "y" * 500000)

        thread = threading.Thread(target=answer)
        thread.start()
        for number in range(count):
            try:
                lazy.query(agent.identity.node_id, "p", query_id=f"q-{number}")
            except OSError:
                break
        thread.join(30)
        self.assertFalse(thread.is_alive(), "a reader that does not read must not stop the Node that answers it")
        agent.ping()

    def test_a_flood_slows_its_sender_alone(self):
        kontor = self.serving(", node_messages_per_second: 200")
        calm = self.agent(kontor, "calm")
        flood = self.requester(kontor)
        stop = threading.Event()

        def pour():
            data = ws.frame(ws.TEXT, b'{"type":"nothing"}', key=b"\0\0\0\0") * 2000
            flood.connection.socket.settimeout(0.5)
            while not stop.is_set():
                try:
                    flood.connection.send(data)
                except OSError:
                    continue

        thread = threading.Thread(target=pour)
        thread.start()
        requester = self.requester(kontor)
        longest = 0.0
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            started = time.monotonic()
            query_id = requester.query(calm.identity.node_id, "p")
            calm.answer(calm.next_query(), "calm")
            requester.result(query_id)
            longest = max(longest, time.monotonic() - started)
            time.sleep(0.02)
        stop.set()
        thread.join()
        self.assertLess(longest, 2.0 if broker.SANITIZED else 0.5)

    def test_a_quota_delays_and_loses_nothing(self):
        kontor = self.serving(", node_messages_per_second: 100")
        socket = self.requester(kontor)
        started = time.monotonic()
        for _ in range(300):
            socket.send({"type": "ping"})
        for _ in range(300):
            self.assertEqual(socket.receive_json(), {"type": "pong"})
        self.assertGreater(time.monotonic() - started, 0.9)

    def test_connections_of_one_address(self):
        kontor = self.serving(", connections_per_ip: 20")
        kept = []
        for _ in range(20):
            kept.append(node.Socket(kontor))
        refused = 0
        for _ in range(5):
            try:
                node.Socket(kontor, timeout=5).abort()
            except (OSError, wire.Closed, wire.ProtocolError, ws.WebSocketClosed):
                refused += 1
        self.assertEqual(refused, 5)
        for socket in kept:
            socket.abort()
        broker.wait_until(lambda: self.possible(kontor), "connections to be taken again")

    def possible(self, kontor):
        try:
            return kontor.get("/healthz").status == 200
        except (OSError, wire.Closed, wire.ProtocolError):
            return False


if __name__ == "__main__":
    broker.main()

# SPDX-License-Identifier: MIT
"""HTTP/1.1 on the wire: framing, pipelining, limits, methods, and attempts to be understood in two ways."""
import socket
import threading
import time

from lib import broker, packs, wire

OK = b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"


class Protocol(broker.SharedBrokerTest):
    options = {"config": "limits: {search_per_minute: 0}\n"}

    @classmethod
    def prepare(cls, kontor):
        packs.library(kontor.packs)
        packs.write(kontor.packs, "big", {"wiki/index.md": packs.index([("page.md", "Big", "big")]), "wiki/page.md": "x" * 3_000_000})

    def raw(self, data, method="GET"):
        """The answer to exact bytes, and whether the connection is still good for another request."""
        with self.kontor.connect() as connection:
            connection.send(data)
            reply = connection.read_response(method)
            if (reply.header("Connection") or "").lower() == "close":
                self.assertTrue(connection.at_end(), "said close and stayed open")
                return reply, False
            connection.send(OK)
            self.assertEqual(connection.read_response().status, 200)
            return reply, True

    def refused(self, data, *statuses):
        """Bytes that get one error answer, after which the connection ends."""
        reply, alive = self.raw(data)
        self.assertIn(reply.status, statuses, (data[:120], reply))
        self.assertFalse(alive, data[:120])
        return reply

    # Connections

    def test_keep_alive_serves_many_requests(self):
        with self.kontor.connect() as connection:
            for _ in range(200):
                self.assertEqual(connection.request("GET", "/tree").status, 200)
                self.assertEqual(connection.request("GET", "/nothing").status, 404)
                self.assertEqual(connection.request("POST", "/search", [("Content-Type", "application/json")], b"{}").status, 422)

    def test_connection_close_is_honoured(self):
        with self.kontor.connect() as connection:
            reply = connection.request("GET", "/tree", [("Connection", "close")])
            self.assertEqual((reply.status, reply.header("Connection")), (200, "close"))
            self.assertTrue(connection.at_end())

    def test_http_1_0_closes_unless_asked_to_keep(self):
        with self.kontor.connect() as connection:
            connection.send(b"GET /healthz HTTP/1.0\r\n\r\n")
            self.assertEqual(connection.read_response().status, 200)
            self.assertTrue(connection.at_end())
        with self.kontor.connect() as connection:
            connection.send(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            reply = connection.read_response()
            self.assertEqual(reply.status, 200)
            if (reply.header("Connection") or "").lower() == "keep-alive":
                connection.send(b"GET /tree HTTP/1.0\r\n\r\n")
                self.assertEqual(connection.read_response().status, 200)
            self.assertTrue(connection.at_end())

    def test_pipelined_requests_are_answered_in_order(self):
        targets = ["/tree", "/nothing", "/packs", "/packs/big/wiki/page.md", "/healthz", "/packs/docker/wiki/index.md"] * 40
        with self.kontor.connect() as connection:
            data = b"".join(f"GET {t} HTTP/1.1\r\nHost: t\r\n\r\n".encode() for t in targets)
            writer = threading.Thread(target=connection.send, args=(data,))
            writer.start()
            wanted = {t: self.kontor.get(t) for t in set(targets)}
            for number, target in enumerate(targets):
                reply = connection.read_response()
                self.assertEqual((reply.status, len(reply.body)), (wanted[target].status, len(wanted[target].body)), (number, target))
            writer.join()

    def test_pipelined_behind_a_slow_answer_keeps_the_order(self):
        body = b'{"q":"caesar"}'
        search = b"POST /search HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        with self.kontor.connect() as connection:
            connection.send((search + OK + b"GET /tree HTTP/1.1\r\nHost: t\r\n\r\n") * 5)
            for _ in range(5):
                self.assertIn("results", connection.read_response().json())
                self.assertEqual(connection.read_response().status, 200)
                self.assertIsInstance(connection.read_response().json(), list)

    def test_a_request_may_come_byte_by_byte(self):
        body = b'{"q":"senate"}'
        data = (b"POST /search HTTP/1.1\r\nHost: t\r\nX-Long: abc\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)) + OK
        with self.kontor.connect() as connection:
            for position in range(len(data)):
                connection.send(data[position:position + 1])
            self.assertEqual(len(connection.read_response().json()["results"]), 1)
            self.assertEqual(connection.read_response().status, 200)

    def test_a_request_split_at_every_position(self):
        data = b"GET /tree HTTP/1.1\r\nHost: t\r\nA: b\r\n\r\n"
        with self.kontor.connect() as connection:
            for position in range(1, len(data)):
                connection.send(data[:position])
                # The first part must be read alone; a moment of patience makes that likely without depending on it.
                time.sleep(0.001)
                connection.send(data[position:])
                self.assertEqual(connection.read_response().status, 200, position)

    def test_empty_lines_before_a_request_are_tolerated(self):
        with self.kontor.connect() as connection:
            connection.send(b"\r\n" + OK)
            self.assertEqual(connection.read_response().status, 200)

    def test_a_client_that_half_closes_still_gets_its_answer(self):
        with self.kontor.connect() as connection:
            connection.send(b"GET /packs/big/wiki/page.md HTTP/1.1\r\nHost: t\r\n\r\n")
            connection.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(len(connection.read_response().body), 3_000_000)

    def test_a_client_that_goes_away_disturbs_nobody(self):
        for _ in range(50):
            connection = self.kontor.connect()
            connection.send(b"GET /packs/big/wiki/page.md HTTP/1.1\r\nHost: t\r\n\r\n" * 3)
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        self.assertEqual(self.kontor.get("/healthz").status, 200)

    # Methods

    def test_head_keeps_the_connection_in_step(self):
        with self.kontor.connect() as connection:
            for _ in range(3):
                head = connection.request("HEAD", "/packs/docker/wiki/index.md")
                self.assertEqual(head.status, 200)
                self.assertGreater(int(head.header("Content-Length")), 0)
                self.assertEqual(connection.request("GET", "/healthz").status, 200)

    def test_wrong_methods_get_405_and_allow(self):
        get_routes = ("/", "/tree", "/tree/x", "/packs", "/packs/summaries", "/packs/docker/index.md", "/packs/docker/wiki/index.md",
                      "/packs/docker/manifest.yaml", "/packs/docker/manifest.sig", "/publishers", "/nodes", "/healthz", "/readyz",
                      "/metrics", "/version")
        for target in get_routes:
            for method in ("POST", "PUT", "DELETE", "PATCH", "BREW"):
                reply = self.kontor.request(method, target)
                allow = {m.strip() for m in (reply.header("Allow") or "").split(",")}
                self.assertEqual((reply.status, reply.type), (405, "application/json"), (method, target))
                self.assertEqual(allow - {"OPTIONS"}, {"GET", "HEAD"}, (method, target))
        for target in ("/search", "/lookup_entity", "/admin/reindex"):
            for method in ("GET", "HEAD", "PUT", "DELETE"):
                reply = self.kontor.request(method, target)
                self.assertEqual((reply.status, reply.header("Allow")), (405, "POST"), (method, target))

    def test_methods_are_case_sensitive(self):
        reply, _ = self.raw(b"get /tree HTTP/1.1\r\nHost: t\r\n\r\n")
        self.assertIn(reply.status, (400, 405, 501))

    # Bodies

    def post(self, body, *headers):
        head = b"POST /search HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
        return head + b"".join(h + b"\r\n" for h in headers) + b"\r\n" + body

    def test_chunked_bodies(self):
        coding = b"Transfer-Encoding: chunked"
        for body in (b"e\r\n{\"q\":\"senate\"}\r\n0\r\n\r\n", b"1\r\n{\r\n00d;x=\"y\"\r\n\"q\":\"senate\"}\r\n0\r\nTrailer: 1\r\n\r\n"):
            reply, alive = self.raw(self.post(body, coding))
            self.assertEqual((reply.status, alive), (200, True), body)
            self.assertEqual(len(reply.json()["results"]), 1)

    def test_chunked_bodies_may_come_byte_by_byte(self):
        data = self.post(b"5\r\n{\"q\":\r\n9\r\n\"senate\"}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked")
        with self.kontor.connect() as connection:
            for position in range(len(data)):
                connection.send(data[position:position + 1])
            self.assertEqual(connection.read_response().status, 200)

    def test_broken_chunks_are_refused(self):
        for body in (b"x\r\n{}\r\n0\r\n\r\n", b"-1\r\n\r\n", b"2\r\n{}0\r\n\r\n", b"ffffffffffffffffff\r\n", b"0x2\r\n{}\r\n0\r\n\r\n",
                     b"\r\n{}\r\n0\r\n\r\n", b" 2\r\n{}\r\n0\r\n\r\n"):
            self.refused(self.post(body, b"Transfer-Encoding: chunked"), 400, 413)

    def test_expect_continue(self):
        with self.kontor.connect() as connection:
            connection.send(self.post(b"", b"Content-Length: 14", b"Expect: 100-continue"))
            self.assertEqual(connection.read_response().status, 100)
            connection.send(b'{"q":"senate"}')
            self.assertEqual(connection.read_response().status, 200)

    def test_a_body_over_the_limit_is_413(self):
        self.refused(self.post(b"", b"Content-Length: 1048577"), 413)
        self.refused(self.post(b"", b"Content-Length: 99999999999999999999999"), 400, 413)
        self.refused(self.post(b"", b"Content-Length: 1048577", b"Expect: 100-continue"), 413)
        with self.kontor.connect() as connection:
            connection.send(self.post(b"", b"Transfer-Encoding: chunked"))
            chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
            try:
                for _ in range(40):
                    connection.send(chunk)
            except OSError:
                pass
            self.assertEqual(connection.read_response().status, 413)

    def test_a_body_at_the_limit_is_read(self):
        body = b'{"q":"senate"' + b" " * (1048576 - 14) + b"}"
        reply, alive = self.raw(self.post(body, b"Content-Length: %d" % len(body)))
        self.assertEqual((reply.status, alive), (200, True))

    def test_a_body_on_get_is_read_over(self):
        reply, alive = self.raw(b"GET /tree HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello")
        self.assertEqual(reply.status, 200)

    # Limits

    def test_a_target_over_the_limit_is_414(self):
        self.refused(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: t\r\n\r\n", 414)
        reply, _ = self.raw(b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\nHost: t\r\n\r\n")
        self.assertEqual(reply.status, 404)
        with self.kontor.connect() as connection:
            connection.send(b"GET /" + b"a" * 20000)
            self.assertEqual(connection.read_response().status, 414)

    def test_headers_over_the_limit_are_431(self):
        self.refused(b"GET /tree HTTP/1.1\r\nHost: t\r\nX: " + b"a" * 17000 + b"\r\n\r\n", 431)
        self.refused(b"GET /tree HTTP/1.1\r\nHost: t\r\n" + b"".join(b"X%d: y\r\n" % i for i in range(200)) + b"\r\n", 431)
        reply, _ = self.raw(b"GET /tree HTTP/1.1\r\nHost: t\r\nX: " + b"a" * 8000 + b"\r\n\r\n")
        self.assertEqual(reply.status, 200)

    # Requests that are not requests

    def test_bad_request_lines(self):
        for line in (b"GET", b"GET /tree", b"GET  /tree HTTP/1.1", b"GET /tree  HTTP/1.1", b"GET /tree HTTP/1.1 ", b" GET /tree HTTP/1.1",
                     b"GET\t/tree\tHTTP/1.1", b"GET /tree HTTP/1.12", b"GET /tree http/1.1", b"GET /tree HTP/1.1", b"GET tree HTTP/1.1",
                     b"G\x01T /tree HTTP/1.1", b"GET /tr\x00ee HTTP/1.1", b"GET /tr ee HTTP/1.1", b"\x16\x03\x01\x02\x00\x01\x00",
                     b"GET /tree#part HTTP/1.1", b"G@T /tree HTTP/1.1", b"GET /tr\x7fee HTTP/1.1"):
            self.refused(line + b"\r\nHost: t\r\n\r\n", 400)

    def test_other_versions(self):
        for line in (b"GET /tree HTTP/2.0", b"GET /tree HTTP/0.9", b"GET /tree HTTP/3.0"):
            self.refused(line + b"\r\nHost: t\r\n\r\n", 400, 505)

    def test_bad_headers(self):
        for line in (b"Bad Name: x", b"NoColon", b": empty", b"Name : x", b"X: a\x00b", b"X: a\rb", b" folded: x", b"X: a\r\n folded",
                     b"N\xe4me: x", b"X: a\x7fb"):
            self.refused(b"GET /tree HTTP/1.1\r\nHost: t\r\n" + line + b"\r\n\r\n", 400)

    def test_host_is_required_once(self):
        self.refused(b"GET /tree HTTP/1.1\r\n\r\n", 400)
        self.refused(b"GET /tree HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400)

    def test_bare_line_feeds_are_not_line_ends(self):
        """Two readings of where a line ends are two readings of where a request ends."""
        self.refused(b"GET /tree HTTP/1.1\nHost: t\n\n\r\n\r\n", 400)
        self.refused(b"GET /tree HTTP/1.1\r\nHost: t\nX: y\r\n\r\n", 400)

    def test_request_smuggling_is_refused(self):
        hidden = b"GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n"
        cases = [(b"Content-Length: 5", b"Transfer-Encoding: chunked"), (b"Content-Length: 5", b"Content-Length: 6"),
                 (b"Content-Length: 5, 6",), (b"Content-Length: +5",), (b"Content-Length: -5",), (b"Content-Length: 0x5",),
                 (b"Content-Length: 5 5",), (b"Content-Length:",), (b"Content-Length: 5.0",), (b"Transfer-Encoding: gzip, chunked",),
                 (b"Transfer-Encoding: chunked, identity",), (b"Transfer-Encoding: xchunked",), (b"Transfer-Encoding: chunked, chunked",),
                 (b"Transfer-Encoding: identity",), (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
                 (b"Transfer-Encoding: \"chunked\"",), (b"Transfer-Encoding : chunked",), (b"Transfer-Encoding:\x0bchunked",)]
        for headers in cases:
            with self.kontor.connect() as connection:
                connection.send(self.post(b"0\r\n\r\n" + hidden, *headers))
                reply = connection.read_response()
                self.assertIn(reply.status, (400, 411, 501), headers)
                self.assertEqual(connection.read_to_end(), b"", f"{headers}: what followed was taken as a request")

    def test_transfer_encoding_in_http_1_0_is_refused(self):
        self.refused(b"POST /search HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, 501)

    def test_equal_repeated_lengths_are_one_or_refused(self):
        with self.kontor.connect() as connection:
            connection.send(self.post(b'{"q":"senate"}', b"Content-Length: 14", b"Content-Length: 14"))
            self.assertIn(connection.read_response().status, (200, 400))

    def test_absolute_form_and_other_forms_of_the_target(self):
        reply, _ = self.raw(b"GET http://example.org/tree HTTP/1.1\r\nHost: example.org\r\n\r\n")
        self.assertEqual((reply.status, reply.body), (200, self.kontor.get("/tree").body))
        reply, _ = self.raw(b"OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n")
        self.assertIn(reply.status, (200, 204, 400, 404, 405))
        self.refused(b"CONNECT example.org:443 HTTP/1.1\r\nHost: t\r\n\r\n", 400, 404, 405, 501)

    def test_garbage_never_hurts(self):
        import random
        source = random.Random(7)
        for _ in range(60):
            data = bytes(source.randrange(256) for _ in range(source.randrange(1, 2000)))
            with self.kontor.connect() as connection:
                try:
                    connection.send(data)
                    connection.socket.shutdown(socket.SHUT_WR)
                    connection.read_to_end()
                except OSError:
                    pass
        self.assertEqual(self.kontor.get("/healthz").status, 200)


if __name__ == "__main__":
    broker.main()

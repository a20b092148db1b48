# SPDX-License-Identifier: MIT
"""Sliding windows of 60 calls in 60 s per address, and who may say whose address it is."""
from lib import broker, node, packs


class RateLimit(broker.BrokerTest):
    def serving(self, **options):
        return self.broker(prepare=lambda b: packs.library(b.packs), **options).wait_serving()

    def ask(self, kontor, address=None, target="/search", body=None):
        headers = [("X-Forwarded-For", address)] if address else []
        return kontor.post_json(target, body or {"q": "caesar", "term": "caesar"}, headers)

    def statuses(self, kontor, count, address=None, **options):
        return [self.ask(kontor, address, **options).status for _ in range(count)]

    def test_sixty_searches_then_429(self):
        kontor = self.serving()
        self.assertEqual(self.statuses(kontor, 60), [200] * 60)
        reply = self.ask(kontor)
        self.assertEqual((reply.status, reply.type, reply.body), (429, "application/json", b'{"detail":"rate limit exceeded"}'))
        self.assertTrue(1 <= int(reply.header("Retry-After")) <= 60, reply.header("Retry-After"))
        # Everything else goes on.
        for target in ("/tree", "/packs/summaries", "/nodes", "/packs/docker/wiki/index.md"):
            self.assertEqual(kontor.get(target).status, 200)

    def test_search_and_lookup_share_one_counter(self):
        kontor = self.serving()
        self.assertEqual(self.statuses(kontor, 30) + self.statuses(kontor, 30, target="/lookup_entity"), [200] * 60)
        self.assertEqual([self.ask(kontor).status, self.ask(kontor, target="/lookup_entity").status], [429, 429])

    def test_order_of_checks(self):
        """Counted after the body was validated and before the scope is."""
        kontor = self.serving(config="limits: {search_per_minute: 3}\n")
        for _ in range(10):
            self.assertEqual(self.ask(kontor, body={"q": None}).status, 422)
        self.assertEqual([self.ask(kontor, body={"q": "x", "scope": ".."}).status for _ in range(4)], [400, 400, 400, 429])

    def test_each_address_behind_a_trusted_front_has_its_own_window(self):
        kontor = self.serving(config="limits: {search_per_minute: 3}\n")
        for address in ("192.0.2.1", "192.0.2.2", "2001:db8:1::1", "2001:db8:2::1"):
            self.assertEqual(self.statuses(kontor, 4, address), [200, 200, 200, 429], address)
        self.assertEqual(self.statuses(kontor, 1), [200], "the front's own address has its own window")

    def test_one_ipv6_host_is_its_64(self):
        kontor = self.serving(config="limits: {search_per_minute: 3}\n")
        got = [self.ask(kontor, f"2001:db8:9:9::{i:x}").status for i in range(1, 5)]
        self.assertEqual(got, [200, 200, 200, 429])

    def test_the_last_untrusted_hop_counts(self):
        """A client may write anything into X-Forwarded-For before the front appends the truth."""
        kontor = self.serving(config="limits: {search_per_minute: 3}\n")
        got = [self.ask(kontor, f"198.51.100.{i}, 192.0.2.7").status for i in range(4)]
        self.assertEqual(got, [200, 200, 200, 429])
        got = [self.ask(kontor, f"198.51.100.{i}, 192.0.2.8, 127.0.0.1").status for i in range(4)]
        self.assertEqual(got, [200, 200, 200, 429])

    def test_nonsense_in_the_header_is_not_an_address(self):
        kontor = self.serving(config="limits: {search_per_minute: 3}\n")
        values = ["unknown", "1.2.3", "999.1.1.1", "x" * 500, ",,,", "[::1", "_hidden"]
        got = [self.ask(kontor, value).status for value in values]
        self.assertEqual(got, [200] * 3 + [429] * 4, "all of them count for the socket's own address")

    def test_a_front_that_is_not_configured_is_not_believed(self):
        kontor = self.serving(config="proxies: [192.0.2.0/24]\nlimits: {search_per_minute: 3}\n")
        got = [self.ask(kontor, f"198.51.100.{i}").status for i in range(4)]
        self.assertEqual(got, [200, 200, 200, 429])

    def test_no_proxies_at_all(self):
        kontor = self.serving(config="proxies: []\nlimits: {search_per_minute: 2}\n")
        self.assertEqual([self.ask(kontor, f"198.51.100.{i}").status for i in range(3)], [200, 200, 429])

    def test_zero_turns_the_limit_off(self):
        kontor = self.serving(config="limits: {search_per_minute: 0}\n")
        self.assertEqual(set(self.statuses(kontor, 150)), {200})

    def test_many_addresses_are_let_through_rather_than_locked_out(self):
        kontor = self.serving(config="limits: {search_per_minute: 1}\n")
        with kontor.connect() as connection:
            for number in range(10300 if not broker.SANITIZED else 10100):
                connection.send_request("POST", "/search", [("Content-Type", "application/json"),
                                                            ("X-Forwarded-For", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")],
                                        b'{"q":""}')
                self.assertEqual(connection.read_response().status, 200, number)

    def test_sixty_registrations_then_an_error(self):
        kontor = self.serving()
        identity = node.Identity("limited")
        with node.Socket(kontor) as socket:
            for number in range(60):
                reply = socket.ask({"type": "register", "node_id": "x"})
                self.assertEqual(reply, {"type": "error", "error": "signature_required"}, number)
            good = identity.register_message(socket.nonce)
            self.assertEqual(socket.ask(good), {"type": "error", "error": "register_rate_limit"})
            # Refused before any other check, and the socket stays open.
            self.assertEqual(socket.ask({"type": "register"}), {"type": "error", "error": "register_rate_limit"})
            self.assertEqual(socket.ask({"type": "ping"}), {"type": "pong"})
        with node.Socket(kontor) as other:
            self.assertEqual(other.ask(identity.register_message(other.nonce)), {"type": "error", "error": "register_rate_limit"})
        with node.Agent(kontor, identity, headers=[("X-Forwarded-For", "192.0.2.55")]) as elsewhere:
            elsewhere.ping()


if __name__ == "__main__":
    broker.main()

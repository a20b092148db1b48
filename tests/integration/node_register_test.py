# SPDX-License-Identifier: MIT
"""Registration of Nodes: the order of checks, who owns a name, and what /nodes shows of it all."""
import base64
import datetime
import json

from lib import broker, node, packs, ws

LOW_ORDER = ["00" * 32, "01" + "00" * 31, "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
             "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157", "ec" + "ff" * 30 + "7f", "ed" + "ff" * 30 + "7f",
             "ee" + "ff" * 30 + "7f"]


def b64(data):
    return base64.b64encode(data).decode()


class Register(broker.BrokerTest):
    def serving(self, limits="register_per_minute: 0", **options):
        return self.broker(config=f"limits: {{{limits}, search_per_minute: 0}}\n", **options)

    def nodes(self, kontor):
        reply = kontor.get("/nodes")
        self.assertEqual((reply.status, reply.type), (200, "application/json"))
        return reply.json()

    def refused(self, socket, message, error=None):
        reply = socket.ask(message)
        self.assertEqual(set(reply), {"type", "error"}, reply)
        self.assertEqual(reply["type"], "error")
        if error:
            self.assertEqual(reply["error"], error)
        self.assertEqual(socket.ask({"type": "ping"}), {"type": "pong"}, "the socket must stay open")

    def test_a_faithful_agent_is_registered_and_listed(self):
        kontor = self.serving()
        identity = node.Identity("alpha")
        with node.Agent(kontor, identity, tier_name="mid", vram_used_mb=8192) as agent:
            listed = self.nodes(kontor)
            self.assertEqual(list(listed), [identity.node_id])
            entry = listed[identity.node_id]
            self.assertLessEqual({"tier_name": "mid", "vram_used_mb": 8192, "public_key": identity.public_key}.items(), entry.items())
            self.assertNotIn(identity.signing_pubkey, json.dumps(listed), "the signing key is not shown")
            self.assertRegex(entry["last_seen"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00\Z")
            seen = datetime.datetime.fromisoformat(entry["last_seen"])
            self.assertLess(abs((datetime.datetime.now(datetime.timezone.utc) - seen).total_seconds()), 60)
            agent.ping()
        broker.wait_until(lambda: not self.nodes(kontor), "the Node that left to be unlisted")

    def test_a_name_in_utf_8(self):
        kontor = self.serving()
        identity = node.Identity("umlaut", node_id="höst-1234abcd")
        with node.Agent(kontor, identity):
            self.assertEqual(list(self.nodes(kontor)), ["höst-1234abcd"])

    def test_defaults_of_what_a_node_leaves_out(self):
        kontor = self.serving()
        with node.Agent(kontor, node.Identity("bare"), tier_name=None, vram_used_mb=None, public_key=None):
            entry = next(iter(self.nodes(kontor).values()))
            self.assertEqual((entry["tier_name"], entry["vram_used_mb"], entry["public_key"]), ("micro", 0, ""))

    def test_order_is_that_of_registration(self):
        kontor = self.serving()
        names = ["zeta", "alpha", "mid", "beta"]
        agents = [node.Agent(kontor, node.Identity(name)) for name in names]
        self.assertEqual([key.split("-")[0] for key in self.nodes(kontor)], names)
        agents[1].close()
        broker.wait_until(lambda: len(self.nodes(kontor)) == 3, "three Nodes")
        agents[1] = node.Agent(kontor, node.Identity("alpha"))
        self.assertEqual([key.split("-")[0] for key in self.nodes(kontor)], ["zeta", "mid", "beta", "alpha"])
        for agent in agents:
            agent.abort()

    def test_each_check_in_its_order(self):
        kontor = self.serving()
        good = node.Identity("good")
        with node.Socket(kontor) as socket:
            message = good.register_message(socket.nonce)
            self.refused(socket, {"type": "register"}, "missing_node_id")
            self.refused(socket, {**message, "node_id": ""}, "missing_node_id")
            for field in ("signature", "signing_pubkey"):
                self.refused(socket, {**message, field: ""}, "signature_required")
                self.refused(socket, {k: v for k, v in message.items() if k != field}, "signature_required")
            for field, value in (("signature", b64(bytes(64))), ("signature", "not base64!"), ("signature", b64(bytes(63))),
                                 ("signature", good.sign(bytes(32))), ("signature", good.sign(socket.nonce, "other")),
                                 ("signing_pubkey", b64(bytes(32))), ("signing_pubkey", b64(bytes(31))), ("signing_pubkey", "x" * 5000),
                                 ("signing_pubkey", node.Identity("other").signing_pubkey)):
                self.refused(socket, {**message, field: value}, "invalid_signature")
            self.assertEqual(self.nodes(kontor), {})
            # The nonce of a connection serves repeated attempts on it.
            self.assertEqual(socket.ask(message), {"type": "registered", "node_id": good.node_id})

    def test_a_signature_for_another_connection_is_worth_nothing(self):
        kontor = self.serving()
        identity = node.Identity("replay")
        with node.Socket(kontor) as first, node.Socket(kontor) as second:
            self.assertNotEqual(first.nonce, second.nonce)
            self.refused(second, identity.register_message(first.nonce), "invalid_signature")

    def test_wrong_types_never_reach_other_nodes(self):
        kontor = self.serving()
        identity = node.Identity("typed")
        with node.Socket(kontor) as socket:
            for field, values in {
                    "vram_used_mb": ["8192", -1, 1.5, 1e300, [], {}, True, 2**63, 2**53],
                    "tier_name": [5, [], {}, True, "x" * 1000, "a\nb", "a\0b", "\x1b[31m"],
                    "public_key": [5, [], "AAAA", "not base64", b64(bytes(31)), b64(bytes(33)), "=" * 44, "x" * 10000,
                                   *[b64(bytes.fromhex(h)) for h in LOW_ORDER]],
                    "signing_pubkey": [5, [], {}, True], "signature": [5, [], {}, True],
                    "node_id": [5, [], {}, True, "x" * 5000, "a\nb", "a\0b", "\x1b[2J", " ", "a\u202eb"]}.items():
                for value in values:
                    message = {**identity.register_message(socket.nonce), field: value}
                    if field == "node_id" and isinstance(value, str):
                        message["signature"] = identity.sign(socket.nonce, value)
                    with self.subTest(field=field, value=str(value)[:40]):
                        self.refused(socket, message)
            self.assertEqual(self.nodes(kontor), {})

    def test_nulls_count_as_absent_or_are_refused(self):
        kontor = self.serving()
        identity = node.Identity("nulls")
        with node.Socket(kontor) as socket:
            for field in ("tier_name", "vram_used_mb", "public_key"):
                message = identity.register_message(socket.nonce)
                message[field] = None
                self.assertIn(socket.ask(message)["type"], ("registered", "error"))
            for entry in self.nodes(kontor).values():
                self.assertIsInstance(entry["vram_used_mb"], int)
                self.assertIsInstance(entry["tier_name"], str)
                self.assertIsInstance(entry["public_key"], str)

    def test_a_name_belongs_to_its_first_key(self):
        kontor = self.serving()
        owner, thief = node.Identity("owner"), node.Identity("thief")
        with node.Agent(kontor, owner):
            with node.Socket(kontor) as socket:
                self.refused(socket, thief.register_message(socket.nonce, node_id=owner.node_id,
                                                            signature=thief.sign(socket.nonce, owner.node_id)),
                             "node_id_owned_by_another_key")
            self.assertEqual(self.nodes(kontor)[owner.node_id]["public_key"], owner.public_key)
        broker.wait_until(lambda: not self.nodes(kontor), "the owner to be gone")
        with node.Socket(kontor) as socket:
            self.refused(socket, thief.register_message(socket.nonce, node_id=owner.node_id,
                                                        signature=thief.sign(socket.nonce, owner.node_id)),
                         "node_id_owned_by_another_key")
        with node.Agent(kontor, owner):
            pass

    def test_another_spelling_of_the_same_key_changes_nothing(self):
        """base64 has several spellings of the same 32 bytes; only the usual one is a key."""
        kontor = self.serving()
        identity = node.Identity("spelling")
        with node.Agent(kontor, identity):
            pass
        last = identity.signing_pubkey[-2]
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        other = identity.signing_pubkey[:-2] + alphabet[alphabet.index(last) ^ 1] + "="
        with node.Socket(kontor) as socket:
            self.refused(socket, identity.register_message(socket.nonce, signing_pubkey=other))

    def test_the_same_key_takes_over_and_the_old_socket_is_closed(self):
        """After an unclean drop the Node must be back at once, not when the old socket is found dead."""
        kontor = self.serving()
        identity = node.Identity("phoenix")
        old = node.Agent(kontor, identity, vram_used_mb=1)
        new = node.Agent(kontor, identity, vram_used_mb=2)
        code, reason = old.expect_close()
        self.assertIsNotNone(code, "closed without a close frame")
        self.assertTrue(reason, "closed without saying why")
        old.abort()
        self.assertEqual([e["vram_used_mb"] for e in self.nodes(kontor).values()], [2])
        new.ping()
        # The end of the old socket must not take the new registration away.
        with node.Requester(kontor) as requester:
            query = requester.query(identity.node_id, '{"context":"still here"}')
            new.answer(new.next_query())
            self.assertIn("still here", requester.result(query)["payload"])
        new.abort()

    def test_registering_again_on_the_same_socket_updates(self):
        kontor = self.serving()
        identity = node.Identity("again")
        with node.Agent(kontor, identity, vram_used_mb=10) as agent:
            reply = agent.ask(identity.register_message(agent.nonce, vram_used_mb=20))
            self.assertEqual(reply, {"type": "registered", "node_id": identity.node_id})
            self.assertEqual([e["vram_used_mb"] for e in self.nodes(kontor).values()], [20])

    def test_a_second_name_on_one_socket_gives_up_the_first(self):
        kontor = self.serving()
        first, second = node.Identity("first"), node.Identity("second")
        agent = node.Agent(kontor, first)
        reply = agent.ask(second.register_message(agent.nonce))
        if reply["type"] == "registered":
            self.assertEqual(list(self.nodes(kontor)), [second.node_id])
        else:
            self.assertEqual(list(self.nodes(kontor)), [first.node_id])
        agent.abort()
        broker.wait_until(lambda: not self.nodes(kontor), "no name to be left behind")

    def test_capacity(self):
        kontor = self.serving("register_per_minute: 0, nodes: 3")
        agents = [node.Agent(kontor, node.Identity(f"n{i}")) for i in range(3)]
        late = node.Identity("late")
        with node.Socket(kontor) as socket:
            self.refused(socket, late.register_message(socket.nonce), "broker_at_capacity")
            # A Node that is known may come back although the table is full.
            agents[0] = node.Agent(kontor, node.Identity("n0"))
            agents.pop().close()
            broker.wait_until(lambda: len(self.nodes(kontor)) == 2, "a place to be free")
            self.assertEqual(socket.ask(late.register_message(socket.nonce))["type"], "registered")
        for agent in agents:
            agent.abort()

    def test_old_agents_stay_connected_without_being_registered(self):
        """Agents from before signatures take any first reply as success and only ping from then on."""
        kontor = self.serving()
        socket = ws.WebSocket(kontor.public)
        socket.send({"type": "register", "node_id": "old-1", "tier_name": "micro"})
        self.assertEqual(socket.receive_json()["type"], "challenge")
        self.assertEqual(socket.receive_json(), {"type": "error", "error": "signature_required"})
        for _ in range(3):
            socket.send({"type": "ping"})
            self.assertEqual(socket.receive_json(), {"type": "pong"})
        self.assertEqual(self.nodes(kontor), {})
        socket.abort()

    def test_challenges_differ_and_come_first(self):
        kontor = self.serving()
        nonces = set()
        for _ in range(50):
            with node.Socket(kontor) as socket:
                nonces.add(socket.nonce)
        self.assertEqual(len(nonces), 50)

    def test_nothing_stands_between_register_and_its_answer(self):
        kontor = self.serving()
        packs.library(kontor.packs)
        identity = node.Identity("quick")
        with node.Agent(kontor, identity), node.Requester(kontor) as requester:
            for _ in range(20):
                requester.query(identity.node_id)
            # The same Node comes back while queries to it are under way: the first thing it hears is "registered".
            with node.Agent(kontor, identity) as again:
                again.ping()


if __name__ == "__main__":
    broker.main()

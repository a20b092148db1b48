# SPDX-License-Identifier: MIT
"""Queries and answers between a requester and a Node: what is forwarded, to whom, and who may answer."""
import asyncio
import base64
import json
import os
import threading
import uuid

import websockets

from lib import broker, node


class Route(broker.SharedBrokerTest):
    options = {"config": "limits: {register_per_minute: 0, search_per_minute: 0}\n"}

    def agent(self, label, **changes):
        agent = node.Agent(self.kontor, node.Identity(label), **changes)
        self.addCleanup(agent.abort)
        return agent

    def requester(self):
        requester = node.Requester(self.kontor)
        self.addCleanup(requester.abort)
        return requester

    def test_query_and_response_have_their_exact_fields(self):
        agent, requester = self.agent("exact"), self.requester()
        payload = json.dumps({"context": "c", "expert_answer": "e"})
        query_id = requester.query(agent.identity.node_id, payload, from_node="me-1", requester_pubkey="cHVi")
        query = agent.receive_json()
        self.assertEqual(query, {"type": "query", "query_id": query_id, "from_node": "me-1", "requester_pubkey": "cHVi", "payload": payload})
        agent.answer(query, "the answer")
        self.assertEqual(requester.receive_json(), {"type": "response", "query_id": query_id, "from_node": agent.identity.node_id,
                                                    "payload": "the answer"})

    def test_payloads_pass_unread_and_unchanged(self):
        agent, requester = self.agent("opaque"), self.requester()
        path = broker.SOURCE / "tests/vectors/occ.json"
        envelopes = [json.loads(path.read_text())["envelope_b64"]] if path.exists() else []
        for payload in [*envelopes, base64.b64encode(os.urandom(3000)).decode(), "", " ", "\\\"\n\t\r\b\f/", "é漢字😀\u2028\u2029\x7f\ufeff",
                        "</script>", "{\"type\":\"error\"}", "\ud83d\ude00", "a" * 500000, "\u0001\u001f"]:
            query_id = requester.query(agent.identity.node_id, payload)
            query = agent.next_query()
            self.assertEqual(query["payload"], payload.encode("utf-16", "surrogatepass").decode("utf-16"))
            agent.answer(query, payload)
            self.assertEqual(requester.result(query_id)["payload"], query["payload"])

    def test_the_name_of_a_registered_asker_cannot_be_forged(self):
        target, asker = self.agent("target"), self.agent("asker")
        asker.send(node.query_message(target.identity.node_id, from_node="somebody-else"))
        self.assertEqual(target.next_query()["from_node"], asker.identity.node_id)

    def test_an_agent_may_ask_another_on_its_own_socket(self):
        first, second = self.agent("mutual-1"), self.agent("mutual-2")
        for asker, target in ((first, second), (second, first)):
            message = node.query_message(target.identity.node_id, '{"context":"x"}')
            asker.send(message)
            target.answer(target.next_query(), "mutual")
            self.assertEqual(asker.receive_json(), {"type": "response", "query_id": message["query_id"],
                                                    "from_node": target.identity.node_id, "payload": "mutual"})

    def test_a_node_may_ask_itself(self):
        agent = self.agent("self")
        message = node.query_message(agent.identity.node_id, "me")
        agent.send(message)
        agent.answer(agent.next_query(), "myself")
        self.assertEqual(agent.receive_json()["payload"], "myself")

    def test_errors_in_their_order(self):
        agent, requester = self.agent("errors"), self.requester()
        self.assertEqual(requester.ask(node.query_message(agent.identity.node_id, query_id="x") | {"query_id": ""}),
                         {"type": "error", "error": "missing_query_id"})
        message = node.query_message("nobody-12345678")
        self.assertEqual(requester.ask(message), {"type": "error", "error": "no_target", "query_id": message["query_id"]})
        message = node.query_message(None)
        self.assertNotIn("to", message)
        self.assertEqual(requester.ask(message), {"type": "error", "error": "no_target", "query_id": message["query_id"]})
        message = node.query_message(agent.identity.node_id)
        requester.send(message)
        self.assertEqual(requester.ask(message), {"type": "error", "error": "duplicate_query_id", "query_id": message["query_id"]})
        # Pending is checked before the target.
        self.assertEqual(requester.ask({**message, "to": "nobody"})["error"], "duplicate_query_id")
        self.assertEqual(self.requester().ask(message)["error"], "duplicate_query_id", "ids are shared by all sockets")
        agent.answer(agent.next_query(), "done")
        self.assertEqual(requester.result(message["query_id"])["payload"], "done")
        # Answered: the id is free again.
        requester.send(message)
        agent.answer(agent.next_query(), "again")
        self.assertEqual(requester.result(message["query_id"])["payload"], "again")

    def test_wrong_types_are_refused_or_become_strings(self):
        """The agent drops its connection on anything that is not a string."""
        agent, requester = self.agent("types"), self.requester()
        for field in ("from_node", "requester_pubkey", "payload"):
            for value in (None, 5, [], {}, True, 1.5):
                message = {**node.query_message(agent.identity.node_id, "p"), field: value}
                requester.send(message)
                requester.send({"type": "ping"})
                reply = requester.receive_json()
                if reply["type"] == "error":
                    self.assertEqual(reply["query_id"], message["query_id"], (field, value))
                    self.assertEqual(requester.receive_json(), {"type": "pong"})
                else:
                    self.assertEqual(reply, {"type": "pong"})
                    agent.next_query()
        for value in (None, 5, [], {}, True, "x" * 5000, "a\0b"):
            reply = requester.ask({**node.query_message(agent.identity.node_id), "query_id": value})
            self.assertEqual(reply["type"], "error", value)
        for value in (None, 5, [], {}, True, "x" * 5000):
            self.assertEqual(requester.ask({**node.query_message("x"), "to": value})["type"], "error")
        for field in ("from_node", "requester_pubkey", "payload"):
            requester.send(node.query_message(agent.identity.node_id, **{field: None}) if field != "payload" else
                           {k: v for k, v in node.query_message(agent.identity.node_id).items() if k != "payload"})
            requester.send({"type": "ping"})
            if requester.receive_json()["type"] == "pong":
                agent.next_query()
            else:
                self.assertEqual(requester.receive_json(), {"type": "pong"})
        self.assertTrue(agent.drained())

    def test_only_the_addressed_node_may_answer(self):
        target, other, requester, stranger = self.agent("t"), self.agent("o"), self.requester(), self.requester()
        query_id = requester.query(target.identity.node_id, "p")
        query = target.next_query()
        forged = {"type": "response", "query_id": query_id, "to": query["from_node"], "payload": "forged"}
        for socket in (other, stranger, requester):
            self.assertEqual((socket.send(forged), socket.ask({"type": "ping"}))[1], {"type": "pong"}, "dropped without a word")
        target.answer(query, "true")
        self.assertEqual(requester.result(query_id)["payload"], "true")

    def test_a_second_or_unknown_answer_is_dropped(self):
        target, requester = self.agent("once"), self.requester()
        query_id = requester.query(target.identity.node_id, "p")
        query = target.next_query()
        target.answer(query, "one")
        target.answer(query, "two")
        target.answer({**query, "query_id": str(uuid.uuid4())}, "unknown")
        target.ping()
        self.assertEqual(requester.result(query_id)["payload"], "one")
        self.assertTrue(requester.drained())

    def test_odd_answers_are_dropped_and_the_true_one_counts(self):
        target, requester = self.agent("odd"), self.requester()
        query_id = requester.query(target.identity.node_id, "p")
        query = target.next_query()
        for message in ({"type": "response"}, {"type": "response", "query_id": 5, "payload": "x"}, {"type": "response", "query_id": None}):
            target.send(message)
        target.ping()
        target.answer(query, "true")
        self.assertEqual(requester.result(query_id)["payload"], "true")

    def test_answers_in_any_order_find_their_askers(self):
        target = self.agent("shuffle")
        askers = [self.requester() for _ in range(20)]
        ids = [asker.query(target.identity.node_id, str(i)) for i, asker in enumerate(askers)]
        queries = [target.next_query() for _ in askers]
        for query in reversed(queries):
            target.answer(query, f"answer {query['payload']}")
        for number, (asker, query_id) in enumerate(zip(askers, ids)):
            self.assertEqual(asker.result(query_id)["payload"], f"answer {number}")

    def test_a_target_that_goes_away_is_reported_to_its_askers(self):
        target, requester = self.agent("leaver"), self.requester()
        query_id = requester.query(target.identity.node_id, "p")
        target.next_query()
        target.abort()
        result = requester.result(query_id)
        self.assertEqual((result["type"], result["query_id"]), ("error", query_id))
        broker.wait_until(lambda: target.identity.node_id not in self.kontor.get("/nodes").json(), "the target to be gone")
        self.assertEqual(requester.result(requester.query(target.identity.node_id, "p"))["error"], "no_target")

    def test_an_asker_that_goes_away_harms_nobody(self):
        target = self.agent("survivor")
        for _ in range(10):
            requester = node.Requester(self.kontor)
            query_id = requester.query(target.identity.node_id, "p")
            query = target.next_query()
            requester.abort()
            target.answer(query, "too late")
            target.ping()
            # The id is free for others once its asker has gone.
            other = self.requester()
            broker.wait_until(lambda: self.free(other, target, query_id), "the id to be free")

    def free(self, requester, target, query_id):
        requester.send(node.query_message(target.identity.node_id, "p", query_id))
        requester.send({"type": "ping"})
        reply = requester.receive_json()
        if reply["type"] == "error":
            self.assertEqual(requester.receive_json(), {"type": "pong"})
            return False
        target.answer(target.next_query(), "freed")
        return True

    def test_messages_that_mean_nothing_are_ignored(self):
        requester = self.requester()
        for text in ("", " ", "not json", "[]", "null", "5", "\"query\"", "{", "{}", "{\"type\":5}", "{\"type\":null}", "{\"type\":\"unknown\"}",
                     "{\"type\":\"query\"", "[" * 5000, "{\"a\":" * 5000, "{\"type\":\"ping\",\"type\":\"ping\"} x", "\ufeff{\"type\":\"nothing\"}"):
            requester.send_text(text)
        self.assertEqual(requester.ask({"type": "ping"}), {"type": "pong"})

    def test_any_valid_spelling_of_json_is_understood(self):
        agent, requester = self.agent("spelling"), self.requester()
        requester.send_text('\n{ "payload" : "\\u0041\\/" ,\t"to":"%s", "from_node":"f","requester_pubkey":"","query_id":"\\u0071-1","type":"query" }\n'
                            % agent.identity.node_id)
        query = agent.next_query()
        self.assertEqual((query["payload"], query["query_id"]), ("A/", "q-1"))
        agent.answer(query, "ok")
        self.assertEqual(requester.result("q-1")["payload"], "ok")

    def test_the_python_library_that_nodes_use(self):
        """Both ends over the library of the existing clients: compression offered, its own pings, its limit of 1 MiB."""
        identity = node.Identity("library")
        url = "ws://%s:%d/ws" % self.kontor.public

        async def talk():
            async with websockets.connect(url, ping_interval=0.2, ping_timeout=5) as agent, websockets.connect(url) as asker:
                nonce = base64.b64decode(json.loads(await agent.recv())["nonce"])
                await agent.send(json.dumps(identity.register_message(nonce)))
                self.assertEqual(json.loads(await agent.recv())["type"], "registered")
                for number in range(5):
                    payload = "x" * (200000 * number)
                    message = node.query_message(identity.node_id, payload)
                    await asker.send(json.dumps(message))
                    query = json.loads(await agent.recv())
                    await agent.send(json.dumps({"type": "response", "query_id": query["query_id"], "to": query["from_node"],
                                                 "payload": query["payload"]}))
                    while True:
                        answer = json.loads(await asker.recv())
                        if answer.get("query_id") == message["query_id"]:
                            break
                    self.assertEqual(answer["payload"], payload)
                await asyncio.sleep(0.7)
                self.assertTrue(agent.open, "pings of the client must be answered")

        asyncio.run(asyncio.wait_for(talk(), broker.PATIENCE))

    def test_many_pairs_at_once(self):
        pairs, rounds, failures = 20, 20, []

        def serve(agent):
            for _ in range(rounds):
                query = agent.next_query()
                agent.answer(query, query["payload"][::-1])

        def ask(number, target):
            try:
                with node.Requester(self.kontor) as requester:
                    for turn in range(rounds):
                        payload = f"{number}/{turn}/" + "y" * 1000
                        result = requester.result(requester.query(target, payload))
                        if result.get("payload") != payload[::-1]:
                            failures.append(result)
            except Exception as error:  # pylint: disable=broad-except
                failures.append(repr(error))

        agents = [self.agent(f"pair-{i}") for i in range(pairs)]
        threads = [threading.Thread(target=serve, args=(agent,)) for agent in agents]
        threads += [threading.Thread(target=ask, args=(i, agent.identity.node_id)) for i, agent in enumerate(agents)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])


if __name__ == "__main__":
    broker.main()

# SPDX-License-Identifier: MIT
"""Two I/O threads: routing between them, one registry for both, and a thousand Nodes."""
import contextlib
import pathlib

from lib import broker, node, packs


class Threads(broker.BrokerTest):
    def serving(self):
        return self.broker(config="limits: {register_per_minute: 0, search_per_minute: 0}\n", threads=2,
                           prepare=lambda b: packs.library(b.packs)).wait_serving()

    def register_all(self, kontor, identities):
        """Registers many Nodes, all messages first and all answers afterwards."""
        sockets = [node.Socket(kontor) for _ in identities]
        for socket, identity in zip(sockets, identities):
            self.addCleanup(socket.abort)
            socket.identity = identity
            socket.__class__ = node.Agent
            socket.send(identity.register_message(socket.nonce))
        for socket, identity in zip(sockets, identities):
            self.assertEqual(socket.receive_json(), {"type": "registered", "node_id": identity.node_id})
        return sockets

    def test_two_threads_serve(self):
        kontor = self.serving()
        broker.wait_until(lambda: {"io-0", "io-1"} <= self.thread_names(kontor), "two I/O threads")
        for _ in range(100):
            self.assertEqual(kontor.get("/tree").status, 200)

    def thread_names(self, kontor):
        names = set()
        for task in pathlib.Path(f"/proc/{kontor.pid}/task").iterdir():
            # Threads of the start come and go.
            with contextlib.suppress(OSError):
                names.add((task / "comm").read_text().strip())
        return names

    def test_queries_cross_threads(self):
        kontor = self.serving()
        agents = self.register_all(kontor, [node.Identity(f"agent-{i}") for i in range(24)])
        requesters = [node.Requester(kontor) for _ in range(24)]
        for requester in requesters:
            self.addCleanup(requester.abort)
        # Every requester asks every agent, so every pair of threads is crossed in both directions.
        for number, requester in enumerate(requesters):
            ids = [requester.query(agent.identity.node_id, f"{number}") for agent in agents]
            for agent in agents:
                agent.answer(agent.next_query(), f"{agent.identity.node_id} to {number}")
            answers = {}
            for _ in ids:
                message = requester.receive_json()
                answers[message["query_id"]] = message["payload"]
            self.assertEqual(answers, {i: f"{a.identity.node_id} to {number}" for i, a in zip(ids, agents)})

    def test_what_one_was_told_the_next_one_sees(self):
        """After "registered" the Node is listed and can be asked at once, whichever thread answers."""
        kontor = self.serving()
        for number in range(60):
            identity = node.Identity(f"fresh-{number}")
            with node.Agent(kontor, identity) as agent, node.Requester(kontor) as requester:
                self.assertIn(identity.node_id, kontor.get("/nodes").json(), number)
                query_id = requester.query(identity.node_id, "p")
                agent.answer(agent.next_query(), "here")
                self.assertEqual(requester.result(query_id)["payload"], "here")

    def test_ids_are_unique_across_threads(self):
        kontor = self.serving()
        agent = self.register_all(kontor, [node.Identity("unique")])[0]
        requesters = [node.Requester(kontor) for _ in range(10)]
        requesters[0].query(agent.identity.node_id, "p", query_id="the-same")
        agent.next_query()
        for requester in requesters[1:]:
            self.addCleanup(requester.abort)
            reply = requester.ask(node.query_message(agent.identity.node_id, "p", "the-same"))
            self.assertEqual((reply["type"], reply["error"]), ("error", "duplicate_query_id"))
        requesters[0].abort()

    def test_takeover_across_threads(self):
        kontor = self.serving()
        identity = node.Identity("wanderer")
        current = node.Agent(kontor, identity)
        for _ in range(20):
            following = node.Agent(kontor, identity)
            self.assertIsNotNone(current.expect_close()[0])
            current.abort()
            current = following
            self.assertEqual(list(kontor.get("/nodes").json()), [identity.node_id])
        current.ping()
        current.abort()

    def test_a_thousand_nodes(self):
        kontor = self.serving()
        identities = [node.Identity(f"node-{i}") for i in range(1000)]
        agents = self.register_all(kontor, identities)
        listed = kontor.get("/nodes").json()
        self.assertEqual(len(listed), 1000)
        self.assertEqual(set(listed), {identity.node_id for identity in identities})
        # A ring: everyone asks the next one on its own socket.
        for number, agent in enumerate(agents):
            agent.send(node.query_message(identities[(number + 1) % 1000].node_id, f"from {number}", f"ring-{number}"))
        for number, agent in enumerate(agents):
            query = agent.next_query()
            self.assertEqual(query["from_node"], identities[number - 1].node_id)
            agent.answer(query, query["payload"])
        for number, agent in enumerate(agents):
            self.assertEqual(agent.receive_json(), {"type": "response", "query_id": f"ring-{number}",
                                                    "from_node": identities[(number + 1) % 1000].node_id, "payload": f"from {number}"})
        for agent in agents[:500]:
            agent.abort()
        broker.wait_until(lambda: len(kontor.get("/nodes").json()) == 500, "half of the Nodes to be gone")
        self.assertEqual(kontor.get("/packs/docker/wiki/index.md").status, 200)


if __name__ == "__main__":
    broker.main()

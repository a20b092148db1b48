# SPDX-License-Identifier: MIT
"""What only time shows: our WebSocket pings, queries that expire, Nodes that fall silent. All of it at once, because the
contract's periods (20, 60 and 90 s) are long."""
import time

from lib import broker, node, wire, ws


class Time(broker.BrokerTest):
    def test_pings_expiry_and_silence(self):
        kontor = self.broker(config="limits: {register_per_minute: 0}\n")
        lively = node.Agent(kontor, node.Identity("lively"))
        mute = node.Agent(kontor, node.Identity("mute"))
        dead = node.Agent(kontor, node.Identity("dead"), options={"answer_pings": False})
        requester = node.Requester(kontor)
        deaf = node.Agent(kontor, node.Identity("deaf"), options={"receive_buffer": 4096})
        listed = {a.identity.node_id for a in (lively, mute, dead, deaf)}
        self.assertEqual(set(kontor.get("/nodes").json()), listed)
        started = time.monotonic()
        query_id = requester.query(lively.identity.node_id, "p")
        lively.next_query()
        # `deaf` goes on talking and never reads what waits for it, which is too little to overflow its queue.
        asker = node.Requester(kontor)
        for _ in range(3):
            asker.query(deaf.identity.node_id, "x" * 900_000)
        for socket in (lively, mute, dead, requester):
            socket.connection.socket.settimeout(0.05)
        closed, errors, next_ping, deaf_gone = {}, {}, 0.0, None
        sockets = {"lively": lively, "mute": mute, "dead": dead, "requester": requester}
        # `lively` pings like an agent; `mute` answers our pings but never sends one; `dead` answers nothing at all.
        while time.monotonic() - started < 100 and not {"mute", "dead"} <= closed.keys():
            if time.monotonic() >= next_ping:
                lively.send({"type": "ping"})
                next_ping = time.monotonic() + 5
                if deaf_gone is None and deaf.identity.node_id not in kontor.get("/nodes").json():
                    deaf_gone = time.monotonic() - started
                if deaf_gone is None:
                    deaf.send({"type": "ping"})
            for name, socket in sockets.items():
                if name in closed:
                    continue
                try:
                    if not socket.connection.buffer:
                        socket.connection.fill()
                    socket.connection.socket.settimeout(5)
                    message = socket.receive_json()
                    if message.get("type") != "pong":
                        errors[name] = (time.monotonic() - started, message)
                except TimeoutError:
                    pass
                except (ws.WebSocketClosed, wire.ProtocolError, OSError) as reason:
                    closed[name] = (time.monotonic() - started, reason)
                finally:
                    socket.connection.socket.settimeout(0.05)
        self.assertEqual(closed.keys(), {"mute", "dead"}, closed)
        self.assertIsNotNone(deaf_gone, "who never reads is closed")
        # Three pings, the close and the looks at /nodes, 5 s each, on a slow machine.
        self.assertTrue(29 <= deaf_gone <= 75, deaf_gone)
        self.assertGreaterEqual(lively.pings, 3, "the broker pings every 20 s")
        self.assertGreaterEqual(requester.pings, 3, "unregistered sockets are kept alive as well")
        self.assertTrue(55 <= errors["requester"][0] <= 75, errors)
        self.assertEqual((errors["requester"][1]["type"], errors["requester"][1]["query_id"]), ("error", query_id))
        self.assertTrue(85 <= closed["mute"][0] <= 97, closed)
        self.assertTrue(55 <= closed["dead"][0] <= 97, closed)
        self.assertIsNotNone(closed["mute"][1].code, "closed with a reason")
        self.assertEqual(set(kontor.get("/nodes").json()), {lively.identity.node_id})
        # The id of the expired query is free, and its late answer goes nowhere.
        lively.connection.socket.settimeout(10)
        requester.connection.socket.settimeout(10)
        lively.answer({"query_id": query_id, "from_node": "asker-00000000"}, "late")
        lively.ping()
        self.assertTrue(requester.drained())
        for socket in [*sockets.values(), deaf, asker]:
            socket.abort()


if __name__ == "__main__":
    broker.main()

# SPDX-License-Identifier: MIT
"""The end: SIGTERM and SIGINT under load, and kill -9."""
import signal
import socket
import sqlite3
import threading
import time

from lib import broker, node, packs, wire


class Shutdown(broker.BrokerTest):
    def serving(self, threads=None):
        def prepare(b):
            packs.library(b.packs)
            packs.write(b.packs, "big", {"wiki/index.md": packs.index([("page.md", "Big", "s")]), "wiki/page.md": "x" * 6_000_000})
        return self.broker(config="limits: {register_per_minute: 0, search_per_minute: 0}\n", prepare=prepare, threads=threads).wait_serving()

    def ended(self, kontor, timeout=None):
        """The exit status; the general promises are checked by the clean-up of the test."""
        status = kontor.wait_exit(timeout)
        self.assertEqual(status, 0, kontor.log()[-3000:])
        self.assertFalse((kontor.data / "endpoints.json").exists())

    def test_both_signals_end_an_idle_broker_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            kontor = self.serving()
            started = time.monotonic()
            kontor.signal(number)
            self.ended(kontor)
            self.assertLess(time.monotonic() - started, 8 if broker.SANITIZED else 3)

    def test_websockets_are_closed_with_1001(self):
        kontor = self.serving(threads=2)
        agents = [node.Agent(kontor, node.Identity(f"a{i}")) for i in range(10)]
        requester = node.Requester(kontor)
        kontor.signal(signal.SIGTERM)
        for agent in [*agents, requester]:
            code, _ = agent.expect_close()
            self.assertEqual(code, 1001)
            agent.abort()
        self.ended(kontor)

    def test_requests_in_flight_are_finished(self):
        kontor = self.serving()
        download = kontor.connect()
        download.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        download.send_request("GET", "/packs/big/wiki/page.md")
        head = download.read_head()
        self.assertEqual(head[1], 200)
        half = kontor.connect()
        half.send(b"POST /search HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"q\":")
        # Both were read by the broker before it is told to stop.
        self.assertEqual(kontor.get("/healthz").status, 200)
        kontor.signal(signal.SIGTERM)
        broker.wait_until(lambda: self.refused(kontor), "new connections to be refused")
        half.send(b"\"Rubicon\"}")
        reply = half.read_response()
        self.assertEqual((reply.status, reply.json()["results"][0]["pack_path"]), (200, "history/rome"))
        self.assertTrue(half.at_end(), "after the answer the connection ends")
        self.assertEqual(download.read_exactly(6_000_000), b"x" * 6_000_000)
        self.assertTrue(download.at_end())
        self.ended(kontor)

    def refused(self, kontor):
        try:
            with wire.Connection(kontor.public, timeout=2) as connection:
                connection.send(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
                return connection.read_to_end() == b""
        except OSError:
            return True

    def test_idle_connections_are_closed(self):
        kontor = self.serving()
        idle = kontor.connect()
        self.assertEqual(idle.request("GET", "/tree").status, 200)
        silent = kontor.connect()
        kontor.signal(signal.SIGTERM)
        started = time.monotonic()
        self.assertTrue(idle.at_end())
        self.assertTrue(silent.at_end())
        idle.close()
        silent.close()
        self.ended(kontor)
        self.assertLess(time.monotonic() - started, 8 if broker.SANITIZED else 3)

    def test_a_client_that_never_reads_cannot_hold_the_end(self):
        kontor = self.serving()
        stuck = kontor.connect()
        stuck.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(4):
            stuck.send_request("GET", "/packs/big/wiki/page.md")
        lazy = node.Agent(kontor, node.Identity("lazy"), options={"receive_buffer": 4096})
        requester = node.Requester(kontor)
        for _ in range(10):
            requester.query(lazy.identity.node_id, "x" * 200000)
        self.assertEqual(kontor.get("/healthz").status, 200)
        started = time.monotonic()
        kontor.signal(signal.SIGTERM)
        self.ended(kontor, 20)
        elapsed = time.monotonic() - started
        self.assertTrue(elapsed < 9, f"took {elapsed:.1f} s; 5 s of grace are allowed")
        for socket_ in (stuck, lazy.connection, requester.connection):
            socket_.close()

    def test_under_load(self):
        kontor = self.serving(threads=2)
        broken, served, stop = [], [0], threading.Event()

        def load():
            while not stop.is_set():
                try:
                    with wire.Connection(kontor.public, timeout=20) as connection:
                        while not stop.is_set():
                            connection.send_request("GET", "/packs/docker/wiki/concepts/image.md")
                            reply = connection.read_response()
                            if reply.status != 200:
                                broken.append(reply)
                            served[0] += 1
                            if reply.header("Connection") == "close":
                                break
                except wire.Closed:
                    # Between two requests the connection may end: the request was not taken.
                    pass
                except wire.ProtocolError as error:
                    broken.append(error)
                except OSError:
                    stop.wait(0.01)

        def talk():
            try:
                with node.Agent(kontor, node.Identity(f"t{threading.get_ident()}")) as agent:
                    while True:
                        agent.ping()
            except Exception:  # pylint: disable=broad-except
                pass

        threads = [threading.Thread(target=load) for _ in range(6)] + [threading.Thread(target=talk) for _ in range(3)]
        for thread in threads:
            thread.start()
        broker.wait_until(lambda: served[0] > 200, "load")
        kontor.signal(signal.SIGTERM)
        self.ended(kontor)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(broken, [])

    def test_waiting_reloads_do_not_hold_the_end(self):
        kontor = self.serving()
        # Somebody else holds the index, so that every scan waits for it.
        index = sqlite3.connect(kontor.data / "index.db", isolation_level=None)
        index.execute("BEGIN IMMEDIATE")
        packs.pack(kontor.packs, "new", [("a", "A", "s", "b")])
        for count in range(1, 13):
            kontor.signal(signal.SIGHUP)
            broker.wait_until(lambda: kontor.log().count('"event":"reloaded"') == count, "the signal to be taken")
        started = time.monotonic()
        kontor.signal(signal.SIGTERM)
        self.ended(kontor)
        self.assertLess(time.monotonic() - started, 12)
        index.close()

    def test_a_signal_during_start(self):
        for delay in (0.0, 0.01, 0.03, 0.06, 0.1):
            kontor = self.broker(start=False, prepare=lambda b: packs.library(b.packs))
            kontor.spawn()
            time.sleep(delay)
            kontor.signal(signal.SIGTERM)
            # Before its handlers stand, a signal ends the process as it ends any other.
            self.assertIn(kontor.wait_exit(), (0, -signal.SIGTERM))
            kontor.process = None
            self.assertFalse((kontor.data / "endpoints.json").exists())

    def test_kill_and_restart(self):
        kontor = self.serving()
        owner, thief = node.Identity("owner"), node.Identity("thief")
        agents = [node.Agent(kontor, owner)] + [node.Agent(kontor, node.Identity(f"n{i}")) for i in range(20)]
        kontor.kill()
        for agent in agents:
            agent.abort()
        self.assertTrue((kontor.data / "endpoints.json").exists(), "kill -9 leaves it behind")
        kontor.start().wait_serving()
        with node.Socket(kontor) as socket_:
            reply = socket_.ask(thief.register_message(socket_.nonce, node_id=owner.node_id, signature=thief.sign(socket_.nonce, owner.node_id)))
            self.assertEqual(reply, {"type": "error", "error": "node_id_owned_by_another_key"})
        with node.Agent(kontor, owner) as agent:
            agent.ping()
        self.assertEqual(kontor.search("Rubicon")[0]["pack_path"], "history/rome")


if __name__ == "__main__":
    broker.main()

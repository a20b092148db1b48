# SPDX-License-Identifier: MIT
"""Clients that take their time: bytes that trickle in hold a connection no longer than the limit on heads."""
import socket
import time

from lib import broker, packs

HEAD_SECONDS = 15


class SlowClient(broker.SharedBrokerTest):
    @classmethod
    def prepare(cls, kontor):
        packs.library(kontor.packs)

    def test_heads_that_never_end_are_cut_off_while_others_are_served(self):
        connections = [self.kontor.connect() for _ in range(20)]
        started = time.monotonic()
        for connection in connections:
            connection.send(b"GET /tree HTTP/1.1\r\nHost: t\r\n")
            connection.socket.settimeout(0.01)
        ended = {}
        while len(ended) < len(connections):
            elapsed = time.monotonic() - started
            self.assertLess(elapsed, HEAD_SECONDS + 8, f"only {len(ended)} of {len(connections)} were cut off")
            asked = time.monotonic()
            self.assertEqual(self.kontor.get("/healthz").status, 200)
            self.assertLess(time.monotonic() - asked, 2)
            for connection in connections:
                if connection in ended:
                    continue
                try:
                    connection.send(b"X: y\r\n")
                    if not connection.fill():
                        ended[connection] = elapsed
                except socket.timeout:
                    pass
                except OSError:
                    ended[connection] = elapsed
            time.sleep(0.2)
        self.assertGreater(min(ended.values()), HEAD_SECONDS - 3)
        for connection in connections:
            if connection.buffer:
                self.assertTrue(connection.buffer.startswith(b"HTTP/1.1 408 "), connection.buffer[:60])
            connection.close()


if __name__ == "__main__":
    broker.main()

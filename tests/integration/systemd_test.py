# SPDX-License-Identifier: MIT
"""Type=notify: what the broker tells the service manager, and when."""
import re
import signal
import socket
import time

from lib import broker, wire


class Manager:
    """The receiving end of $NOTIFY_SOCKET."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(broker.PATIENCE)

    def message(self):
        return self.socket.recv(4096).decode()

    def wait_for(self, assignment):
        """Skips watchdog messages; anything else must be the one that is waited for."""
        while True:
            lines = self.message().split("\n")
            if lines == ["WATCHDOG=1"]:
                continue
            if assignment not in lines:
                raise AssertionError(f"waiting for {assignment}, got {lines}")
            return lines

    def pending(self):
        """What has arrived and nobody has read."""
        self.socket.setblocking(False)
        messages = []
        try:
            while True:
                messages.append(self.message())
        except BlockingIOError:
            return messages
        finally:
            self.socket.settimeout(broker.PATIENCE)


class Systemd(broker.BrokerTest):
    def managed(self, address=None, **env):
        """A manager and a broker that is not started yet."""
        kontor = self.broker(start=False, config="name: one.example\n")
        path = address or str(kontor.data / "notify")
        manager = Manager(path.replace("@", "\0", 1) if path.startswith("@") else path)
        self.addCleanup(manager.socket.close)
        kontor.env = {"NOTIFY_SOCKET": path, **env}
        return manager, kontor

    def test_ready_means_that_everything_listens(self):
        manager, kontor = self.managed()
        kontor.spawn()
        manager.wait_for("READY=1")
        self.assertTrue((kontor.data / "endpoints.json").exists())
        kontor.wait_listening()
        self.assertEqual(kontor.get("/healthz").status, 200)
        with wire.Connection(kontor.api) as connection:
            connection.request("GET", "/")
        kontor.signal(signal.SIGTERM)
        manager.wait_for("STOPPING=1")
        self.assertEqual(kontor.wait_exit(), 0)
        self.assertEqual(manager.pending(), [])

    def test_a_start_that_fails_is_never_ready(self):
        manager, kontor = self.managed()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            kontor.args = ["--listen", f"127.0.0.1:{taken.getsockname()[1]}"]
            kontor.spawn()
            self.assertEqual(kontor.wait_exit(), 1)
        kontor.process = None
        self.assertEqual(manager.pending(), [])

    def test_reload_is_framed(self):
        manager, kontor = self.managed()
        kontor.start()
        manager.wait_for("READY=1")
        for config in ("name: two.example\n", "name: [\n"):
            kontor.configure(config)
            before = time.monotonic()
            kontor.signal(signal.SIGHUP)
            lines = manager.wait_for("RELOADING=1")
            stamp = next(int(line.partition("=")[2]) for line in lines if line.startswith("MONOTONIC_USEC="))
            self.assertTrue(before <= stamp / 1e6 <= time.monotonic(), (before, lines))
            manager.wait_for("READY=1")
            broker.wait_until(lambda: kontor.get("/version").json()["name"] == "two.example", "the good one, and nothing by the refused one")
        self.assertIn("reload-refused", kontor.log())

    def test_the_watchdog_is_fed_in_time(self):
        limit = 4.0  # half of it is what a busy machine may take besides
        manager, kontor = self.managed(WATCHDOG_USEC=str(int(limit * 1e6)))
        kontor.start()
        manager.wait_for("READY=1")
        last = time.monotonic()
        for _ in range(2):
            self.assertEqual(manager.message(), "WATCHDOG=1")
            now = time.monotonic()
            self.assertLess(now - last, limit)
            last = now

    def test_a_watchdog_for_another_process_is_not_ours(self):
        manager, kontor = self.managed(WATCHDOG_USEC="100000", WATCHDOG_PID="1")
        kontor.start()
        manager.wait_for("READY=1")
        for _ in range(3):
            kontor.signal(signal.SIGHUP)
            self.assertRegex(manager.message(), r"\ARELOADING=1\nMONOTONIC_USEC=\d+\Z")
            self.assertEqual(manager.message(), "READY=1")
            time.sleep(0.1)  # the interval of the watchdog that is not ours
        self.assertEqual(manager.pending(), [])

    def test_an_abstract_socket(self):
        manager, kontor = self.managed(address=f"@kontor-test-{time.monotonic_ns()}")
        kontor.start()
        manager.wait_for("READY=1")

    def test_nonsense_in_the_environment_is_passed_over(self):
        for env in ({"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": "/" + "x" * 200}, {"NOTIFY_SOCKET": "/nonexistent/x"},
                    {"NOTIFY_SOCKET": ""}, {"WATCHDOG_USEC": "many"}, {"WATCHDOG_USEC": "-1"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "x"}):
            kontor = self.broker(env=env)
            self.assertEqual(kontor.get("/healthz").status, 200, env)
            kontor.stop()

    def test_the_unit_fits_the_program(self):
        """What the unit relies on: its command, its type, and an exit code that must not be tried again."""
        unit = (broker.SOURCE / "deploy/systemd/kontor.service").read_text()
        self.assertRegex(unit, re.compile(r"^Type=notify$", re.M))
        self.assertRegex(unit, re.compile(r"^ExecStart=\S+/kontor serve --data \S+$", re.M))
        self.assertRegex(unit, re.compile(r"^RestartPreventExitStatus=2$", re.M))
        manager, kontor = self.managed()
        kontor.configure("no_such_key: 1\n")
        kontor.spawn()
        self.assertEqual(kontor.wait_exit(), 2)
        kontor.process = None
        self.assertEqual(manager.pending(), [])


if __name__ == "__main__":
    broker.main()

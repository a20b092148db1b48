# SPDX-License-Identifier: MIT
"""Starting: endpoints.json, what prevents a start and how it is said, and stored data that is damaged."""
import json
import os
import re
import socket
import sqlite3

from lib import broker, node, packs, wire


class Lifecycle(broker.BrokerTest):
    def fails(self, kontor, status, *words):
        """A start that must fail with a status and a message that holds all the words."""
        kontor.spawn()
        self.assertEqual(kontor.wait_exit(), status, kontor.log())
        kontor.process = None
        text = kontor.log()
        self.assertIsNone(broker.sanitizer_report(text), text)
        for word in words:
            self.assertIn(word, text)
        self.assertFalse((kontor.data / "endpoints.json").exists())
        return text

    def test_endpoints_json(self):
        kontor = self.broker()
        self.assertLessEqual({"public", "api", "pid", "started_at"}, set(kontor.endpoints))
        self.assertEqual(kontor.endpoints["pid"], kontor.pid)
        self.assertGreater(kontor.public[1], 0)
        self.assertEqual(kontor.public[0], "127.0.0.1")
        self.assertEqual(kontor.api[0], "127.0.0.1")
        self.assertNotEqual(kontor.public[1], kontor.api[1])
        self.assertTrue(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", str(kontor.endpoints["started_at"])), kontor.endpoints)
        self.assertEqual(kontor.get("/healthz").status, 200)
        with wire.Connection(kontor.api) as connection:
            self.assertIn(connection.request("GET", "/v1/broker/status").status, (200, 401, 403))

    def test_a_second_instance_is_refused(self):
        kontor = self.broker()
        second = broker.Broker(data=kontor.data)
        second.log_path = kontor.data / "second.log"
        second.spawn()
        self.assertEqual(second.wait_exit(), 1, second.log())
        self.assertRegex(second.log(), r"(?i)(already|another|in use|running)")
        # The first one is not disturbed, and its endpoints.json stands.
        self.assertEqual(kontor.get("/healthz").status, 200)
        self.assertEqual(json.loads((kontor.data / "endpoints.json").read_text())["pid"], kontor.pid)
        self.assertEqual((kontor.data / "pid").read_text().strip(), str(kontor.pid))
        kontor.stop()
        self.assertEqual((kontor.data / "pid").read_text(), "", "nobody may signal whoever gets this number next")

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            kontor = self.broker(start=False, args=["--listen", f"127.0.0.1:{port}"])
            text = self.fails(kontor, 1, str(port))
            self.assertRegex(text, r"(?i)in use.*--listen")
            done = broker.run("serve", "--data", kontor.data, "--listen", "127.0.0.1:0", "--api", f"127.0.0.1:{port}")
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r"in use.*--api")

    def test_an_address_that_is_not_ours(self):
        self.fails(self.broker(start=False, args=["--listen", "192.0.2.1:0"]), 1, "192.0.2.1")

    def test_the_api_listens_on_loopback_alone(self):
        for address in ("0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.org:80"):
            kontor = self.broker(start=False)
            done = broker.run("serve", "--data", kontor.data, "--listen", "127.0.0.1:0", "--api", address)
            self.assertIn(done.returncode, (1, 2), address)
            self.assertRegex(done.stderr, r"(?i)(loopback|127\.0\.0\.1|address)")
        kontor = self.broker(start=False, config="api: 0.0.0.0:7666\n")
        done = broker.run("serve", "--data", kontor.data, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 2)
        self.assertIn("kontor.yaml:1", done.stderr)

    def test_bad_configuration_says_where_and_why(self):
        for number, (text, line, word) in enumerate([
                ("listen: [127.0.0.1:0]\nunknown_key: 5\n", 2, "unknown_key"), ("limits:\n  nodes: -5\n", 2, "nodes"),
                ("limits:\n  nodes: many\n", 2, "nodes"), ("name: a\nname: b\n", 2, "name"), ("listen: [\n", 2, ""),
                ("listen: nonsense:port\n", 1, "listen"), ("proxies: [300.0.0.0/8]\n", 1, "proxies"), ("\tname: x\n", 1, ""),
                ("- a\n- b\n", 1, ""), ("packs: [a, b]\n", 1, "packs"), ("limits: {nodes: 99999999999999999999}\n", 1, "nodes"),
                ("name: &a x\npacks: *a\n", 0, "")]):
            kontor = self.broker(start=False, config=text)
            message = self.fails(kontor, 2, word)
            where = rf"kontor\.yaml:{line or '[12]'}\b"
            self.assertRegex(message, where, (number, text))

    def test_unreadable_configuration(self):
        kontor = self.broker(start=False)
        (kontor.data / "kontor.yaml").mkdir()
        self.fails(kontor, 2, "kontor.yaml")
        kontor = self.broker(start=False)
        (kontor.data / "kontor.yaml").write_bytes(b"name: \xff\xfe\n")
        self.fails(kontor, 2, "kontor.yaml")
        done = broker.run("serve", "--data", kontor.data, "--config", "/nonexistent/kontor.yaml")
        self.assertEqual(done.returncode, 2)
        self.assertIn("/nonexistent/kontor.yaml", done.stderr)

    def test_a_data_directory_that_cannot_be_used(self):
        done = broker.run("serve", "--data", "/proc/nothing/here", "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/proc/nothing", done.stderr)

    def test_a_corrupt_index_is_rebuilt(self):
        kontor = self.broker(config="limits: {search_per_minute: 0}\n", prepare=lambda b: packs.library(b.packs)).wait_serving()
        self.assertEqual(len(kontor.search("Rubicon")), 1)
        kontor.stop()
        path = kontor.data / "index.db"
        size = path.stat().st_size
        for damage in (b"this is no database at all" * 500, b"", os.urandom(size), path.read_bytes()[:size // 2]):
            for companion in ("index.db-wal", "index.db-shm"):
                (kontor.data / companion).unlink(missing_ok=True)
            path.write_bytes(damage)
            kontor.start().wait_serving()
            self.assertEqual(len(kontor.search("Rubicon")), 1)
            kontor.stop()
        self.assertRegex(kontor.log(), r"(?i)(rebuil|thrown away|anew)")

    def test_a_deleted_index_is_made_again(self):
        kontor = self.broker(config="limits: {search_per_minute: 0}\n", prepare=lambda b: packs.library(b.packs)).wait_serving()
        kontor.stop()
        (kontor.data / "index.db").unlink()
        kontor.start().wait_serving()
        self.assertEqual(len(kontor.search("Rubicon")), 1)

    def test_packs_that_changed_while_it_was_stopped(self):
        kontor = self.broker(config="limits: {search_per_minute: 0}\n", prepare=lambda b: packs.library(b.packs)).wait_serving()
        kontor.stop()
        packs.pack(kontor.packs, "docker", [("new", "Newtitle", "offlineword", "x")])
        packs.pack(kontor.packs, "added", [("new", "Added", "addedword", "x")])
        for file in (kontor.packs / "history/rome/wiki").rglob("*.md"):
            file.unlink()
        kontor.start().wait_serving()
        self.assertEqual(kontor.search("offlineword")[0]["title"], "Newtitle")
        self.assertEqual(kontor.search("addedword")[0]["pack_path"], "added")
        self.assertEqual(kontor.search("Rubicon"), [])
        self.assertEqual(kontor.search("Zanzibarlayer"), [])

    def test_a_corrupt_identity_table_stops_the_start(self):
        """Who owns which name cannot be made up again, so nothing may be thrown away silently."""
        kontor = self.broker(config="limits: {register_per_minute: 0}\n")
        for number in range(50):
            node.Agent(kontor, node.Identity(f"id-{number}")).abort()
        kontor.stop()
        path = kontor.data / "identity.db"
        good = path.read_bytes()
        for companion in ("identity.db-wal", "identity.db-shm"):
            (kontor.data / companion).unlink(missing_ok=True)
        for damage in (b"no database" * 1000, good[:4096 // 2], good[:100] + os.urandom(len(good) - 100)):
            path.write_bytes(damage)
            kontor.spawn()
            self.assertEqual(kontor.wait_exit(), 1, kontor.log()[-2000:])
            kontor.process = None
            self.assertEqual(path.read_bytes(), damage, "a damaged table is left for whoever can save it")
        self.assertIn("identity.db", kontor.log())
        self.assertRegex(kontor.log(), r"(?i)(restore|move|backup|rename|delete|remove)", "the way out")
        # With the good file back, everything is as before.
        path.write_bytes(good)
        kontor.start()
        with node.Agent(kontor, node.Identity("id-7")):
            pass

    def test_a_newer_format_is_refused(self):
        kontor = self.broker()
        node.Agent(kontor, node.Identity("someone")).abort()
        kontor.stop()
        database = sqlite3.connect(kontor.data / "identity.db")
        database.execute("PRAGMA user_version = 999")
        database.commit()
        database.close()
        self.fails(kontor, 1, "identity.db")

    def test_the_data_directory_is_not_open_to_others(self):
        kontor = self.broker()
        for name in ("daemon.json", "identity.db"):
            if (kontor.data / name).exists():
                self.assertEqual((kontor.data / name).stat().st_mode & 0o077, 0, name)


if __name__ == "__main__":
    broker.main()

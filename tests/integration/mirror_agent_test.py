# SPDX-License-Identifier: MIT
"""The agent process and those who look after it: it is killed and stopped in the midst, sources fail and hang, the configuration
changes under it, the store is full. Nothing of that is noticed by whoever reads, and the loopback interface tells all of it.
"""
import contextlib
import json
import os
import pathlib
import signal
import socket
import threading
import time

from lib import broker, mirror_world, wire

TINY = {"max_time": "1s"}
PATHS = [f"shelf-{number % 5}/book-{number}" for number in range(30)]
OVERTIME = 20  # seconds past its deadline after which an agent is killed


class Silence:
    """A server that takes connections and requests and never answers."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.held = []
        threading.Thread(target=self.hold, daemon=True).start()

    def hold(self):
        with contextlib.suppress(OSError):
            while True:
                self.held.append(self.socket.accept()[0])

    @property
    def url(self):
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}/packs.git"

    def close(self):
        # A thread in accept() keeps a listening socket open that is merely closed.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for connection in self.held:
            connection.close()


class MirrorAgent(mirror_world.MirrorTest):
    def setUp(self):
        super().setUp()
        self.library = self.world.repository("library", self.anna)

    def agent_pid(self, member):
        """The agent process that runs now."""
        return broker.wait_until(lambda: member.ask("GET", "/v1/mirror/status")["agent"]["pid"], "an agent")

    def wait_state(self, member, name, *states):
        return broker.wait_until(lambda: next((s for s in [member.source_status(name)] if s["state"] in states), None),
                                 f"{name} to be {' or '.join(states)}", broker.PATIENCE + OVERTIME)

    def wait_served(self, member, count):
        broker.wait_until(lambda: len(member.catalog()) == count, f"{count} packs")
        return member.verified()

    def metric(self, member, name):
        lines = member.get("/metrics").body.decode().splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))

    # --- The process ---

    def test_killed_again_and_again(self):
        """kill -9 of the agent while it works: the broker starts another one, and what there is to mirror gets mirrored."""
        self.library.write_many(PATHS)
        self.library.commit()
        north = self.member("north").mirror("library", self.library).start().wait_serving()
        killed = 0
        while killed < 3:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.agent_pid(north), signal.SIGKILL)
                killed += 1
            self.assertEqual(north.get("/healthz").status, 200)
            time.sleep(0.1)
        self.wait_served(north, len(PATHS))
        status = north.ask("GET", "/v1/mirror/status")
        self.assertGreaterEqual(status["agent"]["restarts"], 2)
        self.assertGreaterEqual(self.metric(north, "kontor_mirror_agent_restarts_total"), 2)
        self.assertIn("mirror agent was killed", north.log())

    def test_idle_agent_killed(self):
        """An agent that dies while it has nothing to do is nobody's failure."""
        self.library.write("rome")
        self.library.commit()
        north = self.member("north").mirror("library", self.library, interval="1h").start().wait_serving()
        self.wait_served(north, 1)
        self.wait_state(north, "library", "ok")
        os.kill(self.agent_pid(north), signal.SIGKILL)
        broker.wait_until(lambda: not north.ask("GET", "/v1/mirror/status")["agent"]["running"], "no agent")
        self.assertEqual(north.source_status("library")["failures"], 0)
        self.library.write("rome")
        self.library.commit()
        self.assertTrue(north.sync("library")["ok"])
        self.assertEqual(north.versions(), {"rome": "2.0.0"})

    def test_stopped_agent_is_killed(self):
        """An agent that does not move is killed when its time is up by far; the other source waits no longer than that."""
        self.library.write("rome")
        self.library.commit()
        silence = Silence()
        self.addCleanup(silence.close)
        north = self.member("north")
        north.mirror("silent", silence.url, signed="off", **TINY).mirror("library", self.library)
        north.start().wait_serving()
        self.wait_state(north, "silent", "syncing")
        pid, begin = self.agent_pid(north), time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        self.wait_state(north, "silent", "waiting", "failing")
        took = time.monotonic() - begin
        self.assertLess(took, 1 + OVERTIME + 15)
        self.assertGreater(took, OVERTIME - 5)
        self.assertRaises(ProcessLookupError, os.kill, pid, 0)
        self.wait_served(north, 1)
        self.assertIn("hung", north.source_status("silent")["detail"])

    def test_broker_killed_takes_the_agent_along(self):
        """When the broker is killed in the midst of a job that hangs, its agent does not live on."""
        silence = Silence()
        self.addCleanup(silence.close)
        north = self.member("north").mirror("silent", silence.url, signed="off").start().wait_serving()
        self.wait_state(north, "silent", "syncing")
        pid = self.agent_pid(north)
        broker.wait_until(lambda: silence.held, "the agent to ask")
        north.kill()
        broker.wait_until(lambda: not pathlib.Path(f"/proc/{pid}/fd").exists() or not os.path.exists(f"/proc/{pid}"),
                          "the agent to end", timeout=10)

    def test_agent_has_nothing_that_it_does_not_need(self):
        north = self.member("north").mirror("library", self.library).start().wait_serving()
        pid = self.agent_pid(north)
        north.sync("library", good=None)
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        self.assertIn("NoNewPrivs:\t1\n", status)
        self.assertIn("Name:\tkontor-agent\n", status)
        self.assertIn("Umask:\t0022\n", status)
        self.assertEqual(os.getpgid(pid), pid)
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        self.assertEqual(command[:3] + command[4:5], [b"kontor", b"agent", b"--fd", b"--store"])
        self.assertRegex(pathlib.Path(f"/proc/{pid}/limits").read_text(), r"Max core file size +0 +0 ")

    # --- Sources that fail ---

    def test_five_failures_mark_a_source(self):
        """Then it is tried once a day, or when somebody asks; a good sync makes all well."""
        lost = self.world.root / "nowhere"
        north = self.member("north").mirror("lost", f"file://{lost}").start().wait_serving()
        for number in range(1, 6):
            self.assertFalse(north.sync("lost", good=False)["ok"])
            self.assertGreaterEqual(north.source_status("lost")["failures"], number)
        status = north.source_status("lost")
        self.assertEqual(status["state"], "failing")
        self.assertIn(str(lost), status["detail"])
        self.assertIsNone(status["last_ok"])
        self.assertGreater(status["next"], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 20 * 3600)))
        self.assertIn(f'kontor_mirror_source_up{{source="lost",kind="git"}} 0', north.get("/metrics").body.decode())
        self.library.write("rome")
        self.library.commit()
        self.library.root.rename(lost)
        self.assertTrue(north.sync("lost")["ok"])
        status = north.source_status("lost")
        self.assertEqual((status["state"], status["failures"], status["detail"]), ("ok", 0, ""))
        self.assertEqual(north.versions(), {"rome": "1.0.0"})

    def test_failures_outlive_a_restart(self):
        north = self.member("north").mirror("lost", f"file://{self.world.root}/nowhere").start().wait_serving()
        for _ in range(5):
            north.sync("lost", good=False)
        north.stop()
        north.start().wait_serving()
        self.assertEqual(north.source_status("lost")["state"], "failing")

    def test_reload_counts_no_failures(self):
        """A source that fails is not asked again because others come; once its own description changes it is."""
        north = self.member("north").mirror("lost", f"file://{self.world.root}/nowhere", interval="1h").start().wait_serving()
        broker.wait_until(lambda: north.source_status("lost")["failures"] == 1, "the first failure")
        self.library.write("rome")
        self.library.commit()
        north.mirror("library", self.library)
        for number in range(2, 6):
            north.signal(signal.SIGHUP)
            self.wait_versions(north, {"rome": f"{number - 1}.0.0"})
            self.library.write("rome")
            self.library.commit()
        self.assertEqual(north.source_status("lost")["failures"], 1)
        north.mirrors = []
        north.mirror("lost", f"file://{self.world.root}/nowhere", interval="2h")
        north.signal(signal.SIGHUP)
        broker.wait_until(lambda: north.source_status("lost")["failures"] == 2, "another try")

    def test_silent_source_delays_nobody_for_long(self):
        """A source that never answers costs one turn at a time."""
        self.library.write("rome")
        self.library.commit()
        silence = Silence()
        self.addCleanup(silence.close)
        north = self.member("north").mirror("silent", silence.url, signed="off", max_time="2s").mirror("library", self.library)
        north.start().wait_serving()
        self.wait_served(north, 1)
        last = ""
        for number in range(2, 5):
            self.library.write("rome")
            self.library.commit()
            broker.wait_until(lambda: north.versions() == {"rome": f"{number}.0.0"}, f"version {number}", timeout=30)
            last = north.source_status("library")["state"]
        self.assertIn(last, ("ok", "syncing"))
        broker.wait_until(lambda: north.source_status("silent")["failures"] > 0, "a failure")

    # --- Changes under way ---

    def test_reload(self):
        """Sources come, change and go by SIGHUP."""
        self.library.write("rome")
        self.library.commit()
        other = self.world.repository("other", self.anna)
        other.write("venice")
        other.commit()
        north = self.member("north").start().wait_serving()
        self.assertEqual(north.ask("GET", "/v1/mirror/status")["sources"], [])
        north.mirror("library", self.library)
        north.signal(signal.SIGHUP)
        self.wait_versions(north, {"rome": "1.0.0"})
        north.mirror("other", other)
        north.signal(signal.SIGHUP)
        self.wait_versions(north, {"rome": "1.0.0", "venice": "1.0.0"})
        north.mirrors = north.mirrors[1:]
        north.describe()
        north.signal(signal.SIGHUP)
        self.wait_versions(north, {"venice": "1.0.0"})
        self.assertEqual([source["name"] for source in north.ask("GET", "/v1/mirror/status")["sources"]], ["other"])

    def test_excluded_packs_go(self):
        """What the operator no longer wants is no longer served, however much it is; it comes back when he wants it again."""
        everything = {path: "1.0.0" for path in ("a/one", "a/two", "b/one")}
        self.library.write_many(list(everything))
        self.library.commit()
        origin = self.member("origin").mirror("library", self.library).start().wait_serving()
        self.wait_versions(origin, everything)
        north = self.member("north").mirror("library", self.library)
        south = self.member("south").peer("origin", origin)
        for member in (north, south):
            member.start().wait_serving()
            self.wait_versions(member, everything)

        def describe(**options):
            north.mirrors, south.peers = [], []
            north.mirror("library", self.library, **options)
            south.peer("origin", origin, **options)
            for member in (north, south):
                member.signal(signal.SIGHUP)

        describe(exclude=["a/**"])
        for member in (north, south):
            self.wait_versions(member, {"b/one": "1.0.0"})
            self.assertEqual(member.history(path="a/one")[0]["event"], "removed")
        describe()
        for member in (north, south):
            self.wait_versions(member, everything)

    def test_reload_ends_what_is_outdated(self):
        """A source that hangs and is then described otherwise is not waited for."""
        self.library.write("rome")
        self.library.commit()
        silence = Silence()
        self.addCleanup(silence.close)
        north = self.member("north").mirror("library", silence.url).start().wait_serving()
        self.wait_state(north, "library", "syncing")
        north.mirrors = []
        north.mirror("library", self.library)
        begin = time.monotonic()
        north.signal(signal.SIGHUP)
        self.wait_versions(north, {"rome": "1.0.0"})
        self.assertLess(time.monotonic() - begin, 15)

    def test_trust_taken_away(self):
        """Who is no longer trusted is no longer served, and what the source has is judged anew."""
        self.library.write("rome")
        self.library.commit()
        north = self.member("north").mirror("library", self.library).start().wait_serving()
        self.wait_versions(north, {"rome": "1.0.0"})
        north.trust([self.anna.entry(revoked=True)])
        north.signal(signal.SIGHUP)
        self.wait_versions(north, {})
        broker.wait_until(lambda: any(row["rule"] == "revoked" for row in north.history("library")), "a refusal")
        self.assertGreaterEqual(self.metric(north, 'kontor_mirror_refused_total{rule="revoked"}'), 1)

    # --- Room ---

    def test_store_full(self):
        """Beyond the quota nothing is fetched, all is served; with more room it goes on by itself."""
        self.library.write("rome")
        self.library.commit()
        north = self.member("north").mirror("library", self.library)
        north.more = []
        north.start().wait_serving()
        self.wait_served(north, 1)
        self.assertGreater(north.ask("GET", "/v1/mirror/status")["store"]["release_bytes"], 4096)

        def describe(size):
            north.describe()
            text = (north.data / "kontor.yaml").read_text()
            north.configure(text.replace("limits: {", f"limits: {{store: {size}, "))
            north.signal(signal.SIGHUP)

        describe("4KiB")
        broker.wait_until(lambda: north.ask("GET", "/v1/mirror/status")["store"]["full"], "a full store")
        self.library.write("venice")
        self.library.commit()
        end = north.sync("library", good=False)
        self.assertEqual(end["code"], "limit")
        self.assertIn("store full", end["error"])
        self.assertEqual(north.versions(), {"rome": "1.0.0"})
        self.assertIn("store full", north.source_status("library")["detail"])
        self.assertEqual(north.source_status("library")["failures"], 0)
        self.assertEqual(self.metric(north, "kontor_mirror_store_full"), 1)
        self.assertIn("mirror-store-full", north.log())
        describe("1GiB")
        self.wait_versions(north, {"rome": "1.0.0", "venice": "1.0.0"})
        self.assertFalse(north.ask("GET", "/v1/mirror/status")["store"]["full"])

    def test_old_releases_are_collected(self):
        """Of every path the last three releases stay."""
        for _ in range(6):
            self.library.write("rome")
            self.library.commit()
            if not hasattr(self, "north"):
                self.north = self.member("north").mirror("library", self.library, interval="1h").start().wait_serving()
                self.wait_served(self.north, 1)
            else:
                self.north.sync("library")
        north = self.north
        dry = north.ask("POST", "/v1/store/gc?dry_run=1")
        self.assertEqual((dry["dry_run"], dry["kept"], dry["removed"]), (True, 3, 3))
        real = north.ask("POST", "/v1/store/gc?dry_run=0")
        self.assertEqual((real["kept"], real["removed"], real["failed"]), (3, 3, 0))
        self.assertEqual(real["removed_bytes"], dry["removed_bytes"])
        self.assertEqual(len(list((north.data / "store/releases").iterdir())), 3)
        self.assertEqual(north.verified() and north.versions(), {"rome": "6.0.0"})

    def test_what_former_sources_left_is_collected(self):
        """Clones and catalogs that no source uses: counted, removed when asked, and by itself when a source goes."""
        self.library.write("rome")
        self.library.commit()
        south = self.member("south").mirror("library", self.library).start().wait_serving()
        north = self.member("north").peer("south", south).start().wait_serving()
        self.wait_served(north, 1)
        catalog, clone = north.data / "store/peers/south.db", north.data / "store/git/0123456789abcdef.git"

        def leave_a_clone():
            (clone / "objects").mkdir(parents=True)
            (clone / "objects/large").write_bytes(bytes(100_000))

        leave_a_clone()
        dry = north.ask("POST", "/v1/store/gc?dry_run=1")
        self.assertEqual((dry["removed"], dry["copies_removed"], dry["copies_failed"]), (0, 1, 0))
        self.assertGreaterEqual(dry["copies_removed_bytes"], 100_000)
        self.assertTrue(clone.exists())
        self.assertEqual(north.ask("POST", "/v1/store/gc?dry_run=0"), {**dry, "dry_run": False})
        self.assertEqual((clone.exists(), catalog.exists()), (False, True))
        self.assertEqual(north.verified() and north.versions(), {"rome": "1.0.0"})
        north.stop()
        leave_a_clone()
        north.peers.clear()
        north.describe()
        self.assertIn("would remove 2 copies", north.command("store", "gc", "--dry-run").stdout)
        self.assertIn("removed 2 copies", north.command("store", "gc").stdout)
        self.assertEqual(list(catalog.parent.iterdir()) + list(clone.parent.iterdir()) + list((north.data / "store/tmp").iterdir()), [])

    # --- Damage ---

    def test_repair(self):
        """What was damaged on disk is put away and fetched again; what is whole stays."""
        self.library.write_many(["rome", "venice"])
        self.library.commit()
        north = self.member("north").mirror("library", self.library, interval="1h").start().wait_serving()
        self.wait_served(north, 2)
        items = north.catalog()
        page = north.data / "store/releases" / items["rome"]["digest"] / "wiki/concepts/page-0.md"
        page.chmod(0o644)
        page.write_text("Something else.\n")
        answer = north.ask("POST", "/v1/store/repair", {"digests": [item["digest"] for item in items.values()]})
        self.assertEqual(answer["checked"], 2)
        self.assertEqual([(row["digest"], row["paths"]) for row in answer["damaged"]], [(items["rome"]["digest"], ["rome"])])
        self.assertIn("page-0.md", answer["damaged"][0]["problem"])
        broker.wait_until(lambda: page.exists() and "rome" in north.catalog(), "the pack again")
        self.assertNotIn("Something", page.read_text())
        north.verified()
        self.assertEqual(len(list((north.data / "store/quarantine").iterdir())), 1)

    # --- The loopback interface ---

    def refused(self, member, method, target, headers, body=None):
        headers = [("Host", "127.0.0.1"), *headers]
        with wire.Connection(wire.split_address(member.endpoints["api"]), timeout=broker.PATIENCE) as connection:
            reply = connection.request(method, target, headers, body)
        return reply.status, reply.json().get("error")

    def test_interface_refuses(self):
        north = self.member("north").mirror("library", self.library).start().wait_serving()
        token = [("Authorization", "Bearer " + json.loads((north.data / "daemon.json").read_text())["apiToken"])]
        for target in ("/v1/mirror/status", "/v1/mirror/events", "/v1/mirror/history"):
            self.assertEqual(self.refused(north, "GET", target, []), (401, "UNAUTHORIZED"))
            self.assertEqual(self.refused(north, "POST", target, token, b"{}"), (404, "NOT_FOUND"))
        for target in ("/v1/mirror/sync", "/v1/store/gc", "/v1/store/repair"):
            self.assertEqual(self.refused(north, "POST", target, [], b"{}"), (401, "UNAUTHORIZED"))
            self.assertEqual(self.refused(north, "GET", target, token), (404, "NOT_FOUND"))
        bad = [("POST", "/v1/mirror/sync", {"source": "nobody"}, 404), ("POST", "/v1/mirror/sync", {"source": 7}, 400),
               ("POST", "/v1/mirror/sync", {"sauce": "library"}, 400), ("POST", "/v1/mirror/sync", {"prune": True}, 400),
               ("POST", "/v1/mirror/sync", [], 400), ("POST", "/v1/store/repair", {"digests": ["x"]}, 400),
               ("POST", "/v1/store/repair", {}, 400), ("POST", "/v1/store/repair", {"digests": [1]}, 400),
               ("POST", "/v1/store/gc?dry_run=2", None, 400), ("GET", "/v1/mirror/events?after=-1", None, 400),
               ("GET", "/v1/mirror/events?limit=99999", None, 400), ("GET", "/v1/mirror/history?before=x", None, 400)]
        for method, target, value, status in bad:
            body = None if value is None else json.dumps(value).encode()
            self.assertEqual(self.refused(north, method, target, token, body)[0], status, (target, value))

    def test_interface_tells(self):
        self.library.write_many(["rome", "venice"])
        (self.library.packs / "venice/wiki/concepts/page-0.md").write_text("Not what was signed.\n")
        commit = self.library.commit()
        north = self.member("north").mirror("library", self.library, interval="1h", visibility="private", path="").start().wait_serving()
        north.sync("library")
        status = north.ask("GET", "/v1/mirror/status")
        source = status["sources"][0]
        self.assertEqual({key: source[key] for key in ("name", "kind", "url", "visibility", "signed", "state", "alarm", "paused")},
                         {"name": "library", "kind": "git", "url": self.library.url, "visibility": "private", "signed": "required",
                          "state": "ok", "alarm": "", "paused": False})
        self.assertEqual(source["packs"], {"seen": 2, "served": 1, "refused": 1, "gone": 0})
        self.assertNotIn("progress", source)
        events = north.ask("GET", "/v1/mirror/events")["events"]
        kinds = {event["event"] for event in events}
        self.assertTrue({"started", "installed", "refused", "ended", "progress"} <= kinds, kinds)
        refused = next(event for event in events if event["event"] == "refused")
        self.assertEqual((refused["path"], refused["rule"]), ("venice", "hash"))
        self.assertIn("page-0.md", refused["reason"])
        self.assertEqual([event["n"] for event in events], sorted(event["n"] for event in events))
        page = north.ask("GET", f"/v1/mirror/events?after={events[0]['n']}&limit=1")
        self.assertEqual(page["events"], events[1:2])
        self.assertTrue(page["running"])
        rows = north.history()
        self.assertEqual({(row["path"], row["event"], row["rule"]) for row in rows if row["path"]},
                         {("rome", "installed", ""), ("venice", "refused", "hash")})
        first = north.ask("GET", "/v1/mirror/history?limit=1")
        self.assertEqual(first["history"], rows[:1])
        self.assertEqual(north.ask("GET", f"/v1/mirror/history?limit=1&before={first['next']}")["history"], rows[1:2])
        self.assertEqual(len(commit), 40)

    def test_metrics_say_nothing_about_private_sources(self):
        self.library.write_many(["secret/rome", "secret/venice"])
        (self.library.packs / "secret/venice/wiki/concepts/page-0.md").write_text("Not what was signed.\n")
        self.library.commit()
        north = self.member("north").mirror("hidden-library", self.library, visibility="private").start().wait_serving()
        north.sync("hidden-library")
        text = north.get("/metrics").body.decode()
        self.assertNotIn("hidden-library", text)
        self.assertNotIn("secret", text)
        self.assertEqual(self.metric(north, "kontor_mirror_syncs_total"), 0)
        self.assertEqual(self.metric(north, 'kontor_mirror_refused_total{rule="hash"}'), 0)


if __name__ == "__main__":
    broker.main()

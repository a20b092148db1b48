# SPDX-License-Identifier: MIT
"""SIGHUP: a new configuration takes effect, a bad one does not, and no connection is dropped either way."""
import json
import signal
import threading

from lib import broker, node, packs


class Reload(broker.BrokerTest):
    def serving(self, config):
        return self.broker(config=config, prepare=lambda b: packs.library(b.packs)).wait_serving()

    def searches(self, kontor, count):
        return [kontor.post_json("/search", {"q": "x"}).status for _ in range(count)]

    def reload(self, kontor, config, mark):
        kontor.configure(config)
        kontor.signal(signal.SIGHUP)
        broker.wait_until(mark, "the new configuration")

    def test_limits_take_effect(self):
        kontor = self.serving("limits: {search_per_minute: 2}\n")
        self.assertEqual(self.searches(kontor, 3), [200, 200, 429])
        self.reload(kontor, "limits: {search_per_minute: 0}\n", lambda: self.searches(kontor, 1) == [200])
        self.assertEqual(set(self.searches(kontor, 100)), {200})

    def test_a_bad_configuration_keeps_the_old_one(self):
        kontor = self.serving("limits: {search_per_minute: 5}\n")
        kontor.configure("limits:\n  search_per_minute: many\n")
        kontor.signal(signal.SIGHUP)
        broker.wait_until(lambda: "kontor.yaml:2" in kontor.log(), "the complaint with file and line")
        self.assertEqual(self.searches(kontor, 6), [200] * 5 + [429])
        self.assertEqual(kontor.get("/tree").status, 200)

    def test_no_connection_is_dropped(self):
        kontor = self.serving("limits: {register_per_minute: 0, search_per_minute: 0}\n")
        agent = node.Agent(kontor, node.Identity("steady"))
        self.addCleanup(agent.abort)
        failures, stop, count = [], threading.Event(), [0]

        def request():
            try:
                with kontor.connect() as connection:
                    while not stop.is_set():
                        for target in ("/tree", "/packs/docker/wiki/index.md", "/packs/summaries"):
                            if connection.request("GET", target).status != 200:
                                failures.append(target)
                            count[0] += 1
            except Exception as error:  # pylint: disable=broad-except
                failures.append(repr(error))

        threads = [threading.Thread(target=request) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(20):
            packs.pack(kontor.packs, f"reload/p{number}", [("x", f"Title {number}", f"reloadword{number}", "x")])
            kontor.signal(signal.SIGHUP)
            broker.wait_until(lambda: kontor.search(f"reloadword{number}"), f"pack {number}")
            with node.Requester(kontor) as requester:
                query_id = requester.query(agent.identity.node_id, "p")
                agent.answer(agent.next_query(), "steady")
                self.assertEqual(requester.result(query_id)["payload"], "steady")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(count[0], 20)

    def test_a_storm_of_signals(self):
        kontor = self.serving("limits: {search_per_minute: 0}\n")
        for _ in range(200):
            kontor.signal(signal.SIGHUP)
        packs.pack(kontor.packs, "after", [("x", "After", "stormword", "x")])
        kontor.signal(signal.SIGHUP)
        broker.wait_until(lambda: kontor.search("stormword"), "the last scan")

    def test_another_packs_directory(self):
        kontor = self.serving("packs: packs\nlimits: {search_per_minute: 0}\n")
        packs.pack(kontor.data / "elsewhere", "other", [("x", "Other", "otherword", "x")])
        self.reload(kontor, "packs: elsewhere\nlimits: {search_per_minute: 0}\n", lambda: kontor.get("/packs").json() == ["other"])
        broker.wait_until(lambda: kontor.search("otherword"), "the other packs to be found")
        self.assertEqual(kontor.get("/packs/docker/wiki/index.md").status, 404)
        self.assertEqual(kontor.search("Rubicon"), [])

    def test_the_format_of_the_log(self):
        kontor = self.serving("log: {format: text}\n")
        self.assertNotIn('{"time"', kontor.log())
        kontor.configure("log: {format: json}\n")
        kontor.signal(signal.SIGHUP)
        broker.wait_until(lambda: '"event":"reloaded"' in kontor.log(), "a line of JSON")
        kontor.get("/tree")
        broker.wait_until(lambda: '"route":"/tree"' in kontor.log(), "a line of JSON in the access log")
        text = kontor.log().splitlines()
        # Access lines that were laid out before the reload may still be written as they are; all other events are not.
        for line in text[next(i for i, line in enumerate(text) if '"event":"reloaded"' in line):]:
            if " info    access " not in line:
                self.assertIsInstance(json.loads(line), dict, line)

    def test_proxies(self):
        kontor = self.serving("proxies: []\nlimits: {search_per_minute: 1}\n")

        def status(address):
            return kontor.post_json("/search", {"q": "x"}, [("X-Forwarded-For", address)]).status

        self.assertEqual([status("192.0.2.1"), status("192.0.2.2")], [200, 429])
        self.reload(kontor, "proxies: [127.0.0.0/8]\nlimits: {search_per_minute: 1}\n", lambda: status("192.0.2.3") == 200)
        self.assertEqual(status("192.0.2.4"), 200)


if __name__ == "__main__":
    broker.main()

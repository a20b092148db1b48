# SPDX-License-Identifier: MIT
"""/metrics counts what happens, in the exposition format; and nothing private gets there or into the log."""
import json
import re
import signal

from lib import broker, node, packs

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? '
                    r'([-+]?(?:[0-9.]+(?:[eE][-+]?[0-9]+)?|Inf|NaN))')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')

QUERY_SECRET, SCOPE_SECRET, TERM_SECRET = "zzquerysecret", "zzscopesecret", "zztermsecret"
PAYLOAD_SECRET, TOKEN_SECRET, WRONG_TOKEN = "zzpayloadsecret", "zz-token-secret-1", "zz-wrong-token-2"
QUERY_STRING_SECRET, HEADER_SECRET = "zzquerystringsecret", "zzheadersecret"
SECRETS = (QUERY_SECRET, SCOPE_SECRET, TERM_SECRET, PAYLOAD_SECRET, TOKEN_SECRET, WRONG_TOKEN, QUERY_STRING_SECRET, HEADER_SECRET)


def parse(text):
    """{name: {frozenset of labels: value}} and {name: type}; refuses what Prometheus would refuse."""
    samples, types, helps, current = {}, {}, set(), None
    if not text.endswith("\n"):
        raise AssertionError("the last line has no end")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
            if name in helps:
                raise AssertionError(f"HELP of {name} twice")
            helps.add(name)
        elif line.startswith("# TYPE "):
            _, _, current, kind = line.split()
            if current in types or current in samples:
                raise AssertionError(f"TYPE of {current} twice or late")
            types[current] = kind
        elif line and not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            if not match:
                raise AssertionError(f"no sample: {line!r}")
            name, labels, value = match[1], dict(LABEL.findall(match[2] or "")), float(match[3])
            base = re.sub(r"_(bucket|sum|count)\Z", "", name)
            family = name if name in types else base
            if family != current:
                raise AssertionError(f"{name} stands outside of its family {current}")
            key = frozenset(labels.items())
            if key in samples.setdefault(name, {}):
                raise AssertionError(f"{line!r} twice")
            samples[name][key] = value
    return samples, types


class Metrics(broker.BrokerTest):
    def serving(self):
        def prepare(b):
            packs.library(b.packs)
            packs.write(b.packs, "malformed", {"wiki/index.md": b"\xff\xfe"})
        return self.broker(config="limits: {search_per_minute: 20, register_per_minute: 0}\n", env={"OCC_REINDEX_TOKEN": TOKEN_SECRET},
                           prepare=prepare).wait_serving()

    def metrics(self, kontor):
        reply = kontor.get("/metrics")
        self.assertEqual(reply.status, 200)
        self.assertTrue(reply.type.startswith("text/plain; version=0.0.4"), reply.type)
        return parse(reply.text)

    def find(self, samples, pattern, **labels):
        """The sum of all samples whose name matches and that carry the labels (values may be regular expressions)."""
        total, found = 0.0, False
        for name, series in samples.items():
            if not re.fullmatch(pattern, name):
                continue
            for key, value in series.items():
                have = dict(key)
                if all(k in have and re.fullmatch(v, have[k]) for k, v in labels.items()):
                    total, found = total + value, True
        self.assertTrue(found, f"no sample {pattern} {labels} in {sorted(samples)}")
        return total

    def test_requests_by_route_and_status(self):
        kontor = self.serving()
        before, types = self.metrics(kontor)
        requests = next(name for name in types if re.fullmatch(r"kontor_(http_)?requests_total", name))
        self.assertEqual(types[requests], "counter")
        for _ in range(7):
            kontor.get("/packs/docker/wiki/index.md")
            kontor.get("/packs/docker/wiki/none.md")
        kontor.request("POST", "/tree")
        kontor.get("/no/such/route")
        # A request is counted when its answer is in the kernel, so a client may have it before the thread has counted it,
        # and ask another thread.
        after = {}

        def others(samples):
            return sum(v for k, v in samples[requests].items() if ("route", "/metrics") not in k)

        def counted():
            after.clear()
            after.update(self.metrics(kontor)[0])
            return others(after) >= others(before) + 16

        broker.wait_until(counted, "all requests to be counted")

        def grown(**labels):
            def value(samples):
                return sum(v for k, v in samples[requests].items()
                           if all(re.fullmatch(p, dict(k).get(n, "")) for n, p in labels.items()))
            return value(after) - value(before)

        self.assertEqual(grown(route=".*wiki.*", status="200"), 7)
        self.assertEqual(grown(route=".*wiki.*", status="404"), 7)
        self.assertEqual(grown(route=".*tree.*", status="405"), 1)
        self.assertEqual(grown(status="404"), 8)
        for series in after[requests]:
            self.assertNotIn("docker", str(series), "a route is a template, not a path")

    def test_latency_is_a_histogram(self):
        kontor = self.serving()
        for _ in range(5):
            kontor.get("/packs/docker/wiki/index.md")
        samples, types = self.metrics(kontor)
        names = [name for name, kind in types.items() if kind == "histogram"]
        self.assertTrue(names)
        for name in names:
            series = {}
            for key, value in samples.get(f"{name}_bucket", {}).items():
                labels = dict(key)
                series.setdefault(frozenset((k, v) for k, v in labels.items() if k != "le"), []).append((float(labels["le"]), value))
            for key, buckets in series.items():
                buckets.sort()
                self.assertEqual(buckets[-1][0], float("inf"))
                self.assertEqual([v for _, v in buckets], sorted(v for _, v in buckets), "buckets add up")
                self.assertEqual(buckets[-1][1], samples[f"{name}_count"][key])
                self.assertIn(key, samples[f"{name}_sum"])

    def test_nodes_and_queries_by_outcome(self):
        kontor = self.serving()
        with node.Agent(kontor, node.Identity("a")) as agent, node.Requester(kontor) as requester:
            for _ in range(3):
                query_id = requester.query(agent.identity.node_id, "p")
                agent.answer(agent.next_query(), "x")
                requester.result(query_id)
            requester.result(requester.query("nobody"))
            samples, _ = self.metrics(kontor)
            self.assertEqual(self.find(samples, r"kontor_nodes(_registered|_connected)?"), 1)
            text = kontor.get("/metrics").text
            self.assertRegex(text, r"(?m)^kontor_\S*answered\S* 3$")
            self.assertRegex(text, r"(?m)^kontor_\S*no_target\S* 1$")

    def test_catalog_index_and_process(self):
        kontor = self.serving()
        samples, _ = self.metrics(kontor)
        self.assertEqual(self.find(samples, r"kontor_packs"), 5)
        self.assertEqual(self.find(samples, r"kontor_(packs_)?pages"), 7)
        self.assertGreaterEqual(self.find(samples, r"kontor_pack(s|_).*(problem|malformed|skipped).*"), 1)
        self.assertGreater(self.find(samples, r"kontor_.*index.*seconds.*"), 0)
        self.assertGreater(self.find(samples, r"process_resident_memory_bytes"), 1e6)
        self.assertGreater(self.find(samples, r"process_open_fds"), 5)
        self.assertGreater(self.find(samples, r"process_start_time_seconds"), 1e9)
        # The kernel counts in ticks of 10 ms, and a young broker may have used less; every look costs it some.
        broker.wait_until(lambda: self.find(self.metrics(kontor)[0], r"process_cpu_seconds_total") > 0, "CPU time to be counted")

    def test_rejections_by_reason(self):
        kontor = self.serving()
        for _ in range(25):
            kontor.post_json("/search", {"q": "x"})
        for _ in range(3):
            kontor.reindex("wrong")
        samples, _ = self.metrics(kontor)
        name = r"kontor_rejections_total"
        self.assertEqual(self.find(samples, name, reason=".*rate.*"), 5)
        self.assertEqual(self.find(samples, name, reason=".*token.*"), 3)

    def private_things(self, kontor):
        """Does everything that involves something private."""
        kontor.post_json("/search", {"q": QUERY_SECRET, "scope": SCOPE_SECRET})
        kontor.post_json("/search", {"q": f"\"{QUERY_SECRET}", "scope": "a%" + SCOPE_SECRET})
        kontor.request("POST", "/search", [("Content-Type", "application/json")], f'{{"q": "{QUERY_SECRET}'.encode())
        kontor.post_json("/lookup_entity", {"term": TERM_SECRET})
        kontor.get(f"/?q={QUERY_STRING_SECRET}")
        kontor.get(f"/tree?token={QUERY_STRING_SECRET}")
        kontor.get("/tree", [("Authorization", f"Bearer {HEADER_SECRET}"), ("Cookie", HEADER_SECRET), ("User-Agent", HEADER_SECRET)])
        kontor.reindex(TOKEN_SECRET)
        kontor.reindex(WRONG_TOKEN)
        with node.Agent(kontor, node.Identity("private")) as agent, node.Requester(kontor) as requester:
            query_id = requester.query(agent.identity.node_id, PAYLOAD_SECRET)
            agent.answer(agent.next_query(), PAYLOAD_SECRET)
            requester.result(query_id)
            requester.send_text(json.dumps({"type": "query", "payload": PAYLOAD_SECRET}))
            requester.send_text(f"not json {PAYLOAD_SECRET}")
            requester.send_text("x" * (1 << 20) + PAYLOAD_SECRET)
            requester.send({"type": "register", "node_id": "x", "payload": PAYLOAD_SECRET, "signature": PAYLOAD_SECRET, "signing_pubkey": "x"})
            requester.ask({"type": "ping"})

    def test_no_query_term_payload_or_token_is_logged(self):
        kontor = self.serving()
        self.private_things(kontor)
        kontor.signal(signal.SIGHUP)
        kontor.get("/packs/docker/wiki/index.md")
        exposed = kontor.get("/metrics").text + kontor.command("status").stdout + kontor.command("status", "--json").stdout
        kontor.stop()
        log = kontor.log()
        self.assertIn("/search", log, "the access log is on")
        for secret in SECRETS:
            self.assertNotIn(secret, log)
            self.assertNotIn(secret, exposed)

    def test_the_access_log(self):
        kontor = self.serving()
        kontor.get("/packs/docker/wiki/index.md", [("X-Forwarded-For", "198.51.100.77")])
        kontor.get("/tree", [("X-Forwarded-For", "2001:db8:1234:5678:9abc::1")])
        kontor.stop()
        lines = [json.loads(line) for line in kontor.log().splitlines()]
        for line in lines:
            self.assertIsInstance(line, dict)
        text = kontor.log()
        for address in ("198.51.100.77", "5678:9abc", "2001:db8:1234:5678"):
            self.assertNotIn(address, text, "addresses are cut to /24 and /48")
        self.assertIn("198.51.100", text)
        self.assertIn("2001:db8:1234", text)
        access = [line for line in lines if "198.51.100" in json.dumps(line)]
        self.assertEqual(len(access), 1)
        values = json.dumps(access[0])
        for part in ("GET", "200", "wiki"):
            self.assertIn(part, values)

    def test_hostile_bytes_do_not_break_log_lines(self):
        kontor = self.serving()
        for target in (b"/a%0ab%0d{\"x\":1}", b"/\x1b[31m", b"/%00%ff", b"/\"\\"):
            with kontor.connect() as connection:
                connection.send(b"GET " + target + b" HTTP/1.1\r\nHost: t\r\nUser-Agent: \"}\\\r\n\r\n")
                connection.read_response()
        with node.Socket(kontor) as socket:
            identity = node.Identity("evil", node_id="evil\"}\\n{")
            socket.ask(identity.register_message(socket.nonce))
        kontor.stop()
        for line in kontor.log().splitlines():
            json.loads(line)

    def test_the_access_log_can_be_turned_off(self):
        kontor = self.broker(config="log: {access: false}\n", prepare=lambda b: packs.library(b.packs)).wait_serving()
        kontor.get("/packs/docker/wiki/index.md")
        kontor.stop()
        self.assertNotIn("/packs/{pack}", kontor.log())


if __name__ == "__main__":
    broker.main()

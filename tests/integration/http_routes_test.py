# SPDX-License-Identifier: MIT
"""Every public route: status, content type, exact shape and order of its answer."""
import json
import re

from lib import broker, packs


def compact(value):
    """JSON as the contract has it: no blanks, UTF-8 not escaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class Routes(broker.SharedBrokerTest):
    options = {"config": "limits: {search_per_minute: 0}\n"}

    @classmethod
    def prepare(cls, kontor):
        packs.library(kontor.packs)
        packs.write(kontor.packs, "summaries", {"wiki/index.md": packs.index([("a.md", "A", "s")]), "wiki/a.md": "# A\n"})
        packs.write(kontor.packs, "docker", {"wiki/manifest.yaml": "a page: true\n", "wiki/log.md": "log\n",
                                             "wiki/assets/src/dot.png": b"\x89PNG\r\n\x1a\n\0\xff",
                                             "wiki/wiki/inner.md": "inner\n"})

    def check(self, target, expected, content_type="application/json"):
        reply = self.kontor.get(target)
        self.assertEqual((reply.status, reply.type, reply.body), (200, content_type, expected), target)

    def detail(self, target, status, text):
        reply = self.kontor.get(target)
        self.assertEqual((reply.status, reply.type, reply.body), (status, "application/json", compact({"detail": text})), target)

    def test_tree_root_is_an_array_of_directories(self):
        self.check("/tree", compact(["docker", "empty", "history", "mcp", "science", "summaries"]))

    def test_tree_below_the_root_is_an_object(self):
        self.check("/tree/history", compact({"children": ["greece", "rome"], "has_pack": False}))
        self.check("/tree/history/rome", compact({"children": [], "has_pack": True}))
        self.check("/tree/science", compact({"children": ["physik"], "has_pack": True}))
        self.check("/tree/docker", compact({"children": [], "has_pack": True}))
        self.check("/tree/mcp", compact({"children": [], "has_pack": False}))
        self.check("/tree/empty", compact({"children": [], "has_pack": False}))

    def test_tree_with_a_slash_is_the_object_form_of_the_root(self):
        reply = self.kontor.get("/tree/")
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.json(), {"children": ["docker", "empty", "history", "mcp", "science", "summaries"],
                                        "has_pack": False})

    def test_tree_of_what_does_not_exist_is_404(self):
        for target in ("/tree/nothing", "/tree/history/nothing", "/tree/docker/wiki/nothing"):
            self.assertEqual(self.kontor.get(target).status, 404, target)

    def test_packs_lists_all_packs_by_path(self):
        self.check("/packs", compact(["docker", "history/greece", "history/rome", "science", "science/physik", "summaries"]))

    def test_summaries_stand_in_order_of_path_and_may_be_empty(self):
        expected = {"docker": "Containers and images.", "history/greece": "",
                    "history/rome": "Rome from the kings to the emperors.", "science": "Science: an overview.",
                    "science/physik": "Physik auf Deutsch.", "summaries": ""}
        self.check("/packs/summaries", compact({"summaries": expected}))

    def test_index_of_a_one_segment_pack(self):
        text = (self.kontor.packs / "docker/wiki/index.md").read_bytes()
        self.check("/packs/docker/index.md", text, "text/markdown; charset=utf-8")
        self.check("/packs/summaries/index.md", (self.kontor.packs / "summaries/wiki/index.md").read_bytes(),
                   "text/markdown; charset=utf-8")
        self.detail("/packs/history/rome/index.md", 404, "Not Found")

    def test_pages(self):
        for path in ("docker/wiki/index.md", "docker/wiki/concepts/image.md", "history/rome/wiki/concepts/caesar.md",
                     "science/physik/wiki/concepts/kraft.md", "docker/wiki/log.md"):
            self.check(f"/packs/{path}", (self.kontor.packs / path).read_bytes(), "text/markdown; charset=utf-8")

    def test_the_last_wiki_splits_pack_and_page(self):
        self.check("/packs/docker/wiki/manifest.yaml", b"a page: true\n", self.kontor.get("/packs/docker/wiki/manifest.yaml").type)
        # "docker/wiki" is no pack of its own, so the greedy split alone would not find this page.
        reply = self.kontor.get("/packs/docker/wiki/wiki/inner.md")
        self.assertIn(reply.status, (200, 404))
        if reply.status == 200:
            self.assertEqual(reply.body, b"inner\n")

    def test_a_binary_asset_has_its_own_type(self):
        self.check("/packs/docker/wiki/assets/src/dot.png", b"\x89PNG\r\n\x1a\n\0\xff", "image/png")

    def test_manifests_and_signatures(self):
        self.check("/packs/docker/manifest.yaml", (self.kontor.packs / "docker/manifest.yaml").read_bytes(),
                   "text/yaml; charset=utf-8")
        self.check("/packs/history/rome/manifest.yaml", (self.kontor.packs / "history/rome/manifest.yaml").read_bytes(),
                   "text/yaml; charset=utf-8")
        self.check("/packs/mcp/manifest.yaml", (self.kontor.packs / "mcp/manifest.yaml").read_bytes(),
                   "text/yaml; charset=utf-8")
        self.assertEqual(self.kontor.get("/packs/docker/manifest.sig").status, 404)
        self.assertEqual(self.kontor.get("/packs/empty/manifest.yaml").status, 404)

    def test_what_is_not_there_is_404(self):
        for target in ("/nothing", "/packs/docker/wiki/nothing.md", "/packs/nothing/wiki/index.md", "/packs/mcp/wiki/index.md",
                       "/packs/mcp/raw/notes.md", "/packs/docker/raw/articles/source.md", "/packs/docker", "/TREE", "//tree",
                       "/packs//wiki/index.md", "/tree2", "/packs/.hidden/secret/wiki/index.md", "/favicon.txt"):
            reply = self.kontor.get(target)
            self.assertEqual((reply.status, reply.type), (404, "application/json"), target)
            self.assertIn("detail", reply.json(), target)

    def test_nothing_is_ever_redirected(self):
        for target in ("/packs/", "/tree/", "/tree/history/", "/packs/docker/wiki", "/packs/docker/wiki/", "/nodes/", "/search/"):
            self.assertNotIn(self.kontor.get(target).status // 100, (3, 5), target)

    def test_a_directory_is_not_a_page(self):
        for target in ("/packs/docker/wiki/concepts", "/packs/docker/wiki/concepts/", "/packs/docker/wiki/"):
            self.assertEqual(self.kontor.get(target).status, 404, target)

    def test_percent_encoding_is_undone_before_routing(self):
        self.assertEqual(self.kontor.get("/packs/history%2Frome/wiki%2Fconcepts/caesar.md").status, 200)
        self.assertEqual(self.kontor.get("/%74ree").status, 200)
        self.assertEqual(self.kontor.get("/tree/history%2frome").json()["has_pack"], True)
        # "+" is a plus sign in a path.
        self.assertEqual(self.kontor.get("/packs/docker/wiki/concepts/image+.md").status, 404)

    def test_a_query_string_changes_nothing(self):
        self.assertEqual(self.kontor.get("/tree?x=1&y=%00").body, self.kontor.get("/tree").body)

    def test_stubs_and_empty_registry(self):
        self.check("/publishers", b'{"publishers":[]}')
        self.check("/nodes", b"{}")

    def test_search(self):
        reply = self.kontor.post_json("/search", {"q": "Rubicon"})
        self.assertEqual((reply.status, reply.type), (200, "application/json"))
        result = reply.json()["results"][0]
        self.assertLessEqual({"pack_path": "history/rome", "page_file": "concepts/caesar.md", "title": "Gaius Julius Caesar",
                              "summary": "Dictator of Rome.", "pack_summary": "Rome from the kings to the emperors.",
                              "pack": "history/rome", "file": "concepts/caesar.md"}.items(), result.items())
        self.assertIsInstance(result["score"], float)
        self.assertLess(result["score"], 0)
        self.assertNotIn(b": ", reply.body.replace(b"Science: ", b""))

    def test_lookup_entity(self):
        reply = self.kontor.post_json("/lookup_entity", {"term": "Caesar"})
        self.assertEqual((reply.status, reply.type), (200, "application/json"))
        self.assertEqual(reply.json(), {"results": [{"pack_path": "history/rome", "match_count": 1, "pack": "history/rome"}]})

    def test_reindex_without_a_configured_token_is_always_refused(self):
        for headers in ([], [("X-OCC-Token", "")], [("X-OCC-Token", "anything")]):
            reply = self.kontor.post_json("/admin/reindex", {}, headers)
            self.assertEqual((reply.status, reply.body), (401, b'{"detail":"invalid token"}'))

    def test_validation_errors_have_the_known_shape(self):
        json_type = [("Content-Type", "application/json")]
        cases = [("/search", json_type, b"{"), ("/search", json_type, b"[]"), ("/search", json_type, b"{}"),
                 ("/search", json_type, b'{"q":null}'), ("/search", json_type, b'{"q":5}'),
                 ("/search", json_type, b'{"q":"x","k":"many"}'), ("/search", json_type, b'{"q":"x","k":1.5}'),
                 ("/search", json_type, b'{"q":"x","scope":[]}'), ("/search", json_type, b""), ("/search", json_type, None),
                 ("/search", json_type, b'{"q":"\xff"}'), ("/search", json_type, b'{"q":"x"} trailing'),
                 ("/search", [("Content-Type", "text/plain")], b'{"q":"x"}'), ("/search", [], b'{"q":"x"}'),
                 ("/search", json_type, b"[" * 100000), ("/lookup_entity", json_type, b"{}"),
                 ("/lookup_entity", json_type, b'{"term":{}}'), ("/lookup_entity", json_type, b'{"term":"x","limit":null}'),
                 ("/admin/reindex", json_type, None), ("/admin/reindex", json_type, b'{"pack_path":7}')]
        for target, headers, body in cases:
            reply = self.kontor.request("POST", target, headers, body)
            self.assertEqual((reply.status, reply.type), (422, "application/json"), (target, body and body[:40], reply))
            detail = reply.json()["detail"]
            self.assertTrue(detail and isinstance(detail, list), (target, body))
            for entry in detail:
                self.assertIsInstance(entry["loc"], list)
                self.assertIsInstance(entry["msg"], str)
                self.assertIsInstance(entry["type"], str)

    def test_numeric_strings_and_unknown_keys_are_accepted(self):
        reply = self.kontor.post_json("/search", {"q": "a container image senate", "k": "1", "surprise": {"x": []}})
        self.assertEqual((reply.status, len(reply.json()["results"])), (200, 1))
        typed = self.kontor.request("POST", "/search", [("Content-Type", "application/json; charset=utf-8")], b'{"q":"senate"}')
        self.assertEqual(typed.status, 200)

    def test_health_readiness_and_version(self):
        self.assertEqual(self.kontor.get("/healthz").status, 200)
        self.assertEqual(self.kontor.get("/readyz").status, 200)
        version = self.kontor.get("/version")
        self.assertEqual((version.status, version.type), (200, "application/json"))
        self.assertRegex(version.json()["version"], r"\A[0-9]+\.[0-9]+\.[0-9]+")

    def test_head_is_get_without_the_body(self):
        for target in ("/", "/tree", "/tree/history", "/packs", "/packs/summaries", "/packs/docker/index.md",
                       "/packs/docker/wiki/index.md", "/packs/docker/manifest.yaml", "/packs/docker/wiki/assets/src/dot.png",
                       "/publishers", "/nodes", "/healthz", "/readyz", "/version", "/nothing"):
            get, head = self.kontor.get(target), self.kontor.request("HEAD", target)
            unstable = ("date",)
            self.assertEqual(head.status, get.status, target)
            self.assertEqual([h for h in head.headers if h[0].lower() not in unstable],
                             [h for h in get.headers if h[0].lower() not in unstable], target)

    def test_date_and_server_headers(self):
        reply = self.kontor.get("/tree")
        self.assertRegex(reply.header("Date"), r"\A(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\Z")
        self.assertTrue(re.match("(?i)kontor", reply.header("Server") or "kontor"))

    def test_a_missing_packs_directory_is_an_empty_library(self):
        empty = broker.Broker(args=["--packs", "/nonexistent/packs"])
        self.addCleanup(empty.dispose)
        empty.start()
        self.addCleanup(empty.stop)
        empty.wait_serving()
        self.assertEqual(empty.get("/tree").body, b"[]")
        self.assertEqual(empty.get("/packs").body, b"[]")
        self.assertEqual(empty.get("/packs/summaries").body, b'{"summaries":{}}')
        self.assertEqual(empty.search("anything"), [])


if __name__ == "__main__":
    broker.main()

# SPDX-License-Identifier: MIT
"""schema/openapi.yaml against the broker: each says the same about paths, methods, statuses and content types."""
import hashlib
import json
import re

import yaml

from lib import broker, packs

TOKEN = "openapi-token"
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")
EXAMPLES = {"path": "history/rome", "pack": "history/rome", "pack_path": "history/rome", "name": "docker", "file": "concepts/caesar.md",
            "withdrawn": "history/gone", "page": "concepts/caesar.md", "page_file": "concepts/caesar.md", "prefixes": "0"}
QUERIES = {"/catalog/changes": "?since=0"}
BODIES = {"/search": {"q": "caesar"}, "/lookup_entity": {"term": "caesar"}, "/admin/reindex": {}}


class OpenApi(broker.SharedBrokerTest):
    options = {"config": "limits: {search_per_minute: 0}\n", "env": {"OCC_REINDEX_TOKEN": TOKEN}}

    @classmethod
    def prepare(cls, kontor):
        packs.library(kontor.packs)
        packs.sign(kontor.packs / "history/rome")
        rome = kontor.packs / "history/rome"
        gone = packs.write(kontor.packs, "history/gone", {"manifest.yaml": packs.manifest("gone", "Withdrawn."), "wiki/index.md": packs.index([])})
        packs.sign_release(gone, "history/gone", withdrawn=True)
        packs.trust(kontor, [packs.PUBLISHER])
        cls.examples = {**EXAMPLES, "digest": packs.content_sha256(rome),
                        "hex": hashlib.sha256((rome / "wiki/index.md").read_bytes()).hexdigest()}
        cls.document = yaml.safe_load((broker.SOURCE / "schema/openapi.yaml").read_text())

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            target = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def public_paths(self):
        for path, item in self.document["paths"].items():
            if not path.startswith("/v1/"):
                yield path, self.resolve(item)

    def call(self, method, path):
        target = re.sub(r"\{(\w+)\}", lambda m: self.examples[m[1]], path) + QUERIES.get(path, "")
        headers, body = [], None
        if method == "POST":
            headers = [("Content-Type", "application/json"), ("X-OCC-Token", TOKEN)]
            body = json.dumps(BODIES.get(path, {})).encode()
        return self.kontor.request(method, target, headers, body)

    def test_the_document_is_openapi_3_1(self):
        self.assertRegex(self.document["openapi"], r"\A3\.1\.")
        self.assertTrue(self.document["info"]["title"] and self.document["info"]["version"])

    def test_every_documented_call_is_answered_as_documented(self):
        for path, item in self.public_paths():
            if path == "/ws":
                continue
            for method in METHODS:
                if method.lower() not in item:
                    continue
                reply = self.call(method, path)
                responses = item[method.lower()]["responses"]
                self.assertIn(str(reply.status), responses, (method, path, reply))
                self.assertEqual(reply.status, 200, (method, path, reply))
                content = self.resolve(responses["200"]).get("content", {})
                self.assertTrue(any(self.same_type(documented, reply.type) for documented in content), (path, reply.type, list(content)))

    def same_type(self, documented, actual):
        def bare(text):
            return text.split(";")[0].strip()
        return documented == "*/*" or bare(documented) == bare(actual)

    def test_methods_that_are_not_documented_are_refused(self):
        for path, item in self.public_paths():
            allowed = {m for m in METHODS if m.lower() in item}
            for method in METHODS:
                if method in allowed or path == "/ws":
                    continue
                reply = self.call(method, path)
                self.assertEqual(reply.status, 405, (method, path))
                self.assertEqual({m.strip() for m in reply.header("Allow").split(",")} - {"HEAD", "OPTIONS"}, allowed, (method, path))

    def test_the_contract_is_documented(self):
        shapes = {re.sub(r"\{\w+\}", "{}", path) for path, _ in self.public_paths()}
        for path in ("/", "/tree", "/tree/{}", "/packs", "/packs/summaries", "/packs/{}/index.md", "/packs/{}/wiki/{}",
                     "/packs/{}/manifest.yaml", "/packs/{}/manifest.sig", "/publishers", "/catalog", "/catalog/releases/{}",
                     "/catalog/tombstones/{}", "/catalog/checkpoint", "/catalog/digest", "/catalog/digest/{}", "/catalog/changes",
                     "/blobs/sha256/{}", "/nodes", "/search", "/lookup_entity",
                     "/admin/reindex", "/ws", "/healthz", "/readyz", "/metrics", "/version"):
            self.assertIn(path, shapes)

    def check(self, schema, value, where):
        """The few keywords of JSON Schema that the document uses for answers."""
        schema = self.resolve(schema)
        kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
        if "type" in schema:
            kind = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            self.assertTrue(any(isinstance(value, kinds.get(k, type(None))) for k in kind), (where, value))
        if isinstance(value, dict):
            for name in schema.get("required", []):
                self.assertIn(name, value, where)
            for name, entry in value.items():
                if name in schema.get("properties", {}):
                    self.check(schema["properties"][name], entry, f"{where}/{name}")
                elif isinstance(schema.get("additionalProperties"), dict):
                    self.check(schema["additionalProperties"], entry, f"{where}/{name}")
                elif schema.get("additionalProperties") is False:
                    self.fail(f"{where}: {name} is not documented")
        if isinstance(value, list) and "items" in schema:
            for number, entry in enumerate(value):
                self.check(schema["items"], entry, f"{where}/{number}")

    def test_answers_have_the_documented_shape(self):
        checked = 0
        for path, item in self.public_paths():
            for method in ("GET", "POST"):
                if path == "/ws" or method.lower() not in item:
                    continue
                content = self.resolve(item[method.lower()]["responses"]["200"]).get("content", {})
                reply = self.call(method, path)
                if "application/json" in content and reply.type == "application/json" and "schema" in content["application/json"]:
                    self.check(content["application/json"]["schema"], reply.json(), path)
                    checked += 1
        self.assertGreaterEqual(checked, 8)


if __name__ == "__main__":
    broker.main()

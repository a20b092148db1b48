# SPDX-License-Identifier: MIT
"""GET / in a browser: well-formed, fast, works without JavaScript, and shows foreign text as text."""
import html.parser
import re
import urllib.parse

from lib import broker, packs

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
OPTIONAL_END = {"p", "li", "dt", "dd", "td", "th", "tr", "option", "tbody", "thead", "html", "head", "body"}
EVIL = "<script>alert('x')</script>\"'><img src=x onerror=y>&amp;"


class Page(html.parser.HTMLParser):
    """Collects what the tests look at and checks that tags are balanced."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.links, self.forms, self.inputs, self.words, self.attributes = [], [], [], [], [], []
        self.open = []
        self.feed(text)
        self.close()
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "a":
            self.links.append(values.get("href"))
        if tag == "form":
            self.forms.append(values)
        if tag == "input":
            self.inputs.append(values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open[-1] != tag and self.open[-1] in OPTIONAL_END:
            self.open.pop()
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes nothing")

    def handle_data(self, data):
        self.words.append(data)


class WebPage(broker.SharedBrokerTest):
    options = {"config": "name: library.example\nlimits: {search_per_minute: 0}\n"}

    @classmethod
    def prepare(cls, kontor):
        packs.library(kontor.packs)
        packs.write(kontor.packs, "evil", {"manifest.yaml": packs.manifest(EVIL, EVIL), "wiki/a.md": "x\n",
                                           "wiki/index.md": packs.index([("a.md", "Evilword " + EVIL, EVIL)])})

    def page(self, target="/", headers=(("Accept", "text/html,*/*"),)):
        reply = self.kontor.get(target, list(headers))
        self.assertEqual((reply.status, reply.type), (200, "text/html; charset=utf-8"))
        self.assertTrue(reply.text.lower().startswith("<!doctype html>"))
        return reply, Page(reply.text)

    def test_the_page_says_what_this_is(self):
        reply, page = self.page()
        self.assertIn("library.example", page.text)
        for path in ("docker", "history/rome", "science/physik"):
            self.assertIn(path, page.text)
        self.assertIn("Containers and images.", page.text)
        self.assertLess(len(reply.body), 100_000)
        self.assertRegex(reply.text, r'(?i)<meta[^>]+viewport')
        self.assertRegex(reply.text, r"(?i)<html[^>]+lang=")

    def test_no_script_and_nothing_from_elsewhere(self):
        reply, page = self.page()
        self.assertNotIn("script", page.tags)
        for name, value in page.attributes:
            self.assertFalse(name.startswith("on"), f"{name}={value}")
            if name in ("src", "href", "action"):
                self.assertFalse(re.match(r"(?i)(https?:)?//|javascript:|data:text", value or ""), value)
        self.assertIsNotNone(reply.header("Content-Security-Policy"))
        self.assertEqual(reply.header("X-Content-Type-Options"), "nosniff")

    def test_every_link_leads_somewhere(self):
        _, page = self.page()
        links = [link for link in page.links if link and not link.startswith("#")]
        self.assertTrue(links)
        for link in set(links):
            target = urllib.parse.urljoin("/", link)
            self.assertEqual(self.kontor.get(target).status, 200, link)

    def search(self, words):
        _, page = self.page()
        form = page.forms[0]
        self.assertEqual((form.get("method") or "get").lower(), "get")
        field = next(i for i in page.inputs if i.get("type") in (None, "text", "search"))
        action = urllib.parse.urljoin("/", form.get("action") or "/")
        return self.page(f"{action}?{urllib.parse.urlencode({field['name']: words})}")

    def test_search_without_javascript(self):
        _, page = self.search("Rubicon")
        self.assertIn("Gaius Julius Caesar", page.text)
        self.assertTrue(any("history/rome/wiki/concepts/caesar.md" in (link or "") for link in page.links), page.links)
        _, page = self.search("qqqqqqnothing")
        self.assertNotIn("Gaius Julius Caesar", page.text)
        _, page = self.search("größerer Körper")
        self.assertIn("Kraft", page.text)

    def test_foreign_text_is_shown_as_text(self):
        for reply, page in (self.page(), self.search("Evilword"), self.search(EVIL)):
            self.assertNotIn("script", page.tags)
            self.assertNotIn("img", [t for t in page.tags if t == "img"])
            self.assertNotIn("<script>alert", reply.text)
            self.assertFalse([a for a in page.attributes if a[0] == "onerror"])
        reply, page = self.search("Evilword")
        self.assertIn("<script>alert('x')</script>", page.text)
        reply, page = self.search(EVIL)
        field = next(i for i in page.inputs if i.get("type") in (None, "text", "search"))
        self.assertEqual(field.get("value"), EVIL, "the query stays in its field, escaped")

    def test_hostile_queries(self):
        for query in ("", "%", "%zz", "%ff", "%00", "a" * 7000, "a+b%20c", "x&q=y", "=", "%F0%9F%98%80"):
            reply = self.kontor.get(f"/?q={query}", [("Accept", "text/html")])
            self.assertIn(reply.status, (200, 400), query)

    def test_it_can_be_cached_and_compressed(self):
        reply = self.kontor.get("/", [("Accept-Encoding", "gzip")])
        self.assertEqual(reply.header("Content-Encoding"), "gzip")
        tag = self.kontor.get("/").header("ETag")
        if tag:
            self.assertEqual(self.kontor.get("/", [("If-None-Match", tag)]).status, 304)

    def test_searching_counts_against_the_limit(self):
        kontor = broker.Broker(config="limits: {search_per_minute: 2}\n")
        self.addCleanup(kontor.dispose)
        kontor.start().wait_serving()
        self.addCleanup(kontor.stop)
        statuses = [kontor.get("/?q=x").status for _ in range(3)]
        self.assertEqual(statuses, [200, 200, 429])
        self.assertEqual(kontor.get("/").status, 200)


if __name__ == "__main__":
    broker.main()

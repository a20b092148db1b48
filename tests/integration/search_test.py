# SPDX-License-Identifier: MIT
"""/search and /lookup_entity: what is found, in which order, within which scope, and what hostile queries get."""
import math
import random

from lib import broker, packs

CJK = "敏捷的棕色狐狸跳过懒狗"


class Search(broker.SharedBrokerTest):
    options = {"config": "limits: {search_per_minute: 0}\n"}

    @classmethod
    def prepare(cls, kontor):
        packs.library(kontor.packs)
        packs.pack(kontor.packs, "rank", [("title", "Zebrafish", "A fish.", "Nothing here."),
                                          ("summary", "A fish", "The zebrafish is striped.", "Nothing here."),
                                          ("body", "A fish", "Of water.", "Somewhere a zebrafish swims.")])
        packs.pack(kontor.packs, "lang/fr", [("cafe", "Café crème", "Une boisson.", "Le café noir. Straße.")])
        packs.pack(kontor.packs, "lang/zh", [("fox", "狐狸", CJK, "这是一只" + CJK)])
        packs.pack(kontor.packs, "Upper/Case", [("one", "Uppercasepack", "x", "x")])
        packs.pack(kontor.packs, "under_score", [("one", "Underscorepack", "x", "x")])
        packs.pack(kontor.packs, "many", [(f"p{i}", f"Entry {i}", "commonword", "commonword " * (i % 7)) for i in range(80)])
        packs.pack(kontor.packs, "manyother", [("x", "Neighbour", "commonword", "x")])
        packs.write(kontor.packs, "rows", {"wiki/index.md": (
            "# Rows\n| File | Title | Summary |\n|---|---|---|\n| a.md | Blank summary |  |\n| b.md | Refusedone ||\n| c.md | Refusedtwo |\n"
            "| d.md | Refusedthree | s\n| e.md | Piped | half pipeword | more |\n | f.md | Indented | s |\n| missing.md | Pageless | s |\n"
            "| h.md | Formfeed | s |\x0c| i.md | Afterfeed | s |\n"), "wiki/a.md": "afrontword\n",
            "wiki/e.md": "---\nhiddenfront: yes\n---\nvisiblebody\n" + "pad " * 600 + "beyondtwothousand\n"})

    def pages(self, query, **options):
        return [(hit["pack_path"], hit["page_file"]) for hit in self.kontor.search(query, **options)]

    def titles(self, query, **options):
        return [hit["title"] for hit in self.kontor.search(query, **options)]

    # Ranking

    def test_scores_are_negative_finite_and_ascending(self):
        hits = self.kontor.search("commonword fish the", k=50)
        scores = [hit["score"] for hit in hits]
        self.assertEqual(len(scores), 50)
        self.assertEqual(scores, sorted(scores))
        self.assertTrue(all(isinstance(s, float) and s < 0 and math.isfinite(s) for s in scores), scores)

    def test_a_title_weighs_more_than_a_summary_and_that_more_than_a_body(self):
        self.assertEqual([page for _, page in self.pages("zebrafish", scope="rank")],
                         ["concepts/title.md", "concepts/summary.md", "concepts/body.md"])

    def test_statistics_are_global(self):
        """A Node compares scores across searches, so the scope must not change a page's score."""
        wide = {hit["page_file"]: hit["score"] for hit in self.kontor.search("zebrafish")}
        narrow = {hit["page_file"]: hit["score"] for hit in self.kontor.search("zebrafish", scope="rank")}
        self.assertEqual(wide, narrow)

    def test_the_same_question_gets_the_same_answer(self):
        self.assertEqual(self.kontor.search("commonword", k=20), self.kontor.search("commonword", k=20))

    def test_words_are_joined_by_or(self):
        self.assertLessEqual({"Athens", "The Senate"}, set(self.titles("athens senate qqqqq")))

    # k

    def test_k_is_clamped(self):
        for k, count in ((1, 1), (0, 1), (-5, 1), (50, 50), (51, 50), (10**9, 50), ("7", 7)):
            self.assertEqual(len(self.kontor.search("commonword", k=k)), count, k)
        self.assertEqual(len(self.kontor.search("commonword")), 10)

    # Words

    def test_case_and_accents(self):
        for query in ("café", "CAFÉ", "cafe", "Cafe\u0301"):
            self.assertEqual(self.pages(query), [("lang/fr", "concepts/cafe.md")], query)
        self.assertEqual(self.pages("größerer"), [("science/physik", "concepts/kraft.md")])

    def test_languages_without_blanks_and_parts_of_words(self):
        self.assertEqual(self.pages("棕色狐"), [("lang/zh", "concepts/fox.md")])
        self.assertIn(("lang/zh", "concepts/fox.md"), self.pages("跳过懒狗"))
        self.assertIn(("history/rome", "concepts/caesar.md"), self.pages("ubico"))
        self.assertIn(("rank", "concepts/title.md"), self.pages("ebrafis"))

    def test_typing_errors_are_forgiven(self):
        self.assertIn(("docker", "concepts/image.md"), self.pages("zanzibarlayr"))

    # Blank and hostile queries

    def test_blank_and_wordless_queries_find_nothing(self):
        for query in ("", "   ", "\n\t", "???", "*", "()", "---", "\"", "'", ";", "\u3000"):
            self.assertEqual(self.kontor.search(query), [], repr(query))

    def test_operators_are_words(self):
        for query in ("AND", "OR NOT", "senate NOT athens", "title:zebrafish", "zebra*", "\"zebrafish", "NEAR(a b)", "a^b", "{title}: x",
                      "zebrafish) OR (1", "'; DROP TABLE pages; --", "-zebrafish", "rank: bm25", "\"\"\"", "a" * 20000,
                      "\ud7ff\ue000\uffff", "😀" * 300, "\u202eabc", "_", "%", "\\"):
            reply = self.kontor.post_json("/search", {"q": query})
            self.assertEqual(reply.status, 200, repr(query[:40]))
        self.assertIn("Athens", self.titles("senate NOT athens"))
        self.assertIn("Zebrafish", self.titles("title:zebrafish"))

    def test_a_nul_is_refused_or_a_blank(self):
        for query in ("\0", "senate\0athens"):
            self.assertIn(self.kontor.post_json("/search", {"q": query}).status, (200, 422), repr(query))

    def test_very_long_queries_are_answered(self):
        words = [f"word{i}" for i in range(5000)]
        self.assertIn("Athens", self.titles("athens " + " ".join(words)))

    def test_random_text_never_fails(self):
        source = random.Random(11)
        alphabet = "abc \"'()*:^-+~{}[]<>|&!%_\\\néßжш日本😀\u0301\u200d"
        for _ in range(150):
            query = "".join(source.choice(alphabet) for _ in range(source.randrange(1, 60)))
            self.assertEqual(self.kontor.post_json("/search", {"q": query}).status, 200, repr(query))

    # Scope

    def test_scope(self):
        every = self.pages("the commonword athens senate", k=50)
        self.assertTrue(any(p.startswith("history/") for p, _ in every))
        for scope in ("history", "/history/", " history ", "HISTORY", "history///"):
            self.assertEqual({p.split("/")[0] for p, _ in self.pages("athens senate", scope=scope)}, {"history"}, scope)
        self.assertEqual({p for p, _ in self.pages("athens senate", scope="history/rome")}, {"history/rome"})
        self.assertEqual({p for p, _ in self.pages("commonword", scope="many", k=50)}, {"many"}, "a scope is not a prefix of text")
        self.assertEqual(self.pages("athens", scope="docker"), [])
        self.assertEqual(self.pages("athens", scope="no/such/scope"), [])
        self.assertEqual({p for p, _ in self.pages("athens senate", scope="")}, {"history/rome", "history/greece"})

    def test_scope_is_applied_before_k(self):
        self.assertEqual(self.pages("commonword", scope="manyother", k=1), [("manyother", "concepts/x.md")])

    def test_a_pack_with_capitals_is_reached_by_its_scope(self):
        for scope in ("upper/case", "Upper/Case", "UPPER"):
            self.assertEqual(self.pages("uppercasepack", scope=scope), [("Upper/Case", "concepts/one.md")], scope)

    def test_invalid_scopes(self):
        for scope in ("a%", "under_score", "a\\b", "a/../b", ".."):
            reply = self.kontor.post_json("/search", {"q": "x", "scope": scope})
            self.assertEqual((reply.status, reply.body), (400, b'{"detail":"invalid scope"}'), scope)
        self.assertEqual(self.pages("underscorepack"), [("under_score", "concepts/one.md")])

    # Rows

    def test_index_rows_by_the_indexers_grammar(self):
        self.assertEqual(self.kontor.search("Blank", scope="rows")[0]["summary"], "")
        for word in ("Refusedone", "Refusedtwo", "Refusedthree", "Indented"):
            self.assertEqual(self.pages(word, scope="rows"), [], word)
        piped = self.kontor.search("pipeword", scope="rows")[0]
        self.assertEqual((piped["title"], piped["summary"]), ("Piped", "half pipeword | more"))
        self.assertEqual(self.pages("Pageless", scope="rows"), [("rows", "missing.md")])
        self.assertEqual(self.pages("Afterfeed", scope="rows"), [("rows", "i.md")])

    def test_bodies_without_front_matter_up_to_two_thousand_characters(self):
        self.assertEqual(self.pages("visiblebody", scope="rows"), [("rows", "e.md")])
        self.assertEqual(self.pages("hiddenfront", scope="rows"), [])
        self.assertEqual(self.pages("beyondtwothousand", scope="rows"), [])
        self.assertEqual(self.pages("afrontword", scope="rows"), [("rows", "a.md")])

    # Entities

    def lookup(self, term, **options):
        reply = self.kontor.post_json("/lookup_entity", {"term": term, **options})
        self.assertEqual(reply.status, 200)
        for entry in reply.json()["results"]:
            self.assertEqual(set(entry) - {"pack"}, {"pack_path", "match_count"})
        return [(e["pack_path"], e["match_count"]) for e in reply.json()["results"]]

    def test_lookup_counts_rows_by_pack(self):
        self.assertEqual(self.lookup("commonword"), [("many", 80), ("manyother", 1)])
        self.assertEqual(self.lookup("commonword", limit=1), [("many", 80)])
        self.assertEqual(self.lookup("zebrafish"), [("rank", 3)])
        self.assertEqual(self.lookup("qqqqqqqq"), [])
        for blank in ("", " ", "?"):
            self.assertEqual(self.lookup(blank), [], repr(blank))

    def test_lookup_limit_is_clamped(self):
        for limit in (0, -1, 1):
            self.assertEqual(len(self.lookup("commonword", limit=limit)), 1, limit)
        self.assertEqual(len(self.lookup("commonword", limit=10**6)), 2)


class DamagedIndex(broker.BrokerTest):
    """The file goes bad under a running broker: it mends itself, and the log says why."""

    def test_damage_mends_itself(self):
        kontor = self.broker(config="limits: {search_per_minute: 0}\n", prepare=lambda b: packs.library(b.packs)).wait_serving()
        for name in ("index.db", "index.db-wal"):
            path = kontor.data / name
            with open(path, "r+b") as file:
                file.seek(4096)
                file.write(b"\x5a" * max(path.stat().st_size - 4096, 0))

        def found():
            reply = kontor.post_json("/search", {"q": "Rubicon"})
            return reply.status == 200 and len(reply.json()["results"]) == 1
        broker.wait_until(found, "the index to be made anew")
        self.assertIn("index-damaged", kontor.log())


if __name__ == "__main__":
    broker.main()

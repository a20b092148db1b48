#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Search quality and latency of a running broker, on known-item queries.

usage: search_quality.py URL QUERIES.tsv [--half choose|report|all] [--k N] [--scope S] [--passes N]

QUERIES.tsv has one query per line: words TAB pack path TAB page file, the page that the words were taken from.
Prints the mean reciprocal rank of that page among the first k results (MRR@k), the share of queries that found it
at all, and the latency of POST /search over one kept-alive connection: p50, p90, p99 and greatest, in ms.

Lines with even numbers (from 0) are the half that column weights were chosen on, odd ones the half that figures are
reported on; see docs/search.md. The broker must run with limits: {search_per_minute: 0}, otherwise it will answer 429.
Every pass after the first is answered from the broker's cache, if it has one for searches.
"""
import argparse
import http.client
import json
import sys
import time
import urllib.parse


def read_queries(path, half):
    with open(path, encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines if line.strip()]
    for number, row in enumerate(rows):
        if len(row) != 3:
            sys.exit(f"{path}:{number + 1}: three columns expected, {len(row)} found")
    first = {"choose": 0, "report": 1, "all": 0}[half]
    return rows[first:: 1 if half == "all" else 2]


def ask(connection, query, k, scope):
    """Results and seconds of one search."""
    body = json.dumps({"q": query, "k": k, "scope": scope})
    began = time.perf_counter()
    connection.request("POST", "/search", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    payload = response.read()
    seconds = time.perf_counter() - began
    if response.status != 200:
        sys.exit(f"POST /search: {response.status} {payload[:200].decode(errors='replace')}")
    return json.loads(payload)["results"], seconds


def rank_of(results, pack, page):
    """1 for the first place, 0 when the page is not among the results."""
    for place, result in enumerate(results, start=1):
        if result["pack_path"] == pack and result["page_file"] == page:
            return place
    return 0


def run_pass(connection, queries, options):
    ranks, seconds = [], []
    for query, pack, page in queries:
        results, took = ask(connection, query, options.k, options.scope)
        scores = [result["score"] for result in results]
        if scores != sorted(scores) or any(score >= 0 for score in scores):
            sys.exit(f"scores are not negative and ascending: {scores}")
        ranks.append(rank_of(results, pack, page))
        seconds.append(took)
    return ranks, sorted(seconds)


def percentile_ms(ordered, fraction):
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * fraction))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("queries")
    parser.add_argument("--half", choices=("choose", "report", "all"), default="report")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--scope", default="")
    parser.add_argument("--passes", type=int, default=1)
    options = parser.parse_args()
    queries = read_queries(options.queries, options.half)
    if not queries:
        sys.exit(f"{options.queries}: no queries")
    url = urllib.parse.urlsplit(options.url)
    connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=30)
    for number in range(options.passes):
        ranks, seconds = run_pass(connection, queries, options)
        mrr = sum(1 / rank for rank in ranks if rank) / len(ranks)
        found = sum(1 for rank in ranks if rank) / len(ranks)
        print(f"pass {number + 1}: {len(queries)} queries ({options.half}), MRR@{options.k} {mrr:.4f}, "
              f"found {100 * found:.1f} %, p50 {percentile_ms(seconds, .5):.2f} p90 {percentile_ms(seconds, .9):.2f} "
              f"p99 {percentile_ms(seconds, .99):.2f} max {1000 * seconds[-1]:.2f} ms")


if __name__ == "__main__":
    main()

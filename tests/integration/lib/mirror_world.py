# SPDX-License-Identifier: MIT
"""A small world around mirrors: publishers with keys, git repositories with signed packs in them, brokers that mirror one another.

Packs are signed by the program under test (`kontor pack sign`), with times of the world's own clock, which moves on by a minute with
every signature: nothing depends on when or how fast a test runs. Whatever a broker then serves is judged by checker.py, which shares
nothing with the program.
"""
import base64
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.parse

from lib import broker, checker, packs, wire
from lib.ports import free_port

GIT_ENVIRONMENT = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0",
                   "GIT_AUTHOR_NAME": "A Publisher", "GIT_AUTHOR_EMAIL": "publisher@example.org",
                   "GIT_COMMITTER_NAME": "A Publisher", "GIT_COMMITTER_EMAIL": "publisher@example.org"}
FIRST_MINUTE = 29453760  # 2026-01-01T00:00Z, in minutes since the epoch


def utc(minutes):
    """A time as it stands in releases, of minutes since the epoch."""
    return datetime.datetime.fromtimestamp(minutes * 60, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def manifest(path, version, summary="A pack for tests."):
    return packs.manifest(path.rsplit("/", 1)[-1], summary).replace("version: 1.0.0", f"version: {version}")


def lay_pack(root, path, version="1.0.0", text="First.", pages=2):
    """A pack as its publisher writes it: pages, a log and a picture, which OCC's signature does not cover."""
    rows = [(f"concepts/page-{number}.md", f"Page {number}", f"Number {number}.") for number in range(pages)]
    files = {"manifest.yaml": manifest(path, version), "wiki/index.md": packs.index(rows),
             "wiki/log.md": f"# Log\n\n{version}: {text}\n", "wiki/assets/dot.png": b"\x89PNG\r\n\x1a\n" + text.encode()}
    for name, title, summary in rows:
        files[f"wiki/{name}"] = packs.page(title, f"{text} This is {title} of {path}.", summary)
    return packs.write(root, path, files)


class Publisher:
    """Whoever has a key to sign packs with."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.key = world.root / f"{name}.key"
        shown = json.loads(world.kontor("key", "new", "--out", self.key, "--name", name, "--json"))
        self.fingerprint, self.public_key = shown["fingerprint"], shown["public_key"]

    def sign(self, directory, path, *options):
        """Signs one pack at the next minute."""
        self.world.kontor("pack", "sign", directory, "--path", path, "--key", self.key, "--at-time", self.world.tick(), *options)

    def sign_all(self, root):
        self.world.kontor("pack", "sign", "--all", root, "--key", self.key, "--at-time", self.world.tick())

    def entry(self, **members):
        """The publisher in a trust list."""
        return {"fingerprint": self.fingerprint, "name": self.name, "since": "2025-01-01", "note": "", **members}


class Repository:
    """A git repository with a work tree, of one publisher's packs."""

    def __init__(self, world, name, publisher, prefix=""):
        self.world, self.publisher = world, publisher
        self.root = world.root / name
        self.root.mkdir()
        self.packs = self.root / prefix if prefix else self.root
        self.versions = {}
        self.git("init", "-q", "-b", "main")
        self.git("config", "core.autocrlf", "false")

    @property
    def url(self):
        return f"file://{self.root}"

    def git(self, *args):
        done = subprocess.run(["git", "-C", str(self.root), *args], env={**os.environ, **GIT_ENVIRONMENT}, capture_output=True,
                              text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise AssertionError(f"git {' '.join(args)}: {done.stderr}")
        return done.stdout.strip()

    def commit(self, message="change"):
        """Commits everything; the name of the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def write(self, path, text="First.", version=None, publisher=None, **options):
        """Lays a pack down with a version above the one before, and signs it."""
        major = self.versions.get(path, 0) + 1
        self.versions[path] = major
        lay_pack(self.packs, path, version or f"{major}.0.0", text, **options)
        (publisher or self.publisher).sign(self.packs / path, path)

    def write_many(self, paths, text="First."):
        """The same for many new packs with a single signing."""
        for path in paths:
            self.versions[path] = 1
            lay_pack(self.packs, path, "1.0.0", text)
        self.publisher.sign_all(self.packs)

    def withdraw(self, path):
        """Replaces a pack by its tombstone."""
        self.publisher.sign(self.packs / path, path, "--withdraw")

    def remove(self, path):
        """Takes a pack out without a word."""
        shutil.rmtree(self.packs / path)


PLAIN = ("interval", "max_time", "max_bytes")  # durations and sizes are written without quotes


def source(**members):
    """One entry of `mirrors` or `peers`."""
    texts = {name: value if name in PLAIN else json.dumps(value) for name, value in members.items() if value is not None}
    return "{" + ", ".join(f"{name}: {text}" for name, text in texts.items()) + "}"


class Member(broker.Broker):
    """A broker of the world: it knows the world's publishers and keeps its address when it is started again."""

    def __init__(self, world, name, trusted):
        self.port = free_port()
        super().__init__(args=["--listen", f"127.0.0.1:{self.port}"], threads=1)
        self.name, self.world = name, world
        self.mirrors, self.peers, self.more = [], [], []
        self.trust(trusted)
        (self.data / "keys").mkdir(mode=0o700)
        world.kontor("key", "new", "--out", self.data / "keys/broker.key", "--name", name)
        shown = json.loads(world.kontor("key", "show", self.data / "keys/broker.key", "--json"))
        self.broker_key = shown["public_key"]
        self.describe()

    @property
    def address(self):
        """Where it listens or will listen."""
        return f"http://127.0.0.1:{self.port}"

    # What it is told

    def trust(self, publishers):
        """Writes the trust list; publishers, or entries that are ready."""
        entries = [entry.entry() if isinstance(entry, Publisher) else entry for entry in publishers]
        self.trusted = {entry["fingerprint"] for entry in entries}
        (self.data / "trusted_publishers.yaml").write_text(json.dumps({"publishers": entries}) + "\n")

    def mirror(self, name, repository, interval="1s", **options):
        self.mirrors.append(source(name=name, git=repository.url if isinstance(repository, Repository) else repository, interval=interval,
                                   **options))
        return self.describe()

    def peer(self, name, other, interval="1s", key=None, url=None, **options):
        self.peers.append(source(name=name, url=url or other.address, key=key or other.broker_key, interval=interval, **options))
        return self.describe()

    def describe(self):
        """Writes kontor.yaml."""
        lines = [f"name: {self.name}.example", "log: {access: false}", "limits: {search_per_minute: 0, register_per_minute: 0}", *self.more]
        for key, sources in (("mirrors", self.mirrors), ("peers", self.peers)):
            if sources:
                lines += [f"{key}:", *(f"  - {entry}" for entry in sources)]
        self.configure("\n".join(lines) + "\n")
        return self

    # What it says

    def ask(self, method, target, value=None):
        """One request to the loopback interface; its JSON."""
        token = json.loads((self.data / "daemon.json").read_text())["apiToken"]
        headers = [("Host", "127.0.0.1"), ("Authorization", f"Bearer {token}")]
        body = None
        if value is not None:
            headers.append(("Content-Type", "application/json"))
            body = json.dumps(value).encode()
        with wire.Connection(wire.split_address(self.endpoints["api"]), timeout=broker.PATIENCE) as connection:
            reply = connection.request(method, target, headers, body)
        if reply.status // 100 != 2:
            raise AssertionError(f"{target} answered {reply.status} {reply.body[:300]!r}")
        return reply.json()

    def checker(self, token=None):
        public = base64.b64decode(self.broker_key)
        return checker.Checker(self.public, token, checker.verifier_key(f"{self.name}.example", public), broker.PATIENCE)

    def verified(self, token=None, **options):
        """Everything that is served, after the checker has verified it."""
        judge = self.checker(token)
        try:
            return judge.check(self.trusted, **options)
        finally:
            judge.close()

    def catalog(self, token=None):
        """{path: item} as listed, unverified: cheap, for waiting."""
        judge = self.checker(token)
        try:
            return {item["path"]: item for item in judge.listing()}
        finally:
            judge.close()

    def versions(self, token=None):
        return {path: item["version"] for path, item in self.catalog(token).items()}

    def source_status(self, name):
        """What `mirror status` knows of one source."""
        return next(entry for entry in self.ask("GET", "/v1/mirror/status")["sources"] if entry["name"] == name)

    def history(self, source_name=None, path=None):
        """What happened, newest first; all of it."""
        query = "".join(f"&{key}={urllib.parse.quote(value)}" for key, value in (("source", source_name), ("path", path)) if value)
        rows, before = [], 0
        while True:
            page = self.ask("GET", f"/v1/mirror/history?limit=1000&before={before}{query}")["history"]
            rows += page
            if len(page) < 1000:
                return rows
            before = page[-1]["id"]

    def wish(self, source_name, **wishes):
        """Asks for a sync at once; the number after which its events come."""
        return self.ask("POST", "/v1/mirror/sync", {"source": source_name, **wishes})["ticket"]

    def sync(self, source_name, good=True, **wishes):
        """A sync to its end: the event that ends it. `good` None: it may fail."""
        after, events = self.wish(source_name, **wishes), []

        def ended():
            nonlocal after
            answer = self.ask("GET", f"/v1/mirror/events?after={after}")
            events.extend(answer["events"])
            after = answer["next"]
            return next((event for event in events if (event["event"], event["source"]) == ("ended", source_name) and event["wished"]), None)

        end = broker.wait_until(ended, f"{self.name} to sync {source_name}")
        if good is not None and end["ok"] != good:
            raise AssertionError(f"sync of {source_name} at {self.name}: {events}\n{self.log()[-3000:]}")
        return end


class World:
    """A directory, a clock, and everybody in it."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="kontor-world-"))
        self.minutes = FIRST_MINUTE

    def dispose(self):
        shutil.rmtree(self.root, ignore_errors=True)

    def tick(self):
        """The next minute."""
        self.minutes += 1
        return utc(self.minutes)

    def kontor(self, *args, status=0):
        """A command of the program; its output."""
        done = broker.run(*args)
        if done.returncode != status or broker.sanitizer_report(done.stderr):
            raise AssertionError(f"kontor {' '.join(map(str, args))} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def publisher(self, name):
        return Publisher(self, name)

    def repository(self, name, publisher, **options):
        return Repository(self, name, publisher, **options)


class MirrorTest(broker.BrokerTest):
    """A test case with a world of its own."""

    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.dispose)
        self.anna = self.world.publisher("anna")

    def member(self, name, trusted=None):
        """A broker that is not started yet; it is stopped, and its end checked, after the test."""
        member = Member(self.world, name, trusted or [self.anna])
        self.addCleanup(member.dispose)
        self.addCleanup(member.stop)
        return member

    def wait_versions(self, member, expected, token=None):
        """Waits until exactly these packs are served in these versions."""
        seen = {}

        def there():
            seen.clear()
            try:
                seen.update(member.versions(token))
            except checker.NotReady:
                return False
            return seen == expected

        try:
            broker.wait_until(there, "")
        except (AssertionError, wire.Closed) as error:
            raise AssertionError(f"{member.name} serves {seen}, not {expected} ({error!r})\n{member.log()[-6000:]}") from None

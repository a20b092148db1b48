# SPDX-License-Identifier: MIT
"""Starting, watching and stopping one real `kontor serve`.

The program under test is named by the environment variable KONTOR (CTest sets it); KONTOR_SANITIZE says which sanitizers it
was built with, and stretches every patience here. A Broker lives in a directory of its own, listens on ports that the system
chose and is ready when its endpoints.json appears: nothing sleeps for a guessed time. Stopping it is a test as well: exit
status 0, endpoints.json gone, no sanitizer report in the log.
"""
import faulthandler
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from lib import wire, ws

SOURCE = pathlib.Path(os.environ.get("KONTOR_SOURCE") or pathlib.Path(__file__).resolve().parents[3])
PROGRAM = os.environ.get("KONTOR") or str(SOURCE / "build" / "dev" / "kontor")
SANITIZED = bool(os.environ.get("KONTOR_SANITIZE"))
PATIENCE = 60.0 if SANITIZED else 20.0

_REPORT = re.compile(r"(ERROR: (Address|Leak|Thread|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:|assertion failed|"
                     r"ERROR:.*:assertion)")


def environment(extra=None):
    """The environment of every process under test: no setting of the caller leaks in, sanitizers fail loudly."""
    clean = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/nonexistent", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
             "ASAN_OPTIONS": "exitcode=86:detect_stack_use_after_return=1:abort_on_error=0",
             "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=87", "TSAN_OPTIONS": f"exitcode=66:suppressions={SOURCE}/tests/tsan.supp", "G_DEBUG": "fatal-criticals"}
    for name in ("G_SLICE", "LLVM_PROFILE_FILE", "GCOV_PREFIX"):
        if name in os.environ:
            clean[name] = os.environ[name]
    clean.update(extra or {})
    return clean


def run(*args, env=None, timeout=None, stdin=None):
    """One short-lived command of the program: CompletedProcess with text output."""
    return subprocess.run([PROGRAM, *map(str, args)], env=environment(env), text=True, errors="replace", input=stdin,
                          stdin=None if stdin is not None else subprocess.DEVNULL, capture_output=True,
                          timeout=timeout or PATIENCE)


def sanitizer_report(text):
    """The first line of a sanitizer's or assertion's report in `text`, or None."""
    for line in text.splitlines():
        if _REPORT.search(line):
            return line
    return None


def raise_descriptor_limit():
    """As many descriptors as the system grants: tests with a thousand sockets need them on both sides."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def wait_until(condition, what, timeout=None):
    """Polls a condition that has no event of its own; returns its first true value."""
    deadline = time.monotonic() + (timeout or PATIENCE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still waiting for: {what}")
        time.sleep(0.01)


class Broker:
    """One broker process and its data directory."""

    def __init__(self, config=None, threads=None, args=(), env=None, data=None, program=None):
        self.own_directory = data is None
        self.data = pathlib.Path(data or tempfile.mkdtemp(prefix="kontor-test-"))
        self.packs = self.data / "packs"
        self.packs.mkdir(parents=True, exist_ok=True)
        self.log_path = self.data / "test.log"
        self.args = list(args)
        self.threads = threads
        self.env = env
        self.program = program or PROGRAM
        self.process = None
        self.endpoints = None
        if config is not None:
            self.configure(config)

    # Life cycle

    def configure(self, text):
        (self.data / "kontor.yaml").write_text(text)

    def spawn(self):
        """Starts the process and does not wait for it to be ready."""
        command = [self.program, "serve", "--data", str(self.data), "--api", "127.0.0.1:0", *self.args]
        if "--listen" not in self.args:
            command += ["--listen", "127.0.0.1:0"]
        if self.threads:
            command += ["--threads", str(self.threads)]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, env=environment(self.env), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def start(self, timeout=None):
        """Starts the process and returns when everything listens."""
        self.spawn()
        return self.wait_listening(timeout)

    def wait_listening(self, timeout=None):
        """Waits for endpoints.json of the process that was spawned."""
        path = self.data / "endpoints.json"

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"kontor serve ended with {self.process.returncode}:\n{self.log()[-4000:]}")
            try:
                endpoints = json.loads(path.read_text())
            except (FileNotFoundError, json.JSONDecodeError) as error:
                # The file is renamed into place, so half a document would be a defect of the program.
                if isinstance(error, json.JSONDecodeError):
                    raise AssertionError("endpoints.json was seen half written") from error
                return None
            return endpoints if endpoints.get("pid") == self.process.pid else None

        self.endpoints = wait_until(ready, "endpoints.json", timeout)
        return self

    def wait_serving(self, timeout=None):
        """Waits until the catalog and the search index are ready, which is what /readyz says."""
        wait_until(lambda: self.get("/readyz").status == 200, "/readyz to answer 200", timeout)
        return self

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, timeout=None):
        return self.process.wait(timeout or PATIENCE)

    def stop(self):
        """SIGTERM, and everything that a clean end promises."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            status = self.wait_exit()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"kontor serve did not stop:\n{self.log()[-4000:]}") from None
        self.process = None
        report = sanitizer_report(self.log())
        if report:
            raise AssertionError(f"sanitizer: {report}\n{self.log()[-12000:]}")
        if status != 0:
            raise AssertionError(f"kontor serve ended with {status}:\n{self.log()[-6000:]}")
        if (self.data / "endpoints.json").exists():
            raise AssertionError("endpoints.json outlived the program")

    def kill(self):
        """kill -9: what a power cut looks like to the program."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def dispose(self):
        self.kill()
        if self.own_directory:
            shutil.rmtree(self.data, ignore_errors=True)

    # What is known about it

    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    @property
    def public(self):
        """(host, port) of the plain public listener."""
        value = self.endpoints["public"]
        return wire.split_address(value[0] if isinstance(value, list) else value)

    @property
    def api(self):
        return wire.split_address(self.endpoints["api"])

    @property
    def url(self):
        host, port = self.public
        return f"http://{host}:{port}"

    @property
    def pid(self):
        return self.process.pid

    # Short cuts

    def connect(self, **options):
        return wire.Connection(self.public, timeout=PATIENCE, **options)

    def request(self, method, target, headers=(), body=None):
        """One request on a connection of its own."""
        with self.connect() as connection:
            return connection.request(method, target, headers, body)

    def get(self, target, headers=()):
        return self.request("GET", target, headers)

    def post_json(self, target, value, headers=()):
        body = json.dumps(value, ensure_ascii=False).encode()
        return self.request("POST", target, [("Content-Type", "application/json"), *headers], body)

    def search(self, query, **options):
        reply = self.post_json("/search", {"q": query, **options})
        if reply.status != 200:
            raise AssertionError(f"/search answered {reply.status} {reply.body!r}")
        return reply.json()["results"]

    def websocket(self, path="/ws", **options):
        return ws.WebSocket(self.public, path, timeout=PATIENCE, **options)

    def reindex(self, token, pack_path=None):
        body = {} if pack_path is None else {"pack_path": pack_path}
        return self.post_json("/admin/reindex", body, [("X-OCC-Token", token)])

    def command(self, *args, **options):
        """A short-lived command on this broker's data directory."""
        return run(*args, "--data", self.data, **options)


class BrokerTest(unittest.TestCase):
    """A test case that makes brokers and ends them properly, whatever happens."""

    maxDiff = 4000

    def broker(self, start=True, prepare=None, **options):
        """A new broker; `prepare(broker)` lays down its files before it starts. It is stopped, and its end checked, after the
        test."""
        broker = Broker(**options)
        self.addCleanup(broker.dispose)
        if prepare:
            prepare(broker)
        if start:
            broker.start()
        self.addCleanup(broker.stop)
        return broker


class SharedBrokerTest(unittest.TestCase):
    """A test case whose tests share one broker that none of them changes."""

    maxDiff = 4000
    options = {}
    kontor = None

    @classmethod
    def prepare(cls, broker):
        """Lays down the files of the broker before it starts."""

    @classmethod
    def setUpClass(cls):
        cls.kontor = Broker(**cls.options)
        cls.addClassCleanup(cls.kontor.dispose)
        cls.prepare(cls.kontor)
        cls.kontor.start()
        cls.addClassCleanup(cls.kontor.stop)
        cls.kontor.wait_serving()


def main():
    """Runs the tests of the calling file. A test that hangs ends with the stacks of all threads."""
    faulthandler.dump_traceback_later(280, exit=True)
    raise_descriptor_limit()
    if not os.access(PROGRAM, os.X_OK):
        sys.exit(f"no program at {PROGRAM}: build it, or name it in the environment variable KONTOR")
    unittest.main(verbosity=2)

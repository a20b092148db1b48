# SPDX-License-Identifier: MIT
"""The command line: every command, its JSON, its exit codes (0 done, 1 failed, 2 usage, 3 not found, 4 unreachable)."""
import json
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from lib import broker, node, packs

OK, FAILURE, USAGE, NOT_FOUND, UNREACHABLE = range(5)
COMMANDS = ("serve", "init", "config check", "config show", "search", "tree", "get", "status", "version", "help")


class WithoutBroker(broker.BrokerTest):
    def setUp(self):
        self.data = pathlib.Path(tempfile.mkdtemp(prefix="kontor-cli-"))
        self.addCleanup(shutil.rmtree, self.data, ignore_errors=True)

    def run_ok(self, *args, **options):
        done = broker.run(*args, **options)
        self.assertEqual((done.returncode, broker.sanitizer_report(done.stderr)), (OK, None), (args, done.stderr))
        return done.stdout

    def fails(self, status, *args, **options):
        done = broker.run(*args, **options)
        self.assertEqual((done.returncode, broker.sanitizer_report(done.stderr)), (status, None), (args, done.stdout, done.stderr))
        self.assertEqual(done.stdout, "", args)
        complaint, *hint = done.stderr.strip().splitlines()
        self.assertTrue(complaint.startswith("kontor: "), done.stderr)
        self.assertLessEqual(len(hint), 1, f"one line of complaint and at most one of help: {done.stderr}")
        return complaint

    def test_version(self):
        self.assertRegex(self.run_ok("version"), r"\Akontor [0-9]+\.[0-9]+\.[0-9]+\S*\n\Z")
        self.assertRegex(json.loads(self.run_ok("version", "--json"))["version"], r"\A[0-9]+\.[0-9]+\.[0-9]+")
        self.assertIn(self.run_ok("version").split()[1], self.run_ok("--version"))

    def test_help(self):
        overview = self.run_ok("help")
        for command in COMMANDS:
            self.assertIn(command, overview)
            text = self.run_ok("help", *command.split())
            self.assertIn(f"kontor {command}", text)
            self.assertEqual(self.run_ok(*command.split(), "--help"), text)
        self.assertEqual(self.run_ok("--help"), overview)

    def test_usage_errors(self):
        self.assertIn("search", self.fails(USAGE, "serach"))
        self.assertIn("--scope", self.fails(USAGE, "search", "--scop", "x", "q"))
        for args in (["nothing"], ["search"], ["get"], ["get", "a", "b", "c"], ["search", "-k", "many", "q"], ["search", "-k", "0", "q"],
                     ["search", "-k"], ["config", "nothing"], ["version", "extra"], ["serve", "--threads", "-1"], ["serve", "--listen", "x:y"],
                     ["help", "nothing"], ["tree", "--depth", "99999", "x"], ["", ""]):
            self.fails(USAGE, *args)
        self.assertNotEqual(broker.run().returncode, 139)

    def test_nobody_answers(self):
        for args in (["search", "x"], ["tree"], ["get", "docker"]):
            self.fails(UNREACHABLE, *args, "--at", "http://127.0.0.1:1")
        self.fails(UNREACHABLE, "status", "--data", self.data)
        for args in (["search", "x"], ["tree"], ["get", "docker"]):
            self.assertIn(str(self.data), self.fails(UNREACHABLE, *args, "--data", self.data))

    def test_what_is_no_url(self):
        for url in ("ftp://127.0.0.1/", "http://user:secret@127.0.0.1:1", "not a url"):
            complaint = self.fails(FAILURE, "tree", "--at", url)
            self.assertNotIn("secret", complaint)

    def test_init_prepares_and_keeps(self):
        data = self.data / "new"
        self.assertIn(f"kontor serve --data {data}", self.run_ok("init", "--data", data))
        self.assertTrue((data / "packs").is_dir())
        self.assertTrue((data / "kontor.yaml").is_file())
        self.assertEqual(data.stat().st_mode & 0o007, 0, "not open to everybody")
        self.run_ok("config", "check", "--data", data)
        (data / "kontor.yaml").write_text("name: mine\n")
        self.run_ok("init", "--data", data)
        self.assertEqual((data / "kontor.yaml").read_text(), "name: mine\n")
        kontor = broker.Broker(data=data)
        self.addCleanup(kontor.kill)
        kontor.start()
        self.assertEqual(kontor.get("/healthz").status, 200)
        kontor.stop()

    def test_init_where_it_cannot(self):
        (self.data / "file").write_text("x")
        done = broker.run("init", "--data", self.data / "file" / "below")
        self.assertIn(done.returncode, (FAILURE, NOT_FOUND))
        self.assertIn("below", done.stderr)

    def test_config_check(self):
        config = self.data / "kontor.yaml"
        self.run_ok("config", "check", "--data", self.data)
        config.write_text("name: library.example\nlisten: [127.0.0.1:8000, '[::1]:8000']\nlimits: {nodes: 5}\n")
        self.run_ok("config", "check", "--data", self.data)
        config.write_text("name: x\nlimits:\n  nods: 5\n")
        self.assertRegex(self.fails(USAGE, "config", "check", "--data", self.data), r"kontor\.yaml:3: .*nods")
        elsewhere = self.data / "other.yaml"
        elsewhere.write_text("api: 0.0.0.0:1\n")
        self.assertIn("other.yaml:1", self.fails(USAGE, "config", "check", "--data", self.data, "--config", elsewhere))

    def test_config_show_is_a_configuration(self):
        (self.data / "kontor.yaml").write_text("name: library.example\nlimits: {search_per_minute: 7}\nproxies: [10.0.0.0/8]\n")
        shown = self.run_ok("config", "show", "--data", self.data)
        self.assertIn("library.example", shown)
        (self.data / "kontor.yaml").write_text(shown)
        self.assertEqual(self.run_ok("config", "show", "--data", self.data), shown)
        import yaml
        value = yaml.safe_load(shown)
        self.assertEqual((value["limits"]["search_per_minute"], value["proxies"]), (7, ["10.0.0.0/8"]))

    def test_environment_names_the_data_directory(self):
        (self.data / "kontor.yaml").write_text("name: from.environment\n")
        self.assertIn("from.environment", self.run_ok("config", "show", env={"KONTOR_DATA": str(self.data)}))

    def test_bash_completion_and_man_pages_know_every_command(self):
        found = {name: list(broker.SOURCE.rglob(name)) for name in ("kontor.1*", "kontor.yaml.5*", "*completion*")}
        sources = [p for p in found["kontor.1*"] if "build" not in p.parts]
        self.assertTrue(sources, "kontor(1)")
        manual = sources[0].read_text()
        for command in COMMANDS:
            self.assertRegex(manual.replace("\\-", "-").replace("\\ ", " "), command.replace(" ", r"\W+"), f"kontor(1) on {command}")


class WithBroker(broker.SharedBrokerTest):
    options = {"config": "limits: {search_per_minute: 0}\n"}

    @classmethod
    def prepare(cls, kontor):
        packs.library(kontor.packs)
        packs.write(kontor.packs, "malformed", {"wiki/index.md": b"\xff\xfe"})

    def run_ok(self, *args):
        done = self.kontor.command(*args)
        self.assertEqual((done.returncode, broker.sanitizer_report(done.stderr)), (OK, None), (args, done.stderr))
        return done.stdout

    def status_of(self, *args):
        return self.kontor.command(*args).returncode

    def test_search(self):
        text = self.run_ok("search", "Rubicon")
        for part in ("Gaius Julius Caesar", "history/rome", "concepts/caesar.md", "Dictator of Rome."):
            self.assertIn(part, text)
        results = json.loads(self.run_ok("search", "--json", "-k", "1", "caesar", "senate"))["results"]
        self.assertEqual(len(results), 1)
        self.assertEqual(results, self.kontor.search("caesar senate", k=1))
        scoped = json.loads(self.run_ok("search", "--json", "--scope", "history", "athens container senate"))["results"]
        self.assertEqual({r["pack_path"].split("/")[0] for r in scoped}, {"history"})
        self.assertEqual(json.loads(self.run_ok("search", "--json", "qqqqqq"))["results"], [])
        self.assertEqual(self.run_ok("search", "qqqqqq"), "")

    def test_search_at_a_url(self):
        done = broker.run("search", "--at", self.kontor.url, "Rubicon")
        self.assertEqual((done.returncode, "caesar.md" in done.stdout), (OK, True), done.stderr)
        done = broker.run("search", "--at", self.kontor.url + "/", "-k3", "Rubicon")
        self.assertEqual(done.returncode, OK, done.stderr)

    def test_tree(self):
        text = self.run_ok("tree")
        for name in ("docker", "history", "rome", "physik"):
            self.assertIn(name, text)
        self.assertEqual(json.loads(self.run_ok("tree", "--json")), self.kontor.get("/tree").json())
        self.assertEqual(json.loads(self.run_ok("tree", "history", "--json")), self.kontor.get("/tree/history").json())
        self.assertEqual(self.status_of("tree", "nothing"), NOT_FOUND)

    def test_get(self):
        index = (self.kontor.packs / "docker/wiki/index.md").read_text()
        self.assertEqual(self.run_ok("get", "docker"), index)
        self.assertEqual(self.run_ok("get", "history/rome", "concepts/caesar.md"),
                         (self.kontor.packs / "history/rome/wiki/concepts/caesar.md").read_text())
        self.assertEqual(self.run_ok("get", "docker", "manifest.yaml"), (self.kontor.packs / "docker/manifest.yaml").read_text())
        for args in (["nothing"], ["docker", "nothing.md"], ["docker", "manifest.sig"], ["docker", "../../kontor.yaml"]):
            self.assertEqual(self.status_of("get", *args), NOT_FOUND, args)

    def test_status(self):
        text = self.run_ok("status")
        self.assertIn("malformed", text)
        value = json.loads(self.run_ok("status", "--json"))
        flat = json.dumps(value)
        self.assertIn("malformed", flat)
        self.assertTrue(re.search(r'"packs":\s*(5|\{[^}]*5)', flat), flat[:500])

    def test_refusals_are_failures(self):
        done = self.kontor.command("search", "--scope", "../x", "q")
        self.assertEqual((done.returncode, done.stdout), (FAILURE, ""))
        self.assertIn("400: invalid scope", done.stderr)
        for path in ("..", "history/../../x", "."):
            self.assertIn(self.status_of("tree", path), (FAILURE, NOT_FOUND), path)

    def test_wrong_answers_are_failures(self):
        done = broker.run("search", "--at", f"http://127.0.0.1:{self.kontor.api[1]}", "x")
        self.assertIn(done.returncode, (FAILURE, NOT_FOUND))
        self.assertNotIn("Traceback", done.stderr)

    def test_output_that_nobody_reads(self):
        command = [broker.PROGRAM, "tree", "--data", str(self.kontor.data)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=broker.environment()) as process:
            process.stdout.close()
            process.wait(broker.PATIENCE)
            self.assertIn(process.returncode, (0, 1, -signal.SIGPIPE))
            process.stderr.close()

    def test_limits_of_the_rate_are_told(self):
        kontor = broker.Broker(config="limits: {search_per_minute: 1}\n")
        self.addCleanup(kontor.dispose)
        kontor.start().wait_serving()
        kontor.command("search", "x")
        done = kontor.command("search", "x")
        self.assertEqual(done.returncode, FAILURE)
        self.assertRegex(done.stderr, r"(?i)(429|rate|limit)")
        kontor.stop()

    def test_nodes_show_in_the_status(self):
        with node.Agent(self.kontor, node.Identity("counted")):
            self.assertRegex(json.dumps(json.loads(self.run_ok("status", "--json"))), r'"nodes":\s*(1|\{[^}]*1)')


if __name__ == "__main__":
    broker.main()

# SPDX-License-Identifier: MIT
"""The same packs over every transport of git, through a whole broker: fetched, verified, served, changed, fetched again. What a server
must prove, what it may not see, and what is said when it is the wrong one."""
import os
import pwd
import shutil
import subprocess

from lib import broker, git_servers, mirror_world

PATHS = ["history/rome", "history/greece", "bread"]
SECRET = "s3cret-token"


class Transports(mirror_world.MirrorTest):
    def setUp(self):
        super().setUp()
        self.library = self.world.repository("library", self.anna)
        self.library.write_many(PATHS)
        self.library.commit("first")
        self.kontor = self.member("north")

    def server(self, kind, *args, **options):
        server = kind(self.world.root, *args, **options)
        self.addCleanup(server.stop)
        return server

    def file(self, name, text):
        path = self.world.root / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def mirror(self, url, **options):
        """Mirrors that URL, and nothing else, and syncs only when told to."""
        self.kontor.mirrors.clear()
        self.kontor.mirror("commons", url, interval="1h", **options)
        return self.kontor

    def goes_well(self, url, **options):
        """First all packs, then one that changed and one that is new; then there is nothing to do."""
        self.mirror(url, **options).start().wait_serving()
        self.kontor.sync("commons")
        self.wait_versions(self.kontor, dict.fromkeys(PATHS, "1.0.0"))
        self.library.write("bread", "Changed.")
        self.library.write("garden", "New.")
        commit = self.library.commit("second")
        self.kontor.sync("commons")
        self.wait_versions(self.kontor, {**dict.fromkeys(PATHS, "1.0.0"), "bread": "2.0.0", "garden": "1.0.0"})
        self.kontor.verified()
        end = self.kontor.sync("commons")
        self.assertEqual((end["ok"], self.kontor.source_status("commons")["detail"]), (True, ""))
        self.assertEqual(len(commit), 40)
        self.tells_no_secret()

    def goes_wrong(self, url, message, **options):
        """Nothing is served, and the reason is shown."""
        if self.kontor.process:
            self.kontor.stop()
        self.mirror(url, **options).start().wait_serving()
        self.kontor.sync("commons", good=False)
        error = self.kontor.source_status("commons")["detail"]
        self.assertIn(message, error)
        self.assertEqual(self.kontor.versions(), {})
        self.tells_no_secret()
        return error

    def tells_no_secret(self):
        """Neither the log nor anything that is told has the password in it; nor do files other than its own."""
        self.assertNotIn(SECRET, self.kontor.log())
        self.assertNotIn(SECRET, str(self.kontor.ask("GET", "/v1/mirror/status")))
        self.assertNotIn(SECRET, str(self.kontor.history("commons")))
        done = subprocess.run(["grep", "-rlF", SECRET, str(self.kontor.data)], capture_output=True, text=True, check=False)
        self.assertEqual(done.stdout, "")

    # On this machine

    def test_file(self):
        self.goes_well(self.library.url)
        self.assertFalse((self.kontor.data / "store/git").is_dir() and os.listdir(self.kontor.data / "store/git"))

    def test_bare_path(self):
        bare = self.world.root / "bare.git"
        self.library.git("clone", "-q", "--bare", self.library.root, bare)
        self.mirror(str(bare)).start().wait_serving()
        self.wait_versions(self.kontor, dict.fromkeys(PATHS, "1.0.0"))
        self.library.write("bread", "Changed.")
        self.library.commit()
        self.library.git("push", "-q", str(bare), "main")
        shutil.rmtree(bare / "hooks", ignore_errors=True)
        subprocess.run(["git", "-C", bare, "gc", "-q", "--prune=now"], check=True, env={**os.environ, **mirror_world.GIT_ENVIRONMENT})
        self.kontor.sync("commons")
        self.wait_versions(self.kontor, {**dict.fromkeys(PATHS, "1.0.0"), "bread": "2.0.0"})

    def test_branch_tag_and_path(self):
        self.library.git("tag", "-a", "-m", "one", "v1")
        self.library.git("checkout", "-q", "-b", "dev")
        self.library.write("bread", "Changed.")
        self.library.commit()
        self.library.git("checkout", "-q", "main")
        self.mirror(self.library.url, branch="dev", include=["bread"]).start().wait_serving()
        self.wait_versions(self.kontor, {"bread": "2.0.0"})
        self.kontor.stop()
        self.goes_wrong(self.library.url, "no branch 'gone'; there are: dev, main", branch="gone")
        self.goes_wrong(self.library.url, "no tag 'v2'; there are: v1", tag="v2")
        self.goes_wrong(self.library.url, "no directory 'cellar' in the repository", path="cellar")
        self.goes_wrong(f"file://{self.world.root}/nowhere", "is no git repository")

    def test_no_pack_repository(self):
        other = self.world.repository("other", self.anna)
        (other.root / "README.md").write_text("Not here.\n")
        self.goes_wrong(other.url, "the repository is empty")
        other.commit()
        self.goes_wrong(other.url, "is no pack repository: no directory below its root has manifest.yaml and wiki/index.md")

    # Over the network

    def test_daemon(self):
        self.goes_well(self.server(git_servers.Daemon).url("library"))
        self.assertEqual(len(os.listdir(self.kontor.data / "store/git")), 1)

    def test_http(self):
        self.goes_well(self.server(git_servers.SmartHttp).url("library"))

    def test_login(self):
        server = self.server(git_servers.SmartHttp, login=("reader", SECRET))
        self.goes_wrong(server.url("library"), "the server wants credentials (HTTP status 401)")
        self.goes_wrong(server.url("library"), "the server refuses the credentials", token_file=self.file("wrong", "wrong\n"), user="reader")
        self.kontor.stop()
        self.goes_well(server.url("library"), token_file=self.file("token", SECRET + "\n"), user="reader")

    def test_netrc(self):
        server = self.server(git_servers.SmartHttp, login=("reader", SECRET))
        text = f"machine git.example login reader password wrong\nmachine 127.0.0.1\n  login reader\n  password {SECRET}\n"
        self.goes_well(server.url("library"), netrc=self.file("netrc", text))

    def test_tls(self):
        both, cert = git_servers.certificate(self.world.root)
        other_cert = git_servers.certificate(self.world.root, "other")[1]
        server = self.server(git_servers.SmartHttp, certificate=both, login=("git", SECRET))
        token = self.file("token", SECRET + "\n")
        self.goes_wrong(server.url("library"), "certificate is not trusted", token_file=token)
        self.goes_wrong(server.url("library"), "certificate is not trusted", token_file=token, ca=str(other_cert))
        self.assertEqual(server.requests, [])
        self.kontor.stop()
        self.goes_well(server.url("library"), token_file=token, ca=str(cert))

    def test_redirect(self):
        target = self.server(git_servers.SmartHttp)
        server = self.server(git_servers.SmartHttp, redirect=target.url(""))
        self.goes_wrong(server.url("library"), f"redirects to {target.url('')}", token_file=self.file("token", SECRET + "\n"))
        self.assertEqual(target.requests, [])

    def test_wrong_places(self):
        server = self.server(git_servers.SmartHttp)
        daemon = self.server(git_servers.Daemon)
        self.goes_wrong(server.url("nothing"), "no such repository (HTTP status 404)")
        self.goes_wrong(daemon.url("nothing"), "the server refuses: ")
        self.goes_wrong(server.url("library"), "no branch 'gone'; there are: main", branch="gone")
        self.goes_wrong(f"http://127.0.0.1:{git_servers.free_port()}/x.git", "connect")
        self.goes_wrong(daemon.url("library"), "raise max_bytes", max_bytes="1KiB")

    def test_ssh(self):
        directory = self.world.root / "ssh"
        directory.mkdir()
        try:
            sshd = git_servers.Sshd(directory)
        except NotImplementedError as error:
            self.skipTest(str(error))
        self.addCleanup(sshd.stop)
        url, user = sshd.url(self.library.root), pwd.getpwuid(os.getuid()).pw_name
        known = self.file("known_hosts", "# ours\n" + sshd.known_hosts())
        good = {"user": user, "ssh_key": str(sshd.key)}
        self.goes_wrong(url, "is of a host that is not in", known_hosts=self.file("empty", sshd.known_hosts(host="git.example")), **good)
        self.goes_wrong(url, "is not the one, or not of the kind, in",
                        known_hosts=self.file("wrong", sshd.known_hosts(sshd.public(sshd.other_key))), **good)
        self.goes_wrong(url, "is revoked in", known_hosts=self.file("revoked", sshd.known_hosts() + "@revoked " + sshd.known_hosts()), **good)
        self.goes_wrong(url, "the server refused the key", known_hosts=known, user=user, ssh_key=str(sshd.other_key))
        self.kontor.stop()
        self.goes_well(url, known_hosts=known, **good)

    def test_ssh_with_several_host_keys(self):
        """Only the less liked of the server's keys is known: that one is asked for, hashed name or not."""
        directory = self.world.root / "ssh"
        directory.mkdir()
        try:
            sshd = git_servers.Sshd(directory, kinds=("ed25519", "ecdsa", "rsa"))
        except NotImplementedError as error:
            self.skipTest(str(error))
        self.addCleanup(sshd.stop)
        user = pwd.getpwuid(os.getuid()).pw_name
        known = self.world.root / "known_hosts"
        known.write_text(sshd.known_hosts(sshd.host_keys["ecdsa"]))
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, capture_output=True)
        self.assertIn("|1|", known.read_text())
        self.goes_well(sshd.url(self.library.root), known_hosts=str(known), user=user, ssh_key=str(sshd.key))


if __name__ == "__main__":
    broker.main()

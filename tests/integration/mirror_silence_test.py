# SPDX-License-Identifier: MIT
"""Sources that take all the time they are given, each in its own way, beside one that is well: how long that one waits. And that what
a source is trusted with appears nowhere.
"""
import contextlib
import os
import pathlib
import socket
import threading
import time

from lib import broker, mirror_world

SECRET = "s3cr3t-that-nobody-may-see"
BUDGET = 2  # seconds of a sync of each bad source
OVERTIME = 10  # seconds after which an agent that hangs ends itself


class Server:
    """Takes connections; says `greeting` at once, then `drip` once in a while, and listens to nothing."""

    def __init__(self, greeting=b"", drip=b""):
        self.greeting, self.drip, self.heard = greeting, drip, b""
        self.socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.socket.getsockname()[1]}"

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.play, args=(self.socket.accept()[0],), daemon=True).start()

    def play(self, connection):
        with contextlib.suppress(OSError), connection:
            connection.settimeout(0.2)
            connection.sendall(self.greeting)
            while True:
                with contextlib.suppress(TimeoutError):
                    data = connection.recv(65536)
                    self.heard += data
                    if not data:
                        return
                connection.sendall(self.drip)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class MirrorSilence(mirror_world.MirrorTest):
    def setUp(self):
        super().setUp()
        self.library = self.world.repository("library", self.anna)

    def server(self, *args, **options):
        server = Server(*args, **options)
        self.addCleanup(server.close)
        return server

    def secret_file(self, name, text):
        path = pathlib.Path(self.world.root) / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def test_three_bad_sources_and_a_good_one(self):
        """Silent after the connection is made (git, ssh), and answering a byte at a time (http): each costs its own budget, and ssh, which
        cannot be interrupted, the overtime of the agent."""
        self.library.write("rome")
        self.library.commit()
        git, ssh = self.server(), self.server(b"SSH-2.0-OpenSSH_9.2\r\n")
        http = self.server(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n", b"0")
        key = self.secret_file("key", "-----BEGIN OPENSSH PRIVATE KEY-----\n")
        host, _, port = ssh.address.rpartition(":")
        known = self.secret_file("known", f"[{host}]:{port} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
        north = self.member("north").mirror("library", self.library)
        north.mirror("quiet", f"git://{git.address}/p", max_time=f"{BUDGET}s")
        north.mirror("mute", f"ssh://git@{ssh.address}/p", ssh_key=str(key), known_hosts=str(known), max_time=f"{BUDGET}s")
        north.mirror("drip", f"http://{http.address}/p", max_time=f"{BUDGET}s")
        north.start().wait_serving()
        self.wait_versions(north, {"rome": "1.0.0"})
        for number in range(2, 4):
            begin = time.monotonic()
            self.library.write("rome")
            self.library.commit()
            self.wait_versions(north, {"rome": f"{number}.0.0"})
            self.assertLess(time.monotonic() - begin, 3 * BUDGET + OVERTIME + 5)
        for name in ("quiet", "mute", "drip"):
            broker.wait_until(lambda: north.source_status(name)["failures"] > 0, f"{name} to fail", 60)
        self.assertEqual(north.source_status("library")["failures"], 0)

    def everything_said(self, member):
        """What others could see of a member: its log, the loopback interface, what it serves, its processes."""
        said = [member.log()]
        for target in ("/v1/mirror/status", "/v1/mirror/history?limit=1000", "/v1/mirror/events?after=0"):
            said.append(str(member.ask("GET", target)))
        said += [str(member.get(target).body) for target in ("/", "/metrics", "/version", "/catalog")]
        pid = member.ask("GET", "/v1/mirror/status")["agent"]["pid"]
        for pid in filter(None, (pid, member.process.pid)):
            said += [pathlib.Path(f"/proc/{pid}/cmdline").read_text(), self.environment(pid)]
        for place, _, names in os.walk(member.data):
            said += [f"{place}/{name}" for name in names]
            said += [pathlib.Path(place, name).read_bytes().decode(errors="replace") for name in names if not name.endswith(".token")]
        return "\n".join(said)

    def environment(self, pid):
        """The agent's may not even be read by its own user."""
        with contextlib.suppress(PermissionError):
            return pathlib.Path(f"/proc/{pid}/environ").read_text()
        return ""

    def test_secrets_appear_nowhere(self):
        """A token that is refused, whose server redirects, or that goes to a peer that is none: it is in the requests to its own host, and
        nowhere else."""
        elsewhere = self.server()
        moved = f"HTTP/1.1 302 Found\r\nLocation: http://{elsewhere.address}/p/info/refs\r\nContent-Length: 0\r\n\r\n".encode()
        refusing = self.server(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        moving, peer = self.server(moved), self.server(moved)
        token = self.secret_file("git.token", SECRET + "\n")
        netrc = self.secret_file("netrc.token", f"machine 127.0.0.1 login bot password {SECRET}\n")
        north = self.member("north")
        north.mirror("refusing", f"http://{refusing.address}/p", token_file=str(token), max_time="5s")
        north.mirror("moving", f"http://{moving.address}/p", netrc=str(netrc), max_time="5s")
        north.peer("peer", None, url=f"http://{peer.address}", key="A" * 43 + "=", token_file=str(token), max_time="5s")
        north.start().wait_serving()
        for name in ("refusing", "moving", "peer"):
            north.sync(name, good=False)
        for server in (moving, peer):
            broker.wait_until(lambda: b"Authorization: " in server.heard, "the token to arrive at its host")
        self.assertIn(SECRET.encode(), peer.heard)
        self.assertEqual(elsewhere.heard, b"")
        said = self.everything_said(north)
        self.assertIn("refusing", said)
        self.assertNotIn(SECRET, said)


if __name__ == "__main__":
    broker.main()

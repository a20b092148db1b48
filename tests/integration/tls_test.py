# SPDX-License-Identifier: MIT
"""TLS: https and wss on one port, HTTP/2, and a certificate that is exchanged while connections live on."""
import json
import pathlib
import signal
import socket
import ssl
import subprocess

from lib import broker, node, packs, wire, ws

CONFIG = """
listen_tls: ["127.0.0.1:0"]
tls: {cert: cert.pem, key: key.pem}
limits: {register_per_minute: 0, search_per_minute: 0}
"""


# libwebsockets 4.1.6 keeps the client side of a virtual host's TLS when its context is destroyed: a few kilobytes per certificate
# at the end of the program. Only whole call stacks tell that from a leak of ours.
LEAKS = broker.SOURCE / "tests/integration/lib/libwebsockets.supp"
ENVIRONMENT = {"ASAN_OPTIONS": "exitcode=86:fast_unwind_on_malloc=0",
               "LSAN_OPTIONS": f"suppressions={LEAKS}:print_suppressions=0"} if broker.SANITIZED else {}


def certificate(directory, name, suffix=""):
    """A self-signed certificate for localhost, laid down by rename."""
    cert, key = directory / "cert.new", directory / "key.new"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
                   check=True, capture_output=True)
    key.chmod(0o600)
    key.rename(directory / f"key{suffix}.pem")
    cert.rename(directory / f"cert{suffix}.pem")


def tls_address(kontor):
    """The TLS listener among the endpoints."""
    return wire.split_address(kontor.endpoints["tls"][0])


class Tls(broker.BrokerTest):
    def serving(self):
        def prepare(b):
            packs.library(b.packs)
            certificate(b.data, "first")
        kontor = self.broker(config=CONFIG, prepare=prepare, env=ENVIRONMENT).wait_serving()
        self.address = tls_address(kontor)
        return kontor

    def context(self, kontor, **options):
        context = ssl.create_default_context(cafile=str(kontor.data / "cert.pem"))
        for name, value in options.items():
            setattr(context, name, value)
        return context

    def connect(self, kontor, **options):
        connection = wire.Connection(self.address, timeout=broker.PATIENCE, tls=self.context(kontor, **options))
        self.addCleanup(connection.close)
        return connection

    def test_https_answers_like_http(self):
        kontor = self.serving()
        connection = self.connect(kontor)
        for target in ("/tree", "/packs", "/packs/docker/wiki/index.md", "/nothing", "/packs/summaries", "/version"):
            secure, plain = connection.request("GET", target), kontor.get(target)
            self.assertEqual((secure.status, secure.type, secure.body, secure.header("ETag")),
                             (plain.status, plain.type, plain.body, plain.header("ETag")), target)
        reply = connection.request("POST", "/search", [("Content-Type", "application/json")], b'{"q":"Rubicon"}')
        self.assertEqual(reply.json()["results"][0]["pack_path"], "history/rome")
        head = connection.request("HEAD", "/packs/docker/wiki/index.md")
        self.assertEqual((head.status, head.header("Content-Length")), (200, plain_length(kontor, "/packs/docker/wiki/index.md")))
        tag = connection.request("GET", "/tree").header("ETag")
        self.assertEqual(connection.request("GET", "/tree", [("If-None-Match", tag)]).status, 304)
        self.assertEqual(connection.request("POST", "/tree", (), b"").status, 405)
        self.assertEqual(connection.request("POST", "/search", [("Content-Type", "application/json")], b"{}").status, 422)

    def test_a_large_page(self):
        kontor = self.serving()
        text = "".join(f"line {i}\n" for i in range(300000))
        packs.write(kontor.packs, "docker", {"wiki/large.md": text})
        kontor.signal(signal.SIGHUP)
        broker.wait_until(lambda: kontor.get("/packs/docker/wiki/large.md").status == 200, "the large page")
        self.assertEqual(self.connect(kontor).request("GET", "/packs/docker/wiki/large.md").body, text.encode())

    def test_old_protocols_are_refused(self):
        kontor = self.serving()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, OSError)):
            wire.Connection(self.address, tls=context)
        self.assertEqual(self.connect(kontor).request("GET", "/healthz").status, 200)

    def test_plain_http_on_the_tls_port_gets_nothing(self):
        kontor = self.serving()
        with wire.Connection(self.address, timeout=broker.PATIENCE) as connection:
            connection.send(b"GET /tree HTTP/1.1\r\nHost: t\r\n\r\n")
            self.assertNotIn(b"docker", connection.read_to_end())
        for data in (b"", b"\x16\x03\x01", b"\x00" * 100):
            with wire.Connection(self.address) as connection:
                connection.send(data)
        self.assertEqual(self.connect(kontor).request("GET", "/healthz").status, 200)

    def curl(self, kontor, *args):
        command = ["curl", "--silent", "--show-error", "--cacert", str(kontor.data / "cert.pem"), "--max-time", "30", *args]
        done = subprocess.run(command, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def test_http_2(self):
        kontor = self.serving()
        base = f"https://localhost:{self.address[1]}"
        resolve = ["--resolve", f"localhost:{self.address[1]}:127.0.0.1", "--http2"]
        written = self.curl(kontor, *resolve, "-o", "/dev/null", "-w", "%{http_version} %{response_code} %{content_type}",
                            f"{base}/packs/docker/wiki/index.md").decode()
        self.assertEqual(written, "2 200 text/markdown; charset=utf-8")
        self.assertEqual(self.curl(kontor, *resolve, f"{base}/tree"), kontor.get("/tree").body)
        reply = self.curl(kontor, *resolve, "-H", "Content-Type: application/json", "-d", '{"q":"Rubicon"}', f"{base}/search")
        self.assertEqual(json.loads(reply)["results"][0]["page_file"], "concepts/caesar.md")
        self.assertEqual(self.curl(kontor, *resolve, "-o", "/dev/null", "-w", "%{response_code}", f"{base}/nothing"), b"404")
        self.assertEqual(self.curl(kontor, *resolve, "-I", "-o", "/dev/null", "-w", "%{response_code}", f"{base}/tree"), b"200")

    def test_large_answers_over_http_2(self):
        """What does not fit into one frame or one write comes in one go, not piece by piece with the library's timers."""
        kontor = self.serving()
        packs.pack(kontor.packs, "large", [(f"p{size}", "T", "s", "x" * size) for size in (4096, 9000, 70000, 3000000)])
        kontor.signal(signal.SIGHUP)
        broker.wait_until(lambda: "large" in kontor.get("/packs").json(), "the pack")
        for size in (4096, 9000, 70000, 3000000):
            page = f"packs/large/wiki/concepts/p{size}.md"
            body = self.curl(kontor, "--http2", "--max-time", "10", "--resolve", f"localhost:{self.address[1]}:127.0.0.1",
                             f"https://localhost:{self.address[1]}/{page}")
            self.assertEqual(body, (kontor.data / page).read_bytes())

    def test_many_streams_at_once(self):
        """Pages that nobody has asked for yet come from the disk, so all streams are open together."""
        kontor = self.serving()
        packs.pack(kontor.packs, "cold", [(f"p{turn}-{number}", "T", "s", "x" * 3000) for turn in range(10) for number in range(60)])
        kontor.signal(signal.SIGHUP)
        broker.wait_until(lambda: "cold" in kontor.get("/packs").json(), "the pack")
        resolve = ["--resolve", f"localhost:{self.address[1]}:127.0.0.1", "--http2", "--parallel", "--parallel-max", "60"]
        for turn in range(10):
            pages = [f"/packs/cold/wiki/concepts/p{turn}-{number}.md" for number in range(60)]
            body = self.curl(kontor, *resolve, *[f"https://localhost:{self.address[1]}{page}" for page in pages])
            self.assertEqual(len(body), sum((kontor.packs / page.removeprefix("/packs/")).stat().st_size for page in pages))

    def test_wss(self):
        kontor = self.serving()
        context = self.context(kontor)

        class Secure:
            public = self.address

        agent = node.Agent(Secure, node.Identity("secure"), options={"tls": context})
        self.addCleanup(agent.abort)
        self.assertEqual(list(kontor.get("/nodes").json()), [agent.identity.node_id])
        # One asks over TLS, one does not; large messages in both directions.
        for requester in (node.Requester(Secure, tls=context), node.Requester(kontor)):
            self.addCleanup(requester.abort)
            for size in (10, 5000, 70000, 900000):
                query_id = requester.query(agent.identity.node_id, "x" * size)
                agent.answer(agent.next_query(), "y" * size)
                self.assertEqual(requester.result(query_id)["payload"], "y" * size)
        with self.assertRaises(ws.WebSocketClosed) as closed:
            agent.send_frame(ws.BINARY, b"x")
            agent.receive()
        self.assertEqual(closed.exception.code, 1003)

    def test_a_new_certificate_on_sighup(self):
        kontor = self.serving()
        living = self.connect(kontor)
        self.assertEqual(self.subject(living), "first")
        self.assertEqual(living.request("GET", "/healthz").status, 200)

        class Secure:
            public = self.address

        agent = node.Agent(Secure, node.Identity("patient"), options={"tls": self.context(kontor)})
        self.addCleanup(agent.abort)
        certificate(kontor.data, "second")
        kontor.signal(signal.SIGHUP)
        broker.wait_until(lambda: self.served_subject() == "second", "the new certificate")
        # Connections from before are not disturbed.
        self.assertEqual(living.request("GET", "/healthz").status, 200)
        agent.ping()
        self.assertEqual(self.subject(self.connect(kontor)), "second")

    def test_the_same_certificate_costs_nothing(self):
        kontor = self.serving()

        def descriptors():
            return len(list(pathlib.Path(f"/proc/{kontor.process.pid}/fd").iterdir()))

        def hangup():
            before = kontor.log().count('"event":"reloaded"')
            kontor.signal(signal.SIGHUP)
            broker.wait_until(lambda: kontor.log().count('"event":"reloaded"') > before, "the reload")

        hangup()
        broker.wait_until(lambda: "packs-rescanned" in kontor.log(), "the first scan")
        calm = descriptors()
        for name in ("cert.pem", "key.pem") * 4:
            # Written again, by rename, with the same contents.
            copy = kontor.data / "copy"
            copy.write_bytes((kontor.data / name).read_bytes())
            copy.rename(kontor.data / name)
            hangup()
        broker.wait_until(lambda: descriptors() <= calm, "no context more than before", 5)
        self.assertEqual(self.served_subject(), "first")

    def test_a_broken_certificate_on_sighup_keeps_the_old_one(self):
        kontor = self.serving()
        (kontor.data / "cert.pem").write_text("this is no certificate\n")
        kontor.signal(signal.SIGHUP)
        broker.wait_until(lambda: "cert.pem" in kontor.log(), "the complaint in the log")
        self.assertEqual(self.served_subject(), "first")

    def test_a_broken_certificate_at_start_is_refused(self):
        kontor = self.broker(start=False, config=CONFIG)
        (kontor.data / "cert.pem").write_text("x")
        (kontor.data / "key.pem").write_text("x")
        kontor.spawn()
        self.assertIn(kontor.wait_exit(), (1, 2))
        kontor.process = None
        self.assertIn("cert.pem", kontor.log())

    def subject(self, connection):
        certificate_fields = dict(pair[0] for pair in connection.socket.getpeercert()["subject"])
        return certificate_fields["commonName"]

    def served_subject(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(self.address, broker.PATIENCE) as raw, context.wrap_socket(raw) as secure:
            text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject", "-nameopt", "multiline"],
                                  input=secure.getpeercert(binary_form=True), capture_output=True, check=True).stdout.decode()
        return text.rpartition("=")[2].strip()


def plain_length(kontor, target):
    return kontor.request("HEAD", target).header("Content-Length")


if __name__ == "__main__":
    broker.main()

# SPDX-License-Identifier: MIT
"""Real git servers on loopback: git daemon, git-http-backend behind a small HTTP server with logins, TLS and redirects, and sshd.

Each serves the repositories below one directory, listens on a port of its own, is ready when its constructor returns, and ends with
stop(). Nothing of the caller's git configuration is used.
"""
import base64
import http.server
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

from lib.ports import free_port

ENVIRONMENT = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
               "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
               "GIT_CONFIG_VALUE_0": "*"}


def wait_listening(port, process, what):
    for _ in range(500):
        if process.poll() is not None:
            raise AssertionError(f"{what} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"{what} does not listen")


class Process:
    """A server program in a session of its own, so that its children end with it."""

    def __init__(self, command, port):
        self.port = port
        self.process = subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True)
        wait_listening(port, self.process, command[0])

    def stop(self):
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process = None


class Daemon(Process):
    """git://"""

    def __init__(self, root):
        port = free_port()
        super().__init__(["git", "daemon", "--listen=127.0.0.1", f"--port={port}", "--reuseaddr", "--export-all",
                          "--informative-errors", f"--base-path={root}"], port)

    def url(self, name):
        return f"git://127.0.0.1:{self.port}/{name}"


class Backend(http.server.BaseHTTPRequestHandler):
    """One request: judged by the server's settings, then given to git-http-backend (CGI, RFC 3875)."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def refuse(self, status, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def serve(self):
        settings = self.server.settings
        settings.requests.append((self.command, self.path, self.headers.get("Authorization")))
        body = self.body()
        if settings.redirect:
            self.refuse(302, [("Location", settings.redirect + self.path)])
        elif settings.login and self.headers.get("Authorization") != settings.expected:
            self.refuse(401, [("WWW-Authenticate", 'Basic realm="git"')])
        else:
            self.run(body)

    def run(self, body):
        path, _, query = self.path.partition("?")
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, check=False, timeout=60, env={
            **ENVIRONMENT, "GIT_PROJECT_ROOT": str(self.server.settings.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": "127.0.0.1",
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", "")})
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n") if line]
        status = next((value for name, value in fields if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in fields:
            if name not in ("Status", "Content-Length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = serve


class SmartHttp:
    """http:// or, with a certificate, https://. `login`: (user, password) that everybody must have; `redirect`: everybody is sent
    to that URL. `requests` lists (method, target, Authorization) of everything that was asked."""

    def __init__(self, root, login=None, certificate=None, redirect=None):
        self.root, self.login, self.redirect = root, login, redirect
        self.requests = []
        self.scheme = "https" if certificate else "http"
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
        self.server.daemon_threads = True
        self.server.settings = self
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def expected(self):
        return "Basic " + base64.b64encode(":".join(self.login).encode()).decode()

    def url(self, name):
        return f"{self.scheme}://127.0.0.1:{self.port}/{name}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def certificate(directory, name="server", host="127.0.0.1"):
    """A self-signed certificate for loopback with its key in one file, and a file with the certificate alone."""
    key, cert = directory / f"{name}-key.pem", directory / f"{name}-cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={host}", "-addext", f"subjectAltName=IP:{host}", "-keyout", key, "-out", cert], check=True,
                   capture_output=True)
    both = directory / f"{name}-both.pem"
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    return both, cert


class Sshd(Process):
    """ssh:// for the user who runs this. `key` is a private key that may log in, `other_key` one that may not, `host_keys` the public
    host keys by kind. NotImplementedError where no sshd is installed."""

    def __init__(self, directory, kinds=("ed25519",)):
        program = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None:
            raise NotImplementedError("no sshd here: Debian has it in openssh-server")
        self.directory = pathlib.Path(directory)
        self.key, self.other_key = self.make_key("user"), self.make_key("other")
        hosts = [self.make_key(f"host-{kind}", kind) for kind in kinds]
        self.host_keys = {kind: self.public(host) for kind, host in zip(kinds, hosts)}
        self.authorized = self.directory / "authorized_keys"
        self.authorized.write_text((self.directory / "user.pub").read_text())
        if os.getuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        port = free_port()
        config = self.directory / "config"
        config.write_text("\n".join([
            f"Port {port}", "ListenAddress 127.0.0.1", *(f"HostKey {host}" for host in hosts), f"AuthorizedKeysFile {self.authorized}",
            f"PidFile {self.directory}/pid", "StrictModes no", "UsePAM no", "PasswordAuthentication no",
            "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password", "PrintMotd no", "UseDNS no",
            "AcceptEnv none", "SetEnv GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*"]) + "\n")
        super().__init__([program, "-D", "-f", str(config)], port)

    def make_key(self, name, kind="ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", self.directory / name], check=True)
        return self.directory / name

    @staticmethod
    def public(key):
        """Kind and value of a key's public half."""
        return " ".join(key.with_suffix(".pub").read_text().split()[:2])

    def known_hosts(self, key=None, host=None):
        """A line of known_hosts."""
        return f"{host or f'[127.0.0.1]:{self.port}'} {key or next(iter(self.host_keys.values()))}\n"

    def url(self, path):
        return f"ssh://127.0.0.1:{self.port}{path}"

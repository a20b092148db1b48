# SPDX-License-Identifier: MIT
"""An HTTP/1.1 client that sends exactly the bytes it is given and judges every byte that comes back."""
import gzip
import json
import re
import socket
import ssl

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) ([\t -~]*)\Z")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*\Z", re.S)


class ProtocolError(AssertionError):
    """The broker sent something that is not HTTP."""


class Closed(Exception):
    """The connection ended before an answer began."""


def split_address(text):
    """'127.0.0.1:80', '[::1]:80' and URLs of both as (host, port)."""
    text = re.sub(r"\A[a-z]+://", "", text).rstrip("/")
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


class Response:
    """One answer as it came."""

    def __init__(self, version, status, reason, headers, body):
        self.version, self.status, self.reason, self.headers, self.body = version, status, reason, headers, body

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name):
        """The value of a header that must not be repeated, or None."""
        values = self.all(name)
        if len(values) > 1:
            raise ProtocolError(f"header {name} occurs {len(values)} times")
        return values[0] if values else None

    @property
    def type(self):
        return self.header("Content-Type")

    @property
    def text(self):
        return self.body.decode("utf-8")

    def json(self):
        return json.loads(self.body.decode("utf-8"))

    def gunzip(self):
        return gzip.decompress(self.body)

    def __repr__(self):
        return f"<{self.status} {self.type} {self.body[:200]!r}>"


class Connection:
    """One TCP (or TLS) connection."""

    def __init__(self, address, timeout=20.0, tls=None, server_name="localhost", source=None):
        self.socket = socket.create_connection(address, timeout, source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=server_name)
        self.buffer = b""
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # Bytes

    def send(self, data):
        self.socket.sendall(data)

    def fill(self):
        """Reads more bytes; False at the end of the stream. A reset counts as an end: the broker may close on bad input while
        more of it is under way."""
        if self.ended:
            return False
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            data = b""
        self.ended = not data
        self.buffer += data
        return bool(data)

    def read_until(self, mark):
        while mark not in self.buffer:
            if not self.fill():
                if self.buffer:
                    raise ProtocolError(f"ended in the middle of a head: {self.buffer[:200]!r}")
                raise Closed()
        head, _, self.buffer = self.buffer.partition(mark)
        return head

    def read_exactly(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise ProtocolError(f"body ended {count - len(self.buffer)} bytes early")
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_to_end(self):
        """Everything until the peer closes."""
        while self.fill():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def at_end(self):
        """True when the peer closes without sending anything more."""
        return not self.buffer and not self.fill()

    # Messages

    def send_request(self, method, target, headers=(), body=None, host="test"):
        names = {name.lower() for name, _ in headers}
        lines = [f"{method} {target} HTTP/1.1"]
        if "host" not in names:
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None and "content-length" not in names and "transfer-encoding" not in names:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + (body or b""))

    def read_head(self):
        """Status line and headers: (minor version, status, reason, headers)."""
        lines = self.read_until(b"\r\n\r\n").split(b"\r\n")
        match = _STATUS.match(lines[0])
        if not match:
            raise ProtocolError(f"bad status line {lines[0]!r}")
        headers = []
        for line in lines[1:]:
            field = _FIELD.match(line)
            if not field or b"\n" in line or b"\r" in line or b"\0" in line:
                raise ProtocolError(f"bad header line {line!r}")
            headers.append((field[1].decode("ascii"), field[2].decode("latin-1")))
        return int(match[1]), int(match[2]), match[3].decode("ascii"), headers

    def read_response(self, method="GET"):
        """One whole answer; interim answers (100) are returned like any other."""
        minor, status, reason, headers = self.read_head()
        response = Response(minor, status, reason, headers, b"")
        if method == "HEAD" or status < 200 or status in (204, 304):
            return response
        coding = response.header("Transfer-Encoding")
        length = response.header("Content-Length")
        if coding and length:
            raise ProtocolError("both Content-Length and Transfer-Encoding")
        if coding:
            if coding.lower() != "chunked":
                raise ProtocolError(f"unexpected coding {coding!r}")
            response.body = self._read_chunks()
        elif length is not None:
            if not re.fullmatch("[0-9]+", length):
                raise ProtocolError(f"bad Content-Length {length!r}")
            response.body = self.read_exactly(int(length))
        else:
            response.body = self.read_to_end()
        return response

    def _read_chunks(self):
        body = b""
        while True:
            size = int(self.read_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self.read_until(b"\r\n"):
                    pass
                return body
            body += self.read_exactly(size)
            if self.read_exactly(2) != b"\r\n":
                raise ProtocolError("chunk without CRLF")

    def request(self, method, target, headers=(), body=None):
        self.send_request(method, target, headers, body)
        return self.read_response(method)

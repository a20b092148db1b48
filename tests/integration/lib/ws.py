# SPDX-License-Identifier: MIT
"""A WebSocket client (RFC 6455) that can also break every rule of the protocol."""
import base64
import hashlib
import json
import os
import struct

from lib import wire

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WebSocketClosed(Exception):
    """The peer closed: `code` and `reason` of its close frame; (None, "") when the stream just ended."""

    def __init__(self, code, reason):
        super().__init__(f"closed {code} {reason}")
        self.code, self.reason = code, reason


def mask_bytes(data, key):
    """XOR with the repeated four-byte key, as one big number because that is fast in Python."""
    if not data:
        return b""
    repeated = (key * (len(data) // 4 + 1))[:len(data)]
    return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(len(data), "little")


def frame(opcode, payload=b"", fin=True, masked=True, rsv=0, key=None, length_form=None):
    """The bytes of one frame. `length_form` (7, 16 or 64) forces a form of the length."""
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    form = length_form or (7 if len(payload) < 126 else 16 if len(payload) < 65536 else 64)
    bit = 0x80 if masked else 0
    if form == 7:
        head += bytes([bit | len(payload)])
    elif form == 16:
        head += bytes([bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", len(payload))
    if not masked:
        return head + payload
    key = key or os.urandom(4)
    return head + key + mask_bytes(payload, key)


class WebSocket:
    """One client connection; reads answer PING by themselves unless `answer_pings` is False."""

    def __init__(self, address, path="/ws", timeout=20.0, headers=(), extensions=None, tls=None, server_name="localhost",
                 answer_pings=True, receive_buffer=None, source=None):
        self.connection = wire.Connection(address, timeout, tls=tls, server_name=server_name, source=source)
        self.answer_pings = answer_pings
        self.pings = 0
        self.messages = []
        if receive_buffer:
            import socket
            self.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        key = base64.b64encode(os.urandom(16))
        lines = [f"GET {path} HTTP/1.1", "Host: test", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key.decode()}", "Sec-WebSocket-Version: 13"]
        if extensions:
            lines.append(f"Sec-WebSocket-Extensions: {extensions}")
        lines += [f"{name}: {value}" for name, value in headers]
        self.connection.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        minor, status, reason, fields = self.connection.read_head()
        self.response = wire.Response(minor, status, reason, fields, b"")
        if status != 101:
            raise wire.ProtocolError(f"upgrade refused: {status} {reason}")
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        if self.response.header("Sec-WebSocket-Accept") != accept:
            raise wire.ProtocolError("wrong Sec-WebSocket-Accept")
        if (self.response.header("Upgrade") or "").lower() != "websocket":
            raise wire.ProtocolError("no Upgrade: websocket")
        if "upgrade" not in (self.response.header("Connection") or "").lower():
            raise wire.ProtocolError("no Connection: Upgrade")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.abort()

    def abort(self):
        """Ends the TCP connection without a close frame."""
        self.connection.close()

    def close(self, code=1000):
        """The closing handshake from our side."""
        try:
            self.send_frame(CLOSE, struct.pack(">H", code))
            while True:
                self.receive()
        except (WebSocketClosed, OSError):
            pass
        self.abort()

    # Sending

    def send_frame(self, opcode, payload=b"", **options):
        self.connection.send(frame(opcode, payload, **options))

    def send_text(self, text):
        self.send_frame(TEXT, text.encode() if isinstance(text, str) else text)

    def send(self, message):
        """One JSON message in the form the existing clients use: escaped to ASCII, blanks after separators."""
        self.send_text(json.dumps(message))

    # Receiving

    def receive_frame(self):
        """(fin, rsv, opcode, payload) of the next frame; checks what a server must keep."""
        if not self.connection.buffer and not self.connection.fill():
            raise WebSocketClosed(None, "")
        first, second = self.connection.read_exactly(2)
        if second & 0x80:
            raise wire.ProtocolError("a server must not mask")
        length = second & 0x7F
        if length == 126:
            length = struct.unpack(">H", self.connection.read_exactly(2))[0]
            if length < 126:
                raise wire.ProtocolError("length not in its shortest form")
        elif length == 127:
            length = struct.unpack(">Q", self.connection.read_exactly(8))[0]
            if length < 65536:
                raise wire.ProtocolError("length not in its shortest form")
        payload = self.connection.read_exactly(length)
        fin, rsv, opcode = bool(first & 0x80), first >> 4 & 7, first & 15
        if rsv:
            raise wire.ProtocolError("reserved bits without an extension")
        if opcode >= 8 and (not fin or length > 125):
            raise wire.ProtocolError("bad control frame")
        return fin, rsv, opcode, payload

    def receive(self):
        """The text of the next message; raises WebSocketClosed. A pong is returned as the tuple (PONG, payload)."""
        parts, kind = [], None
        while True:
            fin, _, opcode, payload = self.receive_frame()
            if opcode == PING:
                self.pings += 1
                if self.answer_pings:
                    self.send_frame(PONG, payload)
                continue
            if opcode == PONG:
                return PONG, payload
            if opcode == CLOSE:
                code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else None
                raise WebSocketClosed(code, payload[2:].decode("utf-8"))
            if (opcode == 0) != (kind is not None):
                raise wire.ProtocolError("fragments out of order")
            kind = kind or opcode
            parts.append(payload)
            if fin:
                if kind != TEXT:
                    raise wire.ProtocolError("the contract knows text messages only")
                return b"".join(parts).decode("utf-8")

    def receive_json(self):
        """The next message, which must be one JSON object."""
        text = self.receive()
        if not isinstance(text, str):
            raise wire.ProtocolError(f"expected a message, got {text!r}")
        value = json.loads(text)
        if not isinstance(value, dict):
            raise wire.ProtocolError(f"not an object: {text[:200]!r}")
        return value

    def expect_close(self):
        """Reads until the peer closes; (code, reason)."""
        while True:
            try:
                self.receive()
            except WebSocketClosed as closed:
                return closed.code, closed.reason

    def drained(self):
        """True when the peer has nothing more to say: a ping comes back as the very next frame."""
        mark = os.urandom(8)
        self.send_frame(PING, mark)
        answer = self.receive()
        if answer != (PONG, mark):
            self.messages.append(answer)
            return False
        return True

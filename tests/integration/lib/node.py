# SPDX-License-Identifier: MIT
"""What connects to /ws: the background agent of a Node and the requester of a critique, as faithful models.

Both do what the existing Python clients do and nothing more, including their weak spots: the agent takes whatever comes first
after its register message as the answer, and breaks off on anything that the original would choke on.
"""
import base64
import hashlib
import json
import uuid

import nacl.bindings
import nacl.signing

from lib import ws


class AgentTrap(AssertionError):
    """The broker sent something on which the real agent drops its connection."""


class Identity:
    """A Node's keys and name, the same for the same label."""

    def __init__(self, label, node_id=None):
        seed = hashlib.sha256(f"kontor test node {label}".encode()).digest()
        self.signing = nacl.signing.SigningKey(seed)
        self.node_id = node_id or f"{label}-{seed[:4].hex()}"
        self.signing_pubkey = base64.b64encode(bytes(self.signing.verify_key)).decode()
        self.public_key = base64.b64encode(nacl.bindings.crypto_scalarmult_base(seed)).decode()

    def sign(self, nonce, node_id=None):
        """base64 of the signature over the raw nonce and the UTF-8 name."""
        name = self.node_id if node_id is None else node_id
        return base64.b64encode(self.signing.sign(nonce + name.encode()).signature).decode()

    def register_message(self, nonce, **changes):
        """The register message; `changes` replace fields, a value of None leaves a field out."""
        message = {"type": "register", "node_id": self.node_id, "tier_name": "small", "vram_used_mb": 4096,
                   "public_key": self.public_key, "signing_pubkey": self.signing_pubkey, "signature": self.sign(nonce)}
        message.update(changes)
        return {key: value for key, value in message.items() if value is not None}


class Socket(ws.WebSocket):
    """A connection to /ws that has read its challenge."""

    def __init__(self, broker, headers=(), **options):
        super().__init__(broker.public, "/ws", timeout=options.pop("timeout", 30.0), headers=headers, **options)
        challenge = self.receive_json()
        if challenge.get("type") != "challenge" or set(challenge) != {"type", "nonce"}:
            raise AgentTrap(f"first message is {challenge}")
        self.nonce = base64.b64decode(challenge["nonce"], validate=True)
        if len(self.nonce) != 32:
            raise AgentTrap(f"nonce of {len(self.nonce)} bytes")

    def ask(self, message):
        """Sends a message and returns the next one."""
        self.send(message)
        return self.receive_json()


class Agent(Socket):
    """A registered Node."""

    def __init__(self, broker, identity, headers=(), options=None, **changes):
        super().__init__(broker, headers, **(options or {}))
        self.identity = identity
        reply = self.ask(identity.register_message(self.nonce, **changes))
        if reply != {"type": "registered", "node_id": changes.get("node_id", identity.node_id)}:
            raise AgentTrap(f"register was answered by {reply}")

    def ping(self):
        reply = self.ask({"type": "ping"})
        if reply != {"type": "pong"}:
            raise AgentTrap(f"ping was answered by {reply}")

    def next_query(self):
        """The next query, checked like the agent's own code would: every trap of the original raises."""
        query = self.receive_json()
        if query.get("type") != "query":
            raise AgentTrap(f"expected a query, got {query}")
        if set(query) != {"type", "query_id", "from_node", "requester_pubkey", "payload"}:
            raise AgentTrap(f"fields of the query: {sorted(query)}")
        for field in ("query_id", "from_node", "requester_pubkey", "payload"):
            if not isinstance(query[field], str):
                raise AgentTrap(f"{field} is not a string: {query[field]!r}")
        return query

    def answer(self, query, payload=None):
        """Answers a query as the agent does; without a payload, with a critique in plain JSON."""
        if payload is None:
            payload = json.dumps({"critique": f"seen: {json.loads(query['payload'])['context']}"})
        self.send({"type": "response", "query_id": query["query_id"], "to": query["from_node"], "payload": payload})


def query_message(target, payload="{}", query_id=None, **changes):
    """The message of a requester; a changed value of None leaves the field out."""
    message = {"type": "query", "query_id": query_id or str(uuid.uuid4()), "to": target, "from_node": "asker-00000000",
               "requester_pubkey": "", "payload": payload}
    message.update(changes)
    return {key: value for key, value in message.items() if value is not None}


class Requester(Socket):
    """One critic request: a socket of its own that ignores the challenge and never registers."""

    def query(self, target, payload="{}", **changes):
        message = query_message(target, payload, **changes)
        self.send(message)
        return message.get("query_id")

    def result(self, query_id):
        """What the original waits for: the first response or error that carries its query_id; others are skipped."""
        while True:
            message = self.receive_json()
            if message.get("query_id") == query_id and message.get("type") in ("response", "error"):
                return message

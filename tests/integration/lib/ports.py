# SPDX-License-Identifier: MIT
"""Ports for servers that need to know theirs before they start."""
import random
import socket

# Below the range from which the system takes ports for connections: one that is free now stays free, unless another
# test draws the same one.
FIRST, LAST = 15000, 32000


def free_port():
    """A port on 127.0.0.1 that nobody has."""
    draw = random.SystemRandom()
    while True:
        port = draw.randint(FIRST, LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

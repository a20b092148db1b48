# SPDX-License-Identifier: MIT
"""The harness of the integration tests: real processes, real sockets, no knowledge of the inside."""

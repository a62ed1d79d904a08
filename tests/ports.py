"""Ports whose numbers are known before their servers are there, and theirs while servers come and go.

A free port of the kernel's may be anybody's connection by then. These numbers lie below those that Linux
gives away (net.ipv4.ip_local_port_range), and a process of tests takes its own block of them.
"""

import atexit
import itertools
import socket
from collections.abc import Iterator
from functools import cache

FIRST, LAST, BLOCK = 20_000, 32_000, 100


def next_port() -> int:
    """A port on which nothing listens; the same number comes again after a hundred others."""
    return next(port for port in _block() if _is_free(port))


@cache
def _block() -> Iterator[int]:
    """This process' numbers over and over, marked as taken by the UDP port of the first until it ends."""
    for start in range(FIRST, LAST, BLOCK):
        mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            mark.bind(("127.0.0.1", start))
        except OSError:
            mark.close()
            continue
        atexit.register(mark.close)
        return itertools.cycle(range(start, start + BLOCK))
    raise RuntimeError(f"no block of ports is free from {FIRST} to {LAST}: are other tests still running?")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

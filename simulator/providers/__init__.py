"""Sandboxes: local stand-ins for the providers, faithful to their contracts (spec/providers.md).

Each module has a sandbox with its state in a database, and `make_app(sandbox)`. Alone or in one process with
everything else; a restart finds what was under way. They call back to loopback addresses only.
"""

from urllib.parse import urlsplit

LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost"))


def is_loopback(url: str) -> bool:
    """Whether a callback may go to `url` (resolutions 26)."""
    try:
        return urlsplit(url).hostname in LOOPBACK
    except ValueError:
        return False

"""Requests as bytes."""

from collections.abc import Callable


def post(path: str, **headers: str) -> Callable[[bytes], bytes]:
    """Makes POST requests of bodies; a header's `_` is written `-`."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}Content-Length: ".encode()
    return lambda body: b"%b%d\r\n\r\n%b" % (head, len(body), body)

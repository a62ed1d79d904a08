"""mac.py on hosts: HMAC by its definition (RFC 2104), over `hashlib`.

`hmac.digest` lets go of the interpreter lock each time, and then an event loop and a thread that writes wait
for one another.
"""

import hashlib
import hmac

_BLOCK_SIZE = 64  # of SHA-1 and of SHA-256
_INNER = bytes(octet ^ 0x36 for octet in range(256))
_OUTER = bytes(octet ^ 0x5C for octet in range(256))


def _padded(hash_name: str, key: bytes) -> bytes:
    return (hashlib.new(hash_name, key).digest() if len(key) > _BLOCK_SIZE else key).ljust(_BLOCK_SIZE, b"\0")


def hmac_sha1(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA1 of `data`, 20 bytes (RFC 2104)."""
    padded = _padded("sha1", key)
    inner = hashlib.sha1(padded.translate(_INNER) + data).digest()
    return hashlib.sha1(padded.translate(_OUTER) + inner).digest()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256 of `data`, 32 bytes (RFC 2104)."""
    return signer(key)(data)


def signer(key: bytes):
    """A function that gives the HMAC-SHA256 of its argument, made ready for many of them."""
    padded = _padded("sha256", key)
    inner = hashlib.sha256(padded.translate(_INNER))
    outer = hashlib.sha256(padded.translate(_OUTER))

    def sign(data: bytes) -> bytes:
        within = inner.copy()
        within.update(data)
        around = outer.copy()
        around.update(within.digest())
        return around.digest()

    return sign


def equal(a: bytes, b: bytes) -> bool:
    """Whether both are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(a, b)

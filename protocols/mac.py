"""Keyed hashes for tokens and frames, on hosts and on boards.

Stock MicroPython has no `hmac` module and its hashes have no `copy()`, so boards use the definition of RFC
2104 over `hashlib`. tokens/moto.py signs tokens with it, magicbox/seal.py signs frames.
"""

import hashlib
import sys

_BLOCK_SIZE = 64  # of SHA-1 and of SHA-256

if sys.implementation.name == "micropython":
    _last: list[bytes | str] = ["", b"", b"", b""]  # a token's check asks thousands of times with one key

    def _hmac(hash_name: str, key: bytes, data: bytes) -> bytes:
        new_hash = getattr(hashlib, hash_name)
        if _last[0] != hash_name or _last[1] != key:
            padded = new_hash(key).digest() if len(key) > _BLOCK_SIZE else key
            padded += bytes(_BLOCK_SIZE - len(padded))
            _last[:] = (
                hash_name,
                key,
                bytes([octet ^ 0x36 for octet in padded]),
                bytes([octet ^ 0x5C for octet in padded]),
            )
        inner = new_hash(_last[2])
        inner.update(data)
        outer = new_hash(_last[3])
        outer.update(inner.digest())
        return outer.digest()

    def hmac_sha1(key: bytes, data: bytes) -> bytes:
        return _hmac("sha1", key, data)

    def hmac_sha256(key: bytes, data: bytes) -> bytes:
        return _hmac("sha256", key, data)

    def equal(a: bytes, b: bytes) -> bool:
        if len(a) != len(b):
            return False
        difference = 0
        for index in range(len(a)):
            difference |= a[index] ^ b[index]
        return difference == 0

else:
    import hmac

    def hmac_sha1(key: bytes, data: bytes) -> bytes:
        """HMAC-SHA1 of `data`, 20 bytes (RFC 2104)."""
        return hmac.digest(key, data, "sha1")

    def hmac_sha256(key: bytes, data: bytes) -> bytes:
        """HMAC-SHA256 of `data`, 32 bytes (RFC 2104)."""
        return hmac.digest(key, data, "sha256")

    def equal(a: bytes, b: bytes) -> bool:
        """Whether both are the same, in a time that does not tell where they differ."""
        return hmac.compare_digest(a, b)

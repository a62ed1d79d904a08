"""Keyed hashes for tokens and frames, on hosts and on boards.

Stock MicroPython has no `hmac` module and its hashes have no `copy()`, so boards use the definition of RFC
2104 over `hashlib`; and so do hosts (mac_host.py). tokens/moto.py signs tokens with it, magicbox/seal.py
frames.
"""

import hashlib
import sys

__all__ = ("equal", "hmac_sha1", "hmac_sha256", "signer")

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

    def signer(key: bytes):
        def sign(data: bytes) -> bytes:
            return hmac_sha256(key, data)

        return sign  # a board has no memory to spare for more between frames

else:
    from protocols.mac_host import equal, hmac_sha1, hmac_sha256, signer

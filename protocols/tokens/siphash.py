"""SipHash-2-4 and the steps of OpenPAYGO's token chain, in plain integers (spec/openpaygo.md).

siphash_viper.py has the same `chain` and `chain_extended` in machine code for boards; openpaygo.py picks.
"""

import struct

_MASK = 0xFFFFFFFFFFFFFFFF
_MAX_CODE = 999_999_999
_MAX_EXTENDED_CODE = 999_999_999_999


def siphash24(key: bytes, data: bytes) -> int:
    """The 64-bit SipHash-2-4 of `data` under a 16-byte key."""
    k0, k1 = struct.unpack("<QQ", key)
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    v0 = k0 ^ 0x736F6D6570736575
    v1 = k1 ^ 0x646F72616E646F6D
    v2 = k0 ^ 0x6C7967656E657261
    v3 = k1 ^ 0x7465646279746573
    for offset in range(0, len(padded), 8):
        (word,) = struct.unpack_from("<Q", padded, offset)
        v0, v1, v2, v3 = _rounds(v0, v1, v2, v3 ^ word, 2)
        v0 ^= word
    v0, v1, v2, v3 = _rounds(v0, v1, v2 ^ 0xFF, v3, 4)
    return v0 ^ v1 ^ v2 ^ v3


def fold(digest: int) -> int:
    """A 64-bit hash as a code of nine digits."""
    code = ((digest >> 32) ^ (digest & 0xFFFFFFFF)) >> 2
    return code - 73_741_825 if code > _MAX_CODE else code


def chain(key: bytes, code: int, steps: int) -> int:
    """The code `steps` further along the chain of nine-digit tokens."""
    for _ in range(steps):
        code = fold(siphash24(key, struct.pack(">II", code, code)))
    return code


def chain_extended(key: bytes, code: int, steps: int) -> int:
    """The code `steps` further along the chain of twelve-digit tokens."""
    for _ in range(steps):
        code = siphash24(key, struct.pack(">Q", code)) >> 24
        if code > _MAX_EXTENDED_CODE:
            code -= 99_511_627_777
    return code


def _rounds(v0: int, v1: int, v2: int, v3: int, count: int) -> tuple[int, int, int, int]:
    for _ in range(count):
        v0 = (v0 + v1) & _MASK
        v1 = ((v1 << 13 | v1 >> 51) & _MASK) ^ v0
        v0 = (v0 << 32 | v0 >> 32) & _MASK
        v2 = (v2 + v3) & _MASK
        v3 = ((v3 << 16 | v3 >> 48) & _MASK) ^ v2
        v0 = (v0 + v3) & _MASK
        v3 = ((v3 << 21 | v3 >> 43) & _MASK) ^ v0
        v2 = (v2 + v1) & _MASK
        v1 = ((v1 << 17 | v1 >> 47) & _MASK) ^ v2
        v2 = (v2 << 32 | v2 >> 32) & _MASK
    return v0, v1, v2, v3

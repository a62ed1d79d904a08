"""SipHash-2-4 and the steps of OpenPAYGO's token chain, in plain integers (spec/openpaygo.md).

`walk` is also there in machine code, for boards (siphash_viper.py) and for hosts (siphash_host.py);
openpaygo.py picks.
"""

import struct

_MASK = 0xFFFFFFFFFFFFFFFF
_MAX_CODE = 999_999_999
_MAX_EXTENDED_CODE = 999_999_999_999
NEVER = 0xF0F0000000  # above every code, in both halves that siphash_viper.py compares


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


def walk(key: bytes, code: int, steps: int, stop: int, extended: bool) -> tuple[int, int]:
    """Go `steps` places along a token chain; (the code there, steps left).

    It stops before, at the first code that is `stop` but for its last three digits (extended: six), which
    are 0 in `stop`. NEVER: at none.
    """
    span = 1_000_000 if extended else 1_000
    while steps > 0:
        steps -= 1
        code = _next_extended(key, code) if extended else fold(siphash24(key, struct.pack(">II", code, code)))
        if 0 <= code - stop < span:
            break
    return code, steps


def _next_extended(key: bytes, code: int) -> int:
    code = siphash24(key, struct.pack(">Q", code)) >> 24
    return code - 99_511_627_777 if code > _MAX_EXTENDED_CODE else code


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

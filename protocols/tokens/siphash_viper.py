# ruff: noqa: F821, PLR0912, PLR0915  # viper's types are no names; a call in its loop would cost more than a round
# pyright: reportUndefinedVariable=false, reportMissingImports=false, reportUnknownMemberType=false
# pyright: reportUntypedFunctionDecorator=false, reportUnknownVariableType=false, reportOperatorIssue=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
"""`walk` of siphash.py as MicroPython machine code: same signature, about 100 times as fast.

Each 64-bit word is two 32-bit halves, masked after every shift and sum, so that one source is right on 32-bit
boards and on 64-bit hosts. Viper's rules (spec/firmware_platform.md): no literal from 2^30 on (they come in
`_work`), and an int is never compared with a uint. openpaygo.py picks this module when it compiles.
"""

from array import array

import micropython

_HIGH, _LOW = 0, 1  # places in `_work`: the code, as upper and lower half
_STOP_HIGH, _STOP_LOW = 17, 18
_work = array(
    "I",
    (
        0,
        0,
        0xFFFFFFFF,
        0x736F6D65,  # SipHash's constants, upper half first
        0x70736575,
        0x646F7261,
        0x6E646F6D,
        0x6C796765,
        0x6E657261,
        0x74656462,
        0x79746573,
        0xD4A50FFF,  # lower half of 999,999,999,999
        0x2B5AF001,  # lower half of 99,511,627,777
        0,  # the key's four words
        0,
        0,
        0,
        0,  # where to stop, upper half first
        0,
    ),
)


def walk(key: bytes, code: int, steps: int, stop: int, extended: bool) -> tuple[int, int]:
    """Go `steps` places along a token chain, or to a code in the span from `stop`; (code, steps left)."""
    _work[_HIGH] = code >> 32
    _work[_LOW] = code & 0xFFFFFFFF
    _work[_STOP_HIGH] = stop >> 32
    _work[_STOP_LOW] = stop & 0xFFFFFFFF
    _load(key, _work)
    left = _walk(_work, steps, extended)
    return _work[_HIGH] << 32 | _work[_LOW], left


@micropython.viper
def _load(key: ptr8, work: ptr32):
    at = 0
    while at < 16:
        work[13 + (at >> 2)] = key[at] | key[at + 1] << 8 | key[at + 2] << 16 | key[at + 3] << 24
        at += 4


@micropython.viper
def _walk(work: ptr32, steps: int, extended: int) -> int:
    mask = uint(work[2])
    one = uint(1)
    length = uint(0x08000000)  # upper half of a message's last word: 8 bytes, none of them left
    high = uint(work[0])
    low = uint(work[1])
    while steps > 0:
        steps -= 1
        # The message: the code as eight big-endian bytes (standard: as four, twice), read as little-endian.
        mh = (low >> 24 | (low >> 8) & uint(0xFF00) | (low & uint(0xFF00)) << 8 | low << 24) & mask
        ml = mh
        if extended:
            ml = (high >> 24 | (high >> 8) & uint(0xFF00) | (high & uint(0xFF00)) << 8 | high << 24) & mask
        ah, al = uint(work[14]), uint(work[13])
        bh, bl = uint(work[16]), uint(work[15])
        ch, cl = ah ^ uint(work[7]), al ^ uint(work[8])
        dh, dl = bh ^ uint(work[9]) ^ mh, bl ^ uint(work[10]) ^ ml
        ah, al = ah ^ uint(work[3]), al ^ uint(work[4])
        bh, bl = bh ^ uint(work[5]), bl ^ uint(work[6])
        turn = 0
        while turn < 8:
            # v0 += v1; v1 = rotl(v1, 13) ^ v0; v0 = rotl(v0, 32)
            al = (al + bl) & mask
            if al < bl:
                ah += one
            ah = (ah + bh) & mask
            bh, bl = ((bh << 13 | bl >> 19) & mask) ^ ah, ((bl << 13 | bh >> 19) & mask) ^ al
            ah, al = al, ah
            # v2 += v3; v3 = rotl(v3, 16) ^ v2
            cl = (cl + dl) & mask
            if cl < dl:
                ch += one
            ch = (ch + dh) & mask
            dh, dl = ((dh << 16 | dl >> 16) & mask) ^ ch, ((dl << 16 | dh >> 16) & mask) ^ cl
            # v0 += v3; v3 = rotl(v3, 21) ^ v0
            al = (al + dl) & mask
            if al < dl:
                ah += one
            ah = (ah + dh) & mask
            dh, dl = ((dh << 21 | dl >> 11) & mask) ^ ah, ((dl << 21 | dh >> 11) & mask) ^ al
            # v2 += v1; v1 = rotl(v1, 17) ^ v2; v2 = rotl(v2, 32)
            cl = (cl + bl) & mask
            if cl < bl:
                ch += one
            ch = (ch + bh) & mask
            bh, bl = ((bh << 17 | bl >> 15) & mask) ^ ch, ((bl << 17 | bh >> 15) & mask) ^ cl
            ch, cl = cl, ch
            turn += 1
            if turn == 2:
                ah, al, dh = ah ^ mh, al ^ ml, dh ^ length
            if turn == 4:
                ah, cl = ah ^ length, cl ^ uint(0xFF)
        high = ah ^ bh ^ ch ^ dh
        low = al ^ bl ^ cl ^ dl
        if extended:
            high, low = high >> 24, (high << 8 | low >> 24) & mask
            if high > uint(0xE8) or (high == uint(0xE8) and low > uint(work[11])):
                high -= uint(0x17)
                if low < uint(work[12]):
                    high -= one
                low = (low - uint(work[12])) & mask
            top = uint(work[17])
            if low < uint(work[18]):
                top += one
            if high == top and ((low - uint(work[18])) & mask) < uint(1000000):
                break
        else:
            low = (high ^ low) >> 2
            if low > uint(999999999):
                low -= uint(73741825)
            high = uint(0)
            if ((low - uint(work[18])) & mask) < uint(1000):
                break
    work[0] = int(high)
    work[1] = int(low)
    return steps

"""Sealed frames: wire.py's header and body, authenticated, and encrypted if asked for.

`seal` encrypts with AES in counter mode, then signs header and body with HMAC-SHA256 cut to 8 bytes. Each
direction has its own pair of keys, so a frame never passes in the other one. `unseal` says who sealed a
frame; whether it is a repeat is for the receiver's `Window`, one for each direction and epoch. The sender
never uses (epoch, sequence) twice.
"""

import struct

from protocols.mac import equal, hmac_sha256, signer
from protocols.magicbox import wire
from protocols.magicbox.ctr import cipher

UP = 0
DOWN = 1
MIN_LINK_KEY_SIZE = 16

_DIRECTION_NAMES = ("up", "down")
_KNOWN_FLAGS = wire.FLAG_ENCRYPTED | wire.FLAG_DOWN


class SealError(wire.WireError):
    """Not sealed with these keys; `reason` is truncated, bad_direction, bad_mac or bad_flags."""


class LinkKeys:
    """The keys of one device's link in one direction (UP or DOWN), derived from its link key.

    One thread at a time seals or unseals with them.
    """

    def __init__(self, link_key: bytes, direction: int):
        if len(link_key) < MIN_LINK_KEY_SIZE:
            raise ValueError(f"a link key has at least {MIN_LINK_KEY_SIZE} bytes")
        name = _DIRECTION_NAMES[direction]
        self.direction = direction
        self.mac_key = hmac_sha256(link_key, b"payg/v1 mac " + name.encode())
        self.encryption_key = hmac_sha256(link_key, b"payg/v1 encryption " + name.encode())[:16]
        self.mac = signer(self.mac_key)
        self.crypt = cipher(self.encryption_key)


def seal(keys: LinkKeys, epoch: int, sequence: int, body: bytes, encrypted: bool) -> bytes:
    """The frame of `body` (encoded records). (epoch, sequence) must never repeat in one direction."""
    flags = wire.FLAG_DOWN if keys.direction == DOWN else 0
    if encrypted:
        flags |= wire.FLAG_ENCRYPTED
        body = keys.crypt(_nonce(keys.direction, epoch, sequence), body)
    signed = wire.encode_header(wire.Header(wire.VERSION, flags, epoch, sequence)) + body
    return signed + _mac(keys, signed)


def unseal(keys: LinkKeys, frame: bytes) -> tuple[wire.Header, bytes]:
    """Header and decrypted body; WireError for no frame, SealError for one not sealed with `keys`."""
    header = wire.decode_header(frame)
    if len(frame) < wire.HEADER_SIZE + wire.MAC_SIZE:
        raise SealError("truncated")
    if bool(header.flags & wire.FLAG_DOWN) != (keys.direction == DOWN):
        raise SealError("bad_direction")
    signed = frame[: -wire.MAC_SIZE]
    if not equal(_mac(keys, signed), frame[-wire.MAC_SIZE :]):
        raise SealError("bad_mac")
    if header.flags & ~_KNOWN_FLAGS:
        raise SealError("bad_flags")
    body = signed[wire.HEADER_SIZE :]
    if header.flags & wire.FLAG_ENCRYPTED:
        body = keys.crypt(_nonce(keys.direction, header.epoch, header.sequence), body)
    return header, body


class Window:
    """Which sequences a receiver has taken: the highest, and the 64 up to it as bits (bit 0: the highest).

    `highest` (-1: none yet) and `bits` (64 bits, unsigned) are all its state, ready to be stored.
    """

    SIZE = 64

    def __init__(self, highest: int = -1, bits: int = 0):
        self.highest = highest
        self.bits = bits

    def fresh(self, sequence: int) -> bool:
        """Whether the sequence was never accepted; False also for one too old to know."""
        age = self.highest - sequence
        if age < 0:
            return True
        return age < self.SIZE and not self.bits >> age & 1

    def accept(self, sequence: int) -> None:
        """Take a sequence: from now on it is not fresh. One that is not fresh changes nothing."""
        age = self.highest - sequence
        if age >= self.SIZE:
            return
        if age >= 0:
            self.bits |= 1 << age
            return
        # A jump may be billions wide: never shift by it.
        kept = self.bits << -age if -age < self.SIZE else 0
        self.bits = (kept | 1) & ((1 << self.SIZE) - 1)
        self.highest = sequence


def _nonce(direction: int, epoch: int, sequence: int) -> bytes:
    return struct.pack(">BxHIxxxx", direction, epoch, sequence)


def _mac(keys: LinkKeys, signed: bytes) -> bytes:
    return keys.mac(signed)[: wire.MAC_SIZE]

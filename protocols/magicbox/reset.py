"""The signature of a factory reset: only who knows the token secret may clear a device (issue 3, Commands).

It names the device and its count, so that it is good for one device, and only until the next token.
"""

import struct

from protocols.mac import hmac_sha256

SIGNATURE_SIZE = 8

_PURPOSE = b"payg factory reset"


def factory_signature(secret: bytes, serial: str, token_count: int) -> bytes:
    """What a RESET of kind factory carries; `token_count` is the device's, as its last status has it."""
    said = _PURPOSE + serial.encode() + struct.pack(">I", token_count)
    return hmac_sha256(secret, said)[:SIGNATURE_SIZE]

"""AES in counter mode, on hosts and on boards.

Stock boards have ECB and CBC only (spec/firmware_platform.md): there the key stream is made of ECB blocks.
"""

import sys

NONCE_SIZE = 12  # the rest of a block counts blocks: 2^32 of them

if sys.implementation.name == "micropython":
    _aes = __import__("cryptolib").aes
    _MODE_ECB = 1

    def cipher(key: bytes) -> object:
        return key  # a board has no memory to spare between frames

    def crypt(ready: object, nonce: bytes, data: bytes) -> bytes:
        blocks = _aes(ready, _MODE_ECB)
        output = bytearray(data)
        for offset in range(0, len(data), 16):
            stream = blocks.encrypt(nonce + (offset // 16).to_bytes(4, "big"))
            for index in range(min(16, len(data) - offset)):
                output[offset + index] ^= stream[index]
        return bytes(output)

else:
    from typing import cast

    from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    def cipher(key: bytes) -> object:
        """What `crypt` works with, ready for many frames; the key has 16 or 32 bytes.

        It is most of the work of a short frame, and a kilobyte. One thread at a time may use it.
        """
        return Cipher(AES(key), CTR(bytes(16))).encryptor()

    def crypt(ready: object, nonce: bytes, data: bytes) -> bytes:
        """AES-CTR, either way; the nonce has 12 bytes that were never used under the cipher's key."""
        context = cast("CipherContext", ready)
        context.reset_nonce(nonce + bytes(4))
        return context.update(data)

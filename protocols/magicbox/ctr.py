"""AES in counter mode, on hosts and on boards.

Stock boards have ECB and CBC only (spec/firmware_platform.md): there the key stream is made of ECB blocks.
"""

import sys

NONCE_SIZE = 12  # the rest of a block counts blocks: 2^32 of them

if sys.implementation.name == "micropython":
    _aes = __import__("cryptolib").aes
    _MODE_ECB = 1

    def crypt(key: bytes, nonce: bytes, data: bytes) -> bytes:
        cipher = _aes(key, _MODE_ECB)
        output = bytearray(data)
        for offset in range(0, len(data), 16):
            stream = cipher.encrypt(nonce + (offset // 16).to_bytes(4, "big"))
            for index in range(min(16, len(data) - offset)):
                output[offset + index] ^= stream[index]
        return bytes(output)

else:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    def crypt(key: bytes, nonce: bytes, data: bytes) -> bytes:
        """AES-CTR, either way; the key has 16 or 32 bytes, the nonce 12 that were never used under it."""
        return Cipher(AES(key), CTR(nonce + bytes(4))).encryptor().update(data)

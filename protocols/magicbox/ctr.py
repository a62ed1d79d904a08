"""AES in counter mode, on hosts and on boards.

Stock boards have ECB and CBC only (spec/firmware_platform.md): there the key stream is made of ECB blocks.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

if sys.implementation.name == "micropython":
    _aes = __import__("cryptolib").aes
    _MODE_ECB = 1

    def cipher(key: bytes) -> "Callable[[bytes, bytes], bytes]":
        def crypt(nonce: bytes, data: bytes) -> bytes:
            blocks = _aes(key, _MODE_ECB)
            output = bytearray(data)
            for offset in range(0, len(data), 16):
                stream = blocks.encrypt(nonce + (offset // 16).to_bytes(4, "big"))
                for index in range(min(16, len(data) - offset)):
                    output[offset + index] ^= stream[index]
            return bytes(output)

        return crypt  # a board has no memory to spare for more between frames

else:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    def cipher(key: bytes) -> "Callable[[bytes, bytes], bytes]":
        """crypt(nonce, data): AES-CTR, either way; the key has 16 or 32 bytes, the nonce 12 that were never
        used under it.

        Making it ready is most of the work of a short frame, and a kilobyte. One thread at a time may use it.
        """
        context = Cipher(AES(key), CTR(bytes(16))).encryptor()

        def crypt(nonce: bytes, data: bytes) -> bytes:
            context.reset_nonce(nonce + bytes(4))
            return context.update(data)

        return crypt

"""Secrets at rest: AES-256-GCM under a key derived from the database's root key (master.py)."""

import base64
import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backend.kit.errors import InternalError
from backend.kit.runtime import Entropy

NONCE = 12
SEALED = "sealed:"  # begins a text that is sealed


class Vault:
    """Seals what must be read again (device secrets, link keys); what need not be is hashed instead."""

    def __init__(self, root_key: bytes, service: str, entropy: Entropy):
        self._aead = AESGCM(derived(root_key, f"vault:{service}"))
        self._entropy = entropy
        self.pepper = derived(root_key, f"pepper:{service}")

    def seal(self, plain: bytes, context: str) -> bytes:
        """Encrypted; opens only under the same `context` (say, the serial), so rows can't be swapped."""
        nonce = self._entropy.token_bytes(NONCE)
        return nonce + self._aead.encrypt(nonce, plain, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """The plain bytes. InternalError: another master key, or the row was changed."""
        try:
            return self._aead.decrypt(sealed[:NONCE], sealed[NONCE:], context.encode())
        except (InvalidTag, ValueError) as error:
            raise InternalError("a stored secret does not open; check the master key") from error

    def seal_text(self, plain: str, context: str) -> str:
        """`seal`, as text: for a column that holds text, or a row that goes to the database as JSON."""
        return SEALED + base64.b64encode(self.seal(plain.encode(), context)).decode()

    def open_text(self, stored: str, context: str) -> str:
        """The plain text. InternalError: see open. What was stored before texts were sealed: as it is."""
        if not stored.startswith(SEALED):
            return stored
        try:
            sealed = base64.b64decode(stored.removeprefix(SEALED), validate=True)
        except ValueError as error:
            raise InternalError("a stored secret is damaged") from error
        return self.open(sealed, context).decode()

    def fingerprint(self, value: str) -> str:
        """A keyed SHA-256: enough for random 128-bit passwords. Any header value has one."""
        return hmac.digest(self.pepper, value.encode("utf-8", "surrogateescape"), "sha256").hex()


def derived(key: bytes, label: str) -> bytes:
    """A key for one use, made of another."""
    return hmac.new(key, label.encode(), hashlib.sha256).digest()

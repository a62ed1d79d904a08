"""The holder of the device: name and language for the display, and a PIN that hides the name (USERACCT).

The PIN is kept as a keyed hash: whoever reads the store without the secret does not read the PIN. It never
stands between a customer and a token.
"""

from protocols.mac import equal, hmac_sha256
from protocols.magicbox import wire

MAX_NAME = 32  # bytes of UTF-8: two lines of a display
MIN_PIN = 4
MAX_PIN = 6

_LANGUAGE_SIZE = 2
_PIN_SIZE = 8


class User:
    """`name` and `language` (two small letters) are empty when they are not set."""

    __slots__ = ("_pin", "_secret", "language", "name")

    def __init__(self, secret: bytes):
        self._secret = secret
        self.clear()

    def clear(self) -> None:
        """Nobody's device."""
        self.name = ""
        self.language = ""
        self._pin = b""

    def set(self, field: int, text: bytes) -> bool:
        """Set a field (USER_FIELD_*), or clear it with an empty text; False, and nothing changed, for a field
        or a text that makes no sense."""
        if field == wire.USER_FIELD_ALL and not text:
            self.clear()
        elif field == wire.USER_FIELD_NAME and _is_name(text):
            self.name = text.decode()
        elif field == wire.USER_FIELD_LANGUAGE and (not text or _is_language(text)):
            self.language = text.decode()
        elif field == wire.USER_FIELD_PIN and not text:
            self._pin = b""
        elif field == wire.USER_FIELD_PIN and _is_pin(text):
            self._pin = self._hash(text)
        else:
            return False
        return True

    @property
    def has_pin(self) -> bool:
        return bool(self._pin)

    def is_pin(self, digits: str) -> bool:
        """Whether these digits are the holder's PIN."""
        if not self.has_pin or not MIN_PIN <= len(digits) <= MAX_PIN:
            return False
        return equal(self._hash(digits.encode()), self._pin)

    def pack(self) -> bytes:
        return b"".join(
            [bytes([len(text)]) + text for text in (self.name.encode(), self.language.encode(), self._pin)]
        )

    def unpack(self, data: bytes) -> None:
        name, language, self._pin = _texts(data, 3)
        self.name = name.decode()
        self.language = language.decode()

    def _hash(self, pin: bytes) -> bytes:
        return hmac_sha256(self._secret, b"payg pin " + pin)[:_PIN_SIZE]


def _texts(data: bytes, count: int) -> "list[bytes]":
    """The first texts, each after its length; those that are not there are empty."""
    texts: list[bytes] = []
    offset = 0
    for _ in range(count):
        length = data[offset] if offset < len(data) else 0
        texts.append(bytes(data[offset + 1 : offset + 1 + length]))
        offset += 1 + length
    return texts


def _is_name(text: bytes) -> bool:
    if len(text) > MAX_NAME:
        return False
    try:
        return all([ord(letter) >= 32 and ord(letter) != 127 for letter in text.decode()])
    except UnicodeError:
        return False


def _is_language(text: bytes) -> bool:
    return len(text) == _LANGUAGE_SIZE and all([97 <= octet <= 122 for octet in text])


def _is_pin(text: bytes) -> bool:
    return MIN_PIN <= len(text) <= MAX_PIN and all([48 <= octet <= 57 for octet in text])

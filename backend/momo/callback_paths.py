"""The paths that providers call back on: each payment's own ends with a secret that is kept nowhere.

It is made of the payment's id and a key; the database has a keyed hash of it to find the payment by. Whoever
reads the database can name no path, and a path costs the same time to look up whatever it has in common with
a right one.
"""

import hmac

from backend.kit.vault import derived

SECRET_SIZE = 16  # bytes: 32 hex digits in the path


class CallbackPaths:
    """`base_url` is where providers reach momo, `pepper` is momo's."""

    def __init__(self, base_url: str, pepper: bytes):
        self._base_url = base_url.rstrip("/")
        self._secrets = derived(pepper, "callback secrets")
        self._hashes = derived(pepper, "callback hashes")

    def url(self, hook: str, payment_id: str) -> str:
        """Where a provider calls about a payment."""
        return f"{self._base_url}/hooks/{hook}/{self.secret_of(payment_id)}"

    def secret_of(self, payment_id: str) -> str:
        """The last part of the path, in hex."""
        return hmac.digest(self._secrets, payment_id.encode(), "sha256")[:SECRET_SIZE].hex()

    def hash_of(self, secret: str) -> str:
        """What is stored of a secret, in hex. Any part of a path has one."""
        return hmac.digest(self._hashes, secret.encode("utf-8", "surrogateescape"), "sha256").hex()

    def hash_for(self, payment_id: str) -> str:
        """What is stored with a payment."""
        return self.hash_of(self.secret_of(payment_id))

    def is_secret_of(self, secret: str, payment_id: str) -> bool:
        """Whether a path's last part is this payment's, in constant time."""
        given = secret.encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, self.secret_of(payment_id).encode())

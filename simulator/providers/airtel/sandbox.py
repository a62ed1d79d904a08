"""What the provider does: signed payments, enquiries, callbacks with a hash. HTTP: routes.py."""

import base64
import binascii
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from sqlalchemy import Connection

from backend.kit import rsa
from backend.kit.database import Database
from backend.kit.http import HttpClient
from backend.kit.runtime import Clock, Entropy
from simulator.providers.mishaps import NONE, Mishaps
from simulator.providers.prompts import FAILED, PAID, Call, Prompt, Prompts, details
from simulator.providers.script import Outcome

TOKEN_LIFE_S = 180

# What the enquiry says of an outcome: status, response_code, message.
OUTCOMES = {
    Outcome.PAYS: ("TS", "DP00800001001", "Transaction is successful."),
    Outcome.NO_FUNDS: ("TF", "DP00800001007", "User wallet does not have enough money."),
    Outcome.REFUSES: ("TF", "DP00800001008", "The transaction was refused."),
    Outcome.WRONG_PIN: ("TF", "DP00800001002", "Incorrect pin has been entered."),
    Outcome.EXPIRES: ("TE", "DP00800001029", "Transaction has been expired."),
    Outcome.OVER_LIMIT: ("TF", "DP00800001003", "The User has exceeded their wallet transaction limit."),
}
IN_PROCESS = ("TIP", "DP00800001006", "Transaction in pending state. Please check after sometime.")


@dataclass(frozen=True, slots=True)
class AirtelSandboxConfig:
    """One application and the address that is registered for its callbacks."""

    client_id: str
    client_secret: str = field(repr=False)
    callback_url: str = field(repr=False, default="")
    country: str = "UG"
    currency: str = "UGX"
    approve_after_s: float = 0.2
    mishaps: Mishaps = NONE


class AirtelSandbox:
    """The provider's side."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        http: HttpClient,
        config: AirtelSandboxConfig,
    ):
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self.config = config
        self.prompts = Prompts(
            database=database,
            clock=clock,
            entropy=entropy,
            http=http,
            service="sandbox-airtel",
            approve_after_s=config.approve_after_s,
            mishaps=config.mishaps,
            receipt=self._receipt,
            tell=self._tell,
        )
        self._key = ""  # PEM; made at the first start

    async def start(self) -> None:
        """Create what is missing, the key among it, and resume what is under way."""

        def prepare(connection: Connection) -> None:
            self._key = self.prompts.store.facts.made(connection, "key", rsa.new_key)

        await self.prompts.start(prepare)

    async def stop(self) -> None:
        """Stop at once."""
        await self.prompts.stop()

    def is_client(self, client_id: str, client_secret: str) -> bool:
        """Whether these are the application's credentials."""
        ours = f"{self.config.client_id}:{self.config.client_secret}".encode()
        return hmac.compare_digest(f"{client_id}:{client_secret}".encode(), ours)

    def public_key(self) -> str:
        """The RSA key for signatures: base64 of its DER form."""
        return rsa.public_der(self._key)

    def signs(self, body: bytes, *, signature: str, key: str) -> bool:
        """Whether x-signature is `body` under the AES key and IV that x-key carries."""
        try:
            opened = rsa.private_key(self._key).decrypt(
                base64.b64decode(key, validate=True), padding.PKCS1v15()
            )
            aes_key, _, iv = opened.partition(b":")
            cipher = Cipher(algorithms.AES256(base64.b64decode(aes_key)), modes.CBC(base64.b64decode(iv)))
            decryptor = cipher.decryptor()
            padded = decryptor.update(base64.b64decode(signature, validate=True)) + decryptor.finalize()
            unpadder = PKCS7(128).unpadder()
            return unpadder.update(padded) + unpadder.finalize() == body
        except (ValueError, binascii.Error):
            return False

    async def pay(self, *, transaction_id: str, payer: str, amount: str, reference: str) -> bool:
        """Ask a customer; False: the id was used before."""
        prompt = Prompt(
            id=transaction_id,
            payer=payer,
            amount=amount,
            reference=reference,
            callback_url=self.config.callback_url,
            created_at_ms=self._clock.now_ms(),
            details=details(country=self.config.country),
        )
        return await self.prompts.take(prompt)

    async def refund(self, receipt: str) -> bool | None:
        """Give a payment back; False: it was before, None: there is none of this airtel_money_id."""

        def work(connection: Connection) -> bool | None:
            store = self.prompts.store
            paid = store.of_receipt(connection, receipt)
            if paid is None:
                return None
            fact = f"refunded:{paid.id}"
            is_new = not store.facts.get(connection, fact)
            store.facts.set(connection, fact, "yes")
            return is_new

        return await self._database.write(work)

    def _tell(self, _: Connection, prompt: Prompt) -> Sequence[Call]:
        if not prompt.callback_url:
            return []
        return [Call(prompt.callback_url, callback_body(prompt, self.config))]

    def _receipt(self) -> str:
        number = int.from_bytes(self._entropy.token_bytes(6), "big")
        return f"MP25{number % 10**4:04d}.{number // 10**4 % 10**4:04d}.L{number % 10**6:06d}"


def standing(prompt: Prompt) -> tuple[str, str, str]:
    """Status, response code and message of a payment now."""
    return OUTCOMES[Outcome(prompt.outcome)] if prompt.status in (PAID, FAILED) else IN_PROCESS


def callback_body(prompt: Prompt, config: AirtelSandboxConfig) -> Mapping[str, object]:
    """The callback of a settled payment. `hash`: HMAC-SHA256 of the compact JSON of `transaction`."""
    status, _, message = standing(prompt)
    paid = f"Paid {config.currency} {float(prompt.amount):,.0f} to payg. Trans ID {prompt.receipt}"
    transaction = {
        "id": prompt.id,
        "message": paid if prompt.receipt else message,
        "status_code": "TS" if status == "TS" else "TF",
        "airtel_money_id": prompt.receipt,
    }
    compact = json.dumps(transaction, separators=(",", ":")).encode()
    digest = hmac.digest(config.client_secret.encode(), compact, "sha256")
    return {"transaction": transaction, "hash": base64.b64encode(digest).decode()}

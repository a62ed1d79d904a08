"""What the provider does: checkouts and their signed callbacks. HTTP: routes.py."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection

from backend.kit import rsa
from backend.kit.database import Database
from backend.kit.http import HttpClient
from backend.kit.runtime import Clock, Entropy
from simulator.providers.mishaps import NONE, Mishaps
from simulator.providers.prompts import Call, Prompt, Prompts
from simulator.providers.script import Outcome

TOKEN_LIFE_S = 86_400
OPERATOR = "Halopesa"

MESSAGES = {
    Outcome.PAYS: "Transaction was successful",
    Outcome.NO_FUNDS: "Insufficient balance",
    Outcome.REFUSES: "Transaction cancelled by customer",
    Outcome.WRONG_PIN: "Wrong PIN",
    Outcome.EXPIRES: "Transaction timed out",
    Outcome.OVER_LIMIT: "Limit exceeded",
}


@dataclass(frozen=True, slots=True)
class HalopesaSandboxConfig:
    """One application at the aggregator."""

    app_name: str
    client_id: str
    client_secret: str = field(repr=False)
    api_key: str = field(repr=False)
    approve_after_s: float = 0.2
    mishaps: Mishaps = NONE


class HalopesaSandbox:
    """The provider's side."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        http: HttpClient,
        config: HalopesaSandboxConfig,
    ):
        self._clock = clock
        self._entropy = entropy
        self.config = config
        self.prompts = Prompts(
            database=database,
            clock=clock,
            entropy=entropy,
            http=http,
            service="sandbox-halopesa",
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

    def is_app(self, app_name: str, client_id: str, client_secret: str) -> bool:
        """Whether these are the application's credentials."""
        config = self.config
        ours = f"{config.app_name}:{config.client_id}:{config.client_secret}".encode()
        return hmac.compare_digest(f"{app_name}:{client_id}:{client_secret}".encode(), ours)

    def is_api_key(self, api_key: str) -> bool:
        """Whether this is the X-API-Key."""
        return hmac.compare_digest(api_key.encode("utf-8", "surrogateescape"), self.config.api_key.encode())

    def is_checksum(self, body: Mapping[str, object], checksum: str) -> bool:
        """Whether a checksum is of a body, its own field aside."""
        rest = {name: value for name, value in body.items() if name != "checksum"}
        digest = hmac.digest(
            self.config.api_key.encode(), msgspec.json.encode(rest, order="sorted"), "sha256"
        )
        return hmac.compare_digest(digest.hex().encode(), checksum.encode())

    def expires(self) -> str:
        """When a token that is issued now expires."""
        at_s = self._clock.now_ms() / 1000 + TOKEN_LIFE_S
        return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def public_key(self) -> str:
        """What checks the callbacks' signatures, PEM."""
        return rsa.public_pem(self._key)

    async def checkout(self, *, payer: str, amount: str, reference: str, callback_url: str) -> str:
        """Ask a customer; the aggregator's id of it."""
        transaction_id = self._receipt()
        prompt = Prompt(
            id=transaction_id,
            payer=payer,
            amount=amount,
            reference=reference,
            callback_url=callback_url,
            created_at_ms=self._clock.now_ms(),
        )
        await self.prompts.take(prompt)
        return transaction_id

    def _tell(self, _: Connection, prompt: Prompt) -> Sequence[Call]:
        status = "success" if prompt.receipt else "failure"
        signed = f"{prompt.reference}{prompt.receipt}{status}{OPERATOR}"
        body: Mapping[str, object] = {
            "msisdn": prompt.payer,
            "amount": prompt.amount,
            "message": MESSAGES[Outcome(prompt.outcome)],
            "utilityref": prompt.reference,
            "externalreference": prompt.receipt,
            "reference": prompt.id,
            "operator": OPERATOR,
            "transactionstatus": status,
            "submerchantAcc": "",
            "signature": rsa.sign(rsa.private_key(self._key), signed),
        }
        return [Call(prompt.callback_url, body)] if prompt.callback_url else []

    def _receipt(self) -> str:
        return self._entropy.token_bytes(16).hex()

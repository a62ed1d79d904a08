"""What the provider does: signed pushes, their callbacks, notifications of a till. HTTP: routes.py."""

import base64
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection

from backend.kit import rsa
from backend.kit.database import Database
from backend.kit.http import HttpClient
from backend.kit.runtime import Clock, Entropy
from simulator.providers.mishaps import NONE, Mishaps
from simulator.providers.prompts import Call, Prompt, Prompts, details
from simulator.providers.script import Outcome

TOKEN_LIFE_S = 900

CODES = {
    Outcome.PAYS: (3, "Transaction has been credited successfully"),
    Outcome.NO_FUNDS: (1, "Insufficient funds"),
    Outcome.WRONG_PIN: (1, "Wrong PIN"),
    Outcome.REFUSES: (5, "Request cancelled by user"),
    Outcome.EXPIRES: (6, "Request cancelled: no response from user"),
    Outcome.OVER_LIMIT: (7, "Transaction rejected: limit exceeded"),
}


@dataclass(frozen=True, slots=True)
class EquitySandboxConfig:
    """One merchant. `public_key` (PEM) checks his signatures; the IPN goes to `ipn_url`, if there is one."""

    api_key: str = field(repr=False)
    merchant_code: str
    consumer_secret: str = field(repr=False)
    account_number: str
    public_key: str
    ipn_url: str = field(repr=False, default="")
    ipn_username: str = ""
    ipn_password: str = field(repr=False, default="")
    approve_after_s: float = 0.2
    mishaps: Mishaps = NONE


class EquitySandbox:
    """The provider's side."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        http: HttpClient,
        config: EquitySandboxConfig,
    ):
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self.config = config
        self._key = rsa.load_public(config.public_key)
        self.prompts = Prompts(
            database=database,
            clock=clock,
            entropy=entropy,
            http=http,
            service="sandbox-equity",
            approve_after_s=config.approve_after_s,
            mishaps=config.mishaps,
            receipt=self._receipt,
            tell=self._tell,
        )

    async def start(self) -> None:
        """Create what is missing and resume what is under way."""
        await self.prompts.start()

    async def stop(self) -> None:
        """Stop at once."""
        await self.prompts.stop()

    def is_merchant(self, api_key: str, merchant_code: str, consumer_secret: str) -> bool:
        """Whether these are the merchant's credentials."""
        config = self.config
        ours = f"{config.api_key}:{config.merchant_code}:{config.consumer_secret}".encode()
        theirs = f"{api_key}:{merchant_code}:{consumer_secret}".encode("utf-8", "surrogateescape")
        return hmac.compare_digest(theirs, ours)

    async def token(self) -> tuple[str, str, str]:
        """An access token, when it was issued and when it expires."""
        now_ms = self._clock.now_ms()
        token = await self.prompts.issue(TOKEN_LIFE_S)
        return token, _iso(now_ms), _iso(now_ms + TOKEN_LIFE_S * 1000)

    def signs(self, text: str, signature: str) -> bool:
        """Whether a signature is the merchant's, of `text`."""
        return rsa.verifies(self._key, text, signature)

    async def push(self, *, ref: str, payer: str, amount: str, telco: str, callback_url: str) -> bool:
        """Ask a customer; False: the ref was used before."""
        prompt = Prompt(
            id=ref,
            payer=payer,
            amount=amount,
            reference=ref,
            callback_url=callback_url,
            created_at_ms=self._clock.now_ms(),
            details=details(telco=telco),
        )
        return await self.prompts.take(prompt)

    async def customer_pays(self, *, payer: str, amount: str, reference: str) -> None:
        """A customer pays the till; what he typed as his account is the bill's number."""
        now_ms = self._clock.now_ms()
        prompt = Prompt(
            id=self._receipt(),
            payer=payer,
            amount=amount,
            reference=reference,
            callback_url=self.config.ipn_url,
            created_at_ms=now_ms,
            details=details(till="yes"),
        )

        def work(connection: Connection) -> None:
            paid = self.prompts.settled(prompt, Outcome.PAYS)
            if self.prompts.store.add(connection, paid):
                self.prompts.tell(connection, paid, [self._ipn(paid)])

        await self._database.write(work)

    def transaction_id(self) -> str:
        """Jenga's own id of a request."""
        return self._entropy.token_bytes(8).hex()

    def _tell(self, _: Connection, prompt: Prompt) -> Sequence[Call]:
        code, message = CODES[Outcome(prompt.outcome)]
        paid = code == 3
        body: Mapping[str, object] = {
            "status": paid,
            "code": code,
            "message": message,
            "transactionReference": prompt.id,
            "telcoReference": prompt.receipt,
            "mobileNumber": prompt.payer,
            "requestAmount": float(prompt.amount),
            "debitedAmount": float(prompt.amount) if paid else 0.0,
            "charge": 0.0,
            "currency": "KES",
            "telco": prompt.detail("telco"),
        }
        return [Call(prompt.callback_url, body)]

    def _ipn(self, paid: Prompt) -> Call:
        login = f"{self.config.ipn_username}:{self.config.ipn_password}".encode()
        amount = float(paid.amount)
        body: Mapping[str, object] = {
            "callbackType": "IPN",
            "customer": {"name": "John Doe", "mobileNumber": paid.payer, "reference": paid.reference},
            "transaction": {
                "date": datetime.fromtimestamp(paid.settled_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
                "reference": paid.id,
                "paymentMode": "EQUITEL",
                "amount": amount,
                "currency": "KES",
                "billNumber": paid.reference,
                "servedBy": "EQ",
                "additionalInfo": "",
                "orderAmount": amount,
                "serviceCharge": 0.0,
                "orderCurrency": "KES",
                "status": "SUCCESS",
                "remarks": "00:Approved",
            },
            "bank": {
                "reference": paid.receipt,
                "transactionType": "C",
                "account": self.config.account_number,
            },
        }
        headers = {"Authorization": f"Basic {base64.b64encode(login).decode()}"}
        return Call(self.config.ipn_url, body, headers)

    def _receipt(self) -> str:
        return self._entropy.token_bytes(6).hex().upper()


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

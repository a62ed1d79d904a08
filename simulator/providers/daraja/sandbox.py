"""What the provider does: pushes, their results, paybill payments, the list to pull. HTTP: routes.py."""

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone

import msgspec
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BackendError
from backend.kit.http import HttpClient
from backend.kit.outbox import Done, Leased, Outgoing
from backend.kit.outbox import Outcome as RowOutcome
from backend.kit.runtime import Clock, Entropy, uuid4
from backend.kit.web import JSON
from simulator.providers.mishaps import NONE, Mishaps
from simulator.providers.prompts import PENDING, Call, Prompt, Prompts, details
from simulator.providers.script import Outcome

EAT = timezone(timedelta(hours=3))
TOKEN_LIFE_S = 3599
VALIDATION_S = 8.0  # what a validation URL has to answer
SAME_AGAIN_MS = 120_000  # the same amount of the same customer is refused that long
PULL_MS = 48 * 3600 * 1000
PULL_PAGE = 100
RECEIPT_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
PAYS = "c2b"  # kind of outbox rows: a customer pays a paybill

RESULTS = {
    Outcome.PAYS: (0, "The service request is processed successfully."),
    Outcome.NO_FUNDS: (1, "The balance is insufficient for the transaction."),
    Outcome.OVER_LIMIT: (4, "The transaction would exceed the daily transfer limit."),
    Outcome.REPEATS: (17, "Rule limited."),
    Outcome.REFUSES: (1032, "Request cancelled by user"),
    Outcome.EXPIRES: (1037, "DS timeout user cannot be reached"),
    Outcome.WRONG_PIN: (2001, "The initiator information is invalid."),
}


@dataclass(frozen=True, slots=True)
class Urls:
    """Where paybill payments are told. `version` 2 masks numbers; `default`: Completed or Cancelled."""

    validation: str
    confirmation: str
    default: str = "Cancelled"
    version: int = 2


@dataclass(frozen=True, slots=True)
class DarajaSandboxConfig:
    """One app and its short code. `urls` and `pull`: what is registered already when it starts."""

    consumer_key: str
    consumer_secret: str = field(repr=False)
    passkey: str = field(repr=False)
    short_code: str = "174379"
    approve_after_s: float = 0.2
    mishaps: Mishaps = NONE
    external_validation: bool = True
    urls: Urls | None = field(repr=False, default=None)
    pull: bool = False


class DarajaSandbox:
    """The provider's side."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        http: HttpClient,
        config: DarajaSandboxConfig,
    ):
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._http = http
        self.config = config
        self.prompts = Prompts(
            database=database,
            clock=clock,
            entropy=entropy,
            http=http,
            service="sandbox-daraja",
            approve_after_s=config.approve_after_s,
            mishaps=config.mishaps,
            receipt=self._receipt,
            tell=self._tell,
            judge=self._judge,
            handlers={PAYS: self._pays},
        )
        self._store = self.prompts.store

    async def start(self) -> None:
        """Create what is missing and resume what is under way."""

        def prepare(connection: Connection) -> None:
            if self.config.urls is not None:
                self._set_urls(connection, self.config.urls)
            if self.config.pull:
                self._store.facts.set(connection, "pull", "registered")

        await self.prompts.start(prepare)

    async def stop(self) -> None:
        """Stop at once."""
        await self.prompts.stop()

    def is_app(self, basic: str) -> bool:
        """Whether `key:secret` is the app's."""
        ours = f"{self.config.consumer_key}:{self.config.consumer_secret}"
        return hmac.compare_digest(basic.encode(), ours.encode())

    def is_password(self, password: str, timestamp: str) -> bool:
        """Whether a password is base64 of short code, passkey and timestamp."""
        ours = f"{self.config.short_code}{self.config.passkey}{timestamp}".encode()
        return hmac.compare_digest(password.encode(), base64.b64encode(ours))

    async def is_locked(self, payer: str) -> bool:
        """Whether a customer has a push to answer."""
        pending = await self._database.read(lambda c: self._store.of_payer(c, payer, PENDING))
        return bool(pending)

    async def push(self, *, payer: str, amount: str, reference: str, callback_url: str) -> tuple[str, str]:
        """Push a prompt; its MerchantRequestID and CheckoutRequestID."""
        number = int.from_bytes(self._entropy.token_bytes(8), "big")
        merchant_id = f"{number % 90000 + 10000}-{number // 90000 % 10**8:08d}-1"
        checkout_id = f"ws_CO_{self._eat('%d%m%Y%H%M%S')}{number % 10**12:012d}"
        prompt = Prompt(
            id=checkout_id,
            payer=payer,
            amount=amount,
            reference=reference,
            callback_url=callback_url,
            created_at_ms=self._clock.now_ms(),
            details=details(merchant_id=merchant_id),
        )
        await self.prompts.take(prompt)
        return merchant_id, checkout_id

    async def register(self, urls: Urls) -> None:
        """Register the URLs of the short code."""
        await self._database.write(lambda c: self._set_urls(c, urls))

    async def customer_pays(self, *, payer: str, amount: str, reference: str) -> None:
        """A customer pays the paybill on his own phone."""
        payload = {"payer": payer, "amount": amount, "reference": reference}
        row = Outgoing(PAYS, self._receipt(), payload)
        await self._database.write(lambda c: self._store.outbox.put(c, [row], self._clock.now_ms()))

    async def register_pull(self) -> None:
        """Allow the short code's payments to be pulled."""
        await self._database.write(lambda c: self._store.facts.set(c, "pull", "registered"))

    async def pull(self, first_ms: int, last_ms: int, offset: int) -> list[Prompt] | None:
        """A page of what was paid in a time, of the last 48 hours; None: not registered."""
        first_ms = max(first_ms, self._clock.now_ms() - PULL_MS)

        def work(connection: Connection) -> list[Prompt] | None:
            if not self._store.facts.get(connection, "pull"):
                return None
            return self._store.paid_between(connection, first_ms, last_ms, offset=offset, limit=PULL_PAGE)

        return await self._database.read(work)

    def originator_id(self) -> str:
        """An OriginatorCoversationID."""
        number = int.from_bytes(self._entropy.token_bytes(6), "big")
        return f"{number % 90000 + 10000}-{number % 10**8:08d}-1"

    def request_id(self) -> str:
        """The id in an error."""
        return uuid4(self._entropy)[4:]

    def _judge(self, connection: Connection, prompt: Prompt) -> Outcome:
        outcome = self.prompts.scripted(connection, prompt)
        since_ms = prompt.created_at_ms - SAME_AGAIN_MS
        paid = self._store.of_payer(connection, prompt.payer, "paid", since_ms)
        again = any(each.amount == prompt.amount and not each.detail("c2b") for each in paid)
        return Outcome.REPEATS if outcome is Outcome.PAYS and again else outcome

    def _tell(self, connection: Connection, prompt: Prompt) -> Sequence[Call]:
        calls = [Call(prompt.callback_url, self._result(prompt))]
        urls = self._urls(connection)
        if prompt.receipt and urls is not None:
            calls.append(Call(urls.confirmation, self._notice(prompt, urls.version), notice=True))
        return calls

    def _result(self, prompt: Prompt) -> dict[str, object]:
        code, text = RESULTS[Outcome(prompt.outcome)]
        result: dict[str, object] = {
            "MerchantRequestID": prompt.detail("merchant_id"),
            "CheckoutRequestID": prompt.id,
            "ResultCode": code,
            "ResultDesc": text,
        }
        if prompt.receipt:
            items: list[dict[str, object]] = [
                {"Name": "Amount", "Value": float(prompt.amount)},
                {"Name": "MpesaReceiptNumber", "Value": prompt.receipt},
                {"Name": "Balance"},
                {"Name": "TransactionDate", "Value": int(_at(prompt.settled_at_ms, "%Y%m%d%H%M%S"))},
                {"Name": "PhoneNumber", "Value": int(prompt.payer)},
            ]
            result["CallbackMetadata"] = {"Item": items}
        return {"Body": {"stkCallback": result}}

    def _notice(self, prompt: Prompt, version: int) -> dict[str, object]:
        masked = f"{prompt.payer[:5]}****{prompt.payer[-3:]}"
        return {
            "TransactionType": "Pay Bill",
            "TransID": prompt.receipt,
            "TransTime": _at(prompt.settled_at_ms or prompt.created_at_ms, "%Y%m%d%H%M%S"),
            "TransAmount": prompt.amount,
            "BusinessShortCode": self.config.short_code,
            "BillRefNumber": prompt.reference,
            "InvoiceNumber": "",
            "OrgAccountBalance": "",
            "ThirdPartyTransID": prompt.detail("third_party"),
            "MSISDN": masked if version == 2 else prompt.payer,
            "FirstName": "John",
            "MiddleName": "",
            "LastName": "Doe",
        }

    async def _pays(self, row: Leased) -> RowOutcome:
        """A customer pays: validated where that is asked for, then stored and told."""
        prompt = Prompt(
            id=row.key,
            payer=str(row.payload["payer"]),
            amount=str(row.payload["amount"]),
            reference=str(row.payload["reference"]),
            callback_url="",
            created_at_ms=self._clock.now_ms(),
            receipt=row.key,
        )
        urls = await self._database.read(self._urls)
        third_party = ""
        if urls is not None and urls.validation and self.config.external_validation:
            word = await self._validated(prompt, urls)
            if word is None:
                return Done()
            third_party = word

        def book(connection: Connection) -> None:
            paid = self.prompts.settled(prompt, Outcome.PAYS)
            paid = replace(paid, details=details(c2b="yes", third_party=third_party))
            if self._store.add(connection, paid) and urls is not None:
                notice = self._notice(paid, urls.version)
                self.prompts.tell(connection, paid, [Call(urls.confirmation, notice, notice=True)])

        return Done(book)

    async def _validated(self, prompt: Prompt, urls: Urls) -> str | None:
        """The partner's own id of an accepted payment, perhaps empty; None: it is rejected."""
        try:
            answer = await self._http.request(
                "POST",
                urls.validation,
                headers={"Content-Type": JSON},
                body=msgspec.json.encode(self._notice(prompt, urls.version)),
                timeout_s=VALIDATION_S,
            )
            word = answer.json()
        except BackendError:
            return "" if urls.default == "Completed" else None
        if answer.status != 200:
            return "" if urls.default == "Completed" else None
        return str(word.get("ThirdPartyTransID", "")) if word.get("ResultCode") in ("0", 0) else None

    def _urls(self, connection: Connection) -> Urls | None:
        stored = self._store.facts.get(connection, "urls")
        return msgspec.json.decode(stored, type=Urls) if stored else None

    def _set_urls(self, connection: Connection, urls: Urls) -> None:
        self._store.facts.set(connection, "urls", msgspec.json.encode(urls).decode())

    def _receipt(self) -> str:
        random = self._entropy.token_bytes(10)
        return "".join(RECEIPT_LETTERS[byte % len(RECEIPT_LETTERS)] for byte in random)

    def _eat(self, form: str) -> str:
        return _at(self._clock.now_ms(), form)


def _at(at_ms: int, form: str) -> str:
    """A time in East Africa."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(EAT).strftime(form)

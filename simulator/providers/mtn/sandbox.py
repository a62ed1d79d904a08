"""What the provider does: users, tokens, requests to pay, deciding customers, callbacks. HTTP: routes.py."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.dispatcher import Dispatcher
from backend.kit.errors import BackendError
from backend.kit.http import HttpClient
from backend.kit.outbox import Done, Leased, Outcome, Outgoing
from backend.kit.runtime import Clock, Entropy, token_hex
from backend.kit.web import JSON
from simulator.providers.mishaps import NONE, Mishaps
from simulator.providers.mtn.store import FAILED, PENDING, SUCCESSFUL, ApiUser, Collection, MtnStore

CURRENCIES = {  # by target environment
    "mtnuganda": "UGX",
    "mtnrwanda": "RWF",
    "mtnzambia": "ZMW",
    "mtnbenin": "XOF",
    "mtnivorycoast": "XOF",
    "mtnnigeria": "NGN",
    "sandbox": "EUR",
}
WHOLE_UNITS = frozenset(("UGX", "RWF", "XOF"))  # no decimals on the wire
TOKEN_LIFE_S = 3600
DELAYED_S = 30.0  # how much longer the customer of 46733123454 takes

APPROVE, CALLBACK = "approve", "callback"

# The sandbox's payers (spec/providers.md). First: refused when asked, as (HTTP status, code).
REFUSALS = {
    "46733123457": (500, "NOT_ALLOWED"),
    "46733123458": (500, "NOT_ALLOWED_TARGET_ENVIRONMENT"),
    "46733123459": (500, "INVALID_CALLBACK_URL_HOST"),
    "46733123460": (500, "INVALID_CURRENCY"),
    "46733123461": (500, "INTERNAL_PROCESSING_ERROR"),
    "46733123462": (503, "SERVICE_UNAVAILABLE"),
    "46733123464": (500, "TRANSFER_TYPE_UNKNOWN"),
}
# Taken, and then failed with this reason; every other number pays.
OUTCOMES = {
    "46733123450": "INTERNAL_PROCESSING_ERROR",
    "46733123451": "APPROVAL_REJECTED",
    "46733123452": "EXPIRED",
    "46733123455": "PAYER_NOT_FOUND",
    "46733123456": "PAYEE_NOT_ALLOWED_TO_RECEIVE",
    "46733123463": "COULD_NOT_PERFORM_TRANSACTION",
}
ONGOING = "46733123453"  # never decides
DELAYED = "46733123454"
REFUSED = "APPROVAL_REJECTED"
BARE_REASONS = frozenset((REFUSED, "EXPIRED"))  # sent as a string; the others as an object


class MtnError(BackendError):
    """An answer `{"code","message"}` with any status."""

    def __init__(self, status: int, code: str, message: str = ""):
        super().__init__(message or code.replace("_", " ").capitalize())
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class MtnSandboxConfig:
    """Who may call, and how long a customer takes to decide."""

    subscription_key: str = field(repr=False)
    users: Sequence[ApiUser] = field(repr=False, default=())
    approve_after_s: float = 0.2
    mishaps: Mishaps = NONE


class MtnSandbox:
    """The provider's side: users, tokens, requests to pay, customers who decide, callbacks."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        http: HttpClient,
        config: MtnSandboxConfig,
    ):
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._http = http
        self._config = config
        self._store = MtnStore()
        self._dispatcher = Dispatcher(
            outbox=self._store.outbox,
            database=database,
            clock=clock,
            handlers={APPROVE: self._decide, CALLBACK: self._call_back},
            service="sandbox-mtn",
        )

    async def start(self) -> None:
        """Create what is missing, and resume what customers have not decided yet."""

        def work(connection: Connection) -> None:
            self._store.metadata.create_all(connection)
            for user in self._config.users:
                self._store.set_user(connection, user)

        await self._database.write(work)
        await self._dispatcher.start()

    async def stop(self) -> None:
        """Stop at once."""
        await self._dispatcher.stop()

    async def collections(self) -> int:
        """How many requests to pay were taken."""
        return await self._database.read(self._store.count)

    def check_subscription(self, key: str) -> bool:
        """Whether `key` is the subscription key."""
        return hmac.compare_digest(_bytes(key), _bytes(self._config.subscription_key))

    async def create_user(self, api_user: str, callback_host: str) -> bool:
        """Whether the API user is new."""
        user = ApiUser(api_user, "sandbox", callback_host)
        return await self._database.write(lambda c: self._store.add_user(c, user))

    async def user(self, api_user: str) -> ApiUser:
        """An API user. MtnError 404."""
        user = await self._database.read(lambda c: self._store.user(c, api_user))
        if user is None:
            raise MtnError(404, "RESOURCE_NOT_FOUND", "Requested resource was not found.")
        return user

    async def create_api_key(self, api_user: str) -> str:
        """A new key of an API user. MtnError 404."""
        await self.user(api_user)
        api_key = token_hex(self._entropy)
        await self._database.write(lambda c: self._store.set_api_key(c, api_user, api_key))
        return api_key

    async def token(self, basic: str, target_environment: str) -> str | None:
        """An access token for `Basic` credentials; None: they are wrong. MtnError: another environment."""
        api_user, _, api_key = basic.partition(":")
        user = await self._database.read(lambda c: self._store.user(c, api_user))
        if (
            user is None
            or user.api_key is None
            or not hmac.compare_digest(user.api_key.encode(), api_key.encode())
        ):
            return None
        if target_environment != user.target_environment:
            raise MtnError(400, "X-Target-Environment")
        access_token = token_hex(self._entropy, 32)
        expires_at_ms = self._clock.now_ms() + TOKEN_LIFE_S * 1000
        await self._database.write(lambda c: self._store.add_token(c, user, access_token, expires_at_ms))
        return access_token

    async def bearer(self, access_token: str) -> tuple[str, str] | None:
        """Environment and callback host of a valid token."""
        if not access_token.isascii():
            return None
        now_ms = self._clock.now_ms()
        return await self._database.read(lambda c: self._store.bearer(c, access_token, now_ms))

    async def request_to_pay(self, collection: Collection) -> bool:
        """Take a request; False: its reference was used before."""
        wait_s = self._config.approve_after_s + (DELAYED_S if collection.payer == DELAYED else 0)

        def work(connection: Connection) -> bool:
            if not self._store.add_collection(connection, collection):
                return False
            if collection.payer != ONGOING:
                now_ms = self._clock.now_ms()
                due_at_ms = now_ms + int(wait_s * 1000)
                row = Outgoing(APPROVE, collection.reference_id, {}, due_at_ms=due_at_ms)
                self._store.outbox.put(connection, [row], now_ms)
            return True

        return await self._database.write(work)

    async def collection(self, reference_id: str, target_environment: str) -> Collection:
        """A request of an environment. MtnError 404."""
        found = await self._database.read(lambda c: self._store.collection(c, reference_id))
        if found is None or found.target_environment != target_environment:
            raise MtnError(404, "RESOURCE_NOT_FOUND", "Requested resource was not found.")
        return found

    async def balance(self, target_environment: str) -> str:
        """Everything that was collected in an environment, in major units."""
        amounts = await self._database.read(lambda c: self._store.successful(c, target_environment))
        return str(sum((Decimal(amount) for amount in amounts), Decimal(0)))

    async def _decide(self, row: Leased) -> Outcome:
        def settle(connection: Connection) -> None:
            collection = self._store.collection(connection, row.key)
            if collection is None or collection.status != PENDING:
                return
            reason = self._refusal(collection)
            tx = int.from_bytes(self._entropy.token_bytes(6), "big")
            self._store.settle(
                connection,
                row.key,
                status=FAILED if reason else SUCCESSFUL,
                reason=reason,
                financial_transaction_id=None if reason else str(10**15 + tx),
            )
            now_ms = self._clock.now_ms()
            callbacks = [
                Outgoing(CALLBACK, f"{row.key}:{copy}", {}, due_at_ms=now_ms + int(after_s * 1000))
                for copy, after_s in enumerate(self._config.mishaps.calls(row.key))
                if collection.callback_url
            ]
            self._store.outbox.put(connection, callbacks, now_ms)

        return Done(settle)

    def _refusal(self, collection: Collection) -> str | None:
        """Why a customer does not pay, by his number or by chance."""
        by_number = OUTCOMES.get(collection.payer)
        if by_number is None and self._config.mishaps.refuses(collection.reference_id):
            return REFUSED
        return by_number

    async def _call_back(self, row: Leased) -> Outcome:
        reference_id, _, _ = row.key.partition(":")
        collection = await self._database.read(lambda c: self._store.collection(c, reference_id))
        if collection is not None:
            try:
                await self._http.request(
                    "PUT",
                    collection.callback_url,
                    headers={"Content-Type": JSON},
                    body=msgspec.json.encode(status_body(collection)),
                )
            except BackendError:
                return Done()  # one callback, never repeated: that is the contract
        return Done()


def _bytes(header: str) -> bytes:
    return header.encode("utf-8", "surrogateescape")


def status_body(collection: Collection) -> dict[str, object]:
    """What a status answer and a callback say."""
    body: dict[str, object] = {"amount": collection.amount, "currency": collection.currency}
    if collection.financial_transaction_id is not None:
        body["financialTransactionId"] = collection.financial_transaction_id
    body |= {
        "externalId": collection.external_id,
        "payer": {"partyIdType": "MSISDN", "partyId": collection.payer},
        "payerMessage": collection.payer_message,
        "payeeNote": collection.payee_note,
        "status": collection.status,
    }
    if collection.reason is not None:
        text = collection.reason.replace("_", " ").capitalize()
        bare = collection.reason in BARE_REASONS
        body["reason"] = collection.reason if bare else {"code": collection.reason, "message": text}
    return body

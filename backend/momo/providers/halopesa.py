"""Halopesa through AzamPay's checkout (spec/providers.md, section 3c).

Nothing recognises a repeated request, so none is repeated, and there is no query for a checkout: the callback
to a payment's own path decides, if AzamPay's signature is under it. Its public key is kept for a day, and
asked for again when a signature does not fit. A payment whose callback is lost stays unknown until it is
reconciled.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from backend.kit import rsa
from backend.kit.decoding import UNREADABLE
from backend.kit.errors import Unavailable, Unprocessable
from backend.kit.http import HttpAnswer, HttpClient, TimedOut, Unreachable
from backend.kit.runtime import Clock
from backend.momo.ports import Debit, Failed, ProviderStatus, Standing, Succeeded, Taken
from backend.momo.providers.calls import SEND_TIMEOUT_S, TOKEN_TIMEOUT_S, Calls, platform
from backend.momo.providers.fields import decoded, fitting, life_s, major, subunits, unavailable

CURRENCY = "TZS"
KEY_LIFE_MS = 24 * 3600 * 1000
MAX_TOKEN_LIFE_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class HalopesaConfig:
    """One application at AzamPay. `auth_url`: its authenticator, a host of its own outside the sandbox."""

    base_url: str
    auth_url: str
    app_name: str
    client_id: str
    client_secret: str = field(repr=False)
    api_key: str = field(repr=False)


class _TokenData(msgspec.Struct, rename="camel"):
    access_token: str
    expire: str = ""


class _Token(msgspec.Struct):
    data: _TokenData


class _Key(msgspec.Struct, rename="camel"):
    public_key: str


class _Said(msgspec.Struct, rename="camel"):
    success: bool = False
    message: str | None = None
    transaction_id: str | None = None


class _Callback(msgspec.Struct):
    utilityref: str
    transactionstatus: str
    operator: str | None = None
    signature: str | None = None
    externalreference: str | None = None
    reference: str | None = None
    message: str | None = None
    amount: str | int | float | None = None


class HalopesaProvider:
    """Implements `backend.momo.ports.Provider`."""

    hook = "halopesa"
    repeatable = False
    callback_answer = None

    def __init__(self, config: HalopesaConfig, *, http: HttpClient, clock: Clock):
        self.base_url = config.base_url.rstrip("/")
        self._config = config
        self._http = http
        self._clock = clock
        self._calls = Calls("halopesa", self._fetch, clock)
        self._keys: dict[str, tuple[str, int]] = {}  # platform -> public key and when it is too old

    def check(self, *, amount_subunit: int, currency: str) -> None:
        """See Provider."""
        if currency != CURRENCY:
            raise Unprocessable(f"this provider takes {CURRENCY} only")
        if amount_subunit % 100:
            raise Unprocessable("Halopesa moves whole shillings; send a whole amount")

    async def request(self, debit: Debit) -> ProviderStatus:
        """See Provider."""
        body: dict[str, str] = {
            "accountNumber": debit.msisdn,
            "amount": major(debit.amount_subunit),
            "currency": CURRENCY,
            "externalId": debit.provider_ref,
            "provider": "Halopesa",
            "callbackUrl": debit.callback_url,
        }
        digest = hmac.digest(
            self._config.api_key.encode(), msgspec.json.encode(body, order="sorted"), "sha256"
        )
        answer = await self._call(
            "POST",
            debit.base_url,
            "/azampay/mno/checkout",
            msgspec.json.encode({**body, "checksum": digest.hex()}),
        )
        said = fitting(answer.body, _Said)
        if answer.status in (401, 429, 503):
            detail = f"halopesa checkout: HTTP {answer.status}"
            raise Unreachable(detail, retry_after_s=answer.retry_after_s)
        if answer.status >= 500 or said is None:
            raise TimedOut(f"halopesa checkout: HTTP {answer.status}")
        if answer.status == 200 and said.success:
            return Taken(said.transaction_id) if said.transaction_id else Standing.PENDING
        return Failed(said.message or f"HTTP_{answer.status}")

    async def status(self, debit: Debit, heard: Sequence[bytes]) -> ProviderStatus:
        """See Provider. What was heard with a good signature, a success before a failure."""
        callbacks = [fitting(body, _Callback) for body in heard]
        called = [each for each in callbacks if each and each.utilityref == debit.provider_ref]
        genuine = [each for each in called if await self._is_genuine(each, debit.base_url)]
        for callback in genuine:
            if callback.transactionstatus == "success":
                return _succeeded(callback, debit)
        for callback in genuine:
            if callback.transactionstatus == "failure":
                return Failed(callback.message or "failure")
        return Standing.PENDING

    async def _is_genuine(self, callback: _Callback, stored_url: str) -> bool:
        text = (
            f"{callback.utilityref}{callback.externalreference or ''}"
            f"{callback.transactionstatus}{callback.operator or ''}"
        )
        for fresh in (False, True):
            key = await self._key(stored_url, fresh=fresh)
            if rsa.verifies(rsa.load_public(key), text, callback.signature or ""):
                return True
        return False

    async def _key(self, stored_url: str, *, fresh: bool) -> str:
        base_url = platform(stored_url, self.base_url)
        key, until_ms = self._keys.get(base_url, ("", 0))
        if key and not fresh and self._clock.now_ms() < until_ms:
            return key
        answer = await self._call("GET", base_url, "/azampay/v1/public-key?format=Pem")
        if answer.status != 200:
            raise unavailable(answer, "halopesa public key")
        try:
            key = msgspec.json.decode(answer.body, type=_Key).public_key
            rsa.load_public(key)
        except UNREADABLE as error:
            raise Unavailable("halopesa public key: the answer has none") from error
        self._keys[base_url] = (key, self._clock.now_ms() + KEY_LIFE_MS)
        return key

    async def _call(self, method: str, stored_url: str, path: str, body: bytes = b"") -> HttpAnswer:
        base_url = platform(stored_url, self.base_url)

        async def send(token: str) -> HttpAnswer:
            return await self._http.request(
                method,
                base_url + path,
                headers={
                    "Authorization": f"Bearer {token}",
                    "X-API-Key": self._config.api_key,
                    "Content-Type": "application/json",
                },
                body=body,
                timeout_s=SEND_TIMEOUT_S,
            )

        return await self._calls.send(base_url, send)

    async def _fetch(self, base_url: str) -> tuple[str, int]:  # noqa: ARG002 - one authenticator for all
        app = {
            "appName": self._config.app_name,
            "clientId": self._config.client_id,
            "clientSecret": self._config.client_secret,
        }
        answer = await self._http.request(
            "POST",
            f"{self._config.auth_url.rstrip('/')}/AppRegistration/GenerateToken",
            headers={"Content-Type": "application/json"},
            body=msgspec.json.encode(app),
            timeout_s=TOKEN_TIMEOUT_S,
        )
        if answer.status != 200:
            raise unavailable(answer, "halopesa token")
        token = decoded(answer, _Token, "halopesa token").data
        return token.access_token, life_s(token.expire, self._clock.now_ms(), most_s=MAX_TOKEN_LIFE_S)


def _succeeded(callback: _Callback, debit: Debit) -> Succeeded:
    transaction = callback.externalreference or callback.reference
    if not transaction:
        raise Unavailable("halopesa callback: a success without a reference")
    amount = subunits(callback.amount)
    return Succeeded(transaction, debit.amount_subunit if amount is None else amount, CURRENCY)

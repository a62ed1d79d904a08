"""Equity through Jenga v3 (spec/providers.md, section 3b): STK push to an account. Tills: equity_ipn.py.

A push carries our own ref, so a repeated one is answered 400101: the first was taken. There is no query, so
the callback to a payment's own unguessable path is believed. Only code 3, credited, is a success: 0, 2 and 4
decide nothing, and a payment that hears no more stays unknown until it is reconciled with the statement,
which names it by its handle, the ref.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import msgspec

from backend.kit import rsa
from backend.kit.errors import Unavailable, Unprocessable
from backend.kit.http import HttpAnswer, HttpClient
from backend.kit.runtime import Clock
from backend.momo.ports import Debit, Failed, ProviderStatus, Standing, Succeeded, Taken
from backend.momo.providers.calls import SEND_TIMEOUT_S, TOKEN_TIMEOUT_S, Calls, platform
from backend.momo.providers.fields import decoded, fitting, life_s, subunits, unavailable

EAT = timezone(timedelta(hours=3))
CURRENCY = "KES"
REF_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
REF_SIZE = 12  # the longest that is taken: 62 bits
DUPLICATE = 400101
CREDITED, FAILED = 3, frozenset((1, 5, 6, 7))
TOKEN_LIFE_S = 900  # where the answer's time is none
# By the digits after 254; every other number is Safaricom's.
EQUITEL = ("763", "764", "765", "766")
AIRTEL = ("73", "750", "751", "752", "753", "754", "755", "756", "762", "78", "100", "101", "102")


@dataclass(frozen=True, slots=True)
class EquityConfig:
    """One merchant and the account that money goes to; `private_key` (PEM) signs."""

    base_url: str
    merchant_code: str
    account_number: str
    merchant_name: str
    api_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    private_key: str = field(repr=False)


class _Token(msgspec.Struct, rename="camel"):
    access_token: str
    expires_in: str = ""


class _Said(msgspec.Struct):
    status: bool = False
    code: int | str = 0
    message: str | None = None


class _Callback(msgspec.Struct, rename="camel"):
    code: int | str
    transaction_reference: str
    message: str | None = None
    telco_reference: str | None = None
    debited_amount: float | int | str | None = None
    currency: str | None = None


class EquityProvider:
    """Implements `backend.momo.ports.Provider`."""

    hook = "equity"
    repeatable = True
    callback_answer = None

    def __init__(self, config: EquityConfig, *, http: HttpClient, clock: Clock):
        self.base_url = config.base_url.rstrip("/")
        self._config = config
        self._key = rsa.private_key(config.private_key)
        self._http = http
        self._clock = clock
        self._calls = Calls("equity", self._fetch, clock)

    def check(self, *, amount_subunit: int, currency: str) -> None:  # noqa: ARG002 - it moves cents too
        """See Provider."""
        if currency != CURRENCY:
            raise Unprocessable(f"this provider takes {CURRENCY} only")

    async def request(self, debit: Debit) -> ProviderStatus:
        """See Provider."""
        config, ref, telco = self._config, ref_of(debit.provider_ref), _telco(debit.msisdn)
        amount = f"{debit.amount_subunit // 100}.{debit.amount_subunit % 100:02}"
        body = {
            "merchant": {
                "accountNumber": config.account_number,
                "countryCode": "KE",
                "name": config.merchant_name,
            },
            "payment": {
                "ref": ref,
                "amount": amount,
                "currency": CURRENCY,
                "telco": telco,
                "mobileNumber": debit.msisdn,
                "date": _today(self._clock.now_ms()),
                "callBackUrl": debit.callback_url,
                "pushType": "STK",
            },
        }
        text = f"{config.account_number}{ref}{debit.msisdn}{telco}{amount}{CURRENCY}"
        answer = await self._call(debit.base_url, body, rsa.sign(self._key, text))
        said = fitting(answer.body, _Said)
        if said is not None and str(said.code) == str(DUPLICATE):
            return Taken(ref)
        if answer.status in (401, 429) or answer.status >= 500 or said is None:
            raise unavailable(answer, "equity push")
        if answer.status == 200 and said.status:
            return Taken(ref)
        return Failed(f"{said.code} {said.message or ''}".strip())

    async def status(self, debit: Debit, heard: Sequence[bytes]) -> ProviderStatus:
        """See Provider. What was heard, a success before a failure: nobody can be asked."""
        ref = ref_of(debit.provider_ref)
        callbacks = [fitting(body, _Callback) for body in heard]
        called = [each for each in callbacks if each and each.transaction_reference == ref]
        for callback in called:
            if str(callback.code) == str(CREDITED):
                return _succeeded(callback, debit)
        for callback in called:
            if str(callback.code) in map(str, FAILED):
                return Failed(f"{callback.code} {callback.message or ''}".strip())
        return Standing.PENDING

    async def _call(self, stored_url: str, body: Mapping[str, object], signature: str) -> HttpAnswer:
        base_url = platform(stored_url, self.base_url)

        async def send(token: str) -> HttpAnswer:
            return await self._http.request(
                "POST",
                f"{base_url}/v3-apis/payment-api/v3.0/stkussdpush/initiate",
                headers={
                    "Authorization": f"Bearer {token}",
                    "Signature": signature,
                    "Content-Type": "application/json",
                },
                body=msgspec.json.encode(body),
                timeout_s=SEND_TIMEOUT_S,
            )

        return await self._calls.send(base_url, send)

    async def _fetch(self, base_url: str) -> tuple[str, int]:
        login = {"merchantCode": self._config.merchant_code, "consumerSecret": self._config.consumer_secret}
        answer = await self._http.request(
            "POST",
            f"{base_url}/authentication/api/v3/authenticate/merchant",
            headers={"Api-Key": self._config.api_key, "Content-Type": "application/json"},
            body=msgspec.json.encode(login),
            timeout_s=TOKEN_TIMEOUT_S,
        )
        if answer.status != 200:
            raise unavailable(answer, "equity token")
        token = decoded(answer, _Token, "equity token")
        return token.access_token, life_s(token.expires_in, self._clock.now_ms(), most_s=TOKEN_LIFE_S)


def ref_of(provider_ref: str) -> str:
    """The ref of a request: twelve letters and digits that follow from our own reference, a UUID."""
    number, ref = UUID(provider_ref).int, ""
    for _ in range(REF_SIZE):
        number, digit = divmod(number, len(REF_LETTERS))
        ref += REF_LETTERS[digit]
    return ref


def _telco(msisdn: str) -> str:
    local = msisdn.removeprefix("254")
    if local.startswith(EQUITEL):
        return "Equitel"
    return "Airtel" if local.startswith(AIRTEL) else "Safaricom"


def _today(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(EAT).strftime("%Y-%m-%d")


def _succeeded(callback: _Callback, debit: Debit) -> Succeeded:
    amount = subunits(callback.debited_amount)
    if amount is None:
        raise Unavailable("equity callback: a success without an amount")
    transaction = callback.telco_reference or ref_of(debit.provider_ref)
    return Succeeded(transaction, amount, callback.currency or CURRENCY)

"""Safaricom Daraja (spec/providers.md, section 1): STK push, its query, and the list of what was paid.

A push has no id of ours, so it is never repeated: its CheckoutRequestID is the `handle`. The callback has the
receipt, and nobody signs it: it is believed when the query says the same. The query has no receipt. Where
the callback was lost, the receipt is looked for in the pulled list, by customer, account, amount and time:
the one that no other payment has (transfers.py). Where several are left reconciliation books them. Paybill
payments: daraja_c2b.py.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

import msgspec

from backend.kit.decoding import UNREADABLE
from backend.kit.errors import Unavailable, Unprocessable
from backend.kit.http import HttpAnswer, HttpClient, TimedOut, Unreachable
from backend.kit.runtime import Clock
from backend.momo.ports import Debit, Failed, OneOf, ProviderStatus, Standing, StatementLine, Succeeded, Taken
from backend.momo.providers.calls import (
    SEND_TIMEOUT_S,
    TOKEN_TIMEOUT_S,
    Calls,
    is_401,
    platform,
)
from backend.momo.providers.fields import decoded, fitting, major, sender_of, subunits, unavailable

EAT = timezone(timedelta(hours=3))
CURRENCY = "KES"
DESCRIPTION = "Solar payment"  # 13 characters are allowed
MAX_REFERENCE = 12  # of a push; a longer one of a paybill payment is cut in the list
LOGIN_OVER = "404.001.03"
IN_HAND = "500.001.1001"  # of a query: "The transaction is being processed"; of a push: refused, and why
NOT_TAKEN = frozenset(("500.003.02", "500.003.03"))  # busy, spike arrest, quota: before anything was done
STILL = frozenset(("4999",))  # a ResultCode that is none: still under processing
UNKNOWN = frozenset(("404.001.01", "400.002.02"))  # of a query: no such push
REACH_MS = 48 * 3_600_000  # of the list
PAGE, MAX_PAGES = 100, 100  # of the list; a day of ten thousand payments
PULL_BEFORE_MS, PULL_AFTER_MS = 60_000, 600_000  # of a push's time; a prompt lives three minutes


@dataclass(frozen=True, slots=True)
class DarajaConfig:
    """One app with its short code and the passkey of Lipa na M-Pesa Online."""

    base_url: str
    short_code: str
    consumer_key: str
    consumer_secret: str = field(repr=False)
    passkey: str = field(repr=False)
    transaction_type: str = "CustomerPayBillOnline"


class _Problem(msgspec.Struct, rename="camel"):
    error_code: str = ""
    error_message: str = ""


class _Token(msgspec.Struct):
    access_token: str
    expires_in: int = 3599


class _Pushed(msgspec.Struct):
    ResponseCode: str | int
    ResponseDescription: str | None = None
    CheckoutRequestID: str | None = None


class _Item(msgspec.Struct):
    Name: str
    Value: str | int | float | None = None


class _Metadata(msgspec.Struct):
    Item: list[_Item] = []


class _Result(msgspec.Struct):
    ResultCode: str | int
    ResultDesc: str | None = None
    CheckoutRequestID: str | None = None
    CallbackMetadata: _Metadata | None = None


class _Body(msgspec.Struct, rename="camel"):
    stk_callback: _Result


class _Callback(msgspec.Struct):
    Body: _Body


class _Paid(msgspec.Struct, rename="camel"):
    transaction_id: str
    msisdn: str | int | None = None
    billreference: str | int | None = None  # a till payment has none
    amount: str | int | float | None = None
    trx_date: str | None = None


class _Pulled(msgspec.Struct):
    Response: list[list[_Paid]] = []


class DarajaProvider:
    """Implements `backend.momo.ports.Provider` and `Statements`."""

    hook = "daraja"
    repeatable = False
    cut_at: int | None = MAX_REFERENCE
    reach_ms: int | None = REACH_MS

    def __init__(self, config: DarajaConfig, *, http: HttpClient, clock: Clock):
        self.base_url = config.base_url.rstrip("/")
        self.callback_answer: Mapping[str, object] = {"ResultCode": 0, "ResultDesc": "Success"}
        self._config = config
        self._http = http
        self._clock = clock
        self._calls = Calls("daraja", self._fetch, clock)

    def check(self, *, amount_subunit: int, currency: str) -> None:
        """See Provider."""
        if currency != CURRENCY:
            raise Unprocessable(f"this provider takes {CURRENCY} only")
        if amount_subunit % 100:
            raise Unprocessable("M-Pesa moves whole shillings; send a whole amount")

    async def request(self, debit: Debit) -> ProviderStatus:
        """See Provider. A reference that would be cut is refused.

        Notice and list would name the payment by the cut one, perhaps another customer's.
        """
        if len(debit.reference) > MAX_REFERENCE:
            return Failed(f"REFERENCE_TOO_LONG: a push carries {MAX_REFERENCE} characters")
        body = {
            **self._signed(),
            "TransactionType": self._config.transaction_type,
            "Amount": int(major(debit.amount_subunit)),
            "PartyA": debit.msisdn,
            "PartyB": self._config.short_code,
            "PhoneNumber": debit.msisdn,
            "CallBackURL": debit.callback_url,
            "AccountReference": debit.reference,
            "TransactionDesc": DESCRIPTION,
        }
        answer = await self._call(debit.base_url, "/mpesa/stkpush/v1/processrequest", body)
        if answer.status == 200:
            return _pushed(answer)
        problem = _problem(answer)
        detail = f"daraja push: HTTP {answer.status} {problem.error_code}"
        if answer.status in (429, 503) or problem.error_code in (LOGIN_OVER, *NOT_TAKEN):
            raise Unreachable(detail, retry_after_s=answer.retry_after_s)
        if answer.status < 500 or problem.error_code == IN_HAND:
            return Failed(problem.error_message or f"HTTP_{answer.status}")
        raise TimedOut(detail)

    async def status(self, debit: Debit, heard: Sequence[bytes]) -> ProviderStatus | OneOf:
        """See Provider."""
        results = [result for result in map(_heard, heard) if result is not None]
        told = [result.CheckoutRequestID for result in results if result.CheckoutRequestID]
        handle = debit.handle or (told[0] if told else None)
        if handle is None:  # whether it was taken, only the list can tell
            return await self._listed(debit, otherwise=Standing.NOT_FOUND)
        seen = await self._query(debit.base_url, handle)
        if not isinstance(seen, _Result):
            return seen
        code = str(seen.ResultCode)
        if code in STILL:
            return Standing.PENDING
        if code != "0":
            return Failed(f"{code} {seen.ResultDesc or ''}".strip())
        for result in results:
            if result.CheckoutRequestID == handle and str(result.ResultCode) == "0":
                return _succeeded(result)
        return await self._listed(debit, otherwise=Standing.PENDING)

    async def statement(self, first_ms: int, last_ms: int) -> Sequence[StatementLine]:
        """See Statements: what the list has, of the last 48 hours, pushes and paybill payments alike."""
        lines: list[StatementLine] = []
        for _ in range(MAX_PAGES):
            page = await self._page(self.base_url, first_ms, last_ms, offset=len(lines))
            lines += [line for paid in page if (line := self._line(paid)) is not None]
            if len(page) < PAGE:
                return lines
        raise Unprocessable(f"more than {MAX_PAGES * PAGE} payments; ask for a shorter time")

    async def _query(self, base_url: str, handle: str) -> _Result | Standing:
        body = {**self._signed(), "CheckoutRequestID": handle}
        answer = await self._call(base_url, "/mpesa/stkpushquery/v1/query", body)
        if answer.status == 200:
            return decoded(answer, _Result, "daraja query", strict=False)
        code = _problem(answer).error_code
        if code == IN_HAND:
            return Standing.PENDING
        if code in UNKNOWN:
            return Standing.NOT_FOUND
        raise _unavailable(answer, "query")

    async def _listed(self, debit: Debit, *, otherwise: Standing) -> ProviderStatus | OneOf:
        """The payments in the pulled list that this push can have been."""
        first_ms, last_ms = debit.created_at_ms - PULL_BEFORE_MS, debit.created_at_ms + PULL_AFTER_MS
        fitting: list[_Paid] = []
        for number in range(MAX_PAGES):
            page = await self._page(debit.base_url, first_ms, last_ms, offset=number * PAGE)
            fitting += [paid for paid in page if _fits(paid, debit)]
            if len(page) < PAGE:
                break
        if not fitting:
            return otherwise
        seen = (Succeeded(paid.transaction_id, debit.amount_subunit, CURRENCY) for paid in fitting)
        return OneOf(tuple(seen), otherwise)

    async def _page(self, base_url: str, first_ms: int, last_ms: int, *, offset: int) -> list[_Paid]:
        body = {
            "ShortCode": self._config.short_code,
            "StartDate": _eat(first_ms, "%Y-%m-%d %H:%M:%S"),
            "EndDate": _eat(last_ms, "%Y-%m-%d %H:%M:%S"),
            "OffSetValue": str(offset),
        }
        answer = await self._call(base_url, "/pulltransactions/v1/query", body)
        if answer.status != 200:
            raise _unavailable(answer, "pull")
        pulled = decoded(answer, _Pulled, "daraja pull", strict=False)
        return [paid for part in pulled.Response for paid in part]

    def _line(self, paid: _Paid) -> StatementLine | None:
        amount_subunit = subunits(paid.amount)
        if amount_subunit is None:
            return None
        return StatementLine(
            provider_tx=paid.transaction_id,
            amount_subunit=amount_subunit,
            currency=CURRENCY,
            reference=str(paid.billreference or ""),
            business_account=self._config.short_code,
            sender=sender_of(paid.msisdn, "254"),
            paid_at_ms=_paid_at_ms(paid.trx_date),
        )

    def _signed(self) -> dict[str, object]:
        timestamp = _eat(self._clock.now_ms(), "%Y%m%d%H%M%S")
        password = f"{self._config.short_code}{self._config.passkey}{timestamp}".encode()
        return {
            "BusinessShortCode": self._config.short_code,
            "Password": base64.b64encode(password).decode(),
            "Timestamp": timestamp,
        }

    async def _call(self, stored_url: str, path: str, body: Mapping[str, object]) -> HttpAnswer:
        base_url = platform(stored_url, self.base_url)

        async def send(token: str) -> HttpAnswer:
            return await self._http.request(
                "POST",
                base_url + path,
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                body=msgspec.json.encode(body),
                timeout_s=SEND_TIMEOUT_S,
            )

        return await self._calls.send(base_url, send, refused=_refuses_token)

    async def _fetch(self, base_url: str) -> tuple[str, int]:
        app = f"{self._config.consumer_key}:{self._config.consumer_secret}".encode()
        answer = await self._http.request(
            "GET",
            f"{base_url}/oauth/v1/generate?grant_type=client_credentials",
            headers={"Authorization": f"Basic {base64.b64encode(app).decode()}"},
            timeout_s=TOKEN_TIMEOUT_S,
        )
        if answer.status != 200:
            raise _unavailable(answer, "token")
        token = decoded(answer, _Token, "daraja token", strict=False)
        return token.access_token, max(0, token.expires_in)


def _refuses_token(answer: HttpAnswer) -> bool:
    return is_401(answer) or (answer.status == 404 and _problem(answer).error_code == LOGIN_OVER)


def _pushed(answer: HttpAnswer) -> ProviderStatus:
    try:
        pushed = msgspec.json.decode(answer.body, type=_Pushed)
    except UNREADABLE as error:
        raise TimedOut("daraja push: the answer does not fit its contract") from error
    if str(pushed.ResponseCode) != "0":
        return Failed(pushed.ResponseDescription or f"ResponseCode {pushed.ResponseCode}")
    return Taken(pushed.CheckoutRequestID) if pushed.CheckoutRequestID else Standing.PENDING


def _heard(body: bytes) -> _Result | None:
    callback = fitting(body, _Callback)
    return None if callback is None else callback.Body.stk_callback


def _succeeded(result: _Result) -> Succeeded:
    items = {item.Name: item.Value for item in (result.CallbackMetadata or _Metadata()).Item}
    receipt, amount = items.get("MpesaReceiptNumber"), subunits(items.get("Amount"))
    if not receipt or amount is None:
        raise Unavailable("daraja callback: a success without a receipt or an amount")
    return Succeeded(str(receipt), amount, CURRENCY)


def _fits(paid: _Paid, debit: Debit) -> bool:
    return (
        str(paid.billreference or "") == debit.reference
        and subunits(paid.amount) == debit.amount_subunit
        and _same_number(str(paid.msisdn), debit.msisdn)
    )


def _same_number(seen: str, msisdn: str) -> bool:
    """Whether a number, perhaps masked with asterisks, can be `msisdn`."""
    return len(seen) == len(msisdn) and all(a in ("*", b) for a, b in zip(seen, msisdn, strict=True))


def _eat(at_ms: int, form: str) -> str:
    """A time in East Africa."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(EAT).strftime(form)


def _paid_at_ms(text: str | None) -> int | None:
    """East Africa's time, whatever zone it is written with ("2020-08-05T10:13:00Z"); None: it is none."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return int(moment.replace(tzinfo=EAT).timestamp() * 1000)


def _problem(answer: HttpAnswer) -> _Problem:
    return fitting(answer.body, _Problem) or _Problem()


def _unavailable(answer: HttpAnswer, what: str) -> Unavailable:
    return unavailable(answer, f"daraja {what}", _problem(answer).error_code)

"""MTN MoMo Collections (spec/providers.md, section 2): request to pay, and its status.

A request carries our own X-Reference-Id, so a repeated one is answered 409: the first was taken.
The access token is calls.py's business.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Annotated

import msgspec

from backend.kit.errors import Unavailable, Unprocessable
from backend.kit.http import HttpAnswer, HttpClient
from backend.kit.runtime import Clock
from backend.momo.ports import Debit, Failed, ProviderStatus, Standing, Succeeded
from backend.momo.providers.calls import SEND_TIMEOUT_S, TOKEN_TIMEOUT_S, Calls, platform
from backend.momo.providers.fields import decoded, fitting, major, unavailable

USER_AGENT = "payg-momo/1"  # the gateway refuses some libraries' own names
MAX_MESSAGE = 160  # characters of payerMessage and payeeNote
WHOLE_UNITS = frozenset(("UGX", "RWF", "XOF"))  # no decimals on the wire
# 500s that name a request which can't be carried out; every other 5xx may pass.
REFUSALS = frozenset(
    (
        *("INVALID_CALLBACK_URL_HOST", "INVALID_CURRENCY", "NOT_ALLOWED", "NOT_ALLOWED_TARGET_ENVIRONMENT"),
        *("PAYEE_NOT_ALLOWED_TO_RECEIVE", "PAYEE_NOT_FOUND", "PAYER_NOT_FOUND"),
    )
)


@dataclass(frozen=True, slots=True)
class MtnConfig:
    """One API user on one platform. `target_environment`: mtnuganda, mtnrwanda ... or sandbox."""

    base_url: str
    target_environment: str
    currency: str
    api_user: str
    api_key: str = field(repr=False)
    subscription_key: str = field(repr=False)


class _Reason(msgspec.Struct):
    code: str | None = None


class _Status(msgspec.Struct, rename="camel"):
    status: str
    amount: str | int | float | None = None
    currency: str | None = None
    financial_transaction_id: str | int | None = None
    reason: str | _Reason | None = None


class _Problem(msgspec.Struct):
    code: str | int = ""


class _Token(msgspec.Struct):
    access_token: str
    expires_in: Annotated[int, msgspec.Meta(ge=0, le=10**7)] = 3600


class MtnProvider:
    """Implements `backend.momo.ports.Provider`."""

    hook = "mtn"
    repeatable = True
    callback_answer = None

    def __init__(self, config: MtnConfig, *, http: HttpClient, clock: Clock):
        self.base_url = config.base_url.rstrip("/")
        self._config = config
        self._http = http
        self._calls = Calls("mtn", self._fetch, clock)

    def check(self, *, amount_subunit: int, currency: str) -> None:
        """See Provider."""
        if currency != self._config.currency:
            raise Unprocessable(f"this provider takes {self._config.currency} only")
        if currency in WHOLE_UNITS and amount_subunit % 100:
            raise Unprocessable(f"{currency} has no decimals; send a whole amount")

    async def request(self, debit: Debit) -> ProviderStatus:
        """See Provider."""
        note = re.sub(r"[^A-Za-z0-9 ./-]", " ", f"Payment for {debit.reference}")[:MAX_MESSAGE]
        body = {
            "amount": major(debit.amount_subunit),
            "currency": debit.currency,
            "externalId": debit.payment_id,
            "payer": {"partyIdType": "MSISDN", "partyId": debit.msisdn},
            "payerMessage": note,
            "payeeNote": note,
        }
        headers = {
            "X-Reference-Id": debit.provider_ref,
            "X-Callback-Url": debit.callback_url,
            "Content-Type": "application/json",
        }
        answer = await self._call(
            "POST",
            debit.base_url,
            "/collection/v1_0/requesttopay",
            headers,
            msgspec.json.encode(body),
        )
        if answer.status in (202, 409):
            return Standing.PENDING
        code = _code(answer)
        if answer.status in (400, 403, 404) or code in REFUSALS:
            return Failed(code or f"HTTP_{answer.status}")
        raise _unavailable(answer, "requesttopay")

    async def status(self, debit: Debit, _heard: Sequence[bytes], /) -> ProviderStatus:
        """See Provider; the provider itself is asked, whatever was heard."""
        path = f"/collection/v1_0/requesttopay/{debit.provider_ref}"
        answer = await self._call("GET", debit.base_url, path, {})
        if answer.status == 404:
            return Standing.NOT_FOUND
        if answer.status != 200:
            raise _unavailable(answer, "status")
        return _standing(decoded(answer, _Status, "mtn status"))

    async def _call(
        self, method: str, stored_url: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> HttpAnswer:
        base_url = platform(stored_url, self.base_url)

        async def send(token: str) -> HttpAnswer:
            return await self._http.request(
                method,
                base_url + path,
                headers={**self._common(), "Authorization": f"Bearer {token}", **headers},
                body=body,
                timeout_s=SEND_TIMEOUT_S,
            )

        return await self._calls.send(base_url, send)

    async def _fetch(self, base_url: str) -> tuple[str, int]:
        user = f"{self._config.api_user}:{self._config.api_key}".encode()
        basic = base64.b64encode(user).decode()
        answer = await self._http.request(
            "POST",
            f"{base_url}/collection/token/",
            headers={**self._common(), "Authorization": f"Basic {basic}"},
            timeout_s=TOKEN_TIMEOUT_S,
        )
        if answer.status != 200:
            raise _unavailable(answer, "token")
        token = decoded(answer, _Token, "mtn token", strict=False)
        return token.access_token, token.expires_in

    def _common(self) -> dict[str, str]:
        return {
            "Ocp-Apim-Subscription-Key": self._config.subscription_key,
            "X-Target-Environment": self._config.target_environment,
            "User-Agent": USER_AGENT,
        }


def _standing(seen: _Status) -> ProviderStatus:
    if seen.status == "FAILED":
        reason = seen.reason.code if isinstance(seen.reason, _Reason) else seen.reason
        return Failed(reason or "FAILED")
    if seen.status != "SUCCESSFUL":
        return Standing.PENDING
    try:
        amount_subunit = int(Decimal(str(seen.amount)) * 100)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise Unavailable("mtn status: a success without an amount") from error
    if not seen.financial_transaction_id:
        raise Unavailable("mtn status: a success without a financialTransactionId")
    return Succeeded(str(seen.financial_transaction_id), amount_subunit, seen.currency or "")


def _code(answer: HttpAnswer) -> str:
    problem = fitting(answer.body, _Problem)
    return "" if problem is None else str(problem.code)


def _unavailable(answer: HttpAnswer, what: str) -> Unavailable:
    return unavailable(answer, f"mtn {what}", _code(answer))

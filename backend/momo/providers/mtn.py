"""MTN MoMo Collections (spec/providers.md, section 2): request to pay, and its status.

A request carries our own X-Reference-Id, so a repeated one is answered 409: the first was taken.
The access token is kept until shortly before it expires; a 401 fetches a new one, once.
"""

import asyncio
import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from backend.kit.errors import Unavailable, Unprocessable
from backend.kit.http import HttpAnswer, HttpClient, TimedOut, Unreachable
from backend.kit.runtime import Clock
from backend.momo.ports import Debit, Failed, ProviderStatus, Standing, Succeeded

USER_AGENT = "payg-momo/1"  # the gateway refuses some libraries' own names
TOKEN_TIMEOUT_S = 3.0
SEND_TIMEOUT_S = 5.0
# Of a call with all its tokens and repeats: a request and a status read stay well within the lease of 30 s.
CALL_TIMEOUT_S = 11.0
TOKEN_MARGIN_S = 60  # a token is not used in its last minute
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
    code: str = ""
    message: str = ""


class _Status(msgspec.Struct):
    status: str
    amount: str | int | float = ""
    currency: str = ""
    financialTransactionId: str | int | None = None  # noqa: N815 - the wire's name
    reason: str | _Reason | None = None


class _Problem(msgspec.Struct):
    code: str | int = ""


class _Token(msgspec.Struct):
    access_token: str
    expires_in: Annotated[int, msgspec.Meta(ge=0, le=10**7)] = 3600


class MtnProvider:
    """Implements `backend.momo.ports.Provider`."""

    hook = "mtn"

    def __init__(self, config: MtnConfig, *, http: HttpClient, clock: Clock):
        self.base_url = config.base_url.rstrip("/")
        self._config = config
        self._http = http
        self._clock = clock
        self._tokens: dict[str, tuple[str, int]] = {}  # platform -> token and when it is too old
        self._fetches: dict[str, asyncio.Future[str]] = {}

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
            "amount": _major(debit.amount_subunit),
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
            self._platform(debit.base_url),
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

    async def status(self, provider_ref: str, *, base_url: str) -> ProviderStatus:
        """See Provider."""
        path = f"/collection/v1_0/requesttopay/{provider_ref}"
        answer = await self._call("GET", self._platform(base_url), path, {})
        if answer.status == 404:
            return Standing.NOT_FOUND
        if answer.status != 200:
            raise _unavailable(answer, "status")
        try:
            seen = msgspec.json.decode(answer.body, type=_Status)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Unavailable("mtn status: the answer does not fit its contract") from error
        return _standing(seen)

    def _platform(self, base_url: str) -> str:
        """Where a payment's platform is now: a sandbox may have come up on another port of this machine."""
        moved = _is_loopback(base_url) and _is_loopback(self.base_url)
        return self.base_url if moved else base_url

    async def _call(
        self, method: str, base_url: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> HttpAnswer:
        async def send(token: str) -> HttpAnswer:
            return await self._http.request(
                method,
                base_url + path,
                headers={**self._common(), "Authorization": f"Bearer {token}", **headers},
                body=body,
                timeout_s=SEND_TIMEOUT_S,
            )

        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                token = await self._token_first(base_url)
                answer = await send(token)
                if answer.status == 401:
                    answer = await send(await self._token_first(base_url, stale=token))
                return answer
        except TimeoutError as error:
            raise TimedOut(f"mtn: no answer within {CALL_TIMEOUT_S:g} s") from error

    async def _token_first(self, base_url: str, *, stale: str | None = None) -> str:
        """A token; without one the provider does not see the request: Unreachable."""
        try:
            return await self._token(base_url, stale=stale)
        except Unavailable as error:
            raise Unreachable(error.detail, retry_after_s=error.retry_after_s) from error

    async def _token(self, base_url: str, *, stale: str | None = None) -> str:
        """The access token of a platform; another one than `stale`. A fetch, and its failure, is shared."""
        token, expires_at_ms = self._tokens.get(base_url, ("", 0))
        if token and token != stale and self._clock.now_ms() < expires_at_ms:
            return token
        fetching = self._fetches.get(base_url)
        if fetching is not None:
            return await asyncio.shield(fetching)
        fetching = self._fetches[base_url] = asyncio.get_running_loop().create_future()
        try:
            fetched = await self._fetch(base_url)
            life_s = max(fetched.expires_in - TOKEN_MARGIN_S, fetched.expires_in // 2)
            self._tokens[base_url] = (fetched.access_token, self._clock.now_ms() + life_s * 1000)
            fetching.set_result(fetched.access_token)
            return fetched.access_token
        except Unavailable as error:
            fetching.set_exception(error)
            raise
        finally:
            del self._fetches[base_url]
            if not fetching.done():  # cancelled
                fetching.set_exception(Unavailable("mtn token: whoever fetched it was stopped"))
            fetching.exception()  # nobody need wait for it

    async def _fetch(self, base_url: str) -> _Token:
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
        try:
            return msgspec.json.decode(answer.body, type=_Token, strict=False)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Unavailable("mtn token: the answer does not fit its contract") from error

    def _common(self) -> dict[str, str]:
        return {
            "Ocp-Apim-Subscription-Key": self._config.subscription_key,
            "X-Target-Environment": self._config.target_environment,
            "User-Agent": USER_AGENT,
        }


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")


def _major(amount_subunit: int) -> str:
    """Major units: "5000", and decimals only where there are any."""
    whole, cents = divmod(amount_subunit, 100)
    return f"{whole}.{cents:02}" if cents else str(whole)


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
    if not seen.financialTransactionId:
        raise Unavailable("mtn status: a success without a financialTransactionId")
    return Succeeded(str(seen.financialTransactionId), amount_subunit, seen.currency)


def _code(answer: HttpAnswer) -> str:
    try:
        return str(msgspec.json.decode(answer.body, type=_Problem).code)
    except (msgspec.DecodeError, RecursionError):
        return ""


def _unavailable(answer: HttpAnswer, what: str) -> Unavailable:
    wait = answer.headers.get("retry-after", "")
    retry_after_s = int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 6 else None
    return Unavailable(f"mtn {what}: HTTP {answer.status} {_code(answer)}", retry_after_s=retry_after_s)

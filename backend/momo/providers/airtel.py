"""Airtel Money Africa (spec/providers.md, section 3a): signed payments and their enquiry.

A payment carries our own id, so a repeated one is answered ESB000041: the first was taken. Ambiguous codes
are never a failure: the enquiry decides. Callbacks come to one registered address for all payments, perhaps
with a hash; they are a hint, the enquiry is believed. It names no amount: what was asked for was paid.
"""

import base64
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from backend.kit import rsa
from backend.kit.decoding import UNREADABLE
from backend.kit.errors import Unavailable, Unprocessable
from backend.kit.http import HttpAnswer, HttpClient, TimedOut, Unreachable
from backend.kit.runtime import Clock, Entropy
from backend.momo.ports import Debit, Failed, ProviderStatus, Standing, Succeeded
from backend.momo.providers.calls import SEND_TIMEOUT_S, TOKEN_TIMEOUT_S, Calls, platform
from backend.momo.providers.fields import decoded, fitting, major, unavailable

KEY_LIFE_MS = 3_600_000  # the public key is asked for again after an hour, and when a signature is refused
BAD_SIGNATURE = "DP00800001026"
DUPLICATE, UNKNOWN = "ESB000041", frozenset(("ESB000045", "DP00800001025"))
IN_PROCESS = "DP00800001006"
# Nobody knows: the enquiry decides.
AMBIGUOUS = frozenset(
    (
        *("DP00800001000", "DP00800001024"),
        *("ROUTER117", "ROUTER408", "ROUTER502", "ROUTER504"),
    )
)


@dataclass(frozen=True, slots=True)
class AirtelConfig:
    """One application in one country. `hook_secret` ends the registered callback address, 32 hex digits.

    `hashed`: callback authentication is on, so a callback without a good hash is none of theirs.
    """

    base_url: str
    country: str
    currency: str
    msisdn_prefix: str  # "256": numbers go without it
    client_id: str
    client_secret: str = field(repr=False)
    hook_secret: str = field(repr=False)
    hashed: bool = True


class _Token(msgspec.Struct):
    access_token: str
    expires_in: Annotated[int, msgspec.Meta(ge=0, le=10**7)] = 180


class _Said(msgspec.Struct):
    response_code: str | None = None
    result_code: str | None = None
    message: str | None = None
    success: bool | None = None


class _Transaction(msgspec.Struct):
    status: str | None = None
    message: str | None = None
    airtel_money_id: str | int | None = None


class _Data(msgspec.Struct):
    transaction: _Transaction | None = None
    key: str = ""


class _Answer(msgspec.Struct):
    status: _Said = msgspec.field(default_factory=_Said)
    data: _Data | None = None


class _Named(msgspec.Struct):
    id: str


class _Callback(msgspec.Struct):
    transaction: msgspec.Raw
    hash: str = ""


class AirtelProvider:
    """Implements `backend.momo.ports.Provider` and `SharedHook`."""

    hook = "airtel"
    repeatable = True
    callback_answer = None

    def __init__(self, config: AirtelConfig, *, http: HttpClient, clock: Clock, entropy: Entropy):
        self.base_url = config.base_url.rstrip("/")
        self._config = config
        self._http = http
        self._clock = clock
        self._entropy = entropy
        self._calls = Calls("airtel", self._fetch, clock)
        self._keys: dict[str, tuple[str, int]] = {}  # platform -> public key and when it is too old

    def check(self, *, amount_subunit: int, currency: str) -> None:
        """See Provider."""
        if currency != self._config.currency:
            raise Unprocessable(f"this provider takes {self._config.currency} only")
        if amount_subunit % 100:
            raise Unprocessable("Airtel Money moves whole units; send a whole amount")

    async def request(self, debit: Debit) -> ProviderStatus:
        """See Provider."""
        place = {"country": self._config.country, "currency": self._config.currency}
        body = msgspec.json.encode(
            {
                "reference": debit.reference[:64],
                "subscriber": {**place, "msisdn": debit.msisdn.removeprefix(self._config.msisdn_prefix)},
                "transaction": {
                    **place,
                    "amount": int(major(debit.amount_subunit)),
                    "id": debit.provider_ref,
                },
            }
        )
        answer = await self._signed(debit.base_url, body, fresh=False)
        if _codes(answer) & {BAD_SIGNATURE}:  # the key was changed
            answer = await self._signed(debit.base_url, body, fresh=True)
        return _requested(answer)

    async def status(self, debit: Debit, _heard: Sequence[bytes], /) -> ProviderStatus:
        """See Provider; the provider itself is asked, whatever was heard."""
        answer = await self._call("GET", debit.base_url, f"/standard/v1/payments/{debit.provider_ref}")
        codes = _codes(answer)
        if codes & UNKNOWN:
            return Standing.NOT_FOUND
        if answer.status != 200:
            raise _unavailable(answer, "enquiry")
        data = decoded(answer, _Answer, "airtel enquiry").data
        if data is None or data.transaction is None:
            if codes & {IN_PROCESS, *AMBIGUOUS}:
                return Standing.PENDING
            raise Unavailable("airtel enquiry: the answer names no transaction")
        seen = data.transaction
        if seen.status == "TS":
            if not seen.airtel_money_id:
                raise Unavailable("airtel enquiry: a success without an airtel_money_id")
            return Succeeded(str(seen.airtel_money_id), debit.amount_subunit, debit.currency)
        if seen.status in ("TF", "TE"):
            return Failed(seen.message or seen.status)
        return Standing.PENDING

    def named(self, secret: str, body: bytes) -> str | None:
        """See SharedHook."""
        if not hmac.compare_digest(secret.encode(), self._config.hook_secret.encode()):
            return None
        try:
            callback = msgspec.json.decode(body, type=_Callback)
            named = msgspec.json.decode(callback.transaction, type=_Named).id
        except UNREADABLE:
            return None
        good = not self._config.hashed or self._is_hash(bytes(callback.transaction), callback.hash)
        return named if good and "\x00" not in named else None

    def _is_hash(self, transaction: bytes, seen: str) -> bool:
        """Whether a hash is of the transaction, in compact JSON, as it came or with its letters escaped."""
        try:
            compact = json.dumps(json.loads(transaction), separators=(",", ":")).encode()
        except UNREADABLE:
            return False
        secret = self._config.client_secret.encode()
        hashes = [base64.b64encode(hmac.digest(secret, form, "sha256")) for form in (transaction, compact)]
        return any(hmac.compare_digest(ours, seen.encode()) for ours in hashes)

    async def _signed(self, stored_url: str, body: bytes, *, fresh: bool) -> HttpAnswer:
        key = rsa.load_public(await self._key(platform(stored_url, self.base_url), fresh=fresh))
        aes_key, iv = self._entropy.token_bytes(32), self._entropy.token_bytes(16)
        padder = PKCS7(128).padder()
        encryptor = Cipher(algorithms.AES256(aes_key), modes.CBC(iv)).encryptor()
        sealed = encryptor.update(padder.update(body) + padder.finalize()) + encryptor.finalize()
        opener = f"{base64.b64encode(aes_key).decode()}:{base64.b64encode(iv).decode()}"
        headers = {"x-signature": base64.b64encode(sealed).decode(), "x-key": rsa.seal(key, opener)}
        return await self._call("POST", stored_url, "/merchant/v2/payments/", headers=headers, body=body)

    async def _key(self, base_url: str, *, fresh: bool) -> str:
        """The platform's public key. Unreachable: it can't be had, so nothing was asked for."""
        key, until_ms = self._keys.get(base_url, ("", 0))
        if key and not fresh and self._clock.now_ms() < until_ms:
            return key
        try:
            answer = await self._call("GET", base_url, "/v1/rsa/encryption-keys")
            if answer.status != 200:
                raise _unavailable(answer, "key")
            data = decoded(answer, _Answer, "airtel key").data
            key = "" if data is None else data.key
            rsa.load_public(key)
        except Unavailable as error:
            raise Unreachable(error.detail, retry_after_s=error.retry_after_s) from error
        except ValueError as error:
            raise Unreachable("airtel key: the answer has none") from error
        self._keys[base_url] = (key, self._clock.now_ms() + KEY_LIFE_MS)
        return key

    async def _call(
        self,
        method: str,
        stored_url: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> HttpAnswer:
        base_url = platform(stored_url, self.base_url)

        async def send(token: str) -> HttpAnswer:
            return await self._http.request(
                method,
                base_url + path,
                headers={
                    "Authorization": f"Bearer {token}",
                    "Content-Type": "application/json",
                    "X-Country": self._config.country,
                    "X-Currency": self._config.currency,
                    **(headers or {}),
                },
                body=body,
                timeout_s=SEND_TIMEOUT_S,
            )

        return await self._calls.send(base_url, send)

    async def _fetch(self, base_url: str) -> tuple[str, int]:
        credentials = {
            "client_id": self._config.client_id,
            "client_secret": self._config.client_secret,
            "grant_type": "client_credentials",
        }
        answer = await self._http.request(
            "POST",
            f"{base_url}/auth/oauth2/token",
            headers={"Content-Type": "application/json"},
            body=msgspec.json.encode(credentials),
            timeout_s=TOKEN_TIMEOUT_S,
        )
        if answer.status != 200:
            raise _unavailable(answer, "token")
        token = decoded(answer, _Token, "airtel token", strict=False)
        return token.access_token, token.expires_in


def _requested(answer: HttpAnswer) -> ProviderStatus:
    if answer.status in (401, 429) or answer.status >= 500:
        raise _unavailable(answer, "payment")
    codes = _codes(answer)
    if codes & {DUPLICATE, IN_PROCESS}:
        return Standing.PENDING
    if codes & AMBIGUOUS:
        raise TimedOut(f"airtel payment: {' '.join(sorted(codes))}")
    said = decoded(answer, _Answer, "airtel payment").status
    if answer.status == 200 and said.success:
        return Standing.PENDING
    code = said.result_code or said.response_code or f"HTTP_{answer.status}"
    return Failed(f"{code} {said.message or ''}".strip())


def _codes(answer: HttpAnswer) -> frozenset[str]:
    """The codes of an answer, one or two: either may be the telling one."""
    answered = fitting(answer.body, _Answer)
    said = _Said() if answered is None else answered.status
    return frozenset(code for code in (said.response_code, said.result_code) if code)


def _unavailable(answer: HttpAnswer, what: str) -> Unavailable:
    return unavailable(answer, f"airtel {what}", " ".join(sorted(_codes(answer))))

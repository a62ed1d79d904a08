"""momo over HTTP: the methods of MomoService that others use. Raises the kit's errors."""

from typing import TypeVar
from urllib.parse import quote

import msgspec

from backend.kit.decoding import UNREADABLE
from backend.kit.errors import Unavailable
from backend.kit.http import ApiKey, HttpAnswer, HttpClient, error_of, key_now
from backend.momo.errors import BY_CODE, HTTP_STATUS
from backend.momo.schemas import (
    Payment,
    PaymentRequest,
    ResolveRequest,
    RouteAnswer,
    ValidateRequest,
    ValidationAnswer,
)

T = TypeVar("T")

STATUSES = frozenset(HTTP_STATUS.values())


class MomoClient:
    """`base_url` is the root of momo; `api_key` goes into the header API-KEY."""

    def __init__(self, *, http: HttpClient, base_url: str, api_key: ApiKey):
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key

    async def resolve(self, *, reference: str, market: str, msisdn: str | None = None) -> RouteAnswer | None:
        """See MomoService.resolve."""
        asked = ResolveRequest(reference=reference, market=market, msisdn=msisdn)
        answer = await self._post("/resolve", asked)
        if answer.status == 404 and _status_of(answer) == "reference_not_found":
            return None
        return _decoded(answer, 200, RouteAnswer, "resolve")

    async def validate(
        self,
        *,
        reference: str,
        currency: str,
        business_account: str,
        provider_key: str,
        amount_subunit: int | None = None,
    ) -> ValidationAnswer:
        """See MomoService.validate."""
        body = ValidateRequest(
            reference=reference,
            currency=currency,
            business_account=business_account,
            provider_key=provider_key,
            amount_subunit=amount_subunit,
        )
        answer = await self._post("/validate", body)
        if answer.status in STATUSES and HTTP_STATUS.get(str(_status_of(answer))) == answer.status:
            return _decoded(answer, answer.status, ValidationAnswer, "validate")
        raise error_of(answer, "momo validate")

    async def pay(
        self,
        *,
        reference: str,
        amount_subunit: int,
        currency: str,
        business_account: str,
        provider_key: str,
        msisdn: str,
        idempotency_key: str,
    ) -> Payment:
        """See MomoService.pay."""
        body = PaymentRequest(
            reference=reference,
            amount_subunit=amount_subunit,
            currency=currency,
            business_account=business_account,
            provider_key=provider_key,
            msisdn=msisdn,
            idempotency_key=idempotency_key,
        )
        answer = await self._post("/payment", body)
        refusal = BY_CODE.get(str(_status_of(answer))) if answer.status in STATUSES else None
        if refusal is not None:
            raise refusal(f"momo payment: HTTP {answer.status}")
        return _decoded(answer, 202, Payment, "payment")

    async def wait(self, payment_id: str, *, wait_s: float) -> Payment:
        """See MomoService.wait."""
        answer = await self._http.request(
            "GET",
            f"{self._base_url}/payment/{quote(payment_id, safe='')}?wait_s={wait_s:.3f}",
            headers=self._headers(),
            timeout_s=wait_s + 5.0,
        )
        return _decoded(answer, 200, Payment, "payment status")

    async def find(self, idempotency_key: str) -> Payment | None:
        """See MomoService.find."""
        answer = await self._http.request(
            "GET",
            f"{self._base_url}/payment?idempotency_key={quote(idempotency_key, safe='')}",
            headers=self._headers(),
        )
        return None if answer.status == 404 else _decoded(answer, 200, Payment, "payment by its key")

    async def _post(self, path: str, body: msgspec.Struct) -> HttpAnswer:
        return await self._http.request(
            "POST", self._base_url + path, headers=self._headers(), body=msgspec.json.encode(body)
        )

    def _headers(self) -> dict[str, str]:
        return {"API-KEY": key_now(self._api_key), "Content-Type": "application/json"}


def _status_of(answer: HttpAnswer) -> object:
    return answer.json().get("status")


def _decoded(answer: HttpAnswer, status: int, kind: type[T], what: str) -> T:
    if answer.status != status:
        raise error_of(answer, f"momo {what}")
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except UNREADABLE as error:
        raise Unavailable(f"momo {what}: the answer does not fit its schema") from error

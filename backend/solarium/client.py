"""Solarium over HTTP, with the signatures of service.py: what momo and mese use between processes."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from backend.kit.decoding import UNREADABLE
from backend.kit.errors import Unavailable
from backend.kit.http import ApiKey, HttpAnswer, HttpClient, error_of, key_now
from backend.kit.runtime import iso
from backend.solarium.schemas import (
    STATUS_CODES,
    AccountRoute,
    Booked,
    BookedPayments,
    CustomerAccount,
    CustomerAccounts,
    CustomerTokens,
    Validation,
)

T = TypeVar("T")


class SolariumClient:
    """Solarium at `base_url`. Raises BackendErrors: TimedOut and Unreachable of the connection among them."""

    def __init__(self, *, http: HttpClient, base_url: str, api_key: ApiKey):
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key

    async def validate(
        self,
        *,
        reference: str,
        currency: str,
        business_account: str,
        provider_key: str,
        amount_subunit: int | None = None,
    ) -> Validation:
        """See Solarium.validate."""
        body: dict[str, object] = {
            "reference": reference,
            "currency": currency,
            "business_account": business_account,
            "provider_key": provider_key,
        }
        if amount_subunit is not None:
            body["amount_subunit"] = amount_subunit
        answer = await self._post("/validate_payment", body)
        if answer.status not in STATUS_CODES.values():
            raise error_of(answer, "validate_payment")
        return _decoded(answer, Validation)

    async def confirm(
        self,
        *,
        reference: str,
        amount_subunit: int,
        currency: str,
        sender_phone_number: str,
        provider_tx: str,
        provider_key: str,
        momoep_id: str,
        business_account: str,
        received_at: str,
        extra: Mapping[str, str] | None = None,
    ) -> bool:
        """See Solarium.confirm."""
        body: dict[str, object] = {
            **(extra or {}),
            "reference": reference,
            "amount_subunit": amount_subunit,
            "currency": currency,
            "sender_phone_number": sender_phone_number,
            "provider_tx": provider_tx,
            "provider_key": provider_key,
            "momoep_id": momoep_id,
            "business_account": business_account,
            "received_at": received_at,
        }
        answer = await self._post("/confirm_payment", body)
        if answer.status not in (200, 409):
            raise error_of(answer, "confirm_payment")
        return answer.status == 200

    async def resolve(self, *, reference: str, market: str) -> AccountRoute | None:
        """See Solarium.resolve."""
        answer = await self._post("/resolve_account", {"reference": reference, "market": market})
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise error_of(answer, "resolve_account")
        return _decoded(answer, AccountRoute)

    async def accounts(self, *, msisdn: str, market: str) -> list[CustomerAccount]:
        """See Customers.accounts."""
        answer = await self._post("/customer_accounts", {"msisdn": msisdn, "market": market})
        if answer.status != 200:
            raise error_of(answer, "customer_accounts")
        return _decoded(answer, CustomerAccounts).accounts

    async def tokens(self, *, msisdn: str, market: str, reference: str) -> list[str]:
        """See Customers.tokens."""
        body: dict[str, object] = {"msisdn": msisdn, "market": market, "reference": reference}
        answer = await self._post("/customer_tokens", body)
        if answer.status != 200:
            raise error_of(answer, "customer_tokens")
        return _decoded(answer, CustomerTokens).tokens

    async def booked_payments(self, provider_key: str, transactions: Sequence[str]) -> list[Booked]:
        """See Solarium.booked_payments."""
        body: dict[str, object] = {"provider_key": provider_key, "transactions": list(transactions)}
        return await self._booked("/booked_payments", body)

    async def booked_between(
        self, provider_key: str, *, first_ms: int, last_ms: int, after: int = 0
    ) -> list[Booked]:
        """See Solarium.booked_between; whole seconds."""
        since, until = iso(first_ms), iso(last_ms)
        body: dict[str, object] = {
            "provider_key": provider_key,
            "since": since,
            "until": until,
            "after": after,
        }
        return await self._booked("/booked_between", body)

    async def _booked(self, path: str, body: dict[str, object]) -> list[Booked]:
        answer = await self._post(path, body)
        if answer.status != 200:
            raise error_of(answer, path.strip("/"))
        return _decoded(answer, BookedPayments).payments

    async def _post(self, path: str, body: dict[str, object]) -> HttpAnswer:
        return await self._http.request(
            "POST", self._base_url + path, headers=self._headers(), body=msgspec.json.encode(body)
        )

    def _headers(self) -> dict[str, str]:
        return {"API-KEY": key_now(self._api_key), "Content-Type": "application/json"}


def _decoded(answer: HttpAnswer, schema: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.body, type=schema)
    except UNREADABLE as error:
        raise Unavailable(
            f"solarium answered HTTP {answer.status} with a body that is not its own"
        ) from error

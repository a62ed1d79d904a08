"""Payments to an EazzyPay till or paybill at Equity (spec/providers.md, section 3b): its notifications (IPN).

They come with the Basic login that we chose. There is no validation call: an account that nobody knows ends
in billing's suspense. Pushes (equity.py) go to the account itself and are told by their own callback.
"""

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from backend.kit.decoding import UNREADABLE
from backend.kit.errors import BadRequest
from backend.momo.ports import Incoming
from backend.momo.providers.fields import sender_of, subunits

NO_REFERENCE = "-"


@dataclass(frozen=True, slots=True)
class EquityIpnConfig:
    """`business_account` is the till or paybill that customers pay."""

    provider_key: str
    business_account: str
    username: str
    password: str = field(repr=False)


class _Customer(msgspec.Struct, rename="camel"):
    mobile_number: str | int | None = None  # a card has none


class _Transaction(msgspec.Struct, rename="camel"):
    reference: str
    amount: float | int | str
    status: str
    currency: str = "KES"
    bill_number: str | int | None = None


class _Ipn(msgspec.Struct):
    transaction: _Transaction
    customer: _Customer | None = None


class EquityIpn:
    """Implements `backend.momo.ports.Paybill`."""

    hook = "ke/ipn"

    def __init__(self, config: EquityIpnConfig):
        self.notice_answer: Mapping[str, object] = {"status": "received"}
        self._config = config

    def authorizes(self, *, secret: str, authorization: str) -> bool:  # noqa: ARG002 - the header is the login
        """See Paybill."""
        login = f"{self._config.username}:{self._config.password}".encode()
        ours = b"Basic " + base64.b64encode(login)
        return hmac.compare_digest(authorization.encode("utf-8", "surrogateescape"), ours)

    def read(self, body: bytes) -> Incoming | None:
        """See Paybill."""
        try:
            ipn = msgspec.json.decode(body, type=_Ipn)
        except UNREADABLE as error:
            raise BadRequest("equity ipn: the call does not fit its contract") from error
        transaction = ipn.transaction
        if transaction.status != "SUCCESS":
            return None
        amount_subunit, reference = subunits(transaction.amount), _clean(transaction.reference)
        if amount_subunit is None or not reference or not re.fullmatch("[A-Z]{3}", transaction.currency):
            raise BadRequest("equity ipn: no amount, no currency or no reference")
        customer = ipn.customer or _Customer()
        return Incoming(
            provider_tx=reference,
            provider_key=self._config.provider_key,
            reference=_clean(transaction.bill_number) or NO_REFERENCE,
            business_account=self._config.business_account,
            amount_subunit=amount_subunit,
            currency=transaction.currency,
            sender=sender_of(customer.mobile_number, "254"),
        )

    def verdict(self, status: str) -> Mapping[str, object]:
        """See Paybill. Equity never asks."""
        return {"status": status}


def _clean(value: str | int | None) -> str:
    return "" if value is None else str(value).replace("\x00", "").strip()[:200]

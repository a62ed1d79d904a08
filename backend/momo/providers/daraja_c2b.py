"""Payments to a paybill at Safaricom (spec/providers.md, section 1, C2B): validation and confirmation.

The calls carry no signature: the path is the credential. Its words are none that Safaricom forbids in a URL
(/hooks/ke/c2b/v|c/SECRET). The number is masked and goes on as it came (resolutions 4).
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from backend.kit.decoding import UNREADABLE
from backend.kit.errors import BadRequest
from backend.momo.ports import Incoming
from backend.momo.providers.fields import sender_of, subunits

NO_REFERENCE = "-"  # a till payment has none: billing puts it into suspense
REJECTIONS = {
    "reference_not_found": "C2B00012",
    "amount_too_low": "C2B00013",
    "amount_too_high": "C2B00013",
}
OTHER = "C2B00016"


@dataclass(frozen=True, slots=True)
class DarajaC2bConfig:
    """`secret` is the last part of both registered URLs, 32 hex digits."""

    provider_key: str
    secret: str = field(repr=False)


class _Notice(msgspec.Struct):
    TransID: str
    TransAmount: str | int | float
    BusinessShortCode: str | int
    BillRefNumber: str | int | None = ""
    MSISDN: str | int | None = None


class DarajaC2b:
    """Implements `backend.momo.ports.Paybill`."""

    hook = "ke/c2b"

    def __init__(self, config: DarajaC2bConfig):
        self.notice_answer: Mapping[str, object] = {"ResultCode": 0, "ResultDesc": "Success"}
        self._config = config

    def authorizes(self, *, secret: str, authorization: str) -> bool:  # noqa: ARG002 - the path is all there is
        """See Paybill."""
        return hmac.compare_digest(secret.encode(), self._config.secret.encode())

    def read(self, body: bytes) -> Incoming | None:
        """See Paybill."""
        try:
            notice = msgspec.json.decode(body, type=_Notice)
        except UNREADABLE as error:
            raise BadRequest("daraja c2b: the call does not fit its contract") from error
        amount_subunit = subunits(notice.TransAmount)
        transaction = notice.TransID.replace("\x00", "")[:200]
        if amount_subunit is None or not transaction:
            raise BadRequest("daraja c2b: no amount or no transaction id")
        return Incoming(
            provider_tx=transaction,
            provider_key=self._config.provider_key,
            reference=_clean(notice.BillRefNumber) or NO_REFERENCE,
            business_account=_clean(notice.BusinessShortCode) or NO_REFERENCE,
            amount_subunit=amount_subunit,
            currency="KES",
            sender=sender_of(notice.MSISDN, "254"),  # v1 may send a hash
        )

    def verdict(self, status: str) -> Mapping[str, object]:
        """See Paybill. The string "0": some of the provider's clients take no number."""
        if status == "ok":
            return {"ResultCode": "0", "ResultDesc": "Accepted"}
        return {"ResultCode": REJECTIONS.get(status, OTHER), "ResultDesc": "Rejected"}


def _clean(value: str | int | None) -> str:
    return "" if value is None else str(value).replace("\x00", "").strip()[:200]

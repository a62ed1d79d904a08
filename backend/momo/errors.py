"""Billing's refusals of a payment, as errors: nothing is stored, nobody is asked for money (checklist 29)."""

from backend.kit.errors import BackendError, NotFound


class ReferenceNotFound(NotFound):
    """404: no such account, or its currency, provider or business is another (resolutions 6)."""

    code = "reference_not_found"


class AmountTooLow(BackendError):
    """412: less than the account's smallest payment."""

    status = 412
    code = "amount_too_low"


class AmountTooHigh(BackendError):
    """412: more than the account's largest payment."""

    status = 412
    code = "amount_too_high"


REFUSALS = (ReferenceNotFound, AmountTooLow, AmountTooHigh)
BY_CODE = {kind.code: kind for kind in REFUSALS}
HTTP_STATUS = {"ok": 200, **{kind.code: kind.status for kind in REFUSALS}}

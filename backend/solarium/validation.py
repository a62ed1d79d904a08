"""Whether an account takes an amount: the four statuses (checklist 25-29)."""

from backend.solarium.posting import Account
from backend.solarium.schemas import AMOUNT_TOO_HIGH, AMOUNT_TOO_LOW, OK, REFERENCE_NOT_FOUND


def judge(account: Account | None, amount_subunit: int | None) -> str:
    """The status for `amount_subunit` by itself; what is on the account already does not count."""
    if account is None:
        return REFERENCE_NOT_FOUND
    if amount_subunit is None:
        return OK
    if amount_subunit < account.min_days * account.price_per_day_subunit:
        return AMOUNT_TOO_LOW
    if amount_subunit > account.max_days * account.price_per_day_subunit:
        return AMOUNT_TOO_HIGH
    return OK

"""A new account with its plan, and the rows that it comes to (service.py, operations.py, judging.py)."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to register, with the plan it is on. `device`: empty, if none is paired with it yet."""

    reference: str
    business_account: str
    provider_key: str
    currency: str
    market: str
    customer_name: str | None
    msisdn: str
    device: str
    price_per_day_subunit: int
    token_family: str = "moto"  # noqa: S105 - a token family
    min_days: int = 1
    max_days: int = 365
    plan: str | None = None

    def __post_init__(self) -> None:
        if self.price_per_day_subunit < 1 or not 1 <= self.min_days <= self.max_days:
            raise ValueError(
                f"account {self.reference}: the plan needs a price and 1 <= min_days <= max_days"
            )


def business_row(account: NewAccount) -> dict[str, Any]:
    """The business account that it is paid through."""
    return {
        "business_account": account.business_account,
        "provider_key": account.provider_key,
        "market": account.market,
        "currency": account.currency,
    }


def account_row(account: NewAccount, now_ms: int) -> dict[str, Any]:
    """The account itself; nothing is on it yet."""
    return {
        "reference": account.reference,
        "business_account": account.business_account,
        "currency": account.currency,
        "market": account.market,
        "customer_name": account.customer_name,
        "msisdn": account.msisdn,
        "device": account.device,
        "token_family": account.token_family,
        "balance_subunit": 0,
        "price_per_day_subunit": account.price_per_day_subunit,
        "min_days": account.min_days,
        "max_days": account.max_days,
        "created_at_ms": now_ms,
        "plan": account.plan,
    }

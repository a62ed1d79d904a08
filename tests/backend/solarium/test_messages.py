"""A payment that bought no days: no token tells its customer, so a short message does."""

import pytest
from aiohttp.test_utils import TestClient

from backend.kit.keys import Client
from backend.solarium.operator_schemas import ResolutionRequest
from backend.solarium.service import Solarium
from tests.backend.solarium.fakes import PRICE, FakePartners, account, payment
from tests.backend.solarium.test_corrections import OWNER, paid, suspended

OPERATOR = Client("operator", ())


async def told(partners: FakePartners, count: int = 1) -> list[str]:
    await partners.until(count, "send")
    return [each["text"] for each in partners.messages.values()]


@pytest.mark.parametrize(
    ("reference", "amount", "says"),
    [
        (
            "254543",
            PRICE - 1,
            "Payment of UGX 499.99 received, thank you. On your account: UGX 499.99. A day costs UGX 500.",
        ),
        (
            "nolamp",
            2 * PRICE,
            "Payment of UGX 1000 received, thank you. On your account: UGX 1000. "
            "It buys days as soon as your device is installed.",
        ),
    ],
)
async def test_who_paid_for_no_day_is_told_once(
    service: Solarium, partners: FakePartners, reference: str, amount: int, says: str
) -> None:
    await service.register_accounts([account("nolamp", device="")])
    for new in (True, False):
        body = payment("T1", reference=reference, amount_subunit=amount)
        assert await service.confirm(**body) is new
    assert await told(partners) == [says]
    (message,) = partners.messages.values()
    assert (message["to"], message["market"]) == ("256700000001", "UG")
    assert not partners.orders


async def test_a_debt_that_remains_is_told(
    http: TestClient, service: Solarium, partners: FakePartners
) -> None:
    first = await paid(http, service, "P1", amount_subunit=PRICE // 2)
    await paid(http, service, "P2", amount_subunit=PRICE // 2)  # with the first half, a day
    await service.corrections.reverse(first, "charged back", OPERATOR)
    await paid(http, service, "P3", amount_subunit=100_00)
    says = await told(partners, 3)
    assert "Payment of UGX 100 received, thank you. Your account still owes UGX 150." in says


async def test_suspense_that_is_resolved_to_no_day_is_told(
    http: TestClient, service: Solarium, partners: FakePartners
) -> None:
    number = await suspended(http, service, amount_subunit=100)
    await service.corrections.resolve(number, ResolutionRequest(**OWNER), OPERATOR)
    assert await told(partners) == [
        "Payment of UGX 1 received, thank you. On your account: UGX 1. A day costs UGX 500."
    ]

"""What momo's reconciliation asks: which of a provider's payments are in the ledger."""

import pytest

from backend.kit.runtime import iso
from tests.backend.conftest import START_MS
from tests.backend.solarium.fakes import payment
from tests.backend.solarium.test_operations import call

KEY = "ug_mtn_mobilemoney"


async def book(service, *transactions, **changes):
    for tx in transactions:
        assert await service.confirm(**payment(tx, **changes))


async def test_by_transaction_whatever_became_of_it(service, client):
    await book(service, "T1")
    await book(service, "T2", reference="nobody")
    found = await client.booked_payments(KEY, ["T1", "T2", "T3"])
    assert {(each.provider_tx, each.outcome) for each in found} == {("T1", "credited"), ("T2", "suspense")}
    assert await client.booked_payments("rw_mtn_mobilemoney", ["T1"]) == []


@pytest.mark.parametrize("count", [1, 2, 7])
async def test_by_time_found_by_halving_the_ids(service, client, clock, count):
    for day in range(3):
        await book(service, *(f"D{day}-{number}" for number in range(count)))
        clock.advance(86_400)

    async def days(first, last):
        first_ms, last_ms = START_MS + first * 86_400_000, START_MS + last * 86_400_000
        found = await client.booked_between(KEY, first_ms=first_ms, last_ms=last_ms)
        return [each.provider_tx for each in found]

    assert await days(1, 1) == [f"D1-{number}" for number in range(count)]
    assert await days(-5, -1) == []
    assert await days(3, 9) == []
    assert len(await days(-5, 9)) == 3 * count
    assert await days(0, 1) == [f"D{day}-{number}" for day in (0, 1) for number in range(count)]


async def test_pages(service, client, monkeypatch):
    monkeypatch.setattr("backend.solarium.service.MAX_BOOKED", 2)
    await book(service, "T1", "T2", "T3")
    first = await client.booked_between(KEY, first_ms=START_MS, last_ms=START_MS)
    rest = await client.booked_between(KEY, first_ms=START_MS, last_ms=START_MS, after=first[-1].id)
    assert [each.provider_tx for each in (*first, *rest)] == ["T1", "T2", "T3"]


async def test_an_empty_ledger_has_nothing(client):
    assert await client.booked_between(KEY, first_ms=0, last_ms=START_MS) == []


@pytest.mark.parametrize("path", ["/booked_payments", "/booked_between"])
async def test_what_is_refused(service, http, path):
    await service.install_key("rw", client="rwanda", markets=["RW"])
    times = {"since": iso(0), "until": iso(START_MS)}
    body = {"provider_key": KEY, "transactions": ["T1"], **times}
    assert (await call(http, "POST", path, body))[0] == 200
    assert (await call(http, "POST", path, {"provider_key": KEY}))[0] == 400
    assert (await call(http, "POST", path, {**body, "transactions": ["x"] * 201, "since": "x"}))[0] == 400
    answer = await http.post(path, json=body, headers={"API-KEY": "rw"})
    assert answer.status == 403
    assert (await http.post(path, json=body)).status == 401

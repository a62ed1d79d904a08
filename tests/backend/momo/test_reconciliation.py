"""A reconciliation run: what differs is reported, and made good on demand, once."""

import asyncio

import pytest
from structlog.testing import capture_logs

from backend.kit.runtime import iso
from backend.momo.ports import Failed, StatementLine, Succeeded
from backend.momo.reconciliation import Span
from tests.backend.conftest import START_MS
from tests.backend.momo.conftest import running
from tests.backend.momo.provider import asked_for

KEY = {"API-KEY": "key"}
WINDOW = {
    "provider_key": "ke_equity_eazzypay",
    "since": iso(START_MS - 3_600_000),
    "until": iso(START_MS + 3_600_000),
}


@pytest.fixture
async def momo(build, provider):
    providers = {"ke_equity_eazzypay": provider, "ug_airtel_money": provider}
    async with running(build(providers=providers, statements={"ug_airtel_money": provider})) as momo:
        yield momo


async def paid(momo, provider, key, outcome):
    row = await asked_for(momo, key)
    provider.outcomes[row.id] = outcome
    await momo.callback(hook="equity", secret=momo._callback_paths.secret_of(row.id), body=b"{}")
    status = "failed" if isinstance(outcome, Failed) else "confirmed"
    assert (await momo.wait(row.id, wait_s=5)).status == status
    return row


def line(provider_tx, amount_subunit=500_00, **more):
    return {"provider_tx": provider_tx, "amount_subunit": amount_subunit, "currency": "KES", **more}


async def reconcile(client, **request):
    answer = await client.post("/reconciliation", json={**WINDOW, **request}, headers=KEY)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def test_every_kind_of_difference(client, momo, provider):
    await paid(momo, provider, "k1", Succeeded("TX1", 500_00, "KES"))
    second = await paid(momo, provider, "k2", Succeeded("TX2", 500_00, "KES"))
    third = await paid(momo, provider, "k3", Succeeded("TX3", 500_00, "KES"))
    waiting, failed = await asked_for(momo, "k4"), await paid(momo, provider, "k5", Failed("1 no"))
    lines = [
        line("TX1"),
        line("TX1"),
        line("TX2", 400_00),
        line("TX4", provider_ref=waiting.handle),
        line("TX5", provider_ref=failed.provider_ref),
        line("TX6", reference="254543"),
    ]
    report = await reconcile(client, lines=lines)
    assert (report["lines"], report["matched"], report["settled"]) == (5, 1, [])
    assert report["amount_differs"] == [
        {
            **line("TX2", 400_00),
            "payment_id": second.id,
            "state": "confirmed",
            "our_amount_subunit": 500_00,
        }
    ]
    assert [(each["provider_tx"], each["payment_id"], each["state"]) for each in report["unsettled"]] == [
        ("TX4", waiting.id, "requested"),
        ("TX5", failed.id, "failed"),
    ]
    assert report["missing_here"] == [line("TX6")]
    assert report["not_on_statement"] == [{**line("TX3"), "payment_id": third.id, "state": "confirmed"}]


async def test_what_is_certain_is_settled_once(client, momo, provider, billing):
    waiting, failed = await asked_for(momo, "k1"), await paid(momo, provider, "k2", Failed("1 no"))
    lines = [
        line("TX1", provider_ref=waiting.handle),
        line("TX2", provider_ref=failed.handle),
        line("TX3", reference="254543", business_account="247247", sender="254763000111"),
        line("TX4", reference="254543"),  # for whose till, and from whom?
    ]
    report = await reconcile(client, lines=lines, settle=True)
    assert report["settled"] == ["TX1", "TX2", "TX3"]
    for row in (waiting, failed):
        assert (await momo.wait(row.id, wait_s=5)).status == "confirmed"
    while len(billing.booked) < 3:
        await asyncio.sleep(0.01)
    again = await reconcile(client, lines=lines, settle=True)
    assert (again["matched"], again["settled"]) == (3, [])
    assert [each["provider_tx"] for each in again["missing_here"]] == ["TX4"]
    assert len(billing.confirmed) == 3
    assert {tx for tx, _ in billing.booked} == {"TX1", "TX2", "TX3"}


async def test_a_push_that_was_paid_twice_is_settled_once_and_the_second_stays_open(client, momo):
    row = await asked_for(momo, "k1")
    lines = [line(tx, provider_ref=row.handle) for tx in ("TX1", "TX2")]
    with capture_logs() as logs:
        first = await reconcile(client, lines=lines, settle=True)
    assert first["settled"] == ["TX1"]
    told = [each["provider_tx"] for each in logs if each["event"] == "reconciliation.difference"]
    assert told == ["TX2"]
    later = await reconcile(client, lines=lines[:1], settle=True)  # TX2 is kept with its difference
    assert ([each["provider_tx"] for each in later["missing_here"]], later["settled"]) == (["TX2"], [])


async def test_a_provider_that_has_a_statement_is_asked(client, provider):
    provider.lines = [StatementLine("TX9", 100_00, "UGX")]
    report = await reconcile(client, provider_key="ug_airtel_money")
    assert report["missing_here"] == [{**line("TX9", 100_00), "currency": "UGX"}]


async def test_a_reference_that_may_be_cut_is_left_to_an_operator(client, provider, billing):
    """A push for 254543000000/7 stands on Daraja's list as 254543000000, which may be another's account."""
    provider.cut_at = 12
    whole = {"business_account": "247247", "sender": "254763000111", "currency": "UGX"}
    lines = [
        line("TX1", reference="254543000000", **whole),
        line("TX2", reference="25454300000", **whole),
    ]
    for _ in range(2):
        report = await reconcile(client, provider_key="ug_airtel_money", lines=lines, settle=True)
        (left,) = [each for each in report["missing_here"] if each["provider_tx"] == "TX1"]
        assert "cuts references" in left["open_because"]
        while not billing.booked:  # TX2 is on its way: a run before it is there finds it not booked
            await asyncio.sleep(0.01)
    assert {tx for tx, _ in billing.booked} == {"TX2"}
    answer = await client.get("/reconciliation/differences?state=open", headers=KEY)
    (difference,) = (await answer.json())["differences"]
    assert difference["difference"] == left


@pytest.mark.parametrize(
    ("change", "key", "status"),
    [
        ({}, "key", 422),  # it has none to ask for
        ({"provider_key": "tz_halotel_halopesa", "lines": []}, "key", 422),
        ({"lines": [], "until": iso(0)}, "key", 400),
        ({"lines": [{"provider_tx": "x"}]}, "key", 400),
        ({"lines": [line("x"), line("x", 400_00)]}, "key", 400),  # one would hide the other
        ({"lines": [line("x", provider_ref="a\x00")]}, "key", 400),
        ({"lines": []}, "no", 401),
        ({"lines": []}, "ug", 403),
    ],
)
async def test_what_is_refused(client, change, key, status):
    answer = await client.post("/reconciliation", json={**WINDOW, **change}, headers={"API-KEY": key})
    assert answer.status == status


async def test_many_lines(momo, provider):
    await paid(momo, provider, "k1", Succeeded("TX1", 500_00, "KES"))
    lines = [StatementLine(f"TX{number}", 500_00, "KES", f"r{number}") for number in range(1200)]
    run = momo.reconciliation.run
    report = await run(Span("ke_equity_eazzypay", 0, 2**60), lines=lines, settle=False)
    assert (report.matched, len(report.missing_here)) == (1, 1199)


WHOLE = {"reference": "254543", "business_account": "247247", "sender": "254763000111"}


async def test_a_line_that_names_a_payment_of_another_transaction_is_not_booked_again(
    client, momo, provider, billing
):
    """The provider's statement has its own id of a push, which its callback named by the network's."""
    row = await paid(momo, provider, "k1", Succeeded("TELCO1", 500_00, "KES"))
    lines = [line("BANK1", provider_ref=row.handle, **WHOLE)]
    for _ in range(2):
        report = await reconcile(client, lines=lines, settle=True)
        assert report["settled"] == []
        (each,) = report["missing_here"]
        assert (each["provider_tx"], each["payment_id"]) == ("BANK1", row.id)
        assert "TELCO1" in each["open_because"]
    assert [tx for tx, _ in billing.booked] == ["TELCO1"]


async def test_what_an_operator_closed_is_not_settled(client, momo, billing):
    waiting = await asked_for(momo, "k1")
    lines = [line("TX1", **WHOLE), line("TX2", provider_ref=waiting.handle)]
    await reconcile(client, lines=lines)
    answer = await client.get("/reconciliation/differences?state=open", headers=KEY)
    for each in (await answer.json())["differences"]:
        path = f"/reconciliation/differences/{each['id']}/close"
        closed = await client.post(path, json={"reason": "paid back at the till"}, headers=KEY)
        assert closed.status == 200, await closed.text()
    report = await reconcile(client, lines=lines, settle=True)
    assert report["settled"] == []
    assert not billing.confirmed

"""Reconciliation by itself: every day once, billing's ledger too, each difference once."""

import asyncio

import pytest
from structlog.testing import capture_logs

from backend.kit.errors import Unavailable
from backend.momo.ports import Failed, Incoming, StatementLine, Succeeded
from backend.momo.reconciliation import ABANDONED_MS, DAY_MS, RETRY_MS, Span
from backend.momo.schedule import Plan
from simulator.clock import ManualClock
from tests.backend.conftest import START_MS
from tests.backend.momo.conftest import running
from tests.backend.momo.provider import PAYMENT, asked_for

MIDNIGHT_MS = START_MS - START_MS % DAY_MS
LISTED, SILENT = "ke_safaricom_mpesa", "ke_equity_eazzypay"  # with a statement, and without one
KEY = {"API-KEY": "key"}


@pytest.fixture
def make(build, provider):
    """A momo on the one database: all are copies of one service."""

    def make(**plan):
        providers = {LISTED: provider, SILENT: provider}
        return build(providers=providers, statements={LISTED: provider}, plan=Plan(**plan))

    return make


@pytest.fixture
async def momo(make):
    async with running(make()) as momo:
        yield momo


async def paid(momo, provider, key, tx, provider_key=SILENT):
    """A payment that the provider says was paid, confirmed; its row."""
    payment = await momo.pay(**{**PAYMENT, "provider_key": provider_key}, idempotency_key=key)
    provider.outcomes[payment.payment_id] = Succeeded(tx, 500_00, "KES")
    while True:
        row = await momo._database.read(lambda c: momo._store.by_id(c, payment.payment_id))
        if row.state == "confirmed":
            return row
        if row.handle is not None:
            await momo.callback(hook="equity", secret=momo._callback_paths.secret_of(row.id), body=b"{}")
        await asyncio.sleep(0.01)


async def listed(client, state="open"):
    answer = await client.get(f"/reconciliation/differences?state={state}", headers=KEY)
    assert answer.status == 200, await answer.text()
    return [
        (each["kind"], each["difference"]["provider_tx"]) for each in (await answer.json())["differences"]
    ]


async def a_day(client, provider_key=SILENT, day="2025-12-01", **more):
    body = {"provider_key": provider_key, "day": day, **more}
    answer = await client.post("/reconciliation/runs", json=body, headers=KEY)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def test_the_day_before_is_run_once_by_whoever_comes_first(make, clock, provider, momo):
    other = make()
    await paid(momo, provider, "k1", "TX1")
    await momo._schedule.tick()
    assert await runs(momo) == []  # the day is not over
    clock.advance((MIDNIGHT_MS + DAY_MS + 3 * 3_600_000 - START_MS) / 1000)
    await asyncio.gather(momo._schedule.tick(), other._schedule.tick())
    await other._schedule.tick()
    made = await runs(momo)
    assert [(run.provider_key, run.state, run.attempts, run.scheduled) for run in made] == [
        (LISTED, "done", 1, True),
        (SILENT, "done", 1, True),
    ]
    assert {run.since for run in made} == {"2025-12-01T00:00:00Z"}
    report = (await momo.reports.run([SILENT], made[1].id)).report
    assert (report.method, report.lines, report.matched, report.new) == ("status", 1, 1, 0)


async def runs(momo):
    page = await momo.reports.runs([LISTED, SILENT], before=2**62, limit=50)
    return sorted(page.runs, key=lambda run: run.provider_key == SILENT)


async def test_a_run_that_fails_comes_again_and_one_whose_process_died_too(momo, provider, billing, clock):
    await paid(momo, provider, "k1", "TX1")
    clock.advance(2 * 86_400)
    billing.down = Unavailable("away")
    with capture_logs() as logs:
        await momo._schedule.tick()
    assert {entry["event"] for entry in logs} == {"reconciliation.failed"}
    billing.down = None
    await momo._schedule.tick()
    assert {run.state for run in await runs(momo)} == {"failed"}  # a moment ago
    clock.advance(RETRY_MS / 1000)
    await momo._schedule.tick()
    assert {(run.state, run.attempts) for run in await runs(momo)} == {("done", 2)}

    def claim(slot):
        store = momo._store.reconciliation
        span = Span(SILENT, 0, 1, slot)
        return momo.reconciliation._claimed(span), store

    first, _ = claim("day:x")
    run_id = await first
    clock.advance(ABANDONED_MS / 1000)
    again, _ = claim("day:x")
    assert await again == run_id


@pytest.mark.parametrize("case", [(40, ["TX1", "TX2"]), (50, ["TX2"]), (24 * 9, [])])
async def test_what_a_statement_does_not_reach_is_not_missed_there(client, momo, provider, clock, case):
    """Daraja's list goes back 48 hours: an older day is not a day of payments that nobody made."""
    hours, wrong = case
    await paid(momo, provider, "k1", "TX1", LISTED)
    clock.advance(4 * 3600)
    await paid(momo, provider, "k2", "TX2", LISTED)
    clock.advance((hours - 4) * 3600)
    provider.reach_ms = 48 * 3_600_000
    report = await a_day(client, LISTED)
    assert sorted(each["provider_tx"] for each in report["not_on_statement"]) == wrong
    assert report["unasked"] == 2 - len(wrong)
    assert report["new"] == len(wrong)


async def test_a_plan_may_name_no_provider(make, clock, provider, momo):
    await paid(momo, provider, "k1", "TX1")
    clock.advance(2 * 86_400)
    await make(providers=())._schedule.tick()
    assert await runs(momo) == []


async def test_a_confirmation_that_billing_lost_is_made_again_once(client, momo, provider, billing, clock):
    row = await paid(momo, provider, "k1", "TX1")
    del billing.booked[("TX1", SILENT)]
    told = len(billing.confirmed)
    clock.advance(3600)
    with capture_logs() as logs:
        report = await a_day(client)
    assert [(each["provider_tx"], each["payment_id"]) for each in report["not_booked"]] == [("TX1", row.id)]
    assert (report["settled"], report["new"]) == (["TX1"], 1)
    assert not [entry for entry in logs if entry["log_level"] == "error"]  # it heals by itself
    while ("TX1", SILENT) not in billing.booked:
        await asyncio.sleep(0.01)
    report = await a_day(client)
    assert (report["not_booked"], report["resolved"], len(billing.confirmed)) == ([], 1, told + 1)
    assert await listed(client) == []
    assert await listed(client, "resolved") == [("not_booked", "TX1")]


async def test_what_billing_does_not_take_stays_one_difference_on_later_days(
    client, momo, provider, billing, clock
):
    await paid(momo, provider, "k1", "TX1")
    del billing.booked[("TX1", SILENT)]
    clock.advance(3600)
    await a_day(client, settle=False)
    clock.advance(86_400)
    report = await a_day(client, day="2025-12-02", settle=False)
    assert [each["provider_tx"] for each in report["not_booked"]] == ["TX1"]
    assert (report["not_on_statement"], report["new"]) == ([], 0)
    assert await listed(client) == [("not_booked", "TX1")]


async def test_a_payment_that_a_customer_began_is_looked_for_in_the_ledger_all_the_same(
    client, momo, billing, clock
):
    incoming = Incoming("IPN1", SILENT, "254543", "247247", 500_00, "KES", "254763000111")
    await momo.inbound.confirm(incoming)
    while ("IPN1", SILENT) not in billing.booked:
        await asyncio.sleep(0.01)
    clock.advance(3600)
    report = await a_day(client)
    assert (report["unasked"], report["not_on_statement"], report["not_booked"]) == (1, [], [])
    del billing.booked[("IPN1", SILENT)]
    report = await a_day(client)
    assert [each["provider_tx"] for each in report["not_booked"]] == ["IPN1"]


async def test_a_lost_callback_is_healed_by_the_normal_path_once(client, momo, provider, billing, clock):
    row = await asked_for(momo, "k1")
    provider.outcomes[row.id] = Failed("1 no")
    await momo.callback(hook="equity", secret=momo._callback_paths.secret_of(row.id), body=b"{}")
    assert (await momo.wait(row.id, wait_s=5)).status == "failed"
    provider.outcomes[row.id] = Succeeded("TX1", 500_00, "KES")  # it was paid all the same; nobody says so
    clock.advance(3600)
    first, second = await a_day(client), await a_day(client)
    assert ([each["provider_tx"] for each in first["unsettled"]], first["settled"]) == (["TX1"], ["TX1"])
    assert (await momo.wait(row.id, wait_s=5)).status == "confirmed"
    assert first["resolved"] == 1
    assert (second["matched"], second["unsettled"], second["settled"]) == (1, [], [])
    assert len(billing.confirmed) == 1


async def test_a_difference_is_told_once_and_resolved_when_it_is_no_more(client, provider, momo, clock):
    await paid(momo, provider, "k1", "TX1", LISTED)
    stranger = StatementLine("TX9", 100_00, "KES", paid_at_ms=START_MS)
    provider.lines = [StatementLine("TX1", 500_00, "KES", paid_at_ms=START_MS), stranger]
    clock.advance(3600)
    with capture_logs() as logs:
        reports = [await a_day(client, LISTED), await a_day(client, LISTED)]
    alerts = [entry for entry in logs if entry["event"] == "reconciliation.difference"]
    assert [(entry["kind"], entry["provider_tx"]) for entry in alerts] == [("missing_here", "TX9")]
    assert [report["new"] for report in reports] == [1, 0]
    assert await listed(client) == [("missing_here", "TX9")]
    # Next day's statement says nothing of it any more; it stays open until it is in our books.
    provider.lines = []
    clock.advance(86_400)
    assert [each["provider_tx"] for each in (await a_day(client, LISTED, "2025-12-02"))["missing_here"]] == [
        "TX9"
    ]
    line = {"provider_tx": "TX9", "amount_subunit": 100_00, "currency": "KES"}
    whose = {"reference": "254543", "business_account": "174379", "sender": "254763000111"}
    window = {"since": "2025-12-01T00:00:00Z", "until": "2025-12-01T23:59:59Z", "provider_key": LISTED}
    answer = await client.post(
        "/reconciliation", json={**window, "lines": [{**line, **whose}], "settle": True}, headers=KEY
    )
    assert (await answer.json())["settled"] == ["TX9"]
    assert ("missing_here", "TX9") in await listed(client, "resolved")


async def test_what_only_billing_has_and_what_it_booked_otherwise(client, momo, provider, billing, clock):
    row = await paid(momo, provider, "k1", "TX1")
    at = "2025-12-01T10:00:00Z"
    billing.booked[("TX1", SILENT)] = {"amount_subunit": 400_00, "currency": "KES", "received_at": at}
    for number in range(5):
        stranger = {"amount_subunit": 700_00, "currency": "KES", "received_at": at}
        billing.booked[(f"S{number}", SILENT)] = stranger
    clock.advance(3600)
    report = await a_day(client)
    assert [each["provider_tx"] for each in report["booked_only"]] == ["S0", "S1", "S2", "S3", "S4"]
    (differs,) = report["booked_differs"]
    assert (differs["payment_id"], differs["amount_subunit"], differs["booked_subunit"]) == (
        row.id,
        500_00,
        400_00,
    )
    assert report["settled"] == []


async def test_a_payment_that_the_statement_does_not_have(client, momo, provider, clock):
    await paid(momo, provider, "k1", "TX1", LISTED)
    await paid(momo, provider, "k2", "TX2", LISTED)
    early = StatementLine("TX2", 500_00, "KES", paid_at_ms=MIDNIGHT_MS - 1)  # by their clock
    provider.lines = [early]
    clock.advance(3600)
    report = await a_day(client, LISTED)
    assert [each["provider_tx"] for each in report["not_on_statement"]] == ["TX1"]
    assert (report["lines"], report["matched"], report["method"]) == (0, 0, "statement")


async def test_an_operator_closes_what_he_has_dealt_with(client, momo, provider, clock):
    await paid(momo, provider, "k1", "TX1", LISTED)
    clock.advance(3600)
    await a_day(client, LISTED)
    page = await (await client.get("/reconciliation/differences", headers=KEY)).json()
    assert [each["kind"] for each in page["differences"]] == ["not_on_statement"]
    path = f"/reconciliation/differences/{page['differences'][0]['id']}/close"
    foreign = await client.post(path, json={"reason": "x"}, headers={"API-KEY": "ug"})
    assert foreign.status == 404
    closed = await client.post(path, json={"reason": "refunded by Safaricom, ticket 7"}, headers=KEY)
    body = await closed.json()
    assert (body["state"], body["closed_by"]) == ("closed", "operator")
    assert (await client.post(path, json={"reason": "again"}, headers=KEY)).status == 404
    assert (await a_day(client, LISTED))["new"] == 0
    assert await listed(client) == []


async def test_runs_and_differences_are_paged_and_of_the_markets_of_the_key(client, momo, provider, clock):
    await paid(momo, provider, "k1", "TX1")
    clock.advance(3600)
    ids = [(await a_day(client))["run_id"] for _ in range(3)]
    first = await (await client.get("/reconciliation/runs?limit=2", headers=KEY)).json()
    rest = await (await client.get(f"/reconciliation/runs?before={first['next']}", headers=KEY)).json()
    assert [run["id"] for run in first["runs"] + rest["runs"]] == sorted(ids, reverse=True)
    assert rest["next"] is None
    foreign = {"API-KEY": "ug"}
    assert (await (await client.get("/reconciliation/runs", headers=foreign)).json())["runs"] == []
    assert (await client.get(f"/reconciliation/runs/{ids[0]}", headers=foreign)).status == 404
    run = await (await client.get(f"/reconciliation/runs/{ids[0]}", headers=KEY)).json()
    assert (run["state"], run["report"]["matched"], run["scheduled"]) == ("done", 1, False)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/reconciliation/runs", {"provider_key": SILENT, "day": "2025-12-02"}, 400),  # not begun
        ("POST", "/reconciliation/runs", {"provider_key": SILENT, "day": "yesterday"}, 400),
        ("POST", "/reconciliation/runs", {"provider_key": "tz_x_y", "day": "2025-11-30"}, 422),
        ("GET", "/reconciliation/runs?limit=0", None, 400),
        ("GET", "/reconciliation/runs?before=x", None, 400),
        ("GET", "/reconciliation/runs/7", None, 404),
        ("GET", "/reconciliation/differences?state=lost", None, 400),
        ("POST", "/reconciliation/differences/7/close", {"reason": "x"}, 404),
        ("POST", "/reconciliation/differences/7/close", {}, 400),
    ],
)
async def test_what_is_refused(client, method, path, body, status):
    answer = await client.request(method, path, json=body, headers=KEY)
    assert answer.status == status, await answer.text()
    assert (await client.request(method, path, json=body)).status == 401


async def test_a_provider_that_does_not_answer_fails_the_run(client, momo, provider, clock, monkeypatch):
    await paid(momo, provider, "k1", "TX1")
    clock.advance(3600)

    async def away(debit, heard):
        raise Unavailable("the provider is away")

    provider.status = away
    answer = await client.post(
        "/reconciliation/runs", json={"provider_key": SILENT, "day": "2025-12-01"}, headers=KEY
    )
    assert answer.status == 503
    page = await (await client.get("/reconciliation/runs", headers=KEY)).json()
    assert page["runs"][0]["state"] == "failed"
    assert "the provider is away" in page["runs"][0]["error"]


def test_the_clock_of_these_tests_is_at_ten():
    assert ManualClock(START_MS).now_ms() - MIDNIGHT_MS > 10 * 3_600_000

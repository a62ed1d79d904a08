"""SIGKILL everything, at each step of the path and at random instants; start again; the path finishes.

One customer buys DAYS days once. Whatever dies when: in the end the device has light for exactly those days,
the SMS grants nothing more, and the invariants hold.
"""

import asyncio
import os
import random
import socket
import sqlite3
from pathlib import Path

import pytest

from tests.scenarios.up_process import Gone, Json, Up, token_in

DAYS = 4
DAY_S = 86_400
SETTLE_S = 40.0
SEEDS = int(os.environ.get("CRASH_SEEDS", "20"))

STEPS = [
    *("payments.pay:before", "payments.pay:after"),
    *("provider.POST.token:before", "provider.POST.token:after"),
    *("provider.POST.requesttopay:before", "provider.POST.requesttopay:after"),
    *("provider.GET.requesttopay:before", "provider.GET.requesttopay:after"),
    *("billing.confirm:before", "billing.confirm:after"),
    *("payments.wait:after",),
    *("tokens.order:before", "tokens.order:after"),
    *("commands.create:before", "commands.create:after"),
    *("sms.send:before", "sms.send:after"),
    *("aggregator.POST.messaging:before", "aggregator.POST.messaging:after"),
    *("m2m_feed.confirm:before", "m2m_feed.confirm:after"),
    *("ingest.ingest:before@5", "ingest.ingest:after@5"),
    *("callback.POST.callback:before", "callback.POST.callback:after"),
]


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_a_step(step: str, tmp_path: Path) -> None:
    up = Up(tmp_path / "data")
    await up.start(env={"PAYG_UP_DIE_AT": step})
    try:
        await customer_tries(up, "first")
        async with asyncio.timeout(20):
            while up.alive:
                await asyncio.sleep(0.02)
        await up.start()
        await finishes(up)
    finally:
        await up.kill()


async def test_killed_before_the_callback_and_started_on_other_ports(tmp_path: Path) -> None:
    up = Up(tmp_path / "data")
    await up.start(env={"PAYG_UP_DIE_AT": "callback.POST.callback:before"})
    try:
        await customer_tries(up, "first")
        async with asyncio.timeout(20):
            while up.alive:
                await asyncio.sleep(0.02)
        with socket.create_server(("127.0.0.1", int(up.credentials["http"].rsplit(":", 1)[1]))):
            await up.start()
            await finishes(up)
    finally:
        await up.kill()


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_killed_at_random_instants(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    up = Up(tmp_path / "data")
    try:
        await up.start()
        for life in range(rng.randint(1, 3)):
            customer = asyncio.create_task(customer_tries(up, f"life{life}"))
            await asyncio.sleep(rng.uniform(0, 1.5))
            await up.kill()
            await customer
            await up.start()
        await finishes(up)
    finally:
        await up.kill()


async def customer_tries(up: Up, session: str) -> None:
    """Pay, unless the payment was asked for already; a line that goes dead is the customer's bad luck."""
    try:
        if payments_asked(up) == 0:
            await up.pay(up.credentials["devices"][0], DAYS, session)
    except Gone:
        return


async def finishes(up: Up) -> None:
    """Everything that was paid arrives, once."""
    device: Json = up.credentials["devices"][0]
    if payments_asked(up) == 0:
        await up.pay(device, DAYS, "again")
    lit = await up.wait_for_light(device["serial"], timeout_s=SETTLE_S)
    assert (DAYS - 1) * DAY_S < lit["credit_s"] <= DAYS * DAY_S
    texts = await up.wait_for_sms(device["msisdn"], timeout_s=SETTLE_S)
    assert len({token_in(text) for text in texts}) == 1
    again = await up.type_keys(device["serial"], token_in(texts[0]))
    assert again["result"] == "already_used"
    assert again["credit_s"] <= DAYS * DAY_S
    await settled(up)
    assert await up.terminate() == 0, up.log()[-4000:]


def payments_asked(up: Up) -> int:
    """How many payments momo has stored: once it has one, the customer need not dial again."""
    return count(up, "momo", "select count(*) from payments")


async def settled(up: Up) -> None:
    """Wait until the command is replied and its callback delivered."""
    async with asyncio.timeout(SETTLE_S):
        while (
            count(up, "m2m", "select count(*) from commands where callback_delivered_at_ms is not null") == 0
        ):
            await asyncio.sleep(0.05)
    assert count(up, "m2m", "select count(*) from commands") == 1
    assert count(up, "m2m", "select count(*) from commands where state = 'replied'") == 1


def count(up: Up, service: str, query: str) -> int:
    connection = sqlite3.connect(f"file:{up.data_dir / f'{service}.db'}?mode=ro", uri=True)
    try:
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()

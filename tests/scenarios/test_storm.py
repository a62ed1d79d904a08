"""Kill -9 of any service while customers pay at a provider that doubles, delays and loses its callbacks.

The whole of it is in tests/storm; `make soak` runs 10,000 payments. Every service is a process of its own
and killed at least once; in the end every invariant holds, and what the provider took is booked exactly once.
"""

import os
from pathlib import Path

import pytest

from tests.storm.site import SERVICES
from tests.storm.storm import Weather, engine, run

PAYMENTS = int(os.environ.get("STORM_PAYMENTS", "100"))
SEED = int(os.environ.get("STORM_SEED", "1"))


@pytest.mark.timeout(300 + PAYMENTS)
@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
async def test_every_payment_is_booked_once_whoever_is_killed(name: str, tmp_path: Path) -> None:
    weather = Weather(payments=PAYMENTS, seed=SEED, devices=30, per_s=10.0, kill_every_s=1.5, late_s=3.0)
    async with engine(name) as database_url:
        report = await run(tmp_path / "data", weather, database_url=database_url)
    assert report.sound, str(report)
    assert set(report.kills) == set(SERVICES)
    assert sum(report.answers.values()) == PAYMENTS
    assert {"once", "twice", "late", "never", "refused by the customer"} <= set(report.callbacks)

"""Each invariant can break: a sound world holds, and one wrong number breaks its verdict."""

from dataclasses import replace

import pytest

from backend.m2m.audit import Audit as M2mAudit
from backend.m2m.audit import Callbacks, DeviceRecords
from backend.mega.service import Audit as MegaAudit
from backend.momo.service import Audit as MomoAudit
from backend.solarium.audit import Audit as SolariumAudit
from simulator.invariants import Lamp, Picture, check, judge

SOUND = Picture(
    replied_days={"A": 5},
    solarium=SolariumAudit(
        payments=2,
        ledger_transactions=2,
        payments_without_transaction=0,
        unbalanced_currencies=(),
        wrong_balances=0,
        days_sold=9,
        orders={"replied": 1, "sent": 1},
        days={"replied": 5, "sent": 4},
        days_by_device={"A": (5, 5), "B": (4, 0)},
        dead_letters=0,
        refused_orders=0,
    ),
    m2m=M2mAudit(
        devices=2,
        commands={"created": 0, "sent": 1, "replied": 1},
        callbacks=Callbacks(owed=1, delivered=1, waiting=0, dead=0),
        records={"A": DeviceRecords(stored=7, evicted=2, missing=0, highest=9)},
        unkeyed_records=0,
        days_granted={"A": 5},
        counters={"refused": 3},
    ),
    momo=MomoAudit(
        payments_by_state={"confirmed": 2},
        confirmed_subunit={"UGX": 1},
        stuck=(),
        mismatched=(),
        dead_letters=0,
    ),
    mega=MegaAudit(messages_by_status={"delivered": 2}, dead_letters=0),
    lamps=[Lamp("A", relay=True, stored_on=True), Lamp("B", relay=False, stored_on=True)],
    broker={"denied_login": 1},
    starts=3,
    clean_stops=1,
)


def broken(picture: Picture) -> list[int]:
    return [verdict.number for verdict in judge(picture) if not verdict.holds]


def test_a_sound_world_holds_all_eight() -> None:
    assert [verdict.number for verdict in judge(SOUND)] == list(range(1, 9))
    assert broken(SOUND) == []


@pytest.mark.parametrize(
    ("number", "wrong"),
    [
        (1, replace(SOUND, solarium=replace(SOUND.solarium, ledger_transactions=1))),
        (1, replace(SOUND, solarium=replace(SOUND.solarium, wrong_balances=1))),
        (1, replace(SOUND, solarium=replace(SOUND.solarium, unbalanced_currencies=("UGX",)))),
        (2, replace(SOUND, m2m=replace(SOUND.m2m, days_granted={"A": 10}))),
        (2, replace(SOUND, m2m=replace(SOUND.m2m, days_granted={}))),
        (2, replace(SOUND, m2m=replace(SOUND.m2m, days_granted={"A": 5, "C": 1}))),
        (3, replace(SOUND, lamps=[Lamp("A", relay=True, stored_on=False)])),
        (4, replace(SOUND, m2m=replace(SOUND.m2m, callbacks=Callbacks(2, 1, 0, 0)))),
        (4, replace(SOUND, solarium=replace(SOUND.solarium, dead_letters=1))),
        (5, replace(SOUND, m2m=replace(SOUND.m2m, records={"A": DeviceRecords(7, 1, 1, 9)}))),
        (6, replace(SOUND, m2m=replace(SOUND.m2m, unkeyed_records=1))),
    ],
)
def test_one_wrong_number_breaks_its_verdict_and_with_it_the_seventh(number: int, wrong: Picture) -> None:
    assert broken(wrong) == [number, 7]


def test_days_typed_from_the_sms_before_the_command_is_answered_are_sold_days() -> None:
    assert broken(replace(SOUND, m2m=replace(SOUND.m2m, days_granted={"A": 5, "B": 4}))) == []


async def test_what_is_under_way_is_waited_for() -> None:
    pictures = [
        replace(SOUND, m2m=replace(SOUND.m2m, records={"A": DeviceRecords(7, 1, 1, 9)})),
        replace(SOUND, m2m=replace(SOUND.m2m, commands={"replied": 2})),
    ]

    class World:
        async def picture(self) -> Picture:
            return pictures.pop(0)

    assert all(verdict.holds for verdict in await check(World()))
    assert pictures == []

"""The invariants of the project, checked on what the services, the sandboxes and the devices of a world say.

They hold at every moment but 4 and 5, which say "in the end": what is still under way is waited for, SETTLE_S
at most, and counted if it takes longer.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from backend.m2m.audit import Audit as M2mAudit
from backend.mega.service import Audit as MegaAudit
from backend.momo.service import Audit as MomoAudit
from backend.solarium.audit import Audit as SolariumAudit
from firmware.throttle import stranger_chance
from protocols.magicbox import wire

SETTLE_S = 1.0  # a clean stop has five seconds
LOOK_AGAIN_S = 0.1
STRANGER_LIMIT = 0.02


@dataclass(frozen=True, slots=True)
class Verdict:
    """One invariant: whether it holds, and what was counted."""

    number: int
    name: str
    holds: bool
    counted: str


@dataclass(frozen=True, slots=True)
class Lamp:
    """A device: its relay, whether what it has stored gives it light, and how many records it still holds."""

    serial: str
    relay: bool
    stored_on: bool
    pending: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """What everybody says, one after the other while the world goes on.

    So what a later step has must be asked first: days of replied orders, then days granted, then days sold.
    """

    replied_days: Mapping[str, int]  # by device
    solarium: SolariumAudit
    m2m: M2mAudit
    momo: MomoAudit
    mega: MegaAudit
    lamps: list[Lamp]
    broker: Mapping[str, int]
    starts: int
    clean_stops: int


class Witness(Protocol):
    """Who can be asked for a picture: a world."""

    async def picture(self) -> Picture:
        """Everything as it is now."""
        ...


async def check(witness: Witness) -> list[Verdict]:
    """All eight verdicts; waits for what is under way."""
    deadline = asyncio.get_running_loop().time() + SETTLE_S
    while True:
        picture = await witness.picture()
        if _settled(picture) or asyncio.get_running_loop().time() >= deadline:
            return judge(picture)
        await asyncio.sleep(LOOK_AGAIN_S)


def judge(picture: Picture) -> list[Verdict]:
    """The verdicts on one picture."""
    first = [
        _ledger(picture.solarium),
        _days(picture),
        _stored_first(picture.lamps),
        _commands(picture),
        _records(picture),
        _isolation(picture),
    ]
    return [*first, _restarts(picture, all(verdict.holds for verdict in first)), _strangers()]


def _settled(picture: Picture) -> bool:
    waiting = picture.m2m.commands.get("created", 0) + picture.m2m.commands.get("sent", 0)
    waiting += picture.m2m.callbacks.waiting + sum(lamp.pending for lamp in picture.lamps)
    return waiting == 0 and not any(records.missing for records in picture.m2m.records.values())


def _ledger(audit: SolariumAudit) -> Verdict:
    counted = (
        f"{audit.payments} payments, {audit.ledger_transactions} ledger transactions, "
        f"{len(audit.unbalanced_currencies)} unbalanced currencies, {audit.wrong_balances} wrong balances"
    )
    return Verdict(1, "one ledger transaction a payment, balanced", audit.sound, counted)


def _days(picture: Picture) -> Verdict:
    """Each device granted at least the days of its replied orders and at most what was sold to it."""
    sold_by_device, granted_by_device = picture.solarium.days_by_device, picture.m2m.days_granted
    wrong: list[str] = []
    for serial in sold_by_device.keys() | granted_by_device.keys():
        sold, _ = sold_by_device.get(serial, (0, 0))
        replied = picture.replied_days.get(serial, 0)
        if not replied <= granted_by_device.get(serial, 0) <= sold:
            wrong.append(serial)
    granted, sold = sum(granted_by_device.values()), picture.solarium.days_sold
    counted = f"{sold} sold, {granted} granted, {sold - granted} under way"
    if wrong:
        counted += f"; wrong at {', '.join(sorted(wrong)[:5])}"
    return Verdict(2, "days granted are days sold, none twice", not wrong, counted)


def _stored_first(lamps: list[Lamp]) -> Verdict:
    ahead = [lamp.serial for lamp in lamps if lamp.relay and not lamp.stored_on]
    lit = sum(lamp.relay for lamp in lamps)
    counted = f"{lit} of {len(lamps)} lamps lit, {len(ahead)} without a stored credit"
    return Verdict(3, "the stored state precedes the relay", not ahead, counted)


def _commands(picture: Picture) -> Verdict:
    """No reply without its callback, and nothing else given up. Dead callbacks are an end, as documented."""
    states, calls = picture.m2m.commands, picture.m2m.callbacks
    counted = ", ".join(f"{number} {state}" for state, number in states.items() if number) or "no commands"
    lost = picture.solarium.dead_letters + picture.momo.dead_letters
    counted += (
        f"; callbacks: {calls.owed} owed, {calls.delivered} delivered, {calls.waiting} waiting, "
        f"{calls.dead} dead; {lost} dead letters of payments and orders, {picture.mega.dead_letters} of SMS, "
        f"{len(picture.momo.mismatched)} payments for an operator"
    )
    holds = calls.owed == calls.delivered + calls.waiting + calls.dead and lost == 0
    return Verdict(4, "every command ends, every reply is told once", holds, counted)


def _records(picture: Picture) -> Verdict:
    records = picture.m2m.records.values()
    missing = sum(record.missing for record in records)
    counted = (
        f"{sum(record.stored for record in records)} stored once, "
        f"{sum(record.evicted for record in records)} evicted and known, {missing} missing"
    )
    return Verdict(5, "every uplink record is stored once or known to be evicted", missing == 0, counted)


def _isolation(picture: Picture) -> Verdict:
    """What was turned away is counted; what is stored must come from devices that have a key."""
    denied = sum(number for name, number in picture.broker.items() if name.startswith("denied"))
    refused = picture.m2m.counters.get("refused", 0)
    repeats = picture.m2m.counters.get("repeats", 0)
    foreign = picture.m2m.unkeyed_records
    counted = (
        f"{denied} logins, publishes and subscriptions denied, {refused} frames refused, {repeats} repeated, "
        f"{foreign} records without a key"
    )
    return Verdict(6, "no foreign topics, no forged or replayed frames", foreign == 0, counted)


def _restarts(picture: Picture, others_hold: bool) -> Verdict:
    killed = picture.starts - picture.clean_stops - 1
    counted = f"{picture.starts} starts of this data directory, {killed} of them after a kill"
    return Verdict(7, "killed and started again, all of this holds", others_hold, counted)


def _strangers() -> Verdict:
    chances = {
        name: stranger_chance(family)
        for family, name in sorted(wire.FAMILY_NAMES.items(), key=lambda item: item[0])
    }
    counted = ", ".join(f"{name} {chance:.2%}" for name, chance in chances.items()) + " (limit 2 %)"
    return Verdict(
        8, "a stranger at the keypad, in ten years", max(chances.values()) <= STRANGER_LIMIT, counted
    )

"""What goes back to a device in one frame: acknowledgements, the time, commands that wait. Pure.

A device has at most IN_FLIGHT commands at a time, oldest first; ingest.py and feed.py both ask `in_flight`.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise

from backend.m2m.commands import CREATED, record_of
from backend.m2m.rows import CommandRow, Device
from backend.m2m.uplink import Arrival
from protocols.magicbox import wire

IN_FLIGHT = 4  # a device remembers its answers to the last eight
MAX_COMMANDS_BODY = 512  # bytes of commands a frame: small enough for a board's heap
CLOCK_OFF_S = 30  # more, and the device is told the time


def in_flight(waiting: Sequence[CommandRow]) -> Sequence[CommandRow]:
    """The commands that may be under way at once, of those (oldest first) that a device has not answered."""
    return waiting[:IN_FLIGHT]


def due_commands(waiting: Sequence[CommandRow], *, sent_before_ms: int, booted: bool) -> list[CommandRow]:
    """Commands to send with an answer: new ones, those sent too long ago, and after a start all under way."""
    return [
        command
        for command in in_flight(waiting)
        if booted or command.state == CREATED or (command.sent_at_ms or 0) <= sent_before_ms
    ]


def fitting(device: Device, commands: Sequence[CommandRow]) -> list[tuple[CommandRow, wire.Record]]:
    """As many commands, with their records, as one frame takes."""
    size = 0
    chosen: list[tuple[CommandRow, wire.Record]] = []
    for command in commands:
        record = command_record(device, command)
        size += len(wire.encode_records([record]))
        if chosen and size > MAX_COMMANDS_BODY:
            break
        chosen.append((command, record))
    return chosen


def command_record(device: Device, command: CommandRow) -> wire.Record:
    """The record that carries a command down."""
    next_epoch = (device.up_epoch + 1) & 0xFFFF
    return record_of(command.name, command.argument, command.id, next_epoch=next_epoch)


def acknowledgements(numbers: Collection[int]) -> list[wire.Record]:
    """The fewest Ack ranges that cover exactly `numbers`."""
    ordered = sorted(numbers)
    if not ordered:
        return []
    starts = [ordered[0], *(after for before, after in pairwise(ordered) if after != before + 1)]
    ends = [*(before for before, after in pairwise(ordered) if after != before + 1), ordered[-1]]
    return [wire.Ack(first, last) for first, last in zip(starts, ends, strict=True)]


def wants_time(arrival: Arrival, now_s: int) -> bool:
    """Whether the device must hear the time: it started, or its newest record shows a clock unset or off."""
    if arrival.over_http:
        return True  # checklist 57: a check-in without commands is answered with the time
    if not arrival.fresh or not arrival.records:
        return False
    newest = max(arrival.records, key=lambda entry: entry.record)
    return arrival.booted or abs(newest.at - now_s) > CLOCK_OFF_S

"""What goes back to a device in one frame: acknowledgements, the time, commands that wait. Pure.

A device has at most IN_FLIGHT commands at a time, oldest first, and beside them one update, whose answer
takes minutes: it comes when the new version has checked in, or has failed. One of the places is for tokens:
what a firmware does not know it never answers, and light must not wait behind it. ingest.py and feed.py both
ask `in_flight`.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise

from backend.m2m import lines
from backend.m2m.commands import CREATED
from backend.m2m.details import record_of
from backend.m2m.rows import CommandRow, Device
from backend.m2m.uplink import Arrival
from protocols.magicbox import wire

IN_FLIGHT = 4  # a device remembers its answers to the last eight
BESIDES_TOKENS = 3  # of them
# A second update would be rejected; a second SYNCIV of one frame would name an epoch that is no longer new.
ONE_AT_A_TIME = ("update", "synciv")
UPDATE_RESEND_MS = 300_000  # a download takes minutes; the device is silent meanwhile and needs no reminder
MAX_EPOCH = 0xFFFF  # never wraps: at the last one a SYNCIV is answered `rejected`
MAX_COMMANDS_BODY = 512  # bytes of commands a frame: small enough for a board's heap
CLOCK_OFF_S = 30  # more, and the device is told the time


def in_flight(waiting: Sequence[CommandRow], now_ms: int) -> list[CommandRow]:
    """The commands that may be under way at once, of those (oldest first) that a device has not answered.

    One whose time is over goes no more; lifecycle.py ends it.
    """
    chosen: list[CommandRow] = []
    alone: set[str] = set()
    places, besides_tokens = IN_FLIGHT, BESIDES_TOKENS
    for command in waiting:
        if command.name in alone or command.expires_at_ms <= now_ms:
            continue
        if command.name != "update":
            is_token = command.name == "unlock_token"
            if places == 0 or (besides_tokens == 0 and not is_token):
                continue
            places -= 1
            besides_tokens -= not is_token
        if command.name in ONE_AT_A_TIME:
            alone.add(command.name)
        chosen.append(command)
    return chosen


def due_commands(
    waiting: Sequence[CommandRow], *, now_ms: int, resend_after_ms: int, arrival: Arrival
) -> list[CommandRow]:
    """Commands to send with the answer to `arrival`: new ones, and those that were sent too long ago.

    After a start all that are under way; in a new epoch too, but for the SYNCIV that the device has done.
    """

    def is_due(command: CommandRow) -> bool:
        if arrival.booted or (arrival.moved and command.name != "synciv"):
            return True
        after_ms = max(resend_after_ms, UPDATE_RESEND_MS) if command.name == "update" else resend_after_ms
        return command.state == CREATED or (command.sent_at_ms or 0) <= now_ms - after_ms

    return [command for command in in_flight(waiting, now_ms) if is_due(command)]


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


def lines_of(device: Device, commands: Sequence[CommandRow]) -> list[tuple[CommandRow, str]]:
    """The commands that can be said in text lines, with their lines.

    A SYNCIV opens the next epoch as in a frame (uplink.py): who reads lines may seal frames too.
    """
    chosen: list[tuple[CommandRow, str]] = []
    for command in commands:
        line = lines.of(command)
        if line is None:
            continue
        if command.name == "synciv":
            device.offered_epoch = max(device.offered_epoch, next_epoch(device))
        chosen.append((command, line))
    return chosen


def next_epoch(device: Device) -> int:
    """The epoch that a SYNCIV names now."""
    return min(device.up_epoch + 1, MAX_EPOCH)


def command_record(device: Device, command: CommandRow) -> wire.Record:
    """The record that carries a command down."""
    return record_of(
        command.name,
        command.argument,
        command.id,
        next_epoch=next_epoch(device),
        token_count=_count(device, command),
    )


def _count(device: Device, command: CommandRow) -> int:
    """Of a SYNC: what the device has told; of one that has forgotten, what it was given, if that is more."""
    is_given = device.state == wire.STATE_TAMPERED and command.argument
    return max(device.token_count, int(command.argument)) if is_given else device.token_count


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

"""Frames from a device: stored once, acknowledged again, answered, told on (invariants 5 and 6)."""

import asyncio
import json
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, update

from backend.kit.database import Database
from backend.kit.errors import BadRequest, Conflict
from backend.m2m.service import M2mService
from protocols.magicbox import seal, wire
from simulator.clock import ManualClock

SERIAL = "SCBLNX/A/BT/240300126005"
PASSWORD = "device-password"
LINK_KEY = bytes(range(16))
NOW_S = 1_764_583_800
NOW = "2025-12-01T10:10:00Z"


async def take(service, device, *records, frame: bytes | None = None):
    """Ingest one frame; (answer, the records of its down frame)."""
    (answer,) = await service.ingest([(device.serial, frame or device.frame(*records))])
    assert answer.refused is None
    return answer, [record for down in answer.down for record in device.read(down)]


async def test_status_becomes_the_ops_document(service: M2mService, device) -> None:
    answer, down = await take(service, device, device.status(at=NOW_S - 60))
    assert down == [wire.Ack(1, 1), wire.Time(NOW_S)]
    (event,) = answer.events
    assert (event.serial, event.market, event.kind) == (SERIAL, "UG", "status")
    assert list(json.loads(event.payload).items()) == [
        ("serial", SERIAL),
        ("market", "UG"),
        ("at", "2025-12-01T10:09:00Z"),
        ("online", False),
        ("credit_s", 86_400),
        ("relay", 1),
        ("state", "active"),
        ("battery_mv", 3300),
        ("panel_mv", 6100),
        ("load_ma", 250),
        ("temperature_c", -5.5),
        ("token_count", 3),
        ("firmware", "1.0.0"),
    ]


async def test_status_without_limit_and_without_clock(service: M2mService, device) -> None:
    status = device.status(at=0, credit_s=0xFFFFFFFF, state=wire.STATE_PAYG_DISABLED)
    answer, down = await take(service, device, status)
    document = json.loads(answer.events[0].payload)
    assert (document["at"], document["credit_s"], document["state"]) == (NOW, None, "payg_disabled")
    assert wire.Time(NOW_S) in down


async def test_the_time_is_sent_when_it_is_needed(service: M2mService, device) -> None:
    for at, expected in ((NOW_S, False), (NOW_S - 30, False), (NOW_S + 31, True), (0, True)):
        _, down = await take(service, device, device.status(at=at))
        assert (wire.Time(NOW_S) in down) is expected
    boot = wire.Boot(device.next_number(), NOW_S, 1, 0, 0, b"\x01\x00\x00")
    assert wire.Time(NOW_S) in (await take(service, device, boot))[1]


async def test_other_events(service: M2mService, device) -> None:
    number = device.next_number
    answer, down = await take(
        service,
        device,
        wire.Boot(number(), NOW_S, 77, 1, wire.FAMILY_MOTO, b"\x01\x02\x03"),
        wire.TokenEvent(number(), NOW_S, 1, 0, wire.TOKEN_COMMAND_UNLOCK_RELATIVE, 30, 4, 2_592_000),
        wire.Alarm(number(), NOW_S, 2, 9),
        wire.Log(number(), NOW_S, 3, b"entry 123 456 789 refused \xff\x00"),
        wire.Gap(number(), NOW_S, 100, 120, 0),
    )
    assert down[0] == wire.Ack(1, 5)
    base = {"serial": SERIAL, "market": "UG", "at": NOW}
    assert [(event.kind, json.loads(event.payload)) for event in answer.events] == [
        (
            "event",
            {"type": "boot", **base, "boot_id": 77, "reset_cause": 1, "family": "moto", "firmware": "1.2.3"},
        ),
        (
            "event",
            {
                "type": "token",
                **base,
                "source": "command",
                "result": "accepted",
                "command": "unlock_relative",
                "payload": 30,
                "token_count": 4,
                "credit_s": 2_592_000,
            },
        ),
        ("alarm", {**base, "alarm": 2, "value": 9, "alarm_name": "keypad_closed"}),
        (
            "event",
            {"type": "log", **base, "level": 3, "text": "entry *** refused \ufffd", "level_name": "error"},
        ),
        ("event", {"type": "gap", **base, "first": 100, "last": 120, "reason": 0, "reason_name": "evicted"}),
    ]


async def test_numbers_of_later_versions_are_their_own_names(service: M2mService, device) -> None:
    answer, _ = await take(
        service,
        device,
        wire.Alarm(1, NOW_S, 99, 0),
        wire.Log(2, NOW_S, 98, b""),
        wire.Gap(3, NOW_S, 1, 1, 97),
    )
    documents = [json.loads(event.payload) for event in answer.events]
    names = ("alarm_name", "level_name", "reason_name")
    assert [document[name] for document, name in zip(documents, names, strict=True)] == ["99", "98", "97"]


async def test_an_older_status_does_not_replace_a_newer_one(service: M2mService, device) -> None:
    old, new = device.status(battery_mv=1), device.status(battery_mv=2)
    await take(service, device, new)
    answer, down = await take(service, device, old)
    assert answer.events == ()
    assert down[0] == wire.Ack(1, 1)
    (event,) = await service.report_state(SERIAL, True, 1)
    assert json.loads(event.payload)["battery_mv"] == 2


async def test_repeats_are_acknowledged_and_stored_once(service: M2mService, device) -> None:
    frame = device.frame(device.status(), device.status())
    first, _ = await take(service, device, frame=frame)
    again, down = await take(service, device, frame=frame)
    assert (len(first.events), again.events, down) == (2, (), [wire.Ack(1, 2)])
    retransmitted, down = await take(service, device, *device.unacknowledged.values(), device.status())
    assert len(retransmitted.events) == 1
    assert down[0] == wire.Ack(1, 3)
    audit = await service.audit()
    assert (audit.records[SERIAL].stored, audit.records[SERIAL].missing) == (3, 0)
    assert audit.counters == {"accepted": 2, "repeats": 1, "refused": 0, "stored": 3, "duplicates": 4}


async def test_repeats_within_one_batch(service: M2mService, device) -> None:
    status = device.status()
    frames = [device.frame(status), device.frame(status, device.status())]
    answers = await service.ingest([(SERIAL, frames[0]), (SERIAL, frames[0]), (SERIAL, frames[1])])
    assert [len(answer.events) for answer in answers] == [1, 0, 1]
    assert [device.read(answer.down[0])[0] for answer in answers] == [
        wire.Ack(1, 1),
        wire.Ack(1, 1),
        wire.Ack(1, 2),
    ]
    assert len(set(device.down_sequences)) == 3


async def test_too_old_a_sequence_changes_nothing(service: M2mService, device) -> None:
    stored, unheard = device.status(), device.status()
    late = device.frame(stored, unheard)
    await take(service, device, stored)
    for _ in range(64):
        await take(service, device, device.status())
    answer, down = await take(service, device, frame=late)
    assert (answer.events, down) == ((), [wire.Ack(1, 1)])
    assert (await service.audit()).records[SERIAL].missing == 1


def damaged(frame: bytes, position: int) -> bytes:
    return frame[:position] + bytes([frame[position] ^ 1]) + frame[position + 1 :]


async def test_bad_frames_are_refused_and_change_nothing(
    service: M2mService, device, make_device: Callable
) -> None:
    good = device.frame(device.status())
    other = make_device("OTHER", bytes(range(1, 17)))
    bad = {
        "truncated": good[:5],
        "bad_magic": b"XX" + good[2:],
        "bad_version": good[:2] + b"\x09" + good[3:],
        "bad_mac": damaged(good, 20),
        "bad_direction": seal.seal(device.down, 0, 99, b"", False),
        "bad_length": seal.seal(device.up, 0, 98, b"\x02\x00\x01\x00", False),
        "unknown_epoch": seal.seal(device.up, 1, 0, b"", False),
        "too_large": good + bytes(4096),
    }
    answers = await service.ingest([(SERIAL, frame) for frame in bad.values()])
    assert [answer.refused for answer in answers] == list(bad)
    assert all(not answer.down and not answer.events for answer in answers)
    foreign = other.frame(other.status())
    refusals = await service.ingest(
        [(SERIAL, foreign), ("OTHER", foreign), ("nul\x00", foreign), ("", foreign)]
    )
    assert [answer.refused for answer in refusals] == ["bad_mac", *["unknown_device"] * 3]
    audit = await service.audit()
    assert (audit.records, audit.counters["refused"]) == ({}, len(bad) + 4)
    assert (await take(service, device, frame=good))[0].events


async def test_a_bad_frame_does_not_spoil_its_batch(service: M2mService, device) -> None:
    frames = [device.frame(device.status()), b"junk", device.frame(device.status())]
    answers = await service.ingest([(SERIAL, frame) for frame in frames])
    assert [answer.refused for answer in answers] == [None, "truncated", None]


async def test_records_of_later_versions_are_kept_and_acknowledged(service: M2mService, device) -> None:
    future = wire.Unknown(99, (1).to_bytes(4, "big") + bytes(4) + b"new")
    _, down = await take(service, device, future, wire.Unknown(98, b"short"), wire.Ack(5, 6))
    assert down[0] == wire.Ack(1, 1)
    assert (await service.audit()).records[SERIAL].stored == 1


async def test_frames_without_encryption_pass(service: M2mService, device) -> None:
    (answer,) = await service.ingest([(SERIAL, device.frame(device.status(), encrypted=False))])
    assert answer.refused is None


async def test_gaps_account_for_what_is_missing(service: M2mService, device) -> None:
    for _ in range(10):
        device.status()
    kept = [device.unacknowledged[number] for number in (1, 4, 9)]
    await take(service, device, *kept, wire.Gap(device.next_number(), 0, 2, 4, 0))
    await take(service, device, wire.Gap(device.next_number(), 0, 3, 7, 1))
    records = (await service.audit()).records[SERIAL]
    # stored 1 4 9 11 12; gaps 2-7 without 4; 8 and 10 unknown
    assert (records.stored, records.evicted, records.missing, records.highest) == (5, 5, 2, 12)


async def test_state(service: M2mService, device) -> None:
    async def report(*, online: bool, boot_id: int) -> bool | None:
        events = await service.report_state(SERIAL, online, boot_id)
        return json.loads(events[0].payload)["online"] if events else None

    assert await report(online=True, boot_id=1) is True
    assert await report(online=True, boot_id=2) is True
    assert await report(online=False, boot_id=1) is None
    answer, _ = await take(service, device, device.status())
    assert json.loads(answer.events[0].payload)["online"] is True
    assert await report(online=False, boot_id=2) is False
    assert await service.report_state("nobody", True, 1) == []
    assert await service.report_state("nul\x00", True, 1) == []


async def test_state_before_the_first_status(service: M2mService) -> None:
    (event,) = await service.report_state(SERIAL, True, 1)
    document = json.loads(event.payload)
    assert document.pop("online") is True
    assert {name for name, value in document.items() if value is None} == set(document) - {
        *("serial", "market", "at")
    }


async def test_register_is_idempotent_and_completes_auto_created_devices(
    service: M2mService, make_device
) -> None:
    values = {"serial": "AUTO", "market": "RW", "link_key_hex": "ab" * 16, "password": "p"}
    await service.create(identifier="AUTO", name="sync", details={}, callback_url=None, reference="r")
    assert await service.feed.lease(limit=10, wait_s=0) == []
    for _ in range(2):
        await service.register(**values)
    for changes in ({"market": "UG"}, {"link_key_hex": "cd" * 16}, {"password": "q"}):
        with pytest.raises(Conflict):
            await service.register(**values | changes)
    for changes in ({"link_key_hex": "ab"}, {"link_key_hex": "zz"}, {"serial": ""}, {"serial": "x" * 201}):
        with pytest.raises(BadRequest):
            await service.register(**values | changes)
    auto = make_device("AUTO", bytes.fromhex("ab" * 16))
    _, down = await take(service, auto, auto.status(at=NOW_S))
    assert down == [wire.Ack(1, 1), wire.Sync(1, 3)]


async def test_keys_are_sealed_at_rest(service: M2mService, database: Database) -> None:
    def stored(connection: Connection) -> tuple[bytes, str]:
        row = connection.exec_driver_sql("SELECT link_key, password_fingerprint FROM devices").one()
        return row[0], row[1]

    link_key, fingerprint = await database.read(stored)
    assert bytes(range(16)) not in link_key
    assert PASSWORD not in fingerprint


async def test_many_devices_at_once(service: M2mService, make_device, clock: ManualClock) -> None:
    """More devices in a batch than one statement names, several frames each, in concurrent calls."""
    devices = [make_device(f"D{index}", bytes([index % 256, index // 256]) * 8) for index in range(450)]
    for device in devices:
        await service.register(
            serial=device.serial,
            market="UG",
            link_key_hex=(bytes([int(device.serial[1:]) % 256, int(device.serial[1:]) // 256]) * 8).hex(),
            password=device.serial,
        )
    frames = [(device.serial, device.frame(device.status(at=NOW_S))) for device in devices for _ in range(2)]
    answers = await asyncio.gather(*(service.ingest(frames[start : start + 300]) for start in (0, 300, 600)))
    assert [answer.refused for part in answers for answer in part] == [None] * 900
    assert sum(entry.stored for entry in (await service.audit()).records.values()) == 900


async def test_a_key_that_does_not_open_stops_its_own_device_only(
    service: M2mService, database: Database, device, make_device
) -> None:
    other = make_device("B", LINK_KEY)
    await service.register(serial="B", market="UG", link_key_hex=LINK_KEY.hex(), password="p")
    for serial in (SERIAL, "B"):
        await service.create(
            identifier=serial, name="sync", details={}, callback_url=None, reference=f"of {serial}"
        )
    broken = update(service._store.devices).where(service._store.devices.c.serial == "B")
    await database.write(lambda connection: connection.execute(broken.values(link_key=b"x" * 44)))
    items = await service.feed.lease(limit=10, wait_s=0)
    assert [item.serial for item in items] == [SERIAL]
    waiting = await database.read(lambda c: service._store.outbox_keys(c, "down", range(10)))
    assert len(waiting) == 2, "the row of the other one stays"
    answers = await service.ingest(
        [(SERIAL, device.frame(device.status())), ("B", other.frame(other.status()))]
    )
    assert [answer.refused for answer in answers] == [None, "key_unusable"]
    assert answers[0].stored == 1


async def test_states_that_come_together_are_decided_in_order(service: M2mService, device) -> None:
    await service.ingest([(SERIAL, device.frame(device.status()))])
    states = [(True, 1), (True, 2), (False, 1), (False, 2)]
    answers = await asyncio.gather(*(service.report_state(SERIAL, *state) for state in states))
    assert [[json.loads(event.payload)["online"] for event in events] for events in answers] == [
        [True],
        [True],
        [],
        [False],
    ]
    (event,) = answers[-1]
    assert json.loads(event.payload)["battery_mv"] == 3300

"""Check-ins in MagicBox text lines (resolutions 14, 16; checklist 53, 56, 57, 59)."""

import base64
import json

import pytest
from aiohttp.test_utils import TestClient
from hypothesis import given
from hypothesis import strategies as st

from backend.kit.errors import BadRequest
from backend.m2m import lines
from backend.m2m.lifecycle_store import Viewer
from backend.m2m.lines import Result
from backend.m2m.service import M2mService
from protocols.magicbox import text, wire
from simulator.clock import ManualClock

SERIAL = "SCBLNX/A/BT/240300126005"
LOGIN = base64.b64encode(b"SCBLNX%2FA%2FBT%2F240300126005:device-password").decode()
HEADERS = {"Authorization": f"Basic {LOGIN}", "Content-Type": "text/plain"}
NOW_S = 1_764_583_800
TIME = f"TIME: {NOW_S}"
STATUS = (
    "STATUS: 1 1764583790 battery_mv=3300 relay=1 state=active token_count=3 credit_s=86400 firmware=1.2.3"
)


async def check_in(http: TestClient, *said: str) -> list[str]:
    async with http.post("/v1/log", data="\n".join(said).encode(), headers=HEADERS) as answer:
        assert (answer.status, answer.content_type) == (200, "text/plain")
        return (await answer.text()).splitlines()


async def create(service: M2mService, name: str, reference: str, **details: str) -> None:
    await service.create(
        identifier=SERIAL, name=name, details=details, callback_url=None, reference=reference
    )


async def documents(service: M2mService) -> list[tuple[str, dict[str, object]]]:
    items = await service.feed.lease(limit=50, wait_s=0)
    await service.feed.confirm([item.id for item in items])
    return [(item.channel, json.loads(item.payload)) for item in items if item.channel != "down"]


async def test_checklist_56_lines_are_parsed_stored_and_published(
    http: TestClient, service: M2mService
) -> None:
    said = [
        STATUS,
        "LOG: 2 1764583791 warning panel shaded",
        "ALARM: 3 1764583792 kind=low_credit value=3600",
        "BOOT: 4 0 boot_id=9 family=openpaygo firmware=1.2.3",
        "TOKEN_EVENT: 5 0 source=keypad result=accepted command=add_time payload=30 token_count=4",
        "GAP: 6 0 first=7 last=9 reason=evicted",
    ]
    assert await check_in(http, *said) == [TIME]
    published = await documents(service)
    assert [kind for kind, _ in published] == ["status", "event", "alarm", "event", "event", "event"]
    status, log, alarm, boot, token, gap = (document for _, document in published)
    assert (status["battery_mv"], status["credit_s"], status["firmware"]) == (3300, 86_400, "1.2.3")
    assert (log["text"], log["level_name"]) == ("panel shaded", "warning")
    assert (alarm["alarm_name"], boot["family"], token["payload"], gap["last"]) == (
        *("low_credit", "openpaygo"),
        *(30, 9),
    )
    records = (await service.audit()).records[SERIAL]
    assert (records.lines, records.stored, records.missing) == (6, 0, 0)


async def test_repeated_lines_are_acknowledged_and_change_nothing(
    http: TestClient, service: M2mService
) -> None:
    for _ in range(2):
        assert await check_in(http, STATUS) == [TIME]
    assert len(await documents(service)) == 1
    assert (await service.audit()).counters == {
        "accepted": 2,
        "repeats": 0,
        "refused": 0,
        "stored": 1,
        "duplicates": 1,
    }


async def test_checklist_57_the_time_alone_or_with_the_commands_that_wait(
    http: TestClient, service: M2mService, clock: ManualClock
) -> None:
    assert await check_in(http) == [TIME]
    for name, details in (
        ("unlock_token", {"unlock_code": "123456789"}),
        ("useracct", {"operation": "pin 1234"}),
        ("config", {"key": "links", "value": ""}),
        ("synciv", {}),
    ):
        await create(service, name, name, **details)
    commands = ["TOKEN: 123456789", "USERACCT: pin 1234", "CONFIG: links", "SYNCIV"]
    assert await check_in(http) == [TIME, *commands]
    assert await check_in(http) == [TIME]  # they are under way
    clock.advance(31)
    assert await check_in(http) == [f"TIME: {NOW_S + 31}", *commands]
    assert (await service.audit()).commands == {"sent": 4}


async def test_checklist_59_results_arrive_in_a_later_check_in(http: TestClient, service: M2mService) -> None:
    await create(service, "unlock_token", "a", unlock_code="123456789")
    for reference in ("b", "c"):
        await create(service, "sync", reference)
    assert await check_in(http) == [TIME, "TOKEN: 123456789", "SYNC", "SYNC"]
    results = [
        "RESULT: 1 0 rejected=already_used TOKEN: 123456789",
        "RESULT: 2 0 ok SYNC",
        "RESULT: 3 0 ok RESET",
    ]
    for _ in range(2):  # the answer to the first is lost: a repeated line answers no other command
        await check_in(http, *results)
    assert (await service.audit()).commands == {"replied": 2, "sent": 1}
    await check_in(http, "RESULT: 4 0 ok SYNC")
    assert (await service.audit()).commands == {"replied": 3}
    page = await service.lifecycle.page(
        Viewer("tester", ()), serial=SERIAL, state=None, before=None, limit=10
    )
    assert [view.device_response for view in page.commands] == ["OK", "OK", "already used"]


async def test_what_only_a_frame_can_carry_waits_for_one(http: TestClient, service: M2mService) -> None:
    await create(service, "reset", "r", kind="factory", signature="0123456789ABCDEF")
    assert await check_in(http) == [TIME]
    assert (await service.audit()).commands == {"created": 1}


async def test_a_device_may_speak_both(http: TestClient, service: M2mService, device) -> None:
    """A SYNCIV in lines opens the next epoch for its frames."""
    await create(service, "synciv", "s")
    assert await check_in(http) == [TIME, "SYNCIV"]
    device.epoch = 1
    (answer,) = await service.ingest([(SERIAL, device.frame(device.status()))])
    assert answer.refused is None


async def test_lines_never_stand_for_records_of_frames(
    http: TestClient, service: M2mService, device, clock: ManualClock
) -> None:
    """Who has a device's login but not its key can neither hide what it seals nor move its counter."""
    forged = ["STATUS: 2 0 token_count=4000000000", "GAP: 3 0 first=1 last=9", "LOG: 4000000000 0 info x"]
    assert await check_in(http, *forged) == [TIME]
    device.keep(wire.Log(device.next_number(), 0, wire.LOG_LEVEL_INFO, b"one"))
    device.status(battery_mv=3210)
    (answer,) = await service.ingest([(SERIAL, device.frame())])
    assert (answer.stored, [json.loads(event.payload).get("battery_mv") for event in answer.events]) == (
        2,
        [None, 3210],
    )
    records = (await service.audit()).records[SERIAL]
    assert (records.stored, records.evicted, records.missing, records.lines) == (2, 0, 0, 3)
    stored = await service._database.read(lambda connection: service._store.device(connection, SERIAL))
    assert stored is not None
    assert stored.token_count == 3
    clock.advance(100 * 86_400)
    device.status()
    await service.ingest([(SERIAL, device.frame())])
    for _ in range(2):
        await service.housekeeping.turn()
    records = (await service.audit()).records[SERIAL]
    assert (records.stored, records.purged, records.missing, records.lines) == (1, 2, 0, 2)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"\xff", "The lines are no UTF-8"),
        (b"LOG: 1 0 info x\n" * 101, "A check-in has at most 100 lines"),
        (b"hello", "Line 1 is not understood: a line begins with one of BOOT, STATUS"),
        (b"\nLOG 1 0 info x", "Line 2 is not understood: a line begins with"),
        (b"STATUS: x 0", "the record's number is no number"),
        (b"STATUS: 0 0", "records are numbered from 1"),
        (b"STATUS: 1 now", "the time is no number"),
        (b"STATUS: 1 0 volts=3", "its members are uptime_s, credit_s"),
        (b"STATUS: 1 0 state=happy", "state is no number"),
        (b"STATUS: 1 0 battery_mv=70000", "a number is out of its range"),
        (b"STATUS: 1 0 battery_mv=" + b"1" * 40, "battery_mv is no number"),
        (b"STATUS: 1 0 firmware=1.2", "firmware is three numbers"),
        (b"STATUS: 99999999999 0", "the record's number is no number"),
        (b"LOG: 1 0 loud x", "a level is one of debug, info"),
        (b"RESULT: 1 0 maybe SYNC", "a result is one of ok, rejected"),
        (b"RESULT: 1 0 ok DANCE", "unknown command"),
        ("STATUS: \u0661 0".encode(), "the record's number is no number"),
    ],
)
async def test_lines_that_are_none_change_nothing(
    http: TestClient, service: M2mService, body: bytes, error: str
) -> None:
    async with http.post("/v1/log", data=STATUS.encode() * (body == b"") + body, headers=HEADERS) as answer:
        assert answer.status == 400
        assert error in (await answer.json())["error"]
    assert (await service.audit()).records == {}


async def test_too_long_a_check_in(http: TestClient) -> None:
    async with http.post("/v1/log", data=b" " * (lines.MAX_BODY + 1), headers=HEADERS) as answer:
        assert (answer.status, await answer.json()) == (413, {"error": "Request too large"})


async def test_checklist_53_lines_need_a_login(http: TestClient) -> None:
    async with http.post("/v1/log", data=b"", headers={"Content-Type": "text/plain"}) as answer:
        assert (answer.status, await answer.json()) == (401, {"error": "Unauthorized"})


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_lines_or_a_bad_request(body: bytes) -> None:
    try:
        report = lines.parse(body)
    except BadRequest:
        return
    for said in report.said:
        wire.encode_records([said.to(1) if isinstance(said, Result) else said])


@given(
    verb=st.sampled_from(["BOOT", "STATUS", "TOKEN_EVENT", "ALARM", "GAP"]),
    numbers=st.lists(st.integers(0, 255), min_size=12, max_size=12),
)
def test_what_a_record_says_can_be_written_in_lines(verb: str, numbers: list[int]) -> None:
    make = lines._RECORDS[verb]
    names = [name for name in make._fields if name not in ("record", "at")]
    values = dict(zip(names, numbers, strict=False))
    written = " ".join(
        f"{name}={'.'.join([str(value)] * 3) if name == 'firmware' else value}"
        for name, value in values.items()
    )
    (said,) = lines.parse(f"{verb}: 7 8 {written}".encode()).said
    firmware = {"firmware": bytes([values["firmware"]] * 3)} if "firmware" in values else {}
    assert said == make(7, 8, **values | firmware)


@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(["SYNC", "TOKEN: 1"])))
def test_an_answer_is_made_of_commands(now_s: int, commands: list[str]) -> None:
    written = lines.answer(commands, now_s).decode()
    assert [text.render(*text.parse(line)) for line in written.splitlines()] == [f"TIME: {now_s}", *commands]

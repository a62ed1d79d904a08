"""The stored state: read back whole, by its owner only, and by the firmware before and after this one."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.hal.unix import blank_flash
from firmware.order import UpdateOrder
from firmware.results import MAX_DETAIL, RESULTS
from firmware.state import State, provision
from firmware.store import MAX_PAYLOAD, Ring, StoreError
from firmware.uplink import KEPT_BYTES
from protocols.magicbox import wire
from tests.firmware.rig import (
    DAY_S,
    Bench,
    moto_bench,
    moto_config,
    openpaygo_bench,
    openpaygo_config,
    opg_token,
)

HEAD_SIZE = 17


def _used_state() -> State:
    bench = openpaygo_bench(last_count=1)
    for count in (2, 4, 8):
        bench.enter(opg_token(3, count))
    bench.enter("111111111")
    bench.command(
        wire.Sync(4, 0),
        wire.Token(5, b"1"),
        wire.UserAcct(6, wire.USER_FIELD_NAME, b"Amina"),
        wire.Config(7, wire.CONFIG_KEY_KEEP_ALIVE_S, b"77"),
        wire.Update(8, 9, bytes(range(32)), b"firmware.img"),
        wire.SyncIv(9, 2),
    )
    bench.wait(1234)
    return bench.controller._core.state


def _parts(packed: bytes) -> list[tuple[int, bytes]]:
    parts: list[tuple[int, bytes]] = []
    offset = HEAD_SIZE
    while offset < len(packed):
        tag, length = struct.unpack_from(">BH", packed, offset)
        parts.append((tag, packed[offset + 3 : offset + 3 + length]))
        offset += 3 + length
    return parts


def _joined(head: bytes, parts: list[tuple[int, bytes]]) -> bytes:
    return head + b"".join(struct.pack(">BH", tag, len(data)) + data for tag, data in parts)


def _read(packed: bytes) -> State:
    state = State(openpaygo_config(), 0)
    state.unpack(packed)
    return state


def test_every_part_is_read_back() -> None:
    state = _used_state()
    again = _read(state.pack())
    uplink, channel = 6, 5  # what is reserved and not used is skipped
    first, second = dict(_parts(state.pack())), dict(_parts(again.pack()))
    assert {tag for tag in first if first[tag] != second[tag]} <= {uplink, channel}
    assert again.counters.recent == state.counters.recent
    assert (again.user.name, again.settings.keep_alive_s) == ("Amina", 77)
    order = again.order.pending
    assert isinstance(order, UpdateOrder)
    assert (order.command_id, order.size, order.sha256) == (8, 9, bytes(range(32)))
    assert order.file == "firmware.img"


def test_another_device_s_state_and_another_layout_are_refused() -> None:
    bench = moto_bench()
    with pytest.raises(StoreError, match="another secret"):
        Bench(openpaygo_config(), bench.flash)
    with pytest.raises(StoreError, match="provisioned already"):
        provision(moto_config(), Ring(bench.flash))
    packed = bench.controller._core.state.pack()
    with pytest.raises(StoreError, match="another version"):
        State(moto_config(), 0).unpack(b"\x01" + packed[1:])


def test_a_blank_store_is_a_tampered_device_s() -> None:
    bench = Bench(moto_config(), blank_flash())
    assert bench.controller.status == wire.STATE_TAMPERED
    bench.reboot()
    assert bench.controller.status == wire.STATE_TAMPERED


def test_the_fullest_state_fits_into_a_record() -> None:
    state = State(openpaygo_config(), 0)
    for number in range(200):
        state.uplink.keep(wire.CommandResult(number, 0, number, 0, b"x" * MAX_DETAIL))
    for number in range(2 * RESULTS):
        state.results.add(number, 0, b"x" * MAX_DETAIL)
    state.order.pending = UpdateOrder(1, 2, bytes(32), "f" * 64)
    state.user.set(wire.USER_FIELD_NAME, b"n" * 32)
    state.user.set(wire.USER_FIELD_LANGUAGE, b"sw")
    state.user.set(wire.USER_FIELD_PIN, b"123456")
    for key, value in ((1, b"604800"), (2, b"65535"), (3, b"mqtt,http"), (4, b"2592000")):
        assert state.settings.set(key, value)
    size = len(state.pack())
    assert size > KEPT_BYTES
    assert size <= MAX_PAYLOAD - 64  # room for what the next firmware has to say


@given(data=st.data())
def test_a_newer_firmware_s_state_is_read_by_this_one(data: st.DataObject) -> None:
    """Unknown parts are dropped, longer ones read by their beginning."""
    packed = _used_state().pack()
    expected = dict(_parts(_read(packed).pack()))
    parts = _parts(packed)
    fixed = {1, 2, 3, 5, 7, 11}
    newer = [(tag, part + data.draw(st.binary(max_size=9)) if tag in fixed else part) for tag, part in parts]
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(newer)))
        newer.insert(place, (data.draw(st.integers(100, 255)), data.draw(st.binary(max_size=40))))
    newer = data.draw(st.permutations(newer))
    assert dict(_parts(_read(_joined(packed[:HEAD_SIZE], newer)).pack())) == expected


@given(data=st.data())
def test_an_older_firmware_s_state_is_read_by_this_one(data: st.DataObject) -> None:
    """What is missing, or missing at the end of a part, is as on a new device."""
    packed = _used_state().pack()
    fresh = dict(_parts(State(openpaygo_config(), 0).pack()))
    kept = {tag: part for tag, part in _parts(packed) if data.draw(st.booleans())}
    state = _read(_joined(packed[:HEAD_SIZE], list(kept.items())))
    for tag, part in _parts(state.pack()):
        if tag not in kept:
            assert part == fresh[tag]
    counters = dict(_parts(packed))[1]
    cut = data.draw(st.integers(0, len(counters)))
    shorter = dict(_parts(_read(_joined(packed[:HEAD_SIZE], [(1, counters[:cut])])).pack()))
    assert shorter[1][:20] == (counters[:cut] + fresh[1][cut:])[:20]


def test_what_a_wiped_device_numbers_was_never_numbered_before() -> None:
    used = moto_bench()
    used.wait(30 * DAY_S)
    used.reports()
    before = used.sent
    bench = Bench(moto_config(), blank_flash())
    records = bench.reports()
    assert set(before).isdisjoint(bench.sent)
    numbers = [record.record for record in records if not isinstance(record, wire.Unknown)]
    assert min(numbers) >= 1 << 30
    assert bench.controller.boot_id > used.controller.boot_id
    assert not any(isinstance(record, wire.Gap) for record in records)
    other = Bench(moto_config(), blank_flash())
    other.reports()
    assert set(other.sent).isdisjoint(bench.sent)

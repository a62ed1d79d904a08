"""wire.py holds exactly what frames.py defines: construct reads what it writes, and writes what it reads."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.magicbox import frames, wire
from protocols.magicbox.grammar import ConstructError
from tests.protocols.records import (
    LAYOUTS,
    any_record,
    any_records,
    built_by_construct,
    by_construct,
    headers,
)

STATUS = wire.Status(7, 0, 60, 0xFFFFFFFF, 1, wire.STATE_ACTIVE, 3300, 17_000, 450, -45, 12, b"\x01\x02\x03")


@given(records=any_records)
def test_construct_reads_what_wire_writes(records):
    assert by_construct(wire.encode_records(records)) == records


@given(records=any_records)
def test_wire_reads_what_construct_writes(records):
    body = built_by_construct(records)
    assert wire.encode_records(records) == body
    decoded = wire.decode_records(body)
    assert decoded == records
    assert [type(record) for record in decoded] == [type(record) for record in records]


@given(header=headers, records=any_records, mac=st.binary(min_size=8, max_size=8))
def test_whole_frames(header, records, mac):
    fields = header._asdict()
    built = frames.HEADER.build(fields) + built_by_construct(records) + mac
    frame = wire.encode_header(header) + wire.encode_records(records) + mac
    assert frame == built
    assert wire.decode_header(frame) == header
    parsed = frames.HEADER.parse(frame)
    assert {name: parsed[name] for name in fields} == fields
    assert wire.decode_records(frame[wire.HEADER_SIZE : -wire.MAC_SIZE]) == records


@given(body=st.binary(max_size=80) | st.binary(max_size=80).map(b"MB\x01".__add__))
def test_arbitrary_bytes_raise_only_wire_error(body):
    with contextlib.suppress(wire.WireError):
        assert wire.encode_header(wire.decode_header(body)) == body[: wire.HEADER_SIZE]
    with contextlib.suppress(wire.WireError):
        assert wire.encode_records(wire.decode_records(body)) == body


NEAR_BODIES = st.tuples(any_records.map(wire.encode_records), st.integers(0, 300), st.integers(0, 255)).map(
    lambda args: args[0][: args[1]] + bytes([args[2]]) + args[0][args[1] + 1 :]
)


@given(body=st.binary(max_size=60) | NEAR_BODIES)
def test_wire_refuses_exactly_what_construct_refuses(body):
    try:
        expected = by_construct(body)
    except ConstructError:
        with pytest.raises(wire.WireError):
            wire.decode_records(body)
    else:
        assert wire.decode_records(body) == expected


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "truncated"),
        (b"MB\x01\x00\x00\x00\x00\x00\x00", "truncated"),
        (b"BM\x01\x00\x00\x00\x00\x00\x00\x00", "bad_magic"),
        (b"MB\x02\x00\x00\x00\x00\x00\x00\x00", "bad_version"),
    ],
)
def test_header_reasons(frame, reason):
    with pytest.raises(wire.WireError) as error:
        wire.decode_header(frame)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x81", "truncated"),
        (b"\x81\x00\x08\x00", "truncated"),
        (b"\x81\x00\x04\x00\x00\x00\x01", "bad_length"),
        (b"\x81\x00\x09" + bytes(9), "bad_length"),
        (b"\x83\x00\x03" + bytes(3), "bad_length"),
    ],
)
def test_record_reasons(body, reason):
    with pytest.raises(wire.WireError) as error:
        wire.decode_records(body)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"record": -1},
        {"record": 1 << 32},
        {"relay": 256},
        {"battery_mv": 1 << 16},
        {"temperature_dc": 0x8000},
        {"firmware": b"\x01\x02"},
        {"firmware": b"\x01\x02\x03\x04"},
        {"credit_s": None},
        {"credit_s": 1.5},
    ],
)
def test_values_out_of_range_are_not_cut_to_size(changes):
    with pytest.raises(wire.WireError) as error:
        wire.encode_records([STATUS._replace(**changes)])
    assert error.value.reason == "bad_value"


def test_a_record_has_at_most_65535_bytes():
    assert len(wire.encode_records([wire.Unknown(200, bytes(0xFFFF))])) == 3 + 0xFFFF
    with pytest.raises(wire.WireError):
        wire.encode_records([wire.Unknown(200, bytes(0x10000))])


def test_a_header_of_another_version_is_not_written():
    with pytest.raises(wire.WireError) as error:
        wire.encode_header(wire.Header(2, 0, 0, 0))
    assert error.value.reason == "bad_version"


def test_every_enumeration_has_names():
    assert wire.STATE_NAMES[wire.STATE_PAYG_DISABLED] == "payg_disabled"
    assert wire.COMMAND_RESULT_NAMES == {0: "ok", 1: "rejected", 2: "busy", 3: "unsupported"}
    assert wire.TOKEN_COMMAND_NAMES[wire.TOKEN_COMMAND_UNLOCK_ABSOLUTE] == "unlock_absolute"


@given(record=any_record)
def test_types_are_numbered(record):
    numbers = {layout.name: number for number, layout in LAYOUTS.items()}
    name = type(record).__name__
    assert wire.encode_records([record])[0] == (record.type if name == "Unknown" else numbers[name])

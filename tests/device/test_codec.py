"""Records and headers as bytes, and the text of commands: fixed vectors, and damaged bytes.

The hexadecimal is construct's (frames.py is the definition; tests/protocols/test_wire.py compares at length).
"""

from protocols.magicbox import text, wire
from tests.device.plain import from_hex, raises

SAMPLES = (
    (
        wire.Boot(record=1, at=0, boot_id=77, reset_cause=1, family=1, firmware=b"\x01\x02\x03"),
        "01001100000001000000000000004d0101010203",
    ),
    (
        wire.Status(
            record=2,
            at=1764584400,
            uptime_s=5,
            credit_s=4294967295,
            relay=1,
            state=2,
            battery_mv=3300,
            panel_mv=65535,
            load_ma=0,
            temperature_dc=-32768,
            token_count=9,
            firmware=b"\x00\x00\x01",
        ),
        "02002100000002692d6bd000000005ffffffff01020ce4ffff0000800000000009000001",
    ),
    (
        wire.TokenEvent(
            record=3, at=0, source=1, result=0, command=5, payload=30, token_count=12, credit_s=2592000
        ),
        "03001700000003000000000100050000001e0000000c00278d00",
    ),
    (
        wire.CommandResult(record=4294967295, at=0, command_id=8, result=0, detail=b"OK"),
        "04000fffffffff0000000000000008004f4b",
    ),
    (wire.Alarm(record=4, at=0, kind=1, value=4294967295), "05000d000000040000000001ffffffff"),
    (wire.Log(record=5, at=0, level=1, text=b"\xc3\xa9"), "06000b000000050000000001c3a9"),
    (wire.Gap(record=6, at=0, first=1, last=5, reason=0), "0700110000000600000000000000010000000500"),
    (wire.Ack(first=1, last=2), "8100080000000100000002"),
    (wire.Time(unix_s=1764584400), "820004692d6bd0"),
    (wire.Token(command_id=3, digits=b"126443881"), "83000d00000003313236343433383831"),
    (wire.Sync(command_id=4, token_count=7302), "8400080000000400001c86"),
    (wire.SyncIv(command_id=5, epoch=2), "850006000000050002"),
    (
        wire.Reset(command_id=6, kind=1, signature=b"\x00\x01\x02\x03\x04\x05\x06\x07"),
        "86000d00000006010001020304050607",
    ),
    (wire.UserAcct(command_id=7, field=1, text=b"Amina"), "87000a0000000701416d696e61"),
    (
        wire.Update(
            command_id=8,
            size=123456,
            sha256=b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f",
            file=b"app.mpy",
        ),
        "88002f000000080001e240000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f6170702e6d7079",
    ),
    (wire.Config(command_id=9, key=2, value=b""), "8900050000000902"),
    (wire.Unknown(type=200, body=b"later"), "c800056c61746572"),
)


def test_records_are_the_bytes_of_the_definition():
    for record, digits in SAMPLES:
        body = from_hex(digits)
        assert wire.encode_records([record]) == body
        assert wire.decode_records(body) == [record]


def test_a_body_of_many_records():
    records = [record for record, _ in SAMPLES]
    body = from_hex("".join([digits for _, digits in SAMPLES]))
    assert wire.encode_records(records) == body
    assert wire.decode_records(body) == records


def test_a_body_that_ends_early_is_refused_or_shorter():
    body = from_hex("".join([digits for _, digits in SAMPLES]))
    for length in range(len(body)):
        try:
            records = wire.decode_records(body[:length])
        except wire.WireError as error:
            assert error.reason in ("truncated", "bad_length")
        else:
            assert wire.encode_records(records) == body[:length]


def test_values_out_of_range_are_not_packed():
    fitting = [2, 0, 5, 1, 1, 2, 3300, 65_535, 0, -8, 9, b"123"]
    assert len(wire.encode_records([wire.Status(*fitting)])) == 36
    for place, value in ((0, 1 << 32), (0, -1), (4, 256), (9, -32_769), (9, 32_768), (2, 1 << 40)):
        broken = fitting[:place] + [value] + fitting[place + 1 :]
        assert raises(wire.WireError, wire.encode_records, [wire.Status(*broken)])


def test_headers():
    header = wire.Header(wire.VERSION, wire.FLAG_ENCRYPTED, 0xFFFF, 0xFFFFFFFF)
    assert wire.encode_header(header) == b"MB\x01\x01\xff\xff\xff\xff\xff\xff"
    assert wire.decode_header(wire.encode_header(header)) == header
    for frame in (b"", b"MB\x01", b"XB" + bytes(8), b"MB\x02" + bytes(7)):
        assert raises(wire.WireError, wire.decode_header, frame)


def test_the_text_of_commands():
    for line in ("TOKEN: 126443881", "SYNC", "TIME: 1764584400"):
        assert text.render(*text.parse(line)) == line
    assert raises(text.TextError, text.parse, "NO SUCH COMMAND")

"""The same modules on MicroPython with a capped heap give the same answers as on the host (board.py).

The host's answers are right by the other tests of this folder. siphash_viper.py runs only here.
"""

import json
import random
from pathlib import Path

import pytest

from protocols.magicbox import seal, wire
from protocols.tokens import openpaygo
from tests.micropython_runner import run
from tests.protocols import board

SERIALS = ["SCBLNX/A/BT/240300126005", "a b+c#d.e", "é%2F"]
KEY = bytes(range(16)).hex()

SAMPLE = wire.encode_records(
    [
        wire.Boot(1, 0, 77, 1, wire.FAMILY_OPENPAYGO, b"\x01\x02\x03"),
        wire.Status(2, 1_764_584_400, 5, 0xFFFFFFFF, 1, 2, 3300, 65_535, 0, -32_768, 9, b"\x00\x00\x01"),
        wire.TokenEvent(3, 0, 1, 0, 5, 30, 12, 2_592_000),
        wire.CommandResult(0xFFFFFFFF, 0, 8, 0, b"OK"),
        wire.Alarm(4, 0, 1, 0xFFFFFFFF),
        wire.Log(5, 0, 1, "é".encode()),
        wire.Gap(6, 0, 1, 5, 0),
        wire.Ack(1, 2),
        wire.Time(1_764_584_400),
        wire.Token(3, b"126443881"),
        wire.Sync(4, 0),
        wire.SyncIv(5, 2),
        wire.Reset(6, 1, bytes(8)),
        wire.UserAcct(7, 1, b"x"),
        wire.Update(8, 123_456, bytes(32), b"app.mpy"),
        wire.Config(9, 2, b""),
        wire.Unknown(200, b"later"),
    ]
)


def _mac_vectors(chance):
    for size in (0, 1, 20, 63, 64, 65, 200):
        for operation in ("hmac_sha1", "hmac_sha256"):
            yield operation, [chance.randbytes(size).hex(), chance.randbytes(2 * size).hex()]
    yield from (("equal", ["0102", other]) for other in ("0102", "0103", "01"))


def _moto_vectors(chance):
    probed = [(1, 10, 1), (0, 365, 2), (9, 100, 5), (1, 30, 11), (1, 30, 12)]
    refused = [(1, -1, 1), (1, 1 << 40, 1), (15, 1, 1), (1, 1, 1 << 32), (9, 29_803, 0)]
    for arguments in probed + refused:
        yield "moto.encode", ["00112233AABBCC", *arguments]
    for _ in range(20):
        yield (
            "moto.encode",
            [chance.randbytes(9).hex(), 1, chance.randrange(200_000), chance.randrange(2**32)],
        )
        yield "moto.split", [chance.randrange(10**12)]
    for encoding in (None, "*+0-9+#+pad3 space3", "*+0-9#", "numeric", "", "*+0-9+#+pad0"):
        yield "encoding.render", [42744349, encoding]


def _openpaygo_vectors(chance):
    for size in range(0, 24, 3):
        yield "siphash24", [chance.randbytes(16).hex(), chance.randbytes(size).hex()]
    for _ in range(15):
        for extended in (False, True):
            secret, starting_code = chance.randbytes(16).hex(), chance.randrange(10**9)
            value = chance.randrange(10**6 if extended else 996)
            yield "openpaygo.encode", [secret, starting_code, chance.randrange(1, 99), value, extended]
            number = chance.randrange(10**12 if extended else 10**9)
            yield "openpaygo.to_restricted", [number, extended]
            yield "openpaygo.value_of", [number, starting_code, extended]
            yield "openpaygo.format_token", [chance.randrange(10**6), extended]
        yield "openpaygo.derive", [secret]
    yield from (
        ("openpaygo.from_restricted", [text, False]) for text in ("314114432231134", "4" * 15, "1" * 9)
    )
    yield from (("openpaygo.next_count", [last, "set_time"]) for last in (1, 2))
    yield from (("openpaygo.encode", [KEY, 0, count, value]) for count, value in ((0, 1), (1, 996), (1, -1)))


def _frame_vectors(chance):
    yield "wire.decode_body", [SAMPLE.hex()]
    for _ in range(30):
        broken = bytearray(SAMPLE)
        broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        yield "wire.decode_body", [bytes(broken[: chance.randrange(1, len(broken))]).hex()]
    for frame in (b"MB\x01\x03\x00\x01\xff\xff\xff\xff", b"MB\x01", b"XB" + bytes(8), b"MB\x02" + bytes(7)):
        yield "wire.header", [frame.hex()]
    fitting = [1, 2, 3, 4, 1, 0, 5, 6, 7, -8, 9]
    for place, value in ((0, 1 << 32), (4, 256), (9, -32_769), (9, 32_768), (1, -1), (0, 7)):
        yield "wire.status", [[*fitting[:place], value, *fitting[place + 1 :]]]


def _seal_vectors(chance):
    for direction in (seal.UP, seal.DOWN):
        for size in (0, 1, 15, 16, 17, 100):
            for encrypted in (False, True):
                place = chance.randrange(2**16), chance.randrange(2**32)
                body = chance.randbytes(size)
                yield "seal", [KEY, direction, place, body.hex(), encrypted]
                frame = seal.seal(seal.LinkKeys(bytes.fromhex(KEY), direction), *place, body, encrypted)
                yield "unseal", [KEY, direction, frame.hex()]
                yield "unseal", [KEY, 1 - direction, frame.hex()]
                yield "unseal", [KEY, direction, frame[:-1].hex() + "00"]
                yield "unseal", [KEY, direction, frame[: chance.randrange(len(frame))].hex()]
    yield "window", [[chance.randrange(200) for _ in range(150)]]
    yield "window", [[5, 2**32 - 1, 5, 2**32 - 64, 2**32 - 65]]


def _name_vectors():
    for serial in SERIALS:
        yield from ((f"topics.{leaf}", [serial]) for leaf in ("up", "down", "state"))
        yield "topics.ops", ["UG", serial, "status"]
        yield "topics.parse", [board.answer("topics.ops", ["UG", serial, "event"])]
    yield from (("topics.parse", [topic]) for topic in ("payg/v1/dev/%FF/up", "payg/v1/dev/%2f/up", "x"))
    yield from (("text.parse", [line]) for line in ("TOKEN: 12", "SYNC", "SYNC: 1", "NO", "USERACCT: a b"))
    yield "text.render", ["TIME", "1764584400"]


def _vectors():
    chance = random.Random(2)
    makers = (_mac_vectors, _moto_vectors, _openpaygo_vectors, _frame_vectors, _seal_vectors)
    yield from (list(vector) for maker in makers for vector in maker(chance))
    yield from (list(vector) for vector in _name_vectors())


def test_the_board_answers_as_the_host(tmp_path):
    vectors = list(_vectors())
    path = tmp_path / "vectors.json"
    path.write_text("".join(json.dumps(vector) + "\n" for vector in vectors))
    done = run(Path(board.__file__), [str(path)])
    assert done.returncode == 0, done.stderr or done.stdout
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    expected = [json.loads(json.dumps(board.answer(*vector))) for vector in vectors]
    wrong = [row for row in zip(vectors, answers, expected, strict=True) if row[1] != row[2]]
    assert wrong == []
    assert len({operation for operation, _ in vectors}) == len(board.OPERATIONS)


def _output(script):
    done = run(script)
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout.splitlines()


def test_the_board_walks_in_viper():
    lines = _output(
        "from protocols.tokens import openpaygo, siphash, siphash_viper\n"
        "print(openpaygo._walk is siphash_viper.walk)\n"
        "print(siphash_viper.walk is not siphash.walk)\n"
    )
    assert lines == ["True", "True"]


def test_viper_is_the_plain_chain():
    lines = _output(
        "from protocols.tokens import siphash as plain, siphash_viper as viper\n"
        "key = bytes([255 - 7 * place for place in range(16)])\n"
        "for code in (0, 1, 516959010, 999999999):\n"
        "    for steps in (0, 1, 2, 300):\n"
        "        given = key, code, steps, plain.NEVER, False\n"
        "        print(viper.walk(*given) == plain.walk(*given))\n"
        "for code in (0, 1, 0xFFFFFFFF, 1 << 32, 999999999999):\n"
        "    for steps in (0, 1, 2, 300):\n"
        "        given = key, code, steps, plain.NEVER, True\n"
        "        print(viper.walk(*given) == plain.walk(*given))\n"
        "for extended, span in ((False, 1000), (True, 1000000)):\n"
        "    for steps in (1, 7, 40):\n"
        "        there = plain.walk(key, 516959010, steps, plain.NEVER, extended)[0]\n"
        "        for stop in (there, max(there - span + 1, 0), max(there - span, 0), there + 1, 0):\n"
        "            given = key, 516959010, 40, stop, extended\n"
        "            print(viper.walk(*given) == plain.walk(*given))\n"
    )
    assert lines == ["True"] * 66


def test_viper_allocates_nothing():
    lines = _output(
        "import micropython\n"
        "from protocols.tokens.siphash_viper import _load, _walk, _work\n"
        "_work[1], _work[17], _work[18] = 123456789, 0xF0, 0xF0000000\n"
        "key = bytes(range(16))\n"
        "micropython.heap_lock()\n"
        "_load(key, _work)\n"
        "left = _walk(_work, 1000, 0)\n"
        "micropython.heap_unlock()\n"
        "print(_work[1], left)\n"
    )
    host = openpaygo.siphash.walk(bytes(range(16)), 123456789, 1000, openpaygo.siphash.NEVER, False)
    assert lines == [f"{host[0]} {host[1]}"]


@pytest.mark.parametrize("module", ["typing", "hmac", "dataclasses", "enum", "abc"])
def test_the_interpreter_lacks_what_boards_lack(module):
    """Else the tests above would not notice such an import in a module of the boards."""
    assert run(f"import {module}").returncode != 0


def test_half_the_heap_is_left_for_the_firmware():
    """Compiled from source, which takes more than the bytecode of a board."""
    lines = _output(
        "from protocols import mac, topics\n"
        "from protocols.magicbox import seal, text, wire\n"
        "from protocols.tokens import encoding, moto, openpaygo\n"
        "import gc\n"
        "gc.collect()\n"
        "print(gc.mem_alloc() < gc.mem_free())\n"
    )
    assert lines == ["True"]

"""The same files on MicroPython with a capped heap (spec/firmware_platform.md), and what keeps it so."""

import ast
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from edge.broker import EmbeddedBroker, Login
from protocols import topics
from protocols.magicbox import seal, wire
from tests.edge.broker.paho_client import PahoClient
from tests.firmware.rig import DAY_S, K1, K1_STARTING_CODE, LINK_KEY, MOTO_SECRET, moto_token, opg_token
from tests.micropython_runner import CHECKOUT, command, environment, run

SERIAL = "SCBLNX/A/BT/240300126005"
PASSWORD = "pw"
MAIN_HEAP = (
    "80wK"  # compiling every source of the program, link included, takes 62 K words; running takes less
)
TIMEOUT_S = 10

ENTER = """
import json, sys
from firmware.answer import answer
from firmware.config import Config
from firmware.controller import Controller
from firmware.hal.unix import UnixHal, open_flash

given = json.loads(sys.argv[1])
config = Config(serial="S", family=given["family"], secret=bytes.fromhex(given["secret"]), last_count=1,
    starting_code=given["starting_code"])
hal = UnixHal(open_flash(given["store"], config, True, True))
controller = Controller(config, hal)
for digits in given["entries"]:
    for key in digits:
        controller.key(key, hal.ticks_ms())
    print(json.dumps(answer(controller, controller.key("#", hal.ticks_ms()))))
    controller.poll(hal.ticks_ms())
assert controller.credit_s
"""


@pytest.mark.parametrize("family", ["moto", "openpaygo"])
def test_the_core_takes_tokens_in_64_kw_and_keeps_them(family: str, tmp_path: Path) -> None:
    is_moto = family == "moto"
    secret = MOTO_SECRET if is_moto else K1
    tokens = [moto_token("unlock_relative", 3, n) if is_moto else opg_token(3, n) for n in (2, 4, 6)]
    given = {
        "family": family,
        "secret": secret.hex(),
        "starting_code": K1_STARTING_CODE,
        "store": str(tmp_path / "store"),
    }
    results: list[str] = []
    for entries in ([tokens[0], tokens[2], "111111111"], [tokens[0], tokens[1], tokens[2]]):
        done = run(ENTER, [json.dumps(given | {"entries": entries})])
        assert (done.stderr, done.returncode) == ("", 0), done.stdout
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        results += [answer["result"] for answer in answers]
    assert results == ["accepted", "accepted", "invalid", "already_used", "accepted", "already_used"]
    assert answers[-1]["credit_s"] in range(9 * DAY_S - 30, 9 * DAY_S + 1)
    assert answers[-1]["relay"] is True


class Logins:
    async def verify(self, username: str, password: str) -> Login | None:
        known = {topics.encode_serial(SERIAL): Login("device", SERIAL), "bridge": Login("bridge")}
        return known.get(username) if password == PASSWORD else None


class Board:
    """main.py on MicroPython; what it prints as it comes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def until(self, **members: object) -> dict[str, object]:
        """The first line with these members."""
        assert self._process.stdout is not None
        async with asyncio.timeout(TIMEOUT_S):
            while line := await self._process.stdout.readline():
                told = json.loads(line)
                if all(told.get(name) == value for name, value in members.items()):
                    return told
        assert self._process.stderr is not None
        raise AssertionError((await self._process.stderr.read()).decode())

    async def type_line(self, digits: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(digits.encode() + b"\n")
        await self._process.stdin.drain()


@asynccontextmanager
async def _board(port: int, folder: Path) -> AsyncIterator[Board]:
    settings = {
        "host": "127.0.0.1",
        "port": port,
        "serial": SERIAL,
        "secret": MOTO_SECRET.hex(),
        "link_key": LINK_KEY.hex(),
        "password": PASSWORD,
        "store": str(folder / "store"),
        "provision": True,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    script = CHECKOUT / "firmware" / "main.py"
    process = await asyncio.create_subprocess_exec(
        *command(script, [str(folder / "config.json")], MAIN_HEAP),
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Board(process)
    finally:
        process.kill()
        await process.communicate()


async def test_main_logs_in_takes_a_command_and_an_entry_and_lights_up(tmp_path: Path) -> None:
    broker = EmbeddedBroker(logins=Logins(), log=structlog.wrap_logger(None, processors=[LogCapture()]))
    ports = await broker.start()
    bridge = PahoClient(port=ports.mqtt_port, username="bridge", password=PASSWORD, client_id="bridge")
    assert await bridge.connect() == 0
    await bridge.subscribe("payg/v1/dev/+/up")
    down, up = seal.LinkKeys(LINK_KEY, seal.DOWN), seal.LinkKeys(LINK_KEY, seal.UP)
    sequences = count()

    async def send(*records: wire.Record) -> None:
        frame = seal.seal(down, 0, next(sequences), wire.encode_records(records), True)
        await bridge.publish(topics.down(SERIAL), frame, qos=0)

    async with _board(ports.mqtt_port, tmp_path) as board:
        await board.until(online=True, relay=False)
        message = await bridge.next_message()
        records = wire.decode_records(seal.unseal(up, message.payload)[1])
        assert [type(record).__name__ for record in records] == ["Boot", "Status"]
        digits = moto_token("unlock_relative", 30, 12)
        await send(wire.Token(7, digits.encode()), wire.Ack(1, 2))
        await board.until(relay=True, token_count=12)
        records = wire.decode_records(seal.unseal(up, (await bridge.next_message()).payload)[1])
        answers = [record for record in records if isinstance(record, wire.CommandResult)]
        assert [(answer.command_id, answer.detail) for answer in answers] == [(7, b"accepted")]
        await board.type_line(digits)
        await board.until(result="already_used")
        for number in range(13, 40):  # a heap that leaks would end
            await board.type_line(moto_token("unlock_relative", 1, number))
            await board.until(result="accepted", count=number)
    async with _board(ports.mqtt_port, tmp_path) as board:  # killed as if the power went
        told = await board.until(online=True)
        assert (told["relay"], told["token_count"]) == (True, 39)
    await bridge.close()
    await broker.stop()


def test_a_bad_configuration_says_what_it_lacks(tmp_path: Path) -> None:
    script = CHECKOUT / "firmware" / "main.py"
    (tmp_path / "config.json").write_text('{"host": "127.0.0.1"}')
    for arguments, says in (([], "give one argument"), ([str(tmp_path / "config.json")], "needs port")):
        done = run(script, arguments, heap=MAIN_HEAP)
        assert done.returncode == 2
        assert says in done.stderr


BANNED = {"asyncio", "socket", "time", "random", "os", "select", "threading", "typing", "dataclasses", "hmac"}
EDGES = {"main.py", "hal"}


def test_the_core_imports_no_clock_no_network_and_nothing_that_a_board_lacks() -> None:
    modules = [
        path for path in (CHECKOUT / "firmware").rglob("*.py") if not EDGES & {path.name, path.parent.name}
    ]
    assert len(modules) > 10
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert BANNED.isdisjoint(name.split(".")[0] for name in names), path

"""The same files on MicroPython with a capped heap (spec/firmware_platform.md), and what keeps it so."""

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.board.build import SLOT, build
from protocols.magicbox import wire
from tests.firmware.network_rig import (
    Service,
    behind_tls,
    board,
    broker,
    certificates,
    device_service,
    settings,
)
from tests.firmware.rig import DAY_S, K1, K1_STARTING_CODE, MOTO_SECRET, moto_token, opg_token
from tests.micropython_runner import CHECKOUT, run

MAIN_HEAP = "72wK"  # of bytecode; with the keypad alone 64wK do. Frozen in, the bytecode is in flash instead
TLS_HEAP = "160wK"  # of which the handshake takes some 40
SOURCE_HEAP = "192wK"  # the interpreter compiles every module


@pytest.fixture(scope="module")
def slot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The firmware as it lies on a board: bytecode."""
    built = build("x64", tmp_path_factory.mktemp("build"), version=None, progress=lambda *_: None)
    return built.folder / SLOT


@pytest.mark.parametrize("family", ["moto", "openpaygo"])
async def test_main_takes_tokens_without_a_network_and_keeps_them(
    family: str, slot: Path, tmp_path: Path
) -> None:
    is_moto = family == "moto"
    secret = MOTO_SECRET if is_moto else K1
    first, second, third = [
        moto_token("unlock_relative", 3, n) if is_moto else opg_token(3, n) for n in (2, 4, 6)
    ]
    given = settings(tmp_path, family=family, secret=secret.hex(), last_count=1)
    if not is_moto:
        given["starting_code"] = K1_STARTING_CODE
    results: list[object] = []
    told: dict[str, object] = {}
    for entries in ([first, third, "111111111"], [first, second, third]):
        async with board(slot, MAIN_HEAP, given) as device:  # killed as if the power went
            for digits in entries:
                await device.type_line(digits)
                told = await device.until(result=...)
                results.append(told["result"])
    assert results == ["accepted", "accepted", "invalid", "already_used", "accepted", "already_used"]
    assert told["credit_s"] in range(9 * DAY_S - 60, 9 * DAY_S + 1)
    assert told["relay"] is True


async def test_main_logs_in_takes_a_command_and_entries_and_lights_up(slot: Path, tmp_path: Path) -> None:
    async with broker() as back_end:
        given = settings(tmp_path, host="127.0.0.1", port=back_end.port)
        async with board(slot, MAIN_HEAP, given) as device:
            await device.until(online=True, relay=False)
            records = await back_end.heard()
            assert [type(record).__name__ for record in records] == ["Boot", "Status"]
            digits = moto_token("unlock_relative", 30, 12)
            await back_end.send(wire.Token(7, digits.encode()), wire.Ack(1, 2))
            await device.until(relay=True, token_count=12)
            answers = [record for record in await back_end.heard() if isinstance(record, wire.CommandResult)]
            assert [(answer.command_id, answer.detail) for answer in answers] == [(7, b"accepted")]
            await device.type_line(digits)
            await device.until(result="already_used")
            for number in range(13, 20):  # a heap that leaks would end
                await device.type_line("*" + moto_token("unlock_relative", 1, number) + "#"[: number % 2])
                await device.until(result="accepted", count=number)
        async with board(slot, MAIN_HEAP, given) as device:  # killed as if the power went
            told = await device.until(online=True)
            assert (told["relay"], told["token_count"]) == (True, 19)


async def test_main_starts_again_in_its_process_when_it_is_told_to(slot: Path, tmp_path: Path) -> None:
    async with broker() as back_end:
        given = settings(tmp_path, host="127.0.0.1", port=back_end.port)
        async with board(slot, MAIN_HEAP, given) as device:
            await device.until(online=True)
            await back_end.heard()
            await back_end.send(wire.Reset(3, wire.RESET_KIND_SOFT, bytes(8)), wire.Ack(1, 2))
            records = await back_end.heard()
            await back_end.send(wire.Ack(3, records[-1].record))
            await device.until(reset=True)
            await device.until(online=True)


async def test_main_over_tls_knows_its_broker(slot: Path, tmp_path: Path) -> None:
    ca, context = certificates(tmp_path)
    async with broker() as back_end, behind_tls(back_end.port, context) as port:
        given = settings(tmp_path, host="localhost", port=port, tls=True, ca=ca)
        async with board(slot, TLS_HEAP, given) as device:
            await device.until(online=True)
            await back_end.send(wire.Token(7, moto_token("unlock_relative", 30, 12).encode()))
            await device.until(relay=True)


async def test_main_over_tls_tells_a_stranger_nothing(slot: Path, tmp_path: Path) -> None:
    ca, _ = certificates(tmp_path)
    (tmp_path / "other").mkdir()
    _, stranger = certificates(tmp_path / "other")
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's view of it
    async with broker() as back_end, behind_tls(back_end.port, stranger) as port:
        given = settings(tmp_path, host="localhost", port=port, tls=True, ca=ca)
        async with board(slot, TLS_HEAP, given) as device:
            told = await device.until(disconnected=...)
            assert "CA" in str(told["disconnected"]), told


async def test_main_checks_in_over_http(slot: Path, tmp_path: Path) -> None:
    async with device_service(tmp_path) as service:
        await service.token(moto_token("unlock_relative", 30, 12))
        given = settings(tmp_path, http={"host": "127.0.0.1", "port": service.port})
        async with board(slot, MAIN_HEAP, given) as device:
            await device.until(online=True, relay=True, token_count=12)
            await _replied(service)


async def test_main_falls_back_to_http_and_comes_back_to_a_broker(slot: Path, tmp_path: Path) -> None:
    """The half hour on the second link is cut short by a CONFIG that turns the order round, and back."""
    async with device_service(tmp_path) as service:
        async with broker() as first:
            port = first.port
            given = settings(
                tmp_path,
                host="127.0.0.1",
                port=port,
                http={"host": "127.0.0.1", "port": service.port},
                status_interval_s=1,
            )
            device_context = board(slot, MAIN_HEAP, given)
            device = await device_context.__aenter__()
            await device.until(online=True)
            assert service.check_ins == 0
        try:
            await device.until(disconnected=...)
            await service.token(moto_token("unlock_relative", 30, 12))
            await device.until(relay=True, online=True)
            await _replied(service)
            async with broker(port) as again:
                await service.configure("links", "http,mqtt")
                await _replied(service)
                await service.configure("links", "mqtt,http")
                await again.heard()
        finally:
            await device_context.__aexit__(None, None, None)


async def _replied(service: Service) -> None:
    async with asyncio.timeout(20):
        while not await service.replied():
            await asyncio.sleep(0.05)


def test_main_runs_from_its_sources_too(tmp_path: Path) -> None:
    script = CHECKOUT / "firmware" / "main.py"
    (tmp_path / "config.json").write_text('{"host": "127.0.0.1"}')
    for arguments, says in (([], "give one argument"), ([str(tmp_path / "config.json")], "needs serial")):
        done = run(script, arguments, heap=SOURCE_HEAP)
        assert done.returncode == 2
        assert says in done.stderr


BANNED = {"asyncio", "socket", "time", "random", "os", "select", "threading", "typing", "dataclasses", "hmac"}
EDGES = {"main.py", "boot.py", "hal"}


def test_the_core_imports_no_clock_no_network_and_nothing_that_a_board_lacks() -> None:
    modules = [
        path for path in (CHECKOUT / "firmware").rglob("*.py") if not EDGES & {path.name, path.parent.name}
    ]
    assert len(modules) > 10
    for path in modules:
        for name in _imported(ast.parse(path.read_text())):
            assert name.split(".")[0] not in BANNED, path


def _imported(node: ast.AST) -> Iterator[str]:
    """What a module imports when it runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield child.module or ""
        else:
            yield from _imported(child)

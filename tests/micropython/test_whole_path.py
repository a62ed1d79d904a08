"""The firmware's files, unchanged, under MicroPython with a capped heap, as one more device of `payg up`."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests import micropython_runner
from tests.scenarios.up_process import Json, Up, token_in

HEAP = "192wK"  # the sources are compiled here; tests/firmware/test_micropython.py has what bytecode needs
DAY_S = 86_400
FIRMWARE = Path(__file__).parents[2] / "firmware" / "main.py"


class Board:
    """A MicroPython process that runs firmware/main.py."""

    def __init__(self, process: asyncio.subprocess.Process):
        self._process = process

    async def until(self, **wanted: object) -> Json:
        """The first line that it prints in which all `wanted` members have these values."""
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            while line := await self._process.stdout.readline():
                said: Json = json.loads(line)
                if all(said.get(name) == value for name, value in wanted.items()):
                    return said
        raise AssertionError("the board ended")

    async def type_keys(self, keys: str) -> Json:
        """What the controller answers to an entry."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{keys}\n".encode())
        async with asyncio.timeout(30):
            while "result" not in (said := await self.until()):
                continue
        return said


@asynccontextmanager
async def board(up: Up, device: Json, folder: Path) -> AsyncIterator[Board]:
    """The device of these credentials as a MicroPython process; killed at the end."""
    config = folder / "config.json"
    settings = {
        "host": up.credentials["mqtt"]["host"],
        "port": up.credentials["mqtt"]["port"],
        "store": str(folder / "board.flash"),
        "provision": True,
        "status_interval_s": 5,
        **{name: device[name] for name in ("serial", "secret", "link_key", "password")},
        "family": device["token_family"],
    }
    config.write_text(json.dumps(settings))
    process = await asyncio.create_subprocess_exec(
        *micropython_runner.command(str(FIRMWARE), [str(config)], heap=HEAP),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=micropython_runner.environment(),
    )
    try:
        yield Board(process)
    finally:
        process.kill()
        await process.wait()


async def test_it_logs_in_takes_a_token_and_lights_up(tmp_path: Path) -> None:
    up = Up(tmp_path / "data", devices=3)
    await up.start()
    device: Json = up.credentials["devices"][2]
    assert await up.terminate() == 0
    up.devices = 2  # the third is registered; its place is taken by the board
    try:
        await up.start()
        async with board(up, device, tmp_path) as running:
            await running.until(online=True, relay=False)
            assert await up.pay(device, 2, "board") == "END Payment successful!"
            lit = await running.until(relay=True)
            assert 2 * DAY_S - 60 < lit["credit_s"] <= 2 * DAY_S
            (text,) = await up.wait_for_sms(device["msisdn"])
            assert (await running.type_keys(token_in(text)))["result"] == "already_used"
        async with board(up, device, tmp_path) as again:
            await again.until(online=True, relay=True)
        assert await up.terminate() == 0, up.log()[-3000:]
    finally:
        await up.kill()

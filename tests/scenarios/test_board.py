"""A board from the workbench to the home: built, flashed, provisioned and verified as a user does it.

Then it takes a token from its keypad and one from the broker, a new version, and returns from a broken one.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.board.image import pack, unpack
from tests.edge.board.virtual_board import powered
from tests.edge.broker.paho_client import PahoClient
from tests.scenarios.up_process import PAYG, Up, running

SERIAL = "SCBLNX/A/BT/240300999001"
DAY_S = 86_400
TRIAL_S = 60  # an update: fetched, unpacked, started, checked in


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Up]:
    async with running(tmp_path / "data", devices=1) as started:
        yield started


async def payg(*arguments: str) -> str:
    """What a command prints; it must end with 0."""
    process = await asyncio.create_subprocess_exec(
        str(PAYG), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        said, complaints = await process.communicate()
    assert process.returncode == 0, said + complaints
    return (said + complaints).decode()


async def new_token(up: Up, days: int) -> str:
    """The digits of the board's next token."""
    status, body = await up.request(
        "POST",
        "/moto/api/v1/tokens/generate",
        headers={"API-KEY": up.credentials["moto"]["api_key"]},
        json={"device": SERIAL, "command": "unlock_relative", "payload": days},
    )
    assert status in (200, 201), body
    return re.sub(r"[^0-9]", "", json.loads(body)["token"])


async def command(up: Up, name: str, **details: object) -> None:
    status, body = await up.request(
        "POST",
        "/m2m/v1/commands",
        headers={"X-API-Key": up.credentials["m2m"]["api_key"]},
        json={"identifier": SERIAL, "command": {"name": name, "details": details}},
    )
    assert status == 201, body


async def offer(up: Up, name: str, image: bytes) -> None:
    """Put an image where devices fetch it."""
    status, body = await up.request(
        "PUT",
        f"/m2m/v1/firmware/{name}",
        headers={"X-API-Key": up.credentials["m2m"]["api_key"]},
        data=image,
    )
    assert status == 201, body


class Operations:
    """What operations see of the board's commands."""

    def __init__(self, up: Up):
        mqtt = up.credentials["mqtt"]
        self._client = PahoClient(mqtt["port"], "ops", mqtt["ops"]["password"], "board-test")

    async def __aenter__(self) -> "Operations":
        assert await self._client.connect() == 0
        await self._client.subscribe("payg/v1/ops/+/+/command")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def answer(self, name: str) -> str:
        """What the board answered to its next command of this name."""
        async with asyncio.timeout(TRIAL_S):
            while True:
                event = json.loads((await self._client.received.get()).payload)
                if (event["serial"], event["name"]) == (SERIAL, name):
                    return event["device_response"]


@pytest.mark.timeout(300)  # it is built twice and restarted often
async def test_a_board_from_the_workbench_to_the_home(tmp_path: Path, up: Up) -> None:
    out = ("--out", str(tmp_path / "build"))
    newer = tmp_path / "newer"
    for folder, version in ((out[1], "0.1.0"), (str(newer), "0.2.0")):
        await payg("board", "build", "--arch", "x64", "--out", folder, "--version", version)
    async with powered(tmp_path / "flash.img") as board, Operations(up) as operations:
        port = ("--port", board.port)
        await payg("board", "flash", *port, *out)
        said = await payg(*("board", "provision", *port, "--serial", SERIAL, "--data-dir", str(up.data_dir)))
        assert "slot /a is version 0.1.0" in await payg("board", "verify", *port, *out)
        assert not list((up.data_dir / "provision").iterdir())
        assert "secret" not in said

        await board.until(online=True, relay=False)
        first = await new_token(up, 2)
        assert (await board.type_keys(first))["result"] == "accepted"
        assert 2 * DAY_S - 60 < (await board.until(relay=True))["credit_s"] <= 2 * DAY_S
        await command(up, "unlock_token", unlock_code=await new_token(up, 3))
        lit = await board.until(token_count=2)
        assert 5 * DAY_S - 120 < lit["credit_s"] <= 5 * DAY_S
        assert await operations.answer("unlock_token") == "OK"

        await offer(up, "payg-0.2.0.img", (newer / "x64/payg-0.2.0-x64.img").read_bytes())
        await command(up, "update", file="payg-0.2.0.img")
        await board.until(TRIAL_S, reset=True)
        await board.until(TRIAL_S, online=True, relay=True)
        assert await operations.answer("update") == "OK"
        verified = await payg("board", "verify", *port, "--out", str(newer))
        assert "slot /b is version 0.2.0" in verified
        await board.until(online=True, relay=True)

        await offer(up, "broken.img", broken(newer / "x64/payg-0.2.0-x64.img"))
        await command(up, "update", file="broken.img")
        await board.until(TRIAL_S, reset=True)
        await board.until(TRIAL_S, online=True, relay=True)
        assert await operations.answer("update") == "rolled back"
        assert (await board.type_keys(first))["result"] == "already_used"
        assert "slot /b is version 0.2.0" in await payg("board", "verify", *port, "--out", str(newer))


def broken(image: Path) -> bytes:
    """A version that does not start: it lacks its main module."""
    _, files = unpack(image.read_bytes(), "x64")
    del files["firmware/main.mpy"]
    return pack(version=b"\x00\x03\x00", arch="x64", files=files)

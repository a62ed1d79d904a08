"""Provisioning boards, with services that keep what they are told; tests/scenarios has the real ones."""

import json
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from edge.board import scripts
from edge.board.build import Build
from edge.board.errors import BoardError
from edge.board.flash import flash
from edge.board.mpremote import Board
from edge.board.provision import Device, provision, settings_for
from edge.board.registry import Registry, Service, from_environment, of_up
from edge.settings import RegistrySettings
from tests.edge.board.virtual_board import powered

DEVICE = Device("SCBLNX/A/BT/240300999007", "moto", "UG")
SETTINGS: dict[str, object] = {"host": "127.0.0.1", "port": 1}


@dataclass
class Services:
    """m2m and moto: what was posted to which path with which key. They answer `statuses`, then 201."""

    posted: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        key = request.headers.get("X-API-Key") or request.headers["API-KEY"]
        self.posted.append((request.path, key, await request.json()))
        status = self.statuses.pop(0) if self.statuses else 201
        return web.json_response({"error": "not today"}, status=status)

    @property
    def registry(self) -> Registry:
        return Registry(Service(f"{self.url}/m2m", "m2m key"), Service(f"{self.url}/moto", "moto key"))


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    kept = Services()
    application = web.Application()
    application.router.add_post("/{path:.*}", kept.take)
    async with TestServer(application) as server:
        kept.url = str(server.make_url("")).rstrip("/")
        yield kept


@pytest.fixture
async def flashed(tmp_path: Path, built: Build) -> AsyncIterator[Board]:
    async with powered(tmp_path / "flash.img") as virtual:
        board = Board(virtual.port)
        await flash(board, built, progress=lambda *_: None)
        yield board


def counting() -> Callable[[int], bytes]:
    """Entropy that is never the same twice, and known."""
    drawn = iter(range(1, 200))
    return lambda size: bytes([next(drawn)]) * size


def provisioning(board: Board, services: Services, folder: Path, device: Device = DEVICE) -> Any:
    return provision(
        board,
        device,
        registry=services.registry,
        settings=SETTINGS,
        folder=folder,
        entropy=counting(),
    )


READ_IDENTITY = "print('payg>', open('/identity.json').read())"


async def test_board_and_registry_get_the_same_keys_and_nobody_else(
    flashed: Board, services: Services, tmp_path: Path
) -> None:
    await provisioning(flashed, services, tmp_path / "kept")
    await flashed.probe()
    (answer,) = await flashed.run(READ_IDENTITY)
    identity = json.loads(answer)
    assert identity["serial"] == DEVICE.serial
    login, token = services.posted
    assert login[:2] == ("/m2m/v1/devices", "m2m key")
    assert login[2] == {
        "serial": DEVICE.serial,
        "market": "UG",
        "link_key": identity["link_key"],
        "password": identity["password"],
    }
    assert token[:2] == ("/moto/api/v1/devices", "moto key")
    assert token[2]["secret"] == identity["secret"]
    assert list((tmp_path / "kept").iterdir()) == []
    assert await flashed.run("import os; print('payg>', '.new' in str(os.listdir('/')))") == ["False"]


async def test_a_provisioned_board_is_refused(flashed: Board, services: Services, tmp_path: Path) -> None:
    await provisioning(flashed, services, tmp_path / "kept")
    with pytest.raises(BoardError, match="is provisioned already, as SCBLNX/A/BT/240300999007"):
        await provisioning(flashed, services, tmp_path / "kept")
    assert len(services.posted) == 2


async def test_an_interrupted_provisioning_goes_on_with_the_same_keys(
    flashed: Board, services: Services, tmp_path: Path
) -> None:
    services.statuses = [201, 503]
    with pytest.raises(BoardError, match=r"answered HTTP 503: .*not today"):
        await provisioning(flashed, services, tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    saved = kept.read_bytes()
    await provisioning(flashed, services, tmp_path / "kept")
    assert services.posted[0] == services.posted[2]
    assert services.posted[1] == services.posted[3]
    kept.write_bytes(saved)  # as if it had died before its last step
    await provisioning(flashed, services, tmp_path / "kept")
    assert not kept.exists()


async def test_a_second_board_never_gets_the_keys_of_a_first(
    flashed: Board, services: Services, tmp_path: Path, built: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "COMMIT", "raise SystemExit")  # dies with the keys on the board
    with pytest.raises(BoardError):
        await provisioning(flashed, services, tmp_path / "kept")
    monkeypatch.undo()
    async with powered(tmp_path / "second.img") as virtual:
        second = Board(virtual.port)
        await flash(second, built, progress=lambda *_: None)
        with pytest.raises(BoardError, match="was begun on another board"):
            await provisioning(second, services, tmp_path / "kept")
        assert await second.run("import os; print('payg>', 'identity' in str(os.listdir('/')))") == ["False"]
    await provisioning(flashed, services, tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


async def test_a_serial_that_is_taken_is_refused_before_the_board_is_touched(
    flashed: Board, services: Services, tmp_path: Path
) -> None:
    services.statuses = [409]
    with pytest.raises(BoardError, match=r"is registered with other keys at .*: use another serial"):
        await provisioning(flashed, services, tmp_path / "kept")
    assert await flashed.run("import os; print('payg>', 'identity.json' in os.listdir('/'))") == ["False"]


async def test_a_board_without_firmware_gets_no_keys(tmp_path: Path, services: Services) -> None:
    async with powered(tmp_path / "flash.img") as virtual:
        with pytest.raises(BoardError, match="has no firmware: payg board flash"):
            await provisioning(Board(virtual.port), services, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("device", "complaint"),
    [
        (Device("", "moto", "UG"), "a serial is"),
        (Device("a b", "moto", "UG"), "a serial is"),
        (Device("S", "other", "UG"), "unknown token family other"),
        (Device("S", "moto", "ug"), "no market: ug"),
    ],
)
async def test_a_device_that_is_none_is_refused(
    services: Services, tmp_path: Path, device: Device, complaint: str
) -> None:
    with pytest.raises(BoardError, match=complaint):
        await provisioning(Board("/dev/none"), services, tmp_path / "kept", device)


def test_a_service_says_its_keys_name_when_it_lacks_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYG_M2M_API_KEY", "the key")
    with pytest.raises(BoardError, match="set PAYG_MOTO_API_KEY in the environment"):
        from_environment("http://m2m", "http://moto", RegistrySettings(_env_file=None))
    monkeypatch.setenv("PAYG_MOTO_API_KEY", "another key")
    registry = from_environment("http://m2m/", "http://moto", RegistrySettings(_env_file=None))
    assert registry.m2m == Service("http://m2m", "the key")
    assert "key" not in repr(registry).replace("api_key", "")


def test_the_settings_of_a_running_up_and_over_them_a_file(tmp_path: Path) -> None:
    credentials: dict[str, object] = {
        "http": "http://127.0.0.1:8080",
        "mqtt": {"host": "127.0.0.1", "port": 1883},
        "m2m": {"api_key": "a"},
        "moto": {"api_key": "b"},
    }
    assert of_up(credentials).moto == Service("http://127.0.0.1:8080/moto", "b")
    file = tmp_path / "settings.json"
    file.write_text('{"host": "192.168.1.5", "keypad": "restricted"}')
    assert settings_for(credentials, file) == {
        "host": "192.168.1.5",
        "port": 1883,
        "http": {"host": "127.0.0.1", "port": 8080, "prefix": "/m2m"},
        "keypad": "restricted",
    }
    assert settings_for(None, None) is None
    for content, complaint in (("[]", "one JSON object"), ("{", "is not JSON")):
        file.write_text(content)
        with pytest.raises(BoardError, match=complaint):
            settings_for(None, file)

"""The panel, mounted as `payg up` mounts it: every answer is JSON, and nothing odd reaches a device."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from edge.panel.app import MAX_BODY, MAX_KEYS, JsonObject, make_app
from edge.panel.client import PanelError, show, show_all, type_keys
from firmware.store import StoreError

KEY = {"X-API-Key": "key"}
KEYPAD = "/panel/devices/A%2F1/keypad"


class Device:
    """Implements PanelDevice."""

    def __init__(self) -> None:
        self.typed: list[str] = []

    def snapshot(self) -> JsonObject:
        return {"serial": "A/1"}

    def type_keys(self, digits: str) -> JsonObject:
        if digits == "full":
            raise StoreError("the store cannot be written")
        self.typed.append(digits)
        return {"result": "invalid"}


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
async def server(device: Device) -> AsyncIterator[TestServer]:
    root = web.Application()
    root.add_subapp("/panel", make_app({"A/1": device}, "key"))
    async with TestServer(root) as server:
        yield server


@pytest.fixture
async def client(server: TestServer) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async with TestClient(server) as client:
        yield client


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (("POST", KEYPAD, b'{"keys": "%s"}' % (b"1" * MAX_BODY)), 413),
        (("POST", KEYPAD, b"1" * 500_000), 413),
        (("POST", KEYPAD, b"[" * MAX_BODY), 400),
        (("POST", KEYPAD, b"\xff\xfe\x00"), 400),
        (("POST", KEYPAD, b""), 400),
        (("POST", KEYPAD, b"[]"), 400),
        (("POST", KEYPAD, b'{"keys": 5}'), 400),
        (("POST", KEYPAD, b'{"keys": "%s"}' % (b"1" * (MAX_KEYS + 1))), 400),
        (("POST", KEYPAD, b'{"keys": "full"}'), 503),
        (("POST", "/panel/devices/nobody/keypad", b'{"keys": "1"}'), 404),
        (("GET", "/panel/nope", b""), 404),
        (("GET", KEYPAD, b""), 405),
        (("DELETE", "/panel/devices", b""), 405),
    ],
)
async def test_bad_requests_are_answered_in_json_and_change_nothing(
    client: TestClient[web.Request, web.Application],
    device: Device,
    request_: tuple[str, str, bytes],
    status: int,
) -> None:
    method, path, body = request_
    async with client.request(method, path, data=body or None, headers=KEY) as answer:
        assert answer.status == status
        assert list(await answer.json()) == ["error"]
    assert device.typed == []


async def test_the_key_is_asked_for_everywhere(client: TestClient[web.Request, web.Application]) -> None:
    for path in ("/panel/devices", "/panel/nope"):
        async with client.get(path, headers={"X-API-Key": "ключ"}) as answer:
            assert (answer.status, list(await answer.json())) == (401, ["error"])


def _credentials(folder: Path, base: str, key: str = "key") -> Path:
    content = {"http": base.rstrip("/"), "panel": {"api_key": key}}
    (folder / "credentials.json").write_text(json.dumps(content))
    return folder


async def test_the_client_types_and_shows(server: TestServer, device: Device, tmp_path: Path) -> None:
    folder = _credentials(tmp_path, str(server.make_url("/")))
    assert await show(folder, "A/1") == {"serial": "A/1"}
    assert await show_all(folder) == [{"serial": "A/1"}]
    assert await type_keys(folder, "A/1", "12 3") == {"result": "invalid"}
    assert device.typed == ["12 3"]


async def test_the_client_says_what_is_wrong(server: TestServer, tmp_path: Path) -> None:
    base = str(server.make_url("/"))
    with pytest.raises(PanelError, match="serial is empty"):
        await show(_credentials(tmp_path, base), "")
    with pytest.raises(PanelError, match="no device B runs"):
        await show(_credentials(tmp_path, base), "B")
    with pytest.raises(PanelError, match="answered HTTP 404"):
        await show(_credentials(tmp_path, base + "elsewhere"), "A/1")
    await server.close()
    with pytest.raises(PanelError, match="nothing answers"):
        await show(_credentials(tmp_path, base), "A/1")

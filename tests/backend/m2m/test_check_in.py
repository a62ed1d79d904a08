"""A device that checks in over HTTP: frames in, frames out, and who may."""

import base64

import pytest
from aiohttp.test_utils import TestClient

from backend.m2m.service import M2mService
from protocols.magicbox import wire

SERIAL = "SCBLNX/A/BT/240300126005"
LOGIN = "SCBLNX%2FA%2FBT%2F240300126005"
PASSWORD = "device-password"
NOW_S = 1_764_583_800
FRAME = {"Content-Type": "application/octet-stream"}


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


async def test_check_in_over_http(http: TestClient, service: M2mService, device) -> None:
    headers = FRAME | basic(LOGIN, PASSWORD)
    frame = device.frame(device.status(at=NOW_S))
    for events in (1, 0):
        async with http.post("/v1/log", data=frame, headers=headers) as answer:
            assert (answer.status, answer.content_type) == (200, "application/octet-stream")
            assert device.read(await answer.read()) == [wire.Ack(1, 1), wire.Time(NOW_S)]
        items = await service.feed.lease(limit=10, wait_s=0)
        assert [(item.serial, item.market, item.channel) for item in items] == [
            (SERIAL, "UG", "status")
        ] * events
        await service.feed.confirm([item.id for item in items])
    await service.create(identifier=SERIAL, name="sync", details={}, callback_url=None, reference="r")
    async with http.post("/v1/log", data=device.frame(device.status(at=NOW_S)), headers=headers) as answer:
        assert device.read(await answer.read())[1:] == [wire.Time(NOW_S), wire.Sync(1, 3)]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic"},
        {"Authorization": "Basic ???"},
        {"Authorization": "Bearer abc"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()},
        {"Authorization": "Basic " + base64.b64encode(b"nocolon").decode()},
        basic(LOGIN, "wrong"),
        basic(LOGIN, ""),
        basic(SERIAL, PASSWORD),
        basic("nobody", PASSWORD),
        basic("", ""),
    ],
)
async def test_check_in_without_login(http: TestClient, headers: dict[str, str]) -> None:
    async with http.post("/v1/log", data=b"x", headers=FRAME | headers) as answer:
        assert (answer.status, await answer.json()) == (401, {"error": "Unauthorized"})
        assert answer.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    ("content_type", "body", "status", "error"),
    [
        (
            *("application/json", b"{}", 415),
            "Send one MagicBox frame as application/octet-stream, or text lines as text/plain",
        ),
        ("application/octet-stream", b"", 400, "Frame refused: truncated"),
        ("application/octet-stream", b"junk" * 10, 400, "Frame refused: bad_magic"),
        ("application/octet-stream", bytes(4097), 413, "Request too large"),
        ("application/octet-stream", bytes(65537), 413, "Request too large"),
    ],
)
async def test_bad_check_ins(
    http: TestClient, *, content_type: str, body: bytes, status: int, error: str
) -> None:
    headers = {"Content-Type": content_type} | basic(LOGIN, PASSWORD)
    async with http.post("/v1/log", data=body, headers=headers) as answer:
        assert (answer.status, await answer.json()) == (status, {"error": error})


async def test_logins(service: M2mService) -> None:
    assert await service.verify_login(LOGIN, PASSWORD) == SERIAL
    for username, password in (
        *((LOGIN, "x"), (LOGIN, ""), (SERIAL, PASSWORD), ("nobody", ""), ("%", "x"), ("", "")),
        *(("a%00", "x"), (LOGIN, "\ud800"), ("\ud800", "x")),
    ):
        assert await service.verify_login(username, password) is None
    await service.create(identifier="AUTO", name="sync", details={}, callback_url=None, reference="r")
    assert await service.verify_login("AUTO", "") is None

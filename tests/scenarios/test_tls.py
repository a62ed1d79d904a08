"""`payg up` behind TLS, every listener of it: a customer pays, a device lights."""

import asyncio
import json
import shutil
import ssl
from pathlib import Path

import aiohttp

from tests import certificates
from tests.backend.served import payg
from tests.scenarios.up_process import running

MOSQUITTO_SUB = shutil.which("mosquitto_sub")


async def test_checklist_99_everything_listens_with_tls(tmp_path: Path) -> None:
    files = certificates.make(tmp_path)
    data_dir = tmp_path / "data"
    async with running(data_dir, devices=1, env=files.environment) as up:
        assert up.credentials["http"].startswith("https://127.0.0.1:")
        device = up.credentials["devices"][0]
        await up.pay(device, 3, "tls-1")
        assert (await up.wait_for_light(device["serial"]))["online"]
        mqtt = up.credentials["mqtt"]
        for port in (mqtt["port"], mqtt["ws_port"], int(up.credentials["http"].rpartition(":")[2])):
            await _speaks_tls_only(port, files.ca)
        await _connects_over_websocket(mqtt, files.ca)
        if MOSQUITTO_SUB is not None:
            assert await _statuses(mqtt, files.ca, device["serial"])
        code, output, errors = await payg(
            "device", "show", "--serial", device["serial"], "--data-dir", str(data_dir)
        )
        assert (code, json.loads(output)["relay"]) == (0, True), errors
        assert await up.terminate() == 0
    assert "BROKEN" not in up.log()


async def test_payg_up_does_not_start_open_to_strangers_or_refused_by_itself(tmp_path: Path) -> None:
    up = ("up", "--http-port", "0", "--mqtt-port", "0", "--ws-port", "0", "--data-dir", str(tmp_path / "d"))
    alone = certificates.make(tmp_path).environment
    del alone["PAYG_TLS_CA"]
    for env, says in (
        (alone, "in PAYG_TLS_CA the authority that signed it"),
        ({"PAYG_UP_HOST": "::"}, "PAYG_TLS_IN_FRONT"),
        ({"PAYG_TLS_CERTIFICATE": str(tmp_path / "none"), "PAYG_TLS_KEY": "none"}, "can't be read"),
    ):
        code, output, errors = await payg(*up, env=env)
        assert (code, output, errors.count("\n")) == (2, "", 1), errors
        assert says in errors


async def _speaks_tls_only(port: int, ca: Path) -> None:
    context = ssl.create_default_context(cafile=ca)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    assert writer.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
    writer.close()
    await writer.wait_closed()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04none" + bytes(100))
    async with asyncio.timeout(20):
        try:
            answer = await reader.read(100)
        except ConnectionResetError:
            answer = b""
    assert answer == b"" or answer[0] == 0x15  # a TLS alert
    writer.close()


async def _connects_over_websocket(mqtt: dict[str, object], ca: Path) -> None:
    context = ssl.create_default_context(cafile=ca)
    url = f"wss://127.0.0.1:{mqtt['ws_port']}/"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=["mqtt"], ssl=context) as socket,
    ):
        await socket.send_bytes(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04none")
        assert (await socket.receive_bytes(timeout=10)) == b"\x20\x02\x00\x05"  # not authorized


async def _statuses(mqtt: dict[str, object], ca: Path, serial: str) -> bool:
    login = mqtt["ops"]
    assert isinstance(login, dict)
    process = await asyncio.create_subprocess_exec(
        str(MOSQUITTO_SUB),
        *("-h", "127.0.0.1", "-p", str(mqtt["port"]), "--cafile", str(ca), "-C", "1", "-W", "20"),
        *("-t", "payg/v1/ops/+/+/status", "-u", login["username"], "-P", login["password"]),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return process.returncode == 0 and serial in output.decode()

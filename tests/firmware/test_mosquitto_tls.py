"""MQTT over TLS with Mosquitto, where it is there; test_micropython.py has the embedded broker behind TLS."""

import asyncio
import getpass
import shutil
from pathlib import Path

import pytest

from firmware.dialer import Dialer
from firmware.hal.net import Network
from firmware.link import Link
from firmware.pump import Pump
from tests.firmware.network_rig import PASSWORD, SERIAL, certificates
from tests.firmware.rig import moto_bench
from tests.ports import next_port

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (Debian: mosquitto)")
async def test_a_device_logs_in_over_tls(tmp_path: Path) -> None:
    ca, _ = certificates(tmp_path)
    port = next_port()
    server = tmp_path / "localhost.pem"
    (tmp_path / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\ncertfile {server}\nkeyfile {server}\n"
        f"user {getpass.getuser()}\n"  # as root it would become a user that cannot read the key
    )
    assert MOSQUITTO is not None
    process = await asyncio.create_subprocess_exec(
        MOSQUITTO, "-c", str(tmp_path / "mosquitto.conf"), stderr=asyncio.subprocess.DEVNULL
    )
    bench = moto_bench()
    link = Link(SERIAL, PASSWORD, bench.controller, place=("localhost", port, True))
    ends: list[str] = []
    pump = Pump(Dialer([link], bytes), Network(ca, False), ends.append)
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(15):
            while not (link.online and bench.controller.uplink.pending()):
                now_ms = round((loop.time() - started) * 1000)
                pump.poll(now_ms)
                await asyncio.sleep(0.005)
        pump.hang_up(now_ms)
    finally:
        process.terminate()
        await process.wait()
    assert all("refused" in end for end in ends)  # before it listened

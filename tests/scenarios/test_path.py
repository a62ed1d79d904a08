"""From money to light, with everything as a user starts it: one process, real sockets, real files."""

import asyncio
import json
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scenarios.up_process import PAYG, START_S, Json, Up, running, token_in, ussd_texts

DAY_S = 86_400


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Up]:
    async with running(tmp_path / "data") as started:
        yield started


def ugandan(up: Up) -> Json:
    return up.credentials["devices"][0]


def rwandan(up: Up) -> Json:
    return up.credentials["devices"][1]


def keypad(device: Json, *lines: str) -> list[Json]:
    """What a device of the same secrets, which never got a frame, answers to `lines`."""
    result = subprocess.run(
        [
            *(str(PAYG), "device", "keypad", "--family", device["token_family"]),
            *(
                "--secret",
                device["secret"],
                "--starting-code",
                str(device["starting_code"]),
                "--clock",
                "manual",
            ),
        ],
        input="".join(line + "\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return [json.loads(line) for line in result.stdout.splitlines()]


async def test_a_payment_lights_the_lamp_and_its_sms_grants_nothing_more(up: Up) -> None:
    device = ugandan(up)
    assert not (await up.show(device["serial"]))["relay"]

    assert await up.pay(device, 3, "s1") == "END Payment successful!"
    lit = await up.wait_for_light(device["serial"])
    assert 3 * DAY_S - 60 < lit["credit_s"] <= 3 * DAY_S

    (text,) = await up.wait_for_sms(device["msisdn"])
    again = await up.type_keys(device["serial"], token_in(text))
    assert again["result"] == "already_used"
    assert again["credit_s"] <= 3 * DAY_S

    first, second = keypad(device, token_in(text), token_in(text))
    assert (first["result"], first["payload"], first["credit_s"]) == ("accepted", 3, 3 * DAY_S)
    assert (second["result"], second["credit_s"]) == ("already_used", 3 * DAY_S)

    assert await up.terminate() == 0
    assert "broken" not in up.log()


async def test_two_payments_in_two_markets_add_up(up: Up) -> None:
    for device, days in ((ugandan(up), (1, 2)), (rwandan(up), (365,))):
        for number, bought in enumerate(days):
            assert await up.pay(device, bought, f"{device['market']}{number}") == "END Payment successful!"
        await up.wait_for_light(device["serial"])
        await up.wait_for_sms(device["msisdn"], len(days))
        async with asyncio.timeout(10):
            while (snapshot := await up.show(device["serial"]))["credit_s"] < sum(days) * DAY_S - 60:
                await asyncio.sleep(0.05)
        assert snapshot["credit_s"] <= sum(days) * DAY_S
    assert await up.terminate() == 0


async def test_the_menu_says_each_step_and_cancel_pays_nothing(up: Up) -> None:
    device = ugandan(up)
    texts = ussd_texts(device, device["price_per_day_subunit"] // 100)
    answers = [await up.dial("menu", device["msisdn"], text) for text in texts[:-1]]
    assert "1. Make Payment" in answers[0]
    assert "Enter account number" in answers[1]
    assert "Enter amount" in answers[2]
    assert "Confirm payment of" in answers[3]
    assert device["customer_name"] in answers[3] if "customer_name" in device else True
    assert all(answer.startswith("CON ") for answer in answers)
    assert (await up.dial("menu", device["msisdn"], texts[-2] + "*2")).startswith("END ")
    await asyncio.sleep(1)
    assert not (await up.show(device["serial"]))["relay"]


async def test_ops_see_every_device_with_any_mqtt_client(up: Up) -> None:
    if shutil.which("mosquitto_sub") is None:
        pytest.skip("!! mosquitto_sub is missing (Debian: mosquitto-clients)")
    mqtt = up.credentials["mqtt"]
    await asyncio.sleep(0.5)
    process = await asyncio.create_subprocess_exec(
        *("mosquitto_sub", "-h", mqtt["host"], "-p", str(mqtt["port"]), "-t", "payg/v1/ops/+/+/status"),
        *(
            "-u",
            mqtt["ops"]["username"],
            "-P",
            mqtt["ops"]["password"],
            "-i",
            "ops-test",
            "-C",
            "2",
            "-W",
            "10",
        ),
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate()
    seen = {status["serial"]: status for status in map(json.loads, output.splitlines())}
    assert set(seen) == {device["serial"] for device in up.credentials["devices"]}
    status = seen[ugandan(up)["serial"]]
    assert set(status) == {
        *(
            "serial",
            "market",
            "at",
            "online",
            "credit_s",
            "relay",
            "state",
            "battery_mv",
            "panel_mv",
            "load_ma",
        ),
        *("temperature_c", "token_count", "firmware"),
    }
    assert status["online"] is True
    assert status["relay"] is False


async def test_the_second_start_is_quick_and_finds_the_data_of_the_first(up: Up) -> None:
    device = ugandan(up)
    await up.pay(device, 2, "s1")
    await up.wait_for_light(device["serial"])
    before = up.credentials
    file = up.data_dir / "credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert await up.terminate() == 0

    started = time.monotonic()
    await up.start()
    assert time.monotonic() - started < 5
    assert up.credentials == before
    assert (await up.wait_for_light(device["serial"]))["credit_s"] > DAY_S


async def test_a_duration_ends_by_itself_with_the_invariants(tmp_path: Path) -> None:
    up = Up(tmp_path / "data")
    await up.start("--duration", "2")
    assert await up.exit_code(timeout_s=15) == 0
    for number in range(1, 9):
        assert f"\n  {number}. " in up.log()


async def test_one_folder_takes_one_process(up: Up) -> None:
    second = await asyncio.create_subprocess_exec(
        *(str(PAYG), "up", "--http-port", "0", "--mqtt-port", "0", "--ws-port", "0"),
        *("--data-dir", str(up.data_dir)),
        stderr=subprocess.PIPE,
    )
    _, error = await asyncio.wait_for(second.communicate(), START_S)
    assert second.returncode == 2
    assert b"in use" in error
    assert b"--data-dir" in error
    assert (await up.show(ugandan(up)["serial"]))["serial"] == ugandan(up)["serial"]


async def test_a_port_in_use_is_told(up: Up, tmp_path: Path) -> None:
    port = up.credentials["http"].rsplit(":", 1)[1]
    second = await asyncio.create_subprocess_exec(
        *(str(PAYG), "up", "--http-port", port, "--mqtt-port", "0", "--ws-port", "0"),
        *("--data-dir", str(tmp_path / "other")),
        stderr=subprocess.PIPE,
    )
    _, error = await asyncio.wait_for(second.communicate(), START_S)
    assert second.returncode == 2
    assert f"--http-port {port}".encode() in error


def test_help_and_wrong_arguments_say_what_to_do() -> None:
    def payg(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PAYG), *arguments], capture_output=True, text=True, timeout=30, check=False
        )

    assert "up" in payg("--help").stdout
    wrong = payg(
        "token",
        "new",
        "--family",
        "moto",
        "--secret",
        "xyz",
        "--command",
        "unlock_relative",
        "--payload",
        "1",
        "--sequence-number",
        "1",
    )
    assert wrong.returncode == 2
    assert "hex" in wrong.stderr
    assert payg("device", "show", "--serial", "X", "--data-dir", sys.prefix).returncode == 2
    assert payg("up", "--devices", "0").returncode == 2

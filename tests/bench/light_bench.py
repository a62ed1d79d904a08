"""From the last USSD key to the light: `payg up` in a process of its own, one payment after another.

A customer's second payment is of another amount: Daraja refuses the same one again for two minutes. The
clock starts when the customer's `1. Confirm` is sent and stops when the ops topic shows the paid credit.
"""

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.scenarios.up_process import Json, running, ussd_texts


class Credits:
    """The newest credit of each device as the ops topics tell it."""

    def __init__(self, credentials: Json):
        self.credit_s: dict[str, int] = {}
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        broker = credentials["mqtt"]
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="light-bench")
        self._client.username_pw_set(broker["ops"]["username"], broker["ops"]["password"])
        self._client.on_connect = lambda client, *_: client.subscribe("payg/v1/ops/+/+/status", 1)
        self._client.on_message = self._on_message
        self._client.connect(broker["host"], broker["port"])
        self._client.loop_start()

    def _on_message(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        status: Json = json.loads(message.payload)
        self._loop.call_soon_threadsafe(self._seen, status["serial"], status["credit_s"] or 0)

    def _seen(self, serial: str, credit_s: int) -> None:
        self.credit_s[serial] = credit_s
        self._changed.set()

    async def above(self, serial: str, credit_s: int) -> None:
        """Wait until the device has more than `credit_s`."""
        while self.credit_s.get(serial, -1) <= credit_s:
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


DEVICES = 20


async def run(*, payments: int) -> dict[str, float]:
    """Seconds of `payments` payments, the devices in turn."""
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder) / "data", devices=DEVICES) as up:
            credits_seen = Credits(up.credentials)
            for number in range(payments):
                device: dict[str, Any] = up.credentials["devices"][number % DEVICES]
                days = 1 + number // DEVICES
                await credits_seen.above(device["serial"], -1)
                before = credits_seen.credit_s[device["serial"]]
                *menu, last = ussd_texts(device, days * device["price_per_day_subunit"] // 100)
                for text in menu:
                    await up.dial(f"s{number}", device["msisdn"], text)
                started = time.perf_counter()
                dialled = asyncio.create_task(up.dial(f"s{number}", device["msisdn"], last))
                try:
                    async with asyncio.timeout(20):
                        await credits_seen.above(device["serial"], before)
                except TimeoutError as error:
                    raise RuntimeError(f"payment {number} brought no light: {await dialled}") from error
                times.append(time.perf_counter() - started)
                await dialled
            credits_seen.close()
    return {
        "payments": float(payments),
        "median_s": statistics.median(times),
        "min_s": min(times),
        "max_s": max(times),
    }


def report(light: dict[str, float]) -> None:
    """Print the figures."""
    print(
        f"from the last USSD key to the light: median {light['median_s']:.3f} s, "
        f"fastest {light['min_s']:.3f} s, slowest {light['max_s']:.3f} s, {light['payments']:.0f} payments "
        "(goal: median at most 1 s)"
    )

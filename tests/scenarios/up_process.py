"""`payg up` as a process of its own, and what a customer and an operator do with it from outside."""

import asyncio
import json
import os
import re
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

PAYG = Path(sys.executable).with_name("payg")
START_S = 30.0
STOP_S = 5.0

Json = dict[str, Any]


class Gone(Exception):
    """The process did not answer: it is dead, or it died while it answered."""


class Up:
    """One `payg up` on `data_dir`. `credentials` is what it wrote."""

    def __init__(self, data_dir: Path, *, devices: int = 2, env: Mapping[str, str] | None = None):
        self.data_dir = data_dir
        self.devices = devices
        self.env = {**os.environ, "PAYG_UP_STATUS_INTERVAL_S": "2", **(env or {})}
        self.credentials: Json = {}
        self.process: asyncio.subprocess.Process | None = None
        self.output = ""

    async def start(self, *arguments: str, env: Mapping[str, str] | None = None, wait: bool = True) -> None:
        """Start it on free ports and wait until it wrote its credentials. Gone if it dies before."""
        file = self.data_dir / "credentials.json"
        file.unlink(missing_ok=True)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        ports = ("--http-port", "0", "--mqtt-port", "0", "--ws-port", "0")
        with (self.data_dir / "output.txt").open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                str(PAYG),
                *("up", *ports, "--data-dir", str(self.data_dir), "--devices", str(self.devices), *arguments),
                stdout=output,
                stderr=output,
                env={**self.env, **(env or {})},
            )
        async with asyncio.timeout(START_S):
            while wait and not file.exists():
                if self.process.returncode is not None:
                    raise Gone(f"payg up ended with {self.process.returncode}: {self.log()[-2000:]}")
                await asyncio.sleep(0.02)
        if wait:
            self.credentials = json.loads(file.read_text())

    def log(self) -> str:
        """Everything that it printed so far, in every start."""
        return (self.data_dir / "output.txt").read_text()

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        if self.alive:
            self.process.kill()
        await self.process.wait()

    async def terminate(self) -> int:
        """SIGTERM; its exit code. It has five seconds."""
        assert self.process is not None
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_S):
            return await self.process.wait()

    async def exit_code(self, *, timeout_s: float) -> int:
        """Wait for its own end."""
        assert self.process is not None
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()

    async def request(self, method: str, path: str, **kwargs: Any) -> tuple[int, str]:
        """Status and body. Gone when nobody answers."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
                session.request(
                    method, URL(self.credentials["http"] + path, encoded=True), ssl=self.tls, **kwargs
                ) as answer,
            ):
                return answer.status, await answer.text()
        except aiohttp.ClientError as error:
            raise Gone(str(error)) from error

    async def dial(self, session: str, msisdn: str, text: str) -> str:
        """One hop of a USSD session, as AfricasTalking posts it."""
        form = {
            "sessionId": session,
            "phoneNumber": "+" + msisdn,
            "networkCode": "64110",
            "serviceCode": "*284#",
            "text": text,
        }
        status, body = await self.request("POST", "/mese/ussd", data=form)
        assert status == 200, body
        return body

    async def pay(self, device: Json, days: int, session: str, *, on_hop: Any = None) -> str:
        """Walk the whole menu; the last answer."""
        amount = device["price_per_day_subunit"] * days // 100
        answer = ""
        for text in ussd_texts(device, amount):
            if on_hop is not None:
                on_hop(text)
            answer = await self.dial(session, device["msisdn"], text)
        return answer

    async def show(self, serial: str) -> Json:
        """The device as its panel sees it."""
        status, body = await self.request(
            "GET", f"/panel/devices/{quote(serial, safe='')}", headers=self.panel_key
        )
        assert status == 200, body
        return json.loads(body)

    async def type_keys(self, serial: str, keys: str) -> Json:
        """What the controller answered."""
        path = f"/panel/devices/{quote(serial, safe='')}/keypad"
        status, body = await self.request("POST", path, headers=self.panel_key, json={"keys": keys})
        assert status == 200, body
        return json.loads(body)

    async def inbox(self, msisdn: str) -> list[str]:
        """The texts that a number received, oldest first."""
        key = {"X-API-Key": self.credentials["mega"]["api_key"]}
        status, body = await self.request("GET", f"/mega/v1/inbox?msisdn={msisdn}", headers=key)
        assert status == 200, body
        return [message["text"] for message in json.loads(body)["messages"]]

    async def wait_for_light(self, serial: str, *, timeout_s: float = 20.0) -> Json:
        """The device's snapshot once its relay is closed."""
        async with asyncio.timeout(timeout_s):
            while True:
                snapshot = await self.show(serial)
                if snapshot["relay"]:
                    return snapshot
                await asyncio.sleep(0.05)

    async def wait_for_sms(self, msisdn: str, number: int = 1, *, timeout_s: float = 20.0) -> list[str]:
        """The texts of `msisdn` once there are `number` of them."""
        async with asyncio.timeout(timeout_s):
            while len(texts := await self.inbox(msisdn)) < number:
                await asyncio.sleep(0.05)
            return texts

    @property
    def tls(self) -> ssl.SSLContext:
        """Trusts the private authority of its settings, if there is one."""
        return ssl.create_default_context(cafile=self.credentials["ca"])

    @property
    def panel_key(self) -> dict[str, str]:
        return {"X-API-Key": self.credentials["panel"]["api_key"]}


@asynccontextmanager
async def running(
    data_dir: Path, *arguments: str, devices: int = 2, env: Mapping[str, str] | None = None
) -> AsyncIterator[Up]:
    """An `Up` that is started, and killed at the end if it still runs."""
    up = Up(data_dir, devices=devices, env=env)
    await up.start(*arguments)
    try:
        yield up
    finally:
        await up.kill()


def ussd_texts(device: Json, amount: int) -> list[str]:
    """The cumulative texts of a payment: menu, account, amount, confirm."""
    steps = ["1", device["account_reference"], str(amount), "1"]
    return ["", *("*".join(steps[: n + 1]) for n in range(len(steps)))]


def token_in(text: str) -> str:
    """The digits that an SMS tells the customer to type, spaces gone."""
    found = re.search(r"\*[0-9 ]+#", text)
    assert found is not None, text
    return found.group().replace(" ", "")

"""Homes: controllers of the real firmware that check in at m2m's POST /v1/log, as boards without MQTT do."""

import asyncio
import random
from base64 import b64encode
from collections.abc import Sequence

import aiohttp

from edge.device import readings_at
from edge.flash_file import new_flash
from firmware.config import Config
from firmware.controller import Controller
from firmware.hal import Hal, Readings
from firmware.state import State
from firmware.store import Ring
from protocols import topics
from simulator.development import DeviceSeed
from simulator.invariants import Lamp

AGAIN_S = 1.0  # after a check-in that failed
REPLY_S = 10.0


class HomeHal(Hal):
    """The loop's clock; a seeded chance; a flash in RAM that outlives a power cut."""

    def __init__(self, ring: Ring, rng: random.Random):
        super().__init__(ring)
        self._rng = rng
        self._loop = asyncio.get_running_loop()

    def ticks_ms(self) -> int:
        return int(self._loop.time() * 1000)

    def set_relay(self, closed: bool) -> None:
        pass

    def entropy(self, count: int) -> bytes:
        return self._rng.randbytes(count)

    def readings(self) -> Readings:
        return readings_at(0.0, seed=1, relay=False)


class Home:
    """One device; `power_cut` is what it says, between two steps."""

    def __init__(self, seed: DeviceSeed, status_interval_s: int, rng: random.Random):
        self.seed = seed
        self._config = Config(
            serial=seed.serial,
            family=seed.token_family,
            secret=bytes.fromhex(seed.secret),
            link_key=bytes.fromhex(seed.link_key),
            status_interval_s=status_interval_s,
        )
        self._hal = HomeHal(Ring(new_flash(self._config)), rng)
        self.controller = Controller(self._config, self._hal)
        self.power_cuts = 0
        login = f"{topics.encode_serial(seed.serial)}:{seed.password}".encode()
        self._headers = {
            "Authorization": "Basic " + b64encode(login).decode(),
            "Content-Type": "application/octet-stream",
        }

    def power_cut(self) -> None:
        """What was not stored is gone."""
        self.controller = Controller(self._config, self._hal)
        self.power_cuts += 1

    async def live(self, session: aiohttp.ClientSession, url: str) -> None:
        """Check in whenever there is something to send, for ever."""
        while True:
            controller, now_ms = self.controller, self._hal.ticks_ms()
            wait_s = controller.poll(now_ms) / 1000
            frame = controller.take_frame(now_ms)
            if frame is None:
                await asyncio.sleep(min(wait_s, 1.0))
                continue
            answer = await self._post(session, url, frame)
            if controller is not self.controller:
                continue  # the power was cut while it waited
            if answer is None:
                controller.uplink.rewind()
                await asyncio.sleep(AGAIN_S)
            elif answer:
                controller.receive(answer, self._hal.ticks_ms())

    async def _post(self, session: aiohttp.ClientSession, url: str, frame: bytes) -> bytes | None:
        """The answer; None: there was none."""
        try:
            async with (
                asyncio.timeout(REPLY_S),
                session.post(f"{url}/v1/log", data=frame, headers=self._headers) as answer,
            ):
                body = await answer.read()
                return body if answer.status == 200 else None
        except (TimeoutError, aiohttp.ClientError):
            return None

    def lamp(self) -> Lamp:
        """Its relay beside what its flash would give it light from after a power cut."""
        state = State(self._config, 0)
        payload = self._hal.store.load()
        if payload is not None:
            state.unpack(payload)
        return Lamp(
            self.seed.serial,
            relay=self.controller.relay,
            stored_on=state.credit.is_on(),
            pending=self.controller.uplink.pending(),
        )


class Village:
    """All homes, and their power cuts."""

    def __init__(self, seeds: Sequence[DeviceSeed], rng: random.Random, *, status_interval_s: int):
        self.homes = [Home(seed, status_interval_s, random.Random(rng.getrandbits(32))) for seed in seeds]
        self._rng = rng

    async def live(self, url: str, *, power_cut_every_s: float) -> None:
        """Everybody at once, until cancelled."""
        connector = aiohttp.TCPConnector(limit=50)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
            for home in self.homes:
                group.create_task(self._one(home, session, url))
            group.create_task(self._cuts(power_cut_every_s))

    async def _one(self, home: Home, session: aiohttp.ClientSession, url: str) -> None:
        await asyncio.sleep(self._rng.uniform(0, 3.0))  # not all in one instant
        await home.live(session, url)

    async def _cuts(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / every_s))
            self._rng.choice(self.homes).power_cut()

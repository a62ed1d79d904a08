"""A virtual device: the firmware's controller and link on any event loop, with a file (or RAM) for its flash.

The loop's clock drives it, timers instead of a task a deadline, so that thousands fit in a process and a
virtual-time loop can run days in seconds. One task connects, waits for the end of the connection, and tries
again. The network is a port (`Connect`), so that a simulated one can take its place.
"""

import asyncio
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

import structlog

from edge.flash_file import new_flash, open_device_flash
from firmware.answer import answer
from firmware.config import Config, ConfigError
from firmware.controller import Controller
from firmware.hal import Flash, Hal, Readings
from firmware.link import Link
from firmware.mqtt import MqttError
from firmware.store import Ring, StoreError
from protocols.magicbox import wire

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
CONNECT_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 1.0
STORE_RETRY_S = 1.0
LONGEST_SLEEP_S = 3600.0  # timers of some loops end at a few weeks
_DAY_S = 86_400

_log = structlog.get_logger(__name__)


class Connect(Protocol):
    """Opens a connection; `loop.create_connection` is one."""

    async def __call__(
        self, protocol_factory: Callable[[], asyncio.Protocol], host: str, port: int, /
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]: ...


class VirtualDevice:
    """One device in this process. `wall` gives unix seconds, for its sensors; `entropy` its jitter and its
    weather.

    `store` None: a device without a past, whose flash ends with the process. `may_provision`: a missing file
    makes a new device; without it the device is tampered, for one that the back end knows must not begin
    again from zero. The file is locked while the device is on.
    """

    def __init__(
        self,
        config: Config,
        *,
        password: str,
        host: str,
        port: int,
        store: Path | None,
        may_provision: bool,
        wall: Callable[[], float],
        entropy: random.Random,
        connect: Connect | None = None,
        durable: bool = True,
    ) -> None:
        self.serial = config.serial
        self._config = config
        self._password = password
        self._address = (host, port)
        self._store = store
        self._may_provision = may_provision
        self._durable = durable
        self._wall = wall
        self._entropy = entropy
        self._connect = connect
        self._running: _Running | None = None

    async def start(self) -> None:
        """Power on: start from the store and connect in the background.

        StoreError (firmware.store) for a file that is damaged, in use or another device's.
        """
        if self._running is not None:
            raise RuntimeError(f"the device {self.serial} is started already")
        loop = asyncio.get_running_loop()
        flash = self._flash()
        try:
            hal = _Hal(flash, loop.time, self._wall, self._entropy)
            controller = Controller(self._config, hal)
        except (ConfigError, StoreError):
            flash.close()
            raise
        connect: Connect = self._connect or loop.create_connection
        self._running = _Running(
            config=self._config,
            password=self._password,
            controller=controller,
            hal=hal,
            connect=connect,
            address=self._address,
            entropy=self._entropy,
        )
        self._running.start()

    async def stop(self) -> None:
        """Go offline in good order and store the state."""
        if self._running is not None:
            await self._running.stop()
            self._running = None

    def type_keys(self, digits: str) -> dict[str, object]:
        """Enter `digits` at the keypad; the answer as firmware.answer has it.

        StoreError: the store does not take what the entry changed, so there is no answer yet.
        """
        running = self._started()
        try:
            outcome = running.controller.entry(digits, running.hal.ticks_ms())
            return answer(running.controller, outcome)
        finally:
            running.turn()

    def snapshot(self) -> dict[str, object]:
        """{"serial","relay","credit_s","state","token_count","online","display"} now."""
        running = self._started()
        running.turn()
        controller = running.controller
        return {
            "serial": self.serial,
            "relay": controller.relay,
            "credit_s": controller.credit_s,
            "state": wire.STATE_NAMES[controller.status],
            "token_count": controller.token_count,
            "online": running.link.online,
            "display": list(controller.display),
        }

    def pending_records(self) -> int:
        """How many records wait for their acknowledgement."""
        return self._started().controller.uplink.pending()

    def _started(self) -> "_Running":
        if self._running is None:
            raise RuntimeError(f"the device {self.serial} is not started")
        return self._running

    def _flash(self) -> Flash:
        if self._store is None:
            return new_flash(self._config)
        return open_device_flash(
            self._store, self._config, durable=self._durable, may_provision=self._may_provision
        )


class _Hal(Hal):
    """The loop's clock, and sensors that follow the sun."""

    __slots__ = ("_entropy", "_relay", "_seed", "_time", "_wall")

    def __init__(
        self,
        flash: Flash,
        time: Callable[[], float],
        wall: Callable[[], float],
        entropy: random.Random,
    ) -> None:
        super().__init__(Ring(flash))
        self._time = time
        self._wall = wall
        self._entropy = entropy
        self._seed = entropy.randrange(2**32)
        self._relay = False

    def ticks_ms(self) -> int:
        return int(self._time() * 1000)

    def set_relay(self, closed: bool) -> None:
        self._relay = closed

    def entropy(self, count: int) -> bytes:
        return self._entropy.randbytes(count)

    def readings(self) -> Readings:
        return readings_at(self._wall(), seed=self._seed, relay=self._relay)


class _Running:
    """A device that is switched on."""

    def __init__(
        self,
        *,
        config: Config,
        password: str,
        controller: Controller,
        hal: _Hal,
        connect: Connect,
        address: tuple[str, int],
        entropy: random.Random,
    ) -> None:
        self._serial = config.serial
        self._config = config
        self._password = password
        self.hal = hal
        self.controller = controller
        self.link = self._new_link()
        self._connect = connect
        self._address = address
        self._entropy = entropy
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._ended = asyncio.Event()
        self._was_online = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.turn()
        self._task = self._loop.create_task(self._stay_connected(), name="device-connection")

    async def stop(self) -> None:
        now_ms = self.hal.ticks_ms()
        if self._transport is not None:
            self.link.leave(now_ms)
            self._transport.write(self.link.output())
            self._transport.close()
            await self._end_within(CLOSE_TIMEOUT_S)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        try:
            self.controller.poll(now_ms)
            self.controller.save()
        except StoreError as error:
            self._store_failed(error)
        self.hal.store.close()

    def turn(self) -> None:
        """Do what is due, send what is ready, and set the timer for the next deadline."""
        wait_s = STORE_RETRY_S
        try:
            wait_s = self._do() / 1000
        except StoreError as error:
            self._store_failed(error)
        except MqttError as error:
            self._drop(error)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(min(wait_s, LONGEST_SLEEP_S), self.turn)

    def _new_link(self) -> Link:
        settings = self.controller.settings
        return Link(self._serial, self._password, self.controller, settings.keep_alive_s)

    def _reboot(self) -> None:
        """What a RESET does to a board: the connection is gone, the state comes from the store."""
        self.controller.save()
        self.controller = Controller(self._config, self.hal)
        self.link.closed()
        self.link = self._new_link()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def _do(self) -> int:
        now_ms = self.hal.ticks_ms()
        wait_ms = self.controller.poll(now_ms)
        if self.controller.wants_reset:
            self._reboot()
            wait_ms = self.controller.poll(now_ms)
        if self._transport is not None:
            wait_ms = min(wait_ms, self.link.poll(now_ms))
            self._transport.write(self.link.output())
        return wait_ms

    def opened(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.link.keep_alive_s = self.controller.settings.keep_alive_s  # a CONFIG may have come
        self.link.opened(self.hal.ticks_ms())
        self.turn()

    def received(self, data: bytes) -> None:
        try:
            self.link.received(data, self.hal.ticks_ms())
        except MqttError as error:
            self._drop(error)
        except StoreError as error:
            self._store_failed(error)
        self.turn()

    def closed(self, error: Exception | None) -> None:
        _log.debug("device_connection_lost", serial=self._serial, reason=str(error))
        self._transport = None
        self._was_online = self.link.online
        self.link.closed()
        self._ended.set()

    def _store_failed(self, error: StoreError) -> None:
        """The controller keeps what is unsaved and tries again at the next turn."""
        _log.error("device_store_failed", serial=self._serial, reason=str(error))

    def _drop(self, error: MqttError) -> None:
        _log.info("device_connection_dropped", serial=self._serial, reason=error.reason)
        if self._transport is not None:
            self._transport.abort()

    async def _end_within(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()

    async def _stay_connected(self) -> None:
        """Connect, wait for the end, pause, and so on; the pause doubles until a login succeeds."""
        pause_s = FIRST_RETRY_S
        while True:
            self._ended.clear()
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await self._connect(lambda: _MqttTransport(self), *self._address)
                await self._ended.wait()
                if self._was_online:
                    pause_s = FIRST_RETRY_S
            except OSError as error:  # TimeoutError is one
                _log.debug("device_connect_failed", serial=self._serial, reason=str(error))
            await asyncio.sleep(pause_s * (0.5 + self._entropy.random()))
            pause_s = min(2 * pause_s, LONGEST_RETRY_S)


class _MqttTransport(asyncio.Protocol):
    """Hands the events of one connection to its device."""

    __slots__ = ("_device",)

    def __init__(self, device: _Running) -> None:
        self._device = device

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._device.opened(cast("asyncio.Transport", transport))  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._device.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._device.closed(exc)


def readings_at(unix_s: float, *, seed: int, relay: bool) -> Readings:
    """What the sensors of device `seed` say: the panel follows the sun, the battery and the warmth come after
    it.

    Some devices have more cloud and older batteries than others. Sunrise is at 6:00 UTC+3 (East Africa).
    """
    clouds = 0.55 + 0.45 * math.sin(seed % 997 + unix_s // _DAY_S)  # another each day
    day = (unix_s + 3 * 3600) % _DAY_S / _DAY_S
    sun = max(0.0, -math.cos(2 * math.pi * day)) * (0.4 + 0.6 * clouds)
    charge = 0.5 - 0.5 * math.cos(2 * math.pi * (day - 0.15))  # fullest in the afternoon
    evening = 1.0 if day > 0.75 or day < 0.25 else 0.4
    return Readings(
        battery_mv=12_000 + seed % 150 + int(1_500 * charge),
        panel_mv=int(18_500 * min(1.0, 3 * sun)),
        load_ma=int((250 + seed % 200) * evening) if relay else 0,
        temperature_dc=190 + int(120 * charge) + seed % 20,
    )

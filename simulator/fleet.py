"""The devices of a world: virtual ones, each with a file for its flash.

A device is provisioned once: a marker beside its file says that it was. With the marker and without the file
somebody has taken the device's memory away, and with it the tokens that it has used: it runs as tampered, and
grants nothing before a sync.
"""

import asyncio
import random
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from backend.kit.runtime import Clock
from edge.device import Connect, VirtualDevice
from firmware.config import Config
from firmware.hal.unix import read_flash
from firmware.state import State
from firmware.store import Ring, StoreError
from protocols import topics
from simulator.development import DeviceSeed
from simulator.invariants import Lamp

_log = structlog.get_logger(__name__)


class Fleet:
    """`devices` that are on, by serial. Files are kept in `folder`, named by the encoded serial."""

    def __init__(
        self,
        *,
        seeds: Sequence[DeviceSeed],
        folder: Path,
        host: str,
        port: int,
        status_interval_s: int,
        clock: Clock,
        rng: random.Random,
        tls: ssl.SSLContext | None = None,
    ):
        self._folder = folder
        self._configs = {seed.serial: _config(seed, status_interval_s) for seed in seeds}
        self.devices: dict[str, VirtualDevice] = {}
        self._all = {
            seed.serial: VirtualDevice(
                self._configs[seed.serial],
                password=seed.password,
                host=host,
                port=port,
                store=self._file(seed.serial),
                may_provision=not self._marker(seed.serial).exists(),
                wall=lambda: clock.now_ms() / 1000,
                entropy=random.Random(rng.randrange(2**32)),  # noqa: S311 - weather and jitter of a simulation
                connect=None if tls is None else _over(tls),
            )
            for seed in seeds
        }

    async def start(self) -> None:
        """Power every device on; they connect in the background. One without a good store stays off."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for serial, device in self._all.items():
            if self._marker(serial).exists() and not self._file(serial).exists():
                _log.error("device_tampered", serial=serial, reason="the flash is missing")
            try:
                await device.start()
            except (StoreError, OSError) as error:
                _log.error("device_refused", serial=serial, reason=str(error))
                continue
            self._marker(serial).touch()
            self.devices[serial] = device

    def lamps(self) -> list[Lamp]:
        """Each device's relay beside what its flash would give it light from after a power cut."""
        return [
            Lamp(
                serial,
                relay=bool(device.snapshot()["relay"]),
                stored_on=self._stored_on(serial),
                pending=device.pending_records(),
            )
            for serial, device in self.devices.items()
        ]

    def _stored_on(self, serial: str) -> bool:
        state = State(self._configs[serial], 0)
        try:
            payload = Ring(read_flash(str(self._file(serial)))).load()
        except (StoreError, OSError):  # taken away while the device runs
            payload = None
        if payload is not None:
            state.unpack(payload)
        return state.credit.is_on()

    def _file(self, serial: str) -> Path:
        return self._folder / f"{topics.encode_serial(serial)}.flash"

    def _marker(self, serial: str) -> Path:
        return self._folder / f"{topics.encode_serial(serial)}.provisioned"

    async def stop(self) -> None:
        """Power every device off in good order."""
        for device in self._all.values():
            await device.stop()
        self.devices.clear()


def _over(tls: ssl.SSLContext) -> Connect:
    async def connect(
        protocol_factory: Callable[[], asyncio.Protocol], host: str, port: int, /
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        return await asyncio.get_running_loop().create_connection(protocol_factory, host, port, ssl=tls)

    return connect


def _config(seed: DeviceSeed, status_interval_s: int) -> Config:
    is_openpaygo = seed.token_family == "openpaygo"  # noqa: S105 - a family
    return Config(
        serial=seed.serial,
        family=seed.token_family,
        secret=bytes.fromhex(seed.secret),
        link_key=bytes.fromhex(seed.link_key),
        starting_code=seed.starting_code if is_openpaygo else None,
        status_interval_s=status_interval_s,
    )

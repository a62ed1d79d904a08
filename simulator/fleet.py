"""The devices of a world: virtual ones, each with a file for its flash."""

import random
from collections.abc import Sequence
from pathlib import Path

from backend.kit.runtime import Clock
from edge.device import VirtualDevice
from firmware.config import Config
from firmware.hal.unix import open_flash
from firmware.state import State
from firmware.store import Store
from protocols import topics
from simulator.development import DeviceSeed
from simulator.invariants import Lamp


class Fleet:
    """`devices` by serial. Files are kept in `folder`, named by the encoded serial."""

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
    ):
        self._folder = folder
        self._configs = {seed.serial: _config(seed, status_interval_s) for seed in seeds}
        self.devices: dict[str, VirtualDevice] = {
            seed.serial: VirtualDevice(
                self._configs[seed.serial],
                password=seed.password,
                host=host,
                port=port,
                store=self._file(seed.serial),
                wall=lambda: clock.now_ms() / 1000,
                entropy=random.Random(rng.randrange(2**32)),  # noqa: S311 - weather and jitter of a simulation
            )
            for seed in seeds
        }

    async def start(self) -> None:
        """Power every device on; they connect in the background."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for device in self.devices.values():
            await device.start()

    def lamps(self) -> list[Lamp]:
        """Each device's relay beside what its flash would give it light from after a power cut."""
        return [
            Lamp(serial, bool(device.snapshot()["relay"]), self._stored_on(serial))
            for serial, device in self.devices.items()
        ]

    def _stored_on(self, serial: str) -> bool:
        config = self._configs[serial]
        payload = Store(open_flash(str(self._file(serial)), config, False)).load()
        state = State(config, 0)
        if payload is not None:
            state.unpack(payload)
        return state.credit.is_on()

    def _file(self, serial: str) -> Path:
        return self._folder / f"{topics.encode_serial(serial)}.flash"

    async def stop(self) -> None:
        """Power every device off in good order."""
        for device in self.devices.values():
            await device.stop()


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

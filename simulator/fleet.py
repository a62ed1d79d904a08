"""The devices of a world: virtual ones, each with a file for its flash."""

import random
from collections.abc import Sequence
from pathlib import Path

from backend.kit.runtime import Clock
from edge.device import VirtualDevice
from firmware.config import Config
from protocols import topics
from simulator.development import DeviceSeed


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
        self.devices: dict[str, VirtualDevice] = {
            seed.serial: VirtualDevice(
                _config(seed, status_interval_s),
                password=seed.password,
                host=host,
                port=port,
                store=folder / f"{topics.encode_serial(seed.serial)}.flash",
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

"""A controller on a bench: NOR flash that can lose power, a clock moved by hand, a back end that seals."""

import random
from collections.abc import Callable
from itertools import count

from openpaygo.token_encode import OpenPAYGOTokenEncoder

from firmware.config import Config
from firmware.controller import Controller, Outcome
from firmware.file_store import FileStore
from firmware.hal import SECTOR_SIZE, Flash, Hal, Readings
from firmware.hal.files import Files
from firmware.state import provision
from firmware.store import SECTORS, Ring
from protocols.magicbox import seal, wire
from protocols.tokens import moto

DAY_S = 86_400
MOTO_SECRET = bytes.fromhex("00112233aabbcc")
K1 = bytes.fromhex("bc41ec9530f6dac86b1a29ab82edc5fb")
K1_STARTING_CODE = 516959010
LINK_KEY = bytes(range(16))

_LONGEST_WAIT_MS = 10 * DAY_S * 1000  # a longer one is a clock that jumped

CUTS = ("nothing", "prefix", "random", "complete")


class PowerCut(Exception):
    """The power went during a flash operation."""


class NorFlash(Flash):
    """Programming only clears bits. The power goes in the `cut_at`-th operation, in one of CUTS' ways."""

    __slots__ = ("cut", "cut_at", "erases", "operations")

    def __init__(self, image: bytes = b"\xff" * (SECTORS * SECTOR_SIZE)) -> None:
        super().__init__(image)
        self.operations = 0
        self.cut_at = -1
        self.cut = "complete"
        self.erases = [0] * (len(image) // SECTOR_SIZE)

    def writeblocks(self, block: int, buf: bytes, offset: int = 0) -> None:
        start = block * SECTOR_SIZE + offset
        old = bytes(self._image[start : start + len(buf)])
        self._change(start, bytes(a & b for a, b in zip(old, buf, strict=True)))

    def ioctl(self, op: int, arg: int) -> int:
        if op != 6:
            return super().ioctl(op, arg)
        self.erases[arg] += 1
        self._change(arg * SECTOR_SIZE, b"\xff" * SECTOR_SIZE)
        return 0

    def _change(self, start: int, new: bytes) -> None:
        operation = self.operations
        self.operations += 1
        old = bytes(self._image[start : start + len(new)])
        if operation == self.cut_at:
            new = self._torn(old, new)
        self._image[start : start + len(new)] = new
        if operation == self.cut_at:
            raise PowerCut

    def _torn(self, old: bytes, new: bytes) -> bytes:
        chance = random.Random(self.cut_at)
        if self.cut == "nothing":
            return old
        if self.cut == "prefix":
            split = chance.randrange(len(new))
            return new[:split] + old[split:]
        if self.cut == "random":
            masks = chance.randbytes(len(new))
            return bytes((a & m) | (b & ~m & 0xFF) for a, b, m in zip(old, new, masks, strict=True))
        return new


class BenchHal(Hal):
    """Remembers what the relay was told. Each look at the clock takes `tick_ms`."""

    __slots__ = ("now_ms", "relay", "tick_ms")

    def __init__(self, flash: Flash, store: Ring | FileStore | None = None) -> None:
        super().__init__(store or Ring(flash), Files())
        self.now_ms = 0
        self.tick_ms = 0
        self.relay: bool | None = None

    def ticks_ms(self) -> int:
        self.now_ms += self.tick_ms
        return self.now_ms

    def set_relay(self, closed: bool) -> None:
        self.relay = closed

    def readings(self) -> Readings:
        return Readings(12_800, 17_000, 300, 251)


class Bench:
    """One provisioned device, switched on. `flash` survives `reboot`; `store_of` makes the store on it."""

    def __init__(
        self,
        config: Config,
        flash: Flash | None = None,
        *,
        sequence: int = 0,
        store_of: Callable[[Flash], Ring | FileStore] = Ring,
    ) -> None:
        self.config = config
        self.flash = flash or NorFlash()
        self._store_of = store_of
        if flash is None:
            provision(config, store_of(self.flash))
        self.epoch = 0
        self._down = seal.LinkKeys(LINK_KEY, seal.DOWN)
        self._up = seal.LinkKeys(LINK_KEY, seal.UP)
        self._sequences = count(sequence)
        self.sent: list[tuple[int, int]] = []
        self.hal: BenchHal
        self.controller: Controller
        self.reboot()

    def reboot(self) -> None:
        """Power off and on again."""
        now_ms = self.hal.now_ms if hasattr(self, "hal") else 0
        self.hal = BenchHal(self.flash, self._store_of(self.flash))
        self.hal.now_ms = now_ms
        self.controller = Controller(self.config, self.hal)

    def enter(self, digits: str | int) -> Outcome:
        return self.controller.entry(str(digits), self.hal.now_ms)

    def type_keys(self, keys: str) -> Outcome | None:
        """Key by key, a tenth of a second each, the controller polled in between; the outcome of the last."""
        outcome = None
        for key in keys:
            outcome = self.controller.key(key, self.hal.now_ms)
            self.wait(0.1)
        return outcome or self.controller.take_outcome()

    def result(self, digits: str | int) -> str:
        return wire.RESULT_NAMES[self.enter(digits).result]

    def wait(self, seconds: float) -> None:
        end_ms = self.hal.now_ms + round(seconds * 1000)
        while self.hal.now_ms < end_ms:
            self.hal.now_ms = min(end_ms, self.hal.now_ms + _LONGEST_WAIT_MS)
            self.controller.poll(self.hal.now_ms)

    def sealed(self, *records: wire.Record) -> bytes:
        """A frame down."""
        return seal.seal(self._down, self.epoch, next(self._sequences), wire.encode_records(records), True)

    def receive(self, frame: bytes) -> bool:
        return self.controller.receive(frame, self.hal.now_ms)

    def command(self, *records: wire.Record) -> bool:
        return self.receive(self.sealed(*records))

    def reports(self) -> list[wire.Record]:
        """All records that the device sends now."""
        records: list[wire.Record] = []
        while (frame := self.controller.take_frame(self.hal.now_ms)) is not None:
            header, body = seal.unseal(self._up, frame)
            self.sent.append((header.epoch, header.sequence))
            records += wire.decode_records(body)
        return records

    def acknowledge_all(self, *commands: wire.Record) -> list[wire.Record]:
        """All records that the device sends now, acknowledged in a frame with `commands`."""
        records = self.reports()
        numbers = [record.record for record in records if not isinstance(record, wire.Unknown)]
        self.command(*[wire.Ack(number, number) for number in numbers], *commands)
        return records


def moto_bench(**settings: object) -> Bench:
    return Bench(moto_config(**settings))


def moto_config(**settings: object) -> Config:
    return Config(serial="T/1", family="moto", secret=MOTO_SECRET, link_key=LINK_KEY, **settings)


def openpaygo_config(**settings: object) -> Config:
    return Config(
        serial="T/2",
        family="openpaygo",
        secret=K1,
        starting_code=K1_STARTING_CODE,
        link_key=LINK_KEY,
        **settings,
    )


def openpaygo_bench(**settings: object) -> Bench:
    return Bench(openpaygo_config(**settings))


def moto_token(command: str, payload: int, sequence_number: int) -> str:
    return str(moto.encode(MOTO_SECRET, moto.COMMAND_CODES[command], payload, sequence_number))


def opg_token(value: int, token_count: int, *, extended: bool = False) -> str:
    """The token of a raw value at a count, by the package that is the oracle for encoding."""
    encode = (
        OpenPAYGOTokenEncoder.generate_extended_token
        if extended
        else OpenPAYGOTokenEncoder.generate_standard_token
    )
    before, kind = (token_count - 2, 1) if token_count % 2 == 0 else (token_count - 2, 2)
    reached, token = encode(K1_STARTING_CODE, K1, value, before, kind)
    assert reached == token_count
    return token

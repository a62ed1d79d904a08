"""A device on a bench in the MicroPython subset: like tests/firmware/rig.py, but it also runs on a board.

Flash in RAM, a clock moved by hand, a back end that seals.
"""

from firmware.config import Config
from firmware.controller import Controller
from firmware.hal import SECTOR_SIZE, Hal, Readings
from firmware.state import provision
from firmware.store import Ring
from protocols.magicbox import seal, wire
from protocols.tokens import moto, openpaygo

DAY_S = 86_400
LINK_KEY = bytes(range(16))
MOTO_SECRET = bytes((0x00, 0x11, 0x22, 0x33, 0xAA, 0xBB, 0xCC))
OPENPAYGO_SECRET = bytes(range(16))
STARTING_CODE = 516959010


class PowerCut(Exception):
    """The power went during a flash operation."""


class CutFlash:
    """NOR flash that takes no more memory than what is written. The power goes in the `cut_at`-th operation,
    when half of it is done."""

    def __init__(self, sectors=2):
        self._sectors = sectors
        self._written = {}  # (block, offset) -> bytes
        self.operations = 0
        self.cut_at = -1

    def readblocks(self, block, buf, offset=0):
        for place in range(len(buf)):
            buf[place] = 0xFF
        for (written_block, start), data in self._written.items():
            first = max(start, offset)
            end = min(start + len(data), offset + len(buf))
            if written_block == block and first < end:
                buf[first - offset : end - offset] = data[first - start : end - start]

    def writeblocks(self, block, buf, offset=0):
        cuts = self._cuts()
        self._written[(block, offset)] = bytes(buf[: len(buf) // 2] if cuts else buf)
        if cuts:
            raise PowerCut

    def ioctl(self, op, arg):
        if op == 4:
            return self._sectors
        if op == 5:
            return SECTOR_SIZE
        cuts = self._cuts()
        for block, offset in list(self._written):
            if block == arg and not (cuts and offset):
                del self._written[(block, offset)]
        if cuts:
            raise PowerCut
        return 0

    def close(self):
        pass

    def _cuts(self):
        operation = self.operations
        self.operations += 1
        return operation == self.cut_at


class BenchHal(Hal):
    """Remembers what it was told."""

    def __init__(self, flash):
        super().__init__(Ring(flash))
        self.now_ms = 0
        self.relay = None
        self.lines = ("", "")

    def ticks_ms(self):
        return self.now_ms

    def set_relay(self, closed):
        self.relay = closed

    def show(self, first, second):
        self.lines = (first, second)

    def readings(self):
        return Readings(12_800, 17_000, 300, 251)


class Bench:
    """One provisioned device, switched on. `flash` survives `reboot`."""

    def __init__(self, family="moto", **settings):
        is_moto = family == "moto"
        self.config = Config(
            serial="T/1",
            family=family,
            secret=MOTO_SECRET if is_moto else OPENPAYGO_SECRET,
            starting_code=None if is_moto else STARTING_CODE,
            link_key=LINK_KEY,
            **settings,
        )
        self.flash = CutFlash()
        provision(self.config, Ring(self.flash))
        self._down = seal.LinkKeys(LINK_KEY, seal.DOWN)
        self._up = seal.LinkKeys(LINK_KEY, seal.UP)
        self.sequence = 0
        self.hal = None
        self.reboot()

    def reboot(self):
        now_ms = self.hal.now_ms if self.hal else 0
        self.controller = None
        self.hal = BenchHal(self.flash)
        self.hal.now_ms = now_ms
        self.controller = Controller(self.config, self.hal)

    def enter(self, digits):
        return self.controller.entry(str(digits), self.hal.now_ms)

    def result(self, digits):
        return wire.RESULT_NAMES[self.enter(digits).result]

    def wait(self, seconds):
        self.hal.now_ms += seconds * 1000
        return self.controller.poll(self.hal.now_ms)

    def sealed(self, *records):
        self.sequence += 1
        return seal.seal(self._down, 0, self.sequence, wire.encode_records(records), True)

    def command(self, *records):
        return self.controller.receive(self.sealed(*records), self.hal.now_ms)

    def report(self):
        """The records of the next frame up; none when nothing is due."""
        frame = self.controller.take_frame(self.hal.now_ms)
        return wire.decode_records(seal.unseal(self._up, frame)[1]) if frame is not None else []

    def reports(self):
        """All records that the device sends now."""
        records = []
        more = self.report()
        while more:
            records += more
            more = self.report()
        return records

    def acknowledge_all(self):
        records = self.reports()
        self.command(*[wire.Ack(record.record, record.record) for record in records])
        return records


def moto_token(command, payload, number):
    return moto.encode(MOTO_SECRET, moto.COMMAND_CODES[command], payload, number)


def opg_token(value, count, extended=False):
    number = openpaygo.encode(OPENPAYGO_SECRET, STARTING_CODE, count, value, extended)
    return openpaygo.format_token(number, extended)

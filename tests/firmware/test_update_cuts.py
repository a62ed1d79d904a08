"""The power goes at every program and erase of an update, four ways: the old version or the new one starts.

Everything is on one littlefs: both slots, the part of the image, the boot record and the state of the
controller (file_store.py). What is cut is the whole way: the UPDATE command, the download in chunks, the
unpacking, the boot record, the attempts, the confirmation or the way back, and the answer.
"""

from collections.abc import Callable
from contextlib import suppress
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import boot
from firmware.controller import Controller
from firmware.credit import FIRST_SAVE_S
from firmware.file_store import FileStore
from firmware.hal import Hal
from firmware.state import provision
from protocols.magicbox import seal, wire
from tests.firmware.little_files import LittleFiles
from tests.firmware.rig import (
    CUTS,
    DAY_S,
    LINK_KEY,
    NorFlash,
    PowerCut,
    moto_config,
    moto_token,
)
from tests.firmware.update_rig import FILE, NEW, NEW_IMAGE, OLD, Board, Service, blank_board, order_of

CONFIG = moto_config()
COMMAND_ID = 7
OK = (wire.COMMAND_RESULT_OK, b"0.1.0")
ROLLED_BACK = (wire.COMMAND_RESULT_REJECTED, b"rolled back")
BOOTS = 40  # at most, each of which may cost FIRST_SAVE_S of credit

_down = seal.LinkKeys(LINK_KEY, seal.DOWN)
_sequences = count()


def _command() -> bytes:
    """The UPDATE, which the back end repeats until it is answered."""
    order = order_of(command_id=COMMAND_ID)
    update = wire.Update(COMMAND_ID, order.size, order.sha256, FILE.encode())
    return seal.seal(_down, 0, next(_sequences), wire.encode_records([update]), True)


class Device(Board):
    """One power-up with the real controller."""

    def __init__(self, files: LittleFiles) -> None:
        self.controller = Controller(CONFIG, Hal(FileStore(files), files))
        super().__init__(files, self.controller)

    def hear_and_work(self) -> None:
        assert self.controller.receive(_command(), self.now_ms)
        self.controller.poll(self.now_ms)
        self.run(Service())

    def answer(self) -> tuple[int, bytes] | None:
        return self.controller.results.find(COMMAND_ID)


def _update(files: LittleFiles) -> Device:
    """Power-ups until the command is answered."""
    for _ in range(4):
        device = Device(files)
        device.hear_and_work()
        if not device.updater.wants_reset:
            return device
    raise AssertionError("the update does not end")


def _broken_update(files: LittleFiles) -> Device:
    """The new version falls over before it reaches anybody."""
    for _ in range(3 + boot.MAX_ATTEMPTS):
        if boot.choose(files.open) == "/b":
            continue
        device = Device(files)
        device.hear_and_work()
        if not device.updater.wants_reset:
            return device
    raise AssertionError("the way back does not end")


def _used_device() -> bytes:
    """The flash of a device that has had a token."""
    files = blank_board()
    files.mkdir("/b")
    files.mkdir("/b/older")
    files.write("/b/older/main.py", b"the version before the old one")
    provision(CONFIG, FileStore(files))
    controller = Controller(CONFIG, Hal(FileStore(files), files))
    controller.entry(moto_token("unlock_relative", 30, 12), 0)
    return files.flash.image()


USED = _used_device()


def _check_the_start(files: LittleFiles) -> None:
    """What would start now is a whole version, and the controller's state is what it was."""
    slot = boot.SLOTS[boot.load(files.open).chosen()]
    version = {path.removeprefix(slot + "/"): data for path, data in files.tree(slot).items()}
    assert version in (OLD, NEW)
    controller = Controller(CONFIG, Hal(FileStore(files), files))
    assert 30 * DAY_S - BOOTS * FIRST_SAVE_S <= controller.credit_s <= 30 * DAY_S
    assert controller.token_count == 12
    answer = controller.results.find(COMMAND_ID)
    if answer is not None:
        assert boot.load(files.open).phase == (boot.CONFIRMED if answer == OK else boot.ROLLED_BACK)
    for name in files.listdir("/"):
        if name.startswith("update."):
            assert NEW_IMAGE.startswith(files.content("/" + name))


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("update", "running", "version"), [(_update, "/b", NEW), (_broken_update, "/a", OLD)]
)
def test_old_or_new_after_a_cut(
    update: Callable[[LittleFiles], Device],
    running: str,
    version: dict[str, bytes],
    cut: str,
    record_property: Callable[[str, object], None],
) -> None:
    cuts = 0
    while True:
        flash = NorFlash(USED)
        flash.cut, flash.cut_at = cut, cuts
        files = LittleFiles(flash)
        try:
            update(files)
            break
        except PowerCut:
            cuts += 1
        flash = NorFlash(flash.image())
        _check_the_start(LittleFiles(NorFlash(flash.image())))
        device = update(LittleFiles(flash))
        assert (device.running, device.version()) == (running, version)
        assert device.answer() == (OK if version is NEW else ROLLED_BACK)
        assert not [name for name in device.files.listdir("/") if name.startswith("update.")]
    record_property("power cuts of an update", cuts)
    assert cuts > 50


@given(
    cuts=st.lists(st.tuples(st.integers(0, 60), st.sampled_from(CUTS)), min_size=2, max_size=12),
    is_good=st.booleans(),
)
def test_any_number_of_cuts(cuts: list[tuple[int, str]], is_good: bool) -> None:
    """One cut after another, each so many operations into what follows the last."""
    update = _update if is_good else _broken_update
    image = USED
    for cut_at, cut in cuts:
        flash = NorFlash(image)
        flash.cut, flash.cut_at = cut, cut_at
        with suppress(PowerCut):
            update(LittleFiles(flash))
        image = flash.image()
        _check_the_start(LittleFiles(NorFlash(image)))
    device = update(LittleFiles(NorFlash(image)))
    assert device.answer() in ((OK, ROLLED_BACK) if is_good else (ROLLED_BACK,))
    assert device.version() == (NEW if device.answer() == OK else OLD)

"""The power goes at every program and erase of a token entry and of each kind of command, four ways, in both
kinds of store: afterwards the device is in the old state or the new one, and the lamp never burns in the old.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import count

import pytest

from firmware.file_store import FileStore
from firmware.hal import Flash
from firmware.store import Ring
from protocols.magicbox import reset, wire
from tests.firmware.little_files import LittleFiles
from tests.firmware.rig import (
    CUTS,
    DAY_S,
    MOTO_SECRET,
    Bench,
    NorFlash,
    PowerCut,
    moto_config,
    moto_token,
    openpaygo_config,
    opg_token,
)

ID = 77
TOKEN = moto_token("unlock_relative", 30, 12)


def _on_files(flash: Flash) -> FileStore:
    assert isinstance(flash, NorFlash)
    is_new = flash.image() == b"\xff" * len(flash.image())
    return FileStore(LittleFiles(flash, is_new=is_new))


STORES: dict[str, Callable[[Flash], Ring | FileStore]] = {"ring": Ring, "files": _on_files}


@dataclass(frozen=True)
class Act:
    """What is done to a device while the power goes: keys, or a command. `lights`: it ends with light.

    `tampered`: on a device whose store was erased.
    """

    name: str
    family: str = "moto"
    keys: str = ""
    record: wire.Record | None = None
    lights: bool = False
    tampered: bool = False

    def run(self, bench: Bench) -> None:
        if self.record is None:
            bench.type_keys(self.keys)
        else:
            bench.epoch = bench.controller._core.state.channel._down_epoch
            bench.acknowledge_all(self.record)
        bench.wait(0.1)
        bench.reports()
        bench.wait(1.1)


ACTS = [
    Act("token entry, moto", keys=f"*{TOKEN}#", lights=True),
    Act("token entry, openpaygo", "openpaygo", f"*{opg_token(30, 12)}#", lights=True),
    Act("wrong entry", keys="*123456789#"),
    Act("TOKEN", record=wire.Token(ID, TOKEN.encode()), lights=True),
    Act("TOKEN, openpaygo", "openpaygo", record=wire.Token(ID, opg_token(30, 12).encode()), lights=True),
    Act("TOKEN, refused", record=wire.Token(ID, b"123456789")),
    Act("SYNC", record=wire.Sync(ID, 40)),
    Act("SYNC, tampered", record=wire.Sync(ID, 40), tampered=True),
    Act("counter sync, tampered", keys=f"*{moto_token('counter_sync', 40, 41)}#", tampered=True),
    Act("SYNCIV", record=wire.SyncIv(ID, 7)),
    Act("RESET soft", record=wire.Reset(ID, wire.RESET_KIND_SOFT, bytes(8))),
    Act(
        "RESET factory",
        record=wire.Reset(ID, wire.RESET_KIND_FACTORY, reset.factory_signature(MOTO_SECRET, "T/1", 3)),
    ),
    Act("USERACCT", record=wire.UserAcct(ID, wire.USER_FIELD_NAME, b"Amina")),
    Act("CONFIG", record=wire.Config(ID, wire.CONFIG_KEY_STATUS_INTERVAL_S, b"60")),
    Act("TIME", record=wire.Time(1_800_000_000)),
    Act("UPDATE", record=wire.Update(ID, 1000, bytes(32), b"firmware.img")),
]


def _facts(bench: Bench) -> tuple[object, ...]:
    """Everything that an act may change, and that the next start tells."""
    controller = bench.controller
    state = controller._core.state
    throttle = state.throttle
    order = controller.update_order
    return (
        controller.token_count,
        -(-controller.credit_s // DAY_S),
        controller.status,
        controller.results.find(ID),
        (state.counters.pack(), state.checkpoints.pack()),
        (throttle.errors, throttle.budget, throttle.closed),
        (state.user.name, state.user.language, state.user.has_pin),
        (controller.settings.status_interval_s, controller.settings.links),
        (state.channel._up_epoch, state.channel._down_epoch),
        order and order.command_id,
        state.is_tampered,
    )


@cache
def _image(family: str, store: str, saves: int, tampered: bool) -> bytes:
    """The flash of a device that was used, has no credit left, and saved `saves` times more."""
    if tampered:
        bench = Bench(moto_config(), NorFlash(), store_of=STORES[store])
        for _ in range(saves):
            bench.controller.save()
        return bench.flash.image()
    if family == "moto":
        config, first = moto_config(), moto_token("unlock_relative", 1, 3)
    else:
        config, first = openpaygo_config(last_count=1), opg_token(1, 4)
    bench = Bench(config, store_of=STORES[store])
    assert bench.result(first) == "accepted"
    bench.enter("1")
    bench.command(wire.UserAcct(1, wire.USER_FIELD_PIN, b"1234"))
    bench.acknowledge_all()
    bench.wait(2 * DAY_S)
    for _ in range(saves):
        bench.controller.save()
    return bench.flash.image()


def _bench(act: Act, store: str, image: bytes) -> Bench:
    config = moto_config() if act.family == "moto" else openpaygo_config(last_count=1)
    return Bench(config, NorFlash(image), sequence=1000, store_of=STORES[store])


def _check_cut(act: Act, bench: Bench, old: tuple[object, ...], new: tuple[object, ...]) -> None:
    """After the cut: old or new, the lamp off in the old, and doing it again ends in the new."""
    had_light = bench.hal.relay is True
    bench.reboot()
    after = _facts(bench)
    assert after in (old, new)
    assert not had_light or after == new
    assert bench.hal.relay is (act.lights and after == new)
    act.run(bench)
    assert _facts(bench)[:3] == new[:3]
    assert _facts(bench)[6:] == new[6:]


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_old_or_new_after_a_cut(act: Act, store: str, record_property: Callable[[str, object], None]) -> None:
    cuts = 0
    for saves in range(2):  # the act falls on either page of a sector, and on its erase
        image = _image(act.family, store, saves, act.tampered)
        old = _facts(_bench(act, store, image))
        uncut = _bench(act, store, image)
        act.run(uncut)
        uncut.reboot()
        new = _facts(uncut)
        assert (uncut.hal.relay is True) == act.lights
        for cut in CUTS:
            for cut_at in count():
                bench = _bench(act, store, image)
                flash = bench.flash
                assert isinstance(flash, NorFlash)
                flash.cut, flash.cut_at = cut, flash.operations + cut_at
                try:
                    act.run(bench)
                except PowerCut:
                    cuts += 1
                    flash.cut_at = -1
                    _check_cut(act, bench, old, new)
                    continue
                break
    record_property(f"power cuts of a {'token entry' if act.keys else 'command'} ({store})", cuts)
    assert cuts >= len(CUTS)


def test_the_relay_closes_only_after_the_state_is_stored() -> None:
    bench = Bench(moto_config())
    flash = bench.flash
    assert isinstance(flash, NorFlash)
    flash.cut, flash.cut_at = "nothing", flash.operations
    with pytest.raises(PowerCut):
        bench.type_keys(f"*{TOKEN}#")
    assert bench.hal.relay is False
    flash.cut_at = -1
    bench.reboot()
    assert bench.hal.relay is False
    assert bench.controller.credit_s == 0
    bench.type_keys(f"*{TOKEN}#")
    assert bench.hal.relay is True


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_while_a_wiped_store_is_noticed_gives_no_second_chance(cut: str) -> None:
    for cut_at in range(2):
        flash = NorFlash()
        flash.cut, flash.cut_at = cut, cut_at
        with pytest.raises(PowerCut):
            Bench(moto_config(), flash)
        flash.cut_at = -1
        bench = Bench(moto_config(), flash)
        assert bench.controller.status == wire.STATE_TAMPERED
        assert bench.result(TOKEN) == "locked"

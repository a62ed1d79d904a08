"""An identity comes to a board once and whole, whenever the power goes: with its store, or not at all."""

import json
from collections.abc import Callable

import pytest

from firmware.controller import Controller
from firmware.file_store import FileStore
from firmware.hal import Hal
from firmware.provisioning import IDENTITY, MAX_IDENTITY, NEW_IDENTITY, ProvisionError, commit
from firmware.setup import config_from
from firmware.store import Ring
from protocols.magicbox import wire
from tests.firmware.little_files import LittleFiles
from tests.firmware.rig import CUTS, NorFlash, PowerCut
from tests.firmware.update_rig import empty_files

FACTS = {
    "serial": "T/9",
    "family": "openpaygo",
    "secret": "bc41ec9530f6dac86b1a29ab82edc5fb",
    "starting_code": 516959010,
    "last_count": 3,
    "link_key": "000102030405060708090a0b0c0d0e0f",
    "password": "a password of a link",
}
TEXT = json.dumps(FACTS).encode()
STORES = ("files", "ring")


class Bench:
    """A board's flash: the file system, and a ring on a partition of its own."""

    def __init__(
        self, files: bytes | None = None, ring: bytes | None = None, *, store: str = "files"
    ) -> None:
        self.file_flash = empty_files().flash if files is None else NorFlash(files)
        self.ring_flash = NorFlash() if ring is None else NorFlash(ring)
        self.kind = store
        self.power_up()

    def power_up(self) -> None:
        self.files = LittleFiles(self.file_flash)
        self.store = FileStore(self.files) if self.kind == "files" else Ring(self.ring_flash)

    def provision(self) -> None:
        """What the tool does, again until the board has its identity."""
        if self.files.size(IDENTITY) < 0 or self.files.size(NEW_IDENTITY) >= 0:
            self.files.write(NEW_IDENTITY, TEXT)
            commit(self.files, self.store)

    def copy(self) -> "Bench":
        """The same flash, powered up."""
        return Bench(self.file_flash.image(), self.ring_flash.image(), store=self.kind)

    def controller(self) -> Controller:
        identity = json.loads(self.files.content(IDENTITY))
        return Controller(config_from(identity), Hal(self.store, self.files))


def _is_new(controller: Controller) -> bool:
    return (controller.status, controller.token_count) == (wire.STATE_EXPIRED, 3)


@pytest.mark.parametrize("store", STORES)
def test_a_board_gets_its_identity(store: str) -> None:
    bench = Bench(store=store)
    bench.provision()
    assert bench.files.listdir("/").count(IDENTITY[1:]) == 1
    assert bench.files.size(NEW_IDENTITY) < 0
    assert _is_new(bench.copy().controller())


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("store", STORES)
def test_provisioned_or_not_after_a_cut(
    store: str, cut: str, record_property: Callable[[str, object], None]
) -> None:
    cuts = 0
    for flash_name in ("file_flash", "ring_flash"):
        cut_at = 0
        while True:
            bench = Bench(store=store)
            flash: NorFlash = getattr(bench, flash_name)
            flash.cut, flash.cut_at = cut, cut_at + flash.operations
            try:
                bench.provision()
                break
            except PowerCut:
                cut_at += 1
            after = bench.copy()
            if after.files.size(IDENTITY) >= 0:
                assert after.files.content(IDENTITY) == TEXT
                assert after.store.load() is not None
                assert _is_new(after.controller())
            again = bench.copy()
            again.provision()
            assert again.files.size(NEW_IDENTITY) < 0
            assert _is_new(again.copy().controller())
        cuts += cut_at
    record_property("power cuts of a provisioning", cuts)
    assert cuts > 5


def test_what_a_device_has_used_up_stays_used_up() -> None:
    bench = Bench()
    bench.provision()
    controller = bench.controller()
    boots = controller.boot_id
    bench.files.remove(IDENTITY)
    bench.provision()
    assert bench.controller().boot_id == boots + 1


def test_the_state_of_another_secret_makes_room() -> None:
    bench = Bench()
    bench.files.write(NEW_IDENTITY, json.dumps({**FACTS, "secret": "00" * 16, "last_count": 50}).encode())
    commit(bench.files, bench.store)
    bench.files.remove(IDENTITY)
    bench.provision()
    assert _is_new(bench.controller())


def test_a_second_time_changes_nothing() -> None:
    bench = Bench()
    bench.provision()
    bench.controller()
    before = bench.store.load()
    bench.files.write(NEW_IDENTITY, TEXT)
    commit(bench.files, bench.store)
    assert bench.files.size(NEW_IDENTITY) < 0
    assert bench.store.load() == before


def test_another_identity_is_refused() -> None:
    bench = Bench()
    bench.provision()
    bench.files.write(NEW_IDENTITY, json.dumps({**FACTS, "serial": "T/10"}).encode())
    with pytest.raises(ProvisionError, match="provisioned already"):
        commit(bench.files, bench.store)
    assert bench.files.content(IDENTITY) == TEXT


def test_without_an_identity_there_is_nothing_to_do() -> None:
    bench = Bench()
    with pytest.raises(ProvisionError, match=r"there is no /identity\.new"):
        commit(bench.files, bench.store)


@pytest.mark.parametrize(
    "text",
    [
        TEXT[:-1],
        b"",
        b"\xff",
        b"[]",
        b"{}",
        json.dumps({**FACTS, "secret": "no hex, and a secret"}).encode(),
        json.dumps({**FACTS, "secret": "00"}).encode(),
        json.dumps({**FACTS, "link_key": ""}).encode()[:-5],
        json.dumps({name: value for name, value in FACTS.items() if name != "password"}).encode(),
        TEXT + b" " * MAX_IDENTITY,
    ],
)
def test_what_is_no_identity_leaves_the_board_as_it_was(text: bytes) -> None:
    bench = Bench()
    bench.files.write(NEW_IDENTITY, text)
    with pytest.raises(ProvisionError) as refusal:
        commit(bench.files, bench.store)
    assert "a secret" not in str(refusal.value)
    assert bench.files.size(IDENTITY) < 0
    assert bench.store.load() is None

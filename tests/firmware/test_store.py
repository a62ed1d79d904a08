"""The ring: newest record wins, and a power cut anywhere leaves the old record or the new one."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.hal import SECTOR_SIZE, Flash
from firmware.store import MAX_PAYLOAD, SECTORS, Ring, StoreError
from tests.firmware.rig import CUTS, NorFlash, PowerCut

SAVES_A_DAY = 200  # 96 periodic ones, reservations, tokens, commands
TEN_YEARS_DAYS = 3_653
ERASES_OF_FLASH = 100_000
STATE = bytes(range(256)) * 5  # of about the size of a controller's


def test_a_blank_ring_has_no_record() -> None:
    assert Ring(NorFlash()).load() is None


@given(st.lists(st.binary(max_size=MAX_PAYLOAD), min_size=1, max_size=40))
def test_the_last_record_is_read_back(payloads: list[bytes]) -> None:
    flash = NorFlash()
    store = Ring(flash)
    store.load()
    for payload in payloads:
        store.save(payload)
        assert Ring(flash).load() == payload


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_at_any_operation_leaves_old_or_new(cut: str) -> None:
    for cut_at in range(60):
        flash = NorFlash()
        flash.cut, flash.cut_at = cut, cut_at
        store = Ring(flash)
        store.load()
        saved = [b""]
        with suppress(PowerCut):
            for number in range(60):
                saved.append(b"%d" % number * 50)
                store.save(saved[-1])
        after = Ring(flash)
        assert (after.load() or b"") in saved[-2:]
        after.save(b"goes on")
        assert Ring(flash).load() == b"goes on"


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(CUTS)), max_size=30))
def test_cut_after_cut(cuts: list[tuple[int, str]]) -> None:
    flash = NorFlash()
    known = b""
    for index, (operations, cut) in enumerate(cuts):
        store = Ring(flash)
        assert (store.load() or b"") == known
        flash.cut, flash.cut_at = cut, flash.operations + operations
        try:
            for step in range(4):
                new = b"%d/%d" % (index, step)
                store.save(new)
                known = new
        except PowerCut:
            found = Ring(flash).load() or b""
            assert found in (known, new)
            known = found


def test_ten_years_of_saves_are_within_the_wear_of_flash() -> None:
    flash = NorFlash()
    store = Ring(flash)
    saves = 10_000
    for _ in range(saves):
        store.save(STATE)
    ten_years = max(flash.erases) * SAVES_A_DAY * TEN_YEARS_DAYS / saves
    print(f"ring: {ten_years:.0f} erases of a sector in ten years")
    assert ten_years < ERASES_OF_FLASH / 2
    assert max(flash.erases) - min(flash.erases) <= 1


def test_a_record_that_is_too_long_changes_nothing() -> None:
    flash = NorFlash()
    store = Ring(flash)
    store.save(b"old")
    with pytest.raises(StoreError, match="at most"):
        store.save(bytes(MAX_PAYLOAD + 1))
    assert Ring(flash).load() == b"old"


def test_one_sector_is_too_little() -> None:
    with pytest.raises(StoreError, match="at least 2 sectors"):
        Ring(Flash(b"\xff" * SECTOR_SIZE))


@given(st.binary(min_size=1, max_size=200), st.integers(0, SECTORS * SECTOR_SIZE - 200))
def test_rubbish_in_the_ring_is_no_record(rubbish: bytes, offset: int) -> None:
    image = bytearray(b"\xff" * (SECTORS * SECTOR_SIZE))
    image[offset : offset + len(rubbish)] = rubbish
    flash = NorFlash(bytes(image))
    store = Ring(flash)
    assert store.load() is None
    store.save(b"first")
    store.save(b"second")
    assert store.sequence == 2

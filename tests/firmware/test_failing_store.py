"""While the store takes nothing, nothing is granted, shown or sent; then everything goes on."""

import pytest

from firmware.hal import Flash
from firmware.state import provision
from firmware.store import Ring, StoreError
from protocols.magicbox import wire
from tests.firmware.rig import DAY_S, Bench, NorFlash, moto_config, moto_token

TOKEN = moto_token("unlock_relative", 5, 1)


class FullFlash(NorFlash):
    """A disk that can be full."""

    __slots__ = ("is_full",)

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False

    def writeblocks(self, block: int, buf: bytes, offset: int = 0) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")
        super().writeblocks(block, buf, offset)


@pytest.fixture
def flash() -> FullFlash:
    return FullFlash()


@pytest.fixture
def bench(flash: FullFlash) -> Bench:
    provision(moto_config(), Ring(flash))
    bench = Bench(moto_config(), flash)
    bench.acknowledge_all()
    return bench


def test_an_entry_has_no_answer_and_no_light_until_it_is_stored(bench: Bench, flash: FullFlash) -> None:
    flash.is_full = True
    for _ in range(2):
        with pytest.raises(StoreError, match="cannot be written"):
            bench.enter(TOKEN)
        assert bench.hal.relay is not True
        with pytest.raises(StoreError):
            bench.controller.poll(bench.hal.now_ms)
        with pytest.raises(StoreError):
            bench.reports()
    flash.is_full = False
    assert bench.result(TOKEN) == "already_used"
    assert (bench.hal.relay, bench.controller.credit_s) == (True, 5 * DAY_S)


def test_power_off_before_the_save_loses_the_entry_and_not_the_token(bench: Bench, flash: FullFlash) -> None:
    flash.is_full = True
    with pytest.raises(StoreError):
        bench.enter(TOKEN)
    flash.is_full = False
    bench.reboot()
    assert bench.result(TOKEN) == "accepted"


def test_no_result_leaves_before_it_is_stored(bench: Bench, flash: FullFlash) -> None:
    flash.is_full = True
    with pytest.raises(StoreError):
        bench.command(wire.Token(1, TOKEN.encode()))
    with pytest.raises(StoreError):
        bench.reports()
    with pytest.raises(StoreError):
        bench.command(wire.Token(1, TOKEN.encode()))
    flash.is_full = False
    bench.wait(3600)
    assert bench.hal.relay is True
    records = bench.reports()
    results = [record for record in records if isinstance(record, wire.CommandResult)]
    assert [(result.command_id, result.detail) for result in results] == [(1, b"accepted")]
    alarms = [record.kind for record in records if isinstance(record, wire.Alarm)]
    assert alarms == [wire.ALARM_KIND_STORE_FAILED]
    bench.reboot()
    assert bench.controller.token_count == 1


def test_used_up_credit_gives_no_light_though_the_store_fails(bench: Bench, flash: FullFlash) -> None:
    assert bench.result(TOKEN) == "accepted"
    flash.is_full = True
    with pytest.raises(StoreError):
        bench.wait(5 * DAY_S)
    assert bench.hal.relay is False


def test_a_store_that_cannot_be_read_says_so() -> None:
    class Broken(Flash):
        def readblocks(self, block: int, buf: bytearray, offset: int = 0) -> None:
            raise OSError(5, "Input/output error")

    with pytest.raises(StoreError, match="cannot be read"):
        provision(moto_config(), Ring(Broken(b"\xff" * 16_384)))


def test_a_long_check_goes_on_only_when_it_is_paid_for(bench: Bench, flash: FullFlash) -> None:
    flash.is_full = True
    bench.hal.tick_ms = 4  # each look at the clock: a slice ends
    with pytest.raises(StoreError):
        bench.type_keys(moto_token("unlock_relative", 5, 60) + "#")
    for _ in range(30):
        with pytest.raises(StoreError):
            bench.controller.poll(bench.hal.now_ms)
    assert bench.controller.token_count == 0
    flash.is_full = False
    for _ in range(30):
        bench.controller.poll(bench.hal.now_ms)
    assert bench.controller.token_count == 60


def test_a_page_that_a_failed_save_left_half_written_is_not_used_again() -> None:
    flash = HalfFlash()
    ring = Ring(flash)
    ring.save(b"first")
    flash.is_broken = True
    with pytest.raises(StoreError):
        ring.save(b"second")
    flash.is_broken = False
    ring.save(b"third")
    assert Ring(flash).load() == b"third"


class HalfFlash(NorFlash):
    """A driver that fails with half of a page programmed."""

    __slots__ = ("is_broken",)

    def __init__(self) -> None:
        super().__init__()
        self.is_broken = False

    def writeblocks(self, block: int, buf: bytes, offset: int = 0) -> None:
        super().writeblocks(block, buf[: len(buf) // 2] if self.is_broken else buf, offset)
        if self.is_broken:
            raise OSError(5, "input/output error")

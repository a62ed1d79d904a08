"""A wiped store: nothing is granted before a sync, whose count is the back end's."""

import pytest

from protocols.magicbox import wire
from protocols.magicbox.reset import factory_signature
from tests.firmware.rig import MOTO_SECRET, Bench, NorFlash, moto_bench, moto_config, moto_token


def _result(bench: Bench, command_id: int) -> tuple[int, bytes] | None:
    return bench.controller.results.find(command_id)


@pytest.fixture
def bench() -> Bench:
    return Bench(moto_config(), NorFlash())


def test_it_says_so_and_gives_no_light(bench: Bench) -> None:
    records = bench.reports()
    alarms = [record.kind for record in records if isinstance(record, wire.Alarm)]
    statuses = [record.state for record in records if isinstance(record, wire.Status)]
    assert (alarms, statuses) == ([wire.ALARM_KIND_TAMPERED], [wire.STATE_TAMPERED])
    assert bench.hal.relay is False
    assert bench.controller.display == ("NEEDS SERVICE", "CALL SUPPORT")


def test_tokens_are_locked_typed_or_sent(bench: Bench) -> None:
    digits = moto_token("unlock_relative", 9, 1)
    outcome = bench.enter(digits)
    assert outcome.result == wire.RESULT_LOCKED
    assert outcome.retry_in_s == 512 * 60
    bench.acknowledge_all(wire.Token(1, digits.encode()))
    assert _result(bench, 1) == (wire.COMMAND_RESULT_REJECTED, b"locked")
    bench.reboot()
    assert bench.result(digits) == "locked"
    assert bench.hal.relay is False


def test_a_sealed_sync_ends_it_above_the_known_count(bench: Bench) -> None:
    bench.acknowledge_all(wire.Sync(1, 40))
    assert _result(bench, 1) == (wire.COMMAND_RESULT_OK, b"")
    assert bench.controller.token_count == 40
    for number in (1, 39, 40):
        assert bench.result(moto_token("unlock_relative", 9, number)) == "already_used"
    assert bench.result(moto_token("unlock_relative", 9, 41)) == "accepted"
    bench.reboot()
    assert bench.hal.relay is True


def test_a_typed_counter_sync_ends_it(bench: Bench) -> None:
    assert bench.result(moto_token("counter_sync", 500, 501)) == "accepted"
    assert bench.result(moto_token("unlock_relative", 9, 500)) == "already_used"
    assert bench.result(moto_token("unlock_relative", 9, 502)) == "accepted"


def test_a_factory_reset_does_not_end_it(bench: Bench) -> None:
    signature = factory_signature(MOTO_SECRET, "T/1", 0)
    bench.acknowledge_all(wire.Reset(1, wire.RESET_KIND_FACTORY, signature))
    assert _result(bench, 1) == (wire.COMMAND_RESULT_OK, b"")
    bench.reboot()
    assert bench.controller.status == wire.STATE_TAMPERED


def test_each_wrong_sync_costs_the_longest_pause(bench: Bench) -> None:
    wrong = str(int(moto_token("counter_sync", 500, 501)) ^ 1)
    assert bench.result(wrong) == "invalid"
    assert bench.enter(wrong).retry_in_s == 512 * 60


def test_a_sync_at_its_own_count_spends_nothing_of_a_healthy_device() -> None:
    bench = moto_bench()
    bench.enter(moto_token("unlock_relative", 1, 5))
    for token_count in (0, 5):
        bench.command(wire.Sync(1 + token_count, token_count))
        assert bench.controller.token_count == 5
    for number in (3, 20):
        assert bench.result(moto_token("unlock_relative", 1, number)) == "accepted"


def test_a_sync_spends_again_what_an_old_image_of_the_flash_forgot() -> None:
    bench = moto_bench()
    old = bench.flash.image()
    digits = moto_token("unlock_relative", 9, 5)
    bench.enter(digits)
    restored = Bench(moto_config(), NorFlash(old))
    restored.command(wire.Sync(1, 5))
    assert restored.result(digits) == "already_used"


def test_old_frames_change_nothing_on_a_device_that_lost_its_store() -> None:
    bench = moto_bench()
    old_frames = [bench.sealed(wire.Ack(1, 2), wire.Sync(1, 0)), bench.sealed(wire.Sync(2, 1))]
    wiped = Bench(moto_config(), NorFlash(), sequence=2)
    wiped.reports()
    for frame in old_frames:
        assert wiped.receive(frame)
    assert wiped.controller.status == wire.STATE_TAMPERED
    assert not wiped.controller.checked_in
    wiped.reboot()
    assert wiped.receive(old_frames[0])
    wiped.acknowledge_all()
    assert wiped.controller.checked_in
    for frame in old_frames:  # it knows now which frames are of before
        assert not wiped.receive(frame)
    wiped.reboot()
    assert not wiped.receive(old_frames[1])
    wiped.command(wire.Sync(3, 40))
    assert (wiped.controller.status, wiped.controller.token_count) == (wire.STATE_EXPIRED, 40)


def test_it_follows_the_back_end_s_epoch_both_ways(bench: Bench) -> None:
    bench.reports()
    bench.epoch = 3
    bench.command(wire.Sync(1, 40))  # came with no acknowledgement: done when it comes again
    assert bench.controller.status == wire.STATE_TAMPERED
    bench.controller.uplink.rewind()
    bench.acknowledge_all(wire.Sync(1, 40))
    assert {epoch for epoch, _ in bench.sent[1:]} == {3}
    assert bench.controller.token_count == 40
    bench.reboot()
    bench.reports()
    assert bench.sent[-1][0] == 3
    assert len(set(bench.sent)) == len(bench.sent)


def test_a_synciv_reaches_it_where_its_frames_are_refused(bench: Bench) -> None:
    """It was wiped twice, and the first time it went on from higher sequences."""
    bench.reports()
    bench.command(wire.SyncIv(1, 1))
    bench.epoch = 1
    bench.controller.uplink.rewind()
    records = bench.acknowledge_all(wire.Sync(2, 7))
    assert [record.result for record in records if isinstance(record, wire.CommandResult)] == [0]
    assert bench.sent[-1][0] == 1
    assert bench.sent[-1][1] > 1 << 30  # the epoch may be an old one, whose first sequences are used
    assert bench.controller.token_count == 7

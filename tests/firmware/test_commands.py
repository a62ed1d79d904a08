"""Frames down: only fresh ones of our back end do anything, each command once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.version import VERSION
from protocols.magicbox import seal, wire
from protocols.magicbox.reset import factory_signature
from tests.firmware.rig import (
    DAY_S,
    LINK_KEY,
    MOTO_SECRET,
    Bench,
    moto_bench,
    moto_config,
    moto_token,
)


def _result(bench: Bench, command_id: int) -> tuple[int, bytes] | None:
    return bench.controller.results.find(command_id)


def test_a_token_command_lights_the_lamp_and_is_answered() -> None:
    bench = moto_bench()
    bench.acknowledge_all()
    bench.command(wire.Time(1_800_000_000))
    assert bench.command(wire.Token(0xFFFFFFFF, moto_token("unlock_relative", 30, 12).encode()))
    assert bench.hal.relay is True
    records = bench.reports()
    kinds = [type(record).__name__ for record in records]
    assert kinds == ["TokenEvent", "CommandResult", "Status"]
    event, answer, status = records
    assert isinstance(event, wire.TokenEvent)
    assert event[1:] == (1_800_000_000, wire.SOURCE_COMMAND, 0, 5, 30, 12, 30 * DAY_S)
    assert isinstance(answer, wire.CommandResult)
    assert answer[1:] == (1_800_000_000, 0xFFFFFFFF, wire.COMMAND_RESULT_OK, b"accepted")
    assert isinstance(status, wire.Status)
    assert (status.relay, status.credit_s, status.battery_mv) == (1, 30 * DAY_S, 12_800)


def test_a_repeated_command_is_answered_and_not_done_again() -> None:
    bench = moto_bench()
    record = wire.Token(3, moto_token("unlock_relative", 30, 1).encode())
    bench.command(record)
    bench.acknowledge_all()
    bench.reboot()
    bench.acknowledge_all()
    bench.command(record)
    answers = [record for record in bench.reports() if isinstance(record, wire.CommandResult)]
    assert [(answer.command_id, answer.result, answer.detail) for answer in answers] == [(3, 0, b"accepted")]
    assert bench.controller.credit_s == 30 * DAY_S


def test_the_digits_of_an_sms_after_the_command_are_already_used() -> None:
    bench = moto_bench()
    digits = moto_token("unlock_relative", 30, 1)
    bench.command(wire.Token(3, digits.encode()))
    assert bench.result(digits) == "already_used"
    bench.command(wire.Token(4, digits.encode()))
    assert _result(bench, 4) == (wire.COMMAND_RESULT_REJECTED, b"already_used")
    assert bench.controller.credit_s == 30 * DAY_S


@pytest.mark.parametrize("digits", [b"", b"abc", b"\xff\xfe", b"123456789", b"9" * 300])
def test_rubbish_in_a_token_command_is_rejected(digits: bytes) -> None:
    bench = moto_bench()
    bench.command(wire.Token(4, digits))
    assert _result(bench, 4) == (wire.COMMAND_RESULT_REJECTED, b"invalid")


def test_a_record_of_a_later_version_gets_no_answer() -> None:
    bench = moto_bench()
    bench.acknowledge_all()
    bench.command(wire.Unknown(200, b"?"), wire.Boot(1, 2, 3, 4, 5, b"abc"))
    assert bench.reports() == []


def test_sync_sends_a_status_at_once() -> None:
    bench = moto_bench()
    bench.acknowledge_all()
    bench.command(wire.Sync(8, 0))
    assert [type(record).__name__ for record in bench.reports()] == ["Status", "CommandResult"]
    assert _result(bench, 8) == (wire.COMMAND_RESULT_OK, b"")


def test_a_replayed_frame_changes_nothing_not_even_after_a_reboot() -> None:
    bench = moto_bench()
    frame = bench.sealed(wire.Token(1, moto_token("unlock_absolute", 9, 1).encode()))
    assert bench.receive(frame)
    assert not bench.receive(frame)
    assert bench.controller.last_refusal == "replayed"
    bench.reboot()
    before = bench.flash.image()
    assert not bench.receive(frame)
    assert bench.flash.image() == before


def test_frames_that_are_not_ours_change_nothing() -> None:
    bench = moto_bench()
    token = wire.encode_records([wire.Token(1, moto_token("unlock_relative", 9, 1).encode())])
    other = seal.LinkKeys(b"another link key", seal.DOWN)
    up = seal.LinkKeys(LINK_KEY, seal.UP)
    down = seal.LinkKeys(LINK_KEY, seal.DOWN)
    frames = {
        "bad_mac": seal.seal(other, 0, 50, token, True),
        "bad_direction": seal.seal(up, 0, 50, token, True),
        "truncated": seal.seal(down, 0, 50, token[:-3], True),
    }
    for reason, frame in frames.items():
        assert not bench.receive(frame)
        assert bench.controller.last_refusal == reason
    assert bench.controller.refused_frames == 3
    assert bench.hal.relay is False


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_refused(frame: bytes) -> None:
    bench = moto_bench()
    assert not bench.receive(frame)
    assert bench.controller.last_refusal


@pytest.mark.parametrize("unix_s", [1_000, 0, 0xFFFFFFFF])
def test_insane_times_are_ignored_and_a_clock_may_go_back(unix_s: int) -> None:
    bench = moto_bench()
    bench.command(wire.Time(1_800_000_000))
    bench.command(wire.Time(unix_s))
    bench.wait(5)
    assert bench.controller.reporter.unix_s() == 1_800_000_005
    bench.command(wire.Time(1_799_999_999))
    assert bench.controller.reporter.unix_s() == 1_799_999_999


def test_a_device_without_a_link_key_refuses_frames() -> None:
    config = moto_config()
    config.link_key = b""
    bench = Bench(config)
    assert not bench.command(wire.Sync(1, 0))
    assert bench.controller.last_refusal == "no_link_key"


def test_synciv_starts_both_ways_anew_and_answers_in_the_new_epoch() -> None:
    bench = moto_bench()
    bench.acknowledge_all()
    frame = bench.sealed(wire.SyncIv(1, 4))
    assert bench.receive(frame)
    answers = bench.reports()
    assert bench.sent[-1] == (4, 0)
    assert [type(record).__name__ for record in answers] == ["CommandResult"]
    assert _result(bench, 1) == (wire.COMMAND_RESULT_OK, b"")
    assert not bench.receive(frame)
    assert not bench.command(wire.Sync(2, 0))  # sealed in the old epoch
    assert bench.controller.last_refusal == "bad_epoch"
    bench.reboot()
    bench.epoch = 4
    assert bench.command(wire.Sync(2, 0), wire.SyncIv(3, 4), wire.SyncIv(1, 4))
    bench.reports()
    assert _result(bench, 3) == (wire.COMMAND_RESULT_REJECTED, b"epoch")
    assert all(epoch == 4 for epoch, _ in bench.sent[-2:])
    assert len(bench.sent) == len(set(bench.sent))


def test_config_changes_the_interval_at_once_and_for_good() -> None:
    bench = moto_bench()
    bench.command(
        wire.Config(1, wire.CONFIG_KEY_STATUS_INTERVAL_S, b"60"),
        wire.Config(2, wire.CONFIG_KEY_LINKS, b"http,mqtt"),
        wire.Config(3, wire.CONFIG_KEY_KEEP_ALIVE_S, b"never"),
        wire.Config(4, 77, b"1"),
    )
    assert [_result(bench, n) for n in (2, 3, 4)] == [
        (wire.COMMAND_RESULT_OK, b""),
        (wire.COMMAND_RESULT_REJECTED, b"value"),
        (wire.COMMAND_RESULT_REJECTED, b"value"),
    ]
    bench.reboot()
    settings = bench.controller.settings
    assert (settings.status_interval_s, settings.links, settings.keep_alive_s) == (60, "http,mqtt", 60)
    bench.acknowledge_all()
    for _ in range(4):
        bench.wait(60)
    statuses = [record for record in bench.acknowledge_all() if isinstance(record, wire.Status)]
    assert len(statuses) == 4
    bench.command(wire.Config(5, wire.CONFIG_KEY_STATUS_INTERVAL_S, b""))
    assert bench.controller.settings.status_interval_s == 900


def test_useracct_shows_the_holder_and_a_pin_hides_the_name() -> None:
    bench = moto_bench()
    bench.command(
        wire.UserAcct(1, wire.USER_FIELD_NAME, b"Amina"), wire.UserAcct(2, wire.USER_FIELD_LANGUAGE, b"sw")
    )
    bench.enter(moto_token("unlock_relative", 9, 1))
    bench.wait(6)
    assert bench.controller.display == ("Amina", "SIKU 8")
    bench.command(wire.UserAcct(3, wire.USER_FIELD_PIN, b"4711"), wire.UserAcct(4, wire.USER_FIELD_PIN, b"1"))
    assert _result(bench, 4) == (wire.COMMAND_RESULT_REJECTED, b"operation")
    assert bench.controller.display == ("SALIO", "SIKU 8")
    outcome = bench.type_keys("4711#")
    assert outcome is not None
    assert (outcome.result, outcome.command) == (wire.RESULT_ACCEPTED, wire.TOKEN_COMMAND_NONE)
    assert bench.controller.display[0] == "Amina"
    bench.wait(31)
    assert bench.controller.display == ("SALIO", "SIKU 8")
    bench.reboot()
    assert bench.result("4711") == "accepted"
    assert bench.result("4712") == "invalid"
    assert bench.controller.credit_s in range(9 * DAY_S - 60, 9 * DAY_S)
    bench.command(wire.UserAcct(5, wire.USER_FIELD_ALL, b""))
    bench.wait(6)
    assert bench.controller.display == ("CREDIT", "8 DAYS LEFT")


def test_a_pin_is_no_token_and_no_wrong_entry() -> None:
    bench = moto_bench()
    bench.command(wire.UserAcct(1, wire.USER_FIELD_PIN, b"123456"))
    bench.acknowledge_all()
    for _ in range(20):
        assert bench.result("123456") == "accepted"
    assert bench.reports() == []
    assert bench.result(moto_token("unlock_relative", 9, 1)) == "accepted"


def test_a_soft_reset_waits_for_the_acknowledgement_of_its_answer() -> None:
    bench = moto_bench()
    bench.acknowledge_all()
    bench.command(wire.Reset(1, wire.RESET_KIND_SOFT, bytes(8)))
    assert _result(bench, 1) == (wire.COMMAND_RESULT_OK, b"")
    assert not bench.controller.wants_reset
    bench.acknowledge_all()
    assert bench.controller.wants_reset
    bench.reboot()
    assert not bench.controller.wants_reset
    bench.command(wire.Reset(1, wire.RESET_KIND_SOFT, bytes(8)))  # again: answered, not done
    bench.wait(11)
    assert not bench.controller.wants_reset


def test_a_reset_without_an_acknowledgement_waits_ten_seconds() -> None:
    bench = moto_bench()
    bench.command(wire.Reset(1, wire.RESET_KIND_SOFT, bytes(8)))
    bench.hal.now_ms += bench.controller.poll(bench.hal.now_ms)
    while not bench.controller.wants_reset:
        assert bench.hal.now_ms < 10_000
        bench.hal.now_ms += bench.controller.poll(bench.hal.now_ms)
        bench.controller.poll(bench.hal.now_ms)
    assert bench.hal.now_ms == 10_000
    bench.command(wire.Reset(2, 9, bytes(8)))
    assert _result(bench, 2) == (wire.COMMAND_RESULT_REJECTED, b"kind")


def test_a_factory_reset_clears_what_is_the_holder_s_and_no_counter() -> None:
    bench = moto_bench()
    digits = moto_token("unlock_relative", 9, 5)
    bench.enter(digits)
    bench.command(
        wire.UserAcct(1, wire.USER_FIELD_NAME, b"Amina"),
        wire.Config(2, wire.CONFIG_KEY_STATUS_INTERVAL_S, b"60"),
    )
    for _ in range(6):
        bench.enter("111111111")
    bench.acknowledge_all()
    bench.wait(3_600)
    telemetry = {record.record for record in bench.reports() if not isinstance(record, wire.Unknown)}
    boot_id, sent = bench.controller.boot_id, set(bench.sent)
    signature = factory_signature(MOTO_SECRET, "T/1", 5)
    for command_id, wrong in ((3, bytes(8)), (4, factory_signature(MOTO_SECRET, "T/1", 6))):
        bench.command(wire.Reset(command_id, wire.RESET_KIND_FACTORY, wrong))
        assert _result(bench, command_id) == (wire.COMMAND_RESULT_REJECTED, b"signature")
    bench.command(wire.Reset(5, wire.RESET_KIND_FACTORY, signature))
    assert _result(bench, 5) == (wire.COMMAND_RESULT_OK, b"")
    assert (bench.hal.relay, bench.controller.credit_s) == (False, 0)
    records = bench.acknowledge_all()
    gaps = [record for record in records if isinstance(record, wire.Gap)]
    lost = {number for gap in gaps for number in range(gap.first, gap.last + 1)}
    assert telemetry <= lost
    assert bench.controller.wants_reset
    bench.reboot()
    controller = bench.controller
    assert (controller.credit_s, controller.token_count, controller.boot_id) == (0, 5, boot_id + 1)
    assert controller.settings.status_interval_s == 900
    assert bench.result(digits) == "already_used"
    bench.reports()
    assert len(bench.sent) == len(set(bench.sent)) > len(sent)


def _update(command_id: int, file: bytes = b"firmware.img", size: int = 1000) -> wire.Update:
    return wire.Update(command_id, size, bytes(range(32)), file)


def test_an_update_is_an_order_that_stands_until_it_is_answered() -> None:
    bench = moto_bench()
    bench.acknowledge_all()
    bench.command(_update(1), _update(1), _update(2))
    assert _result(bench, 1) is None
    assert _result(bench, 2) == (wire.COMMAND_RESULT_REJECTED, b"update pending")
    assert bench.controller.update_order is not None
    bench.controller.save()
    bench.reboot()
    order = bench.controller.update_order
    assert order is not None
    assert (order.command_id, order.size, order.file) == (1, 1000, "firmware.img")
    bench.controller.update_confirmed()
    assert bench.controller.update_order is None
    assert _result(bench, 1) == (wire.COMMAND_RESULT_OK, b"%d.%d.%d" % tuple(VERSION))
    bench.command(_update(1))
    assert bench.controller.update_order is None
    bench.command(_update(3))
    bench.acknowledge_all()
    bench.controller.update_failed("rolled back")
    bench.controller.update_failed("twice is nothing")
    kinds = [type(record).__name__ for record in bench.reports()]
    assert kinds == ["Alarm", "CommandResult"]
    assert _result(bench, 3) == (wire.COMMAND_RESULT_REJECTED, b"rolled back")


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        (_update(1, b""), b"file"),
        (_update(1, b"../main.py"), b"file"),
        (_update(1, b".hidden"), b"file"),
        (_update(1, b"a b"), b"file"),
        (_update(1, b"x" * 65), b"file"),
        (_update(1, size=0), b"size"),
        (_update(1, size=2**31), b"size"),
    ],
)
def test_an_update_that_cannot_be_is_rejected(record: wire.Update, detail: bytes) -> None:
    bench = moto_bench()
    bench.command(record)
    assert _result(bench, 1) == (wire.COMMAND_RESULT_REJECTED, detail)
    assert bench.controller.update_order is None


def test_a_device_without_files_takes_no_update() -> None:
    bench = moto_bench()
    bench.hal.files = None
    bench.command(_update(1))
    assert _result(bench, 1) == (wire.COMMAND_RESULT_UNSUPPORTED, b"")


def test_commands_wait_while_a_token_is_checked_and_too_many_come_again() -> None:
    bench = moto_bench()
    bench.hal.tick_ms = 20  # every slice ends after its first step
    for key in moto_token("unlock_relative", 9, 40):
        bench.controller.key(key, bench.hal.now_ms)
    assert bench.controller.key("#", bench.hal.now_ms) is None
    bench.command(*[wire.Sync(number, 0) for number in range(1, 13)])
    assert _result(bench, 1) is None
    for _ in range(100):
        bench.controller.poll(bench.hal.now_ms)
    outcome = bench.controller.take_outcome()
    assert outcome is not None
    assert outcome.result == wire.RESULT_ACCEPTED
    assert bench.controller.take_outcome() is None
    done = [number for number in range(1, 13) if _result(bench, number) is not None]
    assert done == list(range(1, 9))
    bench.command(wire.Sync(12, 0))
    assert _result(bench, 12) is not None


def test_a_checked_in_device_has_heard_the_back_end_itself() -> None:
    bench = moto_bench()
    assert not bench.controller.checked_in
    bench.receive(b"rubbish")
    assert not bench.controller.checked_in
    bench.command(wire.Ack(1, 1))
    assert bench.controller.checked_in
    bench.reboot()
    assert not bench.controller.checked_in

"""Frames down: only fresh ones of our back end do anything, each command once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.magicbox import seal, wire
from tests.firmware.rig import DAY_S, LINK_KEY, Bench, moto_bench, moto_config, moto_token


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


def test_commands_of_later_versions_are_unsupported_or_silent() -> None:
    bench = moto_bench()
    bench.acknowledge_all()
    bench.command(
        wire.Reset(1, 0, bytes(8)),
        wire.UserAcct(2, 0, b"x"),
        wire.Update(3, 1, bytes(32), b"f"),
        wire.Config(4, 1, b""),
        wire.SyncIv(5, 1),
        wire.Unknown(200, b"?"),
    )
    answers = [record for record in bench.reports() if isinstance(record, wire.CommandResult)]
    assert [(answer.command_id, answer.result) for answer in answers] == [(n, 3) for n in range(1, 6)]


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
        "bad_epoch": seal.seal(down, 1, 50, token, True),
        "truncated": seal.seal(down, 0, 50, token[:-3], True),
    }
    for reason, frame in frames.items():
        assert not bench.receive(frame)
        assert bench.controller.last_refusal == reason
    assert bench.controller.refused_frames == 4
    assert bench.hal.relay is False


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_refused(frame: bytes) -> None:
    bench = moto_bench()
    assert not bench.receive(frame)
    assert bench.controller.last_refusal


def test_insane_times_are_ignored() -> None:
    bench = moto_bench()
    bench.command(wire.Time(1_800_000_000))
    bench.command(wire.Time(1_000))
    bench.wait(5)
    assert bench.controller.reporter.unix_s() == 1_800_000_005


def test_a_device_without_a_link_key_refuses_frames() -> None:
    config = moto_config()
    config.link_key = b""
    bench = Bench(config)
    assert not bench.command(wire.Sync(1, 0))
    assert bench.controller.last_refusal == "no_link_key"


def test_keys_feedback_and_entry_timeout() -> None:
    bench = moto_bench()
    controller = bench.controller
    for key in "*42 744 349".replace(" ", ""):
        assert controller.key(key, bench.hal.now_ms) is None
    assert controller.display == ("42744349", "")
    outcome = controller.key("#", bench.hal.now_ms)
    assert outcome is not None
    assert outcome.result == wire.RESULT_ACCEPTED
    assert controller.display == ("ACCEPTED", "10 DAYS LEFT")
    bench.wait(6)
    assert controller.display == ("CREDIT", "9 DAYS LEFT")
    controller.key("1", bench.hal.now_ms)
    bench.wait(31)
    assert controller.display == ("CREDIT", "9 DAYS LEFT")
    assert controller.key("#", bench.hal.now_ms) is not None
    controller.key("1", bench.hal.now_ms)
    controller.key("*", bench.hal.now_ms)
    assert controller.display == ("", "")

"""The controller end to end: keys, sealed commands, and that waiting allocates nothing."""

from firmware.keypad import SCAN_INTERVAL_MS, Keypad
from protocols.magicbox import wire
from tests.device.bench import DAY_S, Bench, moto_token, opg_token
from tests.device.plain import without_heap


def _type(bench, keys):
    """Press keys, then let the controller work until it has an outcome."""
    outcome = None
    for key in keys:
        outcome = bench.controller.key(key, bench.hal.now_ms)
    for _ in range(1000):
        if outcome is not None:
            return wire.RESULT_NAMES[outcome.result]
        bench.hal.now_ms += 1
        bench.controller.poll(bench.hal.now_ms)
        outcome = bench.controller.take_outcome()
    raise AssertionError("no outcome")


def test_a_token_is_typed_and_the_light_goes_on():
    for family, token in (("moto", moto_token("unlock_relative", 30, 1)), ("openpaygo", opg_token(30, 2))):
        bench = Bench(family)
        assert bench.hal.lines == ("NO CREDIT", "ENTER A TOKEN")
        assert _type(bench, "*%s#" % token) == "accepted"
        assert bench.hal.relay
        assert bench.hal.lines == ("ACCEPTED", "30 DAYS LEFT")
        assert _type(bench, "*%s#" % token) == "already_used"
        assert _type(bench, "*12#") == "invalid"
        assert bench.hal.lines[0] == "INVALID"


def _results(bench):
    records = bench.acknowledge_all()
    return [
        (record.command_id, wire.COMMAND_RESULT_NAMES[record.result], record.detail)
        for record in records
        if isinstance(record, wire.CommandResult)
    ]


def test_commands_are_done_once_and_answered():
    bench = Bench()
    bench.acknowledge_all()
    token = wire.Token(7, str(moto_token("unlock_relative", 2, 1)).encode())
    for _ in range(2):
        assert bench.command(token)
        assert _results(bench) == [(7, "ok", b"accepted")]
    assert bench.controller.credit_s == 2 * DAY_S
    bench.command(wire.UserAcct(8, wire.USER_FIELD_NAME, b"Amina"))
    bench.command(wire.UserAcct(9, wire.USER_FIELD_LANGUAGE, b"sw"))
    bench.command(wire.Config(10, wire.CONFIG_KEY_STATUS_INTERVAL_S, b"120"))
    bench.command(wire.Config(11, wire.CONFIG_KEY_STATUS_INTERVAL_S, b"no number"))
    assert [result for _, result, _ in _results(bench)] == ["ok", "ok", "ok", "rejected"]
    assert bench.controller.settings.status_interval_s == 120
    bench.wait(60)
    assert bench.hal.lines[0] == "Amina"
    bench.command(wire.Sync(12, 40))
    assert bench.controller.token_count == 40
    bench.command(wire.Reset(13, wire.RESET_KIND_SOFT, bytes(8)))
    bench.acknowledge_all()
    bench.acknowledge_all()
    assert bench.controller.wants_reset


def test_a_new_epoch_begins_both_ways():
    bench = Bench()
    bench.acknowledge_all()
    assert bench.command(wire.SyncIv(5, 1))
    assert not bench.command(wire.Time(1_764_584_400))  # still sealed in epoch 0


def test_a_frame_that_was_tampered_with_changes_nothing():
    bench = Bench()
    frame = bench.sealed(wire.Token(1, b"126443881"))
    broken = frame[:-1] + bytes([frame[-1] ^ 1])
    assert not bench.controller.receive(broken, 0)
    assert bench.controller.receive(frame, 0)
    assert not bench.controller.receive(frame, 0)  # a repeat


def test_a_blank_store_is_tampered_until_a_sync():
    bench = Bench()
    assert bench.result(moto_token("unlock_relative", 5, 1)) == "accepted"
    for sector in (0, 1):
        bench.flash.ioctl(6, sector)
    bench.reboot()
    assert (bench.controller.status, bench.hal.relay) == (wire.STATE_TAMPERED, False)
    assert bench.result(moto_token("unlock_relative", 5, 1)) == "locked"
    assert bench.hal.lines == ("NEEDS SERVICE", "CALL SUPPORT")
    bench.reboot()
    assert bench.controller.status == wire.STATE_TAMPERED
    assert bench.command(wire.Sync(1, 0))  # an old frame: it acknowledges nothing of what the device sends
    assert bench.controller.status == wire.STATE_TAMPERED
    number = bench.report()[0].record
    assert bench.command(wire.Ack(number, number), wire.Sync(1, 12))
    assert bench.controller.status == wire.STATE_EXPIRED
    assert bench.result(moto_token("unlock_relative", 5, 1)) == "already_used"
    assert bench.result(moto_token("unlock_relative", 5, 13)) == "accepted"


class _Idle:
    """A shell that waits: it looks at the keypad, and at the controller whenever that is due."""

    def __init__(self, bench):
        self.keypad = Keypad()
        self.hal = bench.hal
        self.controller = bench.controller
        self.due_ms = bench.hal.now_ms
        self.polls = 0

    def wait(self, time_ms):
        hal = self.hal
        end_ms = hal.now_ms + time_ms
        while hal.now_ms < end_ms:
            hal.now_ms += SCAN_INTERVAL_MS
            self.keypad.scan(hal.scan_keys(), hal.now_ms)
            self.controller.poll(hal.now_ms)
            self.controller.outputs.poll(hal.now_ms)
            self.polls += 1


def _wait_a_second(idle):
    idle.wait(1_000)


def test_waiting_allocates_nothing():
    bench = Bench()
    bench.result(moto_token("unlock_relative", 5, 1))
    bench.wait(60)
    idle = _Idle(bench)
    idle.wait(1_000)
    without_heap(_wait_a_second, idle)
    assert idle.polls == 2_000 // SCAN_INTERVAL_MS

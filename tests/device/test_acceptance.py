"""Token acceptance of both families through a whole controller: windows, older tokens, syncs, used tokens."""

from tests.device.bench import DAY_S, Bench, moto_token, opg_token


def test_moto_in_any_order():
    bench = Bench("moto")
    for number in (3, 1, 2, 20):
        token = moto_token("unlock_relative", 1, number)
        assert bench.result(token) == "accepted"
        assert bench.result(token) == "already_used"
    assert bench.controller.credit_s == 4 * DAY_S
    assert bench.controller.token_count == 20
    assert bench.hal.relay
    assert bench.result(moto_token("unlock_relative", 1, 4)) == "already_used"  # more than BACK behind
    assert bench.result(moto_token("unlock_relative", 1, 120)) == "invalid"  # beyond FORWARD


def test_moto_absolute_and_sync():
    bench = Bench("moto")
    assert bench.result(moto_token("unlock_absolute", 10, 5)) == "accepted"
    bench.wait(DAY_S)
    assert bench.result(moto_token("unlock_absolute", 5, 6)) == "accepted"
    assert bench.controller.credit_s == 4 * DAY_S
    assert bench.result(moto_token("counter_sync", 60, 7)) == "accepted"
    assert bench.controller.token_count == 60
    assert bench.result(moto_token("unlock_relative", 1, 50)) == "already_used"
    assert bench.result(moto_token("unlock_relative", 1, 61)) == "accepted"


def test_openpaygo_in_any_order():
    bench = Bench("openpaygo")
    for count in (4, 2, 8, 6):
        assert bench.result(opg_token(1, count)) == "accepted"
        assert bench.result(opg_token(1, count)) == "already_used"
    assert bench.controller.credit_s == 4 * DAY_S
    assert bench.result(opg_token(7, 11)) == "accepted"  # sets the time
    assert bench.controller.credit_s == 7 * DAY_S
    assert bench.result(opg_token(1, 10)) == "already_used"  # older than the set
    assert bench.result(opg_token(998, 13)) == "accepted"
    assert bench.controller.credit_s == 0xFFFFFFFF
    assert bench.result(opg_token(0, 15)) == "accepted"
    assert (bench.controller.credit_s, bench.hal.relay) == (0, False)


def test_openpaygo_extended_restricted_and_sync():
    bench = Bench("openpaygo")
    assert bench.result(opg_token(30, 2, True)) == "accepted"
    assert bench.controller.credit_s == 30 * DAY_S
    assert bench.result(opg_token(999, 41)) == "accepted"
    assert bench.controller.token_count == 41
    assert bench.result(opg_token(1, 4)) == "already_used"
    assert bench.result(opg_token(1, 42)) == "accepted"


def test_what_is_no_token():
    for family in ("moto", "openpaygo"):
        bench = Bench(family)
        for typed in ("123456789", "1" * 21, "12a", "4" * 15):
            assert bench.result(typed) in ("invalid", "locked")
        assert bench.controller.credit_s == 0


def test_a_state_that_was_stored_goes_on():
    for family, token in (("moto", moto_token("unlock_relative", 1, 3)), ("openpaygo", opg_token(1, 4))):
        bench = Bench(family)
        assert bench.result(token) == "accepted"
        bench.reboot()
        assert bench.result(token) == "already_used"
        assert bench.controller.credit_s in range(DAY_S - 60, DAY_S + 1)

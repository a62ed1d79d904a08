"""CONFIG: what the operator chose holds and survives; nonsense changes nothing; empty is the default."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.settings import Settings
from protocols.magicbox import wire
from tests.firmware.rig import moto_config

GOOD = {
    wire.CONFIG_KEY_STATUS_INTERVAL_S: (b"5", b"900", b"604800"),
    wire.CONFIG_KEY_KEEP_ALIVE_S: (b"10", b"65535"),
    wire.CONFIG_KEY_LOW_CREDIT_S: (b"0", b"2592000"),
    wire.CONFIG_KEY_LINKS: (b"mqtt", b"http", b"mqtt,http", b"http,mqtt"),
}
BAD = {
    wire.CONFIG_KEY_STATUS_INTERVAL_S: (b"4", b"604801", b"-5", b"5.0", b"x", b" 60", b"9" * 300),
    wire.CONFIG_KEY_KEEP_ALIVE_S: (b"9", b"65536", b"0"),
    wire.CONFIG_KEY_LOW_CREDIT_S: (b"2592001", b"\xff"),
    wire.CONFIG_KEY_LINKS: (b"mqtt,mqtt", b"mqtt,", b",", b"MQTT", b"ftp", b"mqtt;http", b"\xff"),
    0: (b"", b"1"),
    99: (b"", b"1"),
}


def _in_force(settings: Settings) -> tuple[object, ...]:
    return (settings.status_interval_s, settings.keep_alive_s, settings.links, settings.low_credit_s)


def test_the_defaults_are_the_configuration_s() -> None:
    settings = Settings(moto_config(status_interval_s=7, keep_alive_s=30, links="http,mqtt", low_credit_s=9))
    assert _in_force(settings) == (7, 30, "http,mqtt", 9)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key in GOOD for value in GOOD[key]])
def test_a_good_value_is_in_force_until_it_is_cleared(key: int, value: bytes) -> None:
    config = moto_config(low_credit_s=1, links="http,mqtt", keep_alive_s=1, status_interval_s=1)
    settings = Settings(config)
    assert settings.set(key, value)
    changed = _in_force(settings)
    again = Settings(config)
    again.unpack(settings.pack())
    assert _in_force(again) == changed
    assert value.decode() in map(str, changed)
    assert settings.set(key, b"")
    assert _in_force(settings) == _in_force(Settings(config))


@pytest.mark.parametrize(("key", "value"), [(key, value) for key in BAD for value in BAD[key]])
def test_a_bad_value_changes_nothing(key: int, value: bytes) -> None:
    settings = Settings(moto_config())
    assert not settings.set(key, value)
    assert settings.pack() == b""
    assert _in_force(settings) == _in_force(Settings(moto_config()))


def test_a_stored_value_that_this_firmware_does_not_allow_is_its_default() -> None:
    settings = Settings(moto_config())
    settings.unpack(
        bytes([wire.CONFIG_KEY_KEEP_ALIVE_S, 1]) + b"9" + bytes([99, 2]) + b"on" + bytes([1, 2]) + b"60"
    )
    assert _in_force(settings) == (60, 60, "mqtt", 86_400)


@given(st.integers(0, 255), st.binary(max_size=40))
def test_any_value_is_taken_or_refused(key: int, value: bytes) -> None:
    settings = Settings(moto_config())
    if not settings.set(key, value):
        assert settings.pack() == b""

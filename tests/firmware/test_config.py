"""Settings that make no device."""

import pytest

from firmware.config import ConfigError
from firmware.main import config_from
from tests.firmware.rig import moto_config, openpaygo_config

SETTINGS = {
    "host": "127.0.0.1",
    "port": 1883,
    "serial": "S",
    "secret": "00",
    "link_key": "00" * 16,
    "password": "",
    "store": "x",
}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"last_count": -2}, "0 or more"),
        ({"last_count": True}, "count must be a whole number"),
        ({"last_count": "5"}, "count must be a whole number"),
        ({"encrypted": "false"}, "encrypted must be true or false"),
        ({"encrypted": 1}, "encrypted must be true or false"),
        ({"status_interval_s": 1.5}, "whole number"),
        ({"status_interval_s": 0}, "at least 1 s"),
    ],
)
def test_a_setting_of_another_kind_is_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        moto_config(**settings)
    with pytest.raises(ConfigError, match=says):
        config_from(SETTINGS | settings)


def test_text_and_numbers_of_a_file_are_what_they_must_be() -> None:
    with pytest.raises(ConfigError, match="starting_code must be a whole number"):
        config_from(SETTINGS | {"family": "openpaygo", "secret": "00" * 16, "starting_code": "7"})
    with pytest.raises(ConfigError, match="secret must be text"):
        config_from(SETTINGS | {"secret": 5})
    with pytest.raises(ConfigError, match="secret must be hex"):
        config_from(SETTINGS | {"secret": "xy"})
    with pytest.raises(ConfigError, match="one JSON object"):
        config_from([])  # pyright: ignore
    assert openpaygo_config(last_count=-1).last_count == -1

"""The text form of commands (resolutions 14)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.magicbox import text

LINES = {
    "TOKEN: 123456789": ("TOKEN", "123456789"),
    "TIME: 1764584400": ("TIME", "1764584400"),
    "SYNC": ("SYNC", ""),
    "SYNCIV": ("SYNCIV", ""),
    "RESET": ("RESET", ""),
    "USERACCT: add alice": ("USERACCT", "add alice"),
    "UPDATE: payg-1.2.0.img": ("UPDATE", "payg-1.2.0.img"),
    "CONFIG: status_interval_s 900": ("CONFIG", "status_interval_s 900"),
}


@pytest.mark.parametrize(("line", "command"), LINES.items())
def test_lines(line, command):
    assert text.parse(line) == command
    assert text.render(*command) == line


@pytest.mark.parametrize(
    "line",
    [
        "",
        "token: 1",
        "TOKEN",
        "TOKEN:",
        "TOKEN: ",
        "TOKEN: 12a",
        "TOKEN: ١",
        "SYNC: 1",
        "RESET: ",
        "REBOOT",
        "USERACCT",
        "USERACCT:  x",
        "USERACCT: a\nTOKEN: 1",
        " SYNC",
        "SYNC\n",
    ],
)
def test_other_lines(line):
    with pytest.raises(text.TextError):
        text.parse(line)


@given(
    line=st.sampled_from(text.VERBS).flatmap(lambda verb: st.text(": 1aé\n", max_size=6).map(verb.__add__))
)
def test_what_parses_renders_the_same(line):
    try:
        command = text.parse(line)
    except text.TextError:
        return
    assert text.render(*command) == line

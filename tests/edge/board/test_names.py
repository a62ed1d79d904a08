"""Short names: a program does the same with them, and what others know by its name keeps it."""

import ast
from pathlib import Path

import pytest

from edge.board.library_names import LIBRARY_NAMES
from edge.board.modules import CHECKOUT, modules
from edge.board.names import rename
from tests.edge.board.test_shrink import ANSWER, PROGRAM, answer_of

STUBS = CHECKOUT / ".typings"
# Ours, and nothing that the firmware ever asks of an object of MicroPython's.
OURS_ALL_THE_SAME = {
    *("State", "_apply", "alarm", "bits", "code", "commit", "done", "file", "flag", "host", "length"),
    *("members", "note", "number", "order", "parse", "port", "reason", "request", "restart", "result"),
    *(
        "search",
        "sequence",
        "text",
        "user",
        "config",
        "state",
        "status",
        "channel",
        "active",
        "idle",
        "run",
        "scan",
    ),
}
SHAPES = """
import json
from collections import namedtuple
from firmware.base import Base

Point = namedtuple("Point", ("across", "upward"))


class Shape(Base):
    SIDES = 4
    _corners = SIDES + 1

    def __init__(self, *, length, place=Point(1, upward=2)):
        super().__init__(length)
        self._place = place
        self.mark = None

    @property
    def longer(self):
        return self._doubled() + self._corners

    def described(self):
        try:
            json.loads("{")
        except ValueError as error:
            problem = type(error).__name__
        return [problem for _ in range(2)], json.dumps({"length": self.length}), self._place.upward

    def sorted(self, texts):
        return sorted(texts, key=lambda text: (-len(text), text.upper()))


class Other:
    def __init__(self, value):
        self._place = value
        self._hidden = 7

    def total(self):
        return self._place + self._hidden


def main():
    shape = Shape(length=3)
    shape.mark = Other(5)
    shape.mark.extra = 4
    by_name = getattr(shape, "named_by_text")()
    return (
        shape.longer, shape.described(), shape.sorted(["b", "AA"]),
        shape.mark.total(), shape.mark.extra, by_name,
    )
"""
BASE = """
class Base:
    def __init__(self, length):
        self.length = length
        self._hidden = 2

    def _doubled(self):
        return self.length * self._hidden

    def named_by_text(self):
        return "found"
"""


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        (PROGRAM, (*ANSWER[:4], "host")),
        (
            {"firmware/base.py": BASE, "firmware/main.py": SHAPES},
            (11, (["ValueError"] * 2, '{"length": 3}', 2), ["AA", "b"], 12, 4, "found"),
        ),
    ],
)
def test_a_renamed_program_does_the_same(
    monkeypatch: pytest.MonkeyPatch, program: dict[str, str], answer: object
) -> None:
    given = {path: text.replace("type(error).__name__", "'ValueError'") for path, text in program.items()}
    assert answer_of(monkeypatch, given) == answer
    short = rename(given, keep=["main"])
    assert answer_of(monkeypatch, short) == answer
    assert sum(map(len, short.values())) < sum(map(len, given.values()))


def test_what_others_know_by_its_name_keeps_it() -> None:
    text = rename({"firmware/base.py": BASE, "firmware/main.py": SHAPES}, keep=["main"])
    for stays in ("main", "loads", "dumps", "namedtuple", "'{'", "upper", "super().__init__"):
        assert stays in text["firmware/main.py"]
    assert "def named_by_text" in text["firmware/base.py"]  # a string says it
    assert "'length'" in text["firmware/main.py"]
    for gone in ("Shape", "longer", "described", "_place", "across", "shape", "by_name"):
        assert gone not in text["firmware/main.py"]


def test_classes_that_have_nothing_to_do_with_one_another_share_names() -> None:
    both = "class {0}:\n    def __init__(self):\n        self._{1} = 1\n        self._{1} += 1\n"
    program = {"firmware/main.py": both.format("One", "left") + both.format("Two", "right")}
    names = {
        node.attr
        for node in ast.walk(ast.parse(rename(program)["firmware/main.py"]))
        if isinstance(node, ast.Attribute)
    }
    assert len(names) == 1


def test_a_module_in_machine_code_stays() -> None:
    native = "import micropython\n@micropython.viper\ndef walk(steps: int) -> int:\n    return steps\n"
    program = {"firmware/fast.py": native, "firmware/main.py": "from firmware.fast import walk\nwalk(1)\n"}
    short = rename(program)
    assert short["firmware/fast.py"] == native
    assert "import walk" in short["firmware/main.py"]


def _members(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
    return names


@pytest.mark.skipif(not STUBS.exists(), reason="!! MicroPython's stubs are missing: run `make lint`")
def test_no_name_of_a_board_s_modules_is_taken_for_ours() -> None:
    of_boards = {
        name
        for module in ("machine", "network", "esp32", "time", "select", "gc", "socket", "micropython", "ssl")
        for path in STUBS.glob(f"*/{module}.pyi")
        for name in _members(path)
    }
    ours = {name for path in modules("unix", "esp32", "rp2") for name in _members(CHECKOUT / path)}
    assert (of_boards & ours) - LIBRARY_NAMES <= OURS_ALL_THE_SAME

"""Small programs that are smaller afterwards and do the same. The firmware itself: tests/device."""

import sys
import types
from collections.abc import Mapping
from typing import Any

import pytest

from edge.board.bundle import BundleError, bundle
from edge.board.shrink import shrink

LAMP = '''
"""What people read."""
from array import array
from firmware.numbers import HALF, LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.other import Other

_STEP = HALF * 2 + 1
_UNUSED = 5
NAMES = {LIMIT: "limit"}


class Lamp:
    """A lamp."""

    __slots__ = ("_level",)

    def __init__(self, level: int):
        self._level: int = level

    @property
    def level(self) -> "int":
        return min(self._level, LIMIT)

    def up(self) -> None:
        self._raise(_STEP)

    def never(self) -> None:
        self.never_either()

    def never_either(self) -> None:
        pass

    def _raise(self, by):
        self._level += by


def twice(lamp):
    lamp.up()
    lamp.up()


def unused(text):
    return unused(text)
'''
NUMBERS = "HALF = 1 << 3\nLIMIT = HALF * 5\n"
MAIN = """
import sys
from firmware import lamp, numbers
from firmware.lamp import Lamp as Light

if sys.implementation.name == "micropython":
    WHERE = "board"
else:
    WHERE = "host"


def main():
    light = Light(1)
    lamp.twice(light)
    try:
        from firmware.missing import nothing as found
    except ImportError:
        from firmware.lamp import NAMES as found
    return light.level, lamp.NAMES, found, numbers.HALF, WHERE
"""
PROGRAM = {"firmware/numbers.py": NUMBERS, "firmware/lamp.py": LAMP, "firmware/main.py": MAIN}
ANSWER = (35, {40: "limit"}, {40: "limit"}, 8, "board")


def answer_of(monkeypatch: pytest.MonkeyPatch, program: Mapping[str, str]) -> Any:
    """What firmware.main.main() of a program returns."""
    package = types.ModuleType("firmware")
    package.__path__ = []
    monkeypatch.setitem(sys.modules, "firmware", package)
    for path in sorted(program, key=lambda path: (path.endswith("main.py"), "lamp" in path)):
        name = path.removesuffix(".py").replace("/", ".")
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        setattr(package, name.rpartition(".")[2], module)
        exec(compile(program[path], path, "exec"), vars(module))  # noqa: S102 - it is the test's own program
    return sys.modules["firmware.main"].main()


def test_a_shrunk_program_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer_of(monkeypatch, shrink(PROGRAM)) == ANSWER


def test_what_nobody_names_is_gone_and_numbers_stand_where_they_are_used() -> None:
    small = shrink(PROGRAM)
    for gone in (
        "unused",
        "_UNUSED",
        "never",
        "__slots__",
        "Other",
        "people",
        "array",
        "int",
        "_STEP",
        "LIMIT",
    ):
        assert gone not in small["firmware/lamp.py"]
    assert "self._raise(17)" in small["firmware/lamp.py"]
    assert small["firmware/numbers.py"].strip() == "pass"


def test_what_is_kept_keeps_its_names() -> None:
    assert "unused" in shrink(PROGRAM, keep=["firmware/lamp.py"])["firmware/lamp.py"]


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("A = 1\nA = 2\ndef main():\n    return A\n", "return A"),
        ("A = 1\ndef main(A):\n    return A\n", "return A"),
        ("def main():\n    return getattr(main, 'used')\ndef used():\n    pass\n", "def used"),
        ("def main():\n    global A\n    A = 2\nA = 1\n", "A = 1"),
        ("A = print()\ndef main():\n    pass\n", "A = print()"),
        ("class Flash:\n    def ioctl(self):\n        pass\ndef main():\n    Flash()\n", "def ioctl"),
    ],
)
def test_what_must_stay(text: str, stays: str) -> None:
    assert stays in shrink({"firmware/main.py": text})["firmware/main.py"]


def test_machine_code_is_left_alone() -> None:
    text = "import micropython\n@micropython.viper\ndef walk(steps: int) -> int:\n    return steps\n"
    program = {"firmware/fast.py": text, "firmware/main.py": "from firmware.fast import walk as main\n"}
    assert shrink(program)["firmware/fast.py"] == text
    assert bundle(program, ["firmware.main"], "firmware.app")["firmware/fast.py"] == text


@pytest.mark.parametrize("entries", [["firmware.lamp"], ["firmware.numbers", "firmware.lamp"]])
def test_a_bundled_program_does_the_same(monkeypatch: pytest.MonkeyPatch, entries: list[str]) -> None:
    for program in (shrink(PROGRAM), {**PROGRAM, "firmware/main.py": shrink(PROGRAM)["firmware/main.py"]}):
        together = bundle(program, entries, "firmware.app")
        assert set(together) <= {"firmware/app.py", "firmware/main.py", "firmware/numbers.py"}
        assert answer_of(monkeypatch, together) == ANSWER


def test_a_bundle_has_no_imports_within() -> None:
    app = bundle(shrink(PROGRAM), ["firmware.lamp"], "firmware.app", keep=["twice"])["firmware/app.py"]
    for gone in ("from firmware", "Lamp"):
        assert gone not in app
    assert "def level" in app
    assert "def twice" in app  # kept


def test_a_second_bundle_leaves_the_first_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    first = bundle(shrink(PROGRAM), ["firmware.lamp"], "firmware.app")
    both = bundle(first, ["firmware.main"], "firmware.main", keep=["main"])
    assert both["firmware/app.py"] == first["firmware/app.py"]
    assert answer_of(monkeypatch, both) == ANSWER


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "from firmware import numbers\ndef f():\n    return numbers\n",
            "the module numbers is used as a value",
        ),
        ("from firmware import numbers\ndef f(numbers):\n    pass\n", "the argument numbers is also"),
        ("def f(f):\n    pass\n", "the argument f is also a name of the module"),
        ("from firmware.numbers import HALF\ndef f():\n    HALF = 2\n", "HALF is imported and assigned"),
        ("def f():\n    pass\nclass C:\n    f = 1\n", "C.f is also a name"),
        ("from firmware.lamp import array\ndef f():\n    array()\n", "which has it from elsewhere"),
    ],
)
def test_what_a_bundle_would_change_is_refused(text: str, says: str) -> None:
    program = {**PROGRAM, "firmware/other.py": text}
    with pytest.raises(BundleError, match=says):
        bundle(program, ["firmware.other", "firmware.lamp"], "firmware.app")

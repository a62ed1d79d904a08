"""Every row of the acceptance checklist has a test named after it, or a reason in checklist.py."""

import ast
import re
from pathlib import Path

import pytest

from tests.checklist import LAST, WITHOUT_TEST

TESTS = Path(__file__).parent
# test_checklist_45_what, test_checklist_50_51_what (both rows), test_checklist_16_to_19_what (16, 17, 18, 19)
_NAME = re.compile(r"test_checklist_(\d+(?:_(?:to_)?\d+)*)_[a-z]")


def rows_of(name: str) -> set[int]:
    """The rows that a test is named after."""
    match = _NAME.match(name)
    if match is None:
        return set()
    rows: set[int] = set()
    for part in re.split(r"_(?!to_)(?<!_to_)", match[1]):
        first, _, last = part.partition("_to_")
        rows.update(range(int(first), int(last or first) + 1))
    return rows


def named_rows() -> dict[int, list[str]]:
    """The tests by row, as `file::name`."""
    named: dict[int, list[str]] = {}
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for row in rows_of(node.name):
                    named.setdefault(row, []).append(f"{file.relative_to(TESTS)}::{node.name}")
    return named


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("test_checklist_45_absent", {45}),
        ("test_checklist_50_51_together", {50, 51}),
        ("test_checklist_16_to_19_paying", {16, 17, 18, 19}),
        ("test_checklist_9_12_to_14_20_mixed", {9, 12, 13, 14, 20}),
        ("test_checklist_of_nothing", set()),
        ("test_the_rest", set()),
    ],
)
def test_rows_of_a_name(name: str, rows: set[int]) -> None:
    assert rows_of(name) == rows


def test_every_row_has_a_test_or_a_reason() -> None:
    named = named_rows()
    assert set(named) | set(WITHOUT_TEST) == set(range(1, LAST + 1))
    assert {row: named[row] for row in named.keys() & WITHOUT_TEST.keys()} == {}
    assert all(WITHOUT_TEST.values())

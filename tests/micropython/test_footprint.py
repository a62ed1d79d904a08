"""What a board must have room for."""

from pathlib import Path

import pytest

from edge.board.build import ARCHES, build
from tests.bench.board_bench import GOAL_BYTES


def _silent(_done: int, _total: int, _path: str) -> None:
    """build() tells how far it is."""


@pytest.mark.parametrize("arch", ARCHES)
def test_everything_in_a_slot_is_at_most_64_kb(arch: str, tmp_path: Path) -> None:
    """The application with the HAL of its board, as bytecode."""
    built = build(arch, tmp_path, version=None, progress=_silent)
    assert built.slot_bytes <= GOAL_BYTES

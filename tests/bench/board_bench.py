"""A board's figures: ms a token check, heap after boot, the least heap that it runs in, size of the image.

MicroPython's unix port stands in for the board, with the bytecode that build.py makes. A heap of N wK is what
takes N KB on a board of 32 bits (spec/firmware_platform.md). The times are this machine's.
"""

import tempfile
from pathlib import Path

from edge.board.build import ARCHES, Build, build
from tests.micropython.test_device_modules import DEVICE_TESTS, RUN
from tests.micropython_runner import compile_program, run

GOAL_BYTES = 64 * 1024
WIDE_HEAP = "512wK"
_WORD_FACTOR = 2  # of this machine's words to a board's

_TIMES = "from tests.device import timing\ntiming.main()\n"
_HEAP = """
import gc
gc.collect()
before = gc.mem_alloc()
%s
gc.collect()
print(gc.mem_alloc() - before)
"""
_CORE_AND_LINK = "from tests.device import footprint\nkept = footprint.main()"
_PROGRAM = "import firmware.main"


def main() -> None:
    """Measure, and print a line for each figure."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _print_times(root / "times")
        _print_heaps(root)
        for arch in ARCHES:
            _print_size(arch, build(arch, root / "builds", version=None, progress=_silent))


def _silent(_done: int, _total: int, _path: str) -> None:
    pass


def _compile(folder: Path, *tests: str) -> None:
    compile_program(folder, [DEVICE_TESTS / f"{name}.py" for name in (*tests, "bench", "plain")])


def _print_times(folder: Path) -> None:
    _compile(folder, "timing")
    done = run(_TIMES, imports=folder, heap=WIDE_HEAP)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in done.stdout.splitlines():
        name, microseconds, result = line.split("\t")
        print(f"MicroPython, check of a token: {name}: {int(microseconds) / 1000:.2f} ms ({result})")


def _print_heaps(root: Path) -> None:
    _compile(root / "booted", "footprint")
    _print_heap("controller and MQTT link after boot", root / "booted", _CORE_AND_LINK)
    built = build("x64", root / "builds", version=None, progress=_silent)
    _print_heap("the whole program, loaded", built.folder / "slot", _PROGRAM)
    _compile(root / "core", "test_mqtt", "runner")
    least = min(size for size in range(32, 129, 2) if _fits(root / "core", size))
    print(f"MicroPython, least heap in which a command lights the lamp: {least} wK (goal: 64)")


def _print_heap(name: str, folder: Path, script: str) -> None:
    done = run(_HEAP % script, imports=folder, heap=WIDE_HEAP)
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"MicroPython, heap: {name}: {int(done.stdout) / _WORD_FACTOR / 1024:.1f} KB of a 32-bit board")


def _fits(folder: Path, size: int) -> bool:
    return run(RUN, ["test_mqtt"], imports=folder, heap=f"{size}wK").returncode == 0


def _print_size(arch: str, built: Build) -> None:
    print(
        f"flashed image for {arch}: {built.image.stat().st_size} bytes; bytecode with the board's HAL: "
        f"{built.slot_bytes} (goal: at most {GOAL_BYTES})"
    )


if __name__ == "__main__":
    main()

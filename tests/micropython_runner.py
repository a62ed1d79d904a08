"""Starts MicroPython with a capped heap: the board of the tests (spec/firmware_platform.md).

`run` waits for a script to end. `command` and `environment` are for tests that keep the process (a device on
a broker).
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
MICROPYTHON = Path(sys.executable).with_name("micropython")
HEAP = "64wK"  # words, so that the host's 64 bits cost nothing: about a microcontroller with 64 K words


def command(script: Path, args: Sequence[str] = (), heap: str = HEAP) -> list[str]:
    """The command line that runs a script file on MicroPython with this heap."""
    return [str(MICROPYTHON), "-X", f"heapsize={heap}", str(script), *args]


def environment() -> Mapping[str, str]:
    """Imports come from the frozen modules, then from the checkout; nothing else is inherited."""
    return {"MICROPYPATH": f".frozen:{CHECKOUT}", "PATH": os.environ.get("PATH", "")}


def run(
    script: str | Path, args: Sequence[str] = (), *, heap: str = HEAP, timeout: float = 30
) -> subprocess.CompletedProcess[str]:
    """Run a script (its text, or its file) to the end; TimeoutExpired after `timeout` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = script if isinstance(script, Path) else Path(folder, "main.py")
        if isinstance(script, str):
            path.write_text(script, encoding="utf-8")
        return subprocess.run(
            command(path, args, heap),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

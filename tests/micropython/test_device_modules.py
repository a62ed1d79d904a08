"""The modules of tests/device on MicroPython: from bytecode, as on a board, in 64 KB as it counts them."""

from pathlib import Path

import pytest

from tests.micropython_runner import CHECKOUT, compile_program, run

DEVICE_TESTS = CHECKOUT / "tests" / "device"
RUN = "import sys\nfrom tests.device.runner import main\nsys.exit(main(sys.argv[1]))\n"
MODULES = sorted(path.stem for path in DEVICE_TESTS.glob("test_*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_module(module: str, tmp_path: Path) -> None:
    tests = [DEVICE_TESTS / name for name in (f"{module}.py", "bench.py", "plain.py", "runner.py")]
    if "tests.device.bench" not in tests[0].read_text():
        del tests[1]
    compile_program(tmp_path, tests)
    done = run(RUN, [module], imports=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.count("ok test_") == tests[0].read_text().count("\ndef test_") > 0

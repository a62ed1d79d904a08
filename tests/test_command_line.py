"""`payg`: a wrong argument is one line that says what to do, and exit code 2."""

import json
import re
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
        (["serve", "visa", "--port", "1"], "'service': 'visa' is not one of 'solarium'"),
        (["device", "list", "--data-dir", "/nowhere"], "credentials.json is missing: start `payg up` first"),
        (
            ["board", "virtual", "--image", "none", "--heap", "abc"],
            "--heap abc is no size; write it like 96wK",
        ),
        (["credentials", "m2m.api_key", "--data-dir", "/nowhere"], "is missing: start `payg up` first"),
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
    for arguments in ([], ["--help"], ["-h"]):
        started = time.perf_counter()
        done = _payg(*arguments)
        times.append(time.perf_counter() - started)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("Usage: payg")
    assert min(times) < 0.3
    assert "keypad" in _payg("device", "--help").stdout


def test_each_command_fits_its_line_of_help() -> None:
    for group in ([], ["keys"], ["device"], ["board"], ["import"], ["token"], ["letters"]):
        commands = _payg(*group, "--help").stdout.partition("Commands:")[2]
        assert commands.count("\n") > 1
        assert "..." not in commands


def test_the_version_is_told() -> None:
    done = _payg("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"payg \d+\.\d+\.\d+\n", done.stdout)


def test_credentials_are_looked_up_by_their_path(tmp_path: Path) -> None:
    content = {"http": "http://x", "m2m": {"api_key": "k"}, "devices": [{"serial": "A/1"}]}
    (tmp_path / "credentials.json").write_text(json.dumps(content))

    def look_up(name: str) -> "subprocess.CompletedProcess[str]":
        return _payg("credentials", name, "--data-dir", str(tmp_path))

    assert look_up("m2m.api_key").stdout == "k\n"
    assert look_up("devices.0.serial").stdout == "A/1\n"
    assert json.loads(look_up("devices.0").stdout) == {"serial": "A/1"}
    for name, says in (
        ("m2n.api_key", "credentials.json has no 'm2n'; it has http, m2m, devices"),
        ("m2m.key", "m2m has no 'key'; it has api_key"),
        ("devices.7", "devices has no '7'; it has 0"),
        ("http.url", "http has no 'url'; it has no members"),
    ):
        done = look_up(name)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert says in done.stderr


@pytest.mark.parametrize("content", ["{", "[]", '{"http": "http://127.0.0.1:1", "panel": 1, "solarium": {}}'])
def test_damaged_credentials_are_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "credentials.json").write_text(content)
    (tmp_path / "accounts.csv").write_text("x")
    for arguments, says in (
        (("device", "list"), "credentials.json can't be read; start `payg up` again"),
        (("import", "accounts", str(tmp_path / "accounts.csv")), "no key for solarium"),
    ):
        done = _payg(*arguments, "--data-dir", str(tmp_path))
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert says in done.stderr

"""`payg device keypad` as a process: one JSON object a line, a store that survives kill -9, clear errors."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.keypad_shell import KeypadError, run
from tests.firmware.rig import DAY_S, K1, K1_STARTING_CODE, moto_token, opg_token

PROGRAM = """
import json, sys
from edge.keypad_shell import KeypadError, run
try:
    sys.exit(run(**json.loads(sys.argv[1]), stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr))
except KeypadError as error:
    sys.exit(str(error))
"""
MOTO_SECRET = "00112233AABBCC"
MEMBERS = ["result", "command", "payload", "credit_s", "count", "relay"]

Answer = dict[str, object]


def _arguments(**changes: object) -> dict[str, object]:
    arguments: dict[str, object] = {
        "family": "moto",
        "secret_hex": MOTO_SECRET,
        "starting_code": None,
        "count": None,
        "store": None,
        "manual_clock": True,
    }
    return arguments | changes


def _openpaygo(**changes: object) -> dict[str, object]:
    return _arguments(
        family="openpaygo", secret_hex=K1.hex(), starting_code=K1_STARTING_CODE, count=1, **changes
    )


def _answers(
    arguments: dict[str, object],
    *lines: str,
    stdout: io.StringIO | None = None,
    stderr: io.StringIO | None = None,
) -> list[Answer]:
    stdin, stdout = io.StringIO("".join(line + "\n" for line in lines)), stdout or io.StringIO()
    assert run(**arguments, stdin=stdin, stdout=stdout, stderr=stderr or io.StringIO()) == 0  # pyright: ignore
    return [json.loads(line) for line in stdout.getvalue().splitlines()]


class Shell:
    """The shell in a process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def enter(self, line: str) -> Answer:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@contextmanager
def _shell(arguments: dict[str, object]) -> Iterator[Shell]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Shell(process)
        finally:
            process.kill()


def test_the_answer_has_exactly_the_issue_s_members() -> None:
    (answer,) = _answers(_arguments(), "*00 427 443 49#")
    assert list(answer) == MEMBERS
    assert answer == {
        "result": "accepted",
        "command": "unlock_relative",
        "payload": 10,
        "credit_s": 10 * DAY_S,
        "count": 1,
        "relay": True,
    }


def test_the_count_after_an_add_at_count_4_is_4() -> None:
    (answer,) = _answers(_openpaygo(), opg_token(5, 4))
    assert (answer["command"], answer["payload"], answer["count"]) == ("add_time", 5, 4)


def test_nothing_readable_is_null_and_an_empty_line_is_no_wrong_entry() -> None:
    lines = [""] * 20 + ["hello", "*#", "１２３", "111111111"]
    for answer in _answers(_openpaygo(), *lines):
        assert (answer["result"], answer["command"], answer["payload"]) == ("invalid", None, None)


def test_locked_says_when_to_try_again_and_the_manual_clock_moves() -> None:
    answers = _answers(_openpaygo(), *["111111111"] * 7, "+59", "111111111", "+1", opg_token(5, 2))
    assert [answer["result"] for answer in answers] == ["invalid"] * 6 + ["locked"] * 2 + ["accepted"]
    assert [answer.get("retry_in_s") for answer in answers[6:]] == [60, 1, None]
    assert "retry_in_s" not in answers[-1]


def test_the_clock_stands_still_until_it_is_moved() -> None:
    answers = _answers(_openpaygo(), opg_token(1, 2), "", "+86399", "", "+1", "")
    assert [answer["credit_s"] for answer in answers] == [DAY_S, DAY_S, 1, 0]
    assert [answer["relay"] for answer in answers] == [True, True, True, False]


def test_a_real_clock_takes_no_moves() -> None:
    answers = _answers(_openpaygo() | {"manual_clock": False}, opg_token(1, 2), "+3600", "")
    assert [answer["result"] for answer in answers] == ["accepted", "invalid", "invalid"]
    assert answers[-1]["credit_s"] in range(DAY_S - 5, DAY_S + 1)


@pytest.mark.parametrize("line", ["+", "+-5", "+1e3", "+99999999999", "++1", "+٣", "+ 5", "+3162240001"])
def test_a_move_that_is_none_is_refused_and_no_entry(line: str) -> None:
    stderr = io.StringIO()
    answers = _answers(_openpaygo(), *[line] * 10, opg_token(1, 2), stderr=stderr)
    assert [answer["result"] for answer in answers] == ["accepted"]
    assert stderr.getvalue().count("\n") == stderr.getvalue().count("moves no clock") == 10


def test_restricted_and_extended_tokens() -> None:
    restricted, extended = "314114432231134", "247264959011"
    for digits in (restricted, extended):
        first, second = _answers(_openpaygo(), digits, digits)
        assert (first["result"], first["payload"]) == ("accepted", 1)
        assert second["result"] == "already_used"


def test_kill_9_between_entries_loses_nothing(tmp_path: Path) -> None:
    arguments = _openpaygo(store=str(tmp_path / "store"))
    credit = 0
    for count in range(2, 14, 2):
        with _shell(arguments) as shell:
            answer = shell.enter(opg_token(3, count))
            credit += 3 * DAY_S
            assert (answer["result"], answer["credit_s"], answer["count"]) == ("accepted", credit, count)
    with _shell(arguments | {"count": 40, "starting_code": 5}) as shell:  # the store wins
        assert shell.enter(opg_token(3, 2))["result"] == "already_used"
        answer = shell.enter(opg_token(3, 14))
        assert (answer["result"], answer["credit_s"]) == ("accepted", credit + 3 * DAY_S)


def test_the_throttle_and_the_moved_clock_survive_kill_9(tmp_path: Path) -> None:
    arguments = _openpaygo(store=str(tmp_path / "store"))
    with _shell(arguments) as shell:
        shell.enter(opg_token(3, 2))
        assert shell.process.stdin is not None
        shell.process.stdin.write("+100\n")
        for _ in range(6):
            assert shell.enter("111111111")["result"] == "invalid"
    with _shell(arguments) as shell:
        answer = shell.enter(opg_token(3, 4))
        assert (answer["result"], answer["retry_in_s"]) == ("locked", 60)
        assert answer["credit_s"] == 3 * DAY_S - 100


def test_a_pipe_of_entries_is_answered_to_its_end() -> None:
    lines = "".join(moto_token("unlock_relative", 1, n) + "\n" for n in range(1, 40))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(_arguments())],
        input=lines.encode() + b"\xff\xfe\n" + b"42744349",
        capture_output=True,
        check=True,
        timeout=30,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 41
    assert answers[38]["credit_s"] == 39 * DAY_S
    assert [answer["result"] for answer in answers[39:]] == ["invalid", "already_used"]
    assert done.stderr == b""


def test_a_line_without_end_is_one_invalid_entry() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(_arguments())],
        input=b"1" * 1_000_000 + b"\n" + b"9" * 300_000,
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert [json.loads(line)["result"] for line in done.stdout.splitlines()] == ["invalid", "invalid"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"family": "other"}, "use moto or openpaygo"),
        ({"secret_hex": "0"}, "must be hex"),
        ({"secret_hex": ""}, "at least one byte"),
        ({"family": "openpaygo"}, "32 hex digits"),
        ({"count": -1}, "must not be negative"),
        ({"count": 2**32}, "at most 4294967295"),
        ({"family": "openpaygo", "secret_hex": K1.hex(), "count": 10**9}, "at most 1000000"),
        ({"family": "openpaygo", "secret_hex": K1.hex(), "starting_code": 10**9}, "starting code must be"),
        ({"store": "/nonexistent/folder/store"}, "create the folder"),
    ],
)
def test_a_bad_argument_says_what_to_do(changes: dict[str, object], says: str) -> None:
    with pytest.raises(KeypadError, match=says) as caught:
        _answers(_arguments(**changes))
    assert MOTO_SECRET not in str(caught.value)


def test_another_device_s_store_is_refused_and_not_touched(tmp_path: Path) -> None:
    store = tmp_path / "store"
    _answers(_arguments(store=str(store)), "42744349")
    before = store.read_bytes()
    for other in (_openpaygo(store=str(store)), _arguments(store=str(store), secret_hex="00")):
        with pytest.raises(KeypadError, match="another secret or token family"):
            _answers(other)
    assert store.read_bytes() == before


@pytest.mark.parametrize("damage", [b"", b"\xff" * 16_384, b"rubbish", b"\x00" * 32_768])
def test_a_damaged_store_is_refused_and_not_reset(tmp_path: Path, damage: bytes) -> None:
    store = tmp_path / "store"
    store.write_bytes(damage)
    with pytest.raises(KeypadError, match="damaged"):
        _answers(_arguments(store=str(store)))
    assert store.read_bytes() == damage


def test_an_erased_store_is_locked_until_a_sync(tmp_path: Path) -> None:
    store = tmp_path / "store"
    arguments = _arguments(store=str(store))
    _answers(arguments, moto_token("unlock_relative", 9, 70))
    store.write_bytes(b"\xff" * store.stat().st_size)
    (locked,) = _answers(arguments, moto_token("unlock_relative", 9, 71))
    assert (locked["result"], locked["relay"], "closed" in locked) == ("locked", False, False)
    assert isinstance(locked["retry_in_s"], int)
    answers = _answers(
        arguments,
        moto_token("counter_sync", 70, 72),
        *[moto_token("unlock_relative", 9, n) for n in (70, 73)],
    )
    assert [answer["result"] for answer in answers] == ["accepted", "already_used", "accepted"]


def test_a_used_up_budget_is_told_and_only_then() -> None:
    wrong = ["+40000", "111111111"] * 70
    answers = _answers(_openpaygo(), *wrong)
    locked = [answer for answer in answers if answer["result"] == "locked"]
    assert locked
    assert all(answer["closed"] is True and isinstance(answer["retry_in_s"], int) for answer in locked)
    paused = _answers(_openpaygo(), *["111111111"] * 8)[-1]
    assert (paused["result"], "closed" in paused) == ("locked", False)


def test_the_clock_moves_by_years() -> None:
    answers = _answers(_openpaygo(), *[opg_token(995, n) for n in (2, 4)], f"+{1_900 * DAY_S}", "")
    assert answers[-1]["credit_s"] == 90 * DAY_S


def test_a_store_in_use_is_refused(tmp_path: Path) -> None:
    arguments = _openpaygo(store=str(tmp_path / "store"))
    with _shell(arguments) as shell:
        assert shell.enter(opg_token(3, 2))["result"] == "accepted"
        with pytest.raises(KeypadError, match="in use by another process"):
            _answers(arguments, opg_token(3, 2))
    assert _answers(arguments, opg_token(3, 2))[0]["result"] == "already_used"


class Terminal(io.StringIO):
    """Standard output; `at_line` happens before the first answer is shown."""

    def __init__(self, at_line: Callable[[], None]) -> None:
        super().__init__()
        self._at_line = at_line

    def write(self, text: str) -> int:
        self._at_line()
        return super().write(text)


def test_a_store_that_is_removed_meanwhile_ends_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    arguments = _openpaygo(store=str(store))
    with pytest.raises(KeypadError, match="was removed"):
        _answers(arguments, "", opg_token(3, 2), stdout=Terminal(store.unlink))


def test_an_output_that_takes_nothing_ends_it() -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    def gone() -> None:
        raise BrokenPipeError

    with pytest.raises(KeypadError, match="cannot write the answer: No space left"):
        _answers(_openpaygo(), "", stdout=Terminal(full))
    assert _answers(_openpaygo(), "", "", stdout=Terminal(gone)) == []


@pytest.mark.parametrize("closed", ["stdin", "stdout"])
def test_closed_streams_are_told(closed: str) -> None:
    streams: dict[str, object] = {name: io.StringIO() for name in ("stdin", "stdout", "stderr")}
    with pytest.raises(KeypadError, match="open both"):
        run(**_arguments(), **(streams | {closed: None}))  # pyright: ignore

"""A virtual board is flashed and verified with stock mpremote."""

import asyncio
import fcntl
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from edge.board import record
from edge.board.build import Build
from edge.board.command_line import verify_board
from edge.board.errors import BoardError, NoPort, NotMicroPython, PortBusy, WrongBoard
from edge.board.flash import flash
from edge.board.mpremote import Board, interpreter_of
from edge.board.verify import Difference, verify
from tests.edge.board.virtual_board import VirtualBoard, powered

MPREMOTE = (sys.executable, "-m", "mpremote", "connect")


def silent(*_: object) -> None:
    """Nobody watches."""


@pytest.fixture
async def virtual(tmp_path: Path) -> AsyncIterator[VirtualBoard]:
    async with powered(tmp_path / "flash.img") as board:
        yield board


async def mpremote(board: VirtualBoard, *arguments: str) -> str:
    """What stock mpremote prints; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *(*MPREMOTE, board.port, *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    async with asyncio.timeout(30):
        said, _ = await process.communicate()
    assert process.returncode == 0, said
    return said.decode()


async def test_a_new_board_takes_the_build_and_nothing_else(virtual: VirtualBoard, built: Build) -> None:
    seen: list[str] = []
    board = Board(virtual.port)
    assert await flash(board, built, progress=lambda *step: seen.append(step[2])) == "/a"
    assert len(seen) == len(built.about.slot) + len(built.about.root) + 1
    assert await verify(board, built, progress=silent) == ("/a", [])
    listed = await mpremote(virtual, "resume", "fs", "ls", ":/")
    names = {line.split()[-1] for line in listed.splitlines()[1:]}
    assert names == {"a/", "boot.py", "main.py", "boot.1"}


async def test_verify_names_what_is_missing_different_or_strange(virtual: VirtualBoard, built: Build) -> None:
    board = Board(virtual.port)
    await flash(board, built, progress=silent)
    spoil = "import os; os.remove('/a/firmware/provisioning.mpy'); open('/a/x.mpy', 'w').close()"
    await mpremote(virtual, "resume", "exec", spoil + "; open('/boot.py', 'a').write('#')")
    assert (await verify(board, built, progress=silent))[1] == [
        Difference("/a/firmware/provisioning.mpy", "missing"),
        Difference("/a/x.mpy", "not of this build"),
        Difference("/boot.py", "different"),
    ]


async def test_flashing_again_fills_the_other_slot_and_ends_a_trial(
    virtual: VirtualBoard, built: Build
) -> None:
    board = Board(virtual.port)
    for slot in ("/a", "/b"):
        assert await flash(board, built, progress=silent) == slot
    pending = await record.read(board)
    pending.phase = record.boot.PENDING
    await record.write(board, pending)
    assert await flash(board, built, progress=silent) == "/a"
    assert (await record.read(board)).phase == record.boot.IDLE
    assert await verify(board, built, progress=silent) == ("/a", [])


@pytest.mark.parametrize("step", [0, 10])
async def test_an_interrupted_flash_leaves_what_was_there(tmp_path: Path, built: Build, step: int) -> None:
    async with powered(tmp_path / "flash.img") as virtual:
        await flash(Board(virtual.port), built, progress=silent)

        def pull_the_plug(done: int, *_: object) -> None:
            if done == step:
                virtual.kill()

        with pytest.raises(BoardError, match=r"stopped answering|refused"):
            await flash(Board(virtual.port), built, progress=pull_the_plug)
    async with powered(tmp_path / "flash.img") as virtual:
        board = Board(virtual.port)
        assert await verify(board, built, progress=silent) == ("/a", [])
        assert await flash(board, built, progress=silent) == "/b"


async def test_a_board_whose_firmware_cannot_start_is_flashed_again(tmp_path: Path, built: Build) -> None:
    async with powered(tmp_path / "flash.img", heap="48wK") as virtual:
        board = Board(virtual.port)
        await flash(board, built, progress=silent)
        await mpremote(virtual, "resume", "exec", "open('/identity.json', 'w').close()")
        await board.reset()
        while "MemoryError" not in await virtual.line():
            continue
        assert await flash(board, built, progress=silent) == "/b"


async def test_a_damaged_board_does_not_find_the_hosts_files(tmp_path: Path) -> None:
    image = tmp_path / "flash.img"
    image.write_bytes(bytes(1 << 20))
    async with powered(image) as virtual:
        while "OSError" not in await virtual.line():
            continue
        said = await mpremote(
            virtual, "resume", "exec", f"import os; print(os.listdir('/'), '{tmp_path.name}')"
        )
        assert said.strip() == f"[] {tmp_path.name}"


async def test_a_refused_command_leaves_the_firmware_running(virtual: VirtualBoard, built: Build) -> None:
    await flash(Board(virtual.port), built, progress=silent)
    await mpremote(virtual, "resume", "exec", "open('/main.py', 'w').write('print(12345 * 2)')")
    with pytest.raises(BoardError, match="no build for x64"):
        await asyncio.to_thread(
            verify_board, virtual.port, None, Path("missing"), stdout=sys.stdout, stderr=sys.stderr
        )
    while "24690" not in await virtual.line():
        continue


async def test_a_board_without_firmware_is_not_verified(virtual: VirtualBoard, built: Build) -> None:
    with pytest.raises(BoardError, match="has no firmware: payg board flash --port"):
        await verify(Board(virtual.port), built, progress=silent)


async def test_a_build_for_another_processor_is_refused(virtual: VirtualBoard, built: Build) -> None:
    other = msgspec.structs.replace(built, about=msgspec.structs.replace(built.about, arch="armv6m"))
    with pytest.raises(
        WrongBoard, match=r"is x64 \(linux\), the build is for armv6m: payg board build --arch x64"
    ):
        await flash(Board(virtual.port), other, progress=silent)


async def test_a_port_in_use_is_named(virtual: VirtualBoard) -> None:
    port = os.open(virtual.port, os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.flock(port, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(PortBusy, match="in use by another program"):
            await Board(virtual.port).probe()
    finally:
        os.close(port)


async def test_a_port_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(NoPort, match="there is no port"):
        await Board(str(tmp_path / "missing")).probe()
    with pytest.raises(NoPort, match="is not a serial port"):
        await Board(str(file)).probe()


async def test_something_that_is_not_micropython_is_named() -> None:
    ours, theirs = pty.openpty()
    try:
        with pytest.raises(NotMicroPython, match="answers as MicroPython"):
            await Board(os.ttyname(theirs), probe_timeout_s=1).probe()
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("circuitpython 519 RP2040 9.2.1", "runs circuitpython 9.2.1"),
        ("micropython -1 rp2 1.23.0", "does not load .mpy files"),
        ("micropython 5 rp2 1.18.0", "does not load .mpy files"),
        ("micropython 4614 rp2 1.22.2", "does not load .mpy files"),
        ("", "answers as MicroPython"),
    ],
)
def test_an_interpreter_that_cannot_run_it_is_named(line: str, complaint: str) -> None:
    with pytest.raises((WrongBoard, NotMicroPython), match=complaint):
        interpreter_of("/dev/ttyACM0", [line] if line else [])


def test_an_interpreters_processor() -> None:
    assert interpreter_of("port", ["micropython 4870 rp2 1.27.0"]).arch == "armv6m"
    assert interpreter_of("port", ["micropython 11014 esp32 1.27.0"]).arch == "xtensawin"

"""What the `payg board` commands do: bars on standard error, one line a result on standard output."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TextIO

from edge.board import build as builds
from edge.board import provision as provisioning
from edge.board import registry as registries
from edge.board.errors import BoardError, BoardGone, NoPort, NotMicroPython, PortBusy
from edge.board.flash import check_arch, flash
from edge.board.mpremote import Board
from edge.board.progress import Bar
from edge.board.verify import verify
from edge.settings import RegistrySettings


def build_all(
    arches: Sequence[str], out: Path, *, version: str | None, stdout: TextIO, stderr: TextIO
) -> int:
    """Build for each architecture, all four when none is named."""
    for arch in arches or builds.ARCHES:
        built = builds.build(arch, out, version=version, progress=Bar(stderr, arch))
        about = built.about
        stdout.write(
            f"{arch}: version {about.version}, {len(about.slot)} modules, {built.slot_bytes} bytes;"
            f" update image {built.image}, SHA-256 {about.image_sha256}\n"
        )
    return 0


def flash_board(port: str, arch: str | None, out: Path, *, stdout: TextIO, stderr: TextIO) -> int:
    """Flash the build for the board's architecture, or for `arch`."""

    async def work() -> None:
        async with _restarted(Board(port)) as board:
            built = await _build_for(board, arch, out)
            slot = await flash(board, built, progress=Bar(stderr, "flash"))
        stdout.write(f"{port}: version {built.about.version} is in slot {slot}, checked and started\n")

    asyncio.run(work())
    return 0


def verify_board(port: str, arch: str | None, out: Path, *, stdout: TextIO, stderr: TextIO) -> int:
    """Compare the board with the build; 1 when they differ."""

    async def work() -> int:
        async with _restarted(Board(port)) as board:
            built = await _build_for(board, arch, out)
            slot, differences = await verify(board, built, progress=Bar(stderr, "verify"))
        stdout.writelines(f"{port}: {one.path} is {one.what}\n" for one in differences)
        if not differences:
            stdout.write(f"{port}: slot {slot} is version {built.about.version} of {built.folder}\n")
        await board.reset()
        return 1 if differences else 0

    return asyncio.run(work())


def provision_board(
    port: str,
    device: provisioning.Device,
    *,
    data_dir: Path,
    urls: tuple[str | None, str | None],
    settings_file: Path | None,
    entropy: provisioning.Entropy,
    stdout: TextIO,
) -> int:
    """Give the board its identity and register it; `urls` of m2m and moto, default: the `payg up` here."""
    m2m_url, moto_url = urls
    credentials = registries.read_credentials(data_dir)
    if m2m_url is not None and moto_url is not None:
        registry = registries.from_environment(m2m_url, moto_url, RegistrySettings())
        credentials = None
    elif m2m_url is not None or moto_url is not None:
        raise BoardError("give both --m2m-url and --moto-url, or neither")
    elif credentials is not None:
        registry = registries.of_up(credentials)
    else:
        raise BoardError(f"no {data_dir}/credentials.json: start `payg up`, or give --m2m-url and --moto-url")
    settings = provisioning.settings_for(credentials, settings_file)

    async def work() -> None:
        async with _restarted(Board(port)) as board:
            await provisioning.provision(
                board,
                device,
                registry=registry,
                settings=settings,
                folder=data_dir / "provision",
                entropy=entropy,
            )

    asyncio.run(work())
    stdout.write(f"{port}: provisioned as {device.serial}, registered and started\n")
    return 0


@contextlib.asynccontextmanager
async def _restarted(board: Board) -> AsyncGenerator[Board]:
    """The board; what fails or is interrupted does not leave its firmware stopped at the prompt."""
    try:
        yield board
    except (NoPort, PortBusy, NotMicroPython, BoardGone):  # nobody to restart
        raise
    except (BoardError, asyncio.CancelledError):
        with contextlib.suppress(BoardError):
            await board.reset()
        raise


async def _build_for(board: Board, arch: str | None, out: Path) -> builds.Build:
    found = await board.probe()
    built = builds.load(arch or found.arch, out)
    check_arch(board, found, built)
    return built

"""`payg board`, as payg.py mounts it. Every import of ours waits until its command runs."""

from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DATA_DIR = Path("data")
BUILD_DIR = Path("build")


class Arch(StrEnum):
    """What boards run: mpy-cross's names. x64 is the virtual board."""

    X64 = "x64"
    ARMV6M = "armv6m"
    XTENSAWIN = "xtensawin"
    RV32IMC = "rv32imc"


class Family(StrEnum):
    """Token families."""

    MOTO = "moto"
    OPENPAYGO = "openpaygo"


SerialPortOption = Annotated[str, typer.Option("--port", help="Its serial port, for example /dev/ttyACM0.")]
ArchOption = Annotated[Arch | None, typer.Option(help="Insist on it; default: what the board says.")]
BuildDirOption = Annotated[Path, typer.Option("--out", help="Where `payg board build` puts what it builds.")]

board_app = typer.Typer(help="Boards, from the sources to a working controller.")


@board_app.command("build")
def board_build(
    arch: Annotated[list[Arch] | None, typer.Option(help="May be repeated; default: all.")] = None,
    out: BuildDirOption = BUILD_DIR,
    version: Annotated[str | None, typer.Option(help="Like 1.2.3; default: the sources' own.")] = None,
) -> None:
    """Compile the firmware, and make an update image of it."""
    import sys

    from edge.board.command_line import build_all

    arches = [one.value for one in arch or ()]
    with _board_errors():
        raise typer.Exit(build_all(arches, out, version=version, stdout=sys.stdout, stderr=sys.stderr))


@board_app.command("flash")
def board_flash(port: SerialPortOption, arch: ArchOption = None, out: BuildDirOption = BUILD_DIR) -> None:
    """Put the build on a board that runs MicroPython.

    It is checked by hash, and started.
    """
    import sys

    from edge.board.command_line import flash_board

    with _board_errors():
        raise typer.Exit(flash_board(port, arch and arch.value, out, stdout=sys.stdout, stderr=sys.stderr))


@board_app.command("verify")
def board_verify(port: SerialPortOption, arch: ArchOption = None, out: BuildDirOption = BUILD_DIR) -> None:
    """Compare what is on a board with the build, by hash. Exit code 1 when they differ."""
    import sys

    from edge.board.command_line import verify_board

    with _board_errors():
        raise typer.Exit(verify_board(port, arch and arch.value, out, stdout=sys.stdout, stderr=sys.stderr))


@board_app.command("provision")
def board_provision(
    serial: Annotated[str, typer.Option(help="Who it is to be, for example SCBLNX/A/BT/240300126999.")],
    port: SerialPortOption,
    family: Annotated[Family, typer.Option(help="Token family.")] = Family.MOTO,
    market: Annotated[str, typer.Option(help="Where it goes: two capital letters.")] = "UG",
    settings: Annotated[
        Path | None,
        typer.Option(
            help="JSON: wifi, pins, host, http ... (firmware/setup.py); default: the `payg up` here."
        ),
    ] = None,
    data_dir: Annotated[Path, typer.Option(help="Where `payg up` keeps its data.")] = DATA_DIR,
    m2m_url: Annotated[str | None, typer.Option(help="Its key: PAYG_M2M_API_KEY.")] = None,
    moto_url: Annotated[str | None, typer.Option(help="Its key: PAYG_MOTO_API_KEY.")] = None,
) -> None:
    """Make keys for a flashed board, once.

    They are put into the board and into the registry.
    """
    import secrets
    import sys

    from edge.board.command_line import provision_board
    from edge.board.provision import Device

    with _board_errors():
        code = provision_board(
            port,
            Device(serial, family.value, market),
            data_dir=data_dir,
            urls=(m2m_url, moto_url),
            settings_file=settings,
            entropy=secrets.token_bytes,
            stdout=sys.stdout,
        )
    raise typer.Exit(code)


@board_app.command("virtual")
def board_virtual(
    image: Annotated[Path, typer.Option(help="Its flash, as a file; made when it is missing.")],
    heap: Annotated[str, typer.Option(help="MicroPython's: 96wK is 96 KB of a 32-bit board.")] = "96wK",
) -> None:
    """Run a board without hardware, behind a serial port.

    It prints the port; lines typed here are its keypad.
    """
    import sys

    from edge.board.virtual import run

    with _board_errors():
        raise typer.Exit(run(image, heap=heap, stdin=0, stdout=sys.stdout))


@contextmanager
def _board_errors() -> Generator[None]:
    from edge.board.errors import BoardError

    try:
        yield
    except BoardError as error:
        typer.echo(f"payg: {error}", err=True)
        raise typer.Exit(2) from None

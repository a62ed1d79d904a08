"""Commands for operators of running services; payg.py adds them. Imports wait until a command runs."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

DATA_DIR = Path("data")
DataDirOption = Annotated[Path, typer.Option(help="Where `payg up` or `payg serve` keeps its data.")]


def reconcile(
    provider: Annotated[
        list[str] | None, typer.Option(help="Provider key; may be repeated; default: all.")
    ] = None,
    day: Annotated[str | None, typer.Option(help="YYYY-MM-DD, UTC; default: yesterday.")] = None,
    settle: Annotated[bool, typer.Option(help="Make good what is certain, or only report.")] = True,
    data_dir: DataDirOption = DATA_DIR,
    url: Annotated[str | None, typer.Option(help="Of momo; its key: PAYG_MOMO_API_KEY.")] = None,
) -> None:
    """Compare a day of the providers with our books. Exit code 1 when something differs."""
    import sys

    from backend.kit.runtime import SystemClock
    from backend.reconcile_command import run

    with _errors():
        code = run(
            provider or (),
            day,
            settle=settle,
            data_dir=data_dir,
            url=url,
            clock=SystemClock(),
            stdout=sys.stdout,
        )
    raise typer.Exit(code)


@contextmanager
def _errors() -> Generator[None]:
    from backend.remote import CommandError

    try:
        yield
    except CommandError as error:
        typer.echo(f"payg: {error}", err=True)
        raise typer.Exit(2) from None

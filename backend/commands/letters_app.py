"""`payg letters`, as payg.py mounts it. Every import of ours waits until its command runs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Sending(StrEnum):
    """The services whose outbox may have dead letters."""

    SOLARIUM = "solarium"
    MOMO = "momo"
    MESE = "mese"
    MEGA = "mega"
    M2M = "m2m"


Service = Annotated[Sending, typer.Argument(help="Whose letters.")]
Ids = Annotated[list[int] | None, typer.Argument(help="Of `payg letters list`.")]
DataDir = Annotated[Path, typer.Option(help="Where the services keep their data.")]
DatabaseUrl = Annotated[str | None, typer.Option(help="Default: SQLite in DATA_DIR.")]
DATA_DIR = Path("data")

letters_app = typer.Typer(help="What could not be sent: list it, send it again.")


@letters_app.command("list")
def letters_list(service: Service, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """List what was given up, or is tried for over an hour.

    Orders, commands, short messages and callbacks, with the last error of each.
    """
    from backend.commands import letters

    raise typer.Exit(letters.show(service.value, data_dir, database_url))


@letters_app.command("retry")
def letters_retry(
    service: Service,
    ids: Ids = None,
    every: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Send dead letters again, with all their attempts.

    A running service begins within half a minute.
    """
    from backend.commands import letters

    raise typer.Exit(letters.retry(service.value, data_dir, database_url, ids=None if every else ids or ()))

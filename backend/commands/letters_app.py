"""`payg letters`, as payg.py mounts it. Every import of ours waits until its command runs."""

from enum import StrEnum
from typing import Annotated

import typer

from backend.commands.options import DATA_DIR, DatabaseUrlOption, DataDirOption


class Sending(StrEnum):
    """The services whose outbox may have dead letters."""

    SOLARIUM = "solarium"
    MOMO = "momo"
    MESE = "mese"
    MEGA = "mega"
    M2M = "m2m"


Service = Annotated[Sending, typer.Argument(help="Whose letters.")]
Ids = Annotated[list[int] | None, typer.Argument(help="Of `payg letters list`.")]

letters_app = typer.Typer(help="What could not be sent: list it, send it again.")


@letters_app.command("list")
def letters_list(
    service: Service, data_dir: DataDirOption = DATA_DIR, database_url: DatabaseUrlOption = None
) -> None:
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
    data_dir: DataDirOption = DATA_DIR,
    database_url: DatabaseUrlOption = None,
) -> None:
    """Send dead letters again, with all their attempts.

    A running service begins within half a minute.
    """
    from backend.commands import letters

    raise typer.Exit(letters.retry(service.value, data_dir, database_url, ids=None if every else ids or ()))

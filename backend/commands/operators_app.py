"""Commands for operators of running services; payg.py adds them. Imports wait until a command runs."""

from pathlib import Path
from typing import Annotated

import typer

from backend.commands.options import DATA_DIR, DataDirOption

FileArgument = Annotated[
    Path, typer.Argument(help="CSV with a heading row.", exists=True, dir_okay=False, readable=True)
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check every row, write nothing.")]
SolariumOption = Annotated[str | None, typer.Option(help="Of solarium; its key: PAYG_SOLARIUM_API_KEY.")]

import_app = typer.Typer(help="Import accounts or devices from a CSV file.")


@import_app.command("accounts")
def import_accounts(
    file: FileArgument,
    dry_run: DryRunOption = False,
    data_dir: DataDirOption = DATA_DIR,
    url: SolariumOption = None,
) -> None:
    """Import customers' accounts into Solarium.

    Columns: reference, business_account, provider_key, market, plan, msisdn, customer_name.
    """
    raise typer.Exit(_import("accounts", file, dry_run=dry_run, data_dir=data_dir, url=url))


@import_app.command("devices")
def import_devices(
    file: FileArgument,
    dry_run: DryRunOption = False,
    data_dir: DataDirOption = DATA_DIR,
    url: SolariumOption = None,
) -> None:
    """Import a shipment into Solarium, Moto and M2M.

    Columns: serial, market, secret, token_family, starting_code, link_key, password.
    """
    raise typer.Exit(_import("devices", file, dry_run=dry_run, data_dir=data_dir, url=url))


def _import(kind: str, file: Path, *, dry_run: bool, data_dir: Path, url: str | None) -> int:
    import sys

    from backend.commands.imports import run
    from backend.process import exit_code

    def command() -> int:
        return run(kind, file, dry_run=dry_run, data_dir=data_dir, url=url, stdout=sys.stdout)

    return exit_code(command)


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

    from backend.commands.reconcile import run
    from backend.kit.runtime import SystemClock
    from backend.process import exit_code

    def command() -> int:
        return run(
            provider or (),
            day,
            settle=settle,
            data_dir=data_dir,
            url=url,
            clock=SystemClock(),
            stdout=sys.stdout,
        )

    raise typer.Exit(exit_code(command))

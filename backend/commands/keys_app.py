"""`payg keys`, as payg.py mounts it. Every import of ours waits until its command runs."""

from enum import StrEnum
from typing import Annotated

import typer

from backend.commands.options import DATA_DIR, DatabaseUrlOption, DataDirOption


class Keyed(StrEnum):
    """The services that take API keys."""

    SOLARIUM = "solarium"
    MOMO = "momo"
    MEGA = "mega"
    MOTO = "moto"
    M2M = "m2m"
    HUB = "hub"


Service = Annotated[Keyed, typer.Argument(help="Whose keys.")]
Client = Annotated[str, typer.Option(help="Whom the key names, for example a partner.")]

keys_app = typer.Typer(help="API keys of the services, and the master key.")


@keys_app.command("list")
def keys_list(
    service: Service, data_dir: DataDirOption = DATA_DIR, database_url: DatabaseUrlOption = None
) -> None:
    """List a service's keys: clients, markets, ends; never a key."""
    from backend.commands import keys

    raise typer.Exit(keys.show(keys.Place(service.value, data_dir, database_url)))


@keys_app.command("add")
def keys_add(
    service: Service,
    client: Client,
    market: Annotated[list[str] | None, typer.Option(help="May be repeated; default: all.")] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="A network that it is used from; may be repeated.")
    ] = None,
    data_dir: DataDirOption = DATA_DIR,
    database_url: DatabaseUrlOption = None,
) -> None:
    """Make a key and print it, once."""
    from backend.commands import keys

    place = keys.Place(service.value, data_dir, database_url)
    raise typer.Exit(keys.add(place, client=client, markets=market or (), allowed=allow or ()))


@keys_app.command("rotate")
def keys_rotate(
    service: Service,
    client: Client,
    overlap: Annotated[str, typer.Option(help="How long the old keys live on: 24h, 30m, 7d, 0s.")] = "24h",
    data_dir: DataDirOption = DATA_DIR,
    database_url: DatabaseUrlOption = None,
) -> None:
    """Replace a client's keys by a new one.

    It is printed once, or handed to our own services.
    """
    from backend.commands import keys

    place = keys.Place(service.value, data_dir, database_url)
    raise typer.Exit(keys.rotate(place, client=client, overlap=overlap))


@keys_app.command("revoke")
def keys_revoke(
    service: Service,
    client: Client,
    key: Annotated[str | None, typer.Option(help="Its id, of `payg keys list`; default: all.")] = None,
    data_dir: DataDirOption = DATA_DIR,
    database_url: DatabaseUrlOption = None,
) -> None:
    """End a client's keys now."""
    from backend.commands import keys

    place = keys.Place(service.value, data_dir, database_url)
    raise typer.Exit(keys.revoke(place, client=client, key_id=key))


@keys_app.command("master")
def keys_master(
    data_dir: DataDirOption = DATA_DIR,
    database_url: DatabaseUrlOption = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="Forget the old one; the settings have the new one.")
    ] = False,
) -> None:
    """Replace the master key that opens the secrets of every database."""
    from backend.commands import master_keys

    act = master_keys.finish if finish else master_keys.replace
    raise typer.Exit(act(data_dir, database_url))

"""The command line. Every import of ours waits until its command runs, so that `payg --help` is instant.

What operators do with running services is in backend/commands, what they do with boards in
edge/board_commands.py; those wait as well.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from backend.commands.keys_app import keys_app
from backend.commands.letters_app import letters_app
from backend.commands.operators_app import import_app, reconcile
from backend.commands.options import DATA_DIR, DatabaseUrlOption, DataDirOption
from edge.board_commands import Family, board_app

_LONGEST_COMPLAINT = 300  # an argument may be of any length


class Service(StrEnum):
    """What `payg serve` can run."""

    SOLARIUM = "solarium"
    MOMO = "momo"
    MESE = "mese"
    MEGA = "mega"
    MOTO = "moto"
    M2M = "m2m"
    HUB = "hub"


class SandboxName(StrEnum):
    """What `payg sandbox` can run."""

    DARAJA = "daraja"
    MTN = "mtn"
    AIRTEL = "airtel"
    EQUITY = "equity"
    HALOPESA = "halopesa"
    INFOBIP = "infobip"
    AFRICASTALKING = "africastalking"
    PINDO = "pindo"


class KeypadClock(StrEnum):
    """How time passes for `payg device keypad`."""

    SYSTEM = "system"
    MANUAL = "manual"


Port = Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")]
FamilyOption = Annotated[Family, typer.Option(help="Token family.")]
SecretOption = Annotated[str, typer.Option(help="The device's token secret, in hex.")]
SerialOption = Annotated[
    str, typer.Option(help="As in credentials.json, for example SCBLNX/A/BT/240300126005.")
]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich alone takes longer to load than the rest
    context_settings={"help_option_names": ["-h", "--help"]},
)
token_app = typer.Typer(help="Keypad tokens.")
device_app = typer.Typer(help="Controllers, virtual ones included.")
app.add_typer(token_app, name="token")
app.add_typer(keys_app, name="keys")
app.add_typer(board_app, name="board")
app.add_typer(device_app, name="device")
app.add_typer(import_app, name="import")
app.add_typer(letters_app, name="letters")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"payg {version('payg')}")
        raise typer.Exit


@app.callback()
def payg(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Pay-as-you-go solar: from the keypad in a village to the ledger, and back as light."""


@app.command()
def up(
    http_port: Port = 8080,
    mqtt_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="0: any free port; default: 1883, with TLS 8883.")
    ] = None,
    ws_port: Port = 8083,
    data_dir: DataDirOption = DATA_DIR,
    database_url: Annotated[
        str | None, typer.Option(help="sqlite:///FOLDER or postgresql://...; default: SQLite in DATA_DIR.")
    ] = None,
    devices: Annotated[int, typer.Option(min=1, max=300, help="How many simulated devices.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the simulated weather and jitter.")] = 1,
    duration: Annotated[
        float | None, typer.Option(min=0, help="Stop after so many seconds and check the invariants.")
    ] = None,
) -> None:
    """Run everything in one process.

    Broker, services, bridge, provider sandboxes, simulated devices.
    """
    from simulator.up import UpOptions, run

    options = UpOptions(
        http_port=http_port,
        mqtt_port=mqtt_port,
        ws_port=ws_port,
        data_dir=data_dir,
        database_url=database_url,
        devices=devices,
        seed=seed,
        duration_s=duration,
    )
    raise typer.Exit(run(options))


@app.command()
def serve(
    service: Annotated[Service, typer.Argument(help="Which one.")],
    port: Port,
    data_dir: DataDirOption = DATA_DIR,
    database_url: DatabaseUrlOption = None,
) -> None:
    """Run one service alone, at the root path."""
    from backend.main import run

    raise typer.Exit(run(service.value, port=port, data_dir=data_dir, database_url=database_url))


@app.command()
def sandbox(
    name: Annotated[SandboxName, typer.Argument(help="Which provider.")],
    port: Port,
    data_dir: DataDirOption = DATA_DIR,
    database_url: DatabaseUrlOption = None,
    approve_after: Annotated[
        float, typer.Option(min=0, max=300, help="Seconds that a customer takes for the PIN.")
    ] = 0.2,
    hook: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=URL, may be repeated: where calls go that are registered with the provider "
            "(validation, confirmation, callback, ipn, dlr, inbound, optout); "
            "default: payg's own services, at PAYG_MOMO_URL and PAYG_MEGA_URL."
        ),
    ] = None,
    twice: Annotated[float, typer.Option(min=0, max=1, help="Share of callbacks that come twice.")] = 0,
    late: Annotated[float, typer.Option(min=0, max=1, help="Share that comes late.")] = 0,
    lost: Annotated[float, typer.Option(min=0, max=1, help="Share that never comes.")] = 0,
    late_by: Annotated[float, typer.Option(min=0, help="How late at most, in seconds.")] = 10.0,
    refused: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of customers who say no, of SMS that can't be delivered."),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of these chances.")] = 1,
) -> None:
    """Run one provider's sandbox alone, at the root path.

    GET / tells its routes, and which numbers do what.
    """
    from simulator.alone import SandboxOptions, run
    from simulator.providers.mishaps import Mishaps, MishapsError

    try:
        mishaps = Mishaps(twice=twice, late=late, lost=lost, refused=refused, late_s=late_by, seed=seed)
    except MishapsError as error:
        raise _refused(error) from None
    options = SandboxOptions(
        name=name.value,
        port=port,
        data_dir=data_dir,
        database_url=database_url,
        approve_after_s=approve_after,
        hooks=hook or [],
        mishaps=mishaps,
    )
    raise typer.Exit(run(options))


@app.command()
def credentials(
    name: Annotated[
        str, typer.Argument(help="Its path, for example m2m.api_key, sandbox.mtn or devices.0.serial.")
    ],
    data_dir: DataDirOption = DATA_DIR,
) -> None:
    """Print one of the addresses and keys that `payg up` made."""
    from simulator.credentials import CredentialsError, look_up

    try:
        typer.echo(look_up(data_dir, name))
    except CredentialsError as error:
        raise _refused(error) from None


app.command()(reconcile)


@token_app.command("new")
def token_new(
    family: FamilyOption,
    secret: SecretOption,
    command: Annotated[
        str,
        typer.Option(
            help="unlock_relative, unlock_absolute, counter_sync (moto); "
            "add_time, set_time, disable_payg, counter_sync (openpaygo)."
        ),
    ],
    sequence_number: Annotated[
        int, typer.Option(help="The token's own: Moto sequence number, OpenPAYGO count.")
    ],
    payload: Annotated[
        int | None,
        typer.Option(help="Days, or the counter value; none for openpaygo's disable_payg and counter_sync."),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help='Moto only, for example "*+0-9+#+pad3 space3".')
    ] = None,
    starting_code: Annotated[
        int | None, typer.Option(help="OpenPAYGO only; default: from the secret.")
    ] = None,
    restricted: Annotated[
        bool, typer.Option("--restricted", help="OpenPAYGO with the digits 1 to 4.")
    ] = False,
    extended: Annotated[bool, typer.Option("--extended", help="OpenPAYGO with 12 digits.")] = False,
) -> None:
    """Print a token."""
    from protocols.tokens.errors import TokenError
    from protocols.tokens.new import new_token

    try:
        digits = new_token(
            family.value,
            secret,
            command,
            payload,
            sequence_number,
            encoding=encoding,
            starting_code=starting_code,
            restricted=restricted,
            extended=extended,
        )
    except TokenError as error:
        raise _refused(error) from None
    typer.echo(digits)


@device_app.command("keypad")
def device_keypad(
    family: FamilyOption,
    secret: SecretOption,
    starting_code: Annotated[
        int | None, typer.Option(help="OpenPAYGO only; default: from the secret.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=0, help="The last counter value that the device accepted.")
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Its flash, as a file; an existing one wins.")] = None,
    clock: Annotated[KeypadClock, typer.Option(help="manual: time stands still; a line +3600 moves it.")] = (
        KeypadClock.SYSTEM
    ),
) -> None:
    """Run a controller of the real firmware.

    A keypad entry a line in, a JSON object a line out.
    """
    import sys

    from edge.keypad_shell import KeypadError, run

    try:
        code = run(
            family=family.value,
            secret_hex=secret,
            starting_code=starting_code,
            count=count,
            store=None if store is None else str(store),
            manual_clock=clock is KeypadClock.MANUAL,
            stdin=sys.stdin,
            stdout=sys.stdout,
            stderr=sys.stderr,
        )
    except KeypadError as error:
        raise _refused(error) from None
    raise typer.Exit(code)


@device_app.command("type")
def device_type(
    serial: SerialOption,
    digits: Annotated[str, typer.Argument(help="What the customer types, for example the digits of an SMS.")],
    data_dir: DataDirOption = DATA_DIR,
) -> None:
    """Type on the keypad of a running device of `payg up`."""
    _panel(data_dir, serial, digits)


@device_app.command("show")
def device_show(serial: SerialOption, data_dir: DataDirOption = DATA_DIR) -> None:
    """Show a running device of `payg up`: light, display, credit."""
    _panel(data_dir, serial, None)


@device_app.command("list")
def device_list(data_dir: DataDirOption = DATA_DIR) -> None:
    """List the running devices of `payg up`, a JSON object a line."""
    import asyncio
    import json

    from edge.panel.client import PanelError, show_all

    try:
        for device in asyncio.run(show_all(data_dir)):
            typer.echo(json.dumps(device))
    except PanelError as error:
        raise _refused(error) from None


def _panel(data_dir: Path, serial: str, digits: str | None) -> None:
    import asyncio
    import json

    from edge.panel.client import PanelError, show, type_keys

    try:
        call = show(data_dir, serial) if digits is None else type_keys(data_dir, serial, digits)
        typer.echo(json.dumps(asyncio.run(call)))
    except PanelError as error:
        raise _refused(error) from None


def _refused(error: Exception) -> typer.Exit:
    typer.echo(f"payg: {error}", err=True)
    return typer.Exit(2)


def main() -> None:
    """The `payg` command. A wrong argument is one line on standard error, and exit code 2."""
    import sys

    from typer.exceptions import TyperException

    try:
        code = app(sys.argv[1:] or ["--help"], prog_name="payg", standalone_mode=False)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command: str = context.command_path if context is not None else "payg"
        says = " ".join(error.format_message().split()).replace("Value error, ", "")
        says = says[:_LONGEST_COMPLAINT].rstrip(".")
        typer.echo(f"payg: {says}; see {command} --help", err=True)
        sys.exit(2)
    except typer.Abort:
        sys.exit(1)
    sys.exit(code)

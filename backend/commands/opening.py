"""What commands open (settings, the data directory, databases), and how they say that they can't."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

from backend import build
from backend.data_dir import SECRETS, DataDir
from backend.kit import logs, master
from backend.kit.database import Database, open_database
from backend.kit.errors import CannotStart, DatabaseAway
from backend.kit.runtime import SystemEntropy
from backend.settings import ServeSettings, read_settings


def configured() -> ServeSettings:
    """The settings, and logs as they say."""
    settings = read_settings(ServeSettings)
    logs.configure(as_json=settings.log_json)
    return settings


def opened_folder(data_dir: Path, settings: ServeSettings) -> DataDir | None:
    """The data directory, if there is one. CannotStart: neither it nor the environment has a master key."""
    if (data_dir / SECRETS).exists():
        return DataDir(data_dir, (), SystemEntropy())
    if settings.secret_of("master_key") is None:
        raise CannotStart(
            f"{data_dir} has no {SECRETS}; name the services' --data-dir, or set PAYG_MASTER_KEY"
        )
    return None


def master_key(folder: DataDir | None, settings: ServeSettings) -> bytes:
    """The master key of the settings, else of the data directory."""
    given = settings.secret_of("master_key")
    if given is None and folder is not None:
        given = folder.current("master_key")
    return master.master_key_of(given or "")


@asynccontextmanager
async def databases_of(data_dir: Path, url: str | None) -> AsyncGenerator[dict[str, Database]]:
    """Those of every service that has one; on PostgreSQL every service has."""
    names = [name for name in build.SERVICES if url is not None or (data_dir / f"{name}.db").exists()]
    found = {name: open_database(url or f"sqlite:///{data_dir}", name) for name in names}
    try:
        yield found
    finally:
        for database in found.values():
            await database.close()


def ended(work: Callable[[], Coroutine[object, object, None]]) -> int:
    """Run it. 0; 2: it could not be done, and why is printed."""

    def command() -> int:
        asyncio.run(work())
        return 0

    return told(command)


def told(command: Callable[[], int]) -> int:
    """The exit code of a command; 2, and why in one line on standard error, if it can't be done."""
    try:
        return command()
    except CannotStart as error:
        says = str(error)
    except DatabaseAway as error:
        says = error.says
    print(f"payg: {says}", file=sys.stderr)
    return 2

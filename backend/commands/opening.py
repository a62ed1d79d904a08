"""What commands open on this machine: the data directory, its master key, the databases of services."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from backend import build
from backend.data_dir import SECRETS, DataDir
from backend.kit import master
from backend.kit.database import Database, open_database
from backend.kit.errors import CannotStart
from backend.kit.migrations import migrate
from backend.kit.runtime import SystemEntropy
from backend.settings import ServeSettings


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
    found = {name: _opened(name, data_dir, url) for name in build.SERVICES if _has(name, data_dir, url)}
    try:
        yield found
    finally:
        for database in found.values():
            await database.close()


@asynccontextmanager
async def database_of(service: str, data_dir: Path, url: str | None) -> AsyncGenerator[Database]:
    """That of one service, its schema up to date. CannotStart: it has none."""
    if not _has(service, data_dir, url):
        raise CannotStart(f"{data_dir} has no {service}.db; start the service once")
    database = _opened(service, data_dir, url)
    try:
        await migrate(database, service)
        yield database
    finally:
        await database.close()


def _has(service: str, data_dir: Path, url: str | None) -> bool:
    return url is not None or (data_dir / f"{service}.db").exists()


def _opened(service: str, data_dir: Path, url: str | None) -> Database:
    return open_database(url or f"sqlite:///{data_dir}", service)

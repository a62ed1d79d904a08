"""`payg keys master`: another master key for all databases, beside running services (kit/master.py)."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import structlog

from backend.commands.opening import databases_of, master_key, opened_folder
from backend.data_dir import DataDir
from backend.kit import master
from backend.kit.database import Database
from backend.kit.runtime import SystemEntropy, token_hex
from backend.process import configured, exit_code_of
from backend.settings import ServeSettings


def replace(data_dir: Path, database_url: str | None) -> int:
    """Make another master key and let it open every database here.

    One of the data directory replaces the old one at once; one of the environment is printed, and both open
    the databases until `finish`. A crash in between leaves the old one good: do it again.
    """

    async def work() -> None:
        settings = configured()
        folder = opened_folder(data_dir, settings)
        # Two at a time would each throw away the row that the other's key opens.
        with nullcontext() if folder is None else folder.alone("master"):
            async with databases_of(data_dir, database_url) as databases:
                await _replace(databases, folder, settings)
                structlog.get_logger().info("keys.master_replaced", databases=list(databases))

    return exit_code_of(work)


def finish(data_dir: Path, database_url: str | None) -> int:
    """Let the master key of the settings alone open the databases."""

    async def work() -> None:
        settings = configured()
        async with databases_of(data_dir, database_url) as databases:
            await _keep(databases, master_key(opened_folder(data_dir, settings), settings))
            structlog.get_logger().info("keys.master_finished", databases=list(databases))

    return exit_code_of(work)


async def _replace(
    databases: Mapping[str, Database], folder: DataDir | None, settings: ServeSettings
) -> None:
    entropy = SystemEntropy()
    text = token_hex(entropy, master.ROOT_SIZE)
    old, new = master_key(folder, settings), master.master_key_of(text)
    for name, database in databases.items():
        await master.root_key(database, name, old, entropy)  # made where there is none yet
        await master.add_master(database, name, old, new, entropy)
    if settings.secret_of("master_key") is not None or folder is None:
        print("set PAYG_MASTER_KEY everywhere to the next line, then: payg keys master --finish")
        print(text)
    else:
        folder.replace("master_key", text)
        await _keep(databases, new)


async def _keep(databases: Mapping[str, Database], key: bytes) -> None:
    for name, database in databases.items():
        await master.keep_master(database, name, key)

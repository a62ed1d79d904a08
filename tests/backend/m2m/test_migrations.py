"""A database of an older version is brought up to date, and served, on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator
from importlib.resources import files

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from backend.kit.database import Database, open_database
from backend.kit.migrations import migrate
from backend.kit.runtime import SystemEntropy
from backend.kit.vault import Vault
from backend.m2m.audit_store import AuditStore
from backend.m2m.firmware import PART
from backend.m2m.service import M2mService
from backend.m2m.store import Store
from protocols.magicbox import wire


@pytest.fixture
async def old_database(empty_database_url: str) -> AsyncIterator[Database]:
    opened = open_database(empty_database_url, "m2m")
    yield opened
    await opened.close()


def first_schema(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(files("backend.kit") / "alembic"))
    config.set_main_option("version_locations", str(files("backend.m2m") / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")


def status(record: int, token_count: int) -> wire.Status:
    return wire.Status(record, 0, 60, 0, 1, 0, 3300, 0, 0, 0, token_count, b"\x01\x00\x00")


def token(record: int, token_count: int) -> wire.TokenEvent:
    return wire.TokenEvent(record, 0, 0, 0, wire.TOKEN_COMMAND_ADD_TIME, 30, token_count, 0)


def old_rows(connection: Connection) -> None:
    for serial, newest in (("A", 3), ("B", -1), ("C", -1)):
        connection.execute(
            text(
                "INSERT INTO devices (serial, market, up_epoch, up_highest, up_window, down_epoch,"
                " down_sequence, online, status_record) VALUES (:serial, 'UG', 0, 7, 1, 0, 9, :off, :newest)"
            ),
            {"serial": serial, "off": False, "newest": newest},
        )
    for serial, record in (("A", status(3, 5)), ("A", status(2, 77)), ("A", token(1, 4)), ("B", token(1, 8))):
        encoded = wire.encode_records([record])
        connection.execute(
            text("INSERT INTO records VALUES (:serial, :record, :type, 0, 0, :body)"),
            {"serial": serial, "record": record.record, "type": encoded[0], "body": encoded},
        )
    for name, state in (("useracct", "created"), ("useracct", "replied"), ("sync", "sent")):
        connection.execute(
            text(
                "INSERT INTO commands (client, serial, name, argument, text, state, created_at_ms)"
                " VALUES ('c', 'A', :name, '', '', :state, 0)"
            ),
            {"name": name, "state": state},
        )


async def test_an_old_database(old_database: Database) -> None:
    database = old_database
    await database.write(first_schema)
    await database.write(old_rows)
    await migrate(database, "m2m")
    store = Store(Vault(bytes(32), "m2m", SystemEntropy()))
    devices = await database.write(lambda c: store.lock_devices(c, ["A", "B", "C"]))
    assert {serial: device.token_count for serial, device in devices.items()} == {"A": 5, "B": 8, "C": 0}
    assert {(device.offered_epoch, device.down_sequence) for device in devices.values()} == {(0, 9)}
    counts = await database.read(AuditStore(store).count_commands)
    assert counts == {"cancelled": 1, "replied": 1, "sent": 1}

    def differences(connection: Connection) -> list[object]:
        own = MigrationContext.configure(connection, opts={"include_schemas": False})
        return compare_metadata(own, store.metadata)

    assert await database.read(differences) == []


async def test_files_and_epochs(service: M2mService, device) -> None:
    """What is new in the store, on both databases."""
    content = bytes(range(256)) * 600
    stored, added = await service.firmware.put("a.img", content, client="operator")
    again, added_again = await service.firmware.put("a.img", content, client="operator")
    assert (stored, added, added_again) == (again, True, False)
    parts = [await service.firmware.read(stored, start, PART) for start in range(0, stored.size, PART)]
    assert b"".join(parts) == content
    for name, details in (("synciv", {}), ("update", {"file": "a.img"}), ("sync", {})):
        await service.create(
            identifier=device.serial, name=name, details=details, callback_url=None, reference=name
        )
    items = await service.feed.lease(limit=10, wait_s=0)
    await service.feed.confirm([item.id for item in items])
    device.receive(items[0].payload)
    for _ in range(3):
        device.status(token_count=6)
        (answer,) = await service.ingest([(device.serial, device.frame())])
        for frame in answer.down:
            assert wire.decode_header(frame).epoch == 1
            device.receive(frame)
    assert (await service.audit()).commands == {"sent": 1, "replied": 2}
    assert (await database_row(service, device.serial)).token_count == 6


async def database_row(service: M2mService, serial: str):
    return await service._database.read(lambda connection: service._store.device(connection, serial))

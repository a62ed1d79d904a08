"""What commands say is sealed in the database: digits that were not used yet, keys for a reset, PINs."""

from collections.abc import Callable

import pytest
from aiohttp.test_utils import TestClient
from sqlalchemy import select, update

from backend.kit.database import Database
from backend.kit.errors import InternalError
from backend.kit.runtime import SystemEntropy
from backend.kit.vault import SEALED, Vault
from backend.m2m.service import M2mService
from backend.m2m.store import Store
from protocols.magicbox import wire

TOKEN = {"name": "unlock_token", "details": {"unlock_code": "042744349"}}
PIN = {"name": "useracct", "details": {"operation": "pin 8642"}}
table = Store(Vault(bytes(32), "m2m", SystemEntropy())).commands


async def test_commands_are_sealed_in_the_database_and_nowhere_else(
    http: TestClient, service: M2mService, database: Database, device
) -> None:
    """Checklist 65: the text form is shown as ever, and the device gets what was ordered."""
    shown = []
    for reference, command in (("one", TOKEN), ("two", PIN), ("one", TOKEN)):
        request = {"identifier": device.serial, "command": command, "reference": reference}
        async with http.post("/v1/commands", json=request) as response:
            shown.append((await response.json())["command"])
    assert shown == ["TOKEN: 042744349", "USERACCT: pin ****", "TOKEN: 042744349"]
    rows = await database.read(lambda c: c.execute(select(table).order_by(table.c.id)).mappings().all())
    assert len(rows) == 2
    assert all(row[name].startswith(SEALED) for row in rows for name in ("argument", "text"))
    assert not [secret for secret in ("042744349", "8642") for row in rows if secret in str(dict(row))]
    async with http.get(f"/v1/commands/{rows[0]['id']}") as response:
        assert (await response.json())["command"] == "TOKEN: 042744349"
    async with http.get("/v1/commands") as response:
        commands = (await response.json())["commands"]
    assert [one["command"] for one in commands] == ["USERACCT: pin ****", "TOKEN: 042744349"]
    items = await service.feed.lease(limit=10, wait_s=0)
    records = [record for item in items for record in device.read(item.payload)]
    assert [record.digits for record in records if isinstance(record, wire.Token)] == [b"042744349"]


async def test_a_text_opens_under_its_own_command_alone(
    build: Callable[..., M2mService], database: Database, device
) -> None:
    service = build()
    await service.start()
    for reference in ("one", "two"):
        await service.create(
            identifier=device.serial,
            name="unlock_token",
            details={"unlock_code": "042744349"},
            callback_url=None,
            reference=reference,
        )
    first = select(table.c.text).where(table.c.id == 1).scalar_subquery()
    await database.write(lambda c: c.execute(update(table).values(text=first)))
    with pytest.raises(InternalError):
        await service.create(
            identifier=device.serial, name="sync", details={}, callback_url=None, reference="two"
        )
    await service.stop()


async def test_a_command_of_before_there_were_seals_goes_out(
    service: M2mService, database: Database, device
) -> None:
    order = {"identifier": device.serial, "name": "unlock_token", "callback_url": None, "reference": "old"}
    await service.create(**order, details={"unlock_code": "1"})
    await database.write(
        lambda c: c.execute(update(table).values(argument="042744349", text="TOKEN: 042744349"))
    )
    assert await service.create(**order, details={"unlock_code": "1"}) == "TOKEN: 042744349"
    (item,) = await service.feed.lease(limit=10, wait_s=0)
    assert [record.digits for record in device.read(item.payload) if isinstance(record, wire.Token)] == [
        b"042744349"
    ]

"""The real Moto. Each answer has left a note of who asked for what, durable like the rest."""

from collections.abc import Collection, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, func, insert, select

from backend.kit.batch import MAX_BATCH
from backend.kit.database import Database
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.moto.ownership import Attempt
from backend.moto.routes import make_app
from backend.moto.service import MotoConfig, MotoService
from backend.moto.store import DeviceRow, Store
from tests.bench.bench import API_KEY, DEVICES, MASTER_KEY, ORDINARY, Running, serial


class OrdinaryStore(Store):
    """Ordinary statements for one request, on the same tables."""

    def owners(self, connection: Connection, serials: Collection[str]) -> dict[str, tuple[str, str]]:
        table = self.devices
        rows = connection.execute(
            select(table.c.serial, table.c.market, table.c.state).where(table.c.serial.in_(serials))
        )
        return {row.serial: (row.market, row.state) for row in rows}

    def note(self, connection: Connection, attempts: Sequence[Attempt]) -> None:
        connection.execute(insert(self.attempts), [asdict(attempt) for attempt in attempts])


async def start(database: Database, bench: str, mode: str) -> Running:
    """See bench.Side."""
    service = MotoService(
        database=database,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        config=MotoConfig(master_key=MASTER_KEY, max_batch=1 if mode == ORDINARY else MAX_BATCH),
    )
    await service.start()
    await service.install_key(key=API_KEY, client="bench")
    if mode == ORDINARY:
        service._store.__class__ = OrdinaryStore  # the same tables, other statements
    await database.write(lambda connection: _register(connection, service._store))
    return Running(make_app(service, service.keys), service.stop)


def _register(connection: Connection, store: Store) -> None:
    """The devices, whose own secrets no stateless token needs."""
    for number in range(DEVICES):
        store.add_device(connection, DeviceRow(serial(number), "UG", "moto", bytes(28), None, 0), 0)


async def stored(database: Database, bench: str) -> int | None:
    """See bench.Side."""
    table = Store(b"").attempts
    return await database.read(
        lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()
    )

"""An M2M that has been used for years: devices, their answered commands, and a record for each of these."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, update

from backend.kit.database import Database
from backend.kit.migrations import migrate
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.kit.vault import Vault
from backend.m2m.commands import REPLIED, Wanted
from backend.m2m.creation import Creation, Creations
from backend.m2m.rows import RecordRow
from backend.m2m.store import Store
from protocols.magicbox import wire
from tests.bench.bench import serial
from tests.bench.fill import in_parts

TOGETHER = 2_000
LIFE_MS = 30 * 86_400_000


async def fill(database: Database, *, master_key: bytes, devices: int, payments: int) -> None:
    """Store that many devices, and a command and a record for each of that many payments."""
    await migrate(database, "m2m")
    clock = SystemClock()
    store = Store(Vault(master_key, "m2m", SystemEntropy()))
    now_ms = clock.now_ms()
    creations = Creations(store=store, clock=clock, life_ms=LIFE_MS, sms_after_ms=None)

    def put_devices(connection: Connection) -> None:
        store.add_devices(connection, {serial(number): "UG" for number in range(devices)})

    def put_commands(connection: Connection, numbers: Sequence[int]) -> None:
        creations.decide(connection, [_command(number, devices) for number in numbers])
        connection.execute(delete(store.outbox.table))
        store.add_records(connection, [_record(number, devices, now_ms) for number in numbers])

    def end_commands(connection: Connection) -> None:
        answered = update(store.commands).values(state=REPLIED, sent_at_ms=now_ms, replied_at_ms=now_ms)
        connection.execute(answered)

    await database.write(put_devices)
    await in_parts(database, payments, put_commands, together=TOGETHER)
    await database.alter(end_commands)  # however long it takes


def _command(number: int, devices: int) -> Creation:
    digits = f"{number:09}"
    wanted = Wanted(
        serial=serial(number % devices),
        name="unlock_token",
        argument=digits,
        text=f"TOKEN: {digits}",
        callback_url="http://127.0.0.1:1/callback",
        reference=f"old-{number}",
    )
    return Creation("solarium", ("UG",), wanted)


def _record(number: int, devices: int, now_ms: int) -> RecordRow:
    record = wire.CommandResult(1 + number // devices, 0, number, wire.COMMAND_RESULT_OK, b"")
    return RecordRow(
        serial=serial(number % devices),
        record=record.record,
        type=wire.TYPE_COMMAND_RESULT,
        at_ms=now_ms,
        received_at_ms=now_ms,
        body=wire.encode_records([record]),
    )

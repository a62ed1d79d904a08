"""A Moto that has been used for years: registered devices, the tokens they got, a note of every attempt."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert

from backend.kit.database import Database
from backend.kit.migrations import migrate
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.kit.vault import Vault
from backend.moto.ownership import GIVEN, STATEFUL, Attempt
from backend.moto.store import Store, TokenRow
from tests.bench.bench import serial
from tests.bench.fill import in_parts

TOGETHER = 5_000
SECRET = bytes.fromhex("00112233AABBCC")


async def fill(database: Database, *, master_key: bytes, devices: int, payments: int) -> None:
    """Store that many devices, and a token for each of that many payments."""
    await migrate(database, "moto")
    now_ms = SystemClock().now_ms()
    vault = Vault(master_key, "moto", SystemEntropy())
    store = Store(vault.pepper)

    def put_devices(connection: Connection) -> None:
        rows: list[dict[str, Any]] = [
            {
                "serial": serial(number),
                "market": "UG",
                "family": "moto",
                "secret": vault.seal(SECRET, serial(number)),
                "starting_code": None,
                "last_sequence": 0,
                "created_at_ms": now_ms,
                "state": "active",
            }
            for number in range(devices)
        ]
        connection.execute(insert(store.devices), rows)

    def put_tokens(connection: Connection, numbers: Sequence[int]) -> None:
        tokens = [_token(number, devices, now_ms) for number in numbers]
        store.issue(connection, tokens, {token.serial: token.sequence_number for token in tokens})
        store.note(connection, [_attempt(token) for token in tokens])

    await database.write(put_devices)
    await in_parts(database, payments, put_tokens, together=TOGETHER)


def _token(number: int, devices: int, now_ms: int) -> TokenRow:
    """Round the devices: the next number of each."""
    return TokenRow(
        client="solarium",
        reference=f"old-{number}",
        serial=serial(number % devices),
        family="moto",
        command="unlock_relative",
        payload=1 + number % 3,
        sequence_number=1 + number // devices,
        encoding=None,
        created_at_ms=now_ms,
    )


def _attempt(token: TokenRow) -> Attempt:
    return Attempt(
        at_ms=token.created_at_ms,
        client=token.client,
        route=STATEFUL,
        device=token.serial,
        command=token.command,
        sequence_number=token.sequence_number,
        outcome=GIVEN,
    )

"""The api_keys table of a service: keyed hashes of API keys, and what each key may. keys.py looks them up.

A key that has expired stays here, so that a process which still has it in its settings does not revive it.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import msgspec
from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, or_, select, update

from backend.kit.rows import insert_new

REVOKED_MS = 0  # when a revoked key ended: before any time that a clock is set back to
ID_LENGTH = 8  # hex digits of a keyed hash: enough to tell a client's few keys apart, nothing to guess from


@dataclass(frozen=True)
class KeyRow:
    """A key as it is stored. No market: every one. No allowed network: from anywhere."""

    key_hash: str = field(repr=False)
    client: str
    markets: tuple[str, ...]
    allowed: tuple[str, ...]
    created_at_ms: int
    expires_at_ms: int | None

    @cached_property
    def id(self) -> str:
        """What people and logs call the key."""
        return self.key_hash[:ID_LENGTH]

    def is_valid(self, now_ms: int) -> bool:
        """Whether it has not expired."""
        return self.expires_at_ms is None or now_ms < self.expires_at_ms


class KeyTable:
    """`pepper` keys the hashes."""

    def __init__(self, metadata: MetaData, pepper: bytes):
        self.table = Table(
            "api_keys",
            metadata,
            Column("key_hash", Text, primary_key=True),
            Column("client", Text, nullable=False),
            Column("markets", Text, nullable=False),
            Column("created_at_ms", BigInteger, nullable=False),
            Column("allowed", Text, nullable=False),
            Column("expires_at_ms", BigInteger),
        )
        self._mac = hmac.new(pepper, digestmod="sha256")

    def hash(self, key: str) -> str:
        """The keyed hash of a key; any header value has one."""
        mac = self._mac.copy()  # hmac.digest lets go of the interpreter lock, and a writing thread takes it
        mac.update(key.encode("utf-8", "surrogateescape"))
        return mac.hexdigest()

    def id_of(self, key: str) -> str:
        """What people and logs call a key."""
        return self.hash(key)[:ID_LENGTH]

    def install(
        self,
        connection: Connection,
        key: str,
        client: str,
        markets: Sequence[str],
        now_ms: int,
        *,
        allowed: Sequence[str] = (),
    ) -> None:
        """Make `key` valid; one that is there already, expired or not, stays as it is."""
        row = {
            "key_hash": self.hash(key),
            "client": client,
            "markets": _text(markets),
            "created_at_ms": now_ms,
            "allowed": _text(allowed),
            "expires_at_ms": None,
        }
        connection.execute(insert_new(connection, self.table), [row])

    def rows(self, connection: Connection) -> list[KeyRow]:
        """Every key, the oldest first."""
        found = connection.execute(
            select(self.table).order_by(self.table.c.created_at_ms, self.table.c.key_hash)
        )
        return [
            KeyRow(
                key_hash=str(row.key_hash),
                client=str(row.client),
                markets=_texts(row.markets),
                allowed=_texts(row.allowed),
                created_at_ms=int(row.created_at_ms),
                expires_at_ms=None if row.expires_at_ms is None else int(row.expires_at_ms),
            )
            for row in found
        ]

    def expire(self, connection: Connection, hashes: Sequence[str], at_ms: int) -> int:
        """Let these keys end at that time, or earlier if they already would; how many changed."""
        table = self.table
        later = or_(table.c.expires_at_ms.is_(None), table.c.expires_at_ms > at_ms)
        statement = update(table).where(table.c.key_hash.in_(hashes), later).values(expires_at_ms=at_ms)
        return connection.execute(statement).rowcount


def _text(values: Sequence[str]) -> str:
    return msgspec.json.encode(list(values)).decode()


def _texts(column: object) -> tuple[str, ...]:
    return msgspec.json.decode(str(column), type=tuple[str, ...])

"""API keys: stored as keyed hashes, several valid at once, each with a client name and its markets.

(resolutions 2.) The plain key exists only at the client and, once, where it is installed.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, select

from backend.kit.database import Database
from backend.kit.errors import Forbidden
from backend.kit.rows import insert_new

MAX_KEY = 512  # longer headers are not hashed


MARKETS_HEADER = "Payg-Markets"  # a service that calls for a client of its own names that one's markets


@dataclass(frozen=True, slots=True)
class Client:
    """Who calls. No market listed: every market."""

    name: str
    markets: tuple[str, ...]

    def narrowed(self, header: str | None) -> "Client":
        """The client within the markets of a MARKETS_HEADER (`UG,RW`), if there is one; never beyond its own.

        Forbidden: the two have none in common.
        """
        if header is None:
            return self
        named = tuple(market.strip() for market in header.split(","))
        common = tuple(market for market in named if market and market in (self.markets or named))
        if not common:
            raise Forbidden("the key is for other markets")
        return Client(self.name, common)


class ApiKeys:
    """The api_keys table of one service and who each key belongs to. `pepper` keys the hashes."""

    def __init__(self, metadata: MetaData, pepper: bytes):
        self.table = Table(
            "api_keys",
            metadata,
            Column("key_hash", Text, primary_key=True),
            Column("client", Text, nullable=False),
            Column("markets", Text, nullable=False),
            Column("created_at_ms", BigInteger, nullable=False),
        )
        self._mac = hmac.new(pepper, digestmod="sha256")
        self._clients: dict[str, Client] = {}

    def install(
        self, connection: Connection, key: str, client: str, markets: Sequence[str], now_ms: int
    ) -> None:
        """Make `key` valid; one that is there already stays as it is. `load` afterwards."""
        row = {
            "key_hash": self._hash(key),
            "client": client,
            "markets": msgspec.json.encode(list(markets)).decode(),
            "created_at_ms": now_ms,
        }
        connection.execute(insert_new(connection, self.table), [row])

    async def load(self, database: Database) -> None:
        """Read the table; call again after it changed."""
        rows = await database.read(lambda connection: connection.execute(select(self.table)).all())
        self._clients = {
            str(row.key_hash): Client(
                str(row.client), msgspec.json.decode(str(row.markets), type=tuple[str, ...])
            )
            for row in rows
        }

    def client_of(self, key: str | None) -> Client | None:
        """Whose key this is. The look-up is by keyed hash, so its time tells nothing about valid keys."""
        if not key or len(key) > MAX_KEY:
            return None
        return self._clients.get(self._hash(key))

    def _hash(self, key: str) -> str:
        mac = self._mac.copy()  # hmac.digest lets go of the interpreter lock, and a writing thread takes it
        mac.update(key.encode("utf-8", "surrogateescape"))
        return mac.hexdigest()

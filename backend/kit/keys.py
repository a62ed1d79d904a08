"""API keys: who calls, for which markets, from where. Several of a client can be valid at once (rotation).

The plain key exists only at the client and, once, where it is installed (resolutions 2). A running service
takes changes of the table up by itself: it reads it again every RELOAD_S, and before it refuses a key that it
does not know. web.py calls `follow` before each request that carries a key.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import structlog
from sqlalchemy import MetaData

from backend.kit.database import Database
from backend.kit.errors import BackendError, Forbidden
from backend.kit.key_table import KeyRow, KeyTable
from backend.kit.peers import Network, networks_of, within
from backend.kit.ratelimit import RateLimit
from backend.kit.runtime import Clock

MAX_KEY = 512  # longer headers are not hashed
RELOAD_S = 3.0  # a key that was revoked is refused this much later at most, by every copy
PAUSE_S = 0.2  # between two readings for unknown keys, however many strangers try
# Wrong credentials of one address: an old key in a client's few processes stays below; who guesses does not.
WRONG, WRONG_WINDOW_S = 20, 10

MARKET = re.compile(r"[A-Z]{2}\Z")
MARKETS_HEADER = "Payg-Markets"  # a service that calls for a client of its own names that one's markets
KEY_HEADERS = ("API-KEY", "X-API-Key")


def market_of(provider_key: str) -> str:
    """A provider key begins with its market (resolutions 24): UG of ug_mtn_mobilemoney."""
    return provider_key[:2].upper()


@dataclass(frozen=True, slots=True)
class Client:
    """Who calls. No market listed: every market."""

    name: str
    markets: tuple[str, ...]

    def sees(self, market: str) -> bool:
        """Whether what is of `market` is the client's to see."""
        return not self.markets or market in self.markets

    def check(self, market: str) -> None:
        """Forbidden: the key is for other markets."""
        if not self.sees(market):
            raise Forbidden(f"this key is not for the market {market}")

    def narrowed(self, header: str | None) -> "Client":
        """The client within the markets of a MARKETS_HEADER (`UG,RW`), if there is one; never beyond its own.

        Forbidden: the two have none in common.
        """
        if header is None:
            return self
        named = tuple(market.strip() for market in header.split(","))
        common = tuple(
            market for market in named if MARKET.match(market) and market in (self.markets or named)
        )
        if not common:
            raise Forbidden("the key is for other markets")
        return Client(self.name, common)


@dataclass(frozen=True, slots=True)
class _Known:
    row: KeyRow
    client: Client
    allowed: tuple[Network, ...]


class ApiKeys(KeyTable):
    """The keys of one service. `open` before anything else."""

    _database: Database
    _clock: Clock
    _wrong: RateLimit
    _log: ClassVar[structlog.stdlib.BoundLogger] = structlog.get_logger()

    def __init__(self, metadata: MetaData, pepper: bytes):
        super().__init__(metadata, pepper)
        self._known: dict[str, _Known] = {}
        self._read_at_s = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def open(self, database: Database, clock: Clock) -> None:
        """Read the table, and follow it from now on."""
        self._database, self._clock = database, clock
        self._wrong = RateLimit(limit=WRONG, window_s=WRONG_WINDOW_S, clock=clock)
        await self.load()

    async def add(
        self, key: str, *, client: str, markets: Sequence[str] = (), allowed: Sequence[str] = ()
    ) -> None:
        """Make a key valid; again changes nothing."""
        now_ms = self._clock.now_ms()
        await self._database.write(
            lambda connection: self.install(connection, key, client, markets, now_ms, allowed=allowed)
        )
        await self.load()
        known = self._known[self.hash(key)]
        if not known.row.is_valid(now_ms):
            self._log.warning("keys.expired", client=known.row.client, key=known.row.id)

    async def load(self) -> None:
        """Read the table now."""
        self._read_at_s = asyncio.get_running_loop().time()
        rows = await self._database.read(self.rows)
        self._known = {
            row.key_hash: _Known(row, Client(row.client, row.markets), networks_of(row.allowed))
            for row in rows
        }

    async def follow(self, key: str) -> None:
        """Be as new as judging `key` needs: read the table again if it is old, or if it lacks the key.

        Old for any key: a request may carry another one in another header, which is judged.
        """
        age_s = asyncio.get_running_loop().time() - self._read_at_s
        if age_s < RELOAD_S and (len(key) > MAX_KEY or self.hash(key) in self._known):
            return
        # One reading serves everybody who waits, and it begins after each of them came.
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_soon(), name="keys")
        await asyncio.shield(self._reading)

    def client_of(self, key: str | None, address: str | None = None) -> Client | None:
        """Whose key this is, used from `address`. None: nobody's, expired, or not from there.

        The look-up is by keyed hash, so its time tells nothing about valid keys.
        """
        if not key or len(key) > MAX_KEY:
            return None
        known = self._known.get(self.hash(key))
        if known is None:
            return None
        if known.row.expires_at_ms is not None and not known.row.is_valid(self._clock.now_ms()):
            return None
        if known.allowed and not within(address, known.allowed):
            self._log.warning("keys.address_refused", client=known.client.name, key=known.row.id)
            return None
        return known.client

    def count_wrong(self, address: str | None) -> None:
        """Count a wrong credential. Raises TooManyRequests for one too many; valid ones are never counted."""
        self._wrong.take(address or "")

    async def _read_soon(self) -> None:
        due_s = self._read_at_s + PAUSE_S - asyncio.get_running_loop().time()
        if due_s > 0:
            await asyncio.sleep(due_s)
        self._reading = None  # who comes from here on waits for the next one
        try:
            await self.load()
        except BackendError as error:  # what was read last is good until the database is back
            self._log.warning("keys.not_read", error=error.detail)

"""`payg keys`: the API keys of a service. It works beside running services.

    list, add, revoke   on the service's table; every running copy follows within seconds
    rotate              a new key; the client's old ones end after the overlap. Where our own services call
                        with the key, it goes into the data directory's secrets, and they read them again

Each change is one log line, with the key's id and never the key. master_keys.py has the master key.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog
from sqlalchemy import MetaData

from backend.commands.opening import database_of, master_key, opened_folder
from backend.data_dir import CREDENTIALS, DataDir, write_private
from backend.kit import master
from backend.kit.database import Database
from backend.kit.decoding import UNREADABLE
from backend.kit.errors import CannotStart
from backend.kit.key_table import REVOKED_MS, KeyRow, KeyTable
from backend.kit.peers import networks_of
from backend.kit.runtime import Clock, SystemClock, SystemEntropy, iso, token_hex
from backend.kit.vault import Vault
from backend.process import configured, exit_code_of
from backend.settings import ServeSettings

KEY_SIZE = 32  # bytes of a new key
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_OVERLAP = re.compile(r"([0-9]{1,6})([smhd])\Z")
_MARKET = re.compile(r"[A-Z]{2}\Z")
_CLIENT = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Place:
    """Whose keys, and where they are."""

    service: str
    data_dir: Path
    database_url: str | None


@dataclass(frozen=True, slots=True)
class _Desk:
    """An opened place."""

    service: str
    folder: DataDir | None
    settings: ServeSettings
    database: Database
    table: KeyTable
    clock: Clock

    async def rows(self) -> list[KeyRow]:
        return await self.database.read(self.table.rows)

    def log(self, event: str, **about: object) -> None:
        structlog.get_logger().info(f"keys.{event}", service=self.service, **about)


def show(place: Place) -> int:
    """Print every key's id, client, markets, allow-list, creation and end; never a key."""

    async def work(desk: _Desk) -> None:
        now_ms = desk.clock.now_ms()
        for row in await desk.rows():
            end = "never" if row.expires_at_ms is None else iso(row.expires_at_ms)
            state = "valid" if row.is_valid(now_ms) else "expired"
            if row.expires_at_ms == REVOKED_MS:
                state, end = "revoked", "at once"
            markets, allowed = ",".join(row.markets) or "all", ",".join(row.allowed) or "anywhere"
            print(
                f"{row.id}  {state:7}  client={row.client}  markets={markets}  from={allowed}  "
                f"created={iso(row.created_at_ms)}  expires={end}"
            )

    return _run(place, work)


def add(place: Place, *, client: str, markets: Sequence[str], allowed: Sequence[str]) -> int:
    """Print a new key of `client`, once."""

    async def work(desk: _Desk) -> None:
        _check(client, markets, allowed)
        key = token_hex(SystemEntropy(), KEY_SIZE)
        await _install(desk, key, client, markets, allowed)
        desk.log("added", client=client, key=desk.table.id_of(key), markets=list(markets))
        print(key)

    return _run(place, work)


def rotate(place: Place, *, client: str, overlap: str) -> int:
    """A new key with the rules of the client's newest; the old ones end after `overlap`, say 24h."""

    async def work(desk: _Desk) -> None:
        overlap_s = _seconds(overlap)
        old = await _valid(desk, client)
        key = token_hex(SystemEntropy(), KEY_SIZE)
        # In this order a crash leaves the old keys valid: rotate again.
        await _install(desk, key, client, old[-1].markets, old[-1].allowed)
        is_told = _tell_services(desk, key, old)
        await _expire(desk, old, desk.clock.now_ms() + overlap_s * 1000 if overlap_s else REVOKED_MS)
        desk.log(
            "rotated",
            client=client,
            key=desk.table.id_of(key),
            old=[row.id for row in old],
            overlap_s=overlap_s,
        )
        if is_told:
            print(f"the services that use {place.data_dir} call with the new key from now on")
        else:
            print(key)

    return _run(place, work)


def revoke(place: Place, *, client: str, key_id: str | None) -> int:
    """End the keys of `client` now, or the one of that id."""

    async def work(desk: _Desk) -> None:
        rows = [row for row in await _valid(desk, client) if key_id in (None, row.id)]
        if not rows:
            raise CannotStart(f"{client} has no valid key {key_id}; see payg keys list {desk.service}")
        await _expire(desk, rows, REVOKED_MS)
        desk.log("revoked", client=client, keys=[row.id for row in rows])
        print(f"revoked: {', '.join(row.id for row in rows)}")

    return _run(place, work)


async def _install(
    desk: _Desk, key: str, client: str, markets: Sequence[str], allowed: Sequence[str]
) -> None:
    now_ms = desk.clock.now_ms()
    await desk.database.write(
        lambda connection: desk.table.install(connection, key, client, markets, now_ms, allowed=allowed)
    )


async def _expire(desk: _Desk, rows: Sequence[KeyRow], at_ms: int) -> None:
    hashes = [row.key_hash for row in rows]
    await desk.database.write(lambda connection: desk.table.expire(connection, hashes, at_ms))


async def _valid(desk: _Desk, client: str) -> list[KeyRow]:
    """The valid keys of a client, the oldest first. CannotStart: it has none."""
    now_ms = desk.clock.now_ms()
    rows = [row for row in await desk.rows() if row.client == client and row.is_valid(now_ms)]
    if not rows:
        raise CannotStart(f"{client} has no valid key; see payg keys list {desk.service}")
    return rows


def _tell_services(desk: _Desk, key: str, old: Sequence[KeyRow]) -> bool:
    """Put the key where our own services read theirs, if an old one is there."""
    name = f"{desk.service}_api_key"
    if desk.folder is None or desk.settings.secret_of(name) is not None or not desk.folder.has(name):
        return False
    if desk.table.hash(desk.folder.secret(name)) not in {row.key_hash for row in old}:
        return False
    desk.folder.replace(name, key)
    file = desk.folder.path / CREDENTIALS
    if file.exists():  # `payg up` runs, or ran: what people read their key from
        try:
            content = msgspec.json.decode(file.read_bytes(), type=dict[str, object])
            own = msgspec.convert(content[desk.service], dict[str, object])
        except (*UNREADABLE, KeyError, OSError):  # `payg up` writes it anew at its next start
            desk.log("credentials_not_read", file=str(file), key_is_in=str(desk.folder.secrets_file))
        else:
            write_private(file, {**content, desk.service: {**own, "api_key": key}})
    return True


def _check(client: str, markets: Sequence[str], allowed: Sequence[str]) -> None:
    if not _CLIENT.match(client):
        raise CannotStart("--client is 1 to 64 letters, digits, '.', '_' or '-'")
    for market in markets:
        if not _MARKET.match(market):
            raise CannotStart(f"--market {market[:20]!r} is no market; say UG, KE, ...")
    try:
        networks_of(allowed)
    except ValueError as error:
        raise CannotStart(f"--allow: {error}; say 10.1.0.0/16 or 192.0.2.7") from None


def _seconds(overlap: str) -> int:
    found = _OVERLAP.match(overlap)
    if found is None:
        raise CannotStart("--overlap is a number and a unit: 24h, 30m, 7d, 0s")
    return int(found[1]) * _UNITS[found[2]]


def _run(place: Place, work: Callable[[_Desk], Awaitable[None]]) -> int:
    async def opened() -> None:
        settings = configured()
        folder = opened_folder(place.data_dir, settings)
        async with database_of(place.service, place.data_dir, place.database_url) as database:
            entropy = SystemEntropy()
            root = await master.root_key(database, place.service, master_key(folder, settings), entropy)
            table = KeyTable(MetaData(), Vault(root, place.service, entropy).pepper)
            await work(_Desk(place.service, folder, settings, database, table, SystemClock()))

    return exit_code_of(opened)

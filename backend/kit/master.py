"""The master key of the settings, and the root key of each database that it opens.

    master key --opens--> root key of one service's database --> what vault.py seals and hashes

The root key stays for the life of a database, so replacing the master key rewrites one row a database and
nothing else. For that time several rows stand there, one a master key (`payg keys master`). A master key that
opens none is refused before a service starts: it would seal new secrets beside old ones that nobody can open.

The table is not one of Alembic's: it is read before the service that migrates is built.
"""

import hashlib
import hmac

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import CannotStart
from backend.kit.runtime import Entropy
from backend.kit.vault import NONCE, derived

ROOT_SIZE = 32
MIN_MASTER = 16  # bytes

_TABLE = sa.Table(
    "root_keys",
    sa.MetaData(),
    sa.Column("master", sa.Text, primary_key=True),  # which master key opens it
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)


def master_key_of(text: str) -> bytes:
    """A master key as the settings have it. CannotStart: it is no hex, or too short."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise CannotStart("PAYG_MASTER_KEY is no hex; make one with: openssl rand -hex 32") from None
    if len(key) < MIN_MASTER:
        raise CannotStart(
            f"PAYG_MASTER_KEY has under {MIN_MASTER} bytes; make one with: openssl rand -hex 32"
        )
    return key


async def root_key(database: Database, service: str, master_key: bytes, entropy: Entropy) -> bytes:
    """The root key of a service's database, made at its first start. CannotStart: another master's."""

    def find(connection: Connection) -> bytes:
        if not sa.inspect(connection).has_table(_TABLE.name):
            is_new = not sa.inspect(connection).has_table("api_keys")
            _TABLE.create(connection)
            # A database of before this table sealed with the master key itself.
            root = entropy.token_bytes(ROOT_SIZE) if is_new else master_key
            _put(connection, service, master_key, root, entropy)
            return root
        return _open(connection, service, master_key)

    return await database.alter(find)


async def add_master(
    database: Database, service: str, master_key: bytes, new: bytes, entropy: Entropy
) -> None:
    """Let `new` open the database as well. CannotStart: `master_key` does not open it."""

    def add(connection: Connection) -> None:
        _put(connection, service, new, _open(connection, service, master_key), entropy)

    await database.write(add)


async def keep_master(database: Database, service: str, master_key: bytes) -> None:
    """Let `master_key` alone open the database. CannotStart: it does not open it."""

    def keep(connection: Connection) -> None:
        _open(connection, service, master_key)
        connection.execute(_TABLE.delete().where(_TABLE.c.master != _name(master_key)))

    await database.write(keep)


def _put(connection: Connection, service: str, master_key: bytes, root: bytes, entropy: Entropy) -> None:
    nonce = entropy.token_bytes(NONCE)
    sealed = nonce + _aead(service, master_key).encrypt(nonce, root, service.encode())
    connection.execute(_TABLE.delete().where(_TABLE.c.master == _name(master_key)))
    connection.execute(_TABLE.insert(), {"master": _name(master_key), "sealed": sealed})


def _open(connection: Connection, service: str, master_key: bytes) -> bytes:
    found = connection.execute(
        sa.select(_TABLE.c.sealed).where(_TABLE.c.master == _name(master_key))
    ).scalar_one_or_none()
    try:
        if found is None:
            raise InvalidTag
        sealed = bytes(found)
        return _aead(service, master_key).decrypt(sealed[:NONCE], sealed[NONCE:], service.encode())
    except InvalidTag:
        raise CannotStart(
            f"the master key does not open the database of {service}; give the one that it was made with "
            "(PAYG_MASTER_KEY, or secrets.json of its data directory)"
        ) from None


def _aead(service: str, master_key: bytes) -> AESGCM:
    return AESGCM(derived(master_key, f"root:{service}"))


def _name(master_key: bytes) -> str:
    """Tells master keys apart and nothing about them."""
    return hmac.new(master_key, b"master key", hashlib.sha256).hexdigest()[:16]

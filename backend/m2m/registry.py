"""Adds devices: their keys come here once, when a board is provisioned or a world is built.

A device that a command created (checklist 62) has no keys until then, and its market is provisional: who
first names a serial does not own it. Registration sets the market, and cancels what others commanded before.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BadRequest, Conflict, Forbidden
from backend.kit.vault import Vault
from backend.m2m.commands import is_name
from backend.m2m.lifecycle import Lifecycle
from backend.m2m.schemas import DeviceRequest
from backend.m2m.store import Store
from protocols.magicbox import seal

MAX_LINK_KEY = 64  # bytes; more is no stronger under HMAC-SHA256

_MARKET = re.compile(r"[A-Z]{2}\Z")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+\Z")
_MSISDN = re.compile(r"[1-9][0-9]{6,14}\Z")
_PASSWORD = re.compile(r"[!-~]{16,200}\Z")  # random, 128 bits: as text 22 characters or more


@dataclass(frozen=True, slots=True)
class Registration:
    """A device's values; link_key in hex. msisdn: of its modem; it may change, the others never do."""

    serial: str
    market: str
    link_key_hex: str = field(repr=False)
    password: str = field(repr=False)
    msisdn: str | None = None


def check(request: DeviceRequest) -> Registration:
    """What a request of POST /v1/devices asks for; BadRequest names what is missing or invalid."""
    given = {
        "serial": request.serial,
        "market": request.market,
        "link_key": request.link_key,
        "password": request.password,
    }
    missing = [name for name, value in given.items() if value in (None, "")]
    if missing:
        raise BadRequest(f"Missing parameters: {', '.join(missing)}")
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    valid = {
        "serial": is_name(texts.get("serial", "")),
        "market": _MARKET.match(texts.get("market", "")) is not None,
        "link_key": _HEX.match(texts.get("link_key", "")) is not None
        and seal.MIN_LINK_KEY_SIZE <= len(texts["link_key"]) // 2 <= MAX_LINK_KEY,
        "password": _PASSWORD.match(texts.get("password", "")) is not None,
        "msisdn": request.msisdn is None
        or (isinstance(request.msisdn, str) and _MSISDN.match(request.msisdn) is not None),
    }
    wrong = [name for name, is_valid in valid.items() if not is_valid]
    if wrong:
        raise BadRequest(f"Invalid parameters: {', '.join(wrong)}")
    msisdn = None if request.msisdn is None else str(request.msisdn)
    return Registration(texts["serial"], texts["market"], texts["link_key"], texts["password"], msisdn)


class Registry:
    """See the module."""

    def __init__(self, *, store: Store, database: Database, vault: Vault, lifecycle: Lifecycle):
        self._store = store
        self._database = database
        self._vault = vault
        self._lifecycle = lifecycle

    async def register(self, wanted: Registration, *, markets: Sequence[str] = ()) -> None:
        """Add a device, or give an auto-created one its keys. Again with the same values changes nothing, but
        a new msisdn is stored, and gets what waits.

        Forbidden: it is to be, or is registered, in none of `markets` (none named: all are).
        Conflict: it is registered with other values. BadRequest: it can't have these.
        """
        if markets and wanted.market not in markets:
            raise Forbidden("The key is for other markets")
        key = _link_key(wanted)
        fingerprint = self._vault.fingerprint(wanted.password)

        def add(connection: Connection) -> None:
            self._store.add_devices(connection, {wanted.serial: wanted.market})
            device = self._store.lock_devices(connection, [wanted.serial])[wanted.serial]
            if device.link_key is None:
                self._lifecycle.cancel_foreign(connection, device, wanted.market)
                device.market = wanted.market
                device.link_key = self._vault.seal(key, wanted.serial)
                device.password_fingerprint = fingerprint
                self._store.register(connection, device)
            elif markets and device.market not in markets:
                raise Forbidden("The device is in another market")
            same = (device.market, device.password_fingerprint) == (wanted.market, fingerprint)
            if not same or self._vault.open(device.link_key, wanted.serial) != key:
                raise Conflict(f"{wanted.serial} is registered with other values")
            if wanted.msisdn not in (None, device.msisdn):
                device.msisdn = wanted.msisdn
                self._store.register(connection, device)
                self._lifecycle.send_by_sms(connection, device)

        await self._database.write(add)


def _link_key(wanted: Registration) -> bytes:
    key = bytes.fromhex(wanted.link_key_hex) if _HEX.match(wanted.link_key_hex) else b""
    if not is_name(wanted.serial) or len(key) < seal.MIN_LINK_KEY_SIZE:
        raise BadRequest("a device has a serial and, in hex, a link key of 16 bytes or more")
    return key

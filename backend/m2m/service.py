"""Decides on devices and commands; frames go through ingest.py, the way down through feed.py.

    create         one transaction for all that wait: auto-create devices, commands and rows for the feed
    ingest         frames of the bridge; log: one frame of a device over HTTP
    report_state   the device's retained state, or its last will
    verify_login   who a device's user name and password belong to, for the broker and for /v1/log

Commands go created -> sent -> replied (resolutions 15); callbacks.py delivers what follows.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from backend.kit.batch import WriteBatch
from backend.kit.database import Database
from backend.kit.dispatcher import Dispatcher
from backend.kit.errors import BackendError, BadRequest, Conflict, Forbidden, TooManyRequests
from backend.kit.feed import OpsEvent
from backend.kit.http import HttpClient
from backend.kit.keys import ApiKeys
from backend.kit.migrations import migrate
from backend.kit.outbox import Outgoing
from backend.kit.runtime import Clock, Entropy, iso
from backend.kit.vault import Vault
from backend.m2m import callbacks, commands
from backend.m2m.audit import Audit, audit
from backend.m2m.callbacks import Callbacks
from backend.m2m.commands import Wanted
from backend.m2m.feed import DownFeed
from backend.m2m.ingest import DOWN, Delivery, Ingest, IngestAnswer
from backend.m2m.links import Links
from backend.m2m.ports import Resolver
from backend.m2m.presence import Presence, StateReport
from backend.m2m.rows import Device, NewCommand
from backend.m2m.schemas import CommandRequest
from backend.m2m.store import Store
from protocols import topics
from protocols.magicbox import seal

MAX_OPEN = 200  # unanswered commands of one device: years of payments for one that is never heard


@dataclass(frozen=True, slots=True)
class M2mConfig:
    """What the composition root decides.

    master_key: for secrets at rest. webhook_secret: signs callbacks. allowed_callback_hosts: may be private.
    resend_after_s: a sent command without an answer goes again with an answer to its device.
    order_client: under whose name `create` counts references.
    """

    master_key: bytes = field(repr=False)
    webhook_secret: bytes = field(repr=False)
    allowed_callback_hosts: frozenset[str] = frozenset()
    resend_after_s: float = 30.0
    order_client: str = "solarium"


@dataclass(frozen=True, slots=True)
class Created:
    """A command as first created; `text` is its text form."""

    serial: str
    text: str = field(repr=False)
    created_at: str


@dataclass(frozen=True, slots=True)
class _Creation:
    client: str
    markets: tuple[str, ...]
    wanted: Wanted

    @property
    def market(self) -> str:
        """The market of a device that this command creates."""
        return self.markets[0] if len(self.markets) == 1 else ""

    def may_command(self, device: Device) -> bool:
        """Whether the device is in a market of the client's; one that nobody registered is in none yet."""
        return not self.markets or device.market in ("", *self.markets)


class M2mService:
    """See the module. `keys` are the api keys that make_app checks, `feed` is the bridge's way down."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        config: M2mConfig,
        http: HttpClient,
        resolver: Resolver,
    ):
        self._database = database
        self._clock = clock
        self._config = config
        self._resolver = resolver
        self._vault = Vault(config.master_key, "m2m", entropy)
        self._store = Store(self._vault.pepper)
        self._log = structlog.get_logger(service="m2m")
        links = Links(self._vault)
        self._ingest = Ingest(
            store=self._store, links=links, clock=clock, resend_after_s=config.resend_after_s
        )
        self._frames: WriteBatch[Delivery, list[IngestAnswer]] = WriteBatch(database, self._ingest.decide)
        self._creations: WriteBatch[_Creation, Created | BackendError] = WriteBatch(database, self._create)
        self._states: WriteBatch[StateReport, list[OpsEvent]] = WriteBatch(
            database, Presence(store=self._store, clock=clock).decide
        )
        sender = Callbacks(
            store=self._store,
            database=database,
            clock=clock,
            http=http,
            resolver=resolver,
            secret=config.webhook_secret,
            allowed_hosts=config.allowed_callback_hosts,
        )
        self._dispatcher = Dispatcher(
            outbox=self._store.outbox,
            database=database,
            clock=clock,
            handlers={callbacks.KIND: sender.send},
            policies={callbacks.KIND: callbacks.POLICY},
            service="m2m",
        )
        self.keys: ApiKeys = self._store.keys
        self.feed = DownFeed(store=self._store, links=links, database=database, clock=clock)

    async def start(self) -> None:
        """Bring the schema up to date, load the keys, deliver callbacks from now on."""
        await migrate(self._database, "m2m")
        await self.keys.load(self._database)
        await self._dispatcher.start()

    async def stop(self) -> None:
        """Deliver no more; what was in hand comes again at the next start."""
        await self._dispatcher.stop()

    async def install_key(self, *, key: str, client: str, markets: Sequence[str] = ()) -> None:
        """Make an API key valid; again changes nothing."""
        await self._database.write(
            lambda connection: self.keys.install(connection, key, client, markets, self._clock.now_ms())
        )
        await self.keys.load(self._database)

    async def move_callbacks(self, old_base: str, new_base: str) -> None:
        """A partner's address has changed: what it is still owed goes to the new one. Bases end with `/`."""
        await self._database.write(
            lambda connection: self._store.move_callbacks(connection, old_base, new_base)
        )

    async def register(self, *, serial: str, market: str, link_key_hex: str, password: str) -> None:
        """Add a device, or give an auto-created one its keys.

        Again with the same values changes nothing, with others it is a Conflict.
        """
        key = _link_key(serial, link_key_hex)
        fingerprint = self._vault.fingerprint(password)

        def add(connection: Connection) -> None:
            self._store.add_devices(connection, [_new_device(serial, market)])
            device = self._store.lock_devices(connection, [serial])[serial]
            if device.link_key is None:
                device.market = market
                device.link_key = self._vault.seal(key, serial)
                device.password_fingerprint = fingerprint
                self._store.save_devices(connection, [device])
            same = (device.market, device.password_fingerprint) == (market, fingerprint)
            if not same or self._vault.open(device.link_key, serial) != key:
                raise Conflict(f"{serial} is registered with other values")

        await self._database.write(add)

    async def create(
        self,
        *,
        identifier: str,
        name: str,
        details: Mapping[str, str],
        callback_url: str | None,
        reference: str,
    ) -> str:
        """Create a command; its text form. The same `reference` again returns the first's.

        BadRequest with the text that HTTP answers.
        """
        request = CommandRequest(
            identifier, callback_url, {"name": name, "details": dict(details)}, reference
        )
        created = await self.create_command(
            request, client=self._config.order_client, markets=(), callback_required=False
        )
        return created.text

    async def create_command(
        self, request: CommandRequest, *, client: str, markets: tuple[str, ...], callback_required: bool
    ) -> Created:
        """Create what a route was asked for; BadRequest with the documented text (resolutions 13).

        Forbidden: the device is in none of `markets` (none named: every market is the client's).
        """
        wanted = commands.check(request, callback_required=callback_required)
        if wanted.callback_url is not None:
            await callbacks.check_target(
                wanted.callback_url,
                resolver=self._resolver,
                allowed_hosts=self._config.allowed_callback_hosts,
            )
        created = await self._creations.submit(_Creation(client, markets, wanted))
        if isinstance(created, BackendError):
            raise created
        return created

    async def ingest(self, uplinks: Sequence[tuple[str, bytes]]) -> list[IngestAnswer]:
        """Take (serial, frame) pairs in one transaction; one answer each, in order."""
        return await self._take(Delivery(tuple(uplinks)))

    async def log(self, serial: str, frame: bytes) -> bytes:
        """Take one frame over HTTP; the frame that answers it. BadRequest names why it was refused."""
        (answer,) = await self._take(Delivery(((serial, frame),), over_http=True))
        if answer.refused is not None:
            raise BadRequest(f"Frame refused: {answer.refused}")
        return b"".join(answer.down)

    async def report_state(self, serial: str, online: bool, boot_id: int) -> list[OpsEvent]:
        """Store a device's online state; its status event. The death of an older boot is ignored."""
        if not commands.is_name(serial):
            return []
        return await self._states.submit(StateReport(serial, online, boot_id))

    async def verify_login(self, username: str, password: str) -> str | None:
        """The serial whose login this is, or None. `username` is the encoded serial (topics.py)."""
        try:
            serial = topics.decode_serial(username)
            given = self._vault.fingerprint(password)
        except ValueError:
            return None
        if not commands.is_name(serial):
            return None
        device = await self._database.read(lambda connection: self._store.device(connection, serial))
        stored = device.password_fingerprint if device is not None else None
        is_right = hmac.compare_digest(given, stored or "")
        return serial if is_right else None

    async def audit(self) -> Audit:
        """Counts for the invariants."""
        return await self._database.read(
            lambda connection: audit(connection, self._store, self._ingest.counters)
        )

    async def _take(self, delivery: Delivery) -> list[IngestAnswer]:
        answers = await self._frames.submit(delivery)
        self._ingest.count(answers)
        for (serial, _), answer in zip(delivery.uplinks, answers, strict=True):
            if answer.refused is not None:
                self._log.warning("frame.refused", serial=serial, reason=answer.refused)
        return answers

    def _create(self, connection: Connection, creations: Sequence[_Creation]) -> list[Created | BackendError]:
        now_ms = self._clock.now_ms()
        markets = {creation.wanted.serial: creation.market for creation in creations}
        self._store.add_devices(
            connection, [_new_device(serial, market) for serial, market in markets.items()]
        )
        devices = self._store.lock_devices(connection, markets)
        keys = {(c.client, c.wanted.reference) for c in creations if c.wanted.reference is not None}
        known = {
            key: Created(row.serial, row.text, iso(row.created_at_ms))
            for key, row in self._store.by_reference(connection, keys).items()
        }
        open_count = self._store.count_open(connection, markets)
        new: list[NewCommand] = []
        answers: list[Created | BackendError] = []
        for creation in creations:
            wanted = creation.wanted
            key = (creation.client, wanted.reference or "")
            if wanted.reference is not None and key in known:
                answers.append(known[key])
                continue
            if not creation.may_command(devices[wanted.serial]):
                answers.append(Forbidden("The device is in another market"))
                continue
            if open_count.get(wanted.serial, 0) >= MAX_OPEN:
                answers.append(TooManyRequests("Too many unanswered commands for this device"))
                continue
            open_count[wanted.serial] = open_count.get(wanted.serial, 0) + 1
            new.append(_new_command(creation, now_ms))
            created = known[key] = Created(wanted.serial, wanted.text, iso(now_ms))
            answers.append(created)
        ids = self._store.add_commands(connection, new)
        rows = [
            Outgoing(DOWN, str(command_id), {"serial": command.serial})
            for command_id, command in zip(ids, new, strict=True)
            if devices[command.serial].link_key is not None
        ]
        self._store.outbox.put(connection, rows, now_ms)
        return answers


def _link_key(serial: str, link_key_hex: str) -> bytes:
    try:
        key = bytes.fromhex(link_key_hex)
    except ValueError:
        key = b""
    if not commands.is_name(serial) or len(key) < seal.MIN_LINK_KEY_SIZE:
        raise BadRequest("a device has a serial and, in hex, a link key of 16 bytes or more")
    return key


def _new_command(creation: _Creation, now_ms: int) -> NewCommand:
    wanted = creation.wanted
    return NewCommand(
        client=creation.client,
        reference=wanted.reference,
        serial=wanted.serial,
        name=wanted.name,
        argument=wanted.argument,
        text=wanted.text,
        callback_url=wanted.callback_url,
        created_at_ms=now_ms,
    )


def _new_device(serial: str, market: str) -> Device:
    return Device(
        serial=serial,
        market=market,
        link_key=None,
        password_fingerprint=None,
        up_epoch=0,
        up_highest=-1,
        up_window=0,
        down_epoch=0,
        down_sequence=0,
        online=False,
        boot_id=None,
        last_seen_ms=None,
        status_record=-1,
    )

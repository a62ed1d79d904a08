"""The service: new commands go through intake.py, frames through ingest.py, the way down through feed.py.

    create         a command for a device, which is created with it if it is new; intake.py for HTTP
    ingest         frames of the bridge; log: one frame, or text lines, of a device over HTTP
    report_state   the device's retained state, or its last will
    verify_login   who a device's user name and password belong to, for the broker and for /v1/log

Commands go created -> sent -> replied (resolutions 15), or end otherwise (lifecycle.py); callbacks.py
delivers what follows. registry.py adds devices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import structlog

from backend.kit.batch import MAX_BATCH, WriteBatch
from backend.kit.database import Database
from backend.kit.dispatcher import Dispatcher
from backend.kit.errors import BadRequest
from backend.kit.feed import OpsEvent
from backend.kit.http import HttpClient
from backend.kit.keys import ApiKeys
from backend.kit.migrations import migrate
from backend.kit.outbox import Handler
from backend.kit.ratelimit import RateLimit
from backend.kit.repeating import Repeating
from backend.kit.runtime import Clock, Entropy
from backend.kit.vault import Vault
from backend.m2m import billing, callbacks, commands, delivery, lines
from backend.m2m.audit import Audit, audit
from backend.m2m.audit_store import AuditStore
from backend.m2m.billing import BillingEvents
from backend.m2m.callbacks import Callbacks
from backend.m2m.creation import Creations
from backend.m2m.feed import DownFeed
from backend.m2m.firmware import FirmwareFiles
from backend.m2m.history import History
from backend.m2m.housekeeping import EVERY_S, Housekeeping
from backend.m2m.ingest import WRONG_LOGIN, Delivery, Ingest, IngestAnswer, is_login
from backend.m2m.intake import Intake
from backend.m2m.lifecycle import Lifecycle
from backend.m2m.links import Links
from backend.m2m.ports import Counts, Resolver, Sms
from backend.m2m.presence import Presence, StateReport
from backend.m2m.recovery import KIND as RECOVER
from backend.m2m.recovery import POLICY as RECOVERY_POLICY
from backend.m2m.recovery import Recovery
from backend.m2m.registry import Registration, Registry
from backend.m2m.retention import Retention
from backend.m2m.schemas import CommandRequest
from backend.m2m.sms import POLICY as SMS_POLICY
from backend.m2m.sms import SmsWay
from backend.m2m.store import Store
from protocols import topics

LOGINS = 20_000  # user names whose serials are remembered, about 5 MB
MAX_REMEMBERED = 64  # characters of such a name: a stranger's may be a whole header


@dataclass(frozen=True, slots=True)
class M2mConfig:
    """What the composition root decides.

    master_key: for secrets at rest. webhook_secret: signs callbacks. allowed_callback_hosts: may be private.
    resend_after_s: a sent command without an answer goes again with an answer to its device.
    order_client: under whose name `create` counts references. command_life_s: until a command expires, unless
    it says otherwise. retention_days: how long telemetry is kept. sms_after_s: how long a device with a modem
    is silent until a command goes by SMS. billing_url: Solarium's POST /api/m2m/events; None: none are sent.
    max_batch: requests that are decided in one transaction.
    """

    master_key: bytes = field(repr=False)
    webhook_secret: bytes = field(repr=False)
    allowed_callback_hosts: frozenset[str] = frozenset()
    resend_after_s: float = 30.0
    order_client: str = "solarium"
    command_life_s: float = 30 * 86_400.0
    retention_days: int = 90
    sms_after_s: float = 300.0
    billing_url: str | None = None
    max_batch: int = MAX_BATCH


class M2mService:
    """See the module.

    keys: the api keys that make_app checks. feed: the bridge's way down. firmware: what `update` names.
    intake: commands that are asked for; lifecycle: after their creation. history: what devices said.
    strangers: their rate limit. `sms` None: no command goes by SMS. `counts` None: a lost store waits for an
    operator's SYNC, which knows what the device has told.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        config: M2mConfig,
        http: HttpClient,
        callback_http: HttpClient | None = None,
        resolver: Resolver,
        sms: Sms | None = None,
        counts: Counts | None = None,
    ):
        self._database = database
        self._clock = clock
        self._config = config
        self.strangers = RateLimit.of_strangers(clock)
        self._vault = Vault(config.master_key, "m2m", entropy)
        self._store = Store(self._vault)
        self._log = structlog.get_logger(service="m2m")
        sms_after_ms = None if sms is None else int(config.sms_after_s * 1000)
        links = Links(self._vault)
        self._ingest = Ingest(
            store=self._store,
            links=links,
            clock=clock,
            resend_after_s=config.resend_after_s,
            retention_days=config.retention_days,
            bills=config.billing_url is not None,
        )
        self._frames: WriteBatch[Delivery, list[IngestAnswer]] = WriteBatch(
            database, self._ingest.decide, max_batch=config.max_batch, overlapping=True
        )
        life_ms = int(config.command_life_s * 1000)
        creations = Creations(store=self._store, clock=clock, life_ms=life_ms, sms_after_ms=sms_after_ms)
        self._states: WriteBatch[StateReport, list[OpsEvent]] = WriteBatch(
            database, Presence(store=self._store, clock=clock).decide
        )
        recovery = Recovery(
            store=self._store, database=database, clock=clock, creations=creations, counts=counts
        )
        self._dispatcher = self._dispatching(
            http, callback_http or http, resolver, sms=sms, recovery=recovery
        )
        self.keys: ApiKeys = self._store.keys
        self.feed = DownFeed(store=self._store, links=links, database=database, clock=clock)
        self.firmware = FirmwareFiles(store=self._store, database=database, clock=clock)
        self.intake = Intake(
            creations=WriteBatch(database, creations.decide, max_batch=config.max_batch, overlapping=True),
            firmware=self.firmware,
            resolver=resolver,
            allowed_callback_hosts=config.allowed_callback_hosts,
            counts=counts,
        )
        self.history = History(store=self._store, database=database)
        self.lifecycle = Lifecycle(
            store=self._store,
            database=database,
            clock=clock,
            life_ms=life_ms,
            sms_after_ms=sms_after_ms,
        )
        self._registry = Registry(
            store=self._store, database=database, vault=self._vault, lifecycle=self.lifecycle
        )
        retention = Retention(store=self._store, database=database, clock=clock, days=config.retention_days)
        self.housekeeping = Housekeeping(lifecycle=self.lifecycle, retention=retention)
        self._repeating = Repeating(
            self.housekeeping.turn, every_s=EVERY_S, service="m2m", name="housekeeping"
        )

    def _dispatching(
        self,
        http: HttpClient,
        callback_http: HttpClient,
        resolver: Resolver,
        *,
        sms: Sms | None,
        recovery: Recovery,
    ) -> Dispatcher:
        """What delivers callbacks, billing events and SMS, and brings lost devices back."""
        config, store, database, clock = self._config, self._store, self._database, self._clock
        handlers: dict[str, Handler] = {
            callbacks.KIND: Callbacks(
                store=store,
                database=database,
                clock=clock,
                http=callback_http,
                resolver=resolver,
                secret=config.webhook_secret,
                allowed_hosts=config.allowed_callback_hosts,
            ).send,
            RECOVER: recovery.order,
        }
        if config.billing_url is not None:
            handlers[billing.KIND] = BillingEvents(
                http=http, clock=clock, url=config.billing_url, secret=config.webhook_secret
            ).send
        if sms is not None:
            way = SmsWay(store=store, database=database, clock=clock, sms=sms, after_s=config.sms_after_s)
            handlers[delivery.SMS] = way.send
        return Dispatcher(
            outbox=store.outbox,
            database=database,
            clock=clock,
            handlers=handlers,
            policies={
                callbacks.KIND: callbacks.POLICY,
                billing.KIND: billing.POLICY,
                delivery.SMS: SMS_POLICY,
                RECOVER: RECOVERY_POLICY,
            },
            service="m2m",
        )

    async def start(self) -> None:
        """Bring the schema up to date, load the keys, deliver and expire from now on."""
        await migrate(self._database, "m2m")
        await self.keys.open(self._database, self._clock)
        await self._dispatcher.start()
        self._repeating.start()

    async def stop(self) -> None:
        """Deliver no more; what was in hand comes again at the next start."""
        await self._repeating.stop()
        await self._dispatcher.stop()

    async def install_key(self, *, key: str, client: str, markets: Sequence[str] = ()) -> None:
        """Make an API key valid; again changes nothing."""
        await self.keys.add(key, client=client, markets=markets)

    async def move_callbacks(self, old_base: str, new_base: str) -> None:
        """A partner's address has changed: what it is still owed goes to the new one. Bases end with `/`."""
        await self._database.write(
            lambda connection: self._store.move_callbacks(connection, old_base, new_base)
        )

    async def register(
        self,
        *,
        serial: str,
        market: str,
        link_key_hex: str,
        password: str,
        msisdn: str | None = None,
        markets: Sequence[str] = (),
    ) -> None:
        """See Registry.register."""
        wanted = Registration(serial, market, link_key_hex, password, msisdn)
        await self._registry.register(wanted, markets=markets)

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
        created = await self.intake.create(
            request, client=self._config.order_client, markets=(), callback_required=False
        )
        return created.text

    async def ingest(self, uplinks: Sequence[tuple[str, bytes]]) -> list[IngestAnswer]:
        """Take (serial, frame) pairs in one transaction; one answer each, in order."""
        return await self._take(Delivery(tuple(uplinks)))

    async def log_lines(self, serial: str, body: bytes) -> bytes:
        """Take a check-in in text lines; the lines that answer it. BadRequest names the line that is none."""
        (answer,) = await self._take(Delivery(((serial, lines.parse(body)),), over_http=True))
        return b"".join(answer.down)

    async def log(self, username: str, password: str, frame: bytes) -> bytes | None:
        """Take one frame over HTTP; the frame that answers it, or None: no such login.

        BadRequest names why it was refused. The login is judged where the device's row is read anyway.
        """
        login = self._login(username, password)
        if login is None:
            return None
        serial, fingerprint = login
        delivery = Delivery(((serial, frame),), over_http=True, login=fingerprint)
        (answer,) = await self._frames.submit(delivery)
        if answer.refused == WRONG_LOGIN:
            return None
        self._noted(delivery, [answer])
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
        login = self._login(username, password)
        if login is None:
            return None
        serial, given = login
        device = await self._database.read(lambda connection: self._store.device(connection, serial))
        return serial if is_login(device, given) else None

    def _login(self, username: str, password: str) -> tuple[str, str] | None:
        """The serial that a user name means, and the password's fingerprint; None: nobody's."""
        try:
            serial_of = _serial_of if len(username) <= MAX_REMEMBERED else topics.decode_serial
            serial = serial_of(username)
            fingerprint = self._vault.fingerprint(password)
        except ValueError:
            return None
        return (serial, fingerprint) if commands.is_name(serial) else None

    async def audit(self) -> Audit:
        """Counts for the invariants."""
        return await self._database.read(
            lambda connection: audit(connection, AuditStore(self._store), self._ingest.counters)
        )

    async def _take(self, delivery: Delivery) -> list[IngestAnswer]:
        answers = await self._frames.submit(delivery)
        self._noted(delivery, answers)
        return answers

    def _noted(self, delivery: Delivery, answers: Sequence[IngestAnswer]) -> None:
        """Count committed answers, and log why frames are refused."""
        self._ingest.count(answers)
        for (serial, _), answer in zip(delivery.uplinks, answers, strict=True):
            if answer.refused is not None:
                self._log.warning("frame.refused", serial=serial, reason=answer.refused)


_serial_of = lru_cache(LOGINS)(topics.decode_serial)  # pure, and a loop over every character

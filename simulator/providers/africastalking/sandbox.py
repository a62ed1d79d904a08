"""What the provider does: take messages, deliver them, report it. HTTP: routes.py."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.dispatcher import Dispatcher
from backend.kit.errors import BackendError
from backend.kit.http import HttpClient
from backend.kit.outbox import Done, Leased, Outcome, Outgoing
from backend.kit.runtime import Clock, Entropy, token_hex
from simulator.providers import is_loopback
from simulator.providers.africastalking.store import AfricasTalkingStore, Sms

REPORT = "report"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class AfricasTalkingConfig:
    """Who may send, and where delivery reports go (None: nowhere). `dlr_url` carries a secret path."""

    username: str
    api_key: str = field(repr=False)
    dlr_url: str | None = field(repr=False, default=None)
    deliver_after_s: float = 0.1
    sender_ids: frozenset[str] | None = None  # None: any


class AfricasTalkingSandbox:
    """The provider's side. ValueError: `dlr_url` is not on this machine (resolutions 26)."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        http: HttpClient,
        config: AfricasTalkingConfig,
    ):
        if config.dlr_url is not None and not is_loopback(config.dlr_url):
            raise ValueError("dlr_url: sandboxes call back to loopback addresses only")
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._http = http
        self._config = config
        self._store = AfricasTalkingStore()
        self._dispatcher = Dispatcher(
            outbox=self._store.outbox,
            database=database,
            clock=clock,
            handlers={REPORT: self._report},
            policies={},
            service="sandbox-africastalking",
        )

    async def start(self) -> None:
        """Create what is missing, and send the reports that are due."""
        await self._database.write(self._store.metadata.create_all)
        await self._dispatcher.start()

    async def stop(self) -> None:
        """Stop at once."""
        await self._dispatcher.stop()

    def authorizes(self, username: str, api_key: str) -> bool:
        """Whether these are the credentials."""
        given = f"{username}\n{api_key}".encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, f"{self._config.username}\n{self._config.api_key}".encode())

    def knows_sender(self, sender: str) -> bool:
        """Whether `sender` is a registered sender id; none at all is always good."""
        return not sender or self._config.sender_ids is None or sender in self._config.sender_ids

    async def send(self, numbers: Sequence[str], *, sender: str, text: str) -> list[str]:
        """Take a message for each number; their ids."""
        sms = [Sms(f"ATXid_{token_hex(self._entropy)}", number, sender, text) for number in numbers]
        due_ms = int(self._config.deliver_after_s * 1000)

        def work(connection: Connection) -> None:
            now_ms = self._clock.now_ms()
            self._store.add(connection, sms)
            if self._config.dlr_url is not None:
                rows = [Outgoing(REPORT, one.message_id, {}, due_at_ms=now_ms + due_ms) for one in sms]
                self._store.outbox.put(connection, rows, now_ms)

        if sms:
            await self._database.write(work)
        return [one.message_id for one in sms]

    async def received(self, msisdn: str) -> list[str]:
        """The texts that a number received, oldest first; `msisdn` without `+`."""
        return await self._database.read(lambda c: self._store.texts(c, f"+{msisdn}"))

    async def _report(self, row: Leased) -> Outcome:
        sms = await self._database.read(lambda c: self._store.by_id(c, row.key))
        if sms is None or self._config.dlr_url is None:
            return Done()
        form = {"id": sms.message_id, "status": "Success", "phoneNumber": sms.number, "retryCount": "0"}
        try:
            await self._http.request(
                "POST",
                self._config.dlr_url,
                headers={"Content-Type": FORM},
                body=urlencode(form).encode(),
            )
        except BackendError:
            return Done()  # reports are not repeated
        return Done()

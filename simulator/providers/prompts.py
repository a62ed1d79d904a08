"""What the sandboxes of Daraja, Airtel, Equity and Halopesa share: prompts on customers' phones.

    take      a request is stored with the outbox row that lets the customer decide
    decide    outbox: what he does (script.py), stored with the calls that tell it
    call      outbox: one call to the partner, never repeated, to loopback only (resolutions 26)

Everything is in the database, so a kill loses nothing; so are access tokens and the provider's settings.
`PromptStore` has the statements; each provider's sandbox.py says what is told, and its routes.py to whom.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Index, MetaData, Table, Text, func, select, update

from backend.kit.database import Database
from backend.kit.dispatcher import Dispatcher
from backend.kit.errors import BackendError
from backend.kit.http import HttpClient
from backend.kit.outbox import Done, Handler, Leased, Outbox, Outgoing
from backend.kit.outbox import Outcome as RowOutcome
from backend.kit.rows import insert_new
from backend.kit.runtime import Clock, Entropy, token_hex
from backend.kit.web import JSON
from simulator.providers import is_loopback
from simulator.providers.facts import Facts
from simulator.providers.mishaps import NONE, Mishaps
from simulator.providers.script import ORDINARY, Outcome, fate_of

PENDING, PAID, FAILED = "pending", "paid", "failed"
DECIDE, CALL = "decide", "call"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request for money. `amount` in major units as sent; `details` is what else is kept, as JSON."""

    id: str
    payer: str
    amount: str
    reference: str
    callback_url: str
    created_at_ms: int
    details: str = "{}"
    status: str = PENDING
    outcome: str = ""
    receipt: str = ""
    settled_at_ms: int = 0

    def detail(self, name: str) -> str:
        """One of the details, or nothing."""
        return msgspec.json.decode(self.details, type=dict[str, str]).get(name, "")


def details(**values: str) -> str:
    """The `details` of a prompt."""
    return msgspec.json.encode(values).decode()


@dataclass(frozen=True, slots=True)
class Call:
    """A POST of JSON to the partner. A notice is what follows besides the callback of a request."""

    url: str
    body: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    notice: bool = False


Tell = Callable[[Connection, Prompt], Sequence[Call]]
Judge = Callable[[Connection, Prompt], Outcome]


class PromptStore:
    """Tables and statements."""

    def __init__(self) -> None:
        self.metadata = MetaData()
        self.outbox = Outbox(self.metadata)
        self.prompts = Table(
            "prompts",
            self.metadata,
            Column("id", Text, primary_key=True),
            Column("payer", Text, nullable=False),
            Column("amount", Text, nullable=False),
            Column("reference", Text, nullable=False),
            Column("callback_url", Text, nullable=False),
            Column("created_at_ms", BigInteger, nullable=False),
            Column("details", Text, nullable=False),
            Column("status", Text, nullable=False),
            Column("outcome", Text, nullable=False),
            Column("receipt", Text, nullable=False),
            Column("settled_at_ms", BigInteger, nullable=False),
            Index("prompts_payer", "payer", "status"),
            Index("prompts_settled", "status", "settled_at_ms"),
        )
        self.tokens = Table(
            "tokens",
            self.metadata,
            Column("access_token", Text, primary_key=True),
            Column("expires_at_ms", BigInteger, nullable=False),
        )
        self.facts = Facts(self.metadata)

    def add(self, connection: Connection, prompt: Prompt) -> bool:
        """Whether its id is new."""
        statement = insert_new(connection, self.prompts).values(**asdict(prompt)).returning(self.prompts.c.id)
        return connection.execute(statement).first() is not None

    def prompt(self, connection: Connection, prompt_id: str) -> Prompt | None:
        """A prompt by its id."""
        statement = select(self.prompts).where(self.prompts.c.id == prompt_id)
        row = connection.execute(statement).mappings().first()
        return None if row is None else Prompt(**row)

    def of_receipt(self, connection: Connection, receipt: str) -> Prompt | None:
        """A paid prompt by its receipt."""
        statement = select(self.prompts).where(
            self.prompts.c.receipt == receipt, self.prompts.c.status == PAID
        )
        row = connection.execute(statement).mappings().first()
        return None if row is None else Prompt(**row)

    def settle(self, connection: Connection, prompt: Prompt) -> None:
        """Write what became of a pending prompt; a settled one stays as it is."""
        table = self.prompts
        statement = update(table).where(table.c.id == prompt.id, table.c.status == PENDING)
        values = {name: getattr(prompt, name) for name in ("status", "outcome", "receipt", "settled_at_ms")}
        connection.execute(statement.values(**values))

    def of_payer(self, connection: Connection, payer: str, status: str, since_ms: int = 0) -> list[Prompt]:
        """A customer's prompts of a status that were made since a time."""
        table = self.prompts
        statement = select(table).where(
            table.c.payer == payer, table.c.status == status, table.c.created_at_ms >= since_ms
        )
        return [Prompt(**row) for row in connection.execute(statement).mappings()]

    def paid_between(
        self, connection: Connection, first_ms: int, last_ms: int, *, offset: int, limit: int
    ) -> list[Prompt]:
        """What was paid in a time, oldest first."""
        table = self.prompts
        statement = (
            select(table)
            .where(table.c.status == PAID, table.c.settled_at_ms.between(first_ms, last_ms))
            .order_by(table.c.settled_at_ms, table.c.id)
            .offset(offset)
            .limit(limit)
        )
        return [Prompt(**row) for row in connection.execute(statement).mappings()]

    def count(self, connection: Connection) -> int:
        """How many prompts there are."""
        return connection.execute(select(func.count()).select_from(self.prompts)).scalar_one()

    def add_token(self, connection: Connection, access_token: str, expires_at_ms: int) -> None:
        """Keep an access token."""
        row = {"access_token": access_token, "expires_at_ms": expires_at_ms}
        connection.execute(self.tokens.insert(), [row])

    def has_token(self, connection: Connection, access_token: str, now_ms: int) -> bool:
        """Whether a token is valid."""
        table = self.tokens
        statement = select(table.c.expires_at_ms).where(
            table.c.access_token == access_token, table.c.expires_at_ms > now_ms
        )
        return connection.execute(statement).first() is not None


class Prompts:
    """The running half. `tell` says whom a settled prompt is told to, `judge` what a customer does."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        http: HttpClient,
        service: str,
        approve_after_s: float,
        receipt: Callable[[], str],
        tell: Tell,
        judge: Judge | None = None,
        mishaps: Mishaps = NONE,
        handlers: Mapping[str, Handler] | None = None,
    ):
        self.store = PromptStore()
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._http = http
        self._approve_after_s = approve_after_s
        self._receipt = receipt
        self._tell = tell
        self._mishaps = mishaps
        self._judge = judge or self.scripted
        self._dispatcher = Dispatcher(
            outbox=self.store.outbox,
            database=database,
            clock=clock,
            handlers={DECIDE: self._decide, CALL: self._call, **(handlers or {})},
            service=service,
        )

    async def start(self, prepare: Callable[[Connection], None] | None = None) -> None:
        """Create what is missing, `prepare` what the provider needs, and resume what is under way."""

        def work(connection: Connection) -> None:
            self.store.metadata.create_all(connection)
            if prepare is not None:
                prepare(connection)

        await self._database.write(work)
        await self._dispatcher.start()

    async def stop(self) -> None:
        """Stop at once."""
        await self._dispatcher.stop()

    async def take(self, prompt: Prompt) -> bool:
        """Put a prompt on the customer's phone; False: its id was used before."""
        fate = fate_of(prompt.payer)

        def work(connection: Connection) -> bool:
            if not self.store.add(connection, prompt):
                return False
            if fate.decides:
                now_ms = self._clock.now_ms()
                due_at_ms = now_ms + int((self._approve_after_s + fate.decides_after_s) * 1000)
                row = Outgoing(DECIDE, prompt.id, {}, due_at_ms=due_at_ms)
                self.store.outbox.put(connection, [row], now_ms)
            return True

        return await self._database.write(work)

    async def prompt(self, prompt_id: str) -> Prompt | None:
        """A prompt by its id."""
        if "\x00" in prompt_id:
            return None
        return await self._database.read(lambda c: self.store.prompt(c, prompt_id))

    async def count(self) -> int:
        """How many prompts were taken."""
        return await self._database.read(self.store.count)

    async def every_other(self, payer: str) -> bool:
        """Whether this request of a payer is one of those that come too often: the first, the third ..."""
        return await self._database.write(lambda c: self.store.facts.every_other(c, payer))

    async def issue(self, life_s: int) -> str:
        """A new access token."""
        access_token = token_hex(self._entropy, 16)
        expires_at_ms = self._clock.now_ms() + life_s * 1000
        await self._database.write(lambda c: self.store.add_token(c, access_token, expires_at_ms))
        return access_token

    async def is_bearer(self, authorization: str) -> bool:
        """Whether an Authorization header carries a valid token."""
        scheme, _, access_token = authorization.partition(" ")
        if scheme != "Bearer" or not access_token.isascii() or "\x00" in access_token:
            return False
        now_ms = self._clock.now_ms()
        return await self._database.read(lambda c: self.store.has_token(c, access_token, now_ms))

    def settled(self, prompt: Prompt, outcome: Outcome) -> Prompt:
        """`prompt` after the customer did `outcome`, now."""
        paid = outcome is Outcome.PAYS
        return replace(
            prompt,
            status=PAID if paid else FAILED,
            outcome=outcome.value,
            receipt=(prompt.receipt or self._receipt()) if paid else "",
            settled_at_ms=self._clock.now_ms(),
        )

    def tell(self, connection: Connection, prompt: Prompt, calls: Sequence[Call]) -> None:
        """Put the calls about a settled prompt, as often and as late as its payer's fate says."""
        now_ms = self._clock.now_ms()
        rows = [
            Outgoing(
                CALL,
                f"{prompt.id}:{number}:{copy}",
                {"url": call.url, "body": call.body, "headers": call.headers},
                due_at_ms=now_ms + int(after_s * 1000),
            )
            for number, call in enumerate(calls)
            if is_loopback(call.url)
            for copy, after_s in enumerate(self._told(prompt, call, number))
        ]
        self.store.outbox.put(connection, rows, now_ms)

    def scripted(self, _: Connection, prompt: Prompt) -> Outcome:
        """What a customer does by his number, and by chance."""
        fate = fate_of(prompt.payer)
        says_no = fate == ORDINARY and self._mishaps.refuses(prompt.id)
        return Outcome.REFUSES if says_no else fate.outcome

    def _told(self, prompt: Prompt, call: Call, number: int) -> Sequence[float]:
        """How much later each copy of a call is made, in seconds."""
        fate = fate_of(prompt.payer)
        if fate == ORDINARY:
            return self._mishaps.calls(f"{prompt.id}:{number}")
        return [fate.told_after_s] * (fate.notices if call.notice else fate.callbacks)

    async def _decide(self, row: Leased) -> RowOutcome:
        def settle(connection: Connection) -> None:
            prompt = self.store.prompt(connection, row.key)
            if prompt is None or prompt.status != PENDING:
                return
            settled = self.settled(prompt, self._judge(connection, prompt))
            self.store.settle(connection, settled)
            self.tell(connection, settled, self._tell(connection, settled))

        return Done(settle)

    async def _call(self, row: Leased) -> RowOutcome:
        call = msgspec.convert(row.payload, type=Call)
        headers = {"Content-Type": JSON, **call.headers}
        try:
            await self._http.request(
                "POST", call.url, headers=headers, body=msgspec.json.encode(call.body), timeout_s=10.0
            )
        except BackendError:
            return Done()  # told once, never repeated
        return Done()

"""What the sandboxes of AfricasTalking, Infobip and Pindo share: short messages that are delivered or not.

    take      messages are stored with the outbox rows of what will happen to them (sms_script.py)
    happen    outbox: the message's new state, stored, then told to the partner: once, never repeated
    receive   a customer writes: stored, and told to the partner by an outbox row

Everything is in the database, so a kill loses nothing. Each provider's sandbox.py says what is told, and how;
calls go to loopback only (resolutions 26).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    RowMapping,
    Table,
    Text,
    select,
    update,
)

from backend.kit.database import Database
from backend.kit.dispatcher import Dispatcher
from backend.kit.errors import BackendError
from backend.kit.http import HttpClient
from backend.kit.outbox import Done, Leased, Outbox, Outcome, Outgoing
from backend.kit.runtime import Clock
from simulator.providers import is_loopback
from simulator.providers.facts import Facts
from simulator.providers.mishaps import NONE, Mishaps
from simulator.providers.sms_script import ENDS, ORDINARY, State, Step, fate_of

HAPPEN, CALL = "happen", "call"
FORM = "application/x-www-form-urlencoded"
MAX_LISTED = 100  # messages of one answer


@dataclass(frozen=True, slots=True)
class Sms:
    """A message that was taken. `number` without +; `dlr_url` "": nobody is told."""

    message_id: str
    number: str
    sender: str
    text: str
    created_at_ms: int
    dlr_url: str = ""
    bulk_id: str = ""
    note: str = ""  # the partner's own, given back in reports
    version: str = ""  # of the API that took it
    state: str = State.TAKEN.value
    done_at_ms: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Mail:
    """A message that a customer wrote. Numbers without +."""

    message_id: str
    sender: str
    to: str
    text: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Call:
    """A POST to the partner."""

    url: str
    content_type: str
    body: bytes


Tell = Callable[[Sms, State], Call | None]


class MailStore:
    """Tables and statements."""

    def __init__(self) -> None:
        self.metadata = MetaData()
        self.outbox = Outbox(self.metadata)
        self.sms = Table(
            "short_messages",
            self.metadata,
            _id(),
            Column("message_id", Text, nullable=False),
            Column("number", Text, nullable=False),
            Column("sender", Text, nullable=False),
            Column("text", Text, nullable=False),
            Column("created_at_ms", BigInteger, nullable=False),
            Column("dlr_url", Text, nullable=False),
            Column("bulk_id", Text, nullable=False),
            Column("note", Text, nullable=False),
            Column("version", Text, nullable=False),
            Column("state", Text, nullable=False),
            Column("done_at_ms", BigInteger, nullable=False),
            Index("short_messages_number", "number"),
            Index("short_messages_message_id", "message_id"),
        )
        self.mail = Table(
            "mail",
            self.metadata,
            _id(),
            Column("message_id", Text, nullable=False),
            Column("sender", Text, nullable=False),
            Column("to", Text, nullable=False),
            Column("text", Text, nullable=False),
            Column("at_ms", BigInteger, nullable=False),
        )
        self.facts = Facts(self.metadata)

    def add(self, connection: Connection, sms: Sms) -> Sms:
        """Keep a message; it with its number in the order."""
        values = {name: value for name, value in asdict(sms).items() if name != "seq"}
        statement = self.sms.insert().values(**values).returning(self.sms.c.seq)
        return replace(sms, seq=connection.execute(statement).scalar_one())

    def by_seq(self, connection: Connection, seq: int) -> Sms | None:
        """One message."""
        row = connection.execute(select(self.sms).where(self.sms.c.seq == seq)).mappings().first()
        return None if row is None else _sms(row)

    def by_ids(self, connection: Connection, message_ids: Sequence[str]) -> list[Sms]:
        """Messages by the partner's ids, oldest first."""
        statement = select(self.sms).where(self.sms.c.message_id.in_(message_ids)).order_by(self.sms.c.seq)
        return [_sms(row) for row in connection.execute(statement.limit(MAX_LISTED)).mappings()]

    def to_number(self, connection: Connection, number: str) -> list[Sms]:
        """What went to a number, oldest first."""
        statement = select(self.sms).where(self.sms.c.number == number).order_by(self.sms.c.seq)
        return [_sms(row) for row in connection.execute(statement).mappings()]

    def set_state(self, connection: Connection, seq: int, state: State, now_ms: int) -> None:
        """Write where a message is; an end stays the end."""
        ends = [end.value for end in ENDS]
        statement = update(self.sms).where(self.sms.c.seq == seq, self.sms.c.state.not_in(ends))
        connection.execute(statement.values(state=state.value, done_at_ms=now_ms))

    def add_mail(self, connection: Connection, mail: Mail) -> None:
        """Keep what a customer wrote."""
        connection.execute(self.mail.insert(), [asdict(mail)])

    def mail_after(self, connection: Connection, seq: int) -> list[tuple[int, Mail]]:
        """What customers wrote, with its number in the order, beginning after one."""
        table = self.mail
        statement = select(table).where(table.c.seq > seq).order_by(table.c.seq).limit(MAX_LISTED)
        return [
            (int(row["seq"]), Mail(**{name: value for name, value in row.items() if name != "seq"}))
            for row in connection.execute(statement).mappings()
        ]


class Mailroom:
    """The running half. `tell` says how a partner is told of a message's new state."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        http: HttpClient,
        service: str,
        deliver_after_s: float,
        tell: Tell,
        mishaps: Mishaps = NONE,
    ):
        self.store = MailStore()
        self._database = database
        self._clock = clock
        self._http = http
        self._deliver_after_s = deliver_after_s
        self._tell = tell
        self._mishaps = mishaps
        self._dispatcher = Dispatcher(
            outbox=self.store.outbox,
            database=database,
            clock=clock,
            handlers={HAPPEN: self._happen, CALL: self._call},
            service=service,
        )

    async def start(self) -> None:
        """Create what is missing, and resume what is under way."""
        await self._database.write(self.store.metadata.create_all)
        await self._dispatcher.start()

    async def stop(self) -> None:
        """Stop at once."""
        await self._dispatcher.stop()

    async def take(self, messages: Sequence[Sms]) -> None:
        """Take messages; what will happen to them is their numbers' fate."""

        def work(connection: Connection) -> None:
            for message in messages:
                seq = self.store.add(connection, message).seq
                now_ms = self._clock.now_ms()
                rows = [
                    Outgoing(
                        HAPPEN,
                        f"{seq}:{number}",
                        {"seq": seq, "state": step.state.value, "told": step.told},
                        due_at_ms=now_ms + int((self._deliver_after_s + step.after_s) * 1000),
                    )
                    for number, step in enumerate(self._steps(message.number, seq))
                ]
                self.store.outbox.put(connection, rows, now_ms)

        await self._database.write(work)

    async def receive(self, mail: Mail, call: Call | None) -> None:
        """A customer writes; `call` tells the partner."""

        def work(connection: Connection) -> None:
            self.store.add_mail(connection, mail)
            self._put(connection, f"mail:{mail.message_id}", call)

        await self._database.write(work)

    async def tell(self, key: str, call: Call) -> None:
        """Tell the partner something else, once."""
        await self._database.write(lambda c: self._put(c, key, call))

    async def messages(self, message_ids: Sequence[str]) -> list[Sms]:
        """Messages by the partner's ids, oldest first."""
        return await self._database.read(lambda c: self.store.by_ids(c, message_ids))

    async def mail_after(self, seq: int) -> list[tuple[int, Mail]]:
        """What customers wrote after number `seq` of it."""
        return await self._database.read(lambda c: self.store.mail_after(c, seq))

    async def received(self, number: str) -> list[str]:
        """The texts that a number received, oldest first; `number` without +."""
        taken = await self._database.read(lambda c: self.store.to_number(c, number))
        return [sms.text for sms in taken]

    async def every_other(self, number: str) -> bool:
        """Whether this request is one of those that go wrong: the first, the third ..."""
        return await self._database.write(lambda c: self.store.facts.every_other(c, number))

    async def remember(self, name: str) -> None:
        """Remember that something is so."""
        await self._database.write(lambda c: self.store.facts.set(c, name, "1"))

    async def remembers(self, name: str) -> bool:
        """Whether it is so."""
        return await self._database.read(lambda c: self.store.facts.get(c, name)) == "1"

    def _put(self, connection: Connection, key: str, call: Call | None, after_s: float = 0) -> None:
        if call is not None and is_loopback(call.url):
            now_ms = self._clock.now_ms()
            payload = {"url": call.url, "content_type": call.content_type, "body": call.body.decode()}
            row = Outgoing(CALL, key, payload, due_at_ms=now_ms + int(after_s * 1000))
            self.store.outbox.put(connection, [row], now_ms)

    async def _happen(self, row: Leased) -> Outcome:
        seq, state = cast(int, row.payload["seq"]), State(row.payload["state"])

        def work(connection: Connection) -> Sms | None:
            self.store.set_state(connection, seq, state, self._clock.now_ms())
            return self.store.by_seq(connection, seq)

        sms = await self._database.write(work)
        call = None if sms is None else self._tell(sms, state)

        def tell(connection: Connection) -> None:
            for copy, after_s in enumerate(self._told(sms, row)):
                self._put(connection, f"{row.key}:{copy}", call, after_s)

        return Done(tell)

    def _steps(self, number: str, seq: int) -> Sequence[Step]:
        """What will happen to a message, by its number and by chance."""
        fate = fate_of(number)
        if fate == ORDINARY and self._mishaps.refuses(str(seq)):
            return (Step(State.UNDELIVERABLE),)
        return fate.steps

    def _told(self, sms: Sms | None, row: Leased) -> Sequence[float]:
        """How much later each copy of a report is sent, in seconds."""
        if sms is not None and fate_of(sms.number) == ORDINARY:
            return self._mishaps.calls(row.key)
        return [0.0] * cast(int, row.payload["told"])

    async def _call(self, row: Leased) -> Outcome:
        payload = cast("Mapping[str, str]", row.payload)
        headers = {"Content-Type": payload["content_type"]}
        try:
            await self._http.request(
                "POST", payload["url"], headers=headers, body=payload["body"].encode(), timeout_s=10.0
            )
        except BackendError:
            return Done()  # told once, never repeated
        return Done()


def _id() -> Column[int]:
    return Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def _sms(row: RowMapping) -> Sms:
    return Sms(**row)

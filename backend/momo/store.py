"""The SQL of momo: payments, raw callbacks, outbox and keys; reconciliation_store.py has reconciliation's.

Nothing here commits: the functions take the connection of a unit of work (see backend/kit/database.py).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    MetaData,
    RowMapping,
    Table,
    Text,
    func,
    or_,
    select,
    tuple_,
    update,
)

from backend.kit.keys import ApiKeys
from backend.kit.outbox import DEAD, Outbox
from backend.kit.rows import id_column, insert_new
from backend.momo.reconciliation_store import ReconciliationStore
from backend.momo.states import SETTLED, State

MAX_CALLBACKS = 100  # raw callbacks kept of one payment; a provider sends one or two


MAX_NAMES = 500  # in one statement: SQLite takes so many parameters and more
MAX_PAID = 100_000  # payments in the time of one reconciliation

PROVIDERS = "provider"  # client of payments that customers began: the providers' own ids are their keys

Key = tuple[str, str]  # client and idempotency key
Transaction = tuple[str, str]  # provider_key and provider_tx


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A payment as it is stored."""

    id: str
    idempotency_key: str
    reference: str
    amount_subunit: int
    currency: str
    business_account: str
    provider_key: str
    msisdn: str
    state: State
    base_url: str
    provider_ref: str
    callback_hash: str
    created_at_ms: int
    client: str
    provider_tx: str | None = None
    failure_reason: str | None = None
    paid_at_ms: int | None = None
    paid_subunit: int | None = None  # what the provider took, which may not be what it was asked for
    paid_currency: str | None = None
    handle: str | None = None  # the provider's own id of the request, where it gives one
    confirmed_at_ms: int | None = None


def key_of(row: PaymentRow) -> Key:
    """What makes a payment the same one as before."""
    return row.client, row.idempotency_key


class Store:
    """Tables and statements. `pepper` keys the hashes of the api keys."""

    def __init__(self, pepper: bytes):
        self.metadata = MetaData()
        self.outbox = Outbox(self.metadata)
        self.keys = ApiKeys(self.metadata, pepper)
        self.reconciliation = ReconciliationStore(self.metadata)
        self.payments = Table(
            "payments",
            self.metadata,
            Column("id", Text, primary_key=True),
            Column("idempotency_key", Text, nullable=False),
            Column("reference", Text, nullable=False),
            Column("amount_subunit", BigInteger, nullable=False),
            Column("currency", Text, nullable=False),
            Column("business_account", Text, nullable=False),
            Column("provider_key", Text, nullable=False),
            Column("msisdn", Text, nullable=False),
            Column("state", Text, nullable=False),
            Column("base_url", Text, nullable=False),
            Column("provider_ref", Text, nullable=False),
            Column("callback_hash", Text, nullable=False),
            Column("created_at_ms", BigInteger, nullable=False),
            Column("provider_tx", Text),
            Column("failure_reason", Text),
            Column("paid_at_ms", BigInteger),
            Column("confirmed_at_ms", BigInteger),
            Column("client", Text, nullable=False, server_default="mese"),
            Column("paid_subunit", BigInteger),
            Column("paid_currency", Text),
            Column("handle", Text),
            Index("payments_handle", "handle"),
            Index("payments_paid", "provider_key", "paid_at_ms"),
            Index("payments_provider_ref", "provider_ref"),
            Index("payments_provider_tx", "provider_key", "provider_tx"),
            Index("payments_idempotency_key", "client", "idempotency_key", unique=True),
            Index("payments_callback_hash", "callback_hash", unique=True),
            Index("payments_state", "state", "created_at_ms"),
        )
        self.callbacks = Table(
            "callbacks",
            self.metadata,
            id_column(),
            Column("payment_id", Text, nullable=False),
            Column("received_at_ms", BigInteger, nullable=False),
            Column("body", LargeBinary, nullable=False),
            Index("callbacks_payment_id", "payment_id"),
        )
        self.notices = Table(
            "notices",
            self.metadata,
            id_column(),
            Column("hook", Text, nullable=False),
            Column("received_at_ms", BigInteger, nullable=False),
            Column("body", LargeBinary, nullable=False),
        )

    def add(self, connection: Connection, rows: Sequence[PaymentRow]) -> None:
        """Insert payments; one whose idempotency key is there already is left as it is."""
        connection.execute(
            insert_new(connection, self.payments), [asdict(row) for row in sorted(rows, key=key_of)]
        )

    def by_keys(self, connection: Connection, keys: Sequence[Key]) -> dict[Key, PaymentRow]:
        """Payments by their client and idempotency key."""
        columns = tuple_(self.payments.c.client, self.payments.c.idempotency_key)
        statement = select(self.payments).where(columns.in_(keys))
        return {key_of(row): row for row in map(_payment, connection.execute(statement).mappings())}

    def by_id(self, connection: Connection, payment_id: str) -> PaymentRow | None:
        """One payment."""
        row = (
            connection.execute(select(self.payments).where(self.payments.c.id == payment_id))
            .mappings()
            .first()
        )
        return None if row is None else _payment(row)

    def by_callback_hash(self, connection: Connection, callback_hash: str) -> PaymentRow | None:
        """The payment that a callback path belongs to (callback_paths.py)."""
        statement = select(self.payments).where(self.payments.c.callback_hash == callback_hash)
        row = connection.execute(statement).mappings().first()
        return None if row is None else _payment(row)

    def by_provider_ref(self, connection: Connection, provider_ref: str) -> PaymentRow | None:
        """The payment that a provider was asked for by this reference."""
        statement = select(self.payments).where(self.payments.c.provider_ref == provider_ref)
        row = connection.execute(statement).mappings().first()
        return None if row is None else _payment(row)

    def by_transactions(
        self, connection: Connection, provider_key: str, transactions: Sequence[str]
    ) -> dict[str, PaymentRow]:
        """Payments by the provider's transaction ids."""
        table = self.payments
        found: dict[str, PaymentRow] = {}
        for start in range(0, len(transactions), MAX_NAMES):
            names = transactions[start : start + MAX_NAMES]
            statement = select(table).where(
                table.c.provider_key == provider_key, table.c.provider_tx.in_(names)
            )
            rows = map(_payment, connection.execute(statement).mappings())
            found.update({str(row.provider_tx): row for row in rows})
        return found

    def named(self, connection: Connection, provider_key: str, names: Sequence[str]) -> dict[str, PaymentRow]:
        """Payments by the name of theirs, our reference or the provider's handle, that stands in `names`."""
        table = self.payments
        found: dict[str, PaymentRow] = {}
        for start in range(0, len(names), MAX_NAMES):
            some = names[start : start + MAX_NAMES]
            statement = select(table).where(
                table.c.provider_key == provider_key,
                or_(table.c.provider_ref.in_(some), table.c.handle.in_(some)),
            )
            for row in map(_payment, connection.execute(statement).mappings()):
                found[row.provider_ref] = row
                if row.handle is not None:
                    found[row.handle] = row
        return found

    def made_between(
        self, connection: Connection, provider_key: str, first_ms: int, last_ms: int, *, limit: int = MAX_PAID
    ) -> list[PaymentRow]:
        """Payments of a time, oldest first: asked for in it, or begun by a customer and told of in it.

        What was asked for counts from when it was asked: it may be known to be paid only days later.
        """
        table = self.payments
        asked = (table.c.client != PROVIDERS, table.c.created_at_ms.between(first_ms, last_ms))
        begun = (table.c.client == PROVIDERS, table.c.paid_at_ms.between(first_ms, last_ms))
        each = [
            select(table).where(table.c.provider_key == provider_key, table.c.state.in_(sorted(State)), *some)
            for some in (asked, begun)
        ]
        rows = [_payment(row) for some in each for row in connection.execute(some.limit(limit)).mappings()]
        return sorted(rows, key=lambda row: (row.created_at_ms, row.id))[:limit]

    def first_made_ms(self, connection: Connection) -> int | None:
        """When the first payment was made."""
        table = self.payments
        firsts = [
            connection.execute(select(func.min(table.c.created_at_ms)).where(table.c.state == state)).scalar()
            for state in State
        ]
        return min((first for first in firsts if first is not None), default=None)

    def by_ids(self, connection: Connection, ids: Sequence[str]) -> list[PaymentRow]:
        """Payments by id."""
        found: list[PaymentRow] = []
        for start in range(0, len(ids), MAX_NAMES):
            statement = select(self.payments).where(self.payments.c.id.in_(ids[start : start + MAX_NAMES]))
            found += map(_payment, connection.execute(statement).mappings())
        return found

    def booked(
        self, connection: Connection, transactions: Sequence[Transaction]
    ) -> dict[Transaction, PaymentRow]:
        """The providers' transactions that belong to a payment already, with it."""
        table = self.payments
        statement = select(table).where(tuple_(table.c.provider_key, table.c.provider_tx).in_(transactions))
        rows = map(_payment, connection.execute(statement).mappings())
        return {(row.provider_key, str(row.provider_tx)): row for row in rows}

    def of_others(self, connection: Connection, payment: PaymentRow, transactions: Sequence[str]) -> set[str]:
        """Which of a provider's transactions are of other payments that we asked it for."""
        table = self.payments
        statement = select(table.c.provider_tx).where(
            table.c.provider_key == payment.provider_key,
            table.c.provider_tx.in_(transactions),
            table.c.id != payment.id,
            table.c.client != PROVIDERS,
        )
        return set(connection.execute(statement).scalars())

    def locked(self, connection: Connection, ids: Sequence[str]) -> dict[str, PaymentRow]:
        """Payments by id, locked in id order until the transaction ends."""
        statement = (
            select(self.payments)
            .where(self.payments.c.id.in_(ids))
            .order_by(self.payments.c.id)
            .with_for_update()
        )
        return {row.id: row for row in map(_payment, connection.execute(statement).mappings())}

    def set_state(
        self, connection: Connection, payment_id: str, state: State, values: dict[str, str | int | None]
    ) -> None:
        """Write a payment's new state and what came with it."""
        statement = update(self.payments).where(self.payments.c.id == payment_id)
        connection.execute(statement.values(state=state, **values))

    def add_callback(self, connection: Connection, payment_id: str, body: bytes, now_ms: int) -> None:
        """Keep a callback as it came, up to MAX_CALLBACKS a payment."""
        count = select(func.count()).where(self.callbacks.c.payment_id == payment_id)
        if connection.execute(count).scalar_one() < MAX_CALLBACKS:
            row = {"payment_id": payment_id, "received_at_ms": now_ms, "body": body}
            connection.execute(self.callbacks.insert(), [row])

    def callbacks_of(self, connection: Connection, payment_id: str) -> list[bytes]:
        """The bodies of a payment's callbacks, oldest first."""
        table = self.callbacks
        statement = select(table.c.body).where(table.c.payment_id == payment_id).order_by(table.c.id)
        return [bytes(body) for body in connection.execute(statement).scalars()]

    def add_notices(self, connection: Connection, notices: Sequence[tuple[str, bytes]], now_ms: int) -> None:
        """Keep calls about payments that customers began, as they came: (hook, body)."""
        rows = [{"hook": hook, "received_at_ms": now_ms, "body": body} for hook, body in notices]
        connection.execute(self.notices.insert(), rows)

    def count_by_state(self, connection: Connection) -> dict[str, int]:
        """How many payments there are in each state."""
        statement = select(self.payments.c.state, func.count()).group_by(self.payments.c.state)
        return {str(state): int(count) for state, count in connection.execute(statement)}

    def confirmed_by_currency(self, connection: Connection) -> dict[str, int]:
        """Sum of what was taken for the confirmed payments in subunits, by currency.

        A transaction told twice, as asked for and as begun by the customer, counts once.
        """
        table = self.payments
        taken = func.coalesce(table.c.paid_subunit, table.c.amount_subunit)
        once = (
            select(table.c.currency, func.max(taken).label("taken"))
            .where(table.c.state == State.CONFIRMED)
            .group_by(table.c.currency, table.c.provider_key, table.c.provider_tx)
            .subquery()
        )
        statement = select(once.c.currency, func.sum(once.c.taken)).group_by(once.c.currency)
        return {str(currency): int(total) for currency, total in connection.execute(statement)}

    def open_before(self, connection: Connection, created_before_ms: int, limit: int) -> tuple[str, ...]:
        """Ids of unsettled payments that were made before a time, oldest first."""
        table = self.payments
        statement = (
            select(table.c.id)
            .where(table.c.state.not_in(sorted(SETTLED)), table.c.created_at_ms < created_before_ms)
            .order_by(table.c.created_at_ms)
            .limit(limit)
        )
        return tuple(connection.execute(statement).scalars())

    def in_state(self, connection: Connection, state: State, limit: int) -> tuple[str, ...]:
        """Ids of payments in a state, oldest first."""
        table = self.payments
        statement = select(table.c.id).where(table.c.state == state).order_by(table.c.created_at_ms)
        return tuple(connection.execute(statement.limit(limit)).scalars())

    def dead_letters(self, connection: Connection) -> int:
        """How many outbox rows were given up."""
        table = self.outbox.table
        return connection.execute(select(func.count()).where(table.c.state == DEAD)).scalar_one()


def _payment(row: RowMapping) -> PaymentRow:
    values: dict[str, Any] = {**row, "state": State(row["state"])}
    return PaymentRow(**values)

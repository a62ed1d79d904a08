"""Solarium's SQL of payments, orders and partners' access. One set of statements serves a whole batch.

Locks are taken in one order everywhere: accounts by id, then payments by key.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import (
    Connection,
    MetaData,
    Select,
    Table,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from backend.kit.keys import ApiKeys, Client
from backend.kit.outbox import Outbox
from backend.kit.round_trips import PutNew
from backend.kit.rows import Given, RowsStatement, insert_new
from backend.solarium.operations_store import adopt_devices
from backend.solarium.operations_tables import OperationsTables
from backend.solarium.posting import Account
from backend.solarium.tables import EntryRow, OrderRow, PaymentRow, Tables, TransactionRow

Row = dict[str, Any]

ORDERED = "ordered"  # Moto is being asked
ISSUED = "issued"  # the token is stored; the command and the short message are on their way
SENT = "sent"  # M2M has the command
REPLIED = "replied"  # the device has answered
WITHDRAWN = "withdrawn"  # it was ordered only, and then swapped or reversed: no token will be made
ORDER_STATES = (ORDERED, ISSUED, SENT, REPLIED, WITHDRAWN)

# What a device that has the days says of their token; a customer may have typed it before the command came.
# By SMS the answer is in words.
SERVED = ("OK", "already_used", "already used")


class Paid(Struct, array_like=True, frozen=True):
    """A stored payment: whose receipt it has, it was; a duplicate is compared with the rest."""

    provider_tx: str
    provider_key: str
    id: int
    receipt: str
    amount_subunit: int
    currency: str
    reference: str
    business_account: str


@dataclass(frozen=True, slots=True)
class Order:
    """A token order, with what its delivery needs of the account."""

    id: str
    device: str
    days: int
    state: str
    sealed_digits: bytes | None
    token_family: str
    msisdn: str
    market: str


@dataclass(frozen=True, slots=True)
class Issued:
    """An order's token, its digits sealed under the order's id."""

    order_id: str
    sequence_number: int
    sealed_digits: bytes


@dataclass(frozen=True, slots=True)
class Replied:
    """A device's answer to an order's command, and when it came to us."""

    order_id: str
    response: str
    at_ms: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class PendingValidation:
    """A simulated payment that may be executed."""

    account_id: int
    amount_subunit: int
    provider_key: str
    provider_tx: str


class Store:
    """Solarium's tables and their statements; each method runs in its caller's transaction."""

    def __init__(self, pepper: bytes):
        self.metadata = MetaData()
        self.tables = Tables(self.metadata)
        self.operations = OperationsTables(self.metadata)
        self.outbox = Outbox(self.metadata)
        self.keys = ApiKeys(self.metadata, pepper)
        self._statements = _Statements(self.tables)

    # Accounts

    def put_accounts(
        self, connection: Connection, businesses: Sequence[Row], accounts: Sequence[Row]
    ) -> None:
        """Add what is missing; what is there stays as it is."""
        for table, rows in ((self.tables.business_accounts, businesses), (self.tables.accounts, accounts)):
            if rows:
                connection.execute(insert_new(connection, table), rows)
        if any(row["device"] for row in accounts):
            adopt_devices(connection, self.tables, self.operations)

    def accounts_of(
        self, connection: Connection, references: Iterable[str], *, lock: bool = False
    ) -> list[Account]:
        """Accounts with one of `references`, once for each of their providers; locked in order of id."""
        statement = self._statements.lock_accounts if lock else self._statements.accounts
        return statement.read(connection, [(reference,) for reference in references], Account)

    def accounts_by_reference(self, connection: Connection, references: Sequence[str]) -> list[list[Account]]:
        """`accounts_of` for each of `references` by itself."""
        found: dict[str, list[Account]] = {reference: [] for reference in references}
        for account in self.accounts_of(connection, found):
            found[account.reference].append(account)
        return [found[reference] for reference in references]

    def set_balances(self, connection: Connection, balances: Mapping[int, int]) -> None:
        """Write balances (subunits) by account id; the accounts are locked already."""
        if balances:
            self._statements.set_balances.run(connection, list(balances.items()))

    # Payments and the ledger

    def put_payments(self, connection: Connection, rows: Sequence[PaymentRow]) -> dict[tuple[str, str], Paid]:
        """Insert payments whose key is new; what is stored for each key, by (provider_tx, provider_key)."""
        stored = self._statements.put_payments.run(connection, rows)
        return {(paid.provider_tx, paid.provider_key): paid for paid in stored}

    def put_transactions(self, connection: Connection, rows: Sequence[TransactionRow]) -> None:
        """Insert the payments' ledger transactions."""
        self._statements.put_transactions.run(connection, rows)

    def put_entries(self, connection: Connection, rows: Sequence[EntryRow]) -> None:
        """Insert entries of the payments' ledger transactions."""
        self._statements.put_entries.run(connection, rows)

    # Token orders

    def put_orders(self, connection: Connection, rows: Sequence[OrderRow]) -> None:
        """Insert token orders."""
        if rows:
            self._statements.put_orders.run(connection, rows)

    def orders(self, connection: Connection, order_ids: Sequence[str]) -> list[Order | None]:
        """The orders, each at its id's place; None where there is none."""
        orders, accounts = self.tables.token_orders, self.tables.accounts
        statement = (
            select(
                orders.c.id,
                orders.c.device,
                orders.c.days,
                orders.c.state,
                orders.c.sealed_digits,
                accounts.c.token_family,
                accounts.c.msisdn,
                accounts.c.market,
            )
            .join_from(orders, accounts)
            .where(orders.c.id.in_(order_ids))
        )
        found = {row[0]: Order(*row) for row in connection.execute(statement)}
        return [found.get(order_id) for order_id in order_ids]

    def issue(self, connection: Connection, tokens: Sequence[Issued]) -> list[str]:
        """Store the tokens of orders that have none; the ids of these."""
        orders = self.tables.token_orders
        wanted = select(orders.c.id).where(
            orders.c.id.in_([token.order_id for token in tokens]), orders.c.state == ORDERED
        )
        first = set(connection.execute(wanted.order_by(orders.c.id).with_for_update()).scalars())
        rows = [
            {"order": token.order_id, "number": token.sequence_number, "sealed": token.sealed_digits}
            for token in tokens
            if token.order_id in first
        ]
        if rows:
            statement = update(orders).where(orders.c.id == bindparam("order"))
            values = statement.values(
                state=ISSUED, sequence_number=bindparam("number"), sealed_digits=bindparam("sealed")
            )
            connection.execute(values, rows)
        return sorted(first)

    def sent(self, connection: Connection, order_ids: Sequence[str]) -> None:
        """M2M has their commands. A reply that was faster stays."""
        orders = self.tables.token_orders
        wanted = select(orders.c.id).where(orders.c.id.in_(order_ids), orders.c.state == ISSUED)
        locked = wanted.order_by(orders.c.id).with_for_update()  # in the order in which all lock them
        connection.execute(update(orders).where(orders.c.id.in_(locked)).values(state=SENT))

    def replied(self, connection: Connection, replies: Sequence[Replied]) -> list[bool]:
        """Devices have answered; for each reply whether it is the first of its order."""
        orders = self.tables.token_orders
        wanted = select(orders.c.id).where(
            orders.c.id.in_([reply.order_id for reply in replies]), orders.c.state != REPLIED
        )
        waiting = set(connection.execute(wanted.order_by(orders.c.id).with_for_update()).scalars())
        firsts: list[bool] = []
        rows: list[Row] = []
        for reply in replies:
            firsts.append(reply.order_id in waiting)
            if reply.order_id in waiting:
                waiting.remove(reply.order_id)
                rows.append(
                    {"order": reply.order_id, "said": reply.response, "at": reply.at_ms, "now": reply.now_ms}
                )
        if rows:
            statement = update(orders).where(orders.c.id == bindparam("order"))
            values = statement.values(
                state=REPLIED,
                device_response=bindparam("said"),
                replied_at_ms=bindparam("at"),
                callback_at_ms=bindparam("now"),
            )
            connection.execute(values, rows)
        return firsts

    # The external API

    def put_client(self, connection: Connection, client: Client, *, secret_hash: str, now_ms: int) -> None:
        """Add a client; one that is there stays as it is."""
        row = {
            "client_id": client.name,
            "secret_hash": secret_hash,
            "created_at_ms": now_ms,
            "markets": msgspec.json.encode(client.markets).decode(),
        }
        connection.execute(insert_new(connection, self.tables.clients), [row])

    def secret_hash(self, connection: Connection, client_id: str) -> str | None:
        """The hash of a client's secret, or None."""
        clients = self.tables.clients
        statement = select(clients.c.secret_hash).where(clients.c.client_id == client_id)
        return connection.execute(statement).scalar_one_or_none()

    def put_access_token(
        self, connection: Connection, token_hash: str, client_id: str, *, now_ms: int, expires_at_ms: int
    ) -> None:
        """Add an access token, and forget expired ones."""
        table = self.tables.access_tokens
        connection.execute(delete(table).where(table.c.expires_at_ms <= now_ms))
        row = {"token_hash": token_hash, "client_id": client_id, "expires_at_ms": expires_at_ms}
        connection.execute(insert(table), [row])

    def client_of(self, connection: Connection, token_hash: str, now_ms: int) -> Client | None:
        """Whose access token this is, unless it has expired."""
        table, clients = self.tables.access_tokens, self.tables.clients
        statement = (
            select(clients.c.client_id, clients.c.markets)
            .join_from(table, clients)
            .where(table.c.token_hash == token_hash, table.c.expires_at_ms > now_ms)
        )
        row = connection.execute(statement).one_or_none()
        return None if row is None else Client(row[0], msgspec.json.decode(row[1], type=tuple[str, ...]))

    def put_validation(self, connection: Connection, row: Row, now_ms: int) -> None:
        """Add a validation, and forget expired ones."""
        table = self.tables.validations
        connection.execute(delete(table).where(table.c.expires_at_ms <= now_ms))
        connection.execute(insert(table), [row])

    def validation(
        self, connection: Connection, validation_id: str, client_id: str, now_ms: int
    ) -> PendingValidation | None:
        """A client's validation, unless it has expired."""
        table = self.tables.validations
        statement = select(
            table.c.account_id, table.c.amount_subunit, table.c.provider_key, table.c.provider_tx
        ).where(table.c.id == validation_id, table.c.client_id == client_id, table.c.expires_at_ms > now_ms)
        row = connection.execute(statement).one_or_none()
        return None if row is None else PendingValidation(*row)

    # Reports (audit.py)

    def count(self, connection: Connection, table: Table) -> int:
        """Rows of a table."""
        return connection.execute(select(func.count()).select_from(table)).scalar_one()

    def payments_without_transaction(self, connection: Connection) -> int:
        """Payments that no ledger transaction books (that none has two, the schema sees to)."""
        payments, transactions = self.tables.payments, self.tables.ledger_transactions
        statement = (
            select(func.count())
            .select_from(payments.outerjoin(transactions, transactions.c.payment_id == payments.c.id))
            .where(transactions.c.id.is_(None))
        )
        return connection.execute(statement).scalar_one()

    def orders_by_state(self, connection: Connection) -> dict[str, tuple[int, int]]:
        """(orders, days) by state."""
        orders = self.tables.token_orders
        statement = select(orders.c.state, func.count(), func.sum(orders.c.days)).group_by(orders.c.state)
        return {row[0]: (row[1], int(row[2])) for row in connection.execute(statement)}

    def days_by_device(self, connection: Connection) -> dict[str, tuple[int, int]]:
        """(days sold, days whose order is replied) by device."""
        orders = self.tables.token_orders
        replied = case((orders.c.state == REPLIED, orders.c.days), else_=0)
        statement = (
            select(orders.c.device, func.sum(orders.c.days), func.sum(replied))
            .where(orders.c.state != WITHDRAWN)
            .group_by(orders.c.device)
        )
        return {row[0]: (int(row[1]), int(row[2])) for row in connection.execute(statement)}

    def refused_orders(self, connection: Connection) -> int:
        """Orders whose device answered, but did not take the token."""
        orders = self.tables.token_orders
        refused = and_(orders.c.state == REPLIED, orders.c.device_response.not_in(SERVED))
        statement = select(func.count()).select_from(orders).where(refused)
        return connection.execute(statement).scalar_one()

    def dead_letters(self, connection: Connection) -> int:
        """Outbox rows that will never leave by themselves."""
        table = self.outbox.table
        return connection.execute(
            select(func.count()).select_from(table).where(table.c.state == "dead")
        ).scalar_one()


class _Statements:
    """What a write batch runs, over all of its rows at once."""

    def __init__(self, tables: Tables):
        accounts = tables.accounts
        self.accounts = RowsStatement(lambda given: given.packed(_accounts(tables, given)))
        self.lock_accounts = RowsStatement(
            lambda given: given.packed(
                _accounts(tables, given).order_by(accounts.c.id).with_for_update(of=accounts)
            )
        )
        self.set_balances = RowsStatement(
            lambda given: (
                update(accounts)
                .where(accounts.c.id == given.column(0, accounts.c.id))
                .values(balance_subunit=given.column(1, accounts.c.balance_subunit))
            )
        )
        self.put_payments = PutNew(
            tables.payments, row=PaymentRow, key=("provider_tx", "provider_key"), stored=Paid
        )
        self.put_transactions = RowsStatement(
            lambda given: given.insert(tables.ledger_transactions, TransactionRow.__struct_fields__)
        )
        self.put_entries = RowsStatement(
            lambda given: given.insert(tables.ledger_entries, EntryRow.__struct_fields__)
        )
        self.put_orders = RowsStatement(
            lambda given: given.insert_new(tables.token_orders, OrderRow.__struct_fields__)
        )


def _accounts(tables: Tables, given: Given) -> Select[*tuple[Any, ...]]:
    accounts, businesses = tables.accounts, tables.business_accounts
    columns = [accounts.c[name] for name in Account.__struct_fields__ if name != "provider_key"]
    references = select(given.column(0, accounts.c.reference)).select_from(given.table)
    return (
        select(*columns, businesses.c.provider_key)
        .join_from(accounts, businesses, businesses.c.business_account == accounts.c.business_account)
        .where(accounts.c.reference.in_(references))
    )

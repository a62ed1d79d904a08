"""The MTN sandbox's tables: API users, access tokens, requests to pay."""

from dataclasses import asdict, dataclass

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, func, select, update

from backend.kit.outbox import Outbox
from backend.kit.rows import insert_new

PENDING, SUCCESSFUL, FAILED = "PENDING", "SUCCESSFUL", "FAILED"


@dataclass(frozen=True, slots=True)
class ApiUser:
    """A partner's API user. No `api_key` yet: it was created, but has asked for none."""

    api_user: str
    target_environment: str
    callback_host: str
    api_key: str | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """A request to pay. `amount` as it was sent."""

    reference_id: str
    target_environment: str
    amount: str
    currency: str
    external_id: str
    payer: str
    payer_message: str
    payee_note: str
    callback_url: str
    status: str = PENDING
    reason: str | None = None
    financial_transaction_id: str | None = None


class MtnStore:
    """Tables and statements."""

    def __init__(self) -> None:
        self.metadata = MetaData()
        self.outbox = Outbox(self.metadata)
        self.users = Table(
            "api_users",
            self.metadata,
            Column("api_user", Text, primary_key=True),
            Column("target_environment", Text, nullable=False),
            Column("callback_host", Text, nullable=False),
            Column("api_key", Text),
        )
        self.tokens = Table(
            "tokens",
            self.metadata,
            Column("access_token", Text, primary_key=True),
            Column("target_environment", Text, nullable=False),
            Column("callback_host", Text, nullable=False),
            Column("expires_at_ms", BigInteger, nullable=False),
        )
        self.collections = Table(
            "collections",
            self.metadata,
            Column("reference_id", Text, primary_key=True),
            Column("target_environment", Text, nullable=False),
            Column("amount", Text, nullable=False),
            Column("currency", Text, nullable=False),
            Column("external_id", Text, nullable=False),
            Column("payer", Text, nullable=False),
            Column("payer_message", Text, nullable=False),
            Column("payee_note", Text, nullable=False),
            Column("callback_url", Text, nullable=False),
            Column("status", Text, nullable=False),
            Column("reason", Text),
            Column("financial_transaction_id", Text),
        )

    def add_user(self, connection: Connection, user: ApiUser) -> bool:
        """Whether it is new."""
        return self._added(connection, self.users, asdict(user))

    def set_user(self, connection: Connection, user: ApiUser) -> None:
        """Add it, or make the one that is there like it: its callback host may have moved."""
        if not self.add_user(connection, user):
            statement = update(self.users).where(self.users.c.api_user == user.api_user)
            connection.execute(statement.values(callback_host=user.callback_host, api_key=user.api_key))

    def user(self, connection: Connection, api_user: str) -> ApiUser | None:
        """An API user by its id."""
        statement = select(self.users).where(self.users.c.api_user == api_user)
        row = connection.execute(statement).mappings().first()
        return None if row is None else ApiUser(**row)

    def set_api_key(self, connection: Connection, api_user: str, api_key: str) -> None:
        """Give a user its key; an older one stops working."""
        statement = update(self.users).where(self.users.c.api_user == api_user)
        connection.execute(statement.values(api_key=api_key))

    def add_token(self, connection: Connection, user: ApiUser, access_token: str, expires_at_ms: int) -> None:
        """An access token of `user`."""
        values = {
            "access_token": access_token,
            "target_environment": user.target_environment,
            "callback_host": user.callback_host,
            "expires_at_ms": expires_at_ms,
        }
        connection.execute(self.tokens.insert(), [values])

    def bearer(self, connection: Connection, access_token: str, now_ms: int) -> tuple[str, str] | None:
        """Environment and callback host that a valid token stands for."""
        table = self.tokens
        statement = select(table.c.target_environment, table.c.callback_host).where(
            table.c.access_token == access_token, table.c.expires_at_ms > now_ms
        )
        row = connection.execute(statement).first()
        return None if row is None else (str(row[0]), str(row[1]))

    def add_collection(self, connection: Connection, collection: Collection) -> bool:
        """Whether its reference is new."""
        return self._added(connection, self.collections, asdict(collection))

    def collection(self, connection: Connection, reference_id: str) -> Collection | None:
        """A request to pay by its reference."""
        statement = select(self.collections).where(self.collections.c.reference_id == reference_id)
        row = connection.execute(statement).mappings().first()
        return None if row is None else Collection(**row)

    def settle(
        self,
        connection: Connection,
        reference_id: str,
        *,
        status: str,
        reason: str | None,
        financial_transaction_id: str | None,
    ) -> None:
        """Write what the customer decided; a settled one stays as it is."""
        table = self.collections
        statement = update(table).where(table.c.reference_id == reference_id, table.c.status == PENDING)
        connection.execute(
            statement.values(status=status, reason=reason, financial_transaction_id=financial_transaction_id)
        )

    def successful(self, connection: Connection, target_environment: str) -> list[str]:
        """The amounts that were paid in an environment."""
        table = self.collections
        statement = select(table.c.amount).where(
            table.c.target_environment == target_environment, table.c.status == SUCCESSFUL
        )
        return [str(amount) for amount in connection.execute(statement).scalars()]

    def count(self, connection: Connection) -> int:
        """How many requests to pay were taken."""
        return connection.execute(select(func.count()).select_from(self.collections)).scalar_one()

    @staticmethod
    def _added(connection: Connection, table: Table, values: dict[str, object]) -> bool:
        key = next(iter(table.primary_key.columns))
        statement = insert_new(connection, table).values(**values).returning(key)
        return connection.execute(statement).first() is not None

"""Payments as a service without batches takes them: each request a transaction of its own, with the ordinary
statements one writes for one payment. It writes the same rows, so both ledgers pass the same audit.
"""

from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from backend.kit.outbox import Outgoing
from backend.kit.rows import insert_new
from backend.kit.runtime import SystemClock, SystemEntropy, iso, token_hex
from backend.solarium.confirmations import ORDER_TOKEN, PAYMENT, Confirmation
from backend.solarium.posting import Account, post, split
from backend.solarium.schemas import OK, ConfirmRequest, Validation, epoch_ms
from backend.solarium.service import Solarium
from backend.solarium.store import ORDERED, Store
from backend.solarium.validation import judge


class OneByOne:
    """`book` and `validate` take the place of the service's own."""

    def __init__(self, service: Solarium):
        self._database = service._database
        self._store: Store = service._store
        self._clock = SystemClock()
        self._entropy = SystemEntropy()

    async def book(self, request: ConfirmRequest) -> Confirmation:
        return await self._database.write(lambda connection: self.decide(connection, request))

    async def validate(
        self,
        *,
        reference: str,
        currency: str,
        business_account: str,
        provider_key: str,
        amount_subunit: int | None = None,
    ) -> Validation:
        statement = self._route(reference, business_account, currency, provider_key)
        row = await self._database.read(lambda connection: connection.execute(statement).first())
        account = None if row is None else Account(**row._mapping)
        status = judge(account, amount_subunit)
        return Validation(status, account.customer_name if account is not None and status == OK else None)

    def decide(self, connection: Connection, request: ConfirmRequest) -> Confirmation:
        tables, now_ms = self._store.tables, self._clock.now_ms()
        account = self._account(connection, request)
        receipt = token_hex(self._entropy, 12)
        payment = {
            "receipt": receipt,
            "provider_tx": request.provider_tx,
            "provider_key": request.provider_key,
            "account_id": None if account is None else account.id,
            "outcome": "suspense" if account is None else "credited",
            "reference": request.reference,
            "business_account": request.business_account,
            "amount_subunit": request.amount_subunit,
            "currency": request.currency,
            "sender_phone_number": request.sender_phone_number,
            "sender_masked": False,
            "momoep_id": str(request.momoep_id),
            "received_at_ms": epoch_ms(request.received_at),
            "confirmed_at_ms": now_ms,
        }
        statement = insert_new(connection, tables.payments).values(**payment)
        payment_id = connection.execute(statement.returning(tables.payments.c.id)).scalar()
        if payment_id is None:
            return Confirmation(False, 0, "")
        balance = 0 if account is None else account.balance_subunit
        posting = post(account, balance, request.amount_subunit, request.provider_key)
        transaction = insert(tables.ledger_transactions).values(payment_id=payment_id, at_ms=now_ms)
        transaction_id = connection.execute(
            transaction.returning(tables.ledger_transactions.c.id)
        ).scalar_one()
        connection.execute(
            insert(tables.ledger_entries),
            [
                {
                    "transaction_id": transaction_id,
                    "ledger_account": entry.ledger_account,
                    "account_id": entry.account_id,
                    "currency": request.currency,
                    "debit_subunit": entry.debit_subunit,
                    "credit_subunit": entry.credit_subunit,
                }
                for entry in posting.entries
            ],
        )
        if account is not None:
            balances = update(tables.accounts).where(tables.accounts.c.id == account.id)
            connection.execute(balances.values(balance_subunit=posting.balance_subunit))
            self._order(connection, account, payment_id, posting.days, now_ms)
            event = {"serial": account.device, "at": iso(now_ms), "amount_subunit": request.amount_subunit}
            self._store.outbox.put(connection, [Outgoing(PAYMENT, str(payment_id), event)], now_ms)
        return Confirmation(True, payment_id, receipt, posting.outcome)

    def _account(self, connection: Connection, request: ConfirmRequest) -> Account | None:
        statement = self._route(
            request.reference, request.business_account, request.currency, request.provider_key
        )
        row = connection.execute(statement.with_for_update(of=self._store.tables.accounts)).first()
        return None if row is None else Account(**row._mapping)

    def _route(
        self, reference: str, business_account: str, currency: str, provider_key: str
    ) -> Select[*tuple[Any, ...]]:
        accounts, businesses = self._store.tables.accounts, self._store.tables.business_accounts
        columns = [accounts.c[name] for name in Account.__struct_fields__ if name != "provider_key"]
        return (
            select(*columns, businesses.c.provider_key)
            .join_from(accounts, businesses, businesses.c.business_account == accounts.c.business_account)
            .where(
                accounts.c.reference == reference,
                accounts.c.business_account == business_account,
                accounts.c.currency == currency,
                businesses.c.provider_key == provider_key,
            )
        )

    def _order(
        self, connection: Connection, account: Account, payment_id: int, days: int, now_ms: int
    ) -> None:
        for part in split(days):
            order_id = f"{now_ms:011x}-{token_hex(self._entropy)}"
            connection.execute(
                insert(self._store.tables.token_orders).values(
                    id=order_id,
                    payment_id=payment_id,
                    account_id=account.id,
                    device=account.device,
                    days=part,
                    state=ORDERED,
                    created_at_ms=now_ms,
                )
            )
            order = Outgoing(ORDER_TOKEN, order_id, {"device": account.device, "days": part})
            self._store.outbox.put(connection, [order], now_ms)

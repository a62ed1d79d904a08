"""What an input means on its page: the event, what the session learns from it, what the next page shows."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import structlog

from backend.kit.errors import BackendError
from backend.mese.markets import MARKETS
from backend.mese.pages import Event, Page
from backend.mese.ports import Account, Accounts, Payments
from backend.mese.rendering import MAX_DAYS, money
from backend.mese.store import Session

LOOKUP_S = 4.0  # of what one input asks of others; three inputs stay under the aggregator's 15 s
MAX_KEYS = 132  # characters of tokens on one page: the eight of the greatest payment fit
REFERENCE = re.compile(r"[A-Za-z0-9/_.-]{1,40}")
AMOUNT = re.compile(r"[0-9]{1,12}")
BACK, EXIT = "00", "0"

AMOUNT_EVENTS = {
    "ok": Event.GOOD,
    "amount_too_low": Event.TOO_LOW,
    "amount_too_high": Event.TOO_HIGH,
    "reference_not_found": Event.NOT_FOUND,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """The event; the session, wiser; what the page that follows is filled with, which is not stored."""

    event: Event
    session: Session
    values: Mapping[str, str] = field(default_factory=dict[str, str])


class Reader:
    """Reads inputs, asking momo and Solarium."""

    def __init__(self, *, payments: Payments, accounts: Accounts):
        self._payments = payments
        self._accounts = accounts
        self._log = structlog.get_logger(service="mese")

    async def read(self, session: Session, typed: str) -> Reading:
        """What `typed` means on the session's page."""
        if typed == BACK:
            return Reading(Event.BACK, session)
        if typed == EXIT and session.page is not Page.AMOUNT:
            return Reading(Event.EXIT, session)
        return await self._asked(session, typed)

    async def again(self, session: Session) -> Reading:
        """The tokens that the session was shown, and does not keep."""
        return await self._asked(session, session.reference)

    async def _asked(self, session: Session, typed: str) -> Reading:
        try:
            async with asyncio.timeout(LOOKUP_S):
                return await self._read(session, typed)
        except (TimeoutError, BackendError) as error:
            self._log.warning("ussd.lookup_failed", page=session.page, error=repr(error))
            return Reading(Event.UNAVAILABLE, session)

    async def _read(self, session: Session, typed: str) -> Reading:
        match session.page:
            case Page.ACCOUNT:
                return await self._account(session, typed)
            case Page.AMOUNT:
                return await self._amount(session, typed)
            case Page.CONFIRM:
                return Reading({"1": Event.YES, "2": Event.NO}.get(typed, Event.WRONG), session)
            case Page.BALANCE_OF | Page.TOKEN_OF | Page.TOKEN:
                return await self._own_account(session, typed)
            case Page.LANGUAGE:
                return _language(session, typed)
            case _:
                return await self._menu(session, typed)

    async def _menu(self, session: Session, typed: str) -> Reading:
        match typed:
            case "1":
                return Reading(Event.PAY, session)
            case "2" | "3":
                return await self._of_number(session, tokens=typed == "3")
            case "4":
                return Reading(Event.LANGUAGES, session)
            case _:
                return Reading(Event.WRONG, session)

    async def _account(self, session: Session, typed: str) -> Reading:
        if not REFERENCE.fullmatch(typed):
            return Reading(Event.NOT_FOUND, session)
        route = await self._payments.resolve(reference=typed, market=session.market, msisdn=session.msisdn)
        if route is None:
            return Reading(Event.NOT_FOUND, session)
        session = replace(
            session,
            reference=typed,
            business_account=route.business_account,
            currency=route.currency,
            provider_key=route.provider_key,
        )
        validation = await self._payments.validate(
            reference=typed,
            currency=route.currency,
            business_account=route.business_account,
            provider_key=route.provider_key,
        )
        if validation.status != "ok":
            return Reading(Event.NOT_FOUND, session)
        return Reading(Event.FOUND, replace(session, customer_name=validation.customer_name))

    async def _amount(self, session: Session, typed: str) -> Reading:
        if not AMOUNT.fullmatch(typed) or int(typed) == 0:
            return Reading(Event.BAD, session)
        amount_subunit = int(typed) * 100
        validation = await self._payments.validate(
            reference=session.reference,
            currency=session.currency,
            business_account=session.business_account,
            provider_key=session.provider_key,
            amount_subunit=amount_subunit,
        )
        event = AMOUNT_EVENTS[validation.status]
        return Reading(event, replace(session, amount_subunit=amount_subunit))

    async def _of_number(self, session: Session, *, tokens: bool) -> Reading:
        """For the only account of the number; which, if it has several."""
        found = await self._accounts.accounts(msisdn=session.msisdn, market=session.market)
        if not found:
            return Reading(Event.NO_ACCOUNT, session)
        if len(found) > 1:
            return Reading(Event.TOKEN_OF_WHICH if tokens else Event.BALANCE_OF_WHICH, session)
        return await self._tokens(session, found[0]) if tokens else _balance(session, found[0])

    async def _own_account(self, session: Session, typed: str) -> Reading:
        """For one of the number's own accounts. Another's is not told from one that is none."""
        found = await self._accounts.accounts(msisdn=session.msisdn, market=session.market)
        account = next((each for each in found if each.reference == typed), None)
        if account is None:
            return Reading(Event.NOT_OWN, session)
        if session.page is Page.BALANCE_OF:
            return _balance(session, account)
        return await self._tokens(session, account)

    async def _tokens(self, session: Session, account: Account) -> Reading:
        session = replace(session, reference=account.reference)
        tokens = await self._accounts.tokens(
            msisdn=session.msisdn, market=session.market, reference=account.reference
        )
        values = {"reference": account.reference[:40], "tokens": "\n".join(tokens)[:MAX_KEYS]}
        return Reading(Event.TOKEN if tokens else Event.NO_TOKEN, session, values)


def _balance(session: Session, account: Account) -> Reading:
    values = {
        "reference": account.reference[:40],
        "money": money(session.market, account.balance_subunit),
        "days": str(min(account.days_left, MAX_DAYS)),
    }
    return Reading(Event.BALANCE, session, values)


def _language(session: Session, typed: str) -> Reading:
    choices = MARKETS[session.market].languages
    chosen = {str(number): code for number, code in enumerate(choices, 1)}.get(typed)
    if chosen is None:
        return Reading(Event.WRONG, session)
    return Reading(Event.CHOSEN, replace(session, language=chosen))

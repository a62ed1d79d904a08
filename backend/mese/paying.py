"""What became of a session's payment, as far as the customer can wait for it (resolutions 23).

Who is told to try again pays with a new key, so he is told that only where certainly nothing was started. A
gateway that says "unavailable" may have lost the answer to its own commit: that payment is pending, and
followup.py looks for it by its key.
"""

import asyncio

import structlog

from backend.kit.errors import BackendError, InternalError, Unavailable
from backend.kit.http import TimedOut, Unreachable
from backend.mese.pages import Event
from backend.mese.ports import Payments
from backend.mese.reading import AMOUNT_EVENTS
from backend.mese.store import Session

WAIT_S = 8.0  # then the customer is told that it is pending (resolutions 23)

PAYMENT_EVENTS = {"confirmed": Event.PAID, "failed": Event.FAILED}


class Paying:
    """Pays once for each session's `payment_key`, however often it is asked to."""

    def __init__(self, *, payments: Payments, wait_s: float):
        self._payments = payments
        self._wait_s = wait_s
        self._log = structlog.get_logger(service="mese")

    async def pay(self, session: Session, *, resumed: bool) -> tuple[Event, str | None]:
        """The payment's fate within `wait_s`, and its id. `resumed`: it may have been started before."""
        payment_id = session.payment_id
        deadline = asyncio.get_running_loop().time() + self._wait_s
        try:
            async with asyncio.timeout_at(deadline + 1):
                payment = await self._payments.pay(
                    reference=session.reference,
                    amount_subunit=session.amount_subunit,
                    currency=session.currency,
                    business_account=session.business_account,
                    provider_key=session.provider_key,
                    msisdn=session.msisdn,
                    idempotency_key=session.payment_key,
                )
                payment_id = payment.payment_id
                left_s = deadline - asyncio.get_running_loop().time()
                payment = await self._payments.wait(payment_id, wait_s=max(0.0, left_s))
        except (TimedOut, TimeoutError):
            return Event.PENDING, payment_id
        except BackendError as error:
            if error.code in AMOUNT_EVENTS:
                self._log.warning("ussd.payment_refused", session_id=session.id, code=error.code)
                return Event.FAILED, None  # what the customer was shown has changed since
            self._log.error("ussd.payment_failed", session_id=session.id, error=repr(error))
            may_have_started = resumed or payment_id is not None or not _certain(error)
            return Event.PENDING if may_have_started else Event.UNAVAILABLE, payment_id
        return PAYMENT_EVENTS.get(payment.status, Event.PENDING), payment_id


def _certain(error: BackendError) -> bool:
    """Whether the gateway has certainly stored nothing: it was not reached, or refused the request."""
    return isinstance(error, Unreachable) or not isinstance(error, Unavailable | InternalError)

"""After "payment pending", or an end that came before the answer: an SMS when the payment turns out to have
failed (resolutions 23).

A payment that succeeds is told by the SMS with its token, which Solarium sends.
"""

from typing import cast

from backend.kit.outbox import Done, Leased, Outcome, Outgoing, Retry
from backend.mese.ports import Payments, Sms
from backend.mese.rendering import sms
from backend.mese.store import Session

FOLLOW_UP = "follow_up"
AGAIN_S = 10.0  # between two looks at a payment that is not settled


def follow_up(session: Session) -> Outgoing:
    """The row to put with an answer that tells nothing, or is not seen; its session knows its payment."""
    payload = {
        "payment_id": session.payment_id,
        "msisdn": session.msisdn,
        "market": session.market,
        "language": session.language,
        "amount": session.amount_subunit // 100,
    }
    return Outgoing(FOLLOW_UP, session.id, payload)


class FollowUp:
    """The handler of the rows."""

    def __init__(self, *, payments: Payments, sms: Sms):
        self._payments = payments
        self._sms = sms

    async def handle(self, row: Leased) -> Outcome:
        """Look at the payment; done when it is settled and, if it failed, the customer is told."""
        payment = await self._payments.wait(cast(str, row.payload["payment_id"]), wait_s=0)
        if payment.status == "confirmed":
            return Done()
        if payment.status != "failed":
            return Retry("not settled", after_s=AGAIN_S, free=True)
        language = cast(str, row.payload.get("language", "en"))  # rows of before languages have none
        await self._sms.send(
            to=cast(str, row.payload["msisdn"]),
            text=sms("failed_later", language, amount=cast(int, row.payload["amount"])),
            market=cast(str, row.payload["market"]),
            reference=f"{FOLLOW_UP}:{row.key}",
        )
        return Done()

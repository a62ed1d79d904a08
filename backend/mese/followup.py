"""After "payment pending", or an end or a kill that came before the answer: an SMS when the payment turns out
to have failed (resolutions 23).

A payment that succeeds is told by the SMS with its token, which Solarium sends. Where the gateway's answer
was lost, nobody knows whether there is a payment: it is looked for by its key, once the lost request can't
arrive any more. If there is none, no money was taken and none will be, so it has failed.
A market that has no short messages (resolutions 22) is an alert: asking again would go on for ever.
"""

from typing import cast

import structlog

from backend.kit.errors import Unprocessable
from backend.kit.outbox import Done, Leased, Outcome, Outgoing
from backend.kit.runtime import Clock
from backend.mese.ports import Payments, Sms
from backend.mese.rendering import sms
from backend.mese.store import Session

FOLLOW_UP = "follow_up"
AGAIN_S = 10.0  # between the first looks at a payment that is not settled
MAX_AGAIN_S = 600.0  # a payment whose provider is silent waits for days; momo looks no more often either
LOST_S = 20.0  # twice what a request to the gateway may take: it has arrived by then, or never will


def follow_up(session: Session, now_ms: int) -> Outgoing:
    """The row to put with an answer that tells nothing, or is not seen."""
    payload = {
        "payment_id": session.payment_id,
        "payment_key": session.payment_key,
        "msisdn": session.msisdn,
        "market": session.market,
        "language": session.language,
        "amount": session.amount_subunit // 100,
    }
    wait_s = LOST_S if session.payment_id is None else 0
    return Outgoing(FOLLOW_UP, session.id, payload, due_at_ms=now_ms + int(wait_s * 1000))


class FollowUp:
    """The handler of the rows."""

    def __init__(self, *, payments: Payments, sms: Sms, clock: Clock):
        self._payments = payments
        self._clock = clock
        self._sms = sms
        self._log = structlog.get_logger(service="mese")

    async def handle(self, row: Leased) -> Outcome:
        """Look at the payment; done when it is settled and, if it failed, the customer is told."""
        status = await self._status(row)
        if status == "confirmed":
            return Done()
        if status != "failed":
            return row.look_again("not settled", self._clock.now_ms(), least_s=AGAIN_S, most_s=MAX_AGAIN_S)
        language = cast(str, row.payload.get("language", "en"))  # rows of before languages have none
        market = cast(str, row.payload["market"])
        try:
            await self._sms.send(
                to=cast(str, row.payload["msisdn"]),
                text=sms("failed_later", language, amount=cast(int, row.payload["amount"])),
                market=market,
                reference=f"{FOLLOW_UP}:{row.key}",
            )
        except Unprocessable as error:
            self._log.error("ussd.failure_untold", session_id=row.key, market=market, error=error.detail)
        return Done()

    async def _status(self, row: Leased) -> str:
        payment_id = cast("str | None", row.payload["payment_id"])
        if payment_id is not None:
            return (await self._payments.wait(payment_id, wait_s=0)).status
        payment = await self._payments.find(cast(str, row.payload["payment_key"]))
        return "failed" if payment is None else payment.status

"""The menu, as a table: what is shown after what (checklist 10-22).

    MENU -1-> ACCOUNT -found-> AMOUNT -good-> CONFIRM -1-> PAYING --> OVER

Rules: a page reads its input into an event; the table gives the next page and the text on it. A page followed
by itself asks again. OVER ends the session. PAYING has no input: the payment's own fate is the event.
"""

from dataclasses import dataclass
from enum import StrEnum


class Page(StrEnum):
    """Column `page` of a session: what the next input answers."""

    MENU = "menu"
    ACCOUNT = "account"
    AMOUNT = "amount"
    CONFIRM = "confirm"
    PAYING = "paying"
    OVER = "over"


class Event(StrEnum):
    """What an input, or the payment, turned out to be."""

    WRONG = "wrong"
    PAY = "pay"
    FOUND = "found"
    NOT_FOUND = "not_found"
    GOOD = "good"
    BAD = "bad"
    TOO_LOW = "too_low"
    TOO_HIGH = "too_high"
    YES = "yes"
    NO = "no"
    PAID = "paid"
    FAILED = "failed"
    PENDING = "pending"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Step:
    """The next page, and the name of the text on it."""

    page: Page
    text: str


TABLE: dict[tuple[Page, Event], Step] = {
    (Page.MENU, Event.PAY): Step(Page.ACCOUNT, "enter_account"),
    (Page.MENU, Event.WRONG): Step(Page.MENU, "wrong_choice"),
    (Page.ACCOUNT, Event.FOUND): Step(Page.AMOUNT, "enter_amount"),
    (Page.ACCOUNT, Event.NOT_FOUND): Step(Page.ACCOUNT, "unknown_account"),
    (Page.ACCOUNT, Event.UNAVAILABLE): Step(Page.OVER, "unavailable"),
    (Page.AMOUNT, Event.GOOD): Step(Page.CONFIRM, "confirm"),
    (Page.AMOUNT, Event.BAD): Step(Page.AMOUNT, "bad_amount"),
    (Page.AMOUNT, Event.TOO_LOW): Step(Page.AMOUNT, "amount_too_low"),
    (Page.AMOUNT, Event.TOO_HIGH): Step(Page.AMOUNT, "amount_too_high"),
    (Page.AMOUNT, Event.NOT_FOUND): Step(Page.ACCOUNT, "unknown_account"),
    (Page.AMOUNT, Event.UNAVAILABLE): Step(Page.OVER, "unavailable"),
    (Page.CONFIRM, Event.YES): Step(Page.PAYING, "pending"),
    (Page.CONFIRM, Event.NO): Step(Page.OVER, "cancelled"),
    (Page.CONFIRM, Event.WRONG): Step(Page.CONFIRM, "wrong_confirm"),
    (Page.PAYING, Event.PAID): Step(Page.OVER, "success"),
    (Page.PAYING, Event.FAILED): Step(Page.OVER, "failed"),
    (Page.PAYING, Event.PENDING): Step(Page.OVER, "pending"),
    (Page.PAYING, Event.UNAVAILABLE): Step(Page.OVER, "unavailable"),
}

ENDS = frozenset((Page.PAYING, Page.OVER))  # shown with END; every other page with CON


# Events that let a walk read the next of several inputs: whatever else is shown is answered by the customer.
ADVANCES = frozenset((Event.PAY, Event.FOUND, Event.GOOD))
WHOLE_PATH = 4  # inputs: 1 * account * amount * 1


def inputs(page: Page, added: str) -> list[str]:
    """What the customer typed since the last hop, one input a page.

    `added` may hold a `*` that was typed: an amount or a choice on CONFIRM is read whole, so that neither a
    typing error nor a lost hop confirms anything. Where no answer can hold a `*`, it parts inputs: a customer
    may dial them in one go, and a hop may have been lost. A walk ends at the first input that does not lead
    on, and drops the rest.
    """
    if page in (Page.MENU, Page.ACCOUNT):
        return added.split("*")
    return [added]


def may_confirm(typed: list[str], *, first_hop: bool) -> bool:
    """Whether a walk over several inputs may answer CONFIRM, which nobody was shown: the whole path only."""
    return len(typed) == 1 or (first_hop and len(typed) == WHOLE_PATH)

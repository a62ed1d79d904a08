"""The menu, as a table: what is shown after what (checklist 10-22).

    MENU -1-> ACCOUNT -found-> AMOUNT -good-> CONFIRM -1-> PAYING --> OVER
    MENU -2-> (BALANCE_OF, with several accounts) --> OVER
    MENU -3-> (TOKEN_OF, with several accounts) --> TOKEN
    MENU -4-> LANGUAGE --> MENU

Rules: a page reads its input into an event; the table gives the next page and the text on it. A page
followed by itself asks again. `00` goes back everywhere; `0` leaves everywhere but on AMOUNT, where it is an
amount, and a wrong one. OVER ends the session. PAYING and TOKEN have no input: a repeated hop looks again.
"""

from dataclasses import dataclass
from enum import StrEnum, auto


class Page(StrEnum):
    """Column `page` of a session: what the next input answers."""

    MENU = auto()
    ACCOUNT = auto()
    AMOUNT = auto()
    CONFIRM = auto()
    PAYING = auto()
    BALANCE_OF = auto()
    TOKEN_OF = auto()
    TOKEN = auto()
    LANGUAGE = auto()
    OVER = auto()


class Event(StrEnum):
    """What an input, or the payment, turned out to be."""

    BACK = auto()
    EXIT = auto()
    WRONG = auto()
    PAY = auto()
    FOUND = auto()
    NOT_FOUND = auto()
    GOOD = auto()
    BAD = auto()
    TOO_LOW = auto()
    TOO_HIGH = auto()
    YES = auto()
    NO = auto()
    PAID = auto()
    FAILED = auto()
    PENDING = auto()
    UNAVAILABLE = auto()
    BALANCE = auto()
    BALANCE_OF_WHICH = auto()
    TOKEN = auto()
    TOKEN_OF_WHICH = auto()
    NO_TOKEN = auto()
    NO_ACCOUNT = auto()
    NOT_OWN = auto()
    LANGUAGES = auto()
    CHOSEN = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """The next page, and the name of the text on it."""

    page: Page
    text: str


TABLE: dict[tuple[Page, Event], Step] = {
    (Page.MENU, Event.PAY): Step(Page.ACCOUNT, "enter_account"),
    (Page.MENU, Event.BALANCE): Step(Page.OVER, "balance"),
    (Page.MENU, Event.BALANCE_OF_WHICH): Step(Page.BALANCE_OF, "enter_account"),
    (Page.MENU, Event.TOKEN): Step(Page.TOKEN, "token"),
    (Page.MENU, Event.TOKEN_OF_WHICH): Step(Page.TOKEN_OF, "enter_account"),
    (Page.MENU, Event.NO_TOKEN): Step(Page.OVER, "no_token"),
    (Page.MENU, Event.NO_ACCOUNT): Step(Page.OVER, "no_account"),
    (Page.MENU, Event.LANGUAGES): Step(Page.LANGUAGE, "languages"),
    (Page.MENU, Event.UNAVAILABLE): Step(Page.OVER, "unavailable"),
    (Page.MENU, Event.WRONG): Step(Page.MENU, "wrong_choice"),
    (Page.MENU, Event.BACK): Step(Page.MENU, "welcome"),
    (Page.MENU, Event.EXIT): Step(Page.OVER, "goodbye"),
    (Page.ACCOUNT, Event.FOUND): Step(Page.AMOUNT, "enter_amount"),
    (Page.ACCOUNT, Event.NOT_FOUND): Step(Page.ACCOUNT, "unknown_account"),
    (Page.ACCOUNT, Event.UNAVAILABLE): Step(Page.OVER, "unavailable"),
    (Page.ACCOUNT, Event.BACK): Step(Page.MENU, "welcome"),
    (Page.ACCOUNT, Event.EXIT): Step(Page.OVER, "cancelled"),
    (Page.AMOUNT, Event.GOOD): Step(Page.CONFIRM, "confirm"),
    (Page.AMOUNT, Event.BAD): Step(Page.AMOUNT, "bad_amount"),
    (Page.AMOUNT, Event.TOO_LOW): Step(Page.AMOUNT, "amount_too_low"),
    (Page.AMOUNT, Event.TOO_HIGH): Step(Page.AMOUNT, "amount_too_high"),
    (Page.AMOUNT, Event.NOT_FOUND): Step(Page.ACCOUNT, "unknown_account"),
    (Page.AMOUNT, Event.UNAVAILABLE): Step(Page.OVER, "unavailable"),
    (Page.AMOUNT, Event.BACK): Step(Page.ACCOUNT, "enter_account"),
    (Page.CONFIRM, Event.YES): Step(Page.PAYING, "pending"),
    (Page.CONFIRM, Event.NO): Step(Page.OVER, "cancelled"),
    (Page.CONFIRM, Event.WRONG): Step(Page.CONFIRM, "wrong_confirm"),
    (Page.CONFIRM, Event.BACK): Step(Page.AMOUNT, "enter_amount"),
    (Page.CONFIRM, Event.EXIT): Step(Page.OVER, "cancelled"),
    (Page.PAYING, Event.PAID): Step(Page.OVER, "success"),
    (Page.PAYING, Event.FAILED): Step(Page.OVER, "failed"),
    (Page.PAYING, Event.PENDING): Step(Page.OVER, "pending"),
    (Page.PAYING, Event.UNAVAILABLE): Step(Page.OVER, "unavailable"),
    (Page.BALANCE_OF, Event.BALANCE): Step(Page.OVER, "balance"),
    (Page.BALANCE_OF, Event.NOT_OWN): Step(Page.BALANCE_OF, "not_own_account"),
    (Page.BALANCE_OF, Event.UNAVAILABLE): Step(Page.OVER, "unavailable"),
    (Page.BALANCE_OF, Event.BACK): Step(Page.MENU, "welcome"),
    (Page.BALANCE_OF, Event.EXIT): Step(Page.OVER, "goodbye"),
    (Page.TOKEN_OF, Event.TOKEN): Step(Page.TOKEN, "token"),
    (Page.TOKEN_OF, Event.NO_TOKEN): Step(Page.OVER, "no_token"),
    (Page.TOKEN_OF, Event.NOT_OWN): Step(Page.TOKEN_OF, "not_own_account"),
    (Page.TOKEN_OF, Event.UNAVAILABLE): Step(Page.OVER, "unavailable"),
    (Page.TOKEN_OF, Event.BACK): Step(Page.MENU, "welcome"),
    (Page.TOKEN_OF, Event.EXIT): Step(Page.OVER, "goodbye"),
    (Page.TOKEN, Event.TOKEN): Step(Page.TOKEN, "token"),
    (Page.TOKEN, Event.NO_TOKEN): Step(Page.TOKEN, "no_token"),
    (Page.TOKEN, Event.NOT_OWN): Step(Page.TOKEN, "no_account"),
    (Page.TOKEN, Event.UNAVAILABLE): Step(Page.TOKEN, "unavailable"),
    (Page.LANGUAGE, Event.CHOSEN): Step(Page.MENU, "welcome"),
    (Page.LANGUAGE, Event.WRONG): Step(Page.LANGUAGE, "wrong_language"),
    (Page.LANGUAGE, Event.BACK): Step(Page.MENU, "welcome"),
    (Page.LANGUAGE, Event.EXIT): Step(Page.OVER, "goodbye"),
}

ENDS = frozenset((Page.PAYING, Page.TOKEN, Page.OVER))  # shown with END; every other page with CON


# Events that let a walk read the next of several inputs: whatever else is shown is answered by the customer.
ADVANCES = frozenset(
    (
        Event.PAY,
        Event.FOUND,
        Event.GOOD,
        Event.BALANCE_OF_WHICH,
        Event.TOKEN_OF_WHICH,
        Event.LANGUAGES,
    )
)
READ_WHOLE = frozenset((Page.AMOUNT, Page.CONFIRM))
WHOLE_PATH = 4  # inputs: 1 * account * amount * 1


def inputs(page: Page, added: str) -> list[str]:
    """What the customer typed since the last hop, one input a page.

    `added` may hold a `*` that was typed: an amount or a choice on CONFIRM is read whole, so that neither a
    typing error nor a lost hop confirms anything. Where no answer can hold a `*`, it parts inputs: a customer
    may dial them in one go, and a hop may have been lost. A walk ends at the first input that does not lead
    on, and drops the rest.
    """
    return [added] if page in READ_WHOLE else added.split("*")


def may_confirm(typed: list[str], *, first_hop: bool) -> bool:
    """Whether a walk over several inputs may answer CONFIRM, which nobody was shown: the whole path only."""
    return len(typed) == 1 or (first_hop and len(typed) == WHOLE_PATH)

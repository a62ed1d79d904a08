"""Whether a client may have tokens of a device, and what is noted of every attempt. Pure.

A registered device gives tokens to clients of its market alone, and to nobody while it is stolen or lost; on
all routes, since who knows a device's secret may have stolen that too. A device that nobody registered has no
owner to ask: the stateless routes serve it (checklist 78). store.py keeps the attempts; they hold no secrets
and no tokens.
"""

from collections.abc import Collection
from dataclasses import dataclass

from backend.kit.errors import BackendError, Forbidden
from backend.moto.schemas import TokenRequest

ACTIVE = "active"
STOLEN = "stolen"
LOST = "lost"
STATES = (ACTIVE, STOLEN, LOST)

STATEFUL = "generate"  # the routes, by what their paths say
STATELESS = "stateless"
SOLARIUM = "solarium"
STATE = "state"  # not a token: the device was reported

GIVEN = "ok"
UNENCODED = "no such encoding"
MAX_NOTED = 200  # characters of what a request says


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who asked for what, and what came of it: `ok`, or the text that was answered."""

    at_ms: int
    client: str
    route: str
    device: str
    command: str
    sequence_number: int | None
    outcome: str


@dataclass(frozen=True, slots=True)
class Caller:
    """A client, and the route that it took. No markets: every market is the client's."""

    client: str
    markets: tuple[str, ...]
    route: str


def refusal(market: str, state: str, markets: Collection[str]) -> Forbidden | None:
    """Why a device of this market and state gives no token to a client of `markets`; None: it does."""
    if markets and market not in markets:
        return Forbidden("not authorized")
    if state != ACTIVE:
        return Forbidden(f"device is reported {state}")
    return None


def attempt(
    caller: Caller, request: TokenRequest, *, outcome: BackendError | str, number: int | None, at_ms: int
) -> Attempt:
    """What is noted of a request."""
    return Attempt(
        at_ms=at_ms,
        client=caller.client,
        route=caller.route,
        device=noted(request.device),
        command=noted(request.command),
        sequence_number=number,
        outcome=noted(outcome.detail if isinstance(outcome, BackendError) else outcome),
    )


def noted(value: object) -> str:
    """A loosely typed value as it is kept: any text that a database takes."""
    if not isinstance(value, str | int):
        return "" if value is None else f"({type(value).__name__})"
    text = str(value)[:MAX_NOTED] if not isinstance(value, int) or abs(value) < 10**MAX_NOTED else "(int)"
    return text.encode("utf-8", "replace").decode().replace("\x00", "")

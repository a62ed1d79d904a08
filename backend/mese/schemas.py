"""The aggregator's form (spec/providers.md, section 4: USSD), checked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from backend.kit.errors import BadRequest

MAX_SESSION_ID = 200  # bytes
MAX_TEXT = 1000  # bytes of all inputs of a session; one input has at most 182 characters
NUMBER = re.compile(r"\+?[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True)
class Hop:
    """One request of a session. `text`: everything typed so far, joined by `*`."""

    session_id: str
    msisdn: str
    text: str


def parse(form: Mapping[str, str]) -> Hop:
    """The form of a hop. BadRequest says what is missing or wrong."""
    if missing := [name for name in ("sessionId", "phoneNumber", "text") if name not in form]:
        raise BadRequest(f"Missing form fields: {', '.join(missing)}")
    session_id, text = form["sessionId"], form["text"]
    number = form["phoneNumber"].strip()  # a `+` that was not encoded arrives as a blank
    if not 0 < len(session_id.encode()) <= MAX_SESSION_ID:
        raise BadRequest(f"sessionId must have 1 to {MAX_SESSION_ID} bytes")
    if not NUMBER.fullmatch(number):
        raise BadRequest("phoneNumber must be a number with its country code, such as +256772123456")
    if len(text.encode()) > MAX_TEXT:
        raise BadRequest(f"text must have at most {MAX_TEXT} bytes")
    return Hop(session_id, number.removeprefix("+"), text)

"""The aggregator's form (spec/providers.md, section 4: USSD), checked."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from backend.kit.errors import BadRequest

MAX_FIELDS = 20  # the aggregator sends five
MAX_SESSION_ID = 200  # bytes
MAX_TEXT = 1000  # bytes of all inputs of a session; one input has at most 182 characters
NUMBER = re.compile(r"\+?[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True)
class Hop:
    """One request of a session. `text`: everything typed so far, joined by `*`."""

    session_id: str
    msisdn: str
    text: str


def parse(body: bytes) -> Hop:
    """The form of a hop. BadRequest says what is missing or wrong."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise BadRequest("The body is no form; send sessionId, phoneNumber and text") from error
    form = dict(pairs)
    if missing := [name for name in ("sessionId", "phoneNumber", "text") if name not in form]:
        raise BadRequest(f"Missing form fields: {', '.join(missing)}")
    session_id, text = form["sessionId"], form["text"]
    number = form["phoneNumber"].strip()  # a `+` that was not encoded arrives as a blank
    if not 0 < len(session_id.encode()) <= MAX_SESSION_ID or "\x00" in session_id:
        raise BadRequest(f"sessionId must have 1 to {MAX_SESSION_ID} bytes")
    if not NUMBER.fullmatch(number):
        raise BadRequest("phoneNumber must be a number with its country code, such as +256772123456")
    if len(text.encode()) > MAX_TEXT or "\x00" in text:
        raise BadRequest(f"text must have at most {MAX_TEXT} bytes")
    return Hop(session_id, number.removeprefix("+"), text)

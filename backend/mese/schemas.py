"""The aggregator's forms (spec/providers.md, section 4: USSD), checked: a hop, and the end of a session."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar, get_args

import msgspec

from backend.kit.errors import BadRequest

MAX_SESSION_ID = 200  # bytes
MAX_TEXT = 1000  # bytes of all inputs of a session; one input has at most 182 characters
MAX_LOGGED = 200  # characters of an error that are logged
SUCCESS = "Success"
Status = Literal["Success", "Incomplete", "Failed"]
SessionId = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SESSION_ID)]
Number = Annotated[str, msgspec.Meta(pattern=r"^\s*\+?[1-9][0-9]{6,14}\s*\Z")]  # a `+` may arrive as a blank
REFUSALS = {
    "sessionId": f"sessionId must have 1 to {MAX_SESSION_ID} bytes",
    "phoneNumber": "phoneNumber must be a number with its country code, such as +256772123456",
    "text": f"text must have at most {MAX_TEXT} bytes",
    "status": f"status must be one of {', '.join(get_args(Status))}",
}


class HopForm(msgspec.Struct, kw_only=True, frozen=True, rename="camel"):
    """One request of a session; `text`: everything typed so far, joined by `*`."""

    session_id: SessionId
    phone_number: Number
    text: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
    service_code: str = ""
    network_code: str = ""


class EndingForm(msgspec.Struct, kw_only=True, frozen=True, rename="camel"):
    """The end of a session."""

    session_id: SessionId
    phone_number: Number
    status: Status
    hops_count: str = ""
    duration_in_millis: str = ""
    cost: str = ""
    error_message: str = ""


F = TypeVar("F", HopForm, EndingForm)


@dataclass(frozen=True, slots=True)
class Hop:
    """One request of a session. `text`: everything typed so far, joined by `*`."""

    session_id: str
    msisdn: str
    text: str


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a session; the rest is for the log, but for what was shown: there are tokens in it."""

    session_id: str
    msisdn: str
    status: str
    hops: str
    duration_ms: str
    cost: str
    error: str


def parse(form: Mapping[str, str]) -> Hop:
    """The form of a hop. BadRequest says what is missing or wrong."""
    hop = _checked(form, HopForm)
    if len(hop.text.encode()) > MAX_TEXT:
        raise BadRequest(REFUSALS["text"])
    return Hop(hop.session_id, _msisdn(hop.phone_number), hop.text)


def parse_ending(form: Mapping[str, str]) -> Ending:
    """The form of an end event. BadRequest says what is missing or wrong."""
    told = _checked(form, EndingForm)
    logged = (told.hops_count, told.duration_in_millis, told.cost, told.error_message)
    cut = (value[:MAX_LOGGED] for value in logged)
    return Ending(told.session_id, _msisdn(told.phone_number), told.status, *cut)


def _checked(form: Mapping[str, str], schema: type[F]) -> F:
    fields = msgspec.structs.fields(schema)
    needed = [field.encode_name for field in fields if field.required]
    if missing := [name for name in needed if name not in form]:
        raise BadRequest(f"Missing form fields: {', '.join(missing)}")
    try:
        checked = msgspec.convert({name: form[name] for name in needed} | dict(form), schema)
    except msgspec.ValidationError as error:
        path = str(error).partition(" - at `$.")[2].rstrip("`")
        raise BadRequest(REFUSALS[path]) from error
    if len(checked.session_id.encode()) > MAX_SESSION_ID:
        raise BadRequest(REFUSALS["sessionId"])
    return checked


def _msisdn(number: str) -> str:
    """Without blanks and `+`."""
    return number.strip().removeprefix("+")

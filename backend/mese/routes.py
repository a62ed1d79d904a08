"""HTTP of mese: the aggregator's forms; answers and errors are plain text (spec/providers.md, 4).

    POST /hooks/africastalking/ussd/{secret}        a hop
    POST /hooks/africastalking/ussd/end/{secret}    an end event
    POST /ussd · /ussd/end                          the same in development, without a secret

Aggregators send no key, so the last part of the path is the credential: whoever knows it may ask for any
number's balance and last token. One address of an aggregator brings all customers, so the rate limit goes by
phone number (service.py); end events, which write one row a session and are owed to customers whose payment
is pending, have none.
"""

import hmac
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from aiohttp import web

from backend.kit.errors import BackendError, NotFound
from backend.kit.openapi import FORM, PLAIN, Answer, Media, Operation, documented
from backend.kit.web import application, read_form
from backend.mese.schemas import EndingForm, HopForm, parse, parse_ending
from backend.mese.service import MeseService

ABOUT = """
The USSD host: an aggregator posts each hop of a session as a form, and the answer is what the phone shows:
`CON` and a page that asks on, or `END` and the last one.

Aggregators send no key: the last part of the path is the credential. Errors are a sentence of plain text.
"""
CALL = {"sessionId": "ATUid_1", "phoneNumber": "+256772100000"}
HOP = {**CALL, "serviceCode": "*284#", "networkCode": "64110", "text": ""}
ENDING = {**CALL, "status": "Success", "hopsCount": "4"}
HOOK = "/hooks/africastalking"

Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class _Way:
    """A way in: what stands around the paths, and what stands before the handlers."""

    before: str
    after: str
    guard: Callable[[Handler], Handler]


def make_app(service: MeseService, *, secret: str, development: bool) -> web.Application:
    """The application of `service`. `secret` ends its paths; `development`: they are there without it too."""
    ways = [_Way(HOOK, "/{secret}", lambda handler: _guarded(handler, secret))]
    if development:
        ways.append(_Way("", "", lambda handler: handler))
    operations = [each for way in ways for each in _operations(service, way)]
    routes = documented(title="mese", about=ABOUT, operations=operations)
    return application(routes, render=render, service="mese")


def _guarded(handler: Handler, secret: str) -> Handler:
    """The handler behind its secret; a wrong one is no path at all."""

    async def guard(request: web.Request) -> web.Response:
        given = request.match_info["secret"].encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, secret.encode()):
            raise NotFound("no such path")
        return await handler(request)

    return guard


def _operations(service: MeseService, way: _Way) -> Iterator[Operation]:
    async def ussd(request: web.Request) -> web.Response:
        return web.Response(text=await service.hop(parse(await read_form(request))))

    async def ended(request: web.Request) -> web.Response:
        await service.end(parse_ending(await read_form(request)))
        return web.Response()

    refused: dict[int, Answer] = dict.fromkeys((400, 413, 503), Media(PLAIN))
    if way.after:
        refused[404] = Media(PLAIN)
    values = {"secret": "$HOOK_SECRET"} if way.after else {}
    yield Operation(
        "POST",
        f"{way.before}/ussd{way.after}",
        way.guard(ussd),
        "A hop of a session; CON asks on, END ends it",
        tag="USSD",
        request=Media(FORM, HopForm, example=HOP),
        values=values,
        answers={200: Media(PLAIN), **refused},
    )
    yield Operation(
        "POST",
        f"{way.before}/ussd/end{way.after}",
        way.guard(ended),
        "A session has ended",
        tag="USSD",
        request=Media(FORM, EndingForm, example=ENDING),
        values=values,
        answers={200: None, **refused},
    )


def render(error: BackendError) -> web.Response:
    """The sentence of an error."""
    return web.Response(text=error.detail, status=error.status)

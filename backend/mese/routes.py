"""HTTP of mese: POST /ussd for hops and POST /ussd/end for end events, the aggregator's forms; answers and
errors are plain text (spec/providers.md, 4).

There is no key: aggregators send none. Who may reach these paths is the network's business. One address of an
aggregator brings all customers, so the rate limit goes by phone number (service.py); end events, which write
one row a session and are owed to customers whose payment is pending, have none.
"""

from aiohttp import web

from backend.kit.errors import BackendError
from backend.kit.openapi import FORM, PLAIN, Answer, Media, Operation, documented
from backend.kit.web import application, read_form
from backend.mese.schemas import EndingForm, HopForm, parse, parse_ending
from backend.mese.service import MeseService

ABOUT = """
The USSD host: an aggregator posts each hop of a session as a form, and the answer is what the phone shows:
`CON` and a page that asks on, or `END` and the last one.

There is no key: aggregators send none. Errors are a sentence of plain text.
"""
CALL = {"sessionId": "ATUid_1", "phoneNumber": "+256772100000"}
HOP = {**CALL, "serviceCode": "*284#", "networkCode": "64110", "text": ""}
ENDING = {**CALL, "status": "Success", "hopsCount": "4"}


def make_app(service: MeseService) -> web.Application:
    """The application of `service`."""

    async def ussd(request: web.Request) -> web.Response:
        return web.Response(text=await service.hop(parse(await read_form(request))))

    async def ended(request: web.Request) -> web.Response:
        await service.end(parse_ending(await read_form(request)))
        return web.Response()

    refused: dict[int, Answer] = dict.fromkeys((400, 413, 503), Media(PLAIN))
    operations = [
        Operation(
            "POST",
            "/ussd",
            ussd,
            "A hop of a session; CON asks on, END ends it",
            tag="USSD",
            request=Media(FORM, HopForm, example=HOP),
            answers={200: Media(PLAIN), **refused},
        ),
        Operation(
            "POST",
            "/ussd/end",
            ended,
            "A session has ended",
            tag="USSD",
            request=Media(FORM, EndingForm, example=ENDING),
            answers={200: None, **refused},
        ),
    ]
    routes = documented(title="mese", about=ABOUT, operations=operations)
    return application(routes, render=render, service="mese")


def render(error: BackendError) -> web.Response:
    """The sentence of an error."""
    return web.Response(text=error.detail, status=error.status)

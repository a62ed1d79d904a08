"""The providers' own webhooks. No provider signs them, so the last part of the path is the credential.

    /hooks/africastalking/dlr · inbound · optout   forms
    /hooks/infobip/dlr · inbound                   JSON, many results a call
    /hooks/pindo/dlr                               JSON

They have no rate limit: a provider brings everybody's reports from one address, and some never come again
after a 429. Strangers stop at the secret, or at PAYG_CALLBACK_IPS, before anything is read or stored.

A report of an unknown message is kept and answered 200: it may have overtaken our own commit. A message of
a sender that is no phone number (a bank, a short code) is answered 200 and left alone.
"""

import hmac
import re
from collections.abc import Awaitable, Callable, Iterable

import structlog
from aiohttp import web

from backend.kit.errors import NotFound
from backend.kit.openapi import FORM, Answer, Media, Operation
from backend.kit.web import JSON, empty_response, read_form, read_json
from backend.mega.ports import Received
from backend.mega.providers import africastalking, infobip, pindo
from backend.mega.schemas import ErrorAnswer
from backend.mega.service import MegaService

Handler = Callable[[web.Request], Awaitable[None]]

SENDER = re.compile(r"\+?[1-9][0-9]{6,14}")
# 100 reports of about 700 bytes in one call (spec/providers.md, section 4), and room.
BODIES = {"/hooks/infobip/dlr/{secret}": 256 * 1024, "/hooks/infobip/inbound/{secret}": 256 * 1024}

AT = "2025-12-01 10:30:09"
DELIVERED = {
    "messageId": "1733050200000000001",
    "status": {"groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET"},
    "doneAt": "2025-12-01T10:30:09.000+0000",
}
SAID = {
    "messageId": "1733050200000000002",
    "from": "254711000001",
    "to": "28400",
    "text": "BAL",
    "receivedAt": "2025-12-01T10:30:09.000+0000",
}


def hooks(service: MegaService) -> Iterable[Operation]:
    """The routes."""
    handlers = _Hooks(service)
    called: dict[str, tuple[Handler, Media, str]] = {
        "/hooks/africastalking/dlr": (
            handlers.africastalking_dlr,
            _form({"id": "ATXid_1", "status": "Success", "phoneNumber": "+254711000001"}),
            "A delivery report",
        ),
        "/hooks/africastalking/inbound": (
            handlers.africastalking_inbound,
            _form({"id": "in-1", "from": "+254711000001", "to": "28400", "text": "BAL", "date": AT}),
            "What a customer sent",
        ),
        "/hooks/africastalking/optout": (
            handlers.africastalking_optout,
            _form({"phoneNumber": "+254711000001", "senderId": "payg"}),
            "A customer wants no more",
        ),
        "/hooks/infobip/dlr": (
            handlers.infobip_dlr,
            Media(JSON, infobip.Reports, example={"results": [DELIVERED]}),
            "Delivery reports",
        ),
        "/hooks/infobip/inbound": (
            handlers.infobip_inbound,
            Media(JSON, infobip.Inbound, example={"results": [SAID]}),
            "What customers sent",
        ),
        "/hooks/pindo/dlr": (
            handlers.pindo_dlr,
            Media(JSON, pindo.Report, example={"status": "Delivered", "sms_id": 4711, "modified_at": AT}),
            "A delivery report",
        ),
    }
    refused: dict[int, Answer] = dict.fromkeys((400, 404, 413, 503), ErrorAnswer)
    return [
        Operation(
            "POST",
            f"{path}/{{secret}}",
            handlers.guarded(handler),
            summary,
            tag="Hooks of the providers",
            request=body,
            values={"secret": "$HOOK_SECRET"},
            answers={200: None, **refused},
        )
        for path, (handler, body, summary) in called.items()
    ]


def _form(example: dict[str, str]) -> Media:
    return Media(FORM, dict[str, str], example=example)  # the providers' modules say which fields they read


class _Hooks:
    def __init__(self, service: MegaService):
        self._service = service
        self._log = structlog.get_logger(service="mega")

    def guarded(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        """The handler behind its secret; a wrong one is no path at all."""

        async def guard(request: web.Request) -> web.Response:
            given = request.match_info["secret"].encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, self._service.config.dlr_secret.encode()):
                raise NotFound("no such path")
            await handler(request)
            return empty_response(200)

        return guard

    async def africastalking_dlr(self, request: web.Request) -> None:
        await self._service.report("africastalking", [africastalking.dlr_of(await read_form(request))])

    async def africastalking_inbound(self, request: web.Request) -> None:
        await self._receive("africastalking", [africastalking.received_of(await read_form(request))])

    async def africastalking_optout(self, request: web.Request) -> None:
        msisdn, sender_id = africastalking.opt_out_of(await read_form(request))
        await self._service.opt_out(msisdn, sender_id)

    async def infobip_dlr(self, request: web.Request) -> None:
        reports = await read_json(request, infobip.Reports)
        await self._service.report("infobip", infobip.dlrs_of(reports))

    async def infobip_inbound(self, request: web.Request) -> None:
        inbound = await read_json(request, infobip.Inbound)
        await self._receive("infobip", infobip.received_of(inbound))

    async def pindo_dlr(self, request: web.Request) -> None:
        report = await read_json(request, pindo.Report)
        await self._service.report("pindo", [pindo.dlr_of(report)])

    async def _receive(self, provider: str, messages: Iterable[Received]) -> None:
        for message in messages:
            if SENDER.fullmatch(message.sender):
                await self._service.receive(provider, message)
            else:
                self._log.info("inbound.no_number", provider=provider, id=message.provider_message_id)

"""HTTP of mega: parse, call the service, render. Errors: `{"error","message","details"}` (resolutions 21).

POST /send_short_message · POST /shortmessages/create_inbound · POST /shortmessages/update_dlr
POST /api/sms/send · GET /api/sms/{message_id}/status · POST /api/sms/validate · POST /api/dlr/callback
GET /v1/inbox?msisdn=    header X-API-Key on all of these
GET /health              for anybody
POST /hooks/...          the providers' own webhooks: hooks.py
"""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, Unauthorized
from backend.kit.keys import ApiKeys, Client
from backend.kit.openapi import Handler, Media, Operation, Teller, api_key, documented
from backend.kit.peers import counted_as
from backend.kit.runtime import iso, parse_iso
from backend.kit.web import JSON, application, json_response, read_json
from backend.mega.hooks import BODIES, hooks
from backend.mega.ports import Dlr, Received
from backend.mega.schemas import (
    ApiSendRequest,
    ApiSent,
    Checked,
    CheckRequest,
    DlrAnswer,
    DlrCallback,
    DlrRequest,
    ErrorAnswer,
    Health,
    InboundAnswer,
    InboundRequest,
    Inbox,
    InboxQuery,
    Queued,
    SendRequest,
    SmsStatus,
)
from backend.mega.service import MegaService, check_markets
from backend.mega.states import REPORTED, Status
from backend.mega.tables import MessageRow

ABOUT = """
Short messages: out through the provider of each market, in from customers, and what became of them.

Header X-API-Key. Errors are `{"error", "message", "details"}`; a market without a route is 422 `no_route`.
The same `reference` of a client again returns the first answer.

Providers call /hooks/...; they sign nothing, so the last part of the path is the credential.
"""
DRY_RUN = "dry_run"
KEY = api_key("X-API-Key")
SENDING, TOLD = "Sending", "What providers tell"
NUMBER = "+256772100000"
MESSAGE_ID = "0f8fad5bd9cb469fa16570867728950e"
SEND = {"to": NUMBER, "text": "Your light is on.", "reference": "receipt-4711"}
API_SEND = {"to": NUMBER, "message": "Your light is on.", "reference": "receipt-4712", "priority": "high"}
INBOUND = {
    "provider": "africastalking",
    "from": NUMBER,
    "to": "28400",
    "text": "BAL",
    "provider_message_id": "ATXid_in_1",
    "received_at": "2025-12-01T10:30:00Z",
}
REPORT = {
    "provider": "africastalking",
    "provider_message_id": "ATXid_1",
    "status": "Success",
    "done_at": "2025-12-01T10:30:09Z",
}


def make_app(service: MegaService, keys: ApiKeys) -> web.Application:
    """The application of `service`; `keys` are whom it lets in."""
    told = [*_operations(_Routes(service, keys)), *hooks(service)]
    routes = documented(title="mega", about=ABOUT, operations=told)
    return application(routes, render=render, service="mega", bodies=BODIES, keys=keys)


def _operations(routes: "_Routes") -> list[Operation]:
    told = Teller(routes.handlers(), security=KEY, refusal=ErrorAnswer, always=(401, 403))
    health = Operation(
        "GET",
        "/health",
        routes.health,
        "Whether the database answers",
        tag=SENDING,
        answers={200: Health, 429: ErrorAnswer, 503: ErrorAnswer},
    )
    return [*_sending(told), *_reports(told), health]


def _sending(told: Teller) -> list[Operation]:
    return [
        told(
            "POST /send_short_message",
            "Sends a short message",
            SENDING,
            {202: Queued},
            422,
            request=Media(JSON, SendRequest, example=SEND),
        ),
        told(
            "POST /api/sms/send",
            "Sends a short message, or rehearses it",
            SENDING,
            {200: ApiSent},
            422,
            request=Media(JSON, ApiSendRequest, example=API_SEND),
        ),
        told(
            "GET /api/sms/{message_id}/status",
            "What became of a message",
            SENDING,
            {200: SmsStatus},
            404,
            values={"message_id": MESSAGE_ID},
        ),
        told(
            "POST /api/sms/validate",
            "Checks a message, counts its segments",
            SENDING,
            {200: Checked},
            request=Media(JSON, CheckRequest, example={"to": NUMBER, "message": "Your light is on."}),
        ),
        told(
            "GET /v1/inbox",
            "What a number received; in development alone",
            SENDING,
            {200: Inbox},
            404,
            values={"msisdn": NUMBER.removeprefix("+")},
            query=InboxQuery,
        ),
    ]


def _reports(told: Teller) -> list[Operation]:
    return [
        told(
            "POST /shortmessages/create_inbound",
            "Takes in what a customer sent",
            TOLD,
            {201: InboundAnswer},
            404,
            request=Media(JSON, InboundRequest, example=INBOUND),
        ),
        told(
            "POST /shortmessages/update_dlr",
            "Takes in a delivery report; a final status never changes",
            TOLD,
            {200: DlrAnswer},
            404,
            request=Media(JSON, DlrRequest, example=REPORT),
        ),
        told(
            "POST /api/dlr/callback",
            "Takes in a report, by our id or the provider's",
            TOLD,
            {200: DlrAnswer},
            404,
            request=Media(JSON, DlrCallback, example=REPORT),
        ),
    ]


def render(error: BackendError) -> web.Response:
    """The documented answer of an error."""
    answer = ErrorAnswer(error=error.code, message=error.detail, details=dict(error.fields))
    return json_response(answer, status=error.status)


class _Routes:
    def __init__(self, service: MegaService, keys: ApiKeys):
        self._service = service
        self._keys = keys

    def handlers(self) -> Mapping[str, Handler]:
        """By method and path."""
        return {
            "POST /send_short_message": self.send,
            "POST /shortmessages/create_inbound": self.create_inbound,
            "POST /shortmessages/update_dlr": self.update_dlr,
            "POST /api/sms/send": self.api_send,
            "GET /api/sms/{message_id}/status": self.api_status,
            "POST /api/sms/validate": self.api_validate,
            "POST /api/dlr/callback": self.api_dlr,
            "GET /v1/inbox": self.inbox,
        }

    async def send(self, request: web.Request) -> web.Response:
        client = self._client(request)
        body = await read_json(request, SendRequest)
        queued = await self._service.send(
            to=body.to,
            text=body.text,
            market=body.market,
            sender_id=body.sender_id,
            reference=body.reference,
            callback_url=body.callback_url,
            client=client.name,
            markets=client.markets,
        )
        return json_response(queued, status=202)

    async def create_inbound(self, request: web.Request) -> web.Response:
        client = self._client(request)
        body = await read_json(request, InboundRequest)
        message = Received(
            provider_message_id=body.provider_message_id,
            sender=body.sender,
            to=body.to,
            text=body.text,
            received_at_ms=_time("received_at", body.received_at),
        )
        message_id = await self._service.receive(body.provider, message, markets=client.markets)
        return json_response(InboundAnswer(message_id=message_id), status=201)

    async def update_dlr(self, request: web.Request) -> web.Response:
        client = self._client(request)
        body = await read_json(request, DlrRequest)
        dlr = Dlr(
            provider_message_id=body.provider_message_id,
            status=_status(body.status),
            provider_status=body.status,
            failure_reason=body.failure_reason,
            at_ms=_time("done_at", body.done_at),
        )
        row = await self._service.update_dlr(body.provider, dlr, markets=client.markets)
        return json_response(DlrAnswer(message_id=row.id, status=row.status))

    async def api_send(self, request: web.Request) -> web.Response:
        client = self._client(request)
        body = await read_json(request, ApiSendRequest)
        if body.dry_run:
            rehearsed = await self._service.rehearse(
                to=body.to,
                text=body.message,
                sender_id=body.sender_id,
                callback_url=body.callback_url,
                markets=client.markets,
            )
            return json_response(_sent(rehearsed, message_id=None, status=DRY_RUN))
        row = await self._service.take(
            to=body.to,
            text=body.message,
            sender_id=body.sender_id,
            reference=body.reference,
            callback_url=body.callback_url,
            priority=body.priority,
            client=client.name,
            markets=client.markets,
        )
        return json_response(_sent(row, message_id=row.id, status=Status.QUEUED))

    async def api_status(self, request: web.Request) -> web.Response:
        client = self._client(request)
        message_id = request.match_info["message_id"]
        return json_response(await self._service.status(message_id, markets=client.markets))

    async def api_validate(self, request: web.Request) -> web.Response:
        client = self._client(request)
        body = await read_json(request, CheckRequest)
        return json_response(self._service.check(to=body.to, text=body.message, markets=client.markets))

    async def api_dlr(self, request: web.Request) -> web.Response:
        client = self._client(request)
        body = await read_json(request, DlrCallback)
        provider, provider_message_id = body.provider, body.provider_message_id
        if body.message_id is not None:
            provider, provider_message_id = await self._service.named(body.message_id, markets=client.markets)
        if provider is None or provider_message_id is None:
            raise BadRequest("name the message", fields=[("message_id", "is missing")])
        dlr = Dlr(
            provider_message_id=provider_message_id,
            status=_status(body.status),
            provider_status=body.status,
            failure_reason=body.failure_reason,
            at_ms=_time("done_at", body.done_at),
        )
        row = await self._service.update_dlr(provider, dlr, markets=client.markets)
        return json_response(DlrAnswer(message_id=row.id, status=row.status))

    async def health(self, request: web.Request) -> web.Response:
        self._service.strangers.take(counted_as(request.remote))
        await self._service.health()
        return json_response(Health())

    async def inbox(self, request: web.Request) -> web.Response:
        client = self._client(request)
        msisdn = _inbox_of(request.query)
        check_markets(client.markets, self._service.market_of(msisdn))
        return json_response(Inbox(messages=await self._service.inbox(msisdn)))

    def _client(self, request: web.Request) -> Client:
        client = self._keys.client_of(request.headers.get("X-API-Key"), request.remote)
        if client is None:
            raise Unauthorized("send a valid key in the header X-API-Key")
        return client


def _inbox_of(query: Mapping[str, str]) -> str:
    try:
        number = msgspec.convert(dict(query), InboxQuery).msisdn
    except msgspec.ValidationError as error:
        raise BadRequest("msisdn is no phone number", fields=[("msisdn", "is no phone number")]) from error
    return number.strip().removeprefix("+")


def _sent(row: MessageRow, *, message_id: str | None, status: str) -> ApiSent:
    return ApiSent(
        message_id=message_id,
        status=status,
        to=f"+{row.to_msisdn}",
        segments=row.segments,
        created_at=iso(row.created_at_ms),
    )


def _status(text: str) -> Status:
    status = REPORTED.get(text.lower())
    if status is None:
        raise BadRequest("the status is not known", fields=[("status", "is not known")])
    return status


def _time(name: str, text: str | None) -> int | None:
    try:
        return None if text is None else parse_iso(text)
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"{name} is no time", fields=[(name, "is no ISO 8601 time")]) from error

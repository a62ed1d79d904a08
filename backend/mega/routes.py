"""HTTP of mega: parse, call the service, render. Errors: `{"error","message","details"}` (resolutions 21).

POST /send_short_message · POST /shortmessages/update_dlr · GET /v1/inbox?msisdn=    header X-API-Key
POST /hooks/africastalking/dlr/{secret}    delivery reports; the path is the credential
"""

import hmac
import re

from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, NotFound, Unauthorized
from backend.kit.keys import ApiKeys, Client
from backend.kit.runtime import parse_iso
from backend.kit.web import application, empty_response, json_response, read_form, read_json
from backend.mega.schemas import DlrAnswer, DlrRequest, ErrorAnswer, Inbox, SendRequest
from backend.mega.service import MegaService, check_markets
from backend.mega.states import REPORTED, Status

MAX_FIELD = 200  # characters of a field of a hook's form


def make_app(service: MegaService, keys: ApiKeys) -> web.Application:
    """The application of `service`; `keys` are whom it lets in."""
    routes = _Routes(service, keys)
    return application(
        [
            web.post("/send_short_message", routes.send),
            web.post("/shortmessages/update_dlr", routes.update_dlr),
            web.post("/hooks/africastalking/dlr/{secret}", routes.africastalking_dlr),
            web.get("/v1/inbox", routes.inbox),
        ],
        render=render,
        service="mega",
    )


def render(error: BackendError) -> web.Response:
    """The documented answer of an error."""
    answer = ErrorAnswer(error=error.code, message=error.detail, details=dict(error.fields))
    response = json_response(answer, status=error.status)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


class _Routes:
    def __init__(self, service: MegaService, keys: ApiKeys):
        self._service = service
        self._keys = keys

    async def send(self, request: web.Request) -> web.Response:
        client = self._client(request)
        body = await read_json(request, SendRequest)
        queued = await self._service.send(
            to=body.to,
            text=body.text,
            market=body.market,
            sender_id=body.sender_id,
            reference=body.reference,
            client=client.name,
            markets=client.markets,
        )
        return json_response(queued, status=202)

    async def update_dlr(self, request: web.Request) -> web.Response:
        client = self._client(request)
        body = await read_json(request, DlrRequest)
        row = await self._service.update_dlr(
            provider=body.provider,
            provider_message_id=body.provider_message_id,
            status=_status(body.status),
            failure_reason=body.failure_reason,
            at_ms=_time(body.done_at),
            markets=client.markets,
        )
        return json_response(DlrAnswer(message_id=row.id, status=row.status))

    async def africastalking_dlr(self, request: web.Request) -> web.Response:
        given = request.match_info["secret"].encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._service.config.dlr_secret.encode()):
            raise NotFound("no such path")
        form = await read_form(request)
        await self._service.report(
            provider="africastalking",
            provider_message_id=_field(form, "id"),
            status=_status(_field(form, "status")),
            failure_reason=form.get("failureReason", "")[:MAX_FIELD] or None,
        )
        return empty_response(200)

    async def inbox(self, request: web.Request) -> web.Response:
        client = self._client(request)
        msisdn = request.query.get("msisdn", "").strip().removeprefix("+")
        if not re.fullmatch(r"[1-9][0-9]{6,14}", msisdn):
            raise BadRequest("msisdn is no phone number", fields=[("msisdn", "is no phone number")])
        check_markets(client.markets, self._service.market_of(msisdn))
        return json_response(Inbox(messages=await self._service.inbox(msisdn)))

    def _client(self, request: web.Request) -> Client:
        client = self._keys.client_of(request.headers.get("X-API-Key"))
        if client is None:
            raise Unauthorized("send a valid key in the header X-API-Key")
        return client


def _status(text: str) -> Status:
    status = REPORTED.get(text.lower())
    if status is None:
        raise BadRequest("the status is not known", fields=[("status", "is not known")])
    return status


def _time(text: str | None) -> int | None:
    try:
        return None if text is None else parse_iso(text)
    except (ValueError, OverflowError) as error:
        raise BadRequest("done_at is no time", fields=[("done_at", "is no ISO 8601 time")]) from error


def _field(form: dict[str, str], name: str) -> str:
    value = form.get(name, "")
    if not value or len(value) > MAX_FIELD:
        raise BadRequest(f"the form lacks {name}", fields=[(name, "is missing, or too long")])
    return value

"""The Infobip sandbox over HTTP: who may call, what a request must look like, the errors of the contract."""

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec
from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, TooManyRequests, Unauthorized, Unavailable
from backend.kit.web import application, empty_response, json_response, read_json
from backend.mega.segments import count
from simulator.providers import is_loopback
from simulator.providers.infobip.sandbox import (
    FAR,
    V2,
    V3,
    InfobipSandbox,
    Json,
    log_of,
    mo_json,
    report_of,
    status_body,
)
from simulator.providers.mailroom import Sms
from simulator.providers.sms_script import Answer, State, fate_of

NUMBER = re.compile(r"\+?[1-9][0-9]{6,14}")
# 8: the prefix; 14: blacklisted by its owner; 19: no route
REJECTIONS = {
    Answer.INVALID: (8, "REJECTED_PREFIX_MISSING", "Number prefix missing"),
    Answer.OPTED_OUT: (14, "REJECTED_DESTINATION", "Destination is blacklisted"),
    Answer.NO_ROUTE: (19, "REJECTED_ROUTE_NOT_AVAILABLE", "Route not available"),
}

Word = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00]*\Z")]
Content = Annotated[str, msgspec.Meta(min_length=1, max_length=2000, pattern=r"^[^\x00]*\Z")]


class _Destination(msgspec.Struct, rename="camel"):
    to: Word
    message_id: Word = ""


class _Delivery(msgspec.Struct, rename="camel"):
    url: Word = ""
    intermediate_report: bool = False


class _Webhooks(msgspec.Struct, rename="camel"):
    delivery: _Delivery = msgspec.field(default_factory=_Delivery)
    content_type: Word = "application/json"
    callback_data: Word = ""


class _Text(msgspec.Struct):
    text: Content


class _MessageV3(msgspec.Struct):
    destinations: Annotated[list[_Destination], msgspec.Meta(min_length=1, max_length=100)]
    content: _Text
    sender: Word = ""
    webhooks: _Webhooks = msgspec.field(default_factory=_Webhooks)


class _RequestV3(msgspec.Struct):
    messages: Annotated[list[_MessageV3], msgspec.Meta(min_length=1, max_length=100)]


class _MessageV2(msgspec.Struct, rename="camel"):
    destinations: Annotated[list[_Destination], msgspec.Meta(min_length=1, max_length=100)]
    text: Content
    sender: Word = msgspec.field(name="from", default="")
    notify_url: Word = ""
    intermediate_report: bool = False
    callback_data: Word = ""


class _RequestV2(msgspec.Struct, rename="camel"):
    messages: Annotated[list[_MessageV2], msgspec.Meta(min_length=1, max_length=100)]
    bulk_id: Word = ""


class _Inbound(msgspec.Struct, rename={"sender": "from"}):
    sender: Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{6,14}\Z")]
    to: Word
    text: Word


class _Lost(BackendError):
    """504 of the gateway in front of the provider."""

    status = 504


def make_app(sandbox: InfobipSandbox) -> web.Application:
    """The provider's HTTP interface."""
    routes = _Routes(sandbox)
    return application(
        [
            web.post("/sms/3/messages", routes.send_v3),
            web.get("/sms/3/reports", routes.reports),
            web.get("/sms/3/logs", routes.logs),
            web.post("/sms/2/text/advanced", routes.send_v2),
            web.get("/sms/1/inbox/reports", routes.inbox),
            web.post("/simulate/inbound", routes.inbound),
        ],
        render=_render_v3,
        shapes={"/sms/2/text/advanced": _render_old, "/sms/1/inbox/reports": _render_old},
        service="sandbox-infobip",
    )


def _render_v3(error: BackendError) -> web.Response:
    body = {
        "errorCode": f"E{error.status}",
        "description": error.detail,
        "action": "Check the request and the API documentation.",
        "violations": [{"property": name, "violation": why} for name, why in error.fields],
        "resources": [],
    }
    return json_response(body, status=error.status)


def _render_old(error: BackendError) -> web.Response:
    exception: Json = {"messageId": error.code.upper(), "text": error.detail}
    if error.fields:
        exception["validationErrors"] = {name: [why] for name, why in error.fields}
    body = {"requestError": {"serviceException": exception}}
    return json_response(body, status=error.status)


class _Routes:
    def __init__(self, sandbox: InfobipSandbox):
        self._sandbox = sandbox

    async def send_v3(self, request: web.Request) -> web.Response:
        self._authorize(request)
        body = await read_json(request, _RequestV3)
        bulk_id = self._sandbox.new_id()
        messages = [
            self._sms(
                destination,
                sender=message.sender,
                text=message.content.text,
                dlr_url=message.webhooks.delivery.url,
                note=_note(message.webhooks.delivery.intermediate_report, message.webhooks.callback_data),
                bulk_id=bulk_id,
                version=V3,
            )
            for message in body.messages
            for destination in message.destinations
        ]
        states = await self._take(messages)
        answers: list[Json] = [
            {
                "messageId": sms.message_id,
                "status": status,
                "destination": sms.number,
                "details": {"messageCount": count(sms.text)},
            }
            for sms, status in zip(messages, states, strict=True)
        ]
        return json_response({"bulkId": bulk_id, "messages": answers})

    async def send_v2(self, request: web.Request) -> web.Response:
        self._authorize(request)
        body = await read_json(request, _RequestV2)
        bulk_id = body.bulk_id or self._sandbox.new_id()
        messages = [
            self._sms(
                destination,
                sender=message.sender,
                text=message.text,
                dlr_url=message.notify_url,
                note=_note(message.intermediate_report, message.callback_data),
                bulk_id=bulk_id,
                version=V2,
            )
            for message in body.messages
            for destination in message.destinations
        ]
        states = await self._take(messages)
        answers: list[Json] = [
            {"to": sms.number, "status": status, "messageId": sms.message_id}
            for sms, status in zip(messages, states, strict=True)
        ]
        return json_response({"bulkId": bulk_id, "messages": answers})

    async def reports(self, request: web.Request) -> web.Response:
        self._authorize(request)
        found = await self._sandbox.untold(_ids(request))
        results = [report_of(sms, State(sms.state), sms.done_at_ms) for sms in found]
        return json_response({"results": results})

    async def logs(self, request: web.Request) -> web.Response:
        self._authorize(request)
        found = await self._sandbox.mailroom.messages(_ids(request))
        return json_response({"results": [log_of(sms) for sms in found]})

    async def inbox(self, request: web.Request) -> web.Response:
        self._authorize(request)
        return json_response(mo_json(await self._sandbox.untold_mail()))

    async def inbound(self, request: web.Request) -> web.Response:
        self._authorize(request)
        body = await read_json(request, _Inbound)
        await self._sandbox.inbound(sender=body.sender, to=body.to, text=body.text)
        return empty_response(201)

    def _authorize(self, request: web.Request) -> None:
        if not self._sandbox.is_key(request.headers.get("Authorization", "")):
            raise Unauthorized("Invalid login details")

    def _sms(
        self,
        destination: _Destination,
        *,
        sender: str,
        text: str,
        dlr_url: str,
        note: str,
        bulk_id: str,
        version: str,
    ) -> Sms:
        if dlr_url and not is_loopback(dlr_url):
            raise BadRequest("Request is not valid", fields=[("url", "sandboxes call loopback only")])
        return Sms(
            message_id=destination.message_id or self._sandbox.new_id(),
            number=destination.to.removeprefix("+"),
            sender=sender,
            text=text,
            created_at_ms=self._sandbox.now_ms(),
            dlr_url=dlr_url,
            bulk_id=bulk_id,
            note=note,
            version=version,
        )

    async def _take(self, messages: Sequence[Sms]) -> list[Json]:
        """Take what has a fate of being taken; each message's status."""
        statuses: list[Json] = []
        good: list[Sms] = []
        for sms in messages:
            answer = await self._answer(sms.number)
            if answer in REJECTIONS:
                statuses.append(_rejection(answer))
            else:
                statuses.append(status_body(State.TAKEN))
                good.append(sms)
        await self._sandbox.mailroom.take(good)
        if any(fate_of(sms.number).answer is Answer.LOST for sms in good):
            raise _Lost("Gateway Timeout")
        return statuses

    async def _answer(self, number: str) -> Answer:
        answer = fate_of(number).answer
        if not NUMBER.fullmatch(number):
            return Answer.INVALID
        if answer is Answer.BUSY:
            raise Unavailable("Service unavailable")
        if answer in (Answer.OFTEN, Answer.FORGETS) and await self._sandbox.mailroom.every_other(number):
            if answer is Answer.OFTEN:
                raise TooManyRequests("Too many requests", retry_after_s=1)
            raise _Lost("Gateway Timeout")
        return answer


def _rejection(answer: Answer) -> Json:
    status_id, name, description = REJECTIONS[answer]
    group: Json = {"groupId": 5, "groupName": "REJECTED"}
    return {**group, "id": status_id, "name": name, "description": description}


def _note(intermediate: bool, callback_data: str) -> str:
    return FAR + callback_data if intermediate else callback_data


def _ids(request: web.Request) -> list[str]:
    """The messageId filter: repeated, or separated by commas."""
    given = ",".join(request.query.getall("messageId", []))
    if "\x00" in given:
        raise BadRequest("Request is not valid", fields=[("messageId", "contains NUL")])
    return [one for one in given.split(",") if one][:100]

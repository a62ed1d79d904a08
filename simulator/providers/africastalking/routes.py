"""The AfricasTalking sandbox over HTTP. A request's errors are plain text, those of a number a status."""

import re

from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, TooManyRequests, Unauthorized, Unavailable
from backend.kit.runtime import iso
from backend.kit.web import application, empty_response, json_response, read_form
from simulator.providers.africastalking.sandbox import AfricasTalkingSandbox
from simulator.providers.sms_script import Answer, fate_of

COST = "KES 0.8000"
NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
REFUSALS = {
    Answer.INVALID: (403, "InvalidPhoneNumber"),
    Answer.OPTED_OUT: (406, "UserInBlacklist"),
    Answer.NO_ROUTE: (407, "CouldNotRoute"),
}


def make_app(sandbox: AfricasTalkingSandbox) -> web.Application:
    """The provider's HTTP interface."""
    routes = _Routes(sandbox)
    return application(
        [
            web.post("/version1/messaging", routes.send),
            web.get("/version1/messaging", routes.inbox),
            web.post("/simulate/inbound", routes.inbound),
            web.post("/simulate/optout", routes.opt_out),
        ],
        render=_render,
        service="sandbox-africastalking",
    )


def _render(error: BackendError) -> web.Response:
    return web.Response(text=error.detail, status=error.status)


class _Lost(BackendError):
    """504 of the gateway in front of the provider."""

    status = 504


class _Routes:
    def __init__(self, sandbox: AfricasTalkingSandbox):
        self._sandbox = sandbox

    async def send(self, request: web.Request) -> web.Response:
        form = await read_form(request)
        self._authorize(request, form.get("username", ""))
        for name in ("to", "message"):
            if not form.get(name):
                raise BadRequest(f"Request is missing required form field '{name}'")
        sender = form.get("from", "")
        if not self._sandbox.knows_sender(sender):
            return _answer("InvalidSenderId", [])

        numbers = [number.strip() for number in form["to"].split(",")]
        refused = {number: await self._refusal(number, sender) for number in numbers}
        good = [number for number in numbers if refused[number] is None]
        ids = iter(await self._sandbox.send(good, sender=sender, text=form["message"]))
        if any(fate_of(number).answer is Answer.LOST for number in good):
            raise _Lost("Gateway Timeout")
        recipients = [_recipient(number, refused[number] or next(ids)) for number in numbers]
        total = f"KES {0.8 * len(good):.4f}"
        return _answer(f"Sent to {len(good)}/{len(numbers)} Total Cost: {total}", recipients)

    async def inbox(self, request: web.Request) -> web.Response:
        self._authorize(request, request.query.get("username", ""))
        last = request.query.get("lastReceivedId", "0")
        if not re.fullmatch("[0-9]{1,15}", last):
            raise BadRequest("lastReceivedId is no number")
        messages = [
            {
                "linkId": mail.message_id,
                "text": mail.text,
                "to": mail.to,
                "id": seq,
                "date": iso(mail.at_ms),
                "from": f"+{mail.sender}",
            }
            for seq, mail in await self._sandbox.mailroom.mail_after(int(last))
        ]
        return json_response({"SMSMessageData": {"Messages": messages}})

    async def inbound(self, request: web.Request) -> web.Response:
        form = await read_form(request)
        self._authorize(request, form.get("username", ""))
        if not NUMBER.fullmatch(form.get("from", "")) or not form.get("to"):
            raise BadRequest("from and to are needed")
        await self._sandbox.inbound(
            sender=form["from"].removeprefix("+"), to=form["to"], text=form.get("text", "")
        )
        return empty_response(201)

    async def opt_out(self, request: web.Request) -> web.Response:
        form = await read_form(request)
        self._authorize(request, form.get("username", ""))
        if not NUMBER.fullmatch(form.get("phoneNumber", "")) or not form.get("senderId"):
            raise BadRequest("phoneNumber and senderId are needed")
        number = form["phoneNumber"].removeprefix("+")
        await self._sandbox.opt_out(number=number, sender=form["senderId"])
        return empty_response(201)

    def _authorize(self, request: web.Request, username: str) -> None:
        if not self._sandbox.authorizes(username, request.headers.get("apiKey", "")):
            raise Unauthorized("The supplied authentication is invalid")

    async def _refusal(self, number: str, sender: str) -> tuple[int, str] | None:
        """Why a number gets nothing; raises what its fate makes of the whole request."""
        if not NUMBER.fullmatch(number):
            return REFUSALS[Answer.INVALID]
        answer = fate_of(number).answer
        if answer is Answer.BUSY:
            raise Unavailable("Service Unavailable")
        if answer in (Answer.OFTEN, Answer.FORGETS) and await self._sandbox.mailroom.every_other(number):
            if answer is Answer.OFTEN:
                raise TooManyRequests("Too Many Requests", retry_after_s=1)
            raise _Lost("Gateway Timeout")
        if await self._sandbox.opted_out(number=number.removeprefix("+"), sender=sender):
            return REFUSALS[Answer.OPTED_OUT]
        return REFUSALS.get(answer)


def _answer(message: str, recipients: list[dict[str, object]]) -> web.Response:
    return json_response({"SMSMessageData": {"Message": message, "Recipients": recipients}}, status=201)


def _recipient(number: str, outcome: tuple[int, str] | str) -> dict[str, object]:
    if isinstance(outcome, str):
        code, status, cost, message_id = 101, "Success", COST, outcome
    else:
        (code, status), cost, message_id = outcome, "0", "None"
    return {"statusCode": code, "number": number, "status": status, "cost": cost, "messageId": message_id}

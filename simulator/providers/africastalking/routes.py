"""The AfricasTalking sandbox over HTTP. A request's errors are plain text, those of a number a status."""

import re

from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, Unauthorized
from backend.kit.web import application, json_response, read_form
from simulator.providers.africastalking.sandbox import AfricasTalkingSandbox

COST = "KES 0.8000"


def make_app(sandbox: AfricasTalkingSandbox) -> web.Application:
    """The provider's HTTP interface."""
    routes = _Routes(sandbox)
    return application(
        [web.post("/version1/messaging", routes.send)], render=_render, service="sandbox-africastalking"
    )


def _render(error: BackendError) -> web.Response:
    return web.Response(text=error.detail, status=error.status)


class _Routes:
    def __init__(self, sandbox: AfricasTalkingSandbox):
        self._sandbox = sandbox

    async def send(self, request: web.Request) -> web.Response:
        form = await read_form(request)
        if not self._sandbox.authorizes(form.get("username", ""), request.headers.get("apiKey", "")):
            raise Unauthorized("The supplied authentication is invalid")
        for name in ("to", "message"):
            if not form.get(name):
                raise BadRequest(f"Request is missing required form field '{name}'")
        sender = form.get("from", "")
        if not self._sandbox.knows_sender(sender):
            return _answer("InvalidSenderId", [])

        numbers = [number.strip() for number in form["to"].split(",")]
        good = [number for number in numbers if re.fullmatch(r"\+[1-9][0-9]{6,14}", number)]
        taken = frozenset(good)
        ids = iter(await self._sandbox.send(good, sender=sender, text=form["message"]))
        recipients = [_sent(number, next(ids)) if number in taken else _invalid(number) for number in numbers]
        total = f"KES {0.8 * len(good):.4f}"
        return _answer(f"Sent to {len(good)}/{len(numbers)} Total Cost: {total}", recipients)


def _answer(message: str, recipients: list[dict[str, object]]) -> web.Response:
    return json_response({"SMSMessageData": {"Message": message, "Recipients": recipients}}, status=201)


def _sent(number: str, message_id: str) -> dict[str, object]:
    return {"statusCode": 101, "number": number, "status": "Success", "cost": COST, "messageId": message_id}


def _invalid(number: str) -> dict[str, object]:
    return {
        "statusCode": 403,
        "number": number,
        "status": "InvalidPhoneNumber",
        "cost": "0",
        "messageId": "None",
    }

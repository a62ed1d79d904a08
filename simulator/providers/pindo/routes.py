"""The Pindo sandbox over HTTP: who may call, what a request must look like, its errors."""

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec
from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, TooManyRequests, Unauthorized, Unavailable
from backend.kit.web import application, json_response, read_json
from backend.mega.segments import count
from simulator.providers.pindo.sandbox import PindoSandbox
from simulator.providers.sms_script import Answer, fate_of

NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
PRICE, BALANCE = 15, 10_000  # RWF
REFUSALS = {
    Answer.INVALID: "Invalid phone number",
    Answer.OPTED_OUT: "The recipient does not receive messages of this sender",
    Answer.NO_ROUTE: "No route to this destination",
}

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*\Z")]
Content = Annotated[str, msgspec.Meta(min_length=1, max_length=2000, pattern=r"^[^\x00]*\Z")]


class _Single(msgspec.Struct):
    to: Word
    text: Content
    sender: Word


class _Recipient(msgspec.Struct):
    phonenumber: Word
    name: str = ""


class _Bulk(msgspec.Struct):
    recipients: Annotated[list[_Recipient], msgspec.Meta(min_length=1, max_length=100)]
    text: Content
    sender: Word


class _Lost(BackendError):
    """504 of the gateway in front of the provider."""

    status = 504


def make_app(sandbox: PindoSandbox) -> web.Application:
    """The provider's HTTP interface."""
    routes = _Routes(sandbox)
    return application(
        [web.post("/v1/sms/", routes.send), web.post("/v1/sms/bulk", routes.send_bulk)],
        render=_render,
        service="sandbox-pindo",
    )


def _render(error: BackendError) -> web.Response:
    return json_response({"message": error.detail}, status=error.status)


class _Routes:
    def __init__(self, sandbox: PindoSandbox):
        self._sandbox = sandbox

    async def send(self, request: web.Request) -> web.Response:
        self._authorize(request)
        body = await read_json(request, _Single)
        (sms_id,) = await self._take([body.to], sender=body.sender, text=body.text)
        items = count(body.text)
        answer = {
            "sms_id": sms_id,
            "status": "sent",
            "item_count": items,
            "item_price": PRICE,
            "total_cost": PRICE * items,
            "remaining_balance": BALANCE,
            "self_url": f"/v1/sms/{sms_id}",
            "to": body.to,
            "bonus": 0,
            "discount": 0,
        }
        return json_response(answer, status=201)

    async def send_bulk(self, request: web.Request) -> web.Response:
        self._authorize(request)
        body = await read_json(request, _Bulk)
        numbers = [recipient.phonenumber for recipient in body.recipients]
        ids = await self._take(numbers, sender=body.sender, text=body.text)
        items = count(body.text) * len(ids)
        answer = {
            "sms_ids": ids,
            "status": "sent",
            "item_count": items,
            "item_price": PRICE,
            "total_cost": PRICE * items,
            "remaining_balance": BALANCE,
        }
        return json_response(answer, status=201)

    def _authorize(self, request: web.Request) -> None:
        if not self._sandbox.is_token(request.headers.get("Authorization", "")):
            raise Unauthorized("Unauthorized")

    async def _take(self, numbers: Sequence[str], *, sender: str, text: str) -> list[str]:
        for number in numbers:
            await self._refuse(number)
        plain = [number.removeprefix("+") for number in numbers]
        ids = await self._sandbox.send(plain, sender=sender, text=text)
        if any(fate_of(number).answer is Answer.LOST for number in numbers):
            raise _Lost("Gateway Timeout")
        return ids

    async def _refuse(self, number: str) -> None:
        """Refuse what the number, or its fate, does not allow."""
        answer = fate_of(number).answer if NUMBER.fullmatch(number) else Answer.INVALID
        if answer in REFUSALS:
            raise BadRequest(REFUSALS[answer])
        if answer is Answer.BUSY:
            raise Unavailable("Service Unavailable")
        if answer in (Answer.OFTEN, Answer.FORGETS) and await self._sandbox.mailroom.every_other(number):
            if answer is Answer.OFTEN:
                raise TooManyRequests("Too Many Requests", retry_after_s=1)
            raise _Lost("Gateway Timeout")

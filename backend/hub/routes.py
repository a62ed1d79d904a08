"""HTTP of `hub`: the seven routes of the .NET mirror (checklist 49), header API-KEY or X-API-Key.

    POST /api/payment/validate, /api/payment/confirm      bodies and statuses as Solarium's
    POST /api/m2m/command, GET /api/m2m/command/{id}, POST /api/m2m/callback
    POST /api/tokens/stateless/generate, /api/tokens/generate

Each group has its own shape of errors. make_app builds the application; what it calls is in service.py.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from backend.hub.schemas import (
    CallbackAnswer,
    CallbackRequest,
    CommandAnswer,
    CommandCreated,
    CommandRequest,
    ConfirmRequest,
    Errors,
    FieldError,
    Refusal,
    TokenAnswer,
    TokenError,
    TokenRequest,
    ValidateAnswer,
    ValidateRequest,
)
from backend.hub.service import Hub
from backend.kit.errors import BackendError, BadRequest, Forbidden, NotFound, Unauthorized
from backend.kit.keys import Client
from backend.kit.openapi import Answer, Media, Operation, api_key, documented
from backend.kit.peers import counted_as
from backend.kit.web import JSON, application, body_of, empty_response, json_response, read_json

ABOUT = """
Payments, device commands and tokens for one partner, in the shapes of the .NET services.

Header X-API-Key, or API-KEY. Errors: /api/payment/validate `{"errors": [{"field", "message"}]}`,
/api/payment/confirm no body, commands `{"error"}`, tokens `{"error", "message", "details"}`. 100 requests a
second for each client; 429 says in Retry-After when to come back.
"""
KEY = api_key("X-API-Key")
SERIAL = "SCBLNX/A/BT/240300126005"
ROUTE = {
    "reference": "254543",
    "currency": "UGX",
    "business_account": "600100",
    "provider_key": "ug_mtn_mobilemoney",
    "amount_subunit": 450_000,
}
VALIDATE = {**ROUTE, "additional_fields": ["customer_name"]}
CONFIRM = {
    **ROUTE,
    "sender_phone_number": "256772100000",
    "provider_tx": "MP251201.1030.A00002",
    "momoep_id": "4712",
    "received_at": "2025-12-01T10:30:00Z",
}
COMMAND = {
    "identifier": SERIAL,
    "callback_url": "http://127.0.0.1:9000/callback",
    "command": {"name": "unlock_token", "details": {"unlock_code": "123456789"}},
}
ENDED = {"command_id": "1", "status": "executed", "executed_at": "2025-12-01T10:30:02Z"}
CREDIT = {"serial_number": SERIAL, "days": 3, "hours": 0}
VALIDATION_CODES = {"ok": 200, "amount_too_low": 412, "amount_too_high": 412, "reference_not_found": 404}
TOKEN_PATHS = ("/api/tokens/stateless/generate", "/api/tokens/generate")

Handler = Callable[[web.Request, Client], Awaitable[web.Response]]


def make_app(hub: Hub) -> web.Application:
    """The application of a hub; its `keys` say whose a key is."""
    return application(
        documented(
            title="hub",
            about=ABOUT,
            operations=[*_payments(hub), *_commands(hub), *_tokens(hub)],
        ),
        render=_render_command,
        service="hub",
        headers={"RateLimit-Policy": hub.rate_limit.policy},
        keys=hub.keys,
        shapes={
            "/api/payment/validate": _render_validation,
            "/api/payment/confirm": _render_empty,
            **dict.fromkeys(TOKEN_PATHS, _render_token),
        },
    )


def _payments(hub: Hub) -> list[Operation]:
    async def validate(request: web.Request, client: Client) -> web.Response:
        found = await hub.validate(await read_json(request, ValidateRequest), client)
        return json_response(found, status=VALIDATION_CODES[found.status])

    async def confirm(request: web.Request, client: Client) -> web.Response:
        is_new = await hub.confirm(await read_json(request, ConfirmRequest), client)
        return empty_response(HTTPStatus.OK if is_new else HTTPStatus.CONFLICT)

    return [
        Operation(
            "POST",
            "/api/payment/validate",
            _authorized(hub, validate),
            "Checks a payment before it is made",
            tag="Payments",
            request=Media(JSON, ValidateRequest, example=VALIDATE),
            answers={
                **dict.fromkeys((200, 412), ValidateAnswer),
                404: (ValidateAnswer, Errors),
                **_refused(Errors),
            },
            security=KEY,
        ),
        Operation(
            "POST",
            "/api/payment/confirm",
            _authorized(hub, confirm),
            "Books a payment, once; 409: it is booked already",
            tag="Payments",
            request=Media(JSON, ConfirmRequest, example=CONFIRM),
            answers={200: None, 409: None, **_refused(None)},
            security=KEY,
        ),
    ]


def _commands(hub: Hub) -> list[Operation]:
    async def create(request: web.Request, client: Client) -> web.Response:
        wanted = await read_json(request, CommandRequest) if await body_of(request) else CommandRequest()
        number, answer = await hub.create_command(wanted, client)
        response = json_response(answer, status=HTTPStatus.CREATED)
        response.headers["Location"] = f"/api/m2m/command/{number}"
        return response

    async def command(request: web.Request, client: Client) -> web.Response:
        return json_response(await hub.command(request.match_info["id"], client))

    async def callback(request: web.Request, client: Client) -> web.Response:
        await hub.callback(await read_json(request, CallbackRequest), client)
        return json_response(CallbackAnswer())

    return [
        Operation(
            "POST",
            "/api/m2m/command",
            _authorized(hub, create),
            "Creates a device command",
            tag="Commands",
            details="Location is where the command is from now on.",
            request=Media(JSON, CommandRequest, optional=True, example=COMMAND),
            answers={201: CommandCreated, **_refused(Refusal)},
            security=KEY,
        ),
        Operation(
            "GET",
            "/api/m2m/command/{id}",
            _authorized(hub, command),
            "How far a command is",
            tag="Commands",
            values={"id": "1"},
            answers={200: CommandAnswer, 404: Refusal, **_refused(Refusal)},
            security=KEY,
        ),
        Operation(
            "POST",
            "/api/m2m/callback",
            _authorized(hub, callback),
            "Says how a command ended",
            tag="Commands",
            details="`status` is executed, failed or expired.",
            request=Media(JSON, CallbackRequest, example=ENDED),
            answers={200: CallbackAnswer, 404: Refusal, 409: Refusal, **_refused(Refusal)},
            security=KEY,
        ),
    ]


def _tokens(hub: Hub) -> list[Operation]:
    async def stateless(request: web.Request, client: Client) -> web.Response:
        return json_response(await hub.generate_stateless(await read_json(request, TokenRequest), client))

    async def stateful(request: web.Request, client: Client) -> web.Response:
        return json_response(await hub.generate(await read_json(request, TokenRequest), client))

    return [
        Operation(
            "POST",
            path,
            _authorized(hub, handler),
            summary,
            tag="Tokens",
            request=Media(JSON, TokenRequest, example=CREDIT),
            answers={200: TokenAnswer, 404: TokenError, 422: TokenError, **_refused(TokenError)},
            security=KEY,
        )
        for path, handler, summary in (
            (TOKEN_PATHS[0], stateless, "A token of what the request says, or the device's next"),
            (TOKEN_PATHS[1], stateful, "The next token of a registered device"),
        )
    ]


def _refused(schema: Answer) -> dict[int, Answer]:
    return dict.fromkeys((400, 401, 403, 413, 429, 503), schema)


def _authorized(hub: Hub, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    """With the client whose key it is, within the client's rate limit."""

    async def authorized(request: web.Request) -> web.Response:
        key = request.headers.get("API-KEY") or request.headers.get("X-API-Key")
        client = hub.keys.client_of(key, request.remote)
        if client is None:
            hub.rate_limit.take(f"address:{counted_as(request.remote)}")
            raise Unauthorized("the API key is missing or not valid")
        hub.rate_limit.take(f"client:{client.name}")
        return await handler(request, client)

    return authorized


def _render_command(error: BackendError) -> web.Response:
    match error:
        case Unauthorized():
            text = "Unauthorized"
        case BadRequest(fields=fields) if fields:
            text = "Invalid JSON"
        case NotFound():
            text = "Not found"
        case _:
            text = error.detail
    return json_response(Refusal(text), status=error.status)


def _render_validation(error: BackendError) -> web.Response:
    named = ("API-KEY",) if isinstance(error, Unauthorized) else ("",)
    fields = error.fields or tuple((name, error.detail) for name in named)
    body = Errors([FieldError(name, why) for name, why in fields])
    return json_response(body, status=error.status)


def _render_empty(error: BackendError) -> web.Response:
    return empty_response(error.status)


def _render_token(error: BackendError) -> web.Response:
    details = {name: why for name, why in error.fields if name}
    code, message = _TOKEN_CODES.get(error.status, error.code), error.detail
    if isinstance(error, Forbidden):
        reported = error.detail.removeprefix("device is reported ")
        is_reported = reported != error.detail
        code = "device_status_invalid" if is_reported else "device_ownership_validation_failed"
        details["reason"] = f"device_{reported}" if is_reported else "device_not_in_client_market"
        message = f"No tokens for this device: it is reported {reported}" if is_reported else _NOT_OWNED
    return json_response(TokenError(code, message, details), status=error.status)


_NOT_OWNED = "API client is not authorized to generate tokens for this device"
_TOKEN_CODES = {
    400: "invalid_request",
    404: "device_not_found",
    422: "token_refused",
    429: "rate_limit_exceeded",
}

"""What momo's routes take and answer, for OpenAPI (kit/openapi.py)."""

from collections.abc import Mapping

from backend.kit.openapi import BASIC, Answer, Handler, Media, Operation, api_key
from backend.kit.web import JSON
from backend.momo.schemas import (
    ConfirmPayment,
    ErrorAnswer,
    FieldErrors,
    KeyQuery,
    Payment,
    PaymentRequest,
    ResolveRequest,
    RouteAnswer,
    ValidatePayment,
    ValidateRequest,
    ValidationAnswer,
    WaitQuery,
)

ABOUT = """
Mobile money: payments that we ask providers for, and those that customers begin at their provider.

Header API-KEY. Errors: 400 `{"errors": [{"field", "message"}]}`, billing's refusals (404, 412) `{"status"}`,
every other one `{"error", "message"}`; /confirm_payment answers without a body.
"""
KEY = api_key("API-KEY")
PAYMENTS, MOMOEP = "Payments that we ask for", "Payments that customers begin"
RESOLVE = {"reference": "254543", "market": "UG", "msisdn": "256772123456"}
VALIDATE = {
    "reference": "254543",
    "currency": "UGX",
    "business_account": "600100",
    "provider_key": "ug_mtn_mobilemoney",
    "amount_subunit": 450_000,
}
PAY = {**VALIDATE, "msisdn": "256772100000", "idempotency_key": "session-1-hop-5"}
CONFIRM = {
    **VALIDATE,
    "sender_phone_number": "256772100000",
    "provider_tx": "MP251201.1030.A00003",
    "received_at": "2025-12-01T10:30:00Z",
}
HOOKED = {"provider": "mtn", "market": "ke", "name": "daraja", "secret": "$HOOK_SECRET"}
HOOK_END = "{secret:[0-9a-f]{32}}"
HOOK = "/hooks/{market:[a-z]{2}}/{name:[a-z0-9]+}"
CALLBACK = "/hooks/{provider:[a-z]+}/" + HOOK_END
ASKED, TOLD = f"{HOOK}/v/{HOOK_END}", f"{HOOK}/c/{HOOK_END}"
FOUND = "GET /payment"
PAYMENT = "/payment/{payment_id:[0-9a-f-]{36}}"


def operations(handlers: Mapping[str, Handler]) -> list[Operation]:
    """The operations; `handlers` by path."""
    return [*_asked_for(handlers), *_momoep(handlers), *_hooks(handlers)]


def _asked_for(handlers: Mapping[str, Handler]) -> list[Operation]:
    """Payments that we ask for, and what they are checked against."""
    return [
        Operation(
            "POST",
            "/resolve",
            handlers["/resolve"],
            "Where payments to a reference go",
            tag=PAYMENTS,
            request=Media(JSON, ResolveRequest, example=RESOLVE),
            answers={200: RouteAnswer, 404: ValidationAnswer, **_errors(401, 403, 413)},
            security=KEY,
        ),
        Operation(
            "POST",
            "/validate",
            handlers["/validate"],
            "Whether billing would take a payment",
            tag=PAYMENTS,
            request=Media(JSON, ValidateRequest, example=VALIDATE),
            answers=_VALIDATION,
            security=KEY,
        ),
        Operation(
            "POST",
            "/payment",
            handlers["/payment"],
            "Asks the customer's provider for a payment",
            tag=PAYMENTS,
            details="The same `idempotency_key` again returns the first payment; with another reference,"
            " amount, currency or number it is 409.",
            request=Media(JSON, PaymentRequest, example=PAY),
            answers={
                202: Payment,
                404: ValidationAnswer,
                412: ValidationAnswer,
                **_errors(401, 403, 409, 413, 422),
            },
            security=KEY,
        ),
        Operation(
            "GET",
            "/payment",
            handlers[FOUND],
            "What became of the payment that this client asked for with a key; 404: it never was",
            tag=PAYMENTS,
            query=KeyQuery,
            values={"idempotency_key": "session-1-hop-5"},
            answers={200: Payment, **_errors(401, 404)},
            security=KEY,
        ),
        Operation(
            "GET",
            PAYMENT,
            handlers[PAYMENT],
            "What became of a payment; waits for its end up to `wait_s` seconds",
            tag=PAYMENTS,
            details="`status` is pending, confirmed, failed, or unknown until the provider tells.",
            values={"payment_id": "0f8fad5b-d9cb-469f-a165-70867728950e", "wait_s": "0"},
            query=WaitQuery,
            answers={200: Payment, **_errors(401, 404)},
            security=KEY,
        ),
    ]


def _momoep(handlers: Mapping[str, Handler]) -> list[Operation]:
    """Payments that customers begin, told by MoMoEP."""
    return [
        Operation(
            "POST",
            "/validate_payment",
            handlers["/validate_payment"],
            "Whether billing would take a payment that a customer begins",
            tag=MOMOEP,
            request=Media(JSON, ValidatePayment, example=VALIDATE),
            answers=_VALIDATION,
            security=KEY,
        ),
        Operation(
            "POST",
            "/confirm_payment",
            handlers["/confirm_payment"],
            "Takes in a payment that was made; 409: it was here before",
            tag=MOMOEP,
            request=Media(JSON, ConfirmPayment, example=CONFIRM),
            answers=dict.fromkeys((200, 400, 401, 403, 409, 413, 503)),
            security=KEY,
        ),
    ]


def _hooks(handlers: Mapping[str, Handler]) -> list[Operation]:
    """What providers call; the providers fix their bodies and ours."""
    answers: dict[int, Answer] = {200: (dict[str, object], None), **_errors(404, 413)}
    told: dict[int, Answer] = {200: dict[str, object], **_errors(404, 413)}
    body = Media(JSON, object, optional=True)
    return [
        Operation(
            method,
            path,
            handler,
            summary,
            tag="Hooks of the providers",
            details="The provider fixes the body, the last part of the path is the credential.",
            request=body,
            values=HOOKED,
            answers=answer,
            security=security,
        )
        for method, path, handler, summary, answer, security in (
            ("POST", CALLBACK, handlers[CALLBACK], "A provider's callback", answers, None),
            ("PUT", CALLBACK, handlers[CALLBACK], "A provider's callback", answers, None),
            (
                "POST",
                ASKED,
                handlers[ASKED],
                "A provider asks before it takes money",
                told,
                None,
            ),
            (
                "POST",
                TOLD,
                handlers[TOLD],
                "A provider tells that money has moved",
                told,
                None,
            ),
            ("POST", HOOK, handlers[TOLD], "The same, of one that logs in", told, BASIC),
        )
    ]


def _errors(*statuses: int) -> dict[int, Answer]:
    """What those statuses say, and 400 and 503, which any may get."""
    return {400: FieldErrors, **dict.fromkeys((*statuses, 503), ErrorAnswer)}


_VALIDATION: dict[int, Answer] = {
    200: ValidationAnswer,
    404: ValidationAnswer,
    412: ValidationAnswer,
    **_errors(401, 403, 413),
}

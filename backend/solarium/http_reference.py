"""What the inbound and external routes of routes.py take and answer, for OpenAPI (kit/openapi.py)."""

from collections.abc import Mapping

from backend.kit.openapi import BEARER, Answer, Handler, Media, Operation, Security
from backend.kit.web import JSON
from backend.solarium.operator_reference import KEY
from backend.solarium.schemas import (
    AccessToken,
    AccountRoute,
    BillingEvent,
    CommandReply,
    ConfirmRequest,
    Credentials,
    CustomerAccounts,
    CustomerAccountsRequest,
    CustomerTokens,
    CustomerTokensRequest,
    DotNetError,
    Errors,
    ExecutionAnswer,
    ExecutionRequest,
    ExternalError,
    ResolveRequest,
    SimulationAnswer,
    SimulationRequest,
    ValidateRequest,
    Validation,
)

ABOUT = """
Billing: accounts, payments, the ledger, and the tokens that payments buy.

Payments, customers and operators: header API-KEY. Errors there are `{"errors": [{"field", "message"}]}`;
/confirm_payment answers without a body.

External clients: POST /api/auth/token gives a Bearer token for an hour. Errors there are
`{"error", "error_description"}`, 405 is `{"Message"}`. 100 requests a second for each client; 429 says in
Retry-After when to come back.

M2M signs what it sends, as Standard Webhooks tells. Amounts are in subunits, hundredths of every currency;
the external API's are in units. Times are UTC, ISO 8601.
"""
WEBHOOK = Security(
    "webhook-signature",
    {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "Standard Webhooks 1.0: `v1,` and the HMAC-SHA256, in base64, of"
        " `{webhook-id}.{webhook-timestamp}.{body}`; those two are headers too. At most 300 s old.",
    },
)
PAYMENTS, CUSTOMERS, EXTERNAL, DEVICE_NEWS = "Payments", "Customers", "External API", "From M2M"
ROUTE = {
    "reference": "254543",
    "currency": "UGX",
    "business_account": "600100",
    "provider_key": "ug_mtn_mobilemoney",
}
VALIDATE = {**ROUTE, "amount_subunit": 450_000, "additional_fields": ["customer_name"]}
CONFIRM = {
    **ROUTE,
    "amount_subunit": 450_000,
    "sender_phone_number": "256772100000",
    "provider_tx": "MP251201.1030.A00001",
    "momoep_id": "4711",
    "received_at": "2025-12-01T10:30:00Z",
}
SIMULATE = {
    "reference": "254543",
    "amount": 5000,
    "currency": "UGX",
    "provider_key": "ug_mtn_mobilemoney",
}
REPLY = {
    "identifier": "SCBLNX/A/BT/240300126005",
    "command": "TOKEN: 123456789",
    "status": "replied",
    "device_response": "OK",
    "created_at": "2025-12-01T10:30:00Z",
    "delivered_at": "2025-12-01T10:30:02Z",
}
EVENT = {
    "event_id": "SCBLNX/A/BT/240300126902-17",
    "type": "token_applied",
    "identifier": "SCBLNX/A/BT/240300126902",
    "occurred_at": "2025-12-01T10:30:02Z",
    "data": {"days": 3, "source": "command"},
}
CUSTOMER = {"msisdn": "256772100000", "market": "UG"}


def operations(handlers: Mapping[str, Handler]) -> list[Operation]:
    """The operations; `handlers` by path."""
    return [*_payments(handlers), *_customers(handlers), *_external(handlers), *_device_news(handlers)]


def _payments(handlers: Mapping[str, Handler]) -> list[Operation]:
    return [
        _inbound(
            handlers,
            "/validate_payment",
            "Checks a payment before it is made",
            PAYMENTS,
            request=Media(JSON, ValidateRequest, example=VALIDATE),
            answers=dict.fromkeys((200, 404, 412), Validation),
            details="`status` is ok (200), reference_not_found (404), amount_too_low or amount_too_high"
            " (412). `customer_name` is left out if `additional_fields` is there and does not list it.",
        ),
        Operation(
            "POST",
            "/confirm_payment",
            handlers["/confirm_payment"],
            "Books a payment, once",
            tag=PAYMENTS,
            details="200: booked, to suspense if there is no such account. 409: (provider_tx, provider_key)"
            " is booked already, now or at any time before. No answer has a body.",
            request=Media(JSON, ConfirmRequest, example=CONFIRM),
            answers=dict.fromkeys((200, 400, 401, 403, 409, 413, 503)),
            security=KEY,
        ),
        _inbound(
            handlers,
            "/resolve_account",
            "Where payments to a reference go",
            PAYMENTS,
            request=Media(JSON, ResolveRequest, example={"reference": "254543", "market": "UG"}),
            answers={200: AccountRoute, 404: Validation},
        ),
    ]


def _customers(handlers: Mapping[str, Handler]) -> list[Operation]:
    return [
        _inbound(
            handlers,
            "/customer_accounts",
            "The accounts of a phone number: balance and days left",
            CUSTOMERS,
            request=Media(JSON, CustomerAccountsRequest, example=CUSTOMER),
            answers={200: CustomerAccounts},
        ),
        _inbound(
            handlers,
            "/customer_tokens",
            "The last payment's tokens, for one of the number's own accounts",
            CUSTOMERS,
            request=Media(JSON, CustomerTokensRequest, example={**CUSTOMER, "reference": "254543"}),
            answers={200: CustomerTokens},
        ),
    ]


def _inbound(
    handlers: Mapping[str, Handler],
    path: str,
    summary: str,
    tag: str,
    *,
    request: Media,
    answers: dict[int, Answer],
    details: str = "",
) -> Operation:
    return Operation(
        "POST",
        path,
        handlers[path],
        summary,
        tag=tag,
        details=details,
        request=request,
        answers=answers | dict.fromkeys((400, 401, 403, 413, 503), Errors),
        security=KEY,
    )


def _external(handlers: Mapping[str, Handler]) -> list[Operation]:
    refused: dict[int, Answer] = {
        **dict.fromkeys((400, 401, 413, 429, 503), ExternalError),
        405: DotNetError,
    }
    credentials = {"client_id": "development", "client_secret": "$CLIENT_SECRET"}
    return [
        Operation(
            "POST",
            "/api/auth/token",
            handlers["/api/auth/token"],
            "Gives an access token for client credentials",
            tag=EXTERNAL,
            details="No refresh: ask again. In credentials.json, `solarium` has the client's id and secret.",
            request=Media(JSON, Credentials, example=credentials),
            answers={200: AccessToken, **refused},
        ),
        Operation(
            "POST",
            "/api/payment/simulation",
            handlers["/api/payment/simulation"],
            "Judges a payment without making it",
            tag=EXTERNAL,
            details="`status` as of /validate_payment. The `validation_id` holds for 15 minutes.",
            request=Media(JSON, SimulationRequest, example=SIMULATE),
            answers={**dict.fromkeys((200, 404, 412), SimulationAnswer), **refused},
            security=BEARER,
        ),
        Operation(
            "POST",
            "/api/payment/execution",
            handlers["/api/payment/execution"],
            "Makes a payment",
            tag=EXTERNAL,
            details="With the `validation_id` of its simulation it is made once, however often it is sent.",
            request=Media(JSON, ExecutionRequest, example={**SIMULATE, "sender_phone": "256700000000"}),
            answers={**dict.fromkeys((200, 404, 412), ExecutionAnswer), **refused},
            security=BEARER,
        ),
    ]


def _device_news(handlers: Mapping[str, Handler]) -> list[Operation]:
    refused: dict[int, Answer] = dict.fromkeys((400, 401, 413, 503), Errors)
    return [
        Operation(
            "POST",
            "/m2m/callback/{order_id}",
            handlers["/m2m/callback/{order_id}"],
            "A device has done an order's command",
            tag=DEVICE_NEWS,
            details="The path is the `callback_url` that the command was given. Again changes nothing.",
            request=Media(JSON, CommandReply, example=REPLY),
            values={"order_id": "0f8fad5bd9cb469fa16570867728950e"},
            answers={204: None, **refused, 404: Errors},
            security=WEBHOOK,
        ),
        Operation(
            "POST",
            "/api/m2m/events",
            handlers["/api/m2m/events"],
            "A device's billing event; the same `event_id` again changes nothing",
            tag=DEVICE_NEWS,
            request=Media(JSON, BillingEvent, example=EVENT),
            answers={204: None, **refused},
            security=WEBHOOK,
        ),
    ]

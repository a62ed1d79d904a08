"""What the operators' routes of operator_routes.py take and answer, for OpenAPI (kit/openapi.py).

The examples work one after the other, on a service that has account 254543 with a device, and as payment 1
one in suspense; http_reference.py's example makes payment 2.
"""

from collections.abc import Mapping

from backend.kit.openapi import Handler, Media, Operation, Teller, api_key
from backend.kit.web import JSON
from backend.solarium.operator_schemas import (
    AccountPage,
    AccountQuery,
    AccountRequest,
    AccountView,
    ActionPage,
    CorrectionView,
    DeviceCounts,
    DeviceEventQuery,
    DevicePage,
    DeviceQuery,
    DeviceRequest,
    DeviceView,
    EventList,
    ImportQuery,
    ImportReport,
    PageQuery,
    PairRequest,
    PlanList,
    PlanRequest,
    ResolutionRequest,
    ReversalRequest,
    Statement,
    StatementQuery,
    SuspensePage,
)
from backend.solarium.schemas import Errors

KEY = api_key("API-KEY")
CSV = "text/csv"
IMPORT_ACCOUNTS, IMPORT_DEVICES = "/v1/imports/accounts", "/v1/imports/devices"

PLANS, ACCOUNTS, DEVICES = "Plans", "Accounts", "Devices"
ACTIONS = "Journal"
PAIRING, MONEY = "Pairing accounts with devices", "Suspense and reversals"
UG = {"market": "UG"}
PLAN = {**UG, "name": "Home 50", "currency": "UGX", "price_per_day_subunit": 150_000}
ACCOUNT = {
    "reference": "700001",
    "business_account": "600100",
    "provider_key": "ug_mtn_mobilemoney",
    **UG,
    "plan": "Home 50",
    "msisdn": "256772199001",
    "customer_name": "Sarah Namubiru",
}
ACCOUNTS_CSV = """reference,business_account,provider_key,market,plan,msisdn,customer_name
700002,600100,ug_mtn_mobilemoney,UG,Home 50,256772199002,Moses Kato
"""
DEVICE = {"serial": "SCBLNX/A/BT/240300126900", **UG, "secret": "00112233445566778899aabbccddeeff"}
DEVICES_CSV = f"""serial,market,secret
SCBLNX/A/BT/240300126902,UG,{DEVICE["secret"]}
"""
IMPORTED = "`dry_run=true` checks and writes nothing. If a row is wrong, none is written, and 422 names each."


def operations(handlers: Mapping[str, Handler]) -> list[Operation]:
    """The operations; `handlers` by method and path."""
    told = Teller(handlers, security=KEY, refusal=Errors, always=(401,))
    return [*_plans(told), *_accounts(told), *_devices(told), *_pairing(told), *_money(told)]


def _plans(told: Teller) -> list[Operation]:
    return [
        told(
            "POST /v1/plans",
            "Adds a plan: a price per day, and how many days one payment may buy",
            PLANS,
            {201: PlanRequest},
            *(403, 409),
            request=Media(JSON, PlanRequest, example=PLAN),
        ),
        told("GET /v1/plans", "Every plan", PLANS, {200: PlanList}),
    ]


def _accounts(told: Teller) -> list[Operation]:
    return [
        told(
            "POST /v1/accounts",
            "Adds an account on a plan; a device is paired with it later",
            ACCOUNTS,
            {201: AccountView},
            *(403, 409),
            request=Media(JSON, AccountRequest, example=ACCOUNT),
        ),
        told(
            "GET /v1/accounts",
            "Accounts, newest first",
            ACCOUNTS,
            {200: AccountPage},
            query=AccountQuery,
            values={"reference": "254543"},
        ),
        told(
            "GET /v1/accounts/{id}",
            "An account with its pairings",
            ACCOUNTS,
            {200: AccountView},
            404,
            values={"id": "1"},
        ),
        told(
            "GET /v1/accounts/{id}/statement",
            "An account's entries from a time to another",
            ACCOUNTS,
            {200: Statement},
            *(404, 422),
            details="422: more than 1,000 lines; ask for a shorter time.",
            query=StatementQuery,
            values={"id": "1", "from": "2025-12-01T00:00:00Z"},
        ),
        told(
            f"POST {IMPORT_ACCOUNTS}",
            "Imports accounts: all rows or none",
            ACCOUNTS,
            {200: ImportReport, 422: ImportReport},
            details=IMPORTED,
            request=Media(CSV, str, example=ACCOUNTS_CSV),
            query=ImportQuery,
            values={"dry_run": "true"},
        ),
    ]


def _devices(told: Teller) -> list[Operation]:
    return [
        told(
            "POST /v1/devices",
            "Adds a device",
            DEVICES,
            {201: DeviceView},
            *(403, 409),
            details="It is `registering` until Moto has its secret, and then `in_stock`.",
            request=Media(JSON, DeviceRequest, example=DEVICE),
        ),
        told(
            f"POST {IMPORT_DEVICES}",
            "Imports a shipment's serials and secrets: all rows or none",
            DEVICES,
            {200: ImportReport, 422: ImportReport},
            details=IMPORTED,
            request=Media(CSV, str, example=DEVICES_CSV),
            query=ImportQuery,
            values={"dry_run": "false"},
        ),
        told(
            f"GET {IMPORT_DEVICES}",
            "How many devices are in each state: how far an import is",
            DEVICES,
            {200: DeviceCounts},
        ),
        told(
            "GET /v1/devices",
            "Devices by serial",
            DEVICES,
            {200: DevicePage},
            query=DeviceQuery,
            values={"state": "in_stock"},
        ),
        told(
            "GET /v1/device_events",
            "What a device has reported: tokens applied, credit expired, tampering, usage",
            DEVICES,
            {200: EventList},
            404,
            query=DeviceEventQuery,
            values={"identifier": "SCBLNX/A/BT/240300126902"},
        ),
    ]


def _pairing(told: Teller) -> list[Operation]:
    def paired(path: str, summary: str, account_id: str, serial: str) -> Operation:
        return told(
            f"POST /v1/accounts/{{id}}/{path}",
            summary,
            PAIRING,
            {200: AccountView},
            *(404, 409),
            request=Media(JSON, PairRequest, example={"serial": serial}),
            values={"id": account_id},
        )

    return [
        paired("pair", "Pairs a device in stock with an account", "2", "SCBLNX/A/BT/240300126900"),
        paired("swap", "Swaps the device; the days that are left move", "1", "SCBLNX/A/BT/240300126902"),
        told(
            "POST /v1/accounts/{id}/return",
            "Takes the device back into stock",
            PAIRING,
            {200: AccountView},
            *(404, 409),
            values={"id": "1"},
        ),
    ]


def _money(told: Teller) -> list[Operation]:
    return [
        told(
            "GET /v1/actions",
            "What operators did, newest first",
            ACTIONS,
            {200: ActionPage},
            query=PageQuery,
            values={"limit": "50"},
        ),
        told(
            "GET /v1/suspense",
            "Payments that found no account, newest first",
            MONEY,
            {200: SuspensePage},
            query=PageQuery,
            values={"limit": "50"},
        ),
        told(
            "POST /v1/suspense/{id}/resolve",
            "Books a payment in suspense to its owner's account",
            MONEY,
            {200: CorrectionView},
            *(404, 409),
            request=Media(
                JSON,
                ResolutionRequest,
                example={
                    "reference": "254543",
                    "business_account": "600100",
                    "reason": "The customer showed the receipt",
                },
            ),
            values={"id": "1"},
        ),
        told(
            "POST /v1/payments/{id}/reverse",
            "Books the mirror of a payment; days whose token is made stay, of the others none is made",
            MONEY,
            {200: CorrectionView},
            *(404, 409),
            request=Media(JSON, ReversalRequest, example={"reason": "The provider took it back"}),
            values={"id": "2"},
        ),
    ]

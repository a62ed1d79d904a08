"""What Solarium is asked: payments with a key of their own each, and whether an account takes an amount."""

from collections.abc import Iterator

from tests.bench.bench import API_KEY, Answer, Turn
from tests.bench.http import post

FIRST_REFERENCE = 100_000
BUSINESS_ACCOUNT = "600100"
PROVIDER_KEY = "ug_mtn_mobilemoney"
PRICE_SUBUNIT = 50_000

ANSWERS = {
    "confirm_payment": Answer(b"200"),
    "validate_payment": Answer(b"200", b'{"status":"ok","customer_name":"John Doe"}'),
}
_HEADERS = {"API_KEY": API_KEY, "Content_Type": "application/json"}
_ROUTE = b'"currency":"UGX","business_account":"600100","provider_key":"ug_mtn_mobilemoney"'


def _reference(turn: Turn, number: int) -> int:
    return FIRST_REFERENCE + number * 7919 % turn.devices  # a prime: the accounts in no order


def confirm_payment(turn: Turn, _connection: int) -> Iterator[bytes]:
    """Payments round the accounts; each buys 1 to 3 days."""
    request = post("/confirm_payment", **_HEADERS)
    body = (
        b'{"reference":"%d","amount_subunit":%d,"sender_phone_number":"256700000001",'
        b'"provider_tx":"MP%012d","momoep_id":"%d","received_at":"2025-12-01T10:30:00Z",' + _ROUTE + b"}"
    )
    for number in turn.numbers:
        amount_subunit = PRICE_SUBUNIT * (1 + number % 3)
        yield request(body % (_reference(turn, number), amount_subunit, number, number))


def validate_payment(turn: Turn, _connection: int) -> Iterator[bytes]:
    """Amounts for 1 to 3 days, round the accounts."""
    request = post("/validate_payment", **_HEADERS)
    body = b'{"reference":"%d","amount_subunit":%d,"additional_fields":["customer_name"],' + _ROUTE + b"}"
    for number in turn.numbers:
        yield request(body % (_reference(turn, number), PRICE_SUBUNIT * (1 + number % 3)))

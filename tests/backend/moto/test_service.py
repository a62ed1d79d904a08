"""Numbers under concurrency, orders by reference, restarts, the registry and the audit."""

import asyncio
from collections.abc import Sequence

import pytest
from aiohttp.test_utils import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from backend.kit.database import Database, open_database
from backend.kit.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    Unavailable,
    Unprocessable,
)
from backend.kit.http import AiohttpClient
from backend.moto.client import MotoClient
from backend.moto.generator import MAX_OPENPAYGO_COUNT, Refused, stateless
from backend.moto.routes import render
from backend.moto.schemas import TokenRequest
from backend.moto.service import MotoConfig, MotoService
from protocols.tokens import moto, openpaygo
from simulator.clock import ManualClock, SeededEntropy

SECRET = "00112233AABBCC"


def another(database: Database, clock: ManualClock, *, master_key: bytes = bytes(32)) -> MotoService:
    """A service on the same database, as after a crash."""
    return MotoService(
        database=database, clock=clock, entropy=SeededEntropy(2), config=MotoConfig(master_key=master_key)
    )


async def test_no_number_twice_under_concurrency(
    service: MotoService, database_url: str, clock: ManualClock
) -> None:
    """Two processes on one database, 400 requests at once."""
    beside = open_database(database_url, "moto")
    second = another(beside, clock)
    await second.start()
    request = TokenRequest(device="M/1", command="unlock_relative", payload=1)
    answers = await asyncio.gather(
        *(each.generate(request, client="c") for each in (service, second) for _ in range(200))
    )
    numbers = sorted(answer.sequence_number for answer in answers if answer is not None)
    await beside.close()
    assert numbers == list(range(1, 401))


async def test_concurrent_repeats_of_one_reference_are_one_token(service: MotoService) -> None:
    orders = [
        service.order(device="M/1", command="unlock_relative", payload=5, reference=f"r{i % 7}")
        for i in range(70)
    ]
    tokens = await asyncio.gather(*orders)
    assert {(token.sequence_number, token.digits) for token in tokens[:7]} == {
        (token.sequence_number, token.digits) for token in tokens
    }
    audit = await service.audit()
    assert (audit.tokens, audit.days_by_device) == (7, {"M/1": 35})


async def test_an_order_survives_a_crash(
    service: MotoService, database: Database, clock: ManualClock
) -> None:
    first = await service.order(device="O/1", command="unlock_relative", payload=30, reference="r")
    restarted = another(database, clock)
    await restarted.start()
    assert await restarted.order(device="O/1", command="unlock_relative", payload=30, reference="r") == first
    assert (await restarted.audit()).days_by_device == {"O/1": 30}


async def test_order_errors(service: MotoService) -> None:
    with pytest.raises(NotFound):
        await service.order(device="nobody", command="unlock_relative", payload=1, reference="r")
    with pytest.raises(Unprocessable, match="Payload is too large"):
        await service.order(device="M/1", command="unlock_relative", payload=10**9, reference="r")


async def test_client_does_what_the_service_does(http: TestClient, http_client: AiohttpClient) -> None:
    client = MotoClient(http=http_client, base_url=str(http.make_url("/")), api_key="moto-test-key")
    token = await client.order(device="M/1", command="unlock_relative", payload=10, reference="r")
    assert (token.digits, token.sequence_number) == ("42744349", 1)
    assert await client.order(device="M/1", command="unlock_relative", payload=10, reference="r") == token
    with pytest.raises(NotFound):
        await client.order(device="nobody", command="unlock_relative", payload=10, reference="r2")
    with pytest.raises(Unprocessable, match="Payload is too large"):
        await client.order(device="M/1", command="unlock_relative", payload=10**9, reference="r3")
    stranger = MotoClient(http=http_client, base_url=str(http.make_url("/")), api_key="wrong")
    with pytest.raises(Forbidden):
        await stranger.order(device="M/1", command="unlock_relative", payload=10, reference="r4")


async def test_register_is_idempotent_and_never_overwrites(service: MotoService) -> None:
    await service.register(serial="M/1", secret_hex=SECRET.lower(), family="moto", market="UG")
    for changes in ({"secret_hex": "aa"}, {"family": "openpaygo", "secret_hex": "aa" * 16}, {"market": "RW"}):
        values = {"secret_hex": SECRET, "family": "moto", "market": "UG"} | changes
        with pytest.raises(Conflict):
            await service.register(serial="M/1", **values)
    for serial, secret, family in (
        ("", "aa", "moto"),
        ("X", "zz", "moto"),
        ("X", "aa", "openpaygo"),
        ("X", "aa", "x"),
    ):
        with pytest.raises(BadRequest):
            await service.register(serial=serial, secret_hex=secret, family=family, market="UG")
    assert (await service.audit()).devices == 2


async def test_secrets_are_sealed_at_rest(service: MotoService, database: Database) -> None:
    def stored(connection: Connection) -> Sequence[object]:
        return connection.exec_driver_sql("SELECT secret FROM devices").scalars().all()

    sealed = await database.read(stored)
    assert all(bytes.fromhex(SECRET) not in secret for secret in sealed)
    assert SECRET not in repr(MotoConfig(master_key=SECRET.encode()))


async def test_unavailable_is_a_page() -> None:
    page = render(Unavailable("the database is away"))
    assert (page.status, page.content_type) == (503, "text/html")


@given(
    command=st.sampled_from(sorted(moto.COMMAND_CODES)),
    payload=st.integers(0, 29_000),
    number=st.integers(0, 2**32 - 1),
    secret=st.binary(min_size=1, max_size=40),
)
def test_a_stateless_token_says_what_was_asked(
    command: str, payload: int, number: int, secret: bytes
) -> None:
    digits = stateless(TokenRequest("d", command, str(payload), number, secret.hex())).digits
    assert digits is not None
    code, said, signature = moto.split(int(digits))
    assert (code, said) == (moto.COMMAND_CODES[command], payload)
    assert signature == moto.signature(secret, code, payload, number)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(JSON, min_size=8, max_size=8), st.booleans())
def test_any_json_is_a_token_or_a_status(values: list[object], by_family: bool) -> None:
    family = "openpaygo" if by_family else None
    request = TokenRequest(*values[:6], family=values[6] if family is None else family)
    try:
        digits = stateless(request).digits
    except Refused:
        return
    assert digits is None or digits.isdigit()


@given(count=st.integers(1, MAX_OPENPAYGO_COUNT), value=st.integers(0, openpaygo.MAX_TIME_VALUE))
def test_a_stateless_openpaygo_token_is_that_of_its_count(count: int, value: int) -> None:
    secret = bytes(range(16))
    command = openpaygo.SET_TIME if count % 2 else openpaygo.ADD_TIME
    made = stateless(
        TokenRequest("d", command, value, count, secret.hex(), family="openpaygo", starting_code=123_456_789)
    )
    number = openpaygo.encode(secret, 123_456_789, count, value)
    assert made.digits == openpaygo.format_token(number)


async def test_a_key_is_for_its_markets(service: MotoService, http: TestClient) -> None:
    await service.install_key(key="rw-key", client="rwanda", markets=["RW"])
    body = {"device": "M/1", "command": "unlock_relative", "payload": 1}
    async with http.post("/api/v1/tokens/generate", json=body, headers={"API-KEY": "rw-key"}) as answer:
        assert (answer.status, await answer.json()) == (403, {"status": "not authorized"})
    assert (await service.audit()).tokens == 0


async def test_a_number_whose_digits_were_given_lately_is_passed_over(service: MotoService) -> None:
    """A device takes digits that it accepted lately as spent: who buys the same days again would get none."""
    secret = bytes.fromhex(SECRET)
    seen: dict[int, int] = {}  # digits: the last number that has them
    for number in range(1, 200_000):
        digits = moto.encode(secret, moto.COMMAND_CODES["unlock_relative"], 3, number)
        if number - seen.get(digits, -100) <= 32:
            break
        seen[digits] = number
    else:
        raise AssertionError("no digits repeat; the test needs another secret")
    await service.register(
        serial="M/2", secret_hex=SECRET, family="moto", market="UG", last_sequence=number - 1
    )
    token = await service.order(device="M/2", command="unlock_relative", payload=3, reference="first")
    assert token.sequence_number == number + 1
    assert int(token.digits) not in {found for found, at in seen.items() if number - at <= 32}
    other = await service.order(device="M/2", command="unlock_relative", payload=4, reference="second")
    assert other.sequence_number == number + 2


async def test_an_openpaygo_count_whose_digits_were_given_lately_is_passed_over(service: MotoService) -> None:
    secret, starting_code, days = bytes(range(16)), 7_919, 30
    earlier, repeated = (openpaygo.encode(secret, starting_code, count, days) for count in (3_986, 4_048))
    assert earlier == repeated
    await service.register(
        serial="O/2",
        secret_hex=secret.hex(),
        family="openpaygo",
        market="UG",
        starting_code=starting_code,
        last_sequence=4_046,
    )
    token = await service.order(device="O/2", command="unlock_relative", payload=days, reference="first")
    assert token.sequence_number == 4_050
    assert int(token.digits) == openpaygo.encode(secret, starting_code, 4_050, days) != repeated

"""CSV of accounts and of shipments (issue 4, checklist 94): dry run, row-by-row errors, all or nothing."""

import csv
import io
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Connection

from backend.kit.commits import Work
from backend.kit.database import Database
from backend.kit.errors import Conflict, Unavailable
from backend.solarium.imports import MAX_ERRORS
from backend.solarium.operator_routes import MAX_FILE
from backend.solarium.operator_schemas import DeviceRequest
from backend.solarium.service import Solarium
from backend.solarium.sheets import MAX_ROWS, chunks
from tests.backend.solarium.fakes import API_KEY, FakePartners
from tests.backend.solarium.test_operations import ACCOUNT, PLAN, SECRET, call, stands

DEVICES = "serial,market,secret,token_family,starting_code\n"
ACCOUNTS = "reference,business_account,provider_key,market,plan,msisdn,customer_name\n"
ADA = "901,600100,ug_mtn_mobilemoney,UG,home,256700000009,Ada\n"


async def load(
    http: TestClient, kind: str, content: str | bytes, query: str = "", key: str = API_KEY
) -> tuple[int, Any]:
    body = content.encode() if isinstance(content, str) else content
    headers = {"API-KEY": key, "Content-Type": "text/csv"}
    async with http.post(f"/v1/imports/{kind}{query}", data=io.BytesIO(body), headers=headers) as answer:
        return answer.status, await answer.json()


async def serials(http: TestClient) -> list[str]:
    _, page = await call(http, "GET", "/v1/devices?limit=200")
    return [each["serial"] for each in page["devices"] if each["state"] != "paired"]


async def test_checklist_94_a_shipment_is_loaded_with_its_secrets(
    http: TestClient, partners: FakePartners
) -> None:
    content = DEVICES + f"D1,UG,{SECRET},,\r\n\nD2,UG,{SECRET * 2},openpaygo,123456789\n"
    report = {"dry_run": True, "rows": 2, "imported": 0, "errors": [], "unchanged": 0}
    assert await load(http, "devices", content, "?dry_run=true") == (200, report)
    assert await serials(http) == []
    assert (await load(http, "devices", content))[1]["imported"] == 2
    await stands(http, "in_stock", "D1", "D2")
    assert partners.registered == {
        "D1": (SECRET, "moto", "UG", None),
        "D2": (SECRET * 2, "openpaygo", "UG", 123456789),
    }


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("456123789", 456_123_789),
        ("056123789", 56_123_789),
        ("4.56E+08", None),
        ("456e6", None),
        ("456123789.0", 456_123_789),
        ("456123789.5", None),
        ("+4", None),
        ("٤", None),
        ("4561237890", None),
    ],
)
def test_a_starting_code_that_a_spreadsheet_changed_is_refused(cell: str, code: int | None) -> None:
    """With another one the device takes no token of ours."""
    (chunk,) = chunks(f"{DEVICES}D1,UG,{SECRET},openpaygo,{cell}\n".encode(), DeviceRequest)
    assert [device.starting_code for _, device in chunk.rows] == ([] if code is None else [code])
    assert [error.field for error in chunk.errors] == (["starting_code"] if code is None else [])


@pytest.mark.parametrize("query", ["", "?dry_run=true"])
async def test_one_wrong_row_and_nothing_is_loaded(
    http: TestClient, partners: FakePartners, query: str
) -> None:
    content = DEVICES + (
        f"D1,UG,{SECRET},,\nD2,UG,xyz,,\nD1,UG,{SECRET},,\nD3,UG\nSCBLNX/A/BT/254543,UG,{SECRET},,\n"
        f"D4,ug,{SECRET},,\nD5,UG,{SECRET},other,\nD6,UG,,,\nD7,UG,{SECRET},,x\n"
    )
    status, report = await load(http, "devices", content, query)
    assert (status, report["imported"]) == (422, 0)
    found = [(error["row"], error["field"]) for error in report["errors"]]
    wrong = [(3, "secret"), (4, "serial"), (5, ""), (6, "serial"), (7, "market"), (8, "token_family")]
    assert found == [*wrong, (9, "secret"), (10, "starting_code")]
    assert all(SECRET not in error["message"] for error in report["errors"])
    assert await serials(http) == []
    assert "register" not in partners.calls


async def test_accounts_are_loaded_and_can_be_paid(http: TestClient, service: Solarium) -> None:
    assert (await call(http, "POST", "/v1/plans", PLAN))[0] == 201
    content = ACCOUNTS + ADA + '902,600100,ug_mtn_mobilemoney,UG,home,256700000010,"Doe, John"\n'
    assert (await load(http, "accounts", content))[1]["imported"] == 2
    _, found = await call(http, "GET", "/v1/accounts?reference=902")
    assert found["accounts"][0]["customer_name"] == "Doe, John"
    route = {"currency": "UGX", "business_account": "600100", "provider_key": "ug_mtn_mobilemoney"}
    assert (await service.validate(reference="901", **route)).status == "ok"
    again = (await load(http, "accounts", content))[1]
    assert (again["imported"], again["unchanged"]) == (0, 2)
    status, report = await load(http, "accounts", content.replace("Ada", "Eve"))
    assert (status, [(error["row"], error["field"]) for error in report["errors"]]) == (
        422,
        [(2, "reference")],
    )


async def test_a_row_with_another_provider_lets_it_pay_in(http: TestClient, service: Solarium) -> None:
    """An account that is here, with a second network: it is no row that changes nothing."""
    assert (await call(http, "POST", "/v1/plans", PLAN))[0] == 201
    assert (await load(http, "accounts", ACCOUNTS + ADA))[1]["imported"] == 1
    airtel = ADA.replace("ug_mtn_mobilemoney", "ug_airtel_money")
    for imported in (1, 0):
        _, report = await load(http, "accounts", ACCOUNTS + airtel)
        assert (report["imported"], report["unchanged"]) == (imported, 1 - imported)
        route = await service.resolve(reference="901", market="UG")
        assert route is not None
        assert route.provider_keys == ["ug_airtel_money", "ug_mtn_mobilemoney"]
    assert len((await call(http, "GET", "/v1/accounts?reference=901"))[1]["accounts"]) == 1


async def test_wrong_accounts_are_named_and_none_is_loaded(http: TestClient) -> None:
    assert (await call(http, "POST", "/v1/plans", PLAN))[0] == 201
    assert (await call(http, "POST", "/v1/plans", {**PLAN, "market": "KE", "currency": "KES"}))[0] == 201
    rows = [
        ADA,
        ADA,
        ADA.replace("901", "1").replace("home", "none"),
        ADA.replace("901", "2").replace("ug_mtn", "ke_mtn"),
        ADA.replace("901", "3").replace("ug_mtn", "ke_mtn").replace("UG", "KE"),
        ADA.replace("901", "4").replace("256700000009", "+256"),
    ]
    status, report = await load(http, "accounts", ACCOUNTS + "".join(rows))
    assert (status, report["imported"]) == (422, 0)
    found = {(error["row"], error["field"]) for error in report["errors"]}
    assert found == {
        (3, "reference"),
        (4, "plan"),
        (5, "provider_key"),
        (6, "business_account"),
        (7, "msisdn"),
    }
    assert (await call(http, "GET", "/v1/accounts?reference=901"))[1]["accounts"] == []


BAD_FILES: list[bytes] = [
    b"",
    b"\xff\xfe",
    b"serial\nD1\n",
    b"serial,serial,market,secret\n",
    b"serial,market,secret,what\nD1,UG,00,1\n",
    b"a," * 100_000,
    (DEVICES + 'D1,UG,"00').encode(),
    (DEVICES + f'"{"x" * 200_000}",UG,00,,\n').encode(),
    (DEVICES + "D\0,UG,00,,\n").encode(),
    (DEVICES + "".join(f"D{number},UG,00,,\n" for number in range(MAX_ROWS + 1))).encode(),
    (DEVICES + "D1,UG,00,,\n" + "\n" * (MAX_ROWS + 1)).encode(),
]


@pytest.mark.parametrize("number", range(len(BAD_FILES)))
async def test_a_file_that_can_not_be_read_is_422(http: TestClient, number: int) -> None:
    status, report = await load(http, "devices", BAD_FILES[number])
    assert (status, report["imported"]) == (422, 0)
    assert report["errors"]
    assert await serials(http) == []


async def test_checklist_116_another_market_s_rows_are_refused(http: TestClient, service: Solarium) -> None:
    await service.install_key("ke", client="kenya", markets=["KE"])
    assert (await call(http, "POST", "/v1/plans", PLAN))[0] == 201
    for kind, content in (("devices", DEVICES + f"D1,UG,{SECRET},,\n"), ("accounts", ACCOUNTS + ADA)):
        status, report = await load(http, kind, content, key="ke")
        assert (status, report["imported"], report["errors"][0]["field"]) == (422, 0, "market")
        assert (await load(http, kind, content, key="wrong"))[0] == 401
    assert (await load(http, "devices", DEVICES, "?dry_run=maybe"))[0] == 400
    too_big = io.BytesIO(b"x" * (MAX_FILE + 1))
    async with http.post("/v1/imports/devices", data=too_big, headers={"API-KEY": API_KEY}) as answer:
        assert answer.status == 413


@example(content=DEVICES.replace("_", "\t").encode().strip())  # a heading in other words
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: (DEVICES + text).encode()))
def test_any_file_gives_rows_or_errors(content: bytes) -> None:
    found = list(chunks(content, DeviceRequest))
    rows = [row for chunk in found for row in chunk.rows]
    errors = [error for chunk in found for error in chunk.errors]
    assert all(1 <= error.row <= content.count(b"\n") + content.count(b"\r") + 1 for error in errors)
    if not (rows or errors):
        _, *below = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        assert not any(cell.strip(";").strip() for cells in below for cell in cells)


WHOLE = "serial,market,secret,token_family,starting_code,link_key,password\n"
KEYS = f"{'ab' * 16},{'p' * 22}"


async def test_one_file_gives_moto_its_secrets_and_m2m_its_keys(
    http: TestClient, partners: FakePartners
) -> None:
    content = WHOLE + f"D1,UG,{SECRET},,,{KEYS}\nD2,UG,{SECRET},,,,\n"
    assert (await load(http, "devices", content))[1]["imported"] == 2
    await stands(http, "in_stock", "D1", "D2")
    assert set(partners.registered) == {"D1", "D2"}
    assert partners.devices.keys == {"D1": ("UG", "ab" * 16, "p" * 22)}
    assert (await call(http, "GET", "/v1/imports/devices"))[1]["in_stock"] == 2


async def test_a_device_that_m2m_does_not_take_is_refused_and_may_be_sent_again(
    http: TestClient, partners: FakePartners
) -> None:
    partners.devices.failing = [
        Unavailable("away", retry_after_s=0),
        Conflict("registered with other values"),
    ]
    content = WHOLE + f"D1,UG,{SECRET},,,{KEYS}\n"
    assert (await load(http, "devices", content))[1]["imported"] == 1
    await stands(http, "refused", "D1")
    assert (await load(http, "devices", content))[1]["imported"] == 1
    await stands(http, "in_stock", "D1")
    assert (await load(http, "devices", content))[1]["unchanged"] == 1


async def test_a_file_that_was_interrupted_is_not_in_at_all_and_is_sent_again_as_it_is(
    http: TestClient, service: Solarium, partners: FakePartners, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two chunks."""
    monkeypatch.setattr("backend.solarium.sheets.CHUNK", 2)
    content = WHOLE + "".join(f"D{number},UG,{SECRET},,,{KEYS}\n" for number in range(5))
    enter = service.registration.enter
    entered: list[int] = []

    def dying(connection: Any, entries: Any) -> None:
        if entered:
            raise Unavailable("killed")
        enter(connection, entries)
        entered.append(len(entries.rows))

    monkeypatch.setattr(service.registration, "enter", dying)
    assert (await load(http, "devices", content))[0] == 503
    assert entered == [2]
    assert await serials(http) == []
    assert "register" not in partners.calls
    monkeypatch.setattr(service.registration, "enter", enter)
    report = (await load(http, "devices", content))[1]
    assert (report["imported"], report["unchanged"], report["errors"]) == (5, 0, [])
    await stands(http, "in_stock", *(f"D{number}" for number in range(5)))
    _, journal = await call(http, "GET", "/v1/actions")
    done = [(each["action"], each["subject"]) for each in journal["actions"]]
    assert done == [("import_devices", "5 devices")]


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("kind", ["devices", "accounts"])
async def test_a_row_that_another_operator_enters_meanwhile_is_judged_again(
    http: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch, kind: str, same: bool
) -> None:
    """Between the judgement and the transaction: unchanged if it is the same, else an error of its line."""
    assert (await call(http, "POST", "/v1/plans", PLAN))[0] == 201
    if kind == "devices":
        content = DEVICES + f"D1,UG,{SECRET},,\nD2,UG,{SECRET},,\n"
        path, body = "/v1/devices", {"serial": "D2", "market": "UG", "secret": SECRET if same else "00" * 7}
    else:
        content = ACCOUNTS + ADA.replace("901", "900") + ADA
        path, body = (
            "/v1/accounts",
            {**ACCOUNT, "reference": "901", "customer_name": "Ada" if same else "Eve"},
        )
    write = database.write

    async def overtaken(work: Work[Any]) -> Any:
        monkeypatch.setattr(database, "write", write)
        assert (await call(http, "POST", path, body))[0] == 201
        return await write(work)

    monkeypatch.setattr(database, "write", overtaken)
    status, report = await load(http, kind, content)
    if same:
        assert (status, report["errors"]) == (200, [])
        return
    assert (status, report["imported"], report["unchanged"]) == (422, 0, 0)
    assert [error["row"] for error in report["errors"]] == [3]
    first = (
        await serials(http) if kind == "devices" else await call(http, "GET", "/v1/accounts?reference=900")
    )
    assert first in (["D2"], (200, {"accounts": [], "next": None}))


@pytest.mark.parametrize(
    ("row", "field", "says"),
    [
        (f"D1,UG,2.40E+11,,,{KEYS}", "secret", "set the column to text"),
        (f"D1,Uganda,{SECRET},,,{KEYS}", "market", "two capital letters"),
        (f"D1,UG,{SECRET},,,{'ab' * 16},", "password", "come together"),
        (f"D1,UG,{SECRET},,,,{'p' * 22}", "link_key", "come together"),
        (f"D1,UG,{SECRET},,,ab,{'p' * 22}", "link_key", "32 to 128 digits"),
        (f"D1,UG,{SECRET},,,{'ab' * 16},short", "password", "16 to 200"),
        (f"D1,UG,{SECRET},,,{KEYS},x", "", "has 8 cells"),
        (f",UG,{SECRET},,,{KEYS}", "serial", "is missing"),
        (f"{'D' * 2000},UG,{SECRET},,,{KEYS}", "serial", "longer than"),
    ],
)
async def test_each_error_names_its_line_and_what_to_do(
    http: TestClient, row: str, field: str, says: str
) -> None:
    status, report = await load(http, "devices", WHOLE + f"D0,UG,{SECRET},,,{KEYS}\n" + row)
    assert status == 422
    (error,) = report["errors"]
    assert (error["row"], error["field"]) == (3, field)
    assert says in error["message"]
    assert SECRET not in error["message"]


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffSerial;Market;Token Secret;Family\r\nD1;UG;SECRET;moto\r\n;;;\r\n",
        "serial\tmarket\tsecret\nD1\tUG\tSECRET",
        'serial,market,secret\r"D1","UG","SECRET"\r',
        "serial,market,secret\nD1,UG,SECRET,,\n\n\n",
    ],
)
async def test_what_spreadsheets_make_of_a_file_is_read(http: TestClient, content: str) -> None:
    report = (await load(http, "devices", content.replace("SECRET", SECRET)))[1]
    assert (report["imported"], report["errors"]) == (1, [])
    await stands(http, "in_stock", "D1")


async def test_a_file_full_of_errors_lists_the_first_thousand(http: TestClient) -> None:
    content = DEVICES + "D1,UG,x,,\n" * 5000
    report = (await load(http, "devices", content))[1]
    assert len(report["errors"]) == MAX_ERRORS
    assert report["errors"][-1]["message"].startswith("and more")


async def test_a_new_business_account_takes_one_currency_only(http: TestClient) -> None:
    assert (await call(http, "POST", "/v1/plans", PLAN))[0] == 201
    dollars = {**PLAN, "name": "dollars", "currency": "USD"}
    assert (await call(http, "POST", "/v1/plans", dollars))[0] == 201
    both = ADA.replace("600100", "700700") + "902,700700,ug_mtn_mobilemoney,UG,dollars,256700000010,Bo\n"
    status, report = await load(http, "accounts", ACCOUNTS + both)
    assert (status, report["imported"]) == (422, 0)
    assert [(error["row"], error["field"]) for error in report["errors"]] == [(3, "business_account")]
    one = both.replace("dollars", "home")
    assert (await load(http, "accounts", ACCOUNTS + one))[1]["imported"] == 2


@pytest.mark.parametrize(
    ("kind", "content"),
    [("devices", DEVICES + f"D1,UG,{SECRET},,\n"), ("accounts", ACCOUNTS + ADA)],
    ids=["devices", "accounts"],
)
async def test_a_chunk_whose_transaction_collides_is_loaded_at_its_next_try(
    http: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch, kind: str, content: str
) -> None:
    """As PostgreSQL runs it: what the first try wrote is rolled back, and the same work is run again."""
    assert (await call(http, "POST", "/v1/plans", PLAN))[0] == 201
    write = database.write

    async def colliding(work: Work[Any]) -> Any:
        def fail(connection: Connection) -> None:
            work(connection)
            raise Unavailable("rolled back")

        with pytest.raises(Unavailable):
            await write(fail)
        return await write(work)

    monkeypatch.setattr(database, "write", colliding)
    status, report = await load(http, kind, content)
    assert (status, report["imported"], report["errors"]) == (200, 1, [])
    _, again = await load(http, kind, content, "?dry_run=true")
    assert (again["unchanged"], again["errors"]) == (1, [])

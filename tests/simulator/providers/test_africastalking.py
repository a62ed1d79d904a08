"""The AfricasTalking sandbox, spoken to by the africastalking package, and its errors row by row."""

import asyncio
from urllib.parse import parse_qs

import pytest
from africastalking.Service import AfricasTalkingException
from africastalking.SMS import SMSService
from aiohttp.test_utils import TestClient, TestServer

from backend.kit.database import open_database
from backend.kit.runtime import SystemClock, SystemEntropy
from simulator.providers.africastalking.routes import make_app
from simulator.providers.africastalking.sandbox import AfricasTalkingConfig, AfricasTalkingSandbox


class ReportRecorder:
    """Stands in for the partner: keeps the delivery reports."""

    def __init__(self):
        self.reports: asyncio.Queue[dict[str, list[str]]] = asyncio.Queue()

    async def request(self, method, url, *, headers=None, body=b"", timeout_s=10.0):
        await self.reports.put(parse_qs(body.decode()))


@pytest.fixture
def partner():
    return ReportRecorder()


def sandbox_of(url, partner, **changes):
    settings = {"username": "payg", "api_key": "key", "dlr_url": "http://127.0.0.1:9/dlr"}
    return AfricasTalkingSandbox(
        database=open_database(url, "africastalking"),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        http=partner,
        config=AfricasTalkingConfig(**{**settings, "deliver_after_s": 0.0, **changes}),
    )


@pytest.fixture
async def sandbox(database_url, partner):
    sandbox = sandbox_of(database_url, partner, sender_ids=frozenset(("PAYG",)))
    await sandbox.start()
    yield sandbox
    await sandbox.stop()
    await sandbox.mailroom._database.close()


@pytest.fixture
async def client(sandbox):
    async with TestClient(TestServer(make_app(sandbox))) as client:
        yield client


def africastalking(client, api_key="key"):
    service = SMSService("payg", api_key)
    service._baseUrl = str(client.make_url("/version1"))
    return service


async def test_the_africastalking_package_sends(client, sandbox, partner):
    answer = await asyncio.to_thread(
        africastalking(client).send, "Your token: 123", ["+256772123456"], "PAYG"
    )
    data = answer["SMSMessageData"]
    assert data["Message"] == "Sent to 1/1 Total Cost: KES 0.8000"
    (recipient,) = data["Recipients"]
    assert (recipient["statusCode"], recipient["status"]) == (101, "Success")
    assert await sandbox.received("256772123456") == ["Your token: 123"]
    report = await partner.reports.get()
    assert report == {
        "id": [recipient["messageId"]],
        "status": ["Success"],
        "phoneNumber": ["+256772123456"],
        "networkCode": ["64110"],
        "retryCount": ["0"],
    }


async def test_the_africastalking_package_is_told_what_is_wrong(client, sandbox):
    with pytest.raises(AfricasTalkingException, match="authentication"):
        await asyncio.to_thread(africastalking(client, "no").send, "x", ["+256772123456"])
    answer = await asyncio.to_thread(africastalking(client).send, "x", ["+256772123456"], "OTHER")
    assert answer == {"SMSMessageData": {"Message": "InvalidSenderId", "Recipients": []}}
    numbers = ["+256772123456", "+9991234567890123456", "+256772123457"]
    answer = await asyncio.to_thread(africastalking(client).send, "x", numbers)
    codes = [one["statusCode"] for one in answer["SMSMessageData"]["Recipients"]]
    assert codes == [101, 403, 101]
    assert await sandbox.received("256772123457") == ["x"]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        (b"", 401),
        (b"username=payg", 400),
        (b"username=payg&to=%2B256772123456", 400),
        (b"username=payg&to=%2B256772123456&message=a%00b", 400),
        (b"username=other&to=%2B256772123456&message=x", 401),
        (b"username=%ff&to=x&message=x", 400),
        (b"\xff\xfe", 400),
        (b"&".join(b"a=b" for _ in range(60)), 400),
        (b"username=payg&message=" + b"x" * 70_000, 413),
    ],
)
async def test_bad_forms(client, form, status):
    answer = await client.post("/version1/messaging", data=form, headers={"apiKey": "key"})
    assert answer.status == status


async def test_a_report_is_sent_after_a_restart(database_url, partner):
    first = sandbox_of(database_url, partner, deliver_after_s=0.1)
    await first.start()
    (message_id,) = await first.send(["+256772123456"], sender="", text="hello")
    await first.stop()
    await first.mailroom._database.close()
    second = sandbox_of(database_url, partner)
    await second.start()
    assert (await partner.reports.get())["id"] == [message_id]
    assert await second.received("256772123456") == ["hello"]
    await second.stop()
    await second.mailroom._database.close()


def test_reports_go_to_this_machine_only(database_url, partner):
    with pytest.raises(ValueError, match="loopback"):
        sandbox_of(database_url, partner, dlr_url="http://example.com/dlr")

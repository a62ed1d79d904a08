"""The AfricasTalking sandbox, spoken to by the africastalking package, and our adapter against it."""

import asyncio

import africastalking
import pytest
from africastalking.Service import AfricasTalkingException
from aiohttp.test_utils import TestServer

from backend.kit.database import open_database
from backend.kit.errors import Unavailable
from backend.kit.http import AiohttpClient, TimedOut
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.mega.ports import Refused, ShortMessage
from backend.mega.providers.africastalking import AfricasTalkingConfig as OurConfig
from backend.mega.providers.africastalking import AfricasTalkingProvider
from simulator.providers.africastalking.routes import make_app
from simulator.providers.africastalking.sandbox import AfricasTalkingConfig, AfricasTalkingSandbox


@pytest.fixture
async def sandbox(tmp_path):
    database, http = open_database(f"sqlite:///{tmp_path}", "africastalking"), AiohttpClient()
    sandbox = AfricasTalkingSandbox(
        database=database,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        http=http,
        config=AfricasTalkingConfig("payg", "key", sender_ids=frozenset({"PAYG"})),
    )
    await sandbox.start()
    async with TestServer(make_app(sandbox)) as server:
        sandbox.url = str(server.make_url("/")).rstrip("/")
        sandbox.http = http
        yield sandbox
    await sandbox.stop()
    await http.close()
    await database.close()


@pytest.fixture
def theirs(sandbox):
    africastalking.initialize("payg", "key")
    africastalking.SMS._baseUrl = f"{sandbox.url}/version1"
    return africastalking.SMS


@pytest.fixture
def ours(sandbox):
    return AfricasTalkingProvider(OurConfig(sandbox.url, "payg", "key"), http=sandbox.http)


async def test_checklist_98_the_africastalking_client_sends(sandbox, theirs):
    answer = await asyncio.to_thread(theirs.send, "Hello", ["+256772123456", "+256700000033"], "PAYG")
    data = answer["SMSMessageData"]
    assert data["Message"] == "Sent to 1/2 Total Cost: KES 0.8000"
    assert [(one["statusCode"], one["status"]) for one in data["Recipients"]] == [
        (101, "Success"),
        (407, "CouldNotRoute"),
    ]
    assert await sandbox.received("256772123456") == ["Hello"]


async def test_the_africastalking_client_fetches_what_customers_wrote(sandbox, theirs):
    await sandbox.inbound(sender="256772123456", to="8008", text="BAL")
    await sandbox.inbound(sender="256772123456", to="8008", text="TOKEN")
    first, second = (await asyncio.to_thread(theirs.fetch_messages))["SMSMessageData"]["Messages"]
    assert (first["from"], first["text"], second["text"]) == ("+256772123456", "BAL", "TOKEN")
    later = await asyncio.to_thread(theirs.fetch_messages, first["id"])
    assert [one["text"] for one in later["SMSMessageData"]["Messages"]] == ["TOKEN"]


async def test_the_africastalking_client_is_told_what_is_wrong(theirs):
    for number in ("+256700000040", "+256700000041", "+256700000042"):
        with pytest.raises(AfricasTalkingException):
            await asyncio.to_thread(theirs.send, "Hello", [number])
    answer = await asyncio.to_thread(theirs.send, "Hello", ["+256772123456"], "OTHER")
    assert answer["SMSMessageData"] == {"Message": "InvalidSenderId", "Recipients": []}


async def test_our_adapter_against_the_same_sandbox(sandbox, ours):
    accepted = await ours.send(ShortMessage("our-1", "256772123456", "Hello", "PAYG"))
    assert accepted.provider_message_id.startswith("ATXid_")
    assert accepted.provider_status == "Success"
    for number, sender, refused in [
        ("256700000031", None, Refused("InvalidPhoneNumber")),
        ("256700000032", None, Refused("UserInBlacklist")),
        ("256700000033", None, Refused("CouldNotRoute", elsewhere=True)),
        ("256772123456", "OTHER", Refused("InvalidSenderId", elsewhere=True)),
    ]:
        assert await ours.send(ShortMessage("our-2", number, "Hello", sender)) == refused
    for number, error in [
        ("256700000040", Unavailable),
        ("256700000041", TimedOut),
        ("256700000042", Unavailable),
    ]:
        with pytest.raises(Unavailable) as raised:
            await ours.send(ShortMessage("our-3", number, "Hello", None))
        assert type(raised.value) is error
    assert await sandbox.received("256700000041") == ["Hello"]

"""The Infobip sandbox, spoken to by infobip-api-python-client, and our adapter against the same sandbox."""

import asyncio
import json

import pytest
from aiohttp.test_utils import TestServer
from infobip_api_client import ApiClient, Configuration, SmsApi
from infobip_api_client.exceptions import BadRequestException, UnauthorizedException
from infobip_api_client.models import (
    SmsDeliveryResult,
    SmsDestination,
    SmsInboundMessageResult,
    SmsMessage,
    SmsMessageContent,
    SmsMessageDeliveryReporting,
    SmsRequest,
    SmsTextContent,
    SmsWebhooks,
)

from backend.kit.database import open_database
from backend.kit.http import AiohttpClient, TimedOut
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.mega.ports import Accepted, Refused, ShortMessage
from backend.mega.providers.infobip import InfobipConfig, InfobipProvider
from backend.mega.states import Status
from simulator.providers.infobip.routes import make_app
from simulator.providers.infobip.sandbox import InfobipSandbox, InfobipSandboxConfig

NUMBER = "254722123456"


@pytest.fixture
async def sandbox(tmp_path, callbacks):
    database, http = open_database(f"sqlite:///{tmp_path}", "infobip"), AiohttpClient()
    sandbox = InfobipSandbox(
        database=database,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        http=http,
        config=InfobipSandboxConfig("key", inbound_url=callbacks.url, deliver_after_s=0.01),
    )
    await sandbox.start()
    async with TestServer(make_app(sandbox)) as server:
        sandbox.url = str(server.make_url("/")).rstrip("/")
        sandbox.http = http
        yield sandbox
    await sandbox.stop()
    await http.close()
    await database.close()


def theirs(sandbox, key="key"):
    return SmsApi(ApiClient(Configuration(host=sandbox.url, api_key=key)))


def ours(sandbox, callbacks):
    return InfobipProvider(InfobipConfig(sandbox.url, "key", callbacks.url), http=sandbox.http)


def request_of(url=None, to=NUMBER, text="Your token"):
    webhooks = None
    if url is not None:
        delivery = SmsMessageDeliveryReporting(url=url, intermediate_report=True)
        webhooks = SmsWebhooks(delivery=delivery, content_type="application/json")
    message = SmsMessage(
        sender="PAYG",
        destinations=[SmsDestination(to=to, message_id="m-1")],
        content=SmsMessageContent(SmsTextContent(text=text)),
        webhooks=webhooks,
    )
    return SmsRequest(messages=[message])


async def test_checklist_98_the_infobip_client_sends_and_reads_logs_and_reports(sandbox):
    client = theirs(sandbox)
    response = await asyncio.to_thread(client.send_sms_messages, request_of(text="ж" * 71))
    (message,) = response.messages
    assert (message.message_id, message.destination) == ("m-1", NUMBER)
    assert (message.status.group_name, message.status.id) == ("PENDING", 26)
    assert message.details.message_count == 2
    for _ in range(200):
        logs = await asyncio.to_thread(client.get_outbound_sms_message_logs, message_id=["m-1"])
        if logs.results[0].status.group_name == "DELIVERED":
            break
        await asyncio.sleep(0.02)
    assert (logs.results[0].status.id, logs.results[0].error.name) == (5, "NO_ERROR")
    reports = await asyncio.to_thread(client.get_outbound_sms_message_delivery_reports, message_id="m-1")
    (report,) = reports.results
    assert (report.to, report.status.name, report.message_count) == (NUMBER, "DELIVERED_TO_HANDSET", 2)


async def test_the_infobip_client_reads_our_webhooks(sandbox, callbacks):
    await asyncio.to_thread(theirs(sandbox).send_sms_messages, request_of(callbacks.url))
    result = SmsDeliveryResult.from_json((await callbacks.get()).decode())
    assert (result.results[0].message_id, result.results[0].error.group_name) == ("m-1", "OK")
    await sandbox.inbound(sender=NUMBER, to="8008", text="BAL")
    inbound = SmsInboundMessageResult.from_json((await callbacks.get()).decode())
    assert (inbound.results[0].var_from, inbound.results[0].clean_text) == (NUMBER, "BAL")
    assert inbound.message_count == 1


async def test_the_infobip_client_is_told_what_is_wrong(sandbox):
    with pytest.raises(UnauthorizedException):
        await asyncio.to_thread(theirs(sandbox, "no").send_sms_messages, request_of())
    with pytest.raises(BadRequestException) as error:
        await asyncio.to_thread(theirs(sandbox).send_sms_messages, request_of("http://example.com/"))
    assert json.loads(error.value.body)["errorCode"] == "E400"
    response = await asyncio.to_thread(theirs(sandbox).send_sms_messages, request_of(to="254700000033"))
    assert (response.messages[0].status.group_name, response.messages[0].status.id) == ("REJECTED", 19)


async def test_our_adapter_against_the_same_sandbox(sandbox, callbacks):
    provider = ours(sandbox, callbacks)
    message = ShortMessage("our-1", NUMBER, "Hello", "PAYG")
    assert await provider.find(message) is None
    assert await provider.send(message) == Accepted("our-1", "PENDING_ACCEPTED")
    await callbacks.get()
    assert (await provider.find(message)).status is Status.DELIVERED
    refused = await provider.send(ShortMessage("our-2", "254700000032", "Hello", None))
    assert refused == Refused("REJECTED_DESTINATION")


@pytest.mark.parametrize(("number", "taken"), [("254700000041", True), ("254700000043", False)])
async def test_our_adapter_finds_out_what_a_lost_answer_meant(sandbox, callbacks, number, taken):
    provider, message = ours(sandbox, callbacks), ShortMessage("our-1", number, "Hello", None)
    with pytest.raises(TimedOut):
        await provider.send(message)
    assert (await provider.find(message) is not None) is taken

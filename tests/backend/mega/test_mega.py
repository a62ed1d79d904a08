"""Messages through mega: over HTTP to the AfricasTalking sandbox, and through every fate there is."""

import asyncio

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from backend.kit.database import open_database
from backend.kit.errors import Unavailable
from backend.kit.http import TimedOut, Unreachable
from backend.kit.outbox import Policy
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.mega.client import MegaClient
from backend.mega.delivery import ATTEMPTS
from backend.mega.ports import Accepted, Dlr, Refused
from backend.mega.providers.africastalking import AfricasTalkingConfig, AfricasTalkingProvider
from backend.mega.routes import make_app
from backend.mega.service import NoRoute
from backend.mega.states import FINAL, Status, after_report
from simulator.providers.africastalking.routes import make_app as sandbox_app
from simulator.providers.africastalking.sandbox import AfricasTalkingConfig as SandboxConfig
from simulator.providers.africastalking.sandbox import AfricasTalkingSandbox
from tests.backend.mega.rig import ProviderFake, build_mega, later, settled
from tests.ports import next_port


async def test_from_the_route_to_the_report_against_the_sandbox(database_url, http_client, database):
    """Checklist 95, 97, 98; resolutions 21, 22."""
    clock, entropy = SystemClock(), SystemEntropy()
    mega_port, sandbox_port = next_port(), next_port()
    base = f"http://127.0.0.1:{mega_port}"
    sandbox_database = open_database(database_url, "sandbox")
    sandbox = AfricasTalkingSandbox(
        database=sandbox_database,
        clock=clock,
        entropy=entropy,
        http=http_client,
        config=SandboxConfig(
            "payg", "at-key", f"{base}/hooks/africastalking/dlr/hook-secret", deliver_after_s=0.0
        ),
    )
    provider = AfricasTalkingProvider(
        AfricasTalkingConfig(f"http://127.0.0.1:{sandbox_port}", "payg", "at-key"), http=http_client
    )
    mega = build_mega(database, clock, entropy, provider)
    server = TestServer(make_app(mega, mega.keys), port=mega_port)
    sandbox_server = TestServer(sandbox_app(sandbox), port=sandbox_port)
    await sandbox.start()
    await mega.start()
    await mega.install_key("key", client="solarium")
    await sandbox_server.start_server()
    async with TestClient(server) as http:
        client = MegaClient(http=http_client, base_url=base, api_key="key")
        queued = await client.send(to="+256772123456", text="Your token: 123", reference="r1")
        assert (queued.status, queued.segments) == ("queued", 1)
        assert await client.send(to="+256772123456", text="other", reference="r1") == queued
        for _ in range(500):
            answer = await http.get("/v1/inbox?msisdn=%2B256772123456", headers={"X-API-Key": "key"})
            inbox = await answer.json()
            if [one["status"] for one in inbox["messages"]] == ["delivered"]:
                break
            await asyncio.sleep(0.01)
        (message,) = inbox["messages"]
        received_at = message.pop("received_at")
        assert received_at.endswith("Z")
        assert message == {
            "message_id": queued.message_id,
            "from": "",
            "to": "256772123456",
            "text": "Your token: 123",
            "status": "delivered",
        }
        assert await sandbox.received("256772123456") == ["Your token: 123"]
        with pytest.raises(Exception, match="HTTP 422"):
            await client.send(to="+260971234567", text="x")
    audit = await mega.audit()
    assert (audit.messages_by_status, audit.dead_letters) == ({"delivered": 1}, 0)
    await mega.stop()
    await sandbox.stop()
    await sandbox_server.close()
    await sandbox_database.close()


async def test_a_report_that_overtakes_the_commit_waits_for_it(database, clock, entropy):
    arrived, answer = asyncio.Event(), asyncio.Event()

    class Slow(ProviderFake):
        async def send(self, message):
            arrived.set()
            await answer.wait()
            return Accepted("id-1")

    mega = build_mega(database, clock, entropy, Slow())
    await mega.start()
    await mega.send(to="256772123456", text="x")
    await arrived.wait()
    assert await mega.report("africastalking", [Dlr("id-1", Status.DELIVERED, "Success")]) == []
    answer.set()
    await settled(mega)
    assert (await mega.audit()).messages_by_status == {"delivered": 1}
    await mega.stop()


@pytest.mark.parametrize(
    ("fate", "status", "calls", "dead"),
    [
        (Accepted("id"), "sent", 1, 0),
        (Accepted(None), "sent", 1, 0),
        (Refused("InvalidPhoneNumber"), "failed", 1, 1),
        (TimedOut("no answer within 15 s"), "unknown", 1, 1),
        (Unreachable("no connection"), "queued", 1, 0),
        (Unavailable("429"), "queued", 1, 0),
    ],
)
async def test_what_each_fate_makes_of_a_message(build, fate, status, calls, dead):
    provider = ProviderFake(fate)
    mega = build(provider)
    await mega.start()
    await mega.send(to="256772123456", text="x", sender_id="PAYG")
    await settled(mega)
    audit = await mega.audit()
    assert (audit.messages_by_status, audit.dead_letters) == ({status: 1}, dead)
    assert provider.sent == [("256772123456", "x", "PAYG")] * calls
    await mega.stop()


async def test_a_timed_out_message_is_not_sent_again_by_a_restart(database, clock, entropy):
    provider = ProviderFake(TimedOut("no answer"))
    first = build_mega(database, clock, entropy, provider)
    await first.start()
    await first.send(to="256772123456", text="x")
    await settled(first)
    await first.stop()
    clock.advance(3600)
    second = build_mega(database, clock, entropy, provider)
    await second.start()
    await second.send(to="256772123457", text="y")
    await settled(second)
    await second.stop()
    assert [to for to, _, _ in provider.sent] == ["256772123456", "256772123457"]


async def test_a_connection_that_was_never_made_is_tried_again(database, clock, entropy):
    provider = ProviderFake(Unreachable("no connection"))
    first = build_mega(database, clock, entropy, provider)
    await first.start()
    await first.send(to="256772123456", text="x")
    await settled(first)
    await first.stop()
    clock.advance(3600)
    second = build_mega(database, clock, entropy, provider)
    await second.start()
    await settled(second)
    assert (await second.audit()).messages_by_status == {"sent": 1}
    await second.stop()


async def test_a_provider_that_stays_away_fails_the_message_after_a_day(database, clock, entropy):
    assert 86_400 < sum(Policy().after_s(attempt) for attempt in range(1, ATTEMPTS)) < 100_000
    mega = build_mega(database, clock, entropy, ProviderFake(*[Unavailable("away")] * 2))
    await mega.start()
    await mega.send(to="256772123456", text="x")
    await settled(mega)
    outbox = mega._store.outbox.table
    await database.write(lambda c: c.execute(outbox.update().values(attempts=ATTEMPTS - 1)))
    await later(mega, clock, 60, times=2)
    audit = await mega.audit()
    assert (audit.messages_by_status, audit.dead_letters) == ({"failed": 1}, 1)
    await mega.stop()


async def test_killed_while_the_provider_answers_it_is_sent_at_the_next_start(database, clock, entropy):
    arrived = asyncio.Event()

    class Hanging(ProviderFake):
        async def send(self, message):
            arrived.set()
            await asyncio.Event().wait()

    first = build_mega(database, clock, entropy, Hanging())
    await first.start()
    await first.send(to="256772123456", text="x")
    await arrived.wait()
    await first.stop()
    clock.advance(60)  # where another process may share the database, the lease has to run out
    second = build_mega(database, clock, entropy, ProviderFake())
    await second.start()
    await settled(second)
    assert (await second.audit()).messages_by_status == {"sent": 1}
    await second.stop()


@pytest.mark.parametrize(
    ("to", "market", "sender"),
    [
        ("256772123456", None, "africastalking"),
        ("256772123456", "UG", "africastalking"),
        ("254722123456", None, None),  # routed to a provider that is not configured
        ("260971234567", None, None),
        ("256772123456", "ZM", None),
        ("46733123450", None, None),
    ],
)
async def test_checklist_98_routing_fails_closed(build, to, market, sender):
    provider = ProviderFake()
    mega = build(provider)
    await mega.start()
    if sender is None:
        with pytest.raises(NoRoute):
            await mega.send(to=to, text="x", market=market)
        assert (await mega.audit()).messages_by_status == {}
    else:
        await mega.send(to=to, text="x", market=market)
        await settled(mega)
        assert len(provider.sent) == 1
    await mega.stop()


async def test_fifty_sends_of_one_reference_send_once(database, clock, entropy):
    provider = ProviderFake()
    mega = build_mega(database, clock, entropy, provider)
    await mega.start()
    sends = [mega.send(to="256772123456", text="x", reference="r") for _ in range(50)]
    assert len({queued.message_id for queued in await asyncio.gather(*sends)}) == 1
    await settled(mega)
    await mega.stop()
    assert len(provider.sent) == 1


@given(st.lists(st.sampled_from(sorted(set(Status) - {Status.QUEUED, Status.UNKNOWN}))))
def test_a_final_status_never_regresses(reports):
    status, final = Status.SENT, None
    for report in reports:
        status = after_report(status, report)
        final = final or (status if status in FINAL else None)
        assert final is None or status is final

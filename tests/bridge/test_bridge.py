"""The bridge on the embedded broker, with services that implement its ports."""

import asyncio
from typing import Any

import pytest
import structlog
import uvloop
from structlog.testing import LogCapture

from bridge import paho_session
from edge.broker import EmbeddedBroker
from protocols import topics
from tests.bridge.conftest import SERIAL, FixedLogins, Item, Site

UP, DOWN, STATE = topics.up(SERIAL), topics.down(SERIAL), topics.state(SERIAL)
STATUS = topics.ops("UG", SERIAL, "status")


async def soon(awaitable: Any) -> Any:
    async with asyncio.timeout(5):
        return await awaitable


async def until(condition: Any) -> None:
    """Let the loop turn until the condition holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_a_frame_is_ingested_and_answered(site: Site):
    bridge = await site.ready_bridge()
    device, ops = await site.device(), await site.client("ops")
    await ops.subscribe("payg/v1/ops/#")
    await device.publish(UP, b"frame")
    assert (await device.next_message()).payload == b"ack frame"
    status = await ops.next_message()
    assert (status.topic, status.payload) == (STATUS, b'{"seen":"frame"}')
    assert site.services.frames == [(SERIAL, b"frame")]
    await until(lambda: bridge.counters["frames"] == 1)


async def test_a_status_is_retained_for_late_ops(site: Site):
    await site.ready_bridge()
    device = await site.device()
    await device.publish(UP, b"frame")
    await device.next_message()
    ops = await site.client("ops")
    await ops.subscribe(STATUS)
    status = await ops.next_message()
    assert (status.payload, status.retain) == (b'{"seen":"frame"}', True)


async def test_what_waits_is_one_batch_in_order(site: Site):
    site.services.open.clear()
    await site.ready_bridge()
    device = await site.device()
    await device.publish(UP, b"0")
    assert await soon(site.services.asked.get()) == 1
    for number in range(1, 300):
        device.paho.publish(UP, b"%d" % number, 1)
    for _ in range(1, 300):
        await soon(device.acknowledged.get())
    site.services.open.set()
    for number in range(300):
        assert (await device.next_message()).payload == b"ack %d" % number
    sizes = [site.services.batches.get_nowait() for _ in range(site.services.batches.qsize())]
    assert sum(sizes) == 300
    assert max(sizes) > 100
    assert [frame for _, frame in site.services.frames] == [b"%d" % number for number in range(300)]


async def test_nothing_is_acknowledged_before_the_ingest_and_comes_again(site: Site):
    site.services.open.clear()
    first = await site.ready_bridge()
    device = await site.device()
    await device.publish(UP, b"paid")
    await soon(site.services.asked.get())
    await first.stop()
    assert site.services.frames == []
    site.services.open.set()
    await site.ready_bridge()
    assert (await device.next_message()).payload == b"ack paid"
    assert site.services.frames == [(SERIAL, b"paid")]


async def test_what_is_acknowledged_does_not_come_again(site: Site):
    first = await site.ready_bridge()
    device = await site.device()
    await device.publish(UP, b"once")
    await device.next_message()
    await until(lambda: site.broker._engine is not None and not inflight(site))
    await first.stop()
    second = await site.ready_bridge()
    await device.publish(UP, b"twice")
    assert (await device.next_message()).payload == b"ack twice"
    assert [frame for _, frame in site.services.frames] == [b"once", b"twice"]
    await until(lambda: second.counters["frames"] == 1)


def inflight(site: Site) -> int:
    assert site.broker._engine is not None
    session, _ = site.broker._engine.sessions["bridge-1"]
    return session.inflight_out_count


async def test_a_failing_ingest_is_asked_again_and_leaks_nothing(site: Site):
    site.services.broken = True
    bridge = await site.ready_bridge()
    device = await site.device()
    await device.publish(UP, b"frame")
    await until(lambda: bridge.counters["ingest_failures"] >= 2)
    assert device.received.empty()
    assert inflight(site) == 1
    site.services.broken = False
    assert (await device.next_message()).payload == b"ack frame"
    assert site.services.frames == [(SERIAL, b"frame")]
    assert site.logged("ingest_failed")[0]["error"] == "ConnectionError"
    assert "secret" not in str(site.log.entries)


async def test_poison_is_counted_logged_and_dropped(site: Site):
    bridge = await site.ready_bridge()
    device = await site.device()
    await device.publish(UP, b"broken secret-bytes")
    await device.publish(UP, b"")
    await device.publish(STATE, b'{"state":"\xff","boot_id":5}')
    await device.publish(UP, b"odd")
    assert (await device.next_message()).payload == b"ack odd"
    await until(lambda: not inflight(site))
    assert (bridge.counters["refused"], bridge.counters["ignored"], bridge.counters["event_dropped"]) == (
        1,
        2,
        1,
    )
    assert [entry["reason"] for entry in site.logged("uplink_refused")] == ["bad_mac"]
    assert sorted(str(entry["reason"]) for entry in site.logged("uplink_ignored")) == [
        "bad_state",
        "empty_frame",
    ]
    assert "secret-bytes" not in str(site.log.entries)


async def test_one_poisonous_frame_stops_nobody(site: Site):
    site.services.open.clear()
    bridge = await site.ready_bridge()
    device = await site.device()
    await device.publish(UP, b"first")
    await soon(site.services.asked.get())
    frames = [b"%d" % number for number in range(20)]
    for frame in (*frames[:7], b"poison secret-bytes", *frames[7:]):
        await device.publish(UP, frame)
    site.services.open.set()
    for frame in (b"first", *frames):
        assert (await device.next_message()).payload == b"ack " + frame
    await until(lambda: not inflight(site))
    assert bridge.counters["dead_letters"] == 1
    assert [(entry["serial"], entry["reason"]) for entry in site.logged("uplink_dead_letters")] == [
        (SERIAL, "RuntimeError")
    ]
    assert "secret" not in str(site.log.entries)


async def test_states_are_reported_and_a_retained_one_reaches_a_late_bridge(site: Site):
    device = await site.device()
    await device.publish(STATE, b'{"state":"online","boot_id":7}', retain=True)
    ops = await site.client("ops")
    await ops.subscribe("payg/v1/ops/+/+/event")
    await site.ready_bridge()
    assert (await ops.next_message()).payload == b"online"
    await device.publish(STATE, b'{"state":"offline","boot_id":7}', retain=True)
    assert (await ops.next_message()).payload == b"offline"
    assert site.services.states == [(SERIAL, True, 7), (SERIAL, False, 7)]


async def test_a_feed_item_is_confirmed_after_it_is_published(site: Site):
    device, ops = await site.device(), await site.client("ops")
    await ops.subscribe("payg/v1/ops/#")
    site.feed.add(
        Item(1, SERIAL, "UG", "down", b"token"),
        Item(2, SERIAL, "UG", "payment", b"{}"),
        Item(3, SERIAL, "UG", "nonsense", b"{}"),
    )
    bridge = await site.ready_bridge()
    assert await soon(site.feed.confirmed.get()) == [1, 2, 3]
    assert (await device.next_message()).payload == b"token"
    payment = await ops.next_message()
    assert (payment.topic, payment.retain, payment.qos) == (topics.ops("UG", SERIAL, "payment"), False, 1)
    assert bridge.counters["feed_items_dropped"] == 1


async def test_nothing_is_leased_or_confirmed_without_a_broker(site: Site):
    await site.broker.stop()
    site.feed.add(Item(1, SERIAL, "UG", "down", b"token"))
    bridge = await site.bridge()
    await until(lambda: len(site.logged("mqtt_connect_failed")) >= 2)
    assert site.feed.leased.empty()
    await site.restart_broker()
    assert await soon(site.feed.confirmed.get()) == [1]
    assert bridge.counters["sessions"] == 1


async def test_a_failing_feed_is_asked_again(site: Site):
    site.feed.broken = {"lease", "confirm"}
    site.feed.add(Item(1, SERIAL, "UG", "down", b"token"))
    device = await site.device()
    bridge = await site.ready_bridge()
    assert await soon(site.feed.confirmed.get()) == [1]
    assert [(await device.next_message()).payload for _ in range(2)] == [b"token", b"token"]
    assert bridge.counters["feed_failures"] == 2


async def test_the_bridge_comes_back_after_the_broker(site: Site):
    bridge = await site.ready_bridge()
    device = await site.device()
    await site.restart_broker()
    await device.wait_gone()
    device = await site.device()
    await until(lambda: bridge.counters["sessions"] == 2)
    await device.publish(UP, b"frame")
    assert (await device.next_message()).payload == b"ack frame"


async def test_a_wrong_password_is_logged_without_it(site: Site):
    await site.bridge(password="guessed-password")
    await until(lambda: site.logged("mqtt_connect_failed"))
    assert "guessed" not in str(site.log.entries)


async def test_stop_leaves_no_task_behind(site: Site):
    before = asyncio.all_tasks()
    bridge = await site.ready_bridge()
    async with asyncio.timeout(1):
        await bridge.stop()
    await until(lambda: asyncio.all_tasks() == before)


async def test_reading_pauses_when_much_waits_and_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(paho_session, "_MAX_WAITING", 10)
    site.services.open.clear()
    bridge = await site.ready_bridge()
    device = await site.device()
    await device.publish(UP, b"0")
    await soon(site.services.asked.get())
    session = await bridge._link.session()
    for number in range(1, 200):
        device.paho.publish(UP, b"%d" % number, 1)
    for _ in range(1, 200):
        await soon(device.acknowledged.get())
    await until(lambda: len(session._waiting) == 10)
    site.services.open.set()
    await until(lambda: len(site.services.frames) == 200)
    assert [frame for _, frame in site.services.frames] == [b"%d" % number for number in range(200)]
    assert max(site.services.batches.get_nowait() for _ in range(site.services.batches.qsize())) <= 10


def test_broker_and_bridge_share_an_uvloop():
    async def scenario() -> None:
        log = structlog.wrap_logger(None, processors=[LogCapture()])
        broker = EmbeddedBroker(logins=FixedLogins(), log=log)
        site = Site(LogCapture(), broker, await broker.start())
        bridge = await site.ready_bridge()
        device = await site.device()
        await device.publish(UP, b"frame")
        assert (await device.next_message()).payload == b"ack frame"
        site.feed.add(Item(1, SERIAL, "UG", "down", b"token"))
        assert (await device.next_message()).payload == b"token"
        await bridge.stop()
        await device.close()
        await broker.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())

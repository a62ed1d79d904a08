"""How a message gets out: asking after a time-out, falling back, and telling the client of the end."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from backend.kit.errors import Unavailable
from backend.kit.http import TimedOut, Unreachable
from backend.kit.migrations import migrate
from backend.mega.delivery import ASK_AFTER_S, TRIES_EACH
from backend.mega.ports import Accepted, Dlr, Refused
from backend.mega.states import Status
from tests.backend.mega.rig import (
    CONFIG,
    PartnerFake,
    ProviderFake,
    TraceableFake,
    build_mega,
    later,
    settled,
)

KENYA, UGANDA, RWANDA = "254722123456", "256772123456", "250788123456"
HOUR_S = 3600


def known(status, word="DELIVERED_TO_HANDSET"):
    return lambda message: Dlr(message.id, status, word)


async def statuses(mega):
    return (await mega.audit()).messages_by_status


# No second send after a time-out, unless the provider was asked first


@pytest.mark.parametrize(
    ("found", "status", "sends"),
    [
        ([known(Status.DELIVERED)], "delivered", 1),
        ([known(Status.SENT, "PENDING_ACCEPTED")], "sent", 1),
        ([known(Status.FAILED, "EXPIRED")], "failed", 1),
        ([None], "sent", 2),
    ],
)
async def test_after_a_time_out_the_provider_is_asked_before_anything_is_sent(
    build, clock, found, status, sends
):
    provider = TraceableFake(TimedOut("no answer"), found=found)
    mega = build({"infobip": provider})
    await mega.start()
    queued = await mega.send(to=KENYA, text="x")
    await settled(mega)
    assert (await mega.status(queued.message_id)).status == "unknown"
    assert provider.events == ["send"]
    await later(mega, clock, ASK_AFTER_S, times=2)
    assert (await mega.status(queued.message_id)).status == status
    assert provider.events == ["send", "find", "send"][: 1 + sends]
    assert (await mega.audit()).dead_letters == 0
    await mega.stop()


async def test_nothing_is_sent_again_while_the_provider_can_not_be_asked(build, clock):
    away = [Unreachable("no connection"), TimedOut("no answer"), Unavailable("HTTP 429")]
    provider = TraceableFake(TimedOut("no answer"), found=[*away, known(Status.SENT)])
    mega = build({"infobip": provider})
    await mega.start()
    await mega.send(to=KENYA, text="x")
    await settled(mega)
    for times in range(2, 6):
        await later(mega, clock, HOUR_S, times)
    assert provider.events == ["send", "find", "find", "find", "find"]
    assert await statuses(mega) == {"sent": 1}
    await mega.stop()


async def test_a_report_settles_what_a_time_out_left_unknown(build, clock):
    provider = TraceableFake(TimedOut("no answer"))
    mega = build({"infobip": provider})
    await mega.start()
    queued = await mega.send(to=KENYA, text="x")
    await settled(mega)
    (row,) = await mega.report("infobip", [Dlr(queued.message_id, Status.DELIVERED, "DELIVERED_TO_HANDSET")])
    assert row.status is Status.DELIVERED
    await later(mega, clock, HOUR_S, times=2)
    assert provider.events == ["send"]
    await mega.stop()


async def test_killed_while_the_provider_answers_it_is_asked_at_the_next_start(database, clock, entropy):
    class Dying(TraceableFake):
        async def send(self, message):
            await super().send(message)
            raise MemoryError  # a defect: nobody knows whether it went out

    dying = Dying()
    first = build_mega(database, clock, entropy, {"infobip": dying})
    await first.start()
    await first.send(to=KENYA, text="x")
    await settled(first)
    await first.stop()
    clock.advance(HOUR_S)
    provider = TraceableFake(found=[known(Status.DELIVERED)])
    second = build_mega(database, clock, entropy, {"infobip": provider})
    await second.start()
    await settled(second)
    assert (provider.events, await statuses(second)) == (["find"], {"delivered": 1})
    await second.stop()


async def test_where_nobody_can_be_asked_an_unknown_message_stays_so(build, clock):
    africastalking, pindo = ProviderFake(TimedOut("no answer")), ProviderFake()
    mega = build({"africastalking": africastalking, "pindo": pindo})
    await mega.start()
    queued = await mega.send(to=RWANDA, text="x")
    await settled(mega)
    clock.advance(HOUR_S)
    mega._dispatcher._wake.set()
    await mega.send(to=UGANDA, text="y")
    await settled(mega, times=2)
    assert (await mega.status(queued.message_id)).status == "unknown"
    assert [to for to, _, _ in africastalking.sent] == [RWANDA, UGANDA]
    assert pindo.sent == []
    await mega.stop()


# Back-off and fallback


async def test_retry_after_is_kept(build, clock):
    provider = ProviderFake(Unavailable("HTTP 429", retry_after_s=7))
    mega = build(provider)
    await mega.start()
    await mega.send(to=UGANDA, text="x")
    await settled(mega)
    clock.advance(6.9)
    mega._dispatcher._wake.set()
    await mega.send(to="256772123457", text="y")
    await settled(mega, times=2)
    assert [text for _, text, _ in provider.sent] == ["x", "y"]
    await later(mega, clock, 0.2, times=3)
    assert [text for _, text, _ in provider.sent] == ["x", "y", "x"]
    await mega.stop()


async def test_checklist_98_rwanda_falls_back_to_pindo_when_africastalking_is_away(build, clock):
    africastalking = ProviderFake(*[Unreachable("no connection")] * TRIES_EACH)
    pindo = ProviderFake(Accepted("out_sms_1", "sent"))
    mega = build({"africastalking": africastalking, "pindo": pindo})
    await mega.start()
    queued = await mega.send(to=RWANDA, text="x")
    await settled(mega)
    for times in range(2, TRIES_EACH + 2):
        await later(mega, clock, 60, times)
    assert (len(africastalking.sent), len(pindo.sent)) == (TRIES_EACH, 1)
    (row,) = await mega.report("pindo", [Dlr("out_sms_1", Status.DELIVERED, "DELIVRD")])
    assert (row.id, row.provider, row.status) == (queued.message_id, "pindo", Status.DELIVERED)
    await mega.stop()


async def test_a_provider_that_can_be_asked_and_is_away_gives_way_too(build, clock):
    """It said each time that nothing went out, so there is nothing to ask about."""
    away = Unreachable("no connection")
    infobip = TraceableFake(away, found=[away, away])
    pindo = ProviderFake()
    routes = {"KE": ["infobip", "pindo"]}
    mega = build({"infobip": infobip, "pindo": pindo}, config=replace(CONFIG, routes=routes))
    await mega.start()
    await mega.send(to=KENYA, text="x")
    await settled(mega)
    for times in range(2, TRIES_EACH + 2):
        await later(mega, clock, 60, times)
    assert infobip.events == ["send", "find", "find"]
    assert (len(pindo.sent), await statuses(mega)) == (1, {"sent": 1})
    await mega.stop()


@pytest.mark.parametrize(
    ("to", "refused", "status", "pindo_sends"),
    [
        (RWANDA, Refused("CouldNotRoute", elsewhere=True), "sent", 1),
        (RWANDA, Refused("UserInBlacklist"), "failed", 0),
        (UGANDA, Refused("CouldNotRoute", elsewhere=True), "failed", 0),
    ],
)
async def test_checklist_98_a_refusal_of_the_providers_own_goes_to_the_next_one(
    build, to, refused, status, pindo_sends
):
    pindo = ProviderFake()
    mega = build({"africastalking": ProviderFake(refused), "pindo": pindo})
    await mega.start()
    await mega.send(to=to, text="x")
    await settled(mega, times=1 + pindo_sends)
    assert (await statuses(mega), len(pindo.sent)) == ({status: 1}, pindo_sends)
    await mega.stop()


async def test_both_providers_refuse(build):
    refused = Refused("CouldNotRoute", elsewhere=True)
    providers = {"africastalking": ProviderFake(refused), "pindo": ProviderFake(refused)}
    mega = build(providers)
    await mega.start()
    await mega.send(to=RWANDA, text="x")
    await settled(mega, times=2)
    assert [len(each.sent) for each in providers.values()] == [1, 1]
    assert await statuses(mega) == {"failed": 1}
    await mega.stop()


async def test_a_fallback_that_is_not_configured_is_no_fallback(build, clock):
    africastalking = ProviderFake(*[Unreachable("no connection")] * 5)
    mega = build({"africastalking": africastalking})
    await mega.start()
    await mega.send(to=RWANDA, text="x")
    await settled(mega)
    for times in range(2, 7):
        await later(mega, clock, 60, times)
    assert (len(africastalking.sent), await statuses(mega)) == (6, {"sent": 1})
    await mega.stop()


async def test_who_opted_out_is_sent_nothing_in_that_name(build):
    provider = ProviderFake()
    mega = build(provider)
    await mega.start()
    await mega.opt_out("+" + UGANDA, "PAYG")
    await mega.send(to=UGANDA, text="x", sender_id="PAYG")
    await settled(mega)
    await mega.send(to=UGANDA, text="y", sender_id="OTHER")
    await mega.send(to="256772123457", text="z", sender_id="PAYG")
    await settled(mega, times=3)
    assert sorted(text for _, text, _ in provider.sent) == ["y", "z"]
    assert await statuses(mega) == {"failed": 1, "sent": 2}
    await mega.stop()


# Reports


async def test_a_report_that_overtakes_another_process_is_applied_later(build, clock):
    """On PostgreSQL neither transaction may see the other: the report is looked at again."""
    mega = build(ProviderFake())
    await mega.start()
    queued = await mega.send(to=UGANDA, text="x")
    assert await mega.report("africastalking", [Dlr("id-1", Status.DELIVERED, "Success")]) == []
    await settled(mega)
    await mega._database.write(
        lambda c: mega._store.change(c, queued.message_id, {"status": "sent", "done_at_ms": None})
    )
    await later(mega, clock, 10, times=2)
    assert (await mega.status(queued.message_id)).status == "delivered"
    await mega.stop()


# Callbacks


URL = "http://127.0.0.1:9/done"


async def test_the_client_is_called_back_once_when_a_message_ends(build, clock):
    partner = PartnerFake()
    mega = build(ProviderFake(), http=partner)
    await mega.start()
    queued = await mega.send(to=UGANDA, text="x", callback_url=URL)
    await settled(mega)
    assert partner.calls == []
    await mega.report("africastalking", [Dlr("id-1", Status.SENT, "Sent")])
    for status in (Status.DELIVERED, Status.FAILED, Status.DELIVERED):
        await mega.report("africastalking", [Dlr("id-1", status, "Success")])
    await settled(mega, times=2)
    ((url, headers, body),) = partner.calls
    assert url == URL
    assert json.loads(body) == {
        "message_id": queued.message_id,
        "status": "delivered",
        "to": "+" + UGANDA,
        "delivered_at": "2025-12-01T10:10:00Z",
        "failed_at": None,
        "failure_reason": None,
        "provider_status": "Success",
    }
    assert headers["webhook-id"] == f"mega-message-{queued.message_id}"
    verifier = Webhook(b"callback-secret")
    signed = verifier.sign(headers["webhook-id"], _moment(headers["webhook-timestamp"]), body.decode())
    assert headers["webhook-signature"] == signed
    await mega.stop()


def _moment(timestamp):
    return datetime.fromtimestamp(int(timestamp), UTC)


async def test_a_callback_is_tried_eleven_times_and_then_kept(build, clock):
    partner = PartnerFake(answers=[500, TimedOut("x"), 404, *[503] * 20])
    mega = build(ProviderFake(Refused("InvalidPhoneNumber")), http=partner)
    await mega.start()
    await mega.send(to=UGANDA, text="x", callback_url=URL)
    await settled(mega, times=2)
    for times in range(3, 13):
        await later(mega, clock, 600, times)
    await later(mega, clock, HOUR_S, times=12)
    assert len(partner.calls) == 11
    assert json.loads(partner.calls[-1][2])["failure_reason"] == "InvalidPhoneNumber"
    assert (await mega.audit()).dead_letters == 2
    await mega.stop()


async def test_a_name_that_moves_inside_is_not_called(build, clock):
    partner = PartnerFake()
    mega = build(ProviderFake(Refused("x")), http=partner)
    await mega.start()
    await mega.send(to=UGANDA, text="x", callback_url="http://partner.example/")
    resolver = mega._delivery._resolver
    resolver.resolve = _private
    await settled(mega, times=2)
    assert partner.calls == []
    await mega.stop()


async def _private(_):
    return ["169.254.169.254"]


# Priority


async def test_bulk_does_not_wait_before_a_token(build, clock):
    """Each priority has a lane of its own: the kind of its outbox row."""
    mega = build(ProviderFake())
    await migrate(mega._database, "mega")
    for priority in ("low", "normal", "high"):
        await mega.take(to=UGANDA, text=priority, priority=priority)
    now_ms = clock.now_ms()
    for lane, text in {"send_high": "high", "send": "normal", "send_low": "low"}.items():
        (row,) = await mega._database.write(
            lambda c, lane=lane: mega._store.outbox.lease(c, [lane], 10, now_ms)
        )
        assert (await mega._message(row.key, ())).text == text


def test_the_configuration_shows_no_secret():
    shown = repr(CONFIG)
    assert not [secret for secret in ("pepper'", "hook-secret", "callback-secret") if secret in shown]

"""What goes wrong by chance: the shares that were asked for, the same after a restart."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from backend.kit.database import open_database
from backend.kit.http import HttpAnswer
from backend.kit.runtime import SystemClock, SystemEntropy
from simulator.providers.mailroom import Call as MailCall
from simulator.providers.mailroom import Mailroom, Sms
from simulator.providers.mishaps import NONE, Mishaps, MishapsError
from simulator.providers.mtn.sandbox import MtnSandbox, MtnSandboxConfig
from simulator.providers.mtn.store import Collection
from simulator.providers.prompts import Call as PromptCall
from simulator.providers.prompts import Prompt, Prompts

STORM = Mishaps(twice=0.2, late=0.3, lost=0.1, refused=0.05, late_s=4.0, seed=7)
KEYS = [f"key-{number}" for number in range(10_000)]


def test_the_shares_are_those_asked_for() -> None:
    copies = Counter(len(STORM.calls(key)) for key in KEYS)
    late = sum(STORM.calls(key) not in ((), (0.0,)) and len(STORM.calls(key)) == 1 for key in KEYS)
    refused = sum(STORM.refuses(key) for key in KEYS)
    for number, share in ((copies[2], 0.2), (copies[0], 0.1), (late, 0.3), (refused, 0.05)):
        assert abs(number / len(KEYS) - share) < 0.02


@given(key=st.text(max_size=40))
def test_a_call_meets_the_same_again(key: str) -> None:
    again = Mishaps(twice=0.2, late=0.3, lost=0.1, refused=0.05, late_s=4.0, seed=7)
    assert STORM.calls(key) == again.calls(key)
    assert all(0 <= after_s <= 4.0 for after_s in STORM.calls(key))
    assert (NONE.calls(key), NONE.refuses(key)) == ((0.0,), False)


def test_another_seed_is_another_storm() -> None:
    other = Mishaps(twice=0.2, late=0.3, lost=0.1, refused=0.05, late_s=4.0, seed=8)
    assert any(STORM.calls(key) != other.calls(key) for key in KEYS)


@pytest.mark.parametrize("shares", [{"twice": 0.6, "lost": 0.6}, {"refused": 1.5}, {"late": -0.1}])
def test_shares_that_cant_be_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(MishapsError, match="at most 1 together"):
        Mishaps(**shares)


class Told:
    """Stands in for the partner: how many calls came, and what they said."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def request(self, method, url, *, headers=None, body=b"", timeout_s=10.0):
        self.bodies.append(body)
        return HttpAnswer(200, {}, b"")


@pytest.fixture
async def rig(database_url):
    """What every sandbox is built of, on one database."""
    database = open_database(database_url, "sandbox")
    yield {"database": database, "clock": SystemClock(), "http": Told()}
    await database.close()


async def emptied(database, outbox):
    """Wait until everything has happened that will."""
    async with asyncio.timeout(20):
        while await database.read(lambda c: c.execute(select(outbox.table.c.id)).first()):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("mishaps", "copies"),
    [(NONE, 1), (Mishaps(twice=1, late_s=0.01), 2), (Mishaps(late=1, late_s=0.01), 1), (Mishaps(lost=1), 0)],
)
async def test_callbacks_of_every_kind_meet_it(rig, mishaps, copies):
    told = rig["http"].bodies
    call, urls = {"mishaps": mishaps, "service": "sandbox"}, "http://127.0.0.1:9/hook"
    config = MtnSandboxConfig("sub", approve_after_s=0, mishaps=mishaps)
    mtn = MtnSandbox(**rig, entropy=SystemEntropy(), config=config)
    prompts = Prompts(
        **rig,
        **call,
        entropy=SystemEntropy(),
        approve_after_s=0,
        receipt=lambda: "R1",
        tell=lambda _, prompt: [PromptCall(urls, {"status": prompt.status})],
    )
    mailroom = Mailroom(
        **rig,
        **call,
        deliver_after_s=0,
        tell=lambda _, state: MailCall(urls, "text/plain", state.value.encode()),
    )
    for sandbox, outbox, take in (
        (mtn, mtn._store.outbox, lambda: mtn.request_to_pay(collection(urls))),
        (prompts, prompts.store.outbox, lambda: prompts.take(Prompt("p1", "254722123456", "5", "a", "", 0))),
        (mailroom, mailroom.store.outbox, lambda: mailroom.take([Sms("m1", "256772123456", "PAYG", "x", 0)])),
    ):
        told.clear()
        await rig["database"].write(lambda c: c.execute(text("drop table if exists outbox")))
        await sandbox.start()
        await take()
        await emptied(rig["database"], outbox)
        await sandbox.stop()
        assert len(told) == copies, sandbox
        assert len(set(told)) <= 1


async def test_customers_say_no_by_chance_and_scripted_ones_as_scripted(rig):
    config = MtnSandboxConfig("sub", approve_after_s=0, mishaps=Mishaps(refused=1))
    mtn = MtnSandbox(**rig, entropy=SystemEntropy(), config=config)
    await mtn.start()
    for payer, reason in (("256772123456", "APPROVAL_REJECTED"), ("46733123452", "EXPIRED")):
        await mtn.request_to_pay(replace(collection(""), payer=payer, reference_id=payer))
        await emptied(rig["database"], mtn._store.outbox)
        assert (await mtn.collection(payer, "mtnuganda")).reason == reason
    await mtn.stop()


def collection(callback_url):
    return Collection(
        reference_id="r1",
        target_environment="mtnuganda",
        amount="5000",
        currency="UGX",
        external_id="e1",
        payer="256772123456",
        payer_message="",
        payee_note="",
        callback_url=callback_url,
    )

"""Providers, Solarium and momo as fakes of mega's ports."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from backend.kit.http import HttpAnswer
from backend.mega.delivery import CallbackConfig
from backend.mega.ports import Accepted
from backend.mega.service import Config, MegaService

CONFIG = Config(
    routes={"UG": ["africastalking"], "RW": ["africastalking", "pindo"], "KE": ["infobip"]},
    prefixes={"256": "UG", "250": "RW", "254": "KE"},
    master_key=bytes(32),
    dlr_secret="hook-secret",
    callbacks=CallbackConfig(secret=b"callback-secret", allowed_hosts=frozenset({"127.0.0.1"})),
    prices={"UG": 35_00},
    development=True,
)


class ProviderFake:
    """A port that deals the fates it is given, and then accepts; `sent` lists every call."""

    def __init__(self, *fates):
        self.fates = list(fates)
        self.sent = []

    async def send(self, message):
        self.sent.append((message.to, message.text, message.sender_id))
        fate = self.fates.pop(0) if self.fates else Accepted(f"id-{len(self.sent)}")
        if isinstance(fate, Exception):
            raise fate
        return fate


class TraceableFake(ProviderFake):
    """It can be asked; `found` deals the answers, and then nothing is known. `events` is what happened."""

    def __init__(self, *fates, found=()):
        super().__init__(*fates)
        self.found = list(found)
        self.events = []

    async def send(self, message):
        self.events.append("send")
        return await super().send(message)

    def id_of(self, message):
        return message.id

    async def find(self, message):
        self.events.append("find")
        answer = self.found.pop(0) if self.found else None
        if isinstance(answer, Exception):
            raise answer
        return answer(message) if isinstance(answer, Callable) else answer


@dataclass
class PartnerFake:
    """Who is called back: `calls` has (url, headers, body); `answers` deals statuses, and then 200."""

    calls: list = field(default_factory=list)
    answers: list = field(default_factory=list)

    async def request(self, method, url, *, headers=None, body=b"", timeout_s=10.0):
        self.calls.append((url, headers, body))
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return HttpAnswer(answer, {}, b"")


class ResolverFake:
    """Names and their addresses."""

    async def resolve(self, host):
        names = {"partner.example": ["93.184.216.34"], "inside.example": ["10.0.0.7"]}
        return names.get(host, [host] if host[0].isdigit() or ":" in host else [])


def build_mega(database, clock, entropy, providers, *, config=CONFIG, http=None):
    if not isinstance(providers, dict):
        providers = {"africastalking": providers}
    return MegaService(
        database=database,
        clock=clock,
        entropy=entropy,
        http=http or PartnerFake(),
        resolver=ResolverFake(),
        config=config,
        providers=providers,
    )


async def settled(service, times=1):
    """Lets the dispatcher work until it has handled `times` rows for good or for now."""
    counters = service._dispatcher.counters
    for _ in range(500):
        if sum(counters.values()) - counters["crashed"] >= times:
            await service._database.write(lambda _: None)  # comes after the commit that was counted
            await at_rest(service._dispatcher)
            return
        await asyncio.sleep(0.005)
    raise AssertionError(counters)


async def at_rest(dispatcher):
    """Nothing is in its hands; a handler that hangs is not waited for."""
    for _ in range(100):
        if not any(dispatcher._running.values()):
            return
        await asyncio.sleep(0.005)


async def later(service, clock, seconds, times):
    """Moves the clock, wakes the dispatcher, and lets it work until `times` rows were handled in all."""
    clock.advance(seconds)
    service._dispatcher._wake.set()
    await settled(service, times)


async def until(condition, what="never"):
    for _ in range(500):
        if await condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(what)

"""Customers who pay: most as a partner's application does, through momo; some through mese's menu.

Whoever gets no answer asks again with the same key, as applications and aggregators do, until there is one.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence

import aiohttp

from backend.mese.languages import LANGUAGES
from simulator.development import DeviceSeed

AGAIN_S = 0.5
ANSWER_S = 30.0
USSD_SHARE = 0.2
TOGETHER = 32  # customers at a time
MAX_DAYS = 3
NOTHING_PAID = tuple(language.texts["unavailable"] for language in LANGUAGES.values())


class Customers:
    """`answers` counts what they were told in the end; `again` how often somebody had to ask again."""

    def __init__(
        self, seeds: Sequence[DeviceSeed], rng: random.Random, *, momo: str, mese: str, momo_key: str
    ):
        self._seeds = seeds
        self._rng = rng
        self._momo = momo
        self._mese = mese
        self._headers = {"API-KEY": momo_key}
        self._room = asyncio.Semaphore(TOGETHER)
        self.answers: Counter[str] = Counter()
        self.again = 0

    async def pay(self, payments: int, *, per_s: float) -> None:
        """That many payments, at most `per_s` begun a second; returns when each has its answer."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for number in range(payments):
                await self._room.acquire()
                group.create_task(self._one(session, number))
                await asyncio.sleep(self._rng.expovariate(per_s))

    async def _one(self, session: aiohttp.ClientSession, number: int) -> None:
        seed = self._rng.choice(self._seeds)
        amount = seed.price_per_day_subunit * self._rng.randint(1, MAX_DAYS)
        amount += self._rng.choice((0, 0, 10_000))  # change that stays on the account
        try:
            if self._rng.random() < USSD_SHARE:
                await self._dial(session, seed, amount, f"storm-{number}")
            else:
                await self._order(session, seed, amount, f"storm-{number}")
        finally:
            self._room.release()

    async def _order(
        self, session: aiohttp.ClientSession, seed: DeviceSeed, amount_subunit: int, key: str
    ) -> None:
        body = {
            "reference": seed.account_reference,
            "amount_subunit": amount_subunit,
            "currency": seed.currency,
            "business_account": seed.business_account,
            "provider_key": seed.provider_key,
            "msisdn": seed.msisdn,
            "idempotency_key": key,
        }
        while True:
            status, _ = await self._ask(session, f"{self._momo}/payment", json=body, headers=self._headers)
            if status == 202:
                self.answers["momo took it"] += 1
                return
            assert status in (0, 503), status
            self.again += 1
            await asyncio.sleep(AGAIN_S)

    async def _dial(
        self, session: aiohttp.ClientSession, seed: DeviceSeed, amount_subunit: int, key: str
    ) -> None:
        """The whole menu; after "nothing was paid" a new session, after a dead line the same one again."""
        sessions = 0
        while True:
            form = {
                "sessionId": f"{key}-{sessions}",
                "phoneNumber": "+" + seed.msisdn,
                "networkCode": "64110",
                "serviceCode": "*284#",
                "text": f"1*{seed.account_reference}*{amount_subunit // 100}*1",
            }
            status, text = await self._ask(session, f"{self._mese}/ussd", data=form)
            assert status in (0, 200, 503), (status, text)
            if text.startswith("END") and not text.endswith(NOTHING_PAID):
                self.answers[text] += 1
                return
            sessions += bool(text)
            self.again += 1
            await asyncio.sleep(AGAIN_S)

    async def _ask(self, session: aiohttp.ClientSession, url: str, **body: object) -> tuple[int, str]:
        """Status and text; (0, "") when nobody answers."""
        try:
            async with asyncio.timeout(ANSWER_S), session.post(url, **body) as answer:
                return answer.status, await answer.text()
        except (TimeoutError, aiohttp.ClientError):
            return 0, ""

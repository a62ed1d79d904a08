"""One storm, from a seed: payments while services are killed, then calm, then the books."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backend.data_dir import DataDir
from backend.kit.runtime import SystemEntropy
from firmware.config import PREPAID_S
from simulator.development import device_seeds
from simulator.invariants import Verdict, judge
from simulator.providers.mishaps import Mishaps
from tests.bench.processes import postgresql
from tests.storm import books
from tests.storm.books import Books, open_books
from tests.storm.customers import Customers
from tests.storm.homes import Home, Village
from tests.storm.site import Killer, Site

LOOK_S = 1.0
DAY_S = 86_400
SLACK_S = 60.0  # the start and the end of the run


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad it is. `kill_every_s` on average; callbacks: see simulator/providers/mishaps.py."""

    payments: int
    seed: int
    devices: int
    per_s: float = 10.0
    kill_every_s: float = 4.0
    power_cut_every_s: float = 5.0
    status_interval_s: int = 3
    calm_s: float = 120.0
    twice: float = 0.2
    late: float = 0.2
    lost: float = 0.1
    refused: float = 0.03
    late_s: float = 5.0

    @property
    def mishaps(self) -> Mishaps:
        """Of the provider's callbacks."""
        return Mishaps(
            twice=self.twice,
            late=self.late,
            lost=self.lost,
            refused=self.refused,
            late_s=self.late_s,
            seed=self.seed,
        )


@dataclass(slots=True)
class Report:
    """What came of it. `wrongs` is empty, and every verdict holds, when all is well."""

    weather: Weather
    database: str
    seconds: float = 0.0
    calm_after_s: float = 0.0
    payments: Mapping[str, int] = field(default_factory=dict[str, int])
    answers: Mapping[str, int] = field(default_factory=dict[str, int])
    asked_again: int = 0
    kills: Mapping[str, int] = field(default_factory=dict[str, int])
    lives: Sequence[tuple[float, str]] = ()  # after how many seconds which service was killed
    power_cuts: int = 0
    callbacks: Mapping[str, int] = field(default_factory=dict[str, int])
    sms: tuple[int, int] = (0, 0)
    under_way: Mapping[str, int] = field(default_factory=dict[str, int])
    exits: Mapping[str, int] = field(default_factory=dict[str, int])
    defects: list[str] = field(default_factory=list[str])
    wrongs: list[str] = field(default_factory=list[str])
    verdicts: list[Verdict] = field(default_factory=list[Verdict])

    @property
    def sound(self) -> bool:
        """Whether everything that was asked of it is so."""
        dirty_ends = any(code != 0 for code in self.exits.values())
        all_hold = all(verdict.holds for verdict in self.verdicts)
        return all_hold and not (self.wrongs or self.defects or self.under_way or dirty_ends)

    def __str__(self) -> str:
        def said(counts: Mapping[str, int]) -> str:
            return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "none"

        broken = [*self.wrongs, *self.defects]
        if not self.sound:
            broken.append(
                "killed: " + ", ".join(f"{name} at {after_s:.1f} s" for after_s, name in self.lives)
            )
        lines = [
            f"storm of {self.weather.payments} payments, seed {self.weather.seed}, {self.database}, "
            f"{self.weather.devices} devices, {self.seconds:.0f} s, calm {self.calm_after_s:.0f} s later",
            f"  payments   {said(self.payments)}",
            f"  customers  {said(self.answers)}; {self.asked_again} asked again",
            f"  kills      {sum(self.kills.values())}: {said(self.kills)}; {self.power_cuts} power cuts",
            f"  callbacks  {said(self.callbacks)}",
            f"  sms        {self.sms[0]} taken, {self.sms[1]} of them repeats",
            f"  under way  {said(self.under_way)}; exit codes other than 0: "
            f"{said({name: code for name, code in self.exits.items() if code})}",
            *(
                f"  {v.number}. {'holds ' if v.holds else 'BROKEN'}  {v.name}: {v.counted}"
                for v in self.verdicts
            ),
            f"  provider, ledger and days: {'agree' if not self.wrongs else f'{len(self.wrongs)} WRONG'}",
            *(f"    {each[:500]}" for each in broken[:20]),
        ]
        return "\n".join(lines)


@asynccontextmanager
async def engine(name: str) -> AsyncIterator[str | None]:
    """The URL of a database on a PostgreSQL server of its own, or None: SQLite in the folder."""
    if name == "sqlite":
        yield None
        return
    with ExitStack() as stack:
        server = await asyncio.to_thread(stack.enter_context, postgresql())
        yield await asyncio.to_thread(server.create)


async def run(folder: Path, weather: Weather, *, database_url: str | None = None) -> Report:
    """The whole storm in `folder`."""
    rng = random.Random(weather.seed)
    report = Report(weather, "sqlite" if database_url is None else "postgresql")
    site = Site(
        folder,
        database_url=database_url,
        sandbox_options={"mtn": _options(weather)},
    )
    data_dir = DataDir(folder, ("storm",), SystemEntropy())
    seeds = device_seeds(weather.devices, bytes.fromhex(data_dir.secret("devices", 32)))
    url = database_url or f"sqlite:///{folder}"
    async with open_books(data_dir, url, site.url) as before:
        await books.install(before, seeds)
    village = Village(seeds, rng, status_interval_s=weather.status_interval_s)
    customers = Customers(
        seeds, rng, momo=site.url("momo"), mese=site.url("mese"), momo_key=data_dir.secret("momo_api_key")
    )
    try:
        await site.start()
        async with _lit(village, site, weather), open_books(data_dir, url, site.url) as now:
            await _storm(site, customers, weather, rng, report)
            await _calm(now, weather, report)
        report.exits = await site.stop()
    finally:
        await site.end()
    report.answers, report.asked_again = customers.answers, customers.again
    report.kills, report.defects = site.kills, site.defects()
    report.power_cuts = sum(home.power_cuts for home in village.homes)
    async with open_books(data_dir, url, site.url) as after:
        await _judge(after, village, report)
    return report


async def _storm(
    site: Site, customers: Customers, weather: Weather, rng: random.Random, report: Report
) -> None:
    started, paid = time.monotonic(), asyncio.Event()
    killer = Killer(site, random.Random(rng.getrandbits(32)), every_s=weather.kill_every_s)
    async with asyncio.TaskGroup() as group:
        group.create_task(killer.run(paid))
        await customers.pay(weather.payments, per_s=weather.per_s)
        paid.set()
    report.seconds, report.lives = time.monotonic() - started, killer.lives


async def _calm(now: Books, weather: Weather, report: Report) -> None:
    """Until nothing is under way any more, `calm_s` at most."""
    started = time.monotonic()
    while True:
        report.under_way = await books.under_way(now)
        report.calm_after_s = time.monotonic() - started
        if not report.under_way or report.calm_after_s > weather.calm_s:
            break
        await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def _lit(village: Village, site: Site, weather: Weather) -> AsyncIterator[None]:
    """The homes live while this is open."""
    life = asyncio.create_task(village.live(site.url("m2m"), power_cut_every_s=weather.power_cut_every_s))
    try:
        yield
        assert not life.done(), "a device failed"
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


async def _judge(after: Books, village: Village, report: Report) -> None:
    rows = await after.rows("momo", "select state, count(*) from payments group by state")
    report.payments = {str(state): int(str(number)) for state, number in rows}
    report.callbacks = await books.callbacks(after, report.weather.mishaps)
    report.sms = await books.sms_twice(after)
    report.wrongs = await books.wrongs(after, [home.seed for home in village.homes])
    granted = (await after.m2m.audit()).days_granted
    report.wrongs += [
        f"{home.seed.serial}: {home.controller.credit_s} s of light for {days} days"
        for home in village.homes
        if not _fits(home, days := granted.get(home.seed.serial, 0), report)
    ]
    lamps = [home.lamp() for home in village.homes]
    report.verdicts = judge(await books.picture(after, lamps, sum(report.kills.values())))


def _fits(home: Home, days: int, report: Report) -> bool:
    """Whether a device has the light of its days: less what has passed, and what its power cuts cost."""
    longest_s = report.seconds + report.calm_after_s + SLACK_S + PREPAID_S * home.power_cuts
    return days * DAY_S - longest_s <= home.controller.credit_s <= days * DAY_S


def _options(weather: Weather) -> list[str]:
    shares = ("twice", "late", "lost", "refused")
    given = [text for name in shares for text in (f"--{name}", str(getattr(weather, name)))]
    return [*given, "--late-by", str(weather.late_s), "--seed", str(weather.seed)]

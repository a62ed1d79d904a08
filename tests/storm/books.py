"""The end of a storm: everybody's own audit (simulator/invariants.py), and all books against the provider's.

Nothing runs any more: the databases are opened as the services themselves open them, and only read.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, text

from backend import build
from backend.build import Site as Workplace
from backend.data_dir import DataDir
from backend.kit import master
from backend.kit.database import Database, open_database
from backend.kit.http import AiohttpClient
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.m2m.client import M2mClient
from backend.m2m.ports import SystemResolver
from backend.m2m.service import M2mService
from backend.mega.client import MegaClient
from backend.mega.service import MegaService
from backend.mese.followup import FOLLOW_UP
from backend.mese.languages import LANGUAGES
from backend.momo.service import MomoService
from backend.moto.client import MotoClient
from backend.moto.service import MotoService
from backend.solarium.client import SolariumClient
from backend.solarium.orders import Partners
from backend.solarium.service import Solarium
from simulator import development
from simulator.development import DeviceSeed
from simulator.invariants import Lamp, Picture
from simulator.providers.mishaps import Mishaps

TARGETS = {"mtnuganda": "ug_mtn_mobilemoney", "mtnrwanda": "rw_mtn_mobilemoney"}
BOOKS = ("solarium", "momo", "mega", "m2m", "moto")
PENDING = tuple(language.texts["pending"] for language in LANGUAGES.values())
Money = tuple[str, str, int, str]


@dataclass(frozen=True, slots=True)
class Books:
    """The services whose books count, over their databases; not started."""

    solarium: Solarium
    momo: MomoService
    mega: MegaService
    m2m: M2mService
    moto: MotoService
    database: Callable[[str], Database]

    async def rows(self, service: str, query: str) -> list[tuple[object, ...]]:
        """What a query of one database gives."""

        def read(connection: Connection) -> list[tuple[object, ...]]:
            return [tuple(row) for row in connection.execute(text(query))]

        return await self.database(service).read(read)

    async def number(self, service: str, query: str) -> int:
        """What a counting query gives."""
        return int(str((await self.rows(service, query))[0][0]))


@asynccontextmanager
async def open_books(
    data_dir: DataDir, database_url: str, url_of: Callable[[str], str]
) -> AsyncIterator[Books]:
    """The services as `payg serve` builds them, all in this process."""
    databases: dict[str, Database] = {}
    http = AiohttpClient()

    def database(name: str) -> Database:
        if name not in databases:
            databases[name] = open_database(database_url, name)
        return databases[name]

    key = master.master_key_of(data_dir.secret("master_key"))
    roots = {name: await master.root_key(database(name), name, key, SystemEntropy()) for name in BOOKS}
    workplace = Workplace(
        clock=SystemClock(),
        entropy=SystemEntropy(),
        http=http,
        callback_http=http,
        resolver=SystemResolver(),
        database=database,
        root_key=roots.__getitem__,
        secret=data_dir.secret,
        rsa_key=data_dir.rsa_key,
        url_of=url_of,
        provider_url=lambda _: "",
        development=True,
    )
    yield _books(workplace, database)
    for each in databases.values():
        await each.close()
    await http.close()


def _books(site: Workplace, database: Callable[[str], Database]) -> Books:
    def key(name: str) -> str:
        return site.secret(f"{name}_api_key")

    sms = MegaClient(http=site.http, base_url=site.url_of("mega"), api_key=key("mega"))
    moto = MotoClient(http=site.http, base_url=site.url_of("moto"), api_key=key("moto"))
    m2m = M2mClient(http=site.http, base_url=site.url_of("m2m"), api_key=key("m2m"))
    partners = Partners(tokens=moto, devices=m2m, commands=m2m, sms=sms)
    billing = SolariumClient(http=site.http, base_url=site.url_of("solarium"), api_key=key("solarium"))
    return Books(
        solarium=build.build_solarium(site, partners),
        momo=build.build_momo(site, billing),
        mega=build.build_mega(site),
        m2m=build.build_m2m(site, sms, moto),
        moto=build.build_moto(site),
        database=database,
    )


async def install(books: Books, seeds: Sequence[DeviceSeed]) -> None:
    """Accounts and devices, before any service runs."""
    for service in (books.moto, books.m2m, books.solarium):
        await service.start()
    await development.install(seeds, solarium=books.solarium, moto=books.moto, m2m=books.m2m)
    for service in (books.moto, books.m2m, books.solarium):
        await service.stop()


async def under_way(books: Books) -> dict[str, int]:
    """What is not at its end yet, by name."""
    counts = {
        "payments": ("momo", "select count(*) from payments where state not in ('confirmed','failed')"),
        "pushes": ("sandbox_mtn", "select count(*) from collections where status = 'PENDING'"),
        "orders": ("solarium", "select count(*) from token_orders where state != 'replied'"),
        "commands": ("m2m", "select count(*) from commands where state in ('created','sent')"),
        "sms": ("mega", "select count(*) from messages where status in ('queued','unknown')"),
        **{f"outbox of {name}": (name, _OUTBOX) for name in ("solarium", "momo", "mega", "m2m", "mese")},
    }
    return {name: number for name, query in counts.items() if (number := await books.number(*query))}


# What the bridge would fetch for MQTT waits for ever: there is none here.
_OUTBOX = "select count(*) from outbox where state = 'waiting' and kind not in ('down', 'ops', 'payment')"


async def picture(books: Books, lamps: list[Lamp], kills: int) -> Picture:
    """For simulator.invariants.judge."""
    solarium = await books.solarium.audit()
    return Picture(
        replied_days={serial: replied for serial, (_, replied) in solarium.days_by_device.items()},
        m2m=await books.m2m.audit(),
        solarium=solarium,
        momo=await books.momo.audit(),
        mega=await books.mega.audit(),
        lamps=lamps,
        broker={},
        starts=kills + 1,
        clean_stops=0,
    )


async def wrongs(books: Books, seeds: Sequence[DeviceSeed]) -> list[str]:
    """Everything in which the books and the provider differ, or a customer's days do not add up."""
    found: list[str] = []
    taken, booked = await _taken(books), await _booked(books)
    found += [f"taken, not booked: {money}" for money in taken - booked]
    found += [f"booked, not taken (so often): {money}" for money in booked - taken]
    confirmed = Counter(
        _money(row)
        for row in await books.rows(
            "momo",
            "select provider_tx, provider_key, paid_subunit, paid_currency from payments"
            " where state = 'confirmed'",
        )
    )
    found += [f"momo and solarium differ: {money}" for money in (confirmed - booked) + (booked - confirmed)]
    suspense = await books.number("solarium", "select count(*) from payments where account_id is null")
    if suspense:
        found.append(f"{suspense} payments in suspense")
    return found + await _untold(books) + await _wrong_days(books, seeds)


async def _untold(books: Books) -> list[str]:
    """Who was told "pending" on the line has a payment in momo, or an SMS that there is none."""
    keys = {key for (key,) in await books.rows("momo", "select idempotency_key from payments")}
    told = {reference for (reference,) in await books.rows("mega", "select reference from messages")}
    query = "select s.id, s.payment_key, h.answer from sessions s join hops h on h.session_id = s.id"
    return [
        f"session {session} hears nothing of its payment"
        for session, key, answer in await books.rows("mese", query)
        if str(answer).endswith(PENDING) and key not in keys and f"ref:{FOLLOW_UP}:{session}" not in told
    ]


async def _wrong_days(books: Books, seeds: Sequence[DeviceSeed]) -> list[str]:
    """Of each account: days sold x price + balance = what was paid; its device was granted those days."""
    paid = dict(
        await books.rows(
            "solarium",
            "select a.reference, cast(sum(p.amount_subunit) as bigint) from payments p"
            " join accounts a on a.id = p.account_id group by a.reference",
        )
    )
    balances = dict(await books.rows("solarium", "select reference, balance_subunit from accounts"))
    sold = (await books.solarium.audit()).days_by_device
    granted = (await books.m2m.audit()).days_granted
    found: list[str] = []
    for seed in seeds:
        amount, balance = int(str(paid.get(seed.account_reference, 0))), balances[seed.account_reference]
        days, change = divmod(amount, seed.price_per_day_subunit)
        here = (sold.get(seed.serial, (0, 0))[0], granted.get(seed.serial, 0), balance)
        if here != (days, days, change):
            found.append(f"{seed.serial}: sold, granted, change are {here}, not {(days, days, change)}")
    return found


async def _taken(books: Books) -> Counter[Money]:
    """What the provider took from customers."""
    rows = await books.rows(
        "sandbox_mtn",
        "select financial_transaction_id, target_environment, amount, currency from collections"
        " where status = 'SUCCESSFUL'",
    )
    return Counter(
        (str(tx), TARGETS[str(target)], int(str(amount)) * 100, str(currency))
        for tx, target, amount, currency in rows
    )


async def _booked(books: Books) -> Counter[Money]:
    rows = await books.rows(
        "solarium", "select provider_tx, provider_key, amount_subunit, currency from payments"
    )
    return Counter(_money(row) for row in rows)


def _money(row: Sequence[object]) -> Money:
    tx, key, amount, currency = row
    return str(tx), str(key), int(str(amount)), str(currency)


async def callbacks(books: Books, mishaps: Mishaps) -> Mapping[str, int]:
    """What the provider's callbacks met: once, twice, late, never; and who said no."""
    counted = Counter[str]()
    for reference, status in await books.rows("sandbox_mtn", "select reference_id, status from collections"):
        calls = mishaps.calls(str(reference))
        counted[{0: "never", 2: "twice"}.get(len(calls), "once" if calls == (0.0,) else "late")] += 1
        counted["refused by the customer"] += status == "FAILED"
    return counted


async def sms_twice(books: Books) -> tuple[int, int]:
    """Short messages that the aggregator took, and how many of them were the same once more."""
    rows = await books.rows("sandbox_africastalking", "select number, text from short_messages")
    return len(rows), len(rows) - len(set(rows))

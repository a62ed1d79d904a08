"""mega over real HTTP to all three sandboxes: every script of a number, and customers who write."""

import asyncio
from collections import Counter

import pytest
from aiohttp.test_utils import TestClient, TestServer

from backend.kit.database import open_database
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.mega.desk import Partners
from backend.mega.providers.africastalking import AfricasTalkingConfig, AfricasTalkingProvider
from backend.mega.providers.infobip import InfobipConfig, InfobipProvider
from backend.mega.providers.pindo import PindoConfig, PindoProvider
from backend.mega.routes import make_app
from simulator.providers.africastalking.routes import make_app as africastalking_app
from simulator.providers.africastalking.sandbox import AfricasTalkingConfig as AtSandboxConfig
from simulator.providers.africastalking.sandbox import AfricasTalkingSandbox
from simulator.providers.infobip.routes import make_app as infobip_app
from simulator.providers.infobip.sandbox import InfobipSandbox, InfobipSandboxConfig
from simulator.providers.pindo.routes import make_app as pindo_app
from simulator.providers.pindo.sandbox import PindoSandbox, PindoSandboxConfig
from tests.backend.mega.rig import build_mega, until
from tests.backend.mega.test_desk import Account, MomoFake, SolariumFake
from tests.ports import next_port


class SkippingClock(SystemClock):
    """The machine's clock, and what it was moved on."""

    def __init__(self):
        self.skipped_ms = 0

    def now_ms(self):
        return super().now_ms() + self.skipped_ms


@pytest.fixture
async def site(database_url, database, http_client):
    """mega, and the three sandboxes behind its adapters."""
    clock, entropy = SkippingClock(), SystemEntropy()
    port = next_port()
    hook = f"http://127.0.0.1:{port}/hooks"

    def parts(name):
        sandbox = open_database(database_url, name)
        return {"database": sandbox, "clock": SystemClock(), "entropy": entropy, "http": http_client}

    africastalking = AfricasTalkingSandbox(
        **parts("sandbox_at"),
        config=AtSandboxConfig(
            "payg",
            "key",
            f"{hook}/africastalking/dlr/hook-secret",
            f"{hook}/africastalking/inbound/hook-secret",
            deliver_after_s=0.0,
        ),
    )
    infobip = InfobipSandbox(
        **parts("sandbox_ib"),
        config=InfobipSandboxConfig("key", f"{hook}/infobip/inbound/hook-secret", deliver_after_s=0.0),
    )
    pindo = PindoSandbox(
        **parts("sandbox_pindo"), config=PindoSandboxConfig("token", f"{hook}/pindo/dlr/hook-secret", 0.0)
    )
    servers = [
        TestServer(app)
        for app in (africastalking_app(africastalking), infobip_app(infobip), pindo_app(pindo))
    ]
    for server in servers:
        await server.start_server()
    at_url, ib_url, pindo_url = (str(server.make_url("/")).rstrip("/") for server in servers)
    mega = build_mega(
        database,
        clock,
        entropy,
        {
            "africastalking": AfricasTalkingProvider(
                AfricasTalkingConfig(at_url, "payg", "key"), http=http_client
            ),
            "infobip": InfobipProvider(
                InfobipConfig(ib_url, "key", f"{hook}/infobip/dlr/hook-secret"), http=http_client
            ),
            "pindo": PindoProvider(PindoConfig(pindo_url, "token"), http=http_client),
        },
    )
    mega.clock = clock
    mega.sandboxes = {"africastalking": africastalking, "infobip": infobip, "pindo": pindo}
    mega.attend(
        Partners(
            accounts=SolariumFake(owned={("254722123456", "KE"): [Account(currency="KES")]}),
            payments=MomoFake(),
        )
    )
    await mega.start()
    for sandbox in mega.sandboxes.values():
        await sandbox.start()
    async with TestClient(TestServer(make_app(mega, mega.keys), port=port)):
        yield mega
        for sandbox in mega.sandboxes.values():
            await sandbox.stop()
            await sandbox.mailroom._database.close()
        await mega.stop()
    for server in servers:
        await server.close()


async def ends(mega, number, status, seconds=0):
    """Send to a number until its message has a status; the clock moves on by `seconds` again and again."""
    queued = await mega.send(to=number, text="Hello")

    async def there():
        mega.clock.skipped_ms += seconds * 1000
        mega._dispatcher._wake.set()
        return (await mega.status(queued.message_id)).status == status

    await until(there, (number, await mega.status(queued.message_id)))
    return await mega._message(queued.message_id, ())


async def copies(mega, number):
    return Counter({name: len(await each.mailroom.received(number)) for name, each in mega.sandboxes.items()})


@pytest.mark.parametrize(
    ("number", "status", "copies_at"),
    [
        ("254722123456", "delivered", {"infobip": 1}),
        ("254700000031", "failed", {}),
        ("254700000034", "failed", {"infobip": 1}),
        ("254700000035", "failed", {"infobip": 1}),
        ("254700000036", "sent", {"infobip": 1}),
        ("254700000037", "delivered", {"infobip": 1}),
        ("254700000041", "delivered", {"infobip": 1}),
        ("254700000042", "delivered", {"infobip": 1}),
        ("254700000043", "delivered", {"infobip": 1}),
        ("256772123456", "delivered", {"africastalking": 1}),
        ("256700000032", "failed", {}),
        ("256700000041", "unknown", {"africastalking": 1}),
        ("256700000043", "unknown", {}),
        ("250788123456", "delivered", {"africastalking": 1}),
        ("250700000034", "failed", {"africastalking": 1}),
        ("250700000041", "unknown", {"africastalking": 1}),
    ],
)
async def test_checklist_98_every_script_ends_as_it_should_and_nothing_is_sent_twice(
    site, number, status, copies_at
):
    await ends(site, number, status, seconds=1 if number[-3:] in ("041", "042", "043") else 0)
    assert await copies(site, number) == Counter(copies_at)


async def test_checklist_98_rwanda_goes_through_pindo_when_africastalking_has_gone(site, http_client):
    at = site._delivery._providers["africastalking"]
    at._config = AfricasTalkingConfig(f"http://127.0.0.1:{next_port()}", "payg", "key")
    row = await ends(site, "250788123456", "delivered", seconds=1)
    assert (row.provider, row.provider_status) == ("pindo", "DELIVRD")
    assert await copies(site, "250788123456") == Counter({"pindo": 1})


async def test_a_report_in_the_wrong_order_does_not_regress(site):
    row = await ends(site, "256700000038", "delivered")

    async def both():
        reports = await site._database.read(
            lambda c: site._store.reports_of(c, "africastalking", row.provider_message_id)
        )
        return len(reports) == 2

    await until(both)
    assert (await site.status(row.id)).status == "delivered"


async def test_checklist_96_a_customer_who_writes_bal_is_answered(site):
    await site.sandboxes["infobip"].inbound(sender="254722123456", to="8008", text="Bal")

    async def answered():
        return await site.sandboxes["infobip"].mailroom.received("254722123456")

    await until(answered)
    assert await answered() == ["Account 254543: 3 days left, balance KES 1,200."]
    await asyncio.gather(
        *(
            site.sandboxes["africastalking"].inbound(sender="256772000000", to="8008", text=text)
            for text in ("hello", "TOKEN")
        )
    )

    async def told():
        return await site.sandboxes["africastalking"].received("256772000000")

    await until(told)
    assert await told() == ["This number has no account with us."]

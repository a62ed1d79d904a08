"""Rows of the checklist on the gateway: where a provider_key leads to, how long a key is kept."""

import asyncio
import base64
import json
from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from aiohttp.test_utils import TestClient, TestServer

from backend.kit import rsa
from backend.kit.http import HttpAnswer, Unreachable
from backend.momo.routes import make_app
from backend.momo.service import Config, MomoService
from backend.money import MTN_TARGETS, build_money
from backend.settings import ServeSettings
from simulator.clock import SeededEntropy

KEY = {"API-KEY": "key"}
RSA_KEY = rsa.new_key()
# Checklist 2 and 4: whose money each key moves, in which currency, and at which host it is asked for.
PROVIDERS = {
    "ug_mtn_mobilemoney": ("UGX", "mtn"),
    "ke_safaricom_mpesa": ("KES", "daraja"),
    "ke_equity_eazzypay": ("KES", "equity"),
    "tz_halotel_halopesa": ("TZS", "halopesa"),
    "ug_airtel_money": ("UGX", "airtel"),
    "rw_mtn_mobilemoney": ("RWF", "mtn"),
    "zm_mtn_mobilemoney": ("ZMW", "mtn"),
}


ZAMBIA = "5f1f7a5e-6f0b-4d53-9a86-0d9c9f0c6a10"  # an API user


class Recorder:
    """An HTTP port to which nobody answers; `asked` has the hosts that were called, and the headers."""

    def __init__(self):
        self.asked = asyncio.Queue()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
    ) -> HttpAnswer:
        self.asked.put_nowait((url.split("/")[2].removesuffix("_auth"), headers or {}))
        raise Unreachable("nobody is there")


@pytest.fixture
async def recorder():
    return Recorder()


@pytest.fixture
def settings(monkeypatch):
    """With MTN in Zambia beside the defaults (resolutions 24)."""
    monkeypatch.setenv("PAYG_MTN_TARGETS", json.dumps({**MTN_TARGETS, "ZM": "mtnzambia"}))
    monkeypatch.setenv("PAYG_MTN_API_USERS", json.dumps({"ZM": ZAMBIA}))
    return ServeSettings(_env_file=None)


@pytest.fixture
async def client(database, clock, billing, recorder, settings):
    """momo with every provider."""
    site = SimpleNamespace(  # a MoneySite
        clock=clock,
        entropy=SeededEntropy(1),
        http=recorder,
        biller=settings.biller(),
        secret=lambda name: settings.secret_of(name) or "00" * 16,
        rsa_key=lambda _: RSA_KEY,
        provider_url=lambda name: f"http://{name}",
    )
    money = build_money(site)
    momo = MomoService(
        database=database,
        clock=clock,
        entropy=site.entropy,
        config=Config("http://momo", b"pepper"),
        billing=billing,
        providers=money.providers,
    )
    await momo.start()
    await momo.install_key("key", client="mese")
    async with TestClient(TestServer(make_app(momo, momo.keys))) as client:
        yield client
    await momo.stop()


def body(provider_key: str, currency: str) -> dict[str, object]:
    return {
        "reference": "254543",
        "currency": currency,
        "business_account": "paybill",
        "provider_key": provider_key,
        "amount_subunit": 5000_00,
        "msisdn": "256772123456",
        "idempotency_key": "k",
    }


@pytest.mark.parametrize(("provider_key", "place"), PROVIDERS.items())
async def test_checklist_2_4_6_a_provider_key_leads_to_its_provider(client, recorder, provider_key, place):
    currency, host = place
    other = "KES" if currency != "KES" else "UGX"
    refused = await client.post("/payment", json=body(provider_key, other), headers=KEY)
    assert refused.status == 422
    assert recorder.asked.empty()
    taken = await client.post("/payment", json=body(provider_key, currency), headers=KEY)
    assert taken.status == 202
    asked, headers = await asyncio.wait_for(recorder.asked.get(), 10)
    assert asked == host
    if provider_key == "zm_mtn_mobilemoney":
        assert headers["X-Target-Environment"] == "mtnzambia"
        user = base64.b64decode(headers["Authorization"].removeprefix("Basic "))
        assert user.startswith(f"{ZAMBIA}:".encode())


@pytest.mark.parametrize("provider_key", ["zz_nobody_knows", "ug_mtn_other", "bj_mtn_mobilemoney"])
async def test_checklist_6_a_key_that_leads_nowhere_is_refused(client, recorder, provider_key):
    refused = await client.post("/payment", json=body(provider_key, "UGX"), headers=KEY)
    assert refused.status == 422
    assert recorder.asked.empty()


async def test_checklist_102_an_idempotency_key_is_good_for_more_than_three_days(client, clock):
    wanted = body("ug_mtn_mobilemoney", "UGX")
    first = await (await client.post("/payment", json=wanted, headers=KEY)).json()
    clock.advance(73 * 3600)
    again = await (await client.post("/payment", json=wanted, headers=KEY)).json()
    assert again["payment_id"] == first["payment_id"]


async def test_checklist_103_a_key_in_the_url_is_no_key(client):
    answer = await client.post("/payment?API-KEY=key&api_key=key", json=body("ug_mtn_mobilemoney", "UGX"))
    assert answer.status == 401

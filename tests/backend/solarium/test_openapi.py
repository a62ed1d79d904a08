"""Solarium keeps its own document: schemathesis asks, a real service answers. Its examples work."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import requests
from aiohttp import web

from backend.kit.database import open_database
from backend.solarium.routes import make_app
from backend.solarium.service import Solarium
from simulator.clock import ManualClock, SeededEntropy
from tests.backend import contract
from tests.backend.conftest import START_MS
from tests.backend.solarium.fakes import API_KEY, CALLBACK_SECRET, FakePartners, account, make_service

CLIENT = {"client_id": "development", "client_secret": "development-secret"}
KNOWN = {
    "reference": "254543",
    "currency": "UGX",
    "business_account": "600100",
    "provider_key": "ug_mtn_mobilemoney",
    "amount_subunit": 450_000,
    "amount": 5000,
    "market": "UG",
    "msisdn": "256772100000",
    "plan": "Home 50",
    "identifier": "SCBLNX/A/BT/240300126005",
    "validation_id": None,
    **CLIENT,
}


class Patient(ManualClock):
    """Each look at it is a hundredth of a second later, so that no rate limit is ever reached."""

    def now_ms(self) -> int:
        self.advance(0.01)
        return super().now_ms()


def sign(body: bytes) -> Mapping[str, str]:
    """As M2M does."""
    signed = f"id-1.{START_MS // 1000}.".encode() + body
    digest = base64.b64encode(hmac.digest(CALLBACK_SECRET, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": "id-1",
        "webhook-timestamp": str(START_MS // 1000),
        "webhook-signature": f"v1,{digest}",
    }


def app_in(folder: Path, clock: ManualClock) -> contract.App:
    @asynccontextmanager
    async def app() -> AsyncIterator[web.Application]:
        database = open_database(f"sqlite:///{folder}", "solarium")
        service = make_service(database, clock, SeededEntropy(1), FakePartners())
        await service.start()
        await prepare(service)
        yield make_app(service, service.keys)
        await service.stop()
        await database.close()

    return app


async def prepare(service: Solarium) -> None:
    """What the examples stand on: an account with a device, and a payment in suspense."""
    await service.register_accounts([account(msisdn="256772100000", device="SCBLNX/A/BT/240300126005")])
    await service.install_key(API_KEY, client="momo")
    await service.install_client(CLIENT["client_id"], CLIENT["client_secret"])
    await service.confirm(
        reference="nobody's",
        amount_subunit=450_000,
        currency="UGX",
        sender_phone_number="256772100009",
        provider_tx="MP0",
        provider_key="ug_mtn_mobilemoney",
        momoep_id="1",
        business_account="600100",
        received_at="2025-12-01T10:00:00Z",
    )


def test_the_service_keeps_its_document(tmp_path: Path) -> None:
    with contract.served(app_in(tmp_path, Patient(START_MS))) as url:
        token = requests.post(f"{url}/api/auth/token", json=CLIENT, timeout=10).json()["access_token"]
        headers = {"API-KEY": API_KEY, "Authorization": f"Bearer {token}"}
        contract.run(contract.document_of(url), headers=headers, known=KNOWN, sign=sign)


def test_the_examples_work(tmp_path: Path) -> None:
    with contract.served(app_in(tmp_path, ManualClock(START_MS))) as url:
        token = requests.post(f"{url}/api/auth/token", json=CLIENT, timeout=10).json()["access_token"]
        variables = {"KEY": API_KEY, "ACCESS_TOKEN": token, "CLIENT_SECRET": CLIENT["client_secret"]}
        refused = {"POST /m2m/callback/{order_id}": 404}
        contract.curl(url, variables, refused=refused, sign=sign)

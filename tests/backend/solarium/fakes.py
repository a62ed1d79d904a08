"""Solarium's partners as fakes that remember what they were asked for, and the things that tests pay with."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.kit.database import Database
from backend.kit.errors import BackendError
from backend.solarium.orders import Partners
from backend.solarium.service import NewAccount, Solarium, SolariumConfig
from simulator.clock import ManualClock, SeededEntropy

API_KEY = "key-of-momo"
CALLBACK_SECRET = b"shared with m2m, 32 bytes long.."
UG = {"currency": "UGX", "business_account": "600100", "provider_key": "ug_mtn_mobilemoney"}
PRICE = 50_000  # subunits a day: 500 UGX


@dataclass(frozen=True)
class FakeToken:
    digits: str
    sequence_number: int


@dataclass
class FakeDevices:
    """M2M's registry."""

    keys: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    failing: list[BackendError] = field(default_factory=list)

    async def register(self, *, serial: str, market: str, link_key_hex: str, password: str) -> None:
        if self.failing:
            raise self.failing.pop(0)
        self.keys.setdefault(serial, (market, link_key_hex, password))


@dataclass
class FakePartners:
    """Moto, M2M and Mega: each call is answered once, the same reference again with the first answer."""

    tokens_made: dict[str, FakeToken] = field(default_factory=dict)
    orders: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    commands: dict[str, dict[str, object]] = field(default_factory=dict)
    messages: dict[str, dict[str, str]] = field(default_factory=dict)
    registered: dict[str, tuple[str, str, str, int | None]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    failing: dict[str, list[BackendError]] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    devices: FakeDevices = field(default_factory=FakeDevices)

    def called(self, what: str) -> None:
        self.calls.append(what)
        self.changed.set()
        if self.failing.get(what):
            raise self.failing[what].pop(0)

    async def order(self, *, device: str, command: str, payload: int, reference: str) -> FakeToken:
        self.called("order")
        self.orders.setdefault(reference, (device, command, payload))
        number = len(self.tokens_made) + 1
        return self.tokens_made.setdefault(reference, FakeToken(str(42_744_348 + number), number))

    async def register(
        self, *, serial: str, secret_hex: str, family: str, market: str, starting_code: int | None
    ) -> None:
        self.called("register")
        self.registered.setdefault(serial, (secret_hex, family, market, starting_code))

    async def create(
        self, *, identifier: str, name: str, details: Mapping[str, str], callback_url: str, reference: str
    ) -> str:
        self.called("create")
        command = {"identifier": identifier, "name": name, "details": dict(details), "url": callback_url}
        self.commands.setdefault(reference, command)
        return f"TOKEN: {details['unlock_code']}"

    async def send(self, *, to: str, text: str, market: str, reference: str) -> None:
        self.called("send")
        self.messages.setdefault(reference, {"to": to, "text": text, "market": market})

    async def until(self, count: int, what: str) -> None:
        """Wait for the count-th call of `what`."""
        async with asyncio.timeout(10):
            while self.calls.count(what) < count:
                self.changed.clear()
                await self.changed.wait()


def account(reference: str = "254543", **changes: object) -> NewAccount:
    """An account on the plan of 500 UGX a day."""
    fields: dict[str, object] = {
        "reference": reference,
        "market": "UG",
        "customer_name": "John Doe",
        "msisdn": "256700000001",
        "device": f"SCBLNX/A/BT/{reference}",
        "price_per_day_subunit": PRICE,
        **UG,
        **changes,
    }
    return NewAccount(**fields)  # type: ignore[arg-type]


def payment(tx: str = "MP1", **changes: object) -> dict[str, Any]:
    """A confirm_payment body: 2.5 days for account 254543."""
    return {
        "reference": "254543",
        "amount_subunit": 125_000,
        "sender_phone_number": "256700000001",
        "provider_tx": tx,
        "momoep_id": "77",
        "received_at": "2025-12-01T10:30:00Z",
        **UG,
        **changes,
    }


def make_service(
    database: Database, clock: ManualClock, entropy: SeededEntropy, partners: FakePartners
) -> Solarium:
    return Solarium(
        database=database,
        clock=clock,
        entropy=entropy,
        config=SolariumConfig(
            master_key=bytes(32),
            callback_base="http://solarium.test/base/",
            callback_secret=CALLBACK_SECRET,
        ),
        partners=Partners(tokens=partners, devices=partners.devices, commands=partners, sms=partners),
    )


async def confirm(service: Solarium, tx: str = "MP1", **changes: object) -> None:
    assert await service.confirm(**payment(tx, **changes))


async def settled(service: Solarium, **states: int) -> None:
    """Wait until the orders are in these states and nothing is left to hand over."""
    async with asyncio.timeout(10):
        while True:
            audit = await service.audit()
            if {state: count for state, count in audit.orders.items() if count} == states:
                return
            await asyncio.sleep(0.005)

"""Every sandbox by its name: for `payg up` all in one process (world.py), or one alone.

A sandbox has a service, an application, and the credentials that it takes, under the provider's own names.
They follow from the same secrets as the services' own adapters, so that the two meet. `GET /` of a sandbox
says what it takes, and what it does with which numbers. alone.py runs one for `payg sandbox`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Protocol

from aiohttp import web

from backend.kit import rsa
from backend.kit.database import Database
from backend.kit.http import HttpClient
from backend.kit.runtime import Clock, Entropy
from backend.money import Biller, mtn_api_user
from backend.sms import AFRICASTALKING_USER
from simulator.providers import (
    africastalking,
    airtel,
    daraja,
    equity,
    halopesa,
    infobip,
    mishaps,
    mtn,
    pindo,
    script,
    sms_script,
)
from simulator.providers.africastalking.routes import make_app as africastalking_app
from simulator.providers.africastalking.sandbox import AfricasTalkingConfig, AfricasTalkingSandbox
from simulator.providers.airtel.routes import make_app as airtel_app
from simulator.providers.airtel.sandbox import AirtelSandbox, AirtelSandboxConfig
from simulator.providers.daraja.routes import make_app as daraja_app
from simulator.providers.daraja.sandbox import DarajaSandbox, DarajaSandboxConfig, Urls
from simulator.providers.equity.routes import make_app as equity_app
from simulator.providers.equity.sandbox import EquitySandbox, EquitySandboxConfig
from simulator.providers.halopesa.routes import make_app as halopesa_app
from simulator.providers.halopesa.sandbox import HalopesaSandbox, HalopesaSandboxConfig
from simulator.providers.infobip.routes import make_app as infobip_app
from simulator.providers.infobip.sandbox import InfobipSandbox, InfobipSandboxConfig
from simulator.providers.mishaps import NONE, Mishaps
from simulator.providers.mtn.routes import make_app as mtn_app
from simulator.providers.mtn.sandbox import MtnSandbox, MtnSandboxConfig
from simulator.providers.mtn.store import ApiUser
from simulator.providers.pindo.routes import make_app as pindo_app
from simulator.providers.pindo.sandbox import PindoSandbox, PindoSandboxConfig

_SOURCE = re.compile(r"\s\((?:spec/[^)]*|[\w/]+\.py)\)|, [\w/]+\.py")  # who reads a page has only it


class SandboxService(Protocol):
    """What every sandbox offers."""

    async def start(self) -> None:
        """Create what is missing and resume what is under way."""
        ...

    async def stop(self) -> None:
        """Stop at once."""
        ...


@dataclass(frozen=True, slots=True)
class Bench:
    """What sandboxes are built of. `host`: where their partner listens; `url_of`: its services' base URLs.

    `hooks`: addresses of calls that go somewhere else, by their names in HOOKS.
    """

    clock: Clock
    entropy: Entropy
    http: HttpClient
    database: Callable[[str], Database]
    secret: Callable[[str], str] = field(repr=False)
    rsa_key: Callable[[str], str] = field(repr=False)
    url_of: Callable[[str], str]
    host: str
    approve_after_s: float
    biller: Biller = field(default_factory=Biller)
    mishaps: Mishaps = NONE
    hooks: Mapping[str, str] = field(repr=False, default_factory=dict[str, str])

    def hook(self, name: str, default: str) -> str:
        """Where calls of a name go."""
        return self.hooks.get(name, default)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One sandbox, not started yet."""

    service: SandboxService
    app: web.Application
    credentials: Mapping[str, object] = field(repr=False)


def build_sandbox(name: str, bench: Bench) -> Sandbox:
    """The sandbox of that name, one of SANDBOXES."""
    sandbox = SANDBOXES[name](bench)
    parts = [_SOURCE.sub("", module.__doc__ or "") for module in ABOUT[name]]
    about = "\n".join([*parts, f"Here: --approve-after {bench.approve_after_s} {bench.mishaps}", ""])

    async def tell(_: web.Request) -> web.Response:
        return web.Response(text=about)

    sandbox.app.router.add_get("/", tell)
    return sandbox


def _daraja(bench: Bench) -> Sandbox:
    secret, short_code = bench.secret, bench.biller.short_code
    hook, last = f"{bench.url_of('momo')}/hooks/ke/c2b", secret("daraja_c2b_secret")
    sandbox = DarajaSandbox(
        database=bench.database("sandbox_daraja"),
        clock=bench.clock,
        entropy=bench.entropy,
        http=bench.http,
        config=DarajaSandboxConfig(
            consumer_key=secret("daraja_consumer_key"),
            consumer_secret=secret("daraja_consumer_secret"),
            passkey=secret("daraja_passkey"),
            short_code=short_code,
            approve_after_s=bench.approve_after_s,
            mishaps=bench.mishaps,
            urls=Urls(
                validation=bench.hook("validation", f"{hook}/v/{last}"),
                confirmation=bench.hook("confirmation", f"{hook}/c/{last}"),
            ),
            pull=True,
        ),
    )
    credentials = {
        "consumer_key": secret("daraja_consumer_key"),
        "consumer_secret": secret("daraja_consumer_secret"),
        "passkey": secret("daraja_passkey"),
        "short_code": short_code,
    }
    return Sandbox(sandbox, daraja_app(sandbox), credentials)


def _mtn(bench: Bench) -> Sandbox:
    """The first market's API user stands at the top, every market's under its target environment."""
    secret = bench.secret
    users = {
        target: ApiUser(
            mtn_api_user(secret(f"mtn_{market.lower()}_api_user")),
            target,
            bench.host,
            secret(f"mtn_{market.lower()}_api_key"),
        )
        for market, target in bench.biller.mtn_targets.items()
    }
    sandbox = MtnSandbox(
        database=bench.database("sandbox_mtn"),
        clock=bench.clock,
        entropy=bench.entropy,
        http=bench.http,
        config=MtnSandboxConfig(
            subscription_key=secret("mtn_subscription_key"),
            users=list(users.values()),
            approve_after_s=bench.approve_after_s,
            mishaps=bench.mishaps,
        ),
    )
    credentials: dict[str, dict[str, object]] = {
        target: {
            "api_user": user.api_user,
            "api_key": user.api_key,
            "subscription_key": secret("mtn_subscription_key"),
            "target_environment": target,
        }
        for target, user in users.items()
    }
    first = next(iter(credentials.values()), None) or {}
    return Sandbox(sandbox, mtn_app(sandbox), {**first, **credentials})


def _airtel(bench: Bench) -> Sandbox:
    secret = bench.secret
    sandbox = AirtelSandbox(
        database=bench.database("sandbox_airtel"),
        clock=bench.clock,
        entropy=bench.entropy,
        http=bench.http,
        config=AirtelSandboxConfig(
            client_id=secret("airtel_client_id"),
            client_secret=secret("airtel_client_secret"),
            callback_url=bench.hook(
                "callback", f"{bench.url_of('momo')}/hooks/airtel/{secret('airtel_hook_secret')}"
            ),
            approve_after_s=bench.approve_after_s,
            mishaps=bench.mishaps,
        ),
    )
    credentials = {
        "client_id": secret("airtel_client_id"),
        "client_secret": secret("airtel_client_secret"),
        "country": "UG",
        "currency": "UGX",
    }
    return Sandbox(sandbox, airtel_app(sandbox), credentials)


def _equity(bench: Bench) -> Sandbox:
    secret, biller = bench.secret, bench.biller
    private_key = bench.rsa_key("equity_private_key")
    sandbox = EquitySandbox(
        database=bench.database("sandbox_equity"),
        clock=bench.clock,
        entropy=bench.entropy,
        http=bench.http,
        config=EquitySandboxConfig(
            api_key=secret("equity_api_key"),
            merchant_code=biller.merchant_code,
            consumer_secret=secret("equity_consumer_secret"),
            account_number=biller.account_number,
            public_key=rsa.public_pem(private_key),
            ipn_url=bench.hook("ipn", f"{bench.url_of('momo')}/hooks/ke/ipn"),
            ipn_username=biller.ipn_username,
            ipn_password=secret("equity_ipn_password"),
            approve_after_s=bench.approve_after_s,
            mishaps=bench.mishaps,
        ),
    )
    credentials = {
        "api_key": secret("equity_api_key"),
        "merchant_code": biller.merchant_code,
        "consumer_secret": secret("equity_consumer_secret"),
        "account_number": biller.account_number,
        "private_key": private_key,
        "till": biller.till,
    }
    return Sandbox(sandbox, equity_app(sandbox), credentials)


def _halopesa(bench: Bench) -> Sandbox:
    secret = bench.secret
    config = HalopesaSandboxConfig(
        app_name=bench.biller.app_name,
        client_id=secret("halopesa_client_id"),
        client_secret=secret("halopesa_client_secret"),
        api_key=secret("halopesa_api_key"),
        approve_after_s=bench.approve_after_s,
        mishaps=bench.mishaps,
    )
    sandbox = HalopesaSandbox(
        database=bench.database("sandbox_halopesa"),
        clock=bench.clock,
        entropy=bench.entropy,
        http=bench.http,
        config=config,
    )
    credentials = {
        "app_name": config.app_name,
        "client_id": config.client_id,
        "client_secret": config.client_secret,
        "api_key": config.api_key,
    }
    return Sandbox(sandbox, halopesa_app(sandbox), credentials)


def _africastalking(bench: Bench) -> Sandbox:
    secret = bench.secret
    sandbox = AfricasTalkingSandbox(
        database=bench.database("sandbox_africastalking"),
        clock=bench.clock,
        entropy=bench.entropy,
        http=bench.http,
        config=AfricasTalkingConfig(
            username=AFRICASTALKING_USER,
            api_key=secret("africastalking_api_key"),
            dlr_url=_sms_hook(bench, "africastalking/dlr"),
            inbound_url=_sms_hook(bench, "africastalking/inbound"),
            optout_url=_sms_hook(bench, "africastalking/optout"),
            mishaps=bench.mishaps,
        ),
    )
    credentials = {"username": AFRICASTALKING_USER, "api_key": secret("africastalking_api_key")}
    return Sandbox(sandbox, africastalking_app(sandbox), credentials)


def _infobip(bench: Bench) -> Sandbox:
    api_key = bench.secret("infobip_api_key")
    sandbox = InfobipSandbox(
        database=bench.database("sandbox_infobip"),
        clock=bench.clock,
        entropy=bench.entropy,
        http=bench.http,
        config=InfobipSandboxConfig(
            api_key=api_key, inbound_url=_sms_hook(bench, "infobip/inbound"), mishaps=bench.mishaps
        ),
    )
    return Sandbox(sandbox, infobip_app(sandbox), {"api_key": api_key})


def _pindo(bench: Bench) -> Sandbox:
    token = bench.secret("pindo_token")
    sandbox = PindoSandbox(
        database=bench.database("sandbox_pindo"),
        clock=bench.clock,
        entropy=bench.entropy,
        http=bench.http,
        config=PindoSandboxConfig(token=token, dlr_url=_sms_hook(bench, "pindo/dlr"), mishaps=bench.mishaps),
    )
    return Sandbox(sandbox, pindo_app(sandbox), {"token": token})


def _sms_hook(bench: Bench, path: str) -> str:
    default = f"{bench.url_of('mega')}/hooks/{path}/{bench.secret('mega_dlr_secret')}"
    return bench.hook(path.rpartition("/")[2], default)


SANDBOXES: Mapping[str, Callable[[Bench], Sandbox]] = {
    "daraja": _daraja,
    "mtn": _mtn,
    "airtel": _airtel,
    "equity": _equity,
    "halopesa": _halopesa,
    "africastalking": _africastalking,
    "infobip": _infobip,
    "pindo": _pindo,
}

# Calls to addresses that a partner registers with the provider; where there are none, requests name theirs.
HOOKS: Mapping[str, tuple[str, ...]] = {
    "daraja": ("validation", "confirmation"),
    "mtn": (),
    "airtel": ("callback",),
    "equity": ("ipn",),
    "halopesa": (),
    "africastalking": ("dlr", "inbound", "optout"),
    "infobip": ("inbound",),
    "pindo": ("dlr",),
}
# What `GET /` of each one tells.
ABOUT: Mapping[str, tuple[ModuleType, ...]] = {
    "daraja": (daraja, script, mishaps),
    "mtn": (mtn, mishaps),
    "airtel": (airtel, script, mishaps),
    "equity": (equity, script, mishaps),
    "halopesa": (halopesa, script, mishaps),
    "africastalking": (africastalking, sms_script, mishaps),
    "infobip": (infobip, sms_script, mishaps),
    "pindo": (pindo, sms_script, mishaps),
}

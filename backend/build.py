"""What each service is built of. The composition roots (main.py, simulator/world.py) hand in the ports.

money.py has the providers of mobile money, sms.py those of short messages.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from backend.hub.service import Hub
from backend.hub.service import Partners as HubPartners
from backend.kit.database import Database
from backend.kit.http import HttpClient
from backend.kit.runtime import Clock, Entropy
from backend.kit.vault import Vault
from backend.kit.webhooks import LOOPBACK
from backend.m2m.ports import Counts, Resolver
from backend.m2m.ports import Sms as DeviceSms
from backend.m2m.service import M2mConfig, M2mService
from backend.mega.delivery import CallbackConfig
from backend.mega.service import Config as MegaConfig
from backend.mega.service import MegaService
from backend.mese.ports import Accounts, Payments, Sms
from backend.mese.service import MeseService
from backend.momo.ports import Billing
from backend.momo.schedule import Plan
from backend.momo.service import Config as MomoConfig
from backend.momo.service import MomoService
from backend.money import Biller, build_money
from backend.moto.service import MotoConfig, MotoService
from backend.sms import PREFIXES, SmsRouting, build_sms
from backend.solarium.orders import Partners
from backend.solarium.service import Solarium, SolariumConfig

# Whose key each service's first API key is. References are counted by client, so these names stay.
CALLERS = {
    "solarium": "momo",
    "momo": "mese",
    "moto": "solarium",
    "m2m": "solarium",
    "mega": "solarium",
    "hub": "partner",
}
SERVICES = (*CALLERS, "mese")


@dataclass(frozen=True, slots=True)
class Site:
    """What the services of one process share.

    `secret`, `rsa_key` (PEM), `url_of` and `provider_url` take a name; `database` and `root_key` (which seals
    what the database keeps) a service's. `callback_http` reaches public addresses and `callback_hosts`.
    """

    clock: Clock
    entropy: Entropy
    http: HttpClient
    callback_http: HttpClient
    resolver: Resolver
    database: Callable[[str], Database]
    root_key: Callable[[str], bytes] = field(repr=False)
    secret: Callable[[str], str] = field(repr=False)
    rsa_key: Callable[[str], str] = field(repr=False)
    url_of: Callable[[str], str]
    provider_url: Callable[[str], str]
    development: bool
    callback_hosts: frozenset[str] = LOOPBACK
    biller: Biller = field(default_factory=Biller)
    sms: SmsRouting = field(default_factory=SmsRouting)
    reconcile: Plan = field(default_factory=Plan)


def build_moto(site: Site) -> MotoService:
    """Moto needs nobody."""
    config = MotoConfig(master_key=site.root_key("moto"))
    return MotoService(database=site.database("moto"), clock=site.clock, entropy=site.entropy, config=config)


def build_m2m(site: Site, sms: DeviceSms, counts: Counts) -> M2mService:
    """M2M reaches silent devices by `sms`, and asks `counts` for the numbers of lost ones.

    Its callbacks may go to loopback in development.
    """
    return M2mService(
        database=site.database("m2m"),
        clock=site.clock,
        entropy=site.entropy,
        config=M2mConfig(
            master_key=site.root_key("m2m"),
            webhook_secret=bytes.fromhex(site.secret("webhook_secret")),
            allowed_callback_hosts=site.callback_hosts,
            billing_url=f"{site.url_of('solarium')}/api/m2m/events",
        ),
        http=site.http,
        callback_http=site.callback_http,
        resolver=site.resolver,
        sms=sms,
        counts=counts,
    )


def build_mega(site: Site) -> MegaService:
    """Mega and its SMS providers; its callbacks go to public addresses, or to `callback_hosts`.

    It answers customers once `attend` has told it whom to ask.
    """
    return MegaService(
        database=site.database("mega"),
        clock=site.clock,
        entropy=site.entropy,
        config=MegaConfig(
            routes=site.sms.routes,
            prefixes=PREFIXES,
            sender_ids=site.sms.sender_ids,
            prices=site.sms.prices,
            master_key=site.root_key("mega"),
            dlr_secret=site.secret("mega_dlr_secret"),
            callbacks=CallbackConfig(
                secret=bytes.fromhex(site.secret("webhook_secret")),
                allowed_hosts=site.callback_hosts,
            ),
            development=site.development,
        ),
        http=site.callback_http,
        resolver=site.resolver,
        providers=build_sms(site),
    )


def build_solarium(site: Site, partners: Partners) -> Solarium:
    """Solarium orders tokens, commands and short messages of `partners`."""
    return Solarium(
        database=site.database("solarium"),
        clock=site.clock,
        entropy=site.entropy,
        config=SolariumConfig(
            master_key=site.root_key("solarium"),
            callback_base=site.url_of("solarium"),
            callback_secret=bytes.fromhex(site.secret("webhook_secret")),
        ),
        partners=partners,
    )


def build_momo(site: Site, billing: Billing) -> MomoService:
    """Momo and its providers."""
    money = build_money(site)
    return MomoService(
        database=site.database("momo"),
        clock=site.clock,
        entropy=site.entropy,
        config=MomoConfig(
            callback_base_url=site.url_of("momo"),
            pepper=Vault(site.root_key("momo"), "momo", site.entropy).pepper,
            reconcile=site.reconcile,
        ),
        billing=billing,
        providers=money.providers,
        paybills=money.paybills,
        shared_hooks=money.shared_hooks,
        statements=money.statements,
    )


def build_mese(site: Site, payments: Payments, accounts: Accounts, sms: Sms) -> MeseService:
    """Mese walks its menus, pays through `payments`, asks for `accounts`, tells late failures by `sms`."""
    return MeseService(
        database=site.database("mese"),
        clock=site.clock,
        entropy=site.entropy,
        payments=payments,
        accounts=accounts,
        sms=sms,
    )


def build_hub(site: Site, partners: HubPartners) -> Hub:
    """The hub, on top of `partners`."""
    return Hub(
        database=site.database("hub"),
        clock=site.clock,
        pepper=Vault(site.root_key("hub"), "hub", site.entropy).pepper,
        partners=partners,
    )

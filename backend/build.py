"""What each service is built of. The composition roots (main.py, simulator/world.py) hand in the ports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from backend.kit.database import Database
from backend.kit.http import HttpClient
from backend.kit.runtime import Clock, Entropy
from backend.kit.vault import Vault
from backend.m2m.ports import Resolver
from backend.m2m.service import M2mConfig, M2mService
from backend.mega.ports import SmsProvider
from backend.mega.providers.africastalking import AfricasTalkingConfig, AfricasTalkingProvider
from backend.mega.service import Config as MegaConfig
from backend.mega.service import MegaService
from backend.mese.ports import Payments, Sms
from backend.mese.service import MeseService
from backend.momo.ports import Billing, Provider
from backend.momo.providers.mtn import MtnConfig, MtnProvider
from backend.momo.service import Config as MomoConfig
from backend.momo.service import MomoService
from backend.moto.service import MotoConfig, MotoService
from backend.solarium.orders import Partners
from backend.solarium.service import Solarium, SolariumConfig

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MTN_TARGETS = {"UG": "mtnuganda", "RW": "mtnrwanda"}
MTN_PROVIDERS = {"ug_mtn_mobilemoney": ("UG", "UGX"), "rw_mtn_mobilemoney": ("RW", "RWF")}
# Whose key each service's first API key is. References are counted by client, so these names stay.
CALLERS = {"solarium": "momo", "momo": "mese", "moto": "solarium", "m2m": "solarium", "mega": "solarium"}
SMS_ROUTES = {"UG": "africastalking", "RW": "africastalking"}  # resolutions 22; others fail closed
PREFIXES = {"256": "UG", "250": "RW", "254": "KE", "255": "TZ"}
AFRICASTALKING_USER = "payg"


@dataclass(frozen=True, slots=True)
class Site:
    """What the services of one process share. `secret` and `url_of` take a name, `database` a service's."""

    clock: Clock
    entropy: Entropy
    http: HttpClient
    resolver: Resolver
    database: Callable[[str], Database]
    secret: Callable[[str], str] = field(repr=False)
    url_of: Callable[[str], str]
    mtn_base_url: str
    africastalking_base_url: str
    development: bool

    @property
    def master_key(self) -> bytes:
        """Seals what the databases keep."""
        return bytes.fromhex(self.secret("master_key"))

    def mtn_api_user(self, market: str) -> str:
        """The API user of a market at MTN: a UUID."""
        return str(UUID(self.secret(f"mtn_{market.lower()}_api_user")))

    def mtn_api_key(self, market: str) -> str:
        """Its API key."""
        return self.secret(f"mtn_{market.lower()}_api_key")


def build_moto(site: Site) -> MotoService:
    """Moto needs nobody."""
    config = MotoConfig(master_key=site.master_key)
    return MotoService(database=site.database("moto"), clock=site.clock, entropy=site.entropy, config=config)


def build_m2m(site: Site) -> M2mService:
    """M2M needs nobody; its callbacks may go to loopback in development."""
    return M2mService(
        database=site.database("m2m"),
        clock=site.clock,
        entropy=site.entropy,
        config=M2mConfig(
            master_key=site.master_key,
            webhook_secret=bytes.fromhex(site.secret("webhook_secret")),
            allowed_callback_hosts=LOOPBACK if site.development else frozenset(),
        ),
        http=site.http,
        resolver=site.resolver,
    )


def build_mega(site: Site) -> MegaService:
    """Mega and its SMS providers."""
    provider: SmsProvider = AfricasTalkingProvider(
        AfricasTalkingConfig(
            base_url=site.africastalking_base_url,
            username=AFRICASTALKING_USER,
            api_key=site.secret("africastalking_api_key"),
        ),
        http=site.http,
    )
    return MegaService(
        database=site.database("mega"),
        clock=site.clock,
        entropy=site.entropy,
        config=MegaConfig(
            routes=SMS_ROUTES,
            prefixes=PREFIXES,
            pepper=Vault(site.master_key, "mega", site.entropy).pepper,
            dlr_secret=site.secret("mega_dlr_secret"),
            development=site.development,
        ),
        providers={"africastalking": provider},
    )


def build_solarium(site: Site, partners: Partners) -> Solarium:
    """Solarium orders tokens, commands and short messages of `partners`."""
    return Solarium(
        database=site.database("solarium"),
        clock=site.clock,
        entropy=site.entropy,
        config=SolariumConfig(
            master_key=site.master_key,
            callback_base=site.url_of("solarium"),
            callback_secret=bytes.fromhex(site.secret("webhook_secret")),
        ),
        partners=partners,
    )


def build_momo(site: Site, billing: Billing) -> MomoService:
    """Momo and its providers."""
    providers: Mapping[str, Provider] = {
        provider_key: MtnProvider(
            MtnConfig(
                base_url=site.mtn_base_url,
                target_environment=MTN_TARGETS[market],
                currency=currency,
                api_user=site.mtn_api_user(market),
                api_key=site.mtn_api_key(market),
                subscription_key=site.secret("mtn_subscription_key"),
            ),
            http=site.http,
            clock=site.clock,
        )
        for provider_key, (market, currency) in MTN_PROVIDERS.items()
    }
    return MomoService(
        database=site.database("momo"),
        clock=site.clock,
        entropy=site.entropy,
        config=MomoConfig(
            callback_base_url=site.url_of("momo"), pepper=Vault(site.master_key, "momo", site.entropy).pepper
        ),
        billing=billing,
        providers=providers,
    )


def build_mese(site: Site, payments: Payments, sms: Sms) -> MeseService:
    """Mese walks its menus, pays through `payments` and tells late failures by `sms`."""
    return MeseService(
        database=site.database("mese"),
        clock=site.clock,
        entropy=site.entropy,
        payments=payments,
        sms=sms,
    )

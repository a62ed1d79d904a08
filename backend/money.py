"""What momo asks for money through: each provider's adapter by provider_key, and who calls it unasked.

A provider key's market is its first two letters (resolutions 24). Every market routes by this table; a key
that stands nowhere here is refused. build.py hands the result to momo.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from backend.kit.http import HttpClient
from backend.kit.runtime import Clock, Entropy
from backend.momo.ports import Paybill, Provider, SharedHook, Statements
from backend.momo.providers.airtel import AirtelConfig, AirtelProvider
from backend.momo.providers.daraja import DarajaConfig, DarajaProvider
from backend.momo.providers.daraja_c2b import DarajaC2b, DarajaC2bConfig
from backend.momo.providers.equity import EquityConfig, EquityProvider
from backend.momo.providers.equity_ipn import EquityIpn, EquityIpnConfig
from backend.momo.providers.halopesa import HalopesaConfig, HalopesaProvider
from backend.momo.providers.mtn import MtnConfig, MtnProvider

# MTN's target environments by market; configuration may name others of MTN_CURRENCIES (resolutions 24, 25).
MTN_TARGETS = {"UG": "mtnuganda", "RW": "mtnrwanda"}
MTN_CURRENCIES = {"BJ": "XOF", "CI": "XOF", "NG": "NGN", "RW": "RWF", "UG": "UGX", "ZM": "ZMW"}
DARAJA, AIRTEL = "ke_safaricom_mpesa", "ug_airtel_money"
EQUITY, HALOPESA = "ke_equity_eazzypay", "tz_halotel_halopesa"


@dataclass(frozen=True)  # without slots: settings.py reads the defaults off the class
class Biller:
    """What the providers know us by, besides secrets. `short_code` and `till` are business accounts.

    `mtn_targets`: the markets, of MTN_CURRENCIES, whose MTN is asked, with its target environments.
    """

    short_code: str = "174379"  # at Daraja
    merchant_code: str = "0000000001"  # at Jenga
    account_number: str = "0000000000001"
    merchant_name: str = "payg"
    till: str = "247247"  # EazzyPay
    ipn_username: str = "equity"
    app_name: str = "payg"  # at AzamPay
    mtn_targets: Mapping[str, str] = field(default_factory=lambda: dict(MTN_TARGETS))


class MoneySite(Protocol):
    """What of a site the providers are built from. `secret`, `rsa_key` and `provider_url` take a name."""

    @property
    def clock(self) -> Clock: ...
    @property
    def entropy(self) -> Entropy: ...
    @property
    def http(self) -> HttpClient: ...
    @property
    def biller(self) -> Biller: ...
    def secret(self, name: str, /) -> str: ...
    def rsa_key(self, name: str, /) -> str: ...
    def provider_url(self, name: str, /) -> str: ...


@dataclass(frozen=True, slots=True)
class Money:
    """Providers and statements by provider_key, paybills and shared hooks by their hook."""

    providers: Mapping[str, Provider]
    paybills: Mapping[str, Paybill]
    shared_hooks: Mapping[str, SharedHook]
    statements: Mapping[str, Statements]


def build_money(site: MoneySite) -> Money:
    """All providers of all markets."""
    airtel, daraja = _airtel(site), _daraja(site)
    providers: dict[str, Provider] = {
        **{f"{market.lower()}_mtn_mobilemoney": _mtn(site, market) for market in site.biller.mtn_targets},
        DARAJA: daraja,
        AIRTEL: airtel,
        EQUITY: _equity(site),
        HALOPESA: _halopesa(site),
    }
    c2b = DarajaC2bConfig(provider_key=DARAJA, secret=site.secret("daraja_c2b_secret"))
    ipn = EquityIpnConfig(
        provider_key=EQUITY,
        business_account=site.biller.till,
        username=site.biller.ipn_username,
        password=site.secret("equity_ipn_password"),
    )
    paybills: dict[str, Paybill] = {DarajaC2b.hook: DarajaC2b(c2b), EquityIpn.hook: EquityIpn(ipn)}
    return Money(providers, paybills, {airtel.hook: airtel}, {DARAJA: daraja})


def mtn_api_user(secret: str) -> str:
    """The API user that a secret stands for: a UUID."""
    return str(UUID(secret))


def _mtn(site: MoneySite, market: str) -> MtnProvider:
    config = MtnConfig(
        base_url=site.provider_url("mtn"),
        target_environment=site.biller.mtn_targets[market],
        currency=MTN_CURRENCIES[market],
        api_user=mtn_api_user(site.secret(f"mtn_{market.lower()}_api_user")),
        api_key=site.secret(f"mtn_{market.lower()}_api_key"),
        subscription_key=site.secret("mtn_subscription_key"),
    )
    return MtnProvider(config, http=site.http, clock=site.clock)


def _daraja(site: MoneySite) -> DarajaProvider:
    config = DarajaConfig(
        base_url=site.provider_url("daraja"),
        short_code=site.biller.short_code,
        consumer_key=site.secret("daraja_consumer_key"),
        consumer_secret=site.secret("daraja_consumer_secret"),
        passkey=site.secret("daraja_passkey"),
    )
    return DarajaProvider(config, http=site.http, clock=site.clock)


def _airtel(site: MoneySite) -> AirtelProvider:
    config = AirtelConfig(
        base_url=site.provider_url("airtel"),
        country="UG",
        currency="UGX",
        msisdn_prefix="256",
        client_id=site.secret("airtel_client_id"),
        client_secret=site.secret("airtel_client_secret"),
        hook_secret=site.secret("airtel_hook_secret"),
    )
    return AirtelProvider(config, http=site.http, clock=site.clock, entropy=site.entropy)


def _equity(site: MoneySite) -> EquityProvider:
    config = EquityConfig(
        base_url=site.provider_url("equity"),
        merchant_code=site.biller.merchant_code,
        account_number=site.biller.account_number,
        merchant_name=site.biller.merchant_name,
        api_key=site.secret("equity_api_key"),
        consumer_secret=site.secret("equity_consumer_secret"),
        private_key=site.rsa_key("equity_private_key"),
    )
    return EquityProvider(config, http=site.http, clock=site.clock)


def _halopesa(site: MoneySite) -> HalopesaProvider:
    config = HalopesaConfig(
        base_url=site.provider_url("halopesa"),
        auth_url=site.provider_url("halopesa_auth"),
        app_name=site.biller.app_name,
        client_id=site.secret("halopesa_client_id"),
        client_secret=site.secret("halopesa_client_secret"),
        api_key=site.secret("halopesa_api_key"),
    )
    return HalopesaProvider(config, http=site.http, clock=site.clock)

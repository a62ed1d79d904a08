"""What a development world starts with: devices, customers and accounts in four markets.

Everything follows from the number of a device, its secrets from one random master secret of the data
directory, so a second start finds the devices of the first. `install` enters them in the services.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from backend.m2m.service import M2mService
from backend.money import Biller
from backend.moto.service import MotoService
from backend.solarium.service import NewAccount, Solarium
from protocols.tokens.openpaygo import derive_starting_code

FIRST_SERIAL = 240300126005
FIRST_REFERENCE = 254543
FAMILY = "moto"
FIRST_NAMES = ("John Doe", "Amina Nakato", "Grace Uwase", "Peter Okello", "Claudine Mukamana", "Joseph Ssali")


@dataclass(frozen=True, slots=True)
class MarketSeed:
    """What the devices of one market share."""

    market: str
    currency: str
    business_account: str
    provider_key: str
    msisdn_prefix: str
    price_per_day_subunit: int  # multiples of 100: customers type whole units


MARKETS = (
    MarketSeed("UG", "UGX", "600100", "ug_mtn_mobilemoney", "25677210", 150_000),
    MarketSeed("RW", "RWF", "400200", "rw_mtn_mobilemoney", "25078830", 50_000),
)
# Every provider of money has a paying customer; the business accounts in Kenya are our numbers there.
EVERY_PROVIDER = (
    *MARKETS,
    MarketSeed("KE", "KES", Biller.short_code, "ke_safaricom_mpesa", "25471210", 5_000),
    MarketSeed("TZ", "TZS", "500300", "tz_halotel_halopesa", "25562210", 100_000),
    MarketSeed("UG", "UGX", "600200", "ug_airtel_money", "25675210", 150_000),
    MarketSeed("KE", "KES", Biller.till, "ke_equity_eazzypay", "25476310", 5_000),
)


@dataclass(frozen=True, slots=True)
class DeviceSeed:
    """One device and the family that pays for it. Secrets are hex."""

    serial: str
    market: str
    token_family: str
    secret: str
    link_key: str
    password: str
    starting_code: int
    account_reference: str
    business_account: str
    currency: str
    provider_key: str
    msisdn: str
    price_per_day_subunit: int
    customer_name: str


def device_seeds(
    number: int, master_secret: bytes, markets: Sequence[MarketSeed] = MARKETS
) -> list[DeviceSeed]:
    """The first `number` devices, their markets taking turns."""
    return [_device_seed(index, master_secret, markets[index % len(markets)]) for index in range(number)]


async def install(
    seeds: Sequence[DeviceSeed], *, solarium: Solarium, moto: MotoService, m2m: M2mService
) -> None:
    """Enter accounts and devices; what is there already stays as it is."""
    await solarium.register_accounts([_account(seed) for seed in seeds])
    for seed in seeds:
        await moto.register(
            serial=seed.serial,
            secret_hex=seed.secret,
            family=seed.token_family,
            market=seed.market,
            starting_code=None,
        )
        await m2m.register(
            serial=seed.serial, market=seed.market, link_key_hex=seed.link_key, password=seed.password
        )


def _device_seed(index: int, master_secret: bytes, market: MarketSeed) -> DeviceSeed:
    serial = f"SCBLNX/A/BT/{FIRST_SERIAL + index}"

    def secret(label: str) -> bytes:
        return hmac.new(master_secret, f"{serial}:{label}".encode(), hashlib.sha256).digest()[:16]

    return DeviceSeed(
        serial=serial,
        market=market.market,
        token_family=FAMILY,
        secret=secret("token").hex(),
        link_key=secret("link").hex(),
        password=secret("password").hex(),
        starting_code=derive_starting_code(secret("token")),
        account_reference=str(FIRST_REFERENCE + index),
        business_account=market.business_account,
        currency=market.currency,
        provider_key=market.provider_key,
        msisdn=f"{market.msisdn_prefix}{index:04d}",
        price_per_day_subunit=market.price_per_day_subunit,
        customer_name=FIRST_NAMES[index % len(FIRST_NAMES)],
    )


def _account(seed: DeviceSeed) -> NewAccount:
    return NewAccount(
        reference=seed.account_reference,
        business_account=seed.business_account,
        provider_key=seed.provider_key,
        currency=seed.currency,
        market=seed.market,
        customer_name=seed.customer_name,
        msisdn=seed.msisdn,
        device=seed.serial,
        price_per_day_subunit=seed.price_per_day_subunit,
        token_family=seed.token_family,
    )

"""What mega sends through: each provider's adapter by its name, and the markets' routes (resolutions 22).

A market that has no route, or one with none of these providers, is not served: 422 no_route. build.py hands
the result to mega.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from backend.kit.http import HttpClient
from backend.mega.ports import SmsProvider
from backend.mega.providers.africastalking import AfricasTalkingConfig, AfricasTalkingProvider
from backend.mega.providers.infobip import InfobipConfig, InfobipProvider
from backend.mega.providers.pindo import PindoConfig, PindoProvider

AFRICASTALKING, INFOBIP, PINDO = "africastalking", "infobip", "pindo"
AFRICASTALKING_USER = "payg"
# Resolutions 25: the prefix says whose market a number is, the route whether it is served.
PREFIXES = {
    "256": "UG",
    "254": "KE",
    "255": "TZ",
    "250": "RW",
    "229": "BJ",
    "225": "CI",
    "258": "MZ",
    "234": "NG",
    "260": "ZM",
}
ROUTES: Mapping[str, Sequence[str]] = MappingProxyType(
    {"KE": (INFOBIP,), "UG": (AFRICASTALKING,), "RW": (AFRICASTALKING, PINDO)}
)
# Of a segment, in subunits, about: KES 0.80, UGX 35, RWF 15. Set your contract's.
PRICES: Mapping[str, int] = MappingProxyType({"KE": 80, "UG": 35_00, "RW": 15_00})


@dataclass(frozen=True, slots=True)
class SmsRouting:
    """By market: its providers, the first choice first; the sender id of messages without one; prices."""

    routes: Mapping[str, Sequence[str]] = field(default_factory=lambda: ROUTES)
    sender_ids: Mapping[str, str] = field(default_factory=dict[str, str])
    prices: Mapping[str, int] = field(default_factory=lambda: PRICES)
    africastalking_user: str = AFRICASTALKING_USER


class SmsSite(Protocol):
    """What of a site the providers are built from. `secret`, `url_of` and `provider_url` take a name."""

    @property
    def http(self) -> HttpClient: ...
    @property
    def sms(self) -> SmsRouting: ...
    def secret(self, name: str, /) -> str: ...
    def url_of(self, service: str, /) -> str: ...
    def provider_url(self, name: str, /) -> str: ...


def build_sms(site: SmsSite) -> Mapping[str, SmsProvider]:
    """All providers."""
    return {
        AFRICASTALKING: AfricasTalkingProvider(
            AfricasTalkingConfig(
                base_url=site.provider_url(AFRICASTALKING),
                username=site.sms.africastalking_user,
                api_key=site.secret("africastalking_api_key"),
            ),
            http=site.http,
        ),
        INFOBIP: InfobipProvider(
            InfobipConfig(
                base_url=site.provider_url(INFOBIP),
                api_key=site.secret("infobip_api_key"),
                dlr_url=f"{site.url_of('mega')}/hooks/infobip/dlr/{site.secret('mega_dlr_secret')}",
            ),
            http=site.http,
        ),
        PINDO: PindoProvider(
            PindoConfig(base_url=site.provider_url(PINDO), token=site.secret("pindo_token")), http=site.http
        ),
    }

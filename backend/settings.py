"""Settings of the services, from the environment (PAYG_...) or a .env file. The only place that reads it."""

import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar, cast
from urllib.parse import urlsplit

from aiohttp.typedefs import Middleware
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from backend.kit.errors import CannotStart
from backend.kit.peers import behind, networks_of
from backend.kit.tls import Tls, is_loopback, prepare
from backend.kit.webhooks import LOOPBACK
from backend.momo.schedule import Plan
from backend.money import Biller
from backend.setting_types import HexSecret, PrivateKey, Secret, Url
from backend.sms import AFRICASTALKING_USER, PRICES, ROUTES, SmsRouting
from backend.sources import sources_of

T = TypeVar("T", bound=BaseSettings)

_FIELD = re.compile('field "([a-z0-9_]+)"')
_OTHER_MTN = re.compile("mtn_([a-z]{2})_api_(user|key)")


def read_settings(kind: type[T]) -> T:
    """The settings of a command. CannotStart names the variable or file that is wrong, not its value."""
    try:
        return kind()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        prefix = "" if name.isupper() else str(kind.model_config.get("env_prefix") or "")
        says = first["msg"].removeprefix("Value error, ")
        raise CannotStart(f"{prefix}{name.upper()}: {says}") from None
    except SettingsError as error:
        found = _FIELD.search(str(error))
        name = str(kind.model_config.get("env_prefix") or "") + found[1].upper() if found else str(error)
        raise CannotStart(f"{name}: its value is no JSON") from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CannotStart(
            f"the file .env of this folder can't be read ({why}); mend it, or remove it"
        ) from None


def split(value: object) -> object:
    """`a, b` as ["a", "b"]."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class ListenSettings(BaseSettings):
    """How every command that listens does it (`payg serve`, `payg up`, `payg sandbox`)."""

    model_config = SettingsConfigDict(env_prefix="PAYG_", env_file=".env", extra="ignore")

    tls_certificate: Path | None = Field(
        default=None, description="PEM file: the certificate of every listener, and its chain."
    )
    tls_key: Path | None = Field(default=None, description="PEM file: its private key, without passphrase.")
    tls_ca: Path | None = Field(
        default=None, description="PEM file: a private authority that our own clients trust as well."
    )
    tls_in_front: bool = Field(
        default=False, description="Listen without TLS beyond loopback: a proxy in front speaks it."
    )

    trusted_proxies: Annotated[list[str], NoDecode] = Field(
        default=[],
        description="Networks of proxies whose X-Forwarded-For is believed; split by commas.",
    )

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split_proxies(cls, value: object) -> object:
        found = split(value)
        if isinstance(found, list):
            networks_of([str(one) for one in cast("list[object]", found)])
        return cast(object, found)

    def proxies(self) -> Middleware:
        """What believes the trusted proxies."""
        return behind(networks_of(self.trusted_proxies))

    def tls(self, host: str) -> Tls:
        """The contexts to listen on `host` with. CannotStart: see kit.tls.prepare."""
        return prepare(
            host,
            certificate=self.tls_certificate,
            key=self.tls_key,
            ca=self.tls_ca,
            in_front=self.tls_in_front,
        )


class ServeSettings(ListenSettings):
    """What `payg serve SERVICE` needs to know besides its options.

    Keys that are not set are made at the first start and kept in DATA_DIR, the same for every service that
    uses the folder, so services started there trust one another.
    """

    host: str = Field(default="127.0.0.1", description="Listen address. Beyond loopback only with TLS.")
    log_json: bool = Field(default=False, description="One JSON object a log line instead of readable ones.")
    development: bool = Field(
        default=True, description="Serve what only development needs, such as Mega's inbox."
    )

    callback_hosts: Annotated[list[str], NoDecode] = Field(
        default=[],
        description="Hosts that callbacks may go to though their addresses are private; split by commas.",
    )
    callback_ips: dict[str, list[str]] = Field(
        default={},
        description="By provider, the networks that its callbacks come from; `safaricom` is Daraja's list.",
    )

    solarium_url: Url = "http://127.0.0.1:8101"
    momo_url: Url = "http://127.0.0.1:8102"
    mese_url: Url = "http://127.0.0.1:8103"
    mega_url: Url = "http://127.0.0.1:8104"
    moto_url: Url = "http://127.0.0.1:8105"
    m2m_url: Url = "http://127.0.0.1:8106"
    hub_url: Url = "http://127.0.0.1:8107"

    mtn_base_url: Url = "http://127.0.0.1:8080/sandbox/mtn"
    daraja_base_url: Url = "http://127.0.0.1:8080/sandbox/daraja"
    airtel_base_url: Url = "http://127.0.0.1:8080/sandbox/airtel"
    equity_base_url: Url = "http://127.0.0.1:8080/sandbox/equity"
    halopesa_base_url: Url = "http://127.0.0.1:8080/sandbox/halopesa"
    halopesa_auth_base_url: Url = Field(
        default="http://127.0.0.1:8080/sandbox/halopesa", description="AzamPay's authenticator."
    )
    africastalking_base_url: Url = "http://127.0.0.1:8080/sandbox/africastalking"
    infobip_base_url: Url = "http://127.0.0.1:8080/sandbox/infobip"
    pindo_base_url: Url = "http://127.0.0.1:8080/sandbox/pindo"

    africastalking_username: str = AFRICASTALKING_USER
    sms_routes: dict[str, list[str]] = Field(
        default={market: list(names) for market, names in ROUTES.items()},
        description="A market's SMS providers, the first choice first; what stands nowhere is not served.",
    )
    sms_sender_ids: dict[str, str] = Field(
        default={}, description="By market: the sender id of messages that name none."
    )
    sms_prices: dict[str, int] = Field(
        default=dict(PRICES), description="By market: about what a segment costs, in subunits."
    )

    mtn_targets: dict[Literal["BJ", "CI", "NG", "RW", "UG", "ZM"], str] = Field(
        default={"UG": "mtnuganda", "RW": "mtnrwanda"},
        description="The markets whose MTN is asked for money, with its target environments.",
    )
    daraja_short_code: str = Field(default=Biller.short_code, description="Our paybill at Safaricom.")
    equity_merchant_code: str = Biller.merchant_code
    equity_account_number: str = Biller.account_number
    equity_merchant_name: str = Biller.merchant_name
    equity_till: str = Field(default=Biller.till, description="The EazzyPay till that customers pay.")
    equity_ipn_username: str = Biller.ipn_username
    halopesa_app_name: str = Biller.app_name

    reconcile_hour_utc: int = Field(
        default=3, ge=0, le=23, description="From when on momo reconciles the day before, every day."
    )
    reconcile_providers: list[str] | None = Field(
        default=None, description="Which provider keys are reconciled; all unless named, [] for none."
    )
    reconcile_settle: bool = Field(
        default=True, description="Whether what is certain is made good, or only reported."
    )

    master_key: Secret | None = Field(default=None, description="Hex; seals the secrets in the databases.")
    solarium_api_key: Secret | None = None
    momo_api_key: Secret | None = None
    moto_api_key: Secret | None = None
    m2m_api_key: Secret | None = Field(
        default=None,
        validation_alias=AliasChoices("PAYG_M2M_API_KEY", "M2M_API_KEY"),
        description="M2M's API key; the seed calls it M2M_API_KEY (checklist 61).",
    )
    mega_api_key: Secret | None = None
    hub_api_key: Secret | None = None
    webhook_secret: HexSecret | None = Field(
        default=None, description="Hex; signs M2M's callbacks to Solarium."
    )

    mtn_subscription_key: Secret | None = None
    mtn_ug_api_user: Secret | None = None
    mtn_ug_api_key: Secret | None = None
    mtn_rw_api_user: Secret | None = None
    mtn_rw_api_key: Secret | None = None
    mtn_api_users: dict[str, Secret] = Field(
        default={}, description="By market: the API user at MTN, of other markets than UG and RW."
    )
    mtn_api_keys: dict[str, Secret] = Field(default={}, description="By market: that user's key.")
    daraja_consumer_key: Secret | None = None
    daraja_consumer_secret: Secret | None = None
    daraja_passkey: Secret | None = None
    daraja_c2b_secret: HexSecret | None = Field(
        default=None, description="32 hex digits; the last part of both registered C2B URLs."
    )
    airtel_client_id: Secret | None = None
    airtel_client_secret: Secret | None = None
    airtel_hook_secret: HexSecret | None = Field(
        default=None, description="32 hex digits; the last part of the registered callback URL."
    )
    equity_api_key: Secret | None = None
    equity_consumer_secret: Secret | None = None
    equity_private_key: PrivateKey | None = Field(default=None, description="PEM; signs requests to Jenga.")
    equity_ipn_password: Secret | None = Field(
        default=None, description="Of the Basic login of EazzyPay's notifications."
    )
    halopesa_client_id: Secret | None = None
    halopesa_client_secret: Secret | None = None
    halopesa_api_key: Secret | None = None
    africastalking_api_key: Secret | None = None
    infobip_api_key: Secret | None = None
    pindo_token: Secret | None = None
    mese_ussd_secret: HexSecret | None = Field(
        default=None, description="Last part of the aggregator's USSD paths, 32 hex digits."
    )
    mega_dlr_secret: HexSecret | None = Field(
        default=None, description="32 hex digits; path part of the delivery report hooks."
    )

    @field_validator("callback_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return split(value)

    @field_validator("callback_ips")
    @classmethod
    def _check_sources(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        sources_of(value)
        return value

    def tls(self, host: str) -> Tls:
        """See ListenSettings. CannotStart also: others reach it, and it is open as development needs it."""
        found = super().tls(host)
        if self.development and (self.tls_in_front or not is_loopback(host)):
            raise CannotStart(
                "PAYG_DEVELOPMENT opens Mega's inbox and /ussd to whoever reaches this service; "
                "set PAYG_DEVELOPMENT=false"
            )
        return found

    def may_call_back(self) -> frozenset[str]:
        """The hosts of `callback_hosts`, Solarium's (its orders have callbacks), loopback in development."""
        own = {urlsplit(self.url_of("solarium")).hostname or ""}
        return frozenset({*self.callback_hosts, *own, *(LOOPBACK if self.development else ())})

    def url_of(self, service: str) -> str:
        """The base URL of a service."""
        return str(getattr(self, f"{service}_url")).rstrip("/")

    def provider_url(self, name: str) -> str:
        """The base URL of a provider."""
        return str(getattr(self, f"{name}_base_url")).rstrip("/")

    def sms(self) -> SmsRouting:
        """Where short messages go."""
        return SmsRouting(
            routes=self.sms_routes,
            sender_ids=self.sms_sender_ids,
            prices=self.sms_prices,
            africastalking_user=self.africastalking_username,
        )

    def reconcile(self) -> Plan:
        """When reconciliation runs by itself."""
        providers = self.reconcile_providers
        return Plan(
            self.reconcile_hour_utc,
            None if providers is None else tuple(providers),
            self.reconcile_settle,
        )

    def biller(self) -> Biller:
        """What the providers of money know us by."""
        return Biller(
            short_code=self.daraja_short_code,
            merchant_code=self.equity_merchant_code,
            account_number=self.equity_account_number,
            merchant_name=self.equity_merchant_name,
            till=self.equity_till,
            ipn_username=self.equity_ipn_username,
            app_name=self.halopesa_app_name,
            mtn_targets={str(market): target for market, target in self.mtn_targets.items()},
        )

    def secret_of(self, name: str) -> str | None:
        """A secret of the environment, if it is set."""
        other = _OTHER_MTN.fullmatch(name)
        if other is None or hasattr(self, name):
            value: SecretStr | None = getattr(self, name)
        else:
            value = getattr(self, f"mtn_api_{other[2]}s").get(other[1].upper())
        return None if value is None else value.get_secret_value()

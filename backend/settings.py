"""Settings of the services, from the environment (PAYG_...) or a .env file. The only place that reads it."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServeSettings(BaseSettings):
    """What `payg serve SERVICE` needs to know besides its options.

    Keys that are not set are made at the first start and kept in DATA_DIR, the same for every service that
    uses the folder, so services started there trust one another.
    """

    model_config = SettingsConfigDict(env_prefix="PAYG_", env_file=".env", extra="ignore")

    host: str = Field(
        default="127.0.0.1", description="Listen address. Loopback unless you put TLS in front."
    )
    log_json: bool = Field(default=False, description="One JSON object a log line instead of readable ones.")
    development: bool = Field(
        default=True, description="Serve what only development needs, such as Mega's inbox."
    )

    solarium_url: str = "http://127.0.0.1:8101"
    momo_url: str = "http://127.0.0.1:8102"
    mese_url: str = "http://127.0.0.1:8103"
    mega_url: str = "http://127.0.0.1:8104"
    moto_url: str = "http://127.0.0.1:8105"
    m2m_url: str = "http://127.0.0.1:8106"

    mtn_base_url: str = "http://127.0.0.1:8080/sandbox/mtn"
    africastalking_base_url: str = "http://127.0.0.1:8080/sandbox/africastalking"

    master_key: SecretStr | None = Field(default=None, description="Hex; seals the secrets in the databases.")
    solarium_api_key: SecretStr | None = None
    momo_api_key: SecretStr | None = None
    moto_api_key: SecretStr | None = None
    m2m_api_key: SecretStr | None = None
    mega_api_key: SecretStr | None = None
    webhook_secret: SecretStr | None = Field(
        default=None, description="Hex; signs M2M's callbacks to Solarium."
    )

    mtn_subscription_key: SecretStr | None = None
    mtn_ug_api_user: SecretStr | None = None
    mtn_ug_api_key: SecretStr | None = None
    mtn_rw_api_user: SecretStr | None = None
    mtn_rw_api_key: SecretStr | None = None
    africastalking_api_key: SecretStr | None = None
    mega_dlr_secret: SecretStr | None = Field(
        default=None, description="Path part of the delivery report hooks."
    )

    def url_of(self, service: str) -> str:
        """The base URL of a service."""
        return str(getattr(self, f"{service}_url")).rstrip("/")

    def secret_of(self, name: str) -> str | None:
        """A secret of the environment, if it is set."""
        value: SecretStr | None = getattr(self, name)
        return None if value is None else value.get_secret_value()

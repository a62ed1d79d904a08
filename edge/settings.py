"""Settings of edge/, from the environment (PAYG_...) or a .env file. The only place here that reads it."""

from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class RegistrySettings(BaseSettings):
    """The keys with which `payg board provision` registers devices; names as for `payg serve`."""

    model_config = SettingsConfigDict(env_prefix="PAYG_", env_file=".env", extra="ignore")

    m2m_api_key: SecretStr | None = None
    moto_api_key: SecretStr | None = None
    tls_ca: Path | None = None

"""Settings of the simulator, from the environment (PAYG_UP_...) or a .env file. Read nowhere else here."""

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend.setting_types import Secret


class UpSettings(BaseSettings):
    """What `payg up` takes from the environment; its options are on the command line."""

    model_config = SettingsConfigDict(env_prefix="PAYG_UP_", env_file=".env", extra="ignore")

    host: str = Field(default="127.0.0.1", description="Listen address; the sandboxes belong on loopback.")
    log_json: bool = Field(default=False, description="One JSON object a log line instead of readable ones.")
    status_interval_s: int = Field(default=10, ge=1, description="How often a simulated device reports.")
    approve_after_s: float = Field(
        default=0.2, ge=0, le=300, description="How long a customer takes to enter the PIN."
    )
    m2m_api_key: Secret | None = Field(
        default=None,
        validation_alias=AliasChoices("PAYG_M2M_API_KEY", "M2M_API_KEY"),
        description="M2M's API key (checklist 61); made at the first start unless named.",
    )
    master_key: SecretStr | None = Field(
        default=None,
        validation_alias="PAYG_MASTER_KEY",
        description="Hex; opens the databases. Made at the first start unless named.",
    )
    die_at: str | None = Field(default=None, description="A step at which to die by SIGKILL (faults.py).")
    steps_file: Path | None = Field(
        default=None, description="A file to write the steps to that are reached."
    )

"""What a setting may not be is one line at the start; it names the variable and never its value."""

from pathlib import Path

import pytest

from backend.kit import rsa
from backend.kit.errors import CannotStart
from backend.settings import ServeSettings, read_settings
from simulator.settings import UpSettings

WRONG = "wrong-value"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PAYG_MOTO_URL", WRONG, "is no address; write it like http://"),
        ("PAYG_MTN_BASE_URL", "https://", "is no address"),
        ("PAYG_SOLARIUM_API_KEY", " ", "is empty; give it a value, or leave it out"),
        ("PAYG_M2M_API_KEY", "", "is empty"),
        ("M2M_API_KEY", "", "is empty"),
        ("PAYG_WEBHOOK_SECRET", WRONG, "is not 32 to 128 hex digits; make one with: openssl rand -hex 16"),
        ("PAYG_MESE_USSD_SECRET", "00" * 15, "is not 32 to 128 hex digits"),
        ("PAYG_MEGA_DLR_SECRET", "0" * 33, "is not 32 to 128 hex digits"),
        ("PAYG_EQUITY_PRIVATE_KEY", WRONG, "is no RSA private key in PEM"),
        ("PAYG_CALLBACK_IPS", WRONG, "its value is no JSON"),
        ("PAYG_TRUSTED_PROXIES", "10.0.0.0/99", "does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_a_wrong_value_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(CannotStart, match=says) as refused:
        read_settings(ServeSettings)
    assert str(refused.value).startswith("PAYG_M2M_API_KEY: " if name == "M2M_API_KEY" else f"{name}: ")
    assert "\n" not in str(refused.value)
    assert WRONG not in str(refused.value)


def test_right_values_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    pem = rsa.new_key()
    given = {
        "PAYG_MOTO_URL": "https://moto.payg.example/v2",
        "PAYG_WEBHOOK_SECRET": "0A" * 32,
        "PAYG_EQUITY_PRIVATE_KEY": pem,
        "PAYG_MTN_API_KEYS": '{"ZM": "key"}',
        "M2M_API_KEY": "key",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = read_settings(ServeSettings)
    assert settings.url_of("moto") == "https://moto.payg.example/v2"
    assert settings.secret_of("webhook_secret") == "0A" * 32
    assert settings.secret_of("equity_private_key") == pem
    assert settings.secret_of("mtn_zm_api_key") == settings.secret_of("m2m_api_key") == "key"


def test_payg_up_refuses_an_empty_key_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYG_M2M_API_KEY", "")
    with pytest.raises(CannotStart, match="PAYG_M2M_API_KEY: is empty"):
        read_settings(UpSettings)


@pytest.mark.parametrize("kind", [ServeSettings, UpSettings])
def test_an_env_file_that_is_no_text_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: type[ServeSettings] | type[UpSettings]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(b"PAYG_LOG_JSON=\xff")
    with pytest.raises(CannotStart, match=r"\.env of this folder can't be read \(it is not UTF-8\)"):
        read_settings(kind)

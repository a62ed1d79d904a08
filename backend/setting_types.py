"""What the values of settings must look like: found at the start, in one line that never shows the value."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from backend.kit import rsa

_HEX = re.compile(r"([0-9a-fA-F]{2}){16,64}")


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is no address; write it like http://127.0.0.1:8101")
    return value


def _secret(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        raise ValueError("is empty; give it a value, or leave it out")
    return value


def _hex(value: SecretStr) -> SecretStr:
    if not _HEX.fullmatch(value.get_secret_value()):
        raise ValueError("is not 32 to 128 hex digits; make one with: openssl rand -hex 16")
    return value


def _private_key(value: SecretStr) -> SecretStr:
    try:
        rsa.private_key(value.get_secret_value())
    except (ValueError, TypeError):
        raise ValueError("is no RSA private key in PEM without a passphrase") from None
    return value


Url = Annotated[str, AfterValidator(_url)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
HexSecret = Annotated[SecretStr, AfterValidator(_hex)]
PrivateKey = Annotated[SecretStr, AfterValidator(_private_key)]

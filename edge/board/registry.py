"""The two services that must know a device: m2m its link key and password, moto its token secret.

Registering the same values again changes nothing, so a provisioning that was interrupted just does it again.
"""

import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import aiohttp
from pydantic import SecretStr

from edge.board.errors import BoardError
from edge.settings import RegistrySettings

TIMEOUT = aiohttp.ClientTimeout(total=20)
_MAX_REASON = 200


@dataclass(frozen=True, slots=True)
class Service:
    """A service's base URL and the operator's key for it."""

    url: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Registry:
    """Where devices are registered."""

    m2m: Service
    moto: Service
    ca: Path | None = None  # of a private authority

    async def register(self, identity: dict[str, object], market: str) -> None:
        """Register a device with both services. BoardError when one refuses or does not answer."""
        serial = identity["serial"]
        login = {"serial": serial, "market": market}
        login |= {name: identity[name] for name in ("link_key", "password")}
        token = {"serial": serial, "market": market, "sequence": 0}
        token |= {name: identity[name] for name in ("family", "secret")}
        tls = ssl.create_default_context()
        if self.ca is not None:
            tls.load_verify_locations(self.ca)
        connector = aiohttp.TCPConnector(ssl=tls)
        async with aiohttp.ClientSession(connector=connector, timeout=TIMEOUT) as session:
            await _post(session, f"{self.m2m.url}/v1/devices", {"X-API-Key": self.m2m.key}, login)
            await _post(session, f"{self.moto.url}/api/v1/devices", {"API-KEY": self.moto.key}, token)


def from_environment(m2m_url: str, moto_url: str, settings: RegistrySettings) -> Registry:
    """Services at these URLs, with the environment's keys."""
    return Registry(
        _service(m2m_url, settings.m2m_api_key, "PAYG_M2M_API_KEY"),
        _service(moto_url, settings.moto_api_key, "PAYG_MOTO_API_KEY"),
        settings.tls_ca,
    )


def of_up(credentials: dict[str, object]) -> Registry:
    """The services of a running `payg up`."""
    http = str(credentials["http"])
    keys = {name: cast("dict[str, str]", credentials[name])["api_key"] for name in ("m2m", "moto")}
    ca = credentials.get("ca")
    return Registry(
        Service(f"{http}/m2m", keys["m2m"]),
        Service(f"{http}/moto", keys["moto"]),
        None if ca is None else Path(str(ca)),
    )


def read_credentials(data_dir: Path) -> dict[str, object] | None:
    """credentials.json of a running `payg up`; None when it does not run."""
    try:
        content: object = json.loads((data_dir / "credentials.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return cast("dict[str, object]", content) if isinstance(content, dict) else None


def _service(url: str, key: SecretStr | None, name: str) -> Service:
    if key is None:
        raise BoardError(f"no key for {url}: set {name} in the environment")
    return Service(url.rstrip("/"), key.get_secret_value())


async def _post(
    session: aiohttp.ClientSession, url: str, headers: dict[str, str], body: dict[str, object]
) -> None:
    try:
        async with session.post(url, headers=headers, json=body) as answer:
            text = await answer.text(errors="replace")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise BoardError(f"{url} does not answer ({type(error).__name__}): is it running?") from None
    if answer.status == 409:
        raise BoardError(f"{body['serial']} is registered with other keys at {url}: use another serial")
    if answer.status != 201:
        reason = " ".join(text.split())[:_MAX_REASON]
        raise BoardError(f"{url} answered HTTP {answer.status}: {reason}")

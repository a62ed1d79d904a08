"""The panel's client, behind `payg device type` and `payg device show`."""

import json
import ssl
from pathlib import Path
from typing import cast
from urllib.parse import quote

import aiohttp
from yarl import URL

TIMEOUT = aiohttp.ClientTimeout(total=10)


class PanelError(Exception):
    """It could not be done; the text says what to do."""


async def show(data_dir: Path, serial: str) -> dict[str, object]:
    """The snapshot of a running device. PanelError when there is none."""
    return await _call(data_dir, "GET", serial, None)


async def type_keys(data_dir: Path, serial: str, keys: str) -> dict[str, object]:
    """What the controller answered to `keys`. PanelError when no such device runs."""
    return await _call(data_dir, "POST", serial, keys)


async def _call(data_dir: Path, method: str, serial: str, keys: str | None) -> dict[str, object]:
    if not serial:
        raise PanelError("the serial is empty: give one of credentials.json")
    base, api_key, tls = _credentials(data_dir)
    path = f"{base}/panel/devices/{quote(serial, safe='', errors='replace')}"
    if keys is not None:
        path += "/keypad"
    body = None if keys is None else json.dumps({"keys": keys})
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.request(
                method, URL(path, encoded=True), headers={"X-API-Key": api_key}, data=body, ssl=tls
            ) as answer,
        ):
            body = await answer.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise PanelError(f"nothing answers at {base}; start it with: payg up") from error
    content = _object(body)
    if answer.status == 200 and content is not None:
        return content
    if content is not None and "error" in content:
        raise PanelError(str(content["error"]))
    raise PanelError(f"{base} answered HTTP {answer.status}, and not as a panel: is it `payg up`?")


def _object(body: bytes) -> dict[str, object] | None:
    """The JSON object in it, None for anything else."""
    try:
        content: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", content) if isinstance(content, dict) else None


def _credentials(data_dir: Path) -> tuple[str, str, ssl.SSLContext]:
    file = data_dir / "credentials.json"
    try:
        content = json.loads(file.read_text())
        tls = ssl.create_default_context()
        if content.get("ca"):
            tls.load_verify_locations(content["ca"])
        return str(content["http"]), str(content["panel"]["api_key"]), tls
    except FileNotFoundError:
        raise PanelError(f"{file} is missing: start `payg up` first, or name its --data-dir") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise PanelError(f"{file} can't be read; start `payg up` again") from error

"""The panel's client, behind `payg device list|show|type`."""

import json
import ssl
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import aiohttp
from yarl import URL

TIMEOUT = aiohttp.ClientTimeout(total=10)


class PanelError(Exception):
    """It could not be done; the text says what to do."""


async def show(data_dir: Path, serial: str) -> dict[str, object]:
    """The snapshot of a running device. PanelError when there is none."""
    return _object(await _call(data_dir, "GET", _path(serial)))


async def show_all(data_dir: Path) -> list[object]:
    """The snapshots of all running devices. PanelError when nothing runs."""
    found = await _call(data_dir, "GET", "/panel/devices")
    return cast("list[object]", found) if isinstance(found, list) else []


async def type_keys(data_dir: Path, serial: str, keys: str) -> dict[str, object]:
    """What the controller answered to `keys`. PanelError when no such device runs."""
    return _object(await _call(data_dir, "POST", f"{_path(serial)}/keypad", {"keys": keys}))


def _path(serial: str) -> str:
    if not serial:
        raise PanelError("the serial is empty; `payg device list` names those that run")
    return f"/panel/devices/{quote(serial, safe='', errors='replace')}"


async def _call(data_dir: Path, method: str, path: str, body: dict[str, str] | None = None) -> object:
    """The JSON of the panel's answer, an object or an array."""
    base, api_key, tls = _credentials(data_dir)
    url, headers = URL(base + path, encoded=True), {"X-API-Key": api_key}
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.request(method, url, headers=headers, json=body, ssl=tls) as answer,
        ):
            content = _json(await answer.read())
    except (aiohttp.ClientError, TimeoutError) as error:
        raise PanelError(f"nothing answers at {base}; start it with: payg up") from error
    if answer.status == 200 and isinstance(content, dict | list):
        return cast(object, content)
    if "error" in (refusal := _object(content)):
        raise PanelError(str(refusal["error"]))
    raise PanelError(f"{base} answered HTTP {answer.status}, and not as a panel: is it `payg up`?")


def _json(body: bytes) -> object:
    """The JSON in it, None if there is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _object(content: object) -> dict[str, object]:
    """The object, an empty one for anything else."""
    return cast("dict[str, object]", content) if isinstance(content, dict) else {}


def _credentials(data_dir: Path) -> tuple[str, str, ssl.SSLContext]:
    file = data_dir / "credentials.json"
    try:
        content: dict[str, Any] = _object(json.loads(file.read_text()))
        tls = ssl.create_default_context()
        if content.get("ca"):
            tls.load_verify_locations(content["ca"])
        return str(content["http"]), str(content["panel"]["api_key"]), tls
    except FileNotFoundError:
        raise PanelError(f"{file} is missing: start `payg up` first, or name its --data-dir") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise PanelError(f"{file} can't be read; start `payg up` again") from error

"""The panel's client, behind `payg device type` and `payg device show`."""

import json
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
    base, api_key = _credentials(data_dir)
    path = f"{base}/panel/devices/{quote(serial, safe='')}" + ("/keypad" if keys is not None else "")
    body = None if keys is None else json.dumps({"keys": keys})
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.request(
                method, URL(path, encoded=True), headers={"X-API-Key": api_key}, data=body
            ) as answer,
        ):
            content = cast("dict[str, object]", await answer.json())
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise PanelError(f"nothing answers at {base}; start it with: payg up") from error
    if answer.status != 200:
        raise PanelError(str(content.get("error", f"HTTP {answer.status}")))
    return content


def _credentials(data_dir: Path) -> tuple[str, str]:
    file = data_dir / "credentials.json"
    try:
        content = json.loads(file.read_text())
        return str(content["http"]), str(content["panel"]["api_key"])
    except FileNotFoundError:
        raise PanelError(f"{file} is missing: start `payg up` first, or name its --data-dir") from None
    except (ValueError, KeyError, TypeError) as error:
        raise PanelError(f"{file} can't be read; start `payg up` again") from error

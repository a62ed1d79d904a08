"""After a run with payments, failures, bad keys and bad logins: no secret in a log, none in a database."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from tests.scenarios.test_market_isolation import CASES
from tests.scenarios.up_process import Up, running

# What the databases of the sandboxes keep is the provider's own, and no part of production.
OURS = ("solarium", "momo", "mese", "mega", "moto", "m2m", "hub")
MIN_SECRET = 12  # characters; shorter ones would be found by chance
MIN_TOKEN = 8  # digits


async def test_no_secret_is_written_anywhere(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with running(data_dir, devices=2) as up:
        device = up.credentials["devices"][0]
        await up.pay(device, 2, "secrets")
        await up.wait_for_light(device["serial"])
        texts = await up.wait_for_sms(device["msisdn"])
        issued = [*map(_typed, texts), *await _ordered(up, device["serial"])]
        assert len(issued) >= 2
        await up.dial("failing", device["msisdn"], "1*0*0*1")
        for name, cases in CASES.items():
            for route in cases:
                method, _, path = route.partition(" ")
                for key in ("wrong", up.credentials[name]["api_key"]):
                    headers = {"API-KEY": key, "X-API-Key": key, "Authorization": "Basic d3Jvbmc6d3Jvbmc="}
                    await up.request(
                        method, f"/{name}{path}".replace("{", "x").replace("}", "x"), headers=headers
                    )
        credentials = up.credentials
        assert await up.terminate() == 0
    secrets = json.loads((data_dir / "secrets.json").read_text())
    named = {name: str(value) for name, value in secrets.items()}
    for each in credentials["devices"]:
        named |= {f"{each['serial']} {name}": each[name] for name in ("secret", "link_key", "password")}
    forms = [(name, form) for name, value in named.items() for form in _forms(value)]
    log = up.log().encode()
    found = [f"{name} in the log" for name, form in forms if form in log]
    tokens = {form for token in issued for form in (token, token.replace(b" ", b""))}
    found += ["a token in the log" for token in tokens if token in log]
    for file in _database_files(data_dir):
        content = file.read_bytes()
        found += [f"{name} in {file.name}" for name, form in forms if form in content]
        found += [f"a token in {file.name}" for token in tokens if token in content]
    assert device["serial"].encode() in b"".join(file.read_bytes() for file in _database_files(data_dir))
    assert not found, "\n".join(sorted(set(found)))


def _forms(value: str) -> Iterator[bytes]:
    """A secret as text, and what it stands for as raw bytes and in base64."""
    if len(value) < MIN_SECRET:
        return
    yield value.encode()
    yield base64.b64encode(value.encode())
    try:
        raw = bytes.fromhex(value)
    except ValueError:
        return
    yield value.upper().encode()
    yield raw
    yield base64.b64encode(raw)


def _typed(text: str) -> bytes:
    """The token of a short message, as it is typed."""
    token = text.partition("*")[2].partition("#")[0]
    assert len(token) >= MIN_TOKEN, "no token in the short message"
    return token.encode()


async def _ordered(up: Up, serial: str) -> list[bytes]:
    """The digits of the tokens that m2m was given for a device."""
    headers = {"X-API-Key": up.credentials["m2m"]["api_key"]}
    _, answer = await up.request(
        "GET", f"/m2m/v1/commands?identifier={quote(serial, safe='')}", headers=headers
    )
    texts = [one["command"] for one in json.loads(answer)["commands"]]
    return [text.removeprefix("TOKEN: ").encode() for text in texts if text.startswith("TOKEN: ")]


def _database_files(data_dir: Path) -> list[Path]:
    files = [file for name in OURS for file in data_dir.glob(f"{name}.db*")]
    assert len(files) >= len(OURS)
    return files

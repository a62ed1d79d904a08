"""Rows of the checklist that run through several services, on a whole `payg up`."""

import asyncio
import json
from pathlib import Path
from urllib.parse import quote

from tests.scenarios.up_process import Json, Up, running, token_in

# Checklist 1, and the hub: how each system answers a stranger. Hardly two alike.
SYSTEMS = {
    "solarium": ("POST", "/solarium/validate_payment", 401),
    "momo": ("POST", "/momo/validate_payment", 401),
    "mese": ("POST", "/mese/ussd", 400),
    "mega": ("POST", "/mega/send_short_message", 401),
    "m2m": ("POST", "/m2m/m2m/command", 401),
    "moto": ("POST", "/moto/api/v1/tokens/generate", 403),
    "hub": ("POST", "/hub/api/payment/validate", 401),
}


async def got(up: Up, path: str, **headers: str) -> Json:
    status, body = await up.request("GET", path, headers=headers)
    assert status == 200, body
    return json.loads(body)


async def statement_of(up: Up, reference: str) -> list[Json]:
    """The lines of an account's statement, oldest first."""
    key = {"API-KEY": up.credentials["solarium"]["api_key"]}
    accounts = (await got(up, "/solarium/v1/accounts", **key))["accounts"]
    (account,) = [each["id"] for each in accounts if each["reference"] == reference]
    return (await got(up, f"/solarium/v1/accounts/{account}/statement", **key))["lines"]


async def callback_of(up: Up, serial: str) -> Json:
    """The device's only command, once its callback is delivered."""
    path = f"/m2m/v1/commands?identifier={quote(serial, safe='')}"
    async with asyncio.timeout(20):
        while True:
            found = (await got(up, path, **{"X-API-Key": up.credentials["m2m"]["api_key"]}))["commands"]
            if [each["callback"] for each in found] == ["delivered"]:
                return found[0]
            await asyncio.sleep(0.05)


async def test_checklist_1_61_103_every_system_is_there_and_lets_no_stranger_in(tmp_path: Path) -> None:
    """A key in the URL opens nothing; M2M's is what M2M_API_KEY says."""
    async with running(tmp_path / "data", env={"M2M_API_KEY": "of-the-environment"}) as up:
        sync = {"identifier": "D/1", "command": {"name": "sync"}, "callback_url": "http://127.0.0.1:9/"}
        for key, status in (("of-the-environment", 201), ("another", 401)):
            answer = await up.request("POST", "/m2m/m2m/command", json=sync, headers={"X-API-Key": key})
            assert answer[0] == status
        for system, (method, path, status) in SYSTEMS.items():
            assert (await up.request(method, path))[0] == status, system
            key = up.credentials.get(system, {}).get("api_key", "")
            in_url = f"{path}?API-KEY={key}&X-API-Key={key}"
            assert (await up.request(method, in_url))[0] == status, system


async def test_checklist_9_to_19_51_from_the_short_code_to_the_callback(tmp_path: Path) -> None:
    """The seed's words, its amount, its names; then light, and M2M's callback to Solarium."""
    async with running(tmp_path / "data", devices=1) as up:
        (device,) = up.credentials["devices"]
        reference = device["account_reference"]
        assert (reference, device["customer_name"]) == ("254543", "John Doe")
        said = [
            await up.dial("s1", device["msisdn"], text)
            for text in ("", "1", "1*254543", "1*254543*5000", "1*254543*5000*1")
        ]
        assert said[0].startswith("CON Welcome\n1. Make Payment\n")
        assert said[1:] == [
            "CON Enter account number",
            "CON Enter amount",
            "CON Confirm payment of 5000 for John Doe?\n1. Confirm 2. Cancel",
            "END Payment successful!",
        ]
        paid = [line for line in await statement_of(up, reference) if line["kind"] == "payment"]
        (line,) = paid
        assert line["credit_subunit"] == 5000_00
        assert line["provider_tx"].isdigit()  # MTN's financialTransactionId

        assert (await up.wait_for_light(device["serial"]))["relay"]
        command = await callback_of(up, device["serial"])
        assert (command["status"], command["device_response"]) == ("replied", "OK")
        (text,) = await up.wait_for_sms(device["msisdn"])
        assert command["command"] == f"TOKEN: {token_in(text).strip('*#').lstrip('0')}"
        assert await up.terminate() == 0
        assert "broken" not in up.log()

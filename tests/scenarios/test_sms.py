"""A customer who only writes short messages: he pays, asks for his balance, and reads his token again."""

from pathlib import Path

from tests.scenarios.up_process import Json, Up, running, token_in


async def write(up: Up, device: Json, text: str) -> None:
    sandbox = up.credentials["sandbox"]["africastalking"]
    form = {"username": sandbox["username"], "from": "+" + device["msisdn"], "to": "8008", "text": text}
    path = "/sandbox/africastalking/simulate/inbound"
    status, body = await up.request("POST", path, data=form, headers={"apiKey": sandbox["api_key"]})
    assert status == 201, body


async def test_checklist_96_paying_by_sms_lights_the_lamp(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as up:
        for device in up.credentials["devices"]:
            reference, price = device["account_reference"], device["price_per_day_subunit"] // 100
            await write(up, device, f"Pay {2 * price}")
            await up.wait_for_light(device["serial"])
            texts = await up.wait_for_sms(device["msisdn"], 2)
            asked = f"Confirm {device['currency']} {2 * price:,} for account {reference} with your PIN."
            assert any(text.startswith(asked) for text in texts)
            (paid,) = [text for text in texts if text.startswith("Payment received")]
            await write(up, device, "TOKEN")
            again = (await up.wait_for_sms(device["msisdn"], 3))[-1]
            assert again.startswith(f"Account {reference}, type this on the keypad: ")
            if device["token_family"] == "moto":
                assert token_in(again) == token_in(paid)
            await write(up, device, "BAL")
            balance = (await up.wait_for_sms(device["msisdn"], 4))[-1]
            assert balance == f"Account {reference}: 2 days left, balance {device['currency']} 0."
        assert await up.terminate() == 0
        assert "http.defect" not in up.log()

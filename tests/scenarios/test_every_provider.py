"""Each provider of money has a paying customer: over its real channel to the light, the SMS and the books."""

import asyncio
from pathlib import Path

from aiohttp import encode_basic_auth

from tests.scenarios.up_process import Json, Up, running

CHANNELS = {
    "ug_mtn_mobilemoney": "africastalking",
    "rw_mtn_mobilemoney": "africastalking",
    "ke_safaricom_mpesa": "infobip",
    "tz_halotel_halopesa": None,  # no route (resolutions 22): an alert, and the token goes over the air
    "ug_airtel_money": "africastalking",
    "ke_equity_eazzypay": "infobip",
}


async def pay_the_paybill(up: Up, device: Json, days: int) -> None:
    """A customer of Safaricom pays on his own phone; nobody of ours is asked before Daraja calls."""
    sandbox = up.credentials["sandbox"]["daraja"]
    login = encode_basic_auth(sandbox["consumer_key"], sandbox["consumer_secret"])
    path = "/sandbox/daraja/oauth/v1/generate?grant_type=client_credentials"
    _, answer = await up.request("GET", path, headers={"Authorization": login})
    token = answer.split('"access_token":"')[1].split('"')[0]
    body = {
        "ShortCode": sandbox["short_code"],
        "CommandID": "CustomerPayBillOnline",
        "Amount": str(device["price_per_day_subunit"] * days // 100),
        "Msisdn": device["msisdn"],
        "BillRefNumber": device["account_reference"],
    }
    status, answer = await up.request(
        "POST",
        "/sandbox/daraja/mpesa/c2b/v1/simulate",
        json=body,
        headers={"Authorization": f"Bearer {token}"},
    )
    assert status == 200, answer


async def test_a_customer_of_every_provider_pays_and_sees_the_light(tmp_path: Path) -> None:
    async with running(tmp_path / "data", devices=len(CHANNELS)) as up:
        devices = {device["provider_key"]: device for device in up.credentials["devices"]}
        assert set(devices) == set(CHANNELS)
        for number, (provider_key, device) in enumerate(devices.items()):
            answer = await up.pay(device, 2, f"session-{number}")
            assert answer.startswith("END "), (provider_key, answer)
        for provider_key, device in devices.items():
            await up.wait_for_light(device["serial"], timeout_s=40)
            if CHANNELS[provider_key] is not None:
                texts = await up.wait_for_sms(device["msisdn"], 1, timeout_s=40)
                assert any("Type this on the keypad" in text for text in texts)
        daraja = devices["ke_safaricom_mpesa"]
        await pay_the_paybill(up, daraja, 3)
        async with asyncio.timeout(40):
            while (await up.show(daraja["serial"]))["credit_s"] < 5 * 86_400 - 120:
                await asyncio.sleep(0.1)
        assert await up.inbox(devices["tz_halotel_halopesa"]["msisdn"]) == []
        assert await up.terminate() == 0
        log = up.log()
        assert "sms.no_route" in log
        assert "broken" not in log
        assert "http.defect" not in log

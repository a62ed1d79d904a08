"""Every endpoint of `payg up` under malformed, oversized and unauthenticated requests: the documented error,
never a 5xx, nothing changed. One process for all of them."""

import json
from pathlib import Path

from tests.scenarios.up_process import Json, Up, running

KEYED = {
    "/solarium/validate_payment": ("API-KEY", "solarium"),
    "/solarium/confirm_payment": ("API-KEY", "solarium"),
    "/solarium/resolve_account": ("API-KEY", "solarium"),
    "/solarium/customer_accounts": ("API-KEY", "solarium"),
    "/solarium/customer_tokens": ("API-KEY", "solarium"),
    "/momo/resolve": ("API-KEY", "momo"),
    "/momo/validate": ("API-KEY", "momo"),
    "/momo/payment": ("API-KEY", "momo"),
    "/moto/api/v1/tokens/generate": ("API-KEY", "moto"),
    "/moto/api/v1/tokens/stateless/generate": ("API-KEY", "moto"),
    "/moto/api/v1/tokens/solarium/generate": ("API-KEY", "moto"),
    "/m2m/m2m/command": ("X-API-Key", "m2m"),
    "/m2m/v1/commands": ("X-API-Key", "m2m"),
    "/m2m/v1/devices": ("X-API-Key", "m2m"),
    "/moto/api/v1/devices": ("API-KEY", "moto"),
    "/mega/send_short_message": ("X-API-Key", "mega"),
    "/mega/shortmessages/update_dlr": ("X-API-Key", "mega"),
    "/mega/shortmessages/create_inbound": ("X-API-Key", "mega"),
    "/mega/api/sms/send": ("X-API-Key", "mega"),
    "/mega/api/sms/validate": ("X-API-Key", "mega"),
    "/mega/api/dlr/callback": ("X-API-Key", "mega"),
    "/panel/devices/SCBLNX%2FA%2FBT%2F240300126005/keypad": ("X-API-Key", "panel"),
}
KEYLESS = (
    "/solarium/api/auth/token",
    "/solarium/api/payment/simulation",
    "/solarium/api/payment/execution",
    "/solarium/m2m/callback/0000",
    "/mese/ussd",
    "/mese/ussd/end",
    "/m2m/v1/log",
    "/momo/hooks/mtn/00000000000000000000000000000000",
    "/mega/hooks/africastalking/dlr/0000",
    "/mega/hooks/africastalking/inbound/0000",
    "/mega/hooks/africastalking/optout/0000",
    "/mega/hooks/pindo/dlr/0000",
)
BROKEN = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"[" * 30_000,
    b'{"a":' * 9_000,
    b"\xff\xfe\x00",
    b'{"reference":"\\u0000","amount_subunit":' + b"9" * 4_000 + b"}",
    json.dumps({"identifier": 7, "device": [], "to": {}, "command": 1, "keys": 5}).encode(),
)
BIG = b"x" * 70_000


async def test_bad_requests_get_an_error_and_change_nothing(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as up:
        for path, (header, service) in KEYED.items():
            key = up.credentials[service]["api_key"]
            assert await status(up, path, b"{}", {}) in (401, 403), path
            assert await status(up, path, b"{}", {header: key + "x"}) in (401, 403), path
            assert await status(up, path, BIG, {header: key}) == 413, path
            for body in BROKEN:
                answered = await status(up, path, body, {header: key})
                moto_says_it_in_the_text = service == "moto" and answered == 200
                assert 400 <= answered < 500 or moto_says_it_in_the_text, (path, body[:40], answered)
        for path in KEYLESS:
            assert await status(up, path, BIG, {}) in (401, 404, 413), path
            for body in BROKEN:
                assert 400 <= await status(up, path, body, {}) < 500, (path, body[:40])
        device: Json = up.credentials["devices"][0]
        assert (await up.show(device["serial"]))["credit_s"] == 0
        assert await up.terminate() == 0
        assert "0 payments, 0 ledger transactions" in up.log()
        assert "http.defect" not in up.log()


async def status(up: Up, path: str, body: bytes, headers: dict[str, str]) -> int:
    return (await up.request("POST", path, data=body, headers=headers))[0]


async def test_a_token_that_nobody_sold_breaks_the_second_invariant(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as up:
        device: Json = up.credentials["devices"][0]
        order = {
            "device": device["serial"],
            "command": "unlock_relative",
            "payload": 30,
            "sequence_number": 1,
            "secret": device["secret"],
        }
        key = {"API-KEY": up.credentials["moto"]["api_key"]}
        _, answer = await up.request(
            "POST", "/moto/api/v1/tokens/stateless/generate", json=order, headers=key
        )
        typed = await up.type_keys(device["serial"], json.loads(answer)["token"])
        assert (typed["result"], typed["relay"]) == ("accepted", True)
        assert await up.terminate() == 1
        assert "2. BROKEN" in up.log()

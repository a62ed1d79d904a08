"""`payg keys` beside running services, each a process: issue 4, "replaces an api key with overlap"."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.backend.served import payg, serving

ASKED = {
    "reference": "1",
    "currency": "UGX",
    "business_account": "1",
    "provider_key": "ug_mtn_mobilemoney",
}
NOT_FOUND = 404  # by billing: the key was good


async def statuses_of(session: aiohttp.ClientSession, url: str, key: str, path: str) -> int:
    async with session.post(url + path, headers={"API-KEY": key}, json=ASKED) as answer:
        await answer.read()
        return answer.status


def secrets_in(data_dir: Path) -> dict[str, str]:
    return json.loads((data_dir / "secrets.json").read_text())


async def listed(place: list[str], service: str = "solarium") -> list[str]:
    code, output, _ = await payg("keys", "list", service, *place)
    assert code == 0
    return output.splitlines()


async def test_checklist_100_keys_rotate_under_load(tmp_path: Path, database_url: str) -> None:
    """momo calls solarium throughout; nothing is refused, and after the overlap the old key is."""
    data_dir = tmp_path / "data"
    url = ["--database-url", database_url]
    place = ["--data-dir", str(data_dir), *url]
    async with (
        serving("solarium", data_dir, *url) as solarium,
        serving("momo", data_dir, *url, env={"PAYG_SOLARIUM_URL": solarium}) as momo,
        aiohttp.ClientSession() as session,
    ):
        old, momo_key = (secrets_in(data_dir)[f"{name}_api_key"] for name in ("solarium", "momo"))
        seen: Counter[tuple[str, int]] = Counter()
        over = asyncio.Event()

        async def load() -> None:
            while not over.is_set():
                seen["through momo", await statuses_of(session, momo, momo_key, "/validate")] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(load())
            code, output, errors = await payg(
                *("keys", "rotate", "solarium", "--client", "momo", "--overlap", "6s", *place)
            )
            assert (code, old in output + errors) == (0, False)
            new = secrets_in(data_dir)["solarium_api_key"]
            assert new != old
            assert new not in output + errors
            assert await statuses_of(session, solarium, old, "/validate_payment") == NOT_FOUND
            async with asyncio.timeout(30):
                while await statuses_of(session, solarium, old, "/validate_payment") == NOT_FOUND:
                    await asyncio.sleep(0.05)
            assert await statuses_of(session, solarium, old, "/validate_payment") == 401
            assert await statuses_of(session, solarium, new, "/validate_payment") == NOT_FOUND
            before = seen["through momo", NOT_FOUND]
            async with asyncio.timeout(30):
                while seen["through momo", NOT_FOUND] < before + 20:
                    await asyncio.sleep(0.05)
            over.set()
        assert set(seen) == {("through momo", NOT_FOUND)}
        assert sum(" valid " in line for line in await listed(place)) == 1
    logged = "".join(file.read_text() for file in data_dir.glob("*.log"))
    assert not any(key in logged for key in (old, new, momo_key))


async def test_a_partner_s_key_comes_changes_and_goes(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    place = ["--data-dir", str(data_dir)]

    async def made(*arguments: str) -> str:
        code, output, errors = await payg("keys", *arguments, *place)
        key = output.strip()
        assert (code, len(key)) == (0, 64), errors
        assert key not in errors
        return key

    async with serving("solarium", data_dir) as solarium, aiohttp.ClientSession() as session:

        async def status(key: str, **changes: str) -> int:
            async with session.post(
                solarium + "/validate_payment", headers={"API-KEY": key}, json=ASKED | changes
            ) as answer:
                return answer.status

        first = await made("add", "solarium", "--client", "bank", "--market", "UG", "--allow", "127.0.0.0/8")
        elsewhere = await made("add", "solarium", "--client", "far", "--allow", "192.0.2.0/24")
        assert (await status(first), await status(elsewhere)) == (NOT_FOUND, 401)
        assert await status(first, provider_key="ke_safaricom_mpesa", currency="KES") == 403
        second = await made("rotate", "solarium", "--client", "bank")
        assert (await status(first), await status(second)) == (NOT_FOUND, NOT_FOUND)
        assert await status(second, provider_key="ke_safaricom_mpesa", currency="KES") == 403  # as the first
        rows = [line for line in await listed(place) if "client=bank" in line]
        assert len(rows) == 2
        assert all("markets=UG  from=127.0.0.0/8" in row for row in rows)
        assert not any(key in row for key in (first, second) for row in rows)
        code, output, _ = await payg("keys", "revoke", "solarium", "--client", "bank", *place)
        assert (code, output.startswith("revoked: ")) == (0, True)
        rows = [line for line in await listed(place) if "client=bank" in line]
        assert [row.split()[1] for row in rows] == ["revoked", "revoked"]  # whatever a clock says later
        async with asyncio.timeout(10):
            while await status(second) != 401:
                await asyncio.sleep(0.05)
        assert await status(first) == 401


@pytest.mark.parametrize("damage", ["{", "[]", '{"moto": 1}', '{"moto": {}}'])
async def test_a_key_rotates_though_the_credentials_of_payg_up_are_damaged(
    tmp_path: Path, damage: str
) -> None:
    data_dir = tmp_path / "data"
    place = ["--data-dir", str(data_dir)]
    async with serving("moto", data_dir):
        pass
    (data_dir / "credentials.json").write_text(damage)
    code, output, errors = await payg("keys", "rotate", "moto", "--client", "solarium", *place)
    assert (code, "Traceback" in errors) == (0, False), errors
    assert "call with the new key from now on" in output
    assert len([row for row in await listed(place, "moto") if "expires=never" in row]) == 1


async def test_what_cannot_be_done_is_one_line(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    place = ["--data-dir", str(data_dir)]
    async with serving("moto", data_dir):
        pass
    add = ["add", "moto", "--client", "bank"]
    for arguments, says in (
        (["list", "hub", *place], "has no hub.db"),
        (["list", "moto", "--data-dir", str(tmp_path / "none")], "has no secrets.json"),
        ([*add, "--allow", "10.0.0.1/8", *place], "has host bits set"),
        (["rotate", "moto", "--client", "solarium", "--overlap", "soon", *place], "--overlap"),
        (["revoke", "moto", "--client", "solarium", "--key", "00000000", *place], "no valid key 00000000"),
        (["list", "moto", *place, "--database-url", "mysql://x"], "--database-url"),
    ):
        code, output, errors = await payg("keys", *arguments)
        assert (code, output, errors.count("\n")) == (2, "", 1), errors
        assert says in errors
    assert not (tmp_path / "none").exists()
    assert not (data_dir / "hub.db").exists()


async def test_two_master_keys_at_a_time_lose_nothing(tmp_path: Path) -> None:
    """Either would throw away the row that the other's key opens, and with it every secret."""
    data_dir = tmp_path / "data"
    place = ["--data-dir", str(data_dir)]
    async with serving("moto", data_dir):
        before = secrets_in(data_dir)["master_key"]
    made = await asyncio.gather(*(payg("keys", "master", *place) for _ in range(3)))
    assert [code for code, _, _ in made] == [0, 0, 0], made
    assert secrets_in(data_dir)["master_key"] != before
    code, _, errors = await payg("keys", "list", "moto", *place)
    assert code == 0, errors


async def test_the_master_key_is_replaced_beside_running_services(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    place = ["--data-dir", str(data_dir)]
    async with serving("moto", data_dir) as moto, aiohttp.ClientSession() as session:
        before = secrets_in(data_dir)
        key = before["moto_api_key"]
        device = {"serial": "S1", "secret": "00112233445566778899aabbccddeeff", "market": "UG"}
        device |= {"family": "moto", "sequence": 0}
        async with session.post(f"{moto}/api/v1/devices", headers={"API-KEY": key}, json=device) as answer:
            assert answer.status == 201, await answer.text()
        code, _, errors = await payg("keys", "master", *place)
        assert code == 0, errors
        after = secrets_in(data_dir)
        assert after["master_key"] != before["master_key"]
        assert after == before | {"master_key": after["master_key"]}
    code, _, errors = await payg(
        "keys", "list", "moto", *place, env={"PAYG_MASTER_KEY": before["master_key"]}
    )
    assert (code, "does not open" in errors) == (2, True)
    code, _, errors = await payg(
        *("serve", "moto", "--port", "0", *place), env={"PAYG_MASTER_KEY": before["master_key"]}
    )
    assert (code, errors.count("\n"), "does not open the database of moto" in errors) == (2, 1, True)
    assert before["master_key"] not in errors
    async with serving("moto", data_dir) as moto, aiohttp.ClientSession() as session:
        order = {"device": "S1", "command": "unlock_relative", "payload": 1}
        async with session.post(
            f"{moto}/api/v1/tokens/generate", headers={"API-KEY": key}, json=order
        ) as answer:
            body = await answer.json()
            assert (answer.status, body["status"]) == (200, "ok")  # the device's secret opened

"""GET / of `payg up` and what it prints: every place that they name is there, and no secret."""

import re
from pathlib import Path
from typing import Any, cast

from tests.scenarios.up_process import running


def secrets_of(value: dict[str, Any]) -> set[str]:
    """The texts of members that are keys, secrets or passwords, at any depth."""
    found: set[str] = set()
    for name, each in value.items():
        if isinstance(each, dict):
            found |= secrets_of(cast("dict[str, Any]", each))
        elif re.search("(_key|secret|password|passkey|^token)$", name) and name != "provider_key":
            found.add(each)
    return found


async def test_it_leads_to_every_service_and_sandbox(tmp_path: Path) -> None:
    async with running(tmp_path / "a folder", devices=1) as up:
        status, page = await up.request("GET", "/")
        links = re.findall('href="([^"]+)"', page)
        assert status == 200
        assert len([link for link in links if link.endswith("/docs")]) == 7
        assert len([link for link in links if link.startswith("sandbox/")]) == 8
        for link in links:
            assert (await up.request("GET", f"/{link}"))[0] == 200, link
        told = up.log().partition("Try, in another terminal")
        assert up.credentials["http"] in told[0]
        assert "--data-dir '" in told[2]
        secrets = secrets_of({**up.credentials, "devices": up.credentials["devices"][0]})
        assert len(secrets) > 20
        for secret in secrets:
            assert secret not in page
            assert secret not in up.log()

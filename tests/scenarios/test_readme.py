"""The README's blocks of commands, pasted as they stand, on free ports."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.up_process import running

CHECKOUT = Path(__file__).parents[2]
BLOCK = re.compile(r"<!-- tests/scenarios/test_readme.py .*?```sh\n(.*?)```", re.DOTALL)


def commands() -> list[str]:
    """The commands of the blocks, continued lines joined."""
    found = BLOCK.findall((CHECKOUT / "README.md").read_text())
    lines = "".join(found).replace("\\\n", " ").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


async def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path) -> None:
    if shutil.which("mosquitto_sub") is None:
        pytest.skip("!! mosquitto_sub is missing (Debian: mosquitto-clients)")
    async with running(tmp_path / "data") as up:
        bin_folder = tmp_path / ".venv" / "bin"
        bin_folder.parent.mkdir()
        bin_folder.symlink_to(Path(sys.executable).parent)

        async def paste(command: str) -> str:
            command = command.replace("http://127.0.0.1:8080", up.credentials["http"])
            command = command.replace("-p 1883", f"-p {up.credentials['mqtt']['port']}")
            process = await asyncio.create_subprocess_shell(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path, env=dict(os.environ)
            )
            output, _ = await asyncio.wait_for(process.communicate(), 30)
            assert process.returncode == 0, f"{command}\n{output.decode()}"
            return output.decode()

        dial, show, inbox, ops, typed, token, keypad, validate = commands()
        assert await paste(dial) == "END Payment successful!"
        await up.wait_for_light("SCBLNX/A/BT/240300126005")
        assert '"relay": true' in await paste(show)
        await up.wait_for_sms("256772100000")
        assert "keypad" in await paste(inbox)
        assert (await paste(ops)).count('"battery_mv"') == 2
        assert '"result": "invalid"' in await paste(typed)
        assert await paste(token) == "42744349\n"
        assert '"result": "accepted"' in await paste(keypad)
        assert json.loads(await paste(validate)) == {"status": "ok", "customer_name": "John Doe"}

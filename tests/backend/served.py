"""`payg serve` and `payg keys` as processes of their own."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

PAYG = Path(sys.executable).with_name("payg")
START_S = 60.0  # on a machine that is busy


def environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith("PAYG_")}, **(env or {})}


@asynccontextmanager
async def serving(
    service: str, data_dir: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> AsyncGenerator[str]:
    """A running service; its base URL. Its standard error is SERVICE.log in `data_dir`."""
    with _log(data_dir, service).open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            str(PAYG),
            *("serve", service, "--port", "0", "--data-dir", str(data_dir), *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=environment(env),
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            line = (await process.stdout.readline()).decode()
        assert " listens on " in line, (data_dir / f"{service}.log").read_text()
        yield line.split()[-1]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


def _log(data_dir: Path, service: str) -> Path:
    data_dir.mkdir(parents=True, exist_ok=True)
    return data_dir / f"{service}.log"


async def payg(*arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    process = await asyncio.create_subprocess_exec(
        str(PAYG),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(env),
    )
    async with asyncio.timeout(START_S):
        output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()

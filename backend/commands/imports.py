"""`payg import`: sends a CSV file to a running solarium, and prints what it says, row by row.

A device is of use when Moto and M2M have it too: the command waits for them, and says how far they are.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from backend.commands.remote import CommandError, Remote, reach
from backend.kit.http import HttpClient
from backend.solarium.operator_routes import MAX_FILE

LOOK_AGAIN_S = 0.5
WAIT_S = 60.0  # for the other services; the rest of a large shipment goes on without us


def run(kind: str, file: Path, *, dry_run: bool, data_dir: Path, url: str | None, stdout: TextIO) -> int:
    """0: every row is in, or was; 1: rows are wrong or refused. CommandError: the file can't be sent."""
    if file.stat().st_size > MAX_FILE:
        raise CommandError(f"{file} is over {MAX_FILE} bytes; split it")
    content = file.read_bytes()

    async def work() -> int:
        async with reach("solarium", header="API-KEY", data_dir=data_dir, url=url) as (http, solarium):
            path = f"/v1/imports/{kind}?dry_run={str(dry_run).lower()}"
            answer = await solarium.call(http, "POST", path, content)
            report = solarium.read(answer, good=(200, 422))
            _print(report, file.name, stdout)
            if kind != "devices" or dry_run or report["errors"]:
                return int(bool(report["errors"]))
            return await _told(http, solarium, stdout)

    return asyncio.run(work())


def _print(report: Mapping[str, Any], name: str, stdout: TextIO) -> None:
    for error in report["errors"]:
        field = f"{error['field']} " if error["field"] else ""
        stdout.write(f"{name}:{error['row']}: {field}{error['message']}\n")
    dry = "; a dry run, nothing is written" if report["dry_run"] else ""
    stdout.write(
        f"{report['rows']} rows can be read, {report['imported']} imported,"
        f" {report['unchanged']} here already, {len(report['errors'])} errors{dry}\n"
    )


async def _told(http: HttpClient, solarium: Remote, stdout: TextIO) -> int:
    """Wait until Moto and M2M have every device; 1 when they refused some."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_S
    while True:
        counts = await solarium.get(http, "/v1/imports/devices")
        if not counts["registering"] or loop.time() > deadline:
            break
        await asyncio.sleep(LOOK_AGAIN_S)
    parts = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    stdout.write(f"devices by state: {parts or 'none'}\n")
    if counts["refused"]:
        stdout.write(
            "refused ones are listed by GET /v1/devices?state=refused; correct and send them again\n"
        )
    return int(counts["refused"] > 0)

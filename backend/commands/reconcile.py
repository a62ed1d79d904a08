"""`payg reconcile`: has a running momo reconcile a day, and prints what differs."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from backend.commands.remote import CommandError, Remote, reach
from backend.kit.http import HttpClient
from backend.kit.runtime import Clock

KINDS = {
    "amount_differs": "the provider and we have different amounts",
    "unsettled": "the provider has it; here it waits or failed",
    "missing_here": "the provider has it; we never heard of it",
    "not_on_statement": "we were told it was paid; the provider does not say so",
    "not_booked": "paid, but not in the ledger",
    "booked_differs": "in the ledger with another amount",
    "booked_only": "in the ledger; neither the provider nor momo knows it",
}
SHOWN = 20  # differences of a kind that are printed; the report has more


def run(
    providers: Sequence[str],
    day: str | None,
    *,
    settle: bool,
    data_dir: Path,
    url: str | None,
    clock: Clock,
    stdout: TextIO,
) -> int:
    """0: everything agrees, or was made good; 1: something differs. CommandError: momo can't do it."""
    chosen = _chosen(day, clock)

    async def work() -> int:
        async with reach("momo", header="API-KEY", data_dir=data_dir, url=url) as (http, momo):
            return await _all(http, momo, providers, chosen, settle=settle, stdout=stdout)

    return asyncio.run(work())


async def _all(
    http: HttpClient, momo: Remote, providers: Sequence[str], day: str, *, settle: bool, stdout: TextIO
) -> int:
    every: list[str] = (await momo.get(http, "/reconciliation/providers"))["providers"]
    if unknown := [name for name in providers if name not in every]:
        raise CommandError(f"--provider: {unknown[0]} is none of {', '.join(every)}")
    code = 0
    for provider_key in providers or every:
        wanted = {"provider_key": provider_key, "day": day, "settle": settle}
        try:
            report = await momo.post(http, "/reconciliation/runs", wanted)
        except CommandError as error:
            stdout.write(f"{provider_key} {day}: not reconciled: {error}\n")
            code = 2
            continue
        stdout.writelines(f"{line}\n" for line in _lines(report, day))
        code = max(code, int(_left(report) > 0))
    return code


def _lines(report: Mapping[str, Any], day: str) -> list[str]:
    found = sum(len(report[kind]) for kind in KINDS)
    unasked = f", {report['unasked']} that nobody can be asked about" if report["unasked"] else ""
    lines = [
        f"{report['provider_key']} {day}: {report['matched']} of {report['lines']} matched"
        f" (by {report['method']}{unasked}); {found} differences, {report['new']} of them new,"
        f" {len(report['settled'])} made good; run {report['run_id']}"
    ]
    for kind, text in KINDS.items():
        if report[kind]:
            lines.append(f"  {kind}: {text}")
        lines += [f"    {_difference(each)}" for each in report[kind][:SHOWN]]
        if len(report[kind]) > SHOWN:
            lines.append(f"    and {len(report[kind]) - SHOWN} more")
    return lines


def _difference(each: Mapping[str, Any]) -> str:
    amounts = [f"{each['currency']} {each['amount_subunit'] / 100:,.2f}"]
    if each.get("our_amount_subunit") is not None:
        amounts.append(f"ours {each['our_amount_subunit'] / 100:,.2f}")
    if each.get("booked_subunit") is not None:
        amounts.append(f"booked {each['booked_currency']} {each['booked_subunit'] / 100:,.2f}")
    payment = f"  payment {each['payment_id']} ({each['state']})" if each.get("payment_id") else ""
    return f"{each['provider_tx'] or '-'}  {', '.join(amounts)}{payment}"


def _left(report: Mapping[str, Any]) -> int:
    """Differences that were not made good."""
    healed = set(report["settled"])
    return sum(each["provider_tx"] not in healed for kind in KINDS for each in report[kind])


def _chosen(day: str | None, clock: Clock) -> str:
    """The day as momo takes it; yesterday if none is named. CommandError: no day, or one to come."""
    today = datetime.fromtimestamp(clock.now_ms() / 1000, UTC).date()
    yesterday = today - timedelta(days=1)
    try:
        chosen = yesterday if day is None else date.fromisoformat(day)
    except ValueError:
        raise CommandError(f"--day: {day!r} is no date; write it like {yesterday}") from None
    if chosen > today:
        raise CommandError(f"--day: {chosen} has not begun; the last whole day is {yesterday}")
    return chosen.isoformat()

"""GET / of `payg up`: a page that leads to everything that listens here, and names no secret."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import cast

from aiohttp import web

from backend.kit.openapi import HTML, Handler
from backend.kit.reference import STYLE

SERVICES = {
    "solarium": "billing: accounts, payments, the ledger, the tokens that payments buy",
    "momo": "mobile money of every provider, and its reconciliation",
    "mese": "the USSD menu",
    "mega": "short messages, out and in",
    "moto": "keypad tokens",
    "m2m": "device commands, check-ins, and what devices have said",
    "hub": "payments, commands and tokens for one partner",
}


def make_handler(credentials: Mapping[str, object]) -> Handler:
    """The handler, of what credentials.json holds."""
    page = _page(credentials)

    async def front(_: web.Request) -> web.Response:
        return web.Response(text=page, content_type=HTML)

    return front


def _page(credentials: Mapping[str, object]) -> str:
    mqtt = cast("Mapping[str, object]", credentials["mqtt"])
    devices = cast("list[Mapping[str, object]]", credentials["devices"])
    broker = escape(f"{mqtt['host']}:{mqtt['port']}, over WebSocket on port {mqtt['ws_port']}")
    return "".join(
        (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>payg</title><style>{STYLE}</style></head><body><main><h1>payg</h1>",
            "<p>Pay-as-you-go solar, from the mobile money to the light, on this machine.</p><nav>",
            _table("Services: what each one takes and answers, with a curl line an operation", _services()),
            _table("Providers' sandboxes: their routes, and which numbers do what", _sandboxes(credentials)),
            _table(
                "In a terminal",
                (
                    ("<code>.venv/bin/payg credentials m2m.api_key</code>", "an API key for the curl lines"),
                    (
                        "<code>.venv/bin/payg device list</code>",
                        f"the {len(devices)} devices: light, display, credit",
                    ),
                    ("<code>.venv/bin/payg --help</code>", "every command"),
                ),
            ),
            f"</nav><p>MQTT listens on {broker}; operations' topics are <code>payg/v1/ops/#</code>.</p>",
            "</main></body></html>",
        )
    )


def _services() -> Iterable[tuple[str, str]]:
    for name, about in SERVICES.items():
        links = f'<a href="{name}/docs">{name}</a> (<a href="{name}/openapi.json">openapi.json</a>)'
        yield links, escape(about)


def _sandboxes(credentials: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    for name in cast("Mapping[str, object]", credentials["sandbox"]):
        yield (
            f'<a href="sandbox/{name}/">{name}</a>',
            f"<code>.venv/bin/payg credentials sandbox.{name}</code>",
        )


def _table(caption: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f'<tr><td>{left}</td><td class="soft">{right}</td></tr>' for left, right in rows)
    return f"<table><caption>{escape(caption)}</caption>{lines}</table>"

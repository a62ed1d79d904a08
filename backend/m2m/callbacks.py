"""The callback of an answered command: which URLs are allowed, and its delivery from the outbox.

check_target    at creation and before sending: no private, loopback or link-local address (resolutions 15)
Callbacks.send  the outbox handler: POST, signed (standard-webhooks), 10 s, 11 attempts (checklist 71-76)

Known limit: the name is resolved to be judged, and once more by the HTTP client a moment later. A name server
that changes its answer in between gets one POST through to an address of ours; pinning the judged address
needs an HttpClient that connects to it. Where that matters, let a network policy forbid it too.
"""

import base64
import hashlib
import hmac
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

import msgspec
import tenacity

from backend.kit.database import Database
from backend.kit.errors import BadRequest
from backend.kit.http import HttpClient
from backend.kit.outbox import Dead, Done, Leased, Outcome, Policy, Retry
from backend.kit.runtime import Clock, iso
from backend.m2m.commands import REPLIED
from backend.m2m.ports import Resolver
from backend.m2m.rows import CommandRow
from backend.m2m.schemas import CallbackBody
from backend.m2m.store import Store

KIND = "callback"
TIMEOUT_S = 10.0
NAT64 = IPv6Network("64:ff9b::/96")
ATTEMPTS = 11  # the first and 10 retries
POLICY = Policy(attempts=ATTEMPTS, wait=tenacity.wait_exponential(multiplier=1, max=600))  # 17 minutes in all


def split_url(url: str) -> SplitResult:
    """A callback URL's parts; BadRequest unless it is http or https with a host and without credentials."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, valid = SplitResult("", "", "", "", ""), False
    if not valid or parts.username is not None or not url.isprintable() or " " in url:
        raise BadRequest("Invalid parameters: callback_url")
    return parts


async def check_target(url: str, *, resolver: Resolver, allowed_hosts: Collection[str]) -> None:
    """BadRequest if the URL leads to an address of ours. A name that does not resolve now passes."""
    host = split_url(url).hostname or ""
    if host in allowed_hosts:
        return
    for address in await resolver.resolve(host):
        if not _is_public(ip_address(address.partition("%")[0])):
            raise BadRequest("Callback URL is not allowed: it leads to a private address")


def sign(secret: bytes, *, webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """The `webhook-signature` header (standard-webhooks, version 1)."""
    signed = f"{webhook_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def body_of(command: CommandRow) -> bytes:
    """The callback's body (checklist 72); the command is replied."""
    return msgspec.json.encode(
        CallbackBody(
            identifier=command.serial,
            command=command.text,
            status=REPLIED,
            device_response=command.device_response or "",
            created_at=iso(command.created_at_ms),
            delivered_at=iso(command.replied_at_ms or 0),
        )
    )


class Callbacks:
    """Delivers the callbacks that ingest.py put into the outbox."""

    def __init__(
        self,
        *,
        store: Store,
        database: Database,
        clock: Clock,
        http: HttpClient,
        resolver: Resolver,
        secret: bytes,
        allowed_hosts: Collection[str],
    ):
        self._store = store
        self._database = database
        self._clock = clock
        self._http = http
        self._resolver = resolver
        self._secret = secret
        self._allowed_hosts = allowed_hosts

    async def send(self, row: Leased) -> Outcome:
        """One attempt; the webhook id is the command's, so a receiver can tell repeats."""
        command_id = int(row.key)
        command = await self._database.read(lambda connection: self._store.command(connection, command_id))
        if command is None or command.callback_url is None:
            return Dead("the command has no callback")
        try:
            await check_target(
                command.callback_url, resolver=self._resolver, allowed_hosts=self._allowed_hosts
            )
        except BadRequest as error:
            return Retry(error.detail)  # the name may lead elsewhere the next time
        answer = await self._http.request(
            "POST",
            command.callback_url,
            headers=self._headers(command_id, body_of(command)),
            body=body_of(command),
            timeout_s=TIMEOUT_S,
        )
        if not 200 <= answer.status < 300:
            return Retry(f"HTTP {answer.status}")
        now_ms = self._clock.now_ms()
        return Done(lambda connection: self._store.delivered(connection, command_id, now_ms))

    def _headers(self, command_id: int, body: bytes) -> dict[str, str]:
        webhook_id = f"m2m-command-{command_id}"
        timestamp_s = self._clock.now_ms() // 1000
        signature = sign(self._secret, webhook_id=webhook_id, timestamp_s=timestamp_s, body=body)
        return {
            "Content-Type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": signature,
        }


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    carried = _carried(address) if isinstance(address, IPv6Address) else None
    if carried is not None:
        return _is_public(carried)
    return address.is_global and not address.is_multicast


def _carried(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, 6to4 (2002::/16) or NAT64."""
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour

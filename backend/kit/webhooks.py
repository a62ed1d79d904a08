"""Callbacks to partners: which URLs are allowed, and how a body is signed (standard-webhooks, version 1).

Known limit: a name is resolved to be judged, and once more by the HTTP client a moment later. A name server
that changes its answer in between gets one POST through to an address of ours; pinning the judged address
needs an HttpClient that connects to it. Where that matters, let a network policy forbid it too.
"""

import base64
import hashlib
import hmac
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from backend.kit.errors import BadRequest
from backend.kit.web import JSON

NAT64 = IPv6Network("64:ff9b::/96")


class Resolver(Protocol):
    """Who a host name is."""

    async def resolve(self, host: str) -> list[str]:
        """Its IP addresses as text; none if it does not resolve now."""
        ...


def split_url(url: str) -> SplitResult:
    """A callback URL's parts; BadRequest unless it is http or https with a host and without credentials."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, valid = SplitResult("", "", "", "", ""), False
    if not valid or parts.username is not None or not url.isprintable() or " " in url:
        raise BadRequest("Invalid parameters: callback_url", fields=[("callback_url", "is no http URL")])
    return parts


async def check_target(url: str, *, resolver: Resolver, allowed_hosts: Collection[str]) -> None:
    """BadRequest if the URL leads to an address of ours. A name that does not resolve now passes.

    See resolutions 15.
    """
    host = split_url(url).hostname or ""
    if host in allowed_hosts:
        return
    for address in await resolver.resolve(host):
        if not _is_public(ip_address(address.partition("%")[0])):
            raise BadRequest(
                "Callback URL is not allowed: it leads to a private address",
                fields=[("callback_url", "leads to a private address")],
            )


def sign(secret: bytes, *, webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """The `webhook-signature` header."""
    signed = f"{webhook_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def signed_headers(secret: bytes, *, webhook_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The headers of a callback; its id is the same at every attempt, so that a receiver can tell repeats."""
    return {
        "Content-Type": JSON,
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": sign(secret, webhook_id=webhook_id, timestamp_s=timestamp_s, body=body),
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

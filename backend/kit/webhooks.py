"""Callbacks to partners: which URLs are allowed, how they are reached, and how a body is signed.

    check_target   says early, in words, that a URL leads to an address of ours
    CallbackHttp   connects to no such address, whatever the name said when it was judged before: each address
                   is judged again by the socket that connects to it (http.py). It follows no redirect and
                   knows no proxy

Signatures are those of standard-webhooks, version 1.
"""

import base64
import hashlib
import hmac
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from yarl import URL

from backend.kit.errors import BadRequest
from backend.kit.http import NO_HEADERS, HttpAnswer, HttpClient
from backend.kit.web import JSON

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})  # whom callbacks may reach in development
NAT64 = IPv6Network("64:ff9b::/96")
NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")  # RFC 8215: leads into one's own network


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
        host_of(url).encode("idna")  # `a..b` is no name; a UnicodeError is a ValueError
    except ValueError:
        parts, valid = SplitResult("", "", "", "", ""), False
    if not valid or parts.username is not None or not url.isprintable() or " " in url:
        raise BadRequest("Invalid parameters: callback_url", fields=[("callback_url", "is no http URL")])
    return parts


async def check_target(url: str, *, resolver: Resolver, allowed_hosts: Collection[str]) -> None:
    """BadRequest if the URL leads to an address of ours. A name that does not resolve now passes.

    See resolutions 15.
    """
    split_url(url)
    host = host_of(url)
    if host in allowed_hosts:
        return
    if not all(is_public(address) for address in await resolver.resolve(host)):
        raise BadRequest(
            "Callback URL is not allowed: it leads to a private address",
            fields=[("callback_url", "leads to a private address")],
        )


def host_of(url: str) -> str:
    """The host that the HTTP client will connect to, by its own parser; ValueError for none."""
    host = URL(url).raw_host
    if not host:
        raise ValueError("no host")
    return host


class CallbackHttp:
    """An HttpClient for partners' URLs: `public` for every host (it judges addresses), `private` for
    `allowed_hosts`, which the configuration names.
    """

    def __init__(self, *, public: HttpClient, private: HttpClient, allowed_hosts: Collection[str]):
        self._public = public
        self._private = private
        self._allowed_hosts = frozenset(allowed_hosts)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        body: bytes = b"",
        timeout_s: float = 10.0,
    ) -> HttpAnswer:
        """See HttpClient. Unreachable: there is no public address behind the name."""
        http = self._private if host_of(url) in self._allowed_hosts else self._public
        return await http.request(method, url, headers=headers, body=body, timeout_s=timeout_s)


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


def is_public(text: str) -> bool:
    """Whether an IP address is one of the public internet, and leads to no other."""
    return _is_public(ip_address(text.partition("%")[0]))


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    carried = _carried(address) if isinstance(address, IPv6Address) else None
    if carried is not None:
        return _is_public(carried)
    if isinstance(address, IPv6Address) and (address in NAT64_LOCAL or address.is_reserved):
        return False  # reserved: also ::a.b.c.d, the oldest way to carry an IPv4 address
    if isinstance(address, IPv6Address) and address.is_site_local:
        return False
    return address.is_global and not address.is_multicast


def _carried(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, 6to4 (2002::/16) or NAT64."""
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour

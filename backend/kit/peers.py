"""Where a request comes from: networks, and proxies that are believed about it."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

Network = IPv4Network | IPv6Network

SUBNET = 64  # bits of an IPv6 address that a provider gives; the rest is the caller's to choose
MAX_HOPS = 20  # of an X-Forwarded-For that is looked at


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks as `10.0.0.0/8` or single addresses. ValueError names the one that is neither."""
    return tuple(ip_network(text) for text in texts)


def within(address: str | None, networks: Sequence[Network]) -> bool:
    """Whether an address (a socket's or a header's text) lies in one of them; what is none does not."""
    found = _parsed(address)
    return found is not None and any(found in network for network in networks)


def counted_as(address: str | None) -> str:
    """Whom a limit by address counts: an IPv4 address, or the /64 of an IPv6 one, all of which one host has.

    What is no address counts as it is.
    """
    found = _parsed(address)
    if found is None:
        return address or ""
    return str(found if isinstance(found, IPv4Address) else IPv6Network((found, SUBNET), strict=False))


def _parsed(address: str | None) -> IPv4Address | IPv6Address | None:
    """Of a socket's or a header's text; None: it is none."""
    try:
        found = ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:  # a v4 peer of a v6 socket
        return found.ipv4_mapped
    return found


def only_from(sources: Mapping[str, Sequence[Network]]) -> Middleware:
    """A middleware that hides paths (by how they begin) from everybody but these networks."""

    @web.middleware
    async def judged(request: web.Request, handler: Handler) -> web.StreamResponse:
        for path, networks in sources.items():
            if request.path.startswith(path) and not within(request.remote, networks):
                structlog.get_logger().warning("hook.address_refused", path=path, address=request.remote)
                raise web.HTTPNotFound
        return await handler(request)

    return judged


def behind(proxies: Sequence[Network]) -> Middleware:
    """A middleware that takes a trusted proxy's word for the peer: the last address that is no proxy's.

    Everybody else's X-Forwarded-For is ignored.
    """

    @web.middleware
    async def forwarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not within(request.remote, proxies):
            return await handler(request)
        hops = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")[-MAX_HOPS:]
        told = next((hop.strip() for hop in reversed(hops) if not within(hop.strip(), proxies)), None)
        return await handler(request if not told else request.clone(remote=told))

    return forwarded

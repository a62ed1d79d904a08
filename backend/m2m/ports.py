"""What `m2m` needs of the outside besides kit.http: names to addresses, short messages of Mega."""

import asyncio
import socket
from ipaddress import ip_address
from typing import Protocol

RESOLVE_S = 3.0  # a slower name is judged when its callback is sent


class Resolver(Protocol):
    """Who a host name is."""

    async def resolve(self, host: str) -> list[str]:
        """Its IP addresses as text; none if it does not resolve now."""
        ...


class Sms(Protocol):
    """Mega; the same `reference` again sends nothing new."""

    async def send(self, *, to: str, text: str, market: str, reference: str) -> object:
        """Queue a short message to msisdn `to`. Raises a BackendError."""
        ...


class Counts(Protocol):
    """Moto's registry."""

    async def last_sequence(self, serial: str) -> int:
        """The last sequence number (OpenPAYGO: count) that a device was given. NotFound: it is not known."""
        ...


class SystemResolver:
    """The operating system's resolver."""

    async def resolve(self, host: str) -> list[str]:
        """See Resolver."""
        if _is_address(host):  # the system need not be asked, in a thread, what it would only repeat
            return [host]
        try:
            async with asyncio.timeout(RESOLVE_S):
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError):
            return []
        return sorted({str(address[4][0]) for address in found})


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

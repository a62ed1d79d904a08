"""TLS of every listener and of our own clients: a certificate from the settings, TLS 1.2 or later.

A process that others can reach speaks TLS, or is told that TLS ends in front of it; nothing else starts.
"""

import ssl
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from backend.kit.errors import CannotStart


@dataclass(frozen=True, slots=True)
class Tls:
    """What a process listens with (None: no TLS) and connects with; `ca`: its private authorities' file."""

    server: ssl.SSLContext | None
    client: ssl.SSLContext
    ca: Path | None = None

    @property
    def http(self) -> str:
        """The scheme of our URLs."""
        return "http" if self.server is None else "https"


def prepare(host: str, *, certificate: Path | None, key: Path | None, ca: Path | None, in_front: bool) -> Tls:
    """The contexts of a process that listens on `host`. CannotStart: bad files, or open to strangers.

    `certificate` (with its chain) and `key` are PEM files, `ca` one of authorities besides the system's.
    """
    if (certificate is None) != (key is None):
        raise CannotStart("PAYG_TLS_CERTIFICATE and PAYG_TLS_KEY belong together; set both, or none")
    if certificate is None and not in_front and not is_loopback(host):
        raise CannotStart(
            f"{host} can be reached by others without TLS; set PAYG_TLS_CERTIFICATE and PAYG_TLS_KEY, "
            "or PAYG_TLS_IN_FRONT=true where a proxy in front speaks it"
        )
    server = None if certificate is None or key is None else _server(certificate, key)
    return Tls(server, _client(ca), None if ca is None else ca.absolute())


def trusts_itself(tls: Tls, host: str) -> None:
    """CannotStart: our own clients refuse what this process shows as `host`; found without a connection."""
    if tls.server is None:
        return
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.client.wrap_bio(to_client, to_server, server_hostname=host)
    server = tls.server.wrap_bio(to_server, to_client, server_side=True)
    try:
        for side in (client, server, client):  # asks; shows its certificate; judges it
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    except ssl.SSLCertVerificationError as error:
        raise CannotStart(
            f"PAYG_TLS_CERTIFICATE is not trusted for {host} ({error.verify_message}); name {host} in it, "
            "and in PAYG_TLS_CA the authority that signed it, or itself if nobody did"
        ) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _server(certificate: Path, key: Path) -> ssl.SSLContext:
    for name, file in (("PAYG_TLS_CERTIFICATE", certificate), ("PAYG_TLS_KEY", key)):
        _readable(name, file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise CannotStart(
            f"{certificate} and {key} are no PEM certificate and its key without a passphrase "
            f"({getattr(error, 'reason', None) or type(error).__name__})"
        ) from None
    return context


def _client(ca: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is not None:
        _readable("PAYG_TLS_CA", ca)
        try:
            context.load_verify_locations(ca)
        except (ssl.SSLError, OSError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise CannotStart(f"{ca} holds no PEM certificates ({reason}); see PAYG_TLS_CA") from None
    return context


def _readable(name: str, file: Path) -> None:
    try:
        file.open("rb").close()
    except OSError as error:
        raise CannotStart(f"{name}: {file} can't be read ({error.strerror})") from None


def _no_password() -> str:
    """Instead of OpenSSL's question at the terminal."""
    return ""

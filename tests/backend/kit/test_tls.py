"""TLS: what does not fit is one line at the start; what listens takes no older TLS than 1.2."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization

from backend.kit import tls
from backend.kit.errors import CannotStart
from backend.kit.http import AiohttpClient, Unreachable
from backend.settings import ServeSettings, read_settings
from tests import certificates
from tests.certificates import Certificates


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return certificates.make(tmp_path)


def prepared(
    files: Certificates, *, certificate: Path | None = None, key: Path | None = None, ca: Path | None = None
) -> tls.Tls:
    return tls.prepare(
        "127.0.0.1",
        certificate=certificate or files.server,
        key=key or files.server,
        ca=ca or files.ca,
        in_front=False,
    )


@pytest.fixture
async def listener(files: Certificates) -> AsyncIterator[tuple[str, int]]:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.add_routes([web.get("/", hello)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=prepared(files).server).start()
    yield runner.addresses[0][:2]
    await runner.cleanup()


async def test_a_client_with_the_private_authority_gets_through(
    files: Certificates, listener: tuple[str, int]
) -> None:
    client = AiohttpClient(tls=prepared(files).client)
    answer = await client.request("GET", f"https://127.0.0.1:{listener[1]}/")
    await client.close()
    assert answer.body == b"hello"


async def test_a_client_without_it_does_not(listener: tuple[str, int]) -> None:
    client = AiohttpClient()
    with pytest.raises(Unreachable):
        await client.request("GET", f"https://127.0.0.1:{listener[1]}/")
    await client.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("newest", "takes"), [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)]
)
async def test_nothing_older_than_tls_1_2_is_spoken(
    files: Certificates, listener: tuple[str, int], newest: ssl.TLSVersion, takes: bool
) -> None:
    old = ssl.create_default_context(cafile=files.ca)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = newest
    old.set_ciphers("ALL:@SECLEVEL=0")
    try:
        _, writer = await asyncio.open_connection(*listener, ssl=old, server_hostname="127.0.0.1")
    except (ssl.SSLError, ConnectionResetError):
        assert not takes
        return
    assert takes
    writer.close()
    await writer.wait_closed()


def test_checklist_99_beyond_loopback_there_is_tls_or_something_in_front() -> None:
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert tls.prepare(host, certificate=None, key=None, ca=None, in_front=False).server is None
    for host in ("::", "10.0.0.1", "payg.example"):
        with pytest.raises(CannotStart, match="PAYG_TLS_IN_FRONT"):
            tls.prepare(host, certificate=None, key=None, ca=None, in_front=False)
        assert tls.prepare(host, certificate=None, key=None, ca=None, in_front=True).http == "http"


@pytest.mark.parametrize(("host", "in_front"), [("::", True), ("127.0.0.1", True)])
def test_what_development_opens_is_not_open_to_others(
    monkeypatch: pytest.MonkeyPatch, host: str, in_front: bool
) -> None:
    monkeypatch.setenv("PAYG_TLS_IN_FRONT", str(in_front))
    with pytest.raises(CannotStart, match="PAYG_DEVELOPMENT=false"):
        read_settings(ServeSettings).tls(host)
    monkeypatch.setenv("PAYG_DEVELOPMENT", "false")
    assert read_settings(ServeSettings).tls(host).http == "http"


def test_bad_files_are_one_line(files: Certificates, tmp_path: Path) -> None:
    nothing, garbage, locked = (tmp_path / name for name in ("nothing", "garbage", "locked"))
    garbage.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    key = serialization.load_pem_private_key(files.server.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    for certificate, private, ca, says in (
        (nothing, None, None, "PAYG_TLS_CERTIFICATE"),
        (None, nothing, None, "PAYG_TLS_KEY"),
        (None, None, nothing, "PAYG_TLS_CA"),
        (None, None, garbage, "no PEM certificates"),
        (garbage, None, None, "no PEM certificate"),
        (files.ca, None, None, "no PEM certificate"),  # the key is another's
        (None, locked, None, "passphrase"),
    ):
        with pytest.raises(CannotStart, match=says) as refused:
            prepared(files, certificate=certificate, key=private, ca=ca)
        assert "\n" not in str(refused.value)
    with pytest.raises(CannotStart, match="belong together"):
        tls.prepare("127.0.0.1", certificate=files.server, key=None, ca=None, in_front=False)


def test_a_certificate_that_our_own_clients_refuse_is_found_before_anything_starts(
    files: Certificates,
) -> None:
    tls.trusts_itself(prepared(files), "127.0.0.1")
    tls.trusts_itself(
        tls.prepare("127.0.0.1", certificate=None, key=None, ca=None, in_front=False), "127.0.0.1"
    )
    with pytest.raises(CannotStart, match=r"PAYG_TLS_CERTIFICATE is not trusted for 127\.0\.0\.2"):
        tls.trusts_itself(prepared(files), "127.0.0.2")
    strange = tls.prepare("127.0.0.1", certificate=files.server, key=files.server, ca=None, in_front=False)
    with pytest.raises(CannotStart, match=r"unable to get local issuer certificate.*PAYG_TLS_CA"):
        tls.trusts_itself(strange, "127.0.0.1")

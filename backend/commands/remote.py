"""A running service, for the commands of operators: where it is, and the key to it.

--url, or the environment's PAYG_SERVICE_URL   with PAYG_SERVICE_API_KEY, or the key of the data directory
credentials.json of the data directory         what `payg up` wrote
the address that `payg serve` uses             with the same keys as --url
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from backend.data_dir import CREDENTIALS, SECRETS
from backend.kit.decoding import UNREADABLE
from backend.kit.errors import BackendError, CannotStart
from backend.kit.http import AiohttpClient, HttpAnswer, HttpClient
from backend.settings import ServeSettings, read_settings

WAIT_S = 900.0  # a reconciliation asks a provider about thousands of payments
MAX_REASON = 300


class CommandError(CannotStart):
    """The command can't be done; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A service's base URL and an operator's key for it; `header` is where the key goes."""

    name: str
    url: str
    header: str
    key: str = field(repr=False)

    async def call(
        self, http: HttpClient, method: str, path: str, body: bytes = b"", *, timeout_s: float = WAIT_S
    ) -> HttpAnswer:
        """Its answer, whatever the status. CommandError: it does not answer."""
        headers = {self.header: self.key, "Content-Type": "application/json"}
        try:
            return await http.request(
                method, self.url + path, headers=headers, body=body, timeout_s=timeout_s
            )
        except BackendError as error:
            raise CommandError(
                f"{self.name} at {self.url} does not answer ({error.detail}): is it running?"
            ) from None

    async def get(self, http: HttpClient, path: str) -> Mapping[str, Any]:
        """The JSON of a 200. CommandError: anything else."""
        return self.read(await self.call(http, "GET", path))

    async def post(self, http: HttpClient, path: str, body: object) -> Mapping[str, Any]:
        """The same of a POST."""
        return self.read(await self.call(http, "POST", path, msgspec.json.encode(body)))

    def read(self, answer: HttpAnswer, *, good: tuple[int, ...] = (200,)) -> Mapping[str, Any]:
        """The JSON of an answer with one of those statuses."""
        if answer.status not in good:
            reason = " ".join(answer.body.decode(errors="replace").split())[:MAX_REASON]
            raise CommandError(f"{self.name} answered HTTP {answer.status}: {reason}")
        try:
            return answer.json()
        except BackendError:
            raise CommandError(f"{self.url} is not {self.name}: its answer is no JSON") from None


@asynccontextmanager
async def reach(
    name: str, *, header: str, data_dir: Path, url: str | None
) -> AsyncGenerator[tuple[HttpClient, Remote]]:
    """A client that trusts what the settings say, and the service `name`. CommandError: it has no key."""
    settings = read_settings(ServeSettings)
    http = AiohttpClient(tls=settings.tls("localhost").client)
    try:
        yield http, _find(name, header=header, data_dir=data_dir, url=url, settings=settings)
    finally:
        await http.close()


def _find(name: str, *, header: str, data_dir: Path, url: str | None, settings: ServeSettings) -> Remote:
    """The service `name`. CommandError: nobody says what its key is."""
    known = _read(data_dir / CREDENTIALS)
    named = url or (settings.url_of(name) if f"{name}_url" in settings.model_fields_set else None)
    match known.get("http"), known.get(name):
        case str(base), {"api_key": str(given)} if named is None:
            return Remote(name, f"{base}/{name}", header, given)
        case _:
            pass
    key = settings.secret_of(f"{name}_api_key") or _read(data_dir / SECRETS).get(f"{name}_api_key")
    if not isinstance(key, str):
        raise CommandError(
            f"no key for {name}: set PAYG_{name.upper()}_API_KEY, or name the --data-dir of `payg up`"
        )
    return Remote(name, (named or settings.url_of(name)).rstrip("/"), header, key)


def _read(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, *UNREADABLE):
        return {}

"""`m2m` over HTTP: the service's `create`, and partner.py's methods, with the same errors."""

from collections.abc import Mapping, Sequence

import msgspec

from backend.kit.decoding import UNREADABLE
from backend.kit.errors import BY_STATUS, BadRequest, Unavailable
from backend.kit.http import ApiKey, HttpAnswer, HttpClient, error_of, key_now
from backend.kit.keys import MARKETS_HEADER
from backend.m2m.schemas import CommandAnswer, CommandView

COMMANDS = "/v1/commands"
DEVICES = "/v1/devices"
SAID = (400, 403, 404, 409, 429)  # errors whose text is for who asked


class M2mClient:
    """Calls the command routes at `base_url` with `api_key`. `markets` narrow those of the key."""

    def __init__(self, *, http: HttpClient, base_url: str, api_key: ApiKey):
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key

    async def create(
        self,
        *,
        identifier: str,
        name: str,
        details: Mapping[str, str],
        callback_url: str | None,
        reference: str,
    ) -> str:
        """See M2mService.create."""
        body = {
            "identifier": identifier,
            "command": {"name": name, "details": dict(details)},
            "callback_url": callback_url,
            "reference": reference,
        }
        answer = await self._ask("POST", COMMANDS, body)
        if answer.status == 400:
            raise BadRequest(str(answer.json().get("error")))
        if answer.status != 201:
            raise error_of(answer, "m2m create")
        try:
            return msgspec.convert(answer.json(), CommandAnswer).command
        except msgspec.ValidationError as error:
            raise Unavailable("m2m create: the answer has no command") from error

    async def register(self, *, serial: str, market: str, link_key_hex: str, password: str) -> None:
        """See M2mService.register."""
        body = {"serial": serial, "market": market, "link_key": link_key_hex, "password": password}
        answer = await self._ask("POST", DEVICES, body)
        if answer.status in SAID:
            raise BY_STATUS[answer.status](str(answer.json().get("error")))
        if answer.status != 201:
            raise error_of(answer, "m2m register")

    async def place(self, body: Mapping[str, object], *, markets: Sequence[str] = ()) -> CommandView:
        """See partner.Partner.place."""
        answer = await self._ask("POST", COMMANDS, body, markets, {"Prefer": "return=representation"})
        return _view(answer, 201)

    async def look(self, command_id: int, *, markets: Sequence[str] = ()) -> CommandView:
        """See Lifecycle.get."""
        return _view(await self._ask("GET", f"{COMMANDS}/{command_id}", markets=markets), 200)

    async def report(
        self, command_id: int, body: Mapping[str, object], *, markets: Sequence[str] = ()
    ) -> CommandView:
        """See Lifecycle.report."""
        return _view(await self._ask("POST", f"{COMMANDS}/{command_id}/report", body, markets), 200)

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        markets: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        named = {"X-API-Key": key_now(self._api_key), "Content-Type": "application/json", **(headers or {})}
        if markets:
            named[MARKETS_HEADER] = ",".join(markets)
        content = b"" if body is None else msgspec.json.encode(body)
        return await self._http.request(method, self._base_url + path, headers=named, body=content)


def _view(answer: HttpAnswer, status: int) -> CommandView:
    if answer.status != status:
        if answer.status in SAID:
            raise BY_STATUS[answer.status](str(answer.json().get("error")))
        raise error_of(answer, "m2m command")
    try:
        return msgspec.json.decode(answer.body, type=CommandView)
    except UNREADABLE as error:
        raise Unavailable("m2m command: the answer has no command") from error

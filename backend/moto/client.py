"""`moto` over HTTP: the same `order` and `stateless` as the service's, with the same errors."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec

from backend.kit.decoding import UNREADABLE
from backend.kit.errors import Forbidden, NotFound, Unavailable, Unprocessable
from backend.kit.http import ApiKey, HttpAnswer, HttpClient, error_of, key_now
from backend.kit.keys import MARKETS_HEADER
from backend.moto.schemas import SequenceAnswer, StatusAnswer, TokenAnswer
from backend.moto.service import Token

STATEFUL = "/api/v1/tokens/generate"
STATELESS = "/api/v1/tokens/stateless/generate"
DEVICES = "/api/v1/devices"


class MotoClient:
    """Calls the token routes at `base_url` with `api_key`. `markets` narrow those of the key."""

    def __init__(self, *, http: HttpClient, base_url: str, api_key: ApiKey):
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key

    async def order(
        self,
        *,
        device: str,
        command: str,
        payload: int,
        reference: str | None,
        markets: Sequence[str] = (),
    ) -> Token:
        """See MotoService.order."""
        body = {"device": device, "command": command, "payload": payload, "reference": reference}
        return await self._ask(STATEFUL, body, markets)

    async def stateless(
        self,
        *,
        device: str,
        command: str,
        payload: int,
        sequence_number: int,
        secret: str,
        markets: Sequence[str] = (),
    ) -> Token:
        """See MotoService.stateless."""
        body = {
            "device": device,
            "command": command,
            "payload": payload,
            "sequence_number": sequence_number,
            "secret": secret,
        }
        return await self._ask(STATELESS, body, markets)

    async def _ask(self, path: str, body: Mapping[str, object], markets: Sequence[str]) -> Token:
        headers = {"API-KEY": key_now(self._api_key), "Content-Type": "application/json"}
        if markets:
            headers[MARKETS_HEADER] = ",".join(markets)
        answer = await self._http.request(
            "POST", self._base_url + path, headers=headers, body=msgspec.json.encode(body)
        )
        if answer.status == 404 and answer.body:
            raise NotFound("device not found")
        if answer.status == 403:
            raise Forbidden(_status(answer))
        if answer.status != 200:
            raise error_of(answer, "moto order")
        if _status(answer) != "ok":
            raise Unprocessable(_status(answer))
        try:
            token = msgspec.convert(answer.json(), TokenAnswer)
        except msgspec.ValidationError as error:
            raise Unavailable("moto order: the answer has no token") from error
        return Token(token.token, token.sequence_number)

    async def register(
        self, *, serial: str, secret_hex: str, family: str, market: str, starting_code: int | None
    ) -> None:
        """See MotoService.register."""
        body = {
            "serial": serial,
            "secret": secret_hex,
            "family": family,
            "market": market,
            "starting_code": starting_code,
        }
        answer = await self._http.request(
            "POST",
            self._base_url + DEVICES,
            headers={"API-KEY": key_now(self._api_key), "Content-Type": "application/json"},
            body=msgspec.json.encode(body),
        )
        if answer.status != 201:
            raise error_of(answer, "moto register")

    async def last_sequence(self, serial: str) -> int:
        """See MotoService.last_sequence."""
        url = f"{self._base_url}{DEVICES}/{quote(serial, safe='')}/sequence"
        answer = await self._http.request("GET", url, headers={"API-KEY": key_now(self._api_key)})
        if answer.status == 404 and answer.body:
            raise NotFound("device not found")
        if answer.status != 200:
            raise error_of(answer, "moto sequence")
        try:
            return msgspec.json.decode(answer.body, type=SequenceAnswer).last_sequence
        except msgspec.DecodeError as error:
            raise Unavailable("moto sequence: the answer has none") from error


def _status(answer: HttpAnswer) -> str:
    try:
        return msgspec.json.decode(answer.body, type=StatusAnswer).status
    except UNREADABLE as error:
        raise Unavailable("moto order: the answer has no status") from error

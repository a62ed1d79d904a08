"""`moto` over HTTP: the same `order` as the service's, with the same errors."""

import msgspec

from backend.kit.errors import NotFound, Unavailable, Unprocessable
from backend.kit.http import HttpClient, error_of
from backend.moto.schemas import TokenAnswer
from backend.moto.service import Token

PATH = "/api/v1/tokens/generate"


class MotoClient:
    """Calls the stateful route at `base_url` with `api_key`."""

    def __init__(self, *, http: HttpClient, base_url: str, api_key: str):
        self._http = http
        self._url = base_url.rstrip("/") + PATH
        self._api_key = api_key

    async def order(self, *, device: str, command: str, payload: int, reference: str) -> Token:
        """See MotoService.order."""
        body = {"device": device, "command": command, "payload": payload, "reference": reference}
        answer = await self._http.request(
            "POST",
            self._url,
            headers={"API-KEY": self._api_key, "Content-Type": "application/json"},
            body=msgspec.json.encode(body),
        )
        if answer.status == 404 and answer.body:
            raise NotFound("device not found")
        if answer.status != 200:
            raise error_of(answer, "moto order")
        content = answer.json()
        if content.get("status") != "ok":
            raise Unprocessable(str(content.get("status")))
        try:
            token = msgspec.convert(content, TokenAnswer)
        except msgspec.ValidationError as error:
            raise Unavailable("moto order: the answer has no token") from error
        return Token(token.token, token.sequence_number)

"""`m2m` over HTTP: the same `create` as the service's, with the same errors."""

from collections.abc import Mapping

import msgspec

from backend.kit.errors import BadRequest, Unavailable
from backend.kit.http import HttpClient, error_of
from backend.m2m.schemas import CommandAnswer

PATH = "/v1/commands"


class M2mClient:
    """Calls the command route at `base_url` with `api_key`."""

    def __init__(self, *, http: HttpClient, base_url: str, api_key: str):
        self._http = http
        self._url = base_url.rstrip("/") + PATH
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
        answer = await self._http.request(
            "POST",
            self._url,
            headers={"X-API-Key": self._api_key, "Content-Type": "application/json"},
            body=msgspec.json.encode(body),
        )
        if answer.status == 400:
            raise BadRequest(str(answer.json().get("error")))
        if answer.status != 201:
            raise error_of(answer, "m2m create")
        try:
            return msgspec.convert(answer.json(), CommandAnswer).command
        except msgspec.ValidationError as error:
            raise Unavailable("m2m create: the answer has no command") from error

"""mega over HTTP: the methods of MegaService that others use. Raises the kit's errors."""

import msgspec

from backend.kit.decoding import UNREADABLE
from backend.kit.errors import Unavailable, Unprocessable
from backend.kit.http import ApiKey, HttpClient, error_of, key_now
from backend.mega.schemas import Queued, SendRequest


class MegaClient:
    """`base_url` is the root of mega; `api_key` goes into the header X-API-Key."""

    def __init__(self, *, http: HttpClient, base_url: str, api_key: ApiKey):
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key

    async def send(
        self,
        *,
        to: str,
        text: str,
        market: str | None = None,
        sender_id: str | None = None,
        reference: str | None = None,
    ) -> Queued:
        """See MegaService.send."""
        body = SendRequest(to=to, text=text, market=market, sender_id=sender_id, reference=reference)
        answer = await self._http.request(
            "POST",
            f"{self._base_url}/send_short_message",
            headers=self._headers(),
            body=msgspec.json.encode(body),
        )
        if answer.status == 422:
            raise Unprocessable(f"{answer.json().get('error')}: mega send: HTTP 422")  # no_route among them
        if answer.status != 202:
            raise error_of(answer, "mega send")
        try:
            return msgspec.json.decode(answer.body, type=Queued)
        except UNREADABLE as error:
            raise Unavailable("mega send: the answer does not fit its schema") from error

    def _headers(self) -> dict[str, str]:
        return {"X-API-Key": key_now(self._api_key), "Content-Type": "application/json"}

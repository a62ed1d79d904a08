"""HTTP for momo's reconciliation, with its API-KEY: what of a provider's payments is in the ledger.

POST /booked_payments   by the provider's transaction ids
POST /booked_between    by the time of booking, in pages
"""

from collections.abc import Callable

from aiohttp import web

from backend.kit.keys import Client, market_of
from backend.kit.openapi import Answer, Media, Operation
from backend.kit.web import JSON, json_response, read_json
from backend.solarium.operator_reference import KEY
from backend.solarium.schemas import BookedBetween, BookedPayments, BookedRequest, Errors, epoch_ms
from backend.solarium.service import Solarium

PROVIDER = {"provider_key": "ug_mtn_mobilemoney"}
NAMED = {**PROVIDER, "transactions": ["MP251201.1030.A00001"]}
BETWEEN = {**PROVIDER, "since": "2025-12-01T00:00:00Z", "until": "2025-12-02T00:00:00Z"}

ClientOf = Callable[[web.Request], Client]


def operations(service: Solarium, client_of: ClientOf) -> list[Operation]:
    """The routes; `client_of` says whose a request's key is, or raises Unauthorized."""
    books = _Books(service, client_of)
    refused: dict[int, Answer] = dict.fromkeys((400, 401, 403, 413, 503), Errors)
    return [
        Operation(
            "POST",
            path,
            handler,
            summary,
            tag="What is booked",
            request=Media(JSON, schema, example=example),
            answers={200: BookedPayments, **refused},
            security=KEY,
        )
        for path, handler, summary, schema, example in (
            ("/booked_payments", books.named, "Payments by their transactions", BookedRequest, NAMED),
            ("/booked_between", books.between, "Payments by time, in pages", BookedBetween, BETWEEN),
        )
    ]


class _Books:
    def __init__(self, service: Solarium, client_of: ClientOf):
        self._service = service
        self._client_of = client_of

    async def named(self, request: web.Request) -> web.Response:
        client = self._client_of(request)
        asked = await read_json(request, BookedRequest)
        client.check(market_of(asked.provider_key))
        found = await self._service.booked_payments(asked.provider_key, asked.transactions)
        return json_response(BookedPayments(found))

    async def between(self, request: web.Request) -> web.Response:
        client = self._client_of(request)
        asked = await read_json(request, BookedBetween)
        client.check(market_of(asked.provider_key))
        found = await self._service.booked_between(
            asked.provider_key,
            first_ms=epoch_ms(asked.since),
            last_ms=epoch_ms(asked.until),
            after=asked.after,
        )
        return json_response(BookedPayments(found))

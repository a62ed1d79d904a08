"""The callback of an answered command: which URLs are allowed, and its delivery from the outbox.

check_target    at creation and before sending: no private, loopback or link-local address (resolutions 15)
Callbacks.send  the outbox handler: POST, signed (standard-webhooks), 10 s, 11 attempts (checklist 71-76)

kit/webhooks.py has the addresses and the signature.
"""

from collections.abc import Collection

import msgspec
import tenacity

from backend.kit import webhooks
from backend.kit.database import Database
from backend.kit.errors import BadRequest
from backend.kit.http import HttpClient
from backend.kit.outbox import Dead, Done, Leased, Outcome, Policy, Retry
from backend.kit.runtime import Clock, iso
from backend.m2m.commands import REPLIED
from backend.m2m.ports import Resolver
from backend.m2m.rows import CommandRow
from backend.m2m.schemas import CallbackBody
from backend.m2m.store import Store

KIND = "callback"
TIMEOUT_S = 10.0
ATTEMPTS = 11  # the first and 10 retries
POLICY = Policy(attempts=ATTEMPTS, wait=tenacity.wait_exponential(multiplier=1, max=600))  # 17 minutes in all


async def check_target(url: str, *, resolver: Resolver, allowed_hosts: Collection[str]) -> None:
    """BadRequest if the URL leads to an address of ours. A name that does not resolve now passes."""
    try:
        await webhooks.check_target(url, resolver=resolver, allowed_hosts=allowed_hosts)
    except BadRequest as error:
        raise BadRequest(error.detail) from None  # this service's errors name no fields (checklist 67)


def body_of(command: CommandRow) -> bytes:
    """The callback's body (checklist 72); the command is replied."""
    return msgspec.json.encode(
        CallbackBody(
            identifier=command.serial,
            command=command.text,
            status=REPLIED,
            device_response=command.device_response or "",
            created_at=iso(command.created_at_ms),
            delivered_at=iso(command.replied_at_ms or 0),
        )
    )


class Callbacks:
    """Delivers the callbacks that ingest.py put into the outbox."""

    def __init__(
        self,
        *,
        store: Store,
        database: Database,
        clock: Clock,
        http: HttpClient,
        resolver: Resolver,
        secret: bytes,
        allowed_hosts: Collection[str],
    ):
        self._store = store
        self._database = database
        self._clock = clock
        self._http = http
        self._resolver = resolver
        self._secret = secret
        self._allowed_hosts = allowed_hosts

    async def send(self, row: Leased) -> Outcome:
        """One attempt; the webhook id is the command's, so a receiver can tell repeats."""
        command_id = int(row.key)
        command = await self._database.read(lambda connection: self._store.command(connection, command_id))
        if command is None or command.callback_url is None:
            return Dead("the command has no callback")
        try:
            await check_target(
                command.callback_url, resolver=self._resolver, allowed_hosts=self._allowed_hosts
            )
        except BadRequest as error:
            return Retry(error.detail)  # the name may lead elsewhere the next time
        body = body_of(command)
        headers = webhooks.signed_headers(
            self._secret,
            webhook_id=f"m2m-command-{command_id}",
            timestamp_s=self._clock.now_ms() // 1000,
            body=body,
        )
        answer = await self._http.request(
            "POST", command.callback_url, headers=headers, body=body, timeout_s=TIMEOUT_S
        )
        if not 200 <= answer.status < 300:
            return Retry(f"HTTP {answer.status}")
        now_ms = self._clock.now_ms()
        return Done(lambda connection: self._store.delivered(connection, command_id, now_ms))

"""The hub's three services (checklist 50), each a thin layer over the one that knows.

    payments    validate and confirm, as Solarium does
    commands    M2M's commands in the mirror's words: waiting, sent, executed, failed, expired, cancelled
    tokens      Moto's tokens for days and hours

A client of some markets sees and changes nothing of the others: provider keys name their market, and M2M and
Moto are told whose markets they answer for. Of commands it sees its own only (store.py).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from backend.hub.ports import Billing, Command, Commands, Tokens
from backend.hub.schemas import (
    EXTRAS,
    CallbackRequest,
    CommandAnswer,
    CommandCreated,
    CommandRequest,
    ConfirmRequest,
    TokenAnswer,
    TokenRequest,
    ValidateAnswer,
    ValidateRequest,
)
from backend.hub.store import Store
from backend.kit.database import Database
from backend.kit.errors import BadRequest, Forbidden, NotFound
from backend.kit.keys import ApiKeys, Client, market_of
from backend.kit.migrations import migrate
from backend.kit.ratelimit import RateLimit
from backend.kit.runtime import Clock, iso

HOURS = 24  # a token carries whole days
HOUR_MS = 3_600_000
UNLOCK = "unlock_relative"
OK = "ok"
DEVICE_OK = "OK"  # what M2M says that a device answered, when it did what it was told

# The mirror's words for M2M's states; a reply is `executed` or `failed`, by what the device said.
STATUSES = {"created": "waiting", "sent": "sent", "expired": "expired", "cancelled": "cancelled"}

_NUMBER = re.compile(r"[0-9]{1,18}\Z")


@dataclass(frozen=True, slots=True)
class Partners:
    """The services that do the work."""

    billing: Billing
    commands: Commands
    tokens: Tokens


class Hub:
    """See the module. `keys` are the api keys that make_app checks, `rate_limit` is each client's."""

    def __init__(self, *, database: Database, clock: Clock, pepper: bytes, partners: Partners):
        self._database = database
        self._clock = clock
        self._partners = partners
        self._store = Store(pepper)
        self.keys: ApiKeys = self._store.keys
        self.rate_limit = RateLimit(limit=100, window_s=1, clock=clock)  # resolutions 9

    async def start(self) -> None:
        """Bring the schema up to date and load the keys."""
        await migrate(self._database, "hub")
        await self.keys.open(self._database, self._clock)

    async def stop(self) -> None:
        """Nothing runs by itself here."""

    async def install_key(self, *, key: str, client: str, markets: Sequence[str] = ()) -> None:
        """Make an API key valid; again changes nothing."""
        await self.keys.add(key, client=client, markets=markets)

    # Payments

    async def validate(self, request: ValidateRequest, client: Client) -> ValidateAnswer:
        """Whether the account takes the money. Forbidden: another market's provider."""
        _allow(client, request.provider_key)
        found = await self._partners.billing.validate(
            reference=request.reference,
            currency=request.currency,
            business_account=request.business_account,
            provider_key=request.provider_key,
            amount_subunit=request.amount_subunit,
        )
        fields = request.additional_fields
        wants_name = fields is None or "customer_name" in fields
        return ValidateAnswer(found.status, found.customer_name if wants_name else None)

    async def confirm(self, request: ConfirmRequest, client: Client) -> bool:
        """Book a payment; False: it was booked before. Forbidden: another market's provider."""
        _allow(client, request.provider_key)
        given = {name: getattr(request, name) for name in EXTRAS}
        return await self._partners.billing.confirm(
            reference=request.reference,
            amount_subunit=request.amount_subunit,
            currency=request.currency,
            sender_phone_number=request.sender_phone_number,
            provider_tx=request.provider_tx,
            provider_key=request.provider_key,
            momoep_id=str(request.momoep_id),
            business_account=request.business_account,
            received_at=request.received_at,
            extra={name: value for name, value in given.items() if value is not None},
        )

    # Commands

    async def create_command(self, request: CommandRequest, client: Client) -> tuple[int, CommandCreated]:
        """(id, answer) of a new command; the same `reference` of a client again is the first one."""
        body = msgspec.to_builtins(request)
        if isinstance(request.reference, str):
            body["reference"] = _reference(client, request.reference)
        placed = await self._partners.commands.place(body, markets=client.markets)
        await self._database.write(
            lambda connection: self._store.add_command(connection, placed.id, client.name)
        )
        answer = CommandCreated(placed.identifier, placed.command, _status(placed), placed.created_at)
        return placed.id, answer

    async def command(self, command_id: str, client: Client) -> CommandAnswer:
        """One command. NotFound: there is none in the client's markets, or it did not create it."""
        number = await self._seen(command_id, client)
        found = await self._partners.commands.look(number, markets=client.markets)
        return CommandAnswer(
            command_id=str(found.id),
            identifier=found.identifier,
            command=found.command,
            status=_status(found),
            created_at=found.created_at,
            delivered_at=found.delivered_at,
            device_response=found.device_response,
        )

    async def callback(self, request: CallbackRequest, client: Client) -> None:
        """A command ended, as somebody outside says. Conflict: it ended otherwise."""
        if isinstance(request.command_id, bool) or not isinstance(request.command_id, int | str):
            raise BadRequest("Missing parameters: command_id")
        body = {
            "status": request.status,
            "executed_at": request.executed_at,
            "error_message": request.error_message,
        }
        number = await self._seen(str(request.command_id), client)
        await self._partners.commands.report(number, body, markets=client.markets)

    async def _seen(self, command_id: str, client: Client) -> int:
        """The number of a command that the client created here; one of every market sees all."""
        number = _id(command_id)
        if client.markets:
            creator = await self._database.read(lambda connection: self._store.client_of(connection, number))
            if creator != client.name:
                raise NotFound("no such command")
        return number

    # Tokens

    async def generate(self, request: TokenRequest, client: Client) -> TokenAnswer:
        """The next token of a registered device."""
        token = await self._partners.tokens.order(
            device=request.serial_number,
            command=UNLOCK,
            payload=_days(request),
            reference=None if request.reference is None else _reference(client, request.reference),
            markets=client.markets,
        )
        return self._answer(request, token.digits)

    async def generate_stateless(self, request: TokenRequest, client: Client) -> TokenAnswer:
        """The token of the secret and number that the request names; without, a registered device's next.

        Without a number nobody knows which is free, so the registry gives it.
        """
        if request.secret is None and request.sequence_number is None:
            return await self.generate(request, client)
        if request.secret is None or request.sequence_number is None:
            raise BadRequest("a stateless token needs both secret and sequence_number")
        token = await self._partners.tokens.stateless(
            device=request.serial_number,
            command=UNLOCK,
            payload=_days(request),
            sequence_number=request.sequence_number,
            secret=request.secret,
            markets=client.markets,
        )
        return self._answer(request, token.digits)

    def _answer(self, request: TokenRequest, digits: str) -> TokenAnswer:
        credit_ms = (request.days * HOURS + request.hours) * HOUR_MS
        return TokenAnswer(
            token=digits,
            serial_number=request.serial_number,
            days=request.days,
            hours=request.hours,
            expires_at=iso(self._clock.now_ms() + credit_ms),
        )


def _days(request: TokenRequest) -> int:
    days, rest = divmod(request.days * HOURS + request.hours, HOURS)
    if rest or days == 0:
        raise BadRequest("days and hours must make one or more whole days")
    return days


def _status(command: Command) -> str:
    if command.status in STATUSES:
        return STATUSES[command.status]
    return "executed" if command.device_response == DEVICE_OK else "failed"


def _reference(client: Client, reference: str) -> str:
    """A reference among those of others: hub clients share one key at M2M and Moto."""
    return f"hub/{client.name}/{reference}"


def _id(value: str) -> int:
    if not _NUMBER.match(value):
        raise NotFound("no such command")
    return int(value)


def _allow(client: Client, provider_key: str) -> None:
    market = market_of(provider_key)
    if not client.sees(market):
        raise Forbidden(f"this API key is not for {market}", fields=[("provider_key", f"is of {market}")])

"""Decides which token a device gets next. Stateless tokens need no store, stateful ones a write batch.

    generate_stateless   check, make the digits, note the attempt
    generate             one transaction for all that wait: lock the devices, find repeats by reference,
                         number the others, write them; no number is ever given twice
    order                the same for `solarium`, plain digits

generator.py has the rules of a request, ownership.py who may ask, store.py the SQL; registry.py adds devices.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from backend.kit.batch import MAX_BATCH, WriteBatch
from backend.kit.database import Database
from backend.kit.errors import BackendError, Unprocessable
from backend.kit.keys import ApiKeys
from backend.kit.migrations import migrate
from backend.kit.runtime import Clock, Entropy
from backend.kit.vault import Vault
from backend.moto import ownership
from backend.moto.generator import (
    DAY_COMMANDS,
    OPENPAYGO,
    Credentials,
    Made,
    Refused,
    Wanted,
    check,
    digits_of,
    last_after,
    next_sequence_number,
    stateless,
)
from backend.moto.ownership import GIVEN, STATEFUL, STATELESS, UNENCODED, Attempt, Caller
from backend.moto.registry import DeviceNotFound, Registry, is_name
from backend.moto.schemas import TokenAnswer, TokenRequest
from backend.moto.store import DeviceRow, Store, TokenRow
from protocols.tokens import openpaygo


@dataclass(frozen=True, slots=True)
class MotoConfig:
    """master_key: seals secrets at rest. order_client: under whose name `order` counts references.

    max_batch: requests that are decided in one transaction.
    """

    master_key: bytes = field(repr=False)
    order_client: str = "solarium"
    max_batch: int = MAX_BATCH


@dataclass(frozen=True, slots=True)
class Token:
    """A stateful token: plain digits and the number it took."""

    digits: str
    sequence_number: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What the invariants are checked against."""

    devices: int
    tokens: int
    days_by_device: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Stateful:
    """A request of the registry. invalid: it can't be served, and is only noted."""

    caller: Caller
    request: TokenRequest
    serial: str
    reference: str | None
    invalid: BackendError | None


_Answer = Made | BackendError


@dataclass(frozen=True, slots=True)
class _Asked:
    """A stateless request, and what it would be answered."""

    caller: Caller
    request: TokenRequest
    made: _Answer
    serial: str


class MotoService:
    """See the module. `keys` are the api keys that make_app checks, `registry` has the devices."""

    def __init__(self, *, database: Database, clock: Clock, entropy: Entropy, config: MotoConfig):
        self._database = database
        self._clock = clock
        self._config = config
        self._vault = Vault(config.master_key, "moto", entropy)
        self._store = Store(self._vault.pepper)
        self._batch: WriteBatch[_Stateful, _Answer] = WriteBatch(
            database, self._decide, max_batch=config.max_batch
        )
        self._asked: WriteBatch[_Asked, BackendError | None] = WriteBatch(
            database, self._ask, max_batch=config.max_batch, overlapping=True
        )
        self.keys: ApiKeys = self._store.keys
        self.registry = Registry(store=self._store, database=database, clock=clock, vault=self._vault)

    async def start(self) -> None:
        """Bring the schema up to date and load the keys."""
        await migrate(self._database, "moto")
        await self.keys.open(self._database, self._clock)

    async def stop(self) -> None:
        """Nothing runs by itself here."""

    async def install_key(self, *, key: str, client: str, markets: Sequence[str] = ()) -> None:
        """Make an API key valid; again changes nothing."""
        await self.keys.add(key, client=client, markets=markets)

    async def register(
        self,
        *,
        serial: str,
        secret_hex: str,
        family: str,
        market: str,
        starting_code: int | None = None,
        last_sequence: int = 0,
    ) -> None:
        """See Registry.register."""
        await self.registry.register(
            serial=serial,
            secret_hex=secret_hex,
            family=family,
            market=market,
            starting_code=starting_code,
            last_sequence=last_sequence,
        )

    async def last_sequence(self, serial: str) -> int:
        """See Registry.last_sequence."""
        return await self.registry.last_sequence(serial)

    async def generate_stateless(
        self, request: TokenRequest, *, client: str, markets: tuple[str, ...] = (), route: str = STATELESS
    ) -> TokenAnswer | None:
        """The token of exactly this request; None: its encoding does not parse.

        Raises Forbidden (a registered device of none of `markets`, or stolen, or lost) or Refused.
        """
        made: _Answer
        try:
            made = stateless(request)
        except Refused as refused:
            made = refused
        caller = Caller(client, markets, route)
        refusal = await self._asked.submit(_Asked(caller, request, made, ownership.noted(request.device)))
        if refusal is not None:
            raise refusal
        return _answered(made)

    async def generate(
        self, request: TokenRequest, *, client: str, markets: tuple[str, ...] = ()
    ) -> TokenAnswer | None:
        """A registered device's token; None: no such encoding.

        Raises DeviceNotFound, Refused or Forbidden (a device of none of `markets`; none: every market is the
        client's; or it is stolen or lost).
        """
        serial = str(request.device) if isinstance(request.device, str | int) else ""
        reference = request.reference
        invalid: BackendError | None = None
        if not is_name(serial):
            serial, invalid = "", DeviceNotFound("device not found")
        elif reference is not None and (not isinstance(reference, str) or not is_name(reference)):
            invalid = Refused("Reference is invalid")
        named = reference if isinstance(reference, str) and invalid is None else None
        caller = Caller(client, markets, STATEFUL)
        answer = await self._batch.submit(_Stateful(caller, request, serial, named, invalid))
        return _answered(answer)

    async def order(
        self,
        *,
        device: str,
        command: str,
        payload: int,
        reference: str | None,
        client: str | None = None,
        markets: Sequence[str] = (),
    ) -> Token:
        """The device's next token. The same `reference` of a client again returns the first.

        Raises NotFound (unknown device), Forbidden (see `generate`) or Unprocessable (the status text).
        """
        request = TokenRequest(device=device, command=command, payload=payload, reference=reference)
        asking = self._config.order_client if client is None else client
        return await _plain(self.generate(request, client=asking, markets=tuple(markets)))

    async def stateless(
        self,
        *,
        device: str,
        command: str,
        payload: int,
        sequence_number: int,
        secret: str,
        client: str,
        markets: Sequence[str] = (),
    ) -> Token:
        """The token of this number. Raises Forbidden or Unprocessable (the status text)."""
        request = TokenRequest(device, command, payload, sequence_number, secret)
        return await _plain(self.generate_stateless(request, client=client, markets=tuple(markets)))

    async def audit(self) -> Audit:
        """Counts for the invariants."""

        def read(connection: Connection) -> Audit:
            return Audit(
                devices=self._store.count_devices(connection),
                tokens=self._store.count_tokens(connection),
                days_by_device=self._store.days_issued(connection, DAY_COMMANDS),
            )

        return await self._database.read(read)

    def _ask(self, connection: Connection, asked: Sequence[_Asked]) -> list[BackendError | None]:
        """Why the stateless requests are refused, if they are; each is noted."""
        owners = self._store.owners(connection, {request.serial for request in asked})
        refusals = [
            ownership.refusal(*owners[request.serial], request.caller.markets)
            if request.serial in owners
            else None
            for request in asked
        ]
        answers = [refusal or request.made for refusal, request in zip(refusals, asked, strict=True)]
        self._note(connection, [(request.caller, request.request) for request in asked], answers)
        return list(refusals)

    def _decide(self, connection: Connection, requests: Sequence[_Stateful]) -> list[_Answer]:
        devices = self._store.lock_devices(connection, {request.serial for request in requests})
        references = {(r.caller.client, r.reference) for r in requests if r.reference is not None}
        issued = self._store.issued(connection, references)
        last_sequences: dict[str, int] = {}
        new: list[TokenRow] = []
        answers: list[_Answer] = []
        for request in requests:
            key = (request.caller.client, request.reference or "")
            try:
                device = _owned(request, devices.get(request.serial), again=key in issued)
                if request.reference is not None and key in issued:
                    answers.append(self._again(connection, devices, issued[key], request.caller))
                    continue
                if device is None:
                    raise DeviceNotFound("device not found")
                last = last_sequences.get(device.serial, device.last_sequence)
                answer, row, last = self._number(request, device, last)
            except BackendError as error:
                answers.append(error)
                continue
            if row is not None:
                new.append(row)
                last_sequences[device.serial] = last
                if request.reference is not None:
                    issued[key] = row
            answers.append(answer)
        self._store.issue(connection, new, last_sequences)
        self._note(connection, [(request.caller, request.request) for request in requests], answers)
        return answers

    def _note(
        self,
        connection: Connection,
        asked: Sequence[tuple[Caller, TokenRequest]],
        answers: Sequence[_Answer],
    ) -> None:
        """An audit row for every attempt, whatever came of it."""
        now_ms = self._clock.now_ms()
        rows: list[Attempt] = []
        for (caller, request), answer in zip(asked, answers, strict=True):
            number: int | None = None
            outcome: BackendError | str
            if isinstance(answer, Made):
                number = answer.sequence_number
                outcome = UNENCODED if answer.digits is None else GIVEN
            else:
                outcome = answer
            rows.append(ownership.attempt(caller, request, outcome=outcome, number=number, at_ms=now_ms))
        self._store.note(connection, rows)

    def _number(self, request: _Stateful, device: DeviceRow, last: int) -> tuple[Made, TokenRow | None, int]:
        """Answer, row to write and the device's last number; no row if the encoding does not parse."""
        wanted = check(request.request, default_family=device.family, registered=True)
        credentials = self._fitting(device, wanted)
        number = wanted.sequence_number
        if number is None:
            number = next_sequence_number(wanted, last, credentials)
        elif number <= last:
            raise Refused("Sequence number already used")
        digits = digits_of(wanted, number, credentials)
        if digits is None:
            return Made(None, number), None, last
        row = TokenRow(
            client=request.caller.client,
            reference=request.reference,
            serial=device.serial,
            family=wanted.family,
            command=wanted.command,
            payload=wanted.payload,
            sequence_number=number,
            encoding=wanted.encoding,
            created_at_ms=self._clock.now_ms(),
        )
        return Made(digits, number), row, last_after(wanted, number)

    def _again(
        self, connection: Connection, devices: dict[str, DeviceRow], row: TokenRow, caller: Caller
    ) -> Made:
        """The answer that was given when `row` was written, perhaps for another device than is named now.

        Forbidden: another key of the client, for other markets, was given it.
        """
        device = devices.get(row.serial) or self._store.lock_devices(connection, [row.serial])[row.serial]
        refusal = ownership.refusal(device.market, device.state, caller.markets)
        if refusal is not None:
            raise refusal
        wanted = Wanted(row.family, row.command, row.payload, row.sequence_number, None, None, row.encoding)
        return Made(
            digits_of(wanted, row.sequence_number, self._fitting(device, wanted)), row.sequence_number
        )

    def _fitting(self, device: DeviceRow, wanted: Wanted) -> Credentials:
        """The device's credentials; Refused if they can't make tokens of the family that is asked for."""
        credentials = Credentials(self._vault.open(device.secret, device.serial), device.starting_code)
        if wanted.family == OPENPAYGO and len(credentials.secret) != openpaygo.SECRET_SIZE:
            raise Refused("Family is invalid")
        return credentials


def _owned(request: _Stateful, device: DeviceRow | None, *, again: bool) -> DeviceRow | None:
    """The device, if the client may have its tokens; None: there is none, but it was served before."""
    if request.invalid is not None:
        raise request.invalid
    if device is None and not again:
        raise DeviceNotFound("device not found")
    refusal = None
    if device is not None:
        refusal = ownership.refusal(device.market, device.state, request.caller.markets)
    if refusal is not None:
        raise refusal
    return device


def _answered(answer: _Answer) -> TokenAnswer | None:
    if isinstance(answer, BackendError):
        raise answer
    return None if answer.digits is None else TokenAnswer("ok", answer.digits, answer.sequence_number)


async def _plain(answering: Awaitable[TokenAnswer | None]) -> Token:
    """A token of a request without an encoding."""
    try:
        answer = await answering
    except Refused as error:
        raise Unprocessable(error.detail) from error
    if answer is None:
        raise AssertionError("a request without an encoding always has digits")
    return Token(answer.token, answer.sequence_number)

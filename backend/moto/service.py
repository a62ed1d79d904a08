"""Decides which token a device gets next. Stateless tokens need no store, stateful ones a write batch.

    generate_stateless   check, make the digits, forget
    generate             one transaction for all that wait: lock the devices, find repeats by reference,
                         number the others, write them; no number is ever given twice
    order                the same for `solarium`, plain digits

generator.py has the rules of a request, store.py the SQL.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from backend.kit.batch import WriteBatch
from backend.kit.database import Database
from backend.kit.errors import BackendError, BadRequest, Conflict, Forbidden, NotFound, Unprocessable
from backend.kit.keys import ApiKeys
from backend.kit.migrations import migrate
from backend.kit.runtime import Clock, Entropy
from backend.kit.vault import Vault
from backend.moto.generator import (
    DAY_COMMANDS,
    FAMILIES,
    OPENPAYGO,
    Credentials,
    Refused,
    Walk,
    Wanted,
    check,
    digits_of,
    last_after,
    next_sequence_number,
)
from backend.moto.schemas import TokenAnswer, TokenRequest
from backend.moto.store import DeviceRow, Store, TokenRow
from backend.moto.walker import Walker
from protocols.tokens import openpaygo

MAX_NAME = 200  # characters of a serial, a reference, a client's name


class DeviceNotFound(NotFound):
    """The registry has no such device (checklist 88)."""


@dataclass(frozen=True, slots=True)
class MotoConfig:
    """master_key: seals secrets at rest. order_client: under whose name `order` counts references."""

    master_key: bytes = field(repr=False)
    order_client: str = "solarium"


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
    client: str
    markets: tuple[str, ...]
    request: TokenRequest
    serial: str
    reference: str | None


@dataclass(frozen=True, slots=True)
class _Made:
    """A token that may be given; digits None: its encoding does not parse."""

    digits: str | Walk | None = field(repr=False)
    sequence_number: int


_Answer = _Made | BackendError


class MotoService:
    """See the module. `keys` are the api keys that make_app checks."""

    def __init__(self, *, database: Database, clock: Clock, entropy: Entropy, config: MotoConfig):
        self._database = database
        self._clock = clock
        self._config = config
        self._vault = Vault(config.master_key, "moto", entropy)
        self._store = Store(self._vault.pepper)
        self._batch: WriteBatch[_Stateful, _Answer] = WriteBatch(database, self._decide)
        self._walker = Walker()
        self.keys: ApiKeys = self._store.keys

    async def start(self) -> None:
        """Bring the schema up to date and load the keys."""
        await migrate(self._database, "moto")
        await self.keys.load(self._database)

    async def stop(self) -> None:
        """Nothing runs by itself here."""

    async def install_key(self, *, key: str, client: str, markets: Sequence[str] = ()) -> None:
        """Make an API key valid; again changes nothing."""
        await self._database.write(
            lambda connection: self.keys.install(connection, key, client, markets, self._clock.now_ms())
        )
        await self.keys.load(self._database)

    async def register(
        self, *, serial: str, secret_hex: str, family: str, market: str, starting_code: int | None = None
    ) -> None:
        """Add a device. Again with the same values changes nothing, with others it is a Conflict."""
        device = self._checked(serial, secret_hex, family, market, starting_code)

        def add(connection: Connection) -> DeviceRow:
            return self._store.add_device(connection, device, self._clock.now_ms())

        stored = await self._database.write(add)
        same = (stored.family, stored.market, stored.starting_code) == (family, market, starting_code)
        if not same or self._credentials(stored).secret != bytes.fromhex(secret_hex):
            raise Conflict(f"{serial} is registered with other values; a device is never registered anew")

    async def generate_stateless(self, request: TokenRequest) -> TokenAnswer | None:
        """The token of exactly this request; None: its encoding does not parse.

        Raises Refused, or TooManyRequests (see Walker).
        """
        wanted = check(request, default_family="moto", registered=False)
        if wanted.secret is None or wanted.sequence_number is None:
            raise AssertionError("an unregistered device's request names both")
        credentials = Credentials(wanted.secret, wanted.starting_code)
        digits = digits_of(wanted, wanted.sequence_number, credentials)
        if isinstance(digits, Walk):
            self._walker.check_room()
        return await self._answered(_Made(digits, wanted.sequence_number))

    async def generate(
        self, request: TokenRequest, *, client: str, markets: tuple[str, ...] = ()
    ) -> TokenAnswer | None:
        """A registered device's token; None: no such encoding.

        Raises DeviceNotFound, Refused or Forbidden (a device of none of `markets`; none: every market is the
        client's).
        """
        serial = str(request.device) if isinstance(request.device, str | int) else ""
        if not _is_name(serial):
            raise DeviceNotFound("device not found")
        reference = request.reference
        if reference is not None and (not isinstance(reference, str) or not _is_name(reference)):
            raise Refused("Reference is invalid")
        answer = await self._batch.submit(_Stateful(client, markets, request, serial, reference))
        if isinstance(answer, BackendError):
            raise answer
        return await self._answered(answer)

    async def _answered(self, made: "_Made") -> TokenAnswer | None:
        """The answer, its digits made outside every transaction."""
        digits = made.digits
        if digits is None:
            return None
        text = await self._walker.digits(digits) if isinstance(digits, Walk) else digits
        return TokenAnswer("ok", text, made.sequence_number)

    async def order(self, *, device: str, command: str, payload: int, reference: str) -> Token:
        """The device's next token. The same `reference` again returns the first.

        Raises NotFound (unknown device) or Unprocessable (the status text).
        """
        request = TokenRequest(device=device, command=command, payload=payload, reference=reference)
        try:
            answer = await self.generate(request, client=self._config.order_client)
        except Refused as error:
            raise Unprocessable(error.detail) from error
        if answer is None:
            raise AssertionError("a request without an encoding always has digits")
        return Token(answer.token, answer.sequence_number)

    async def audit(self) -> Audit:
        """Counts for the invariants."""

        def read(connection: Connection) -> Audit:
            return Audit(
                devices=self._store.count_devices(connection),
                tokens=self._store.count_tokens(connection),
                days_by_device=self._store.days_issued(connection, DAY_COMMANDS),
            )

        return await self._database.read(read)

    def _decide(self, connection: Connection, requests: Sequence[_Stateful]) -> list[_Answer]:
        devices = self._store.lock_devices(connection, {request.serial for request in requests})
        references = {(r.client, r.reference) for r in requests if r.reference is not None}
        issued = self._store.issued(connection, references)
        last_sequences: dict[str, int] = {}
        new: list[TokenRow] = []
        answers: list[_Answer] = []
        for request in requests:
            key = (request.client, request.reference or "")
            device = devices.get(request.serial)
            try:
                if request.reference is not None and key in issued:
                    answers.append(self._again(connection, devices, issued[key]))
                    continue
                if device is None:
                    raise DeviceNotFound("device not found")
                if request.markets and device.market not in request.markets:
                    raise Forbidden("not authorized")
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
        return answers

    def _number(self, request: _Stateful, device: DeviceRow, last: int) -> tuple[_Made, TokenRow | None, int]:
        """Answer, row to write and the device's last number; no row if the encoding does not parse."""
        wanted = check(request.request, default_family=device.family, registered=True)
        number = wanted.sequence_number
        if number is None:
            number = next_sequence_number(wanted, last)
        elif number <= last:
            raise Refused("Sequence number already used")
        digits = digits_of(wanted, number, self._fitting(device, wanted))
        if digits is None:
            return _Made(None, number), None, last
        row = TokenRow(
            client=request.client,
            reference=request.reference,
            serial=device.serial,
            family=wanted.family,
            command=wanted.command,
            payload=wanted.payload,
            sequence_number=number,
            encoding=wanted.encoding,
            created_at_ms=self._clock.now_ms(),
        )
        return _Made(digits, number), row, last_after(wanted, number)

    def _again(self, connection: Connection, devices: dict[str, DeviceRow], row: TokenRow) -> _Made:
        """The answer that was given when `row` was written."""
        device = devices.get(row.serial) or self._store.lock_devices(connection, [row.serial])[row.serial]
        wanted = Wanted(row.family, row.command, row.payload, row.sequence_number, None, None, row.encoding)
        return _Made(
            digits_of(wanted, row.sequence_number, self._fitting(device, wanted)), row.sequence_number
        )

    def _fitting(self, device: DeviceRow, wanted: Wanted) -> Credentials:
        """The device's credentials; Refused if they can't make tokens of the family that is asked for."""
        credentials = self._credentials(device)
        if wanted.family == OPENPAYGO and len(credentials.secret) != openpaygo.SECRET_SIZE:
            raise Refused("Family is invalid")
        return credentials

    def _credentials(self, device: DeviceRow) -> Credentials:
        return Credentials(self._vault.open(device.secret, device.serial), device.starting_code)

    def _checked(
        self, serial: str, secret_hex: str, family: str, market: str, starting_code: int | None
    ) -> DeviceRow:
        if not _is_name(serial) or family not in FAMILIES:
            raise BadRequest(f"a device has a serial and a family of {', '.join(FAMILIES)}")
        request = TokenRequest(
            device=serial,
            command="counter_sync",
            payload=0,
            secret=secret_hex,
            starting_code=starting_code,
            sequence_number=1,
        )
        try:
            wanted = check(request, default_family=family, registered=False)
        except Refused as error:
            raise BadRequest(error.detail) from error
        sealed = self._vault.seal(wanted.secret or b"", serial)
        return DeviceRow(serial, market, family, sealed, starting_code, 0)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME and "\x00" not in text

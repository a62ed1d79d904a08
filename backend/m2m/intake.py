"""What clients ask for, before it is a command: checked, and completed by what others know.

    update   the size and hash of its file (firmware.py)
    sync     the count that Moto has given its device (recovery.py says why)

A callback's address is judged here and again when it is sent. creation.py decides the rest in a transaction.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from backend.kit.batch import WriteBatch
from backend.kit.errors import BackendError, BadRequest, NotFound
from backend.m2m import callbacks, commands, details
from backend.m2m.commands import Wanted
from backend.m2m.creation import Created, Creation
from backend.m2m.firmware import FirmwareFiles
from backend.m2m.ports import Counts, Resolver
from backend.m2m.schemas import CommandRequest


class Intake:
    """See the module. `counts` None: a `sync` knows what its device has told."""

    def __init__(
        self,
        *,
        creations: WriteBatch[Creation, Created | BackendError],
        firmware: FirmwareFiles,
        resolver: Resolver,
        allowed_callback_hosts: frozenset[str],
        counts: Counts | None,
    ):
        self._creations = creations
        self._firmware = firmware
        self._resolver = resolver
        self._allowed_callback_hosts = allowed_callback_hosts
        self._counts = counts
        self._log = structlog.get_logger(service="m2m")

    async def create(
        self, request: CommandRequest, *, client: str, markets: tuple[str, ...], callback_required: bool
    ) -> Created:
        """Create what is asked for; BadRequest with the documented text (resolutions 13).

        Forbidden: the device is in none of `markets` (none named: every market is the client's). Unavailable:
        a `sync` of a device that has lost its store, while Moto, which knows its count, is away.
        """
        wanted = commands.check(request, callback_required=callback_required)
        if wanted.name == "update":
            wanted = await self._with_file(wanted)
        elif wanted.name == "sync" and self._counts is not None:
            wanted = await self._with_count(wanted, self._counts)
        if wanted.callback_url is not None:
            await callbacks.check_target(
                wanted.callback_url,
                resolver=self._resolver,
                allowed_hosts=self._allowed_callback_hosts,
            )
        created = await self._creations.submit(Creation(client, markets, wanted))
        if isinstance(created, BackendError):
            raise created
        return created

    async def create_bulk(
        self, requests: Sequence[CommandRequest], *, client: str, markets: tuple[str, ...]
    ) -> list[Created | BackendError]:
        """Create each of them by itself; an answer each, in order. They share transactions."""

        async def one(request: CommandRequest) -> Created | BackendError:
            try:
                return await self.create(request, client=client, markets=markets, callback_required=False)
            except BackendError as error:
                return error

        return await asyncio.gather(*(one(request) for request in requests))

    async def _with_count(self, wanted: Wanted, counts: Counts) -> Wanted:
        """A `sync` with what its device was given; if Moto does not know it, or is away, what it told."""
        try:
            return replace(wanted, argument=str(await counts.last_sequence(wanted.serial)))
        except NotFound:
            return wanted
        except BackendError as error:
            self._log.warning("sync.uncounted", serial=wanted.serial, error=error.detail)
            return replace(wanted, uncounted=True)

    async def _with_file(self, wanted: Wanted) -> Wanted:
        """An `update` with what the device checks its file by; files never change, so it is read before."""
        file = await self._firmware.find(wanted.argument)
        if file is None:
            raise BadRequest(f"Unknown firmware file: {wanted.argument}")
        return replace(wanted, argument=details.with_file(file))

"""What the bridge needs of others. The composition root hands in services, or their clients, that fit.

All members are read-only, so that the frozen dataclasses of other packages fit as they are.
"""

from collections.abc import Sequence
from typing import Protocol


class OpsEvent(Protocol):
    """A JSON document for the ops topics; `kind` is one of topics.OPS_KINDS."""

    @property
    def market(self) -> str: ...
    @property
    def serial(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def payload(self) -> bytes: ...


class IngestAnswer(Protocol):
    """What became of one frame: sealed frames for its device and events, or `refused` with the reason."""

    @property
    def down(self) -> Sequence[bytes]: ...
    @property
    def events(self) -> Sequence[OpsEvent]: ...
    @property
    def refused(self) -> str | None: ...


class Ingest(Protocol):
    """Takes what devices say. May raise anything when it can't: the bridge then asks again.

    An OSError, a time-out or an error whose `status` is 503 says "not now"; any other one, often enough, is
    taken for the input's fault.
    """

    async def ingest(self, uplinks: Sequence[tuple[str, bytes]]) -> Sequence[IngestAnswer]:
        """Store (serial, frame) pairs in one transaction; one answer each, in order, repeats included."""
        ...

    async def report_state(self, serial: str, online: bool, boot_id: int) -> Sequence[OpsEvent]: ...


class FeedItem(Protocol):
    """Something that waits to go out: `channel` is "down" or a kind of ops topic."""

    @property
    def id(self) -> int: ...
    @property
    def serial(self) -> str: ...
    @property
    def market(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def payload(self) -> bytes: ...


class Feed(Protocol):
    """Items to publish; what is leased and not confirmed comes again. May raise anything when it can't."""

    async def lease(self, *, limit: int, wait_s: float) -> Sequence[FeedItem]:
        """Return up to `limit` items, waiting up to `wait_s` seconds for the first."""
        ...

    async def confirm(self, ids: Sequence[int]) -> None: ...

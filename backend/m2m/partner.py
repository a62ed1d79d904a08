"""`m2m` as one client sees it inside the process; client.py is the same over HTTP."""

from collections.abc import Mapping, Sequence

import msgspec

from backend.kit.errors import BadRequest
from backend.m2m.lifecycle import viewer_of
from backend.m2m.schemas import CommandRequest, CommandView, ReportRequest
from backend.m2m.service import M2mService


class Partner:
    """The service for `client`. No markets: every market is the client's."""

    def __init__(self, service: M2mService, client: str):
        self._service = service
        self._client = client

    async def place(self, body: Mapping[str, object], *, markets: Sequence[str] = ()) -> CommandView:
        """Create a command of a body as /v1/commands takes it; errors as Intake.create."""
        try:
            request = msgspec.convert(body, CommandRequest)
        except msgspec.ValidationError as error:
            raise BadRequest("Invalid JSON") from error
        created = await self._service.intake.create(
            request, client=self._client, markets=tuple(markets), callback_required=False
        )
        return await self.look(created.id, markets=markets)

    async def look(self, command_id: int, *, markets: Sequence[str] = ()) -> CommandView:
        """See Lifecycle.get."""
        return await self._service.lifecycle.get(command_id, viewer_of(self._client, markets))

    async def report(
        self, command_id: int, body: Mapping[str, object], *, markets: Sequence[str] = ()
    ) -> CommandView:
        """See Lifecycle.report."""
        request = msgspec.convert(body, ReportRequest)
        return await self._service.lifecycle.report(command_id, request, viewer_of(self._client, markets))

"""`moto` as one client sees it inside the process; client.py is the same over HTTP."""

from collections.abc import Sequence

from backend.moto.service import MotoService, Token


class Partner:
    """The service for `client`."""

    def __init__(self, service: MotoService, client: str):
        self._service = service
        self._client = client

    async def order(
        self,
        *,
        device: str,
        command: str,
        payload: int,
        reference: str | None,
        markets: Sequence[str] = (),
    ) -> Token:
        """See MotoService.order."""
        return await self._service.order(
            device=device,
            command=command,
            payload=payload,
            reference=reference,
            client=self._client,
            markets=markets,
        )

    async def stateless(
        self,
        *,
        device: str,
        command: str,
        payload: int,
        sequence_number: int,
        secret: str,
        markets: Sequence[str] = (),
    ) -> Token:
        """See MotoService.stateless."""
        return await self._service.stateless(
            device=device,
            command=command,
            payload=payload,
            sequence_number=sequence_number,
            secret=secret,
            client=self._client,
            markets=markets,
        )

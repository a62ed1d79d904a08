"""The bridge: one MQTT link (`mqtt.py`), one pump up (`uplink.py`), one pump down for each feed (`feed.py`).

The meaning of what passes is in `core.py`, what it needs of services in `ports.py`.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from bridge.backoff import Backoff
from bridge.feed import FeedPump
from bridge.mqtt import MqttLink
from bridge.paho_session import Address
from bridge.ports import Feed, Ingest
from bridge.uplink import UplinkPump


class Bridge:
    """Carries frames and events between an MQTT broker and the services.

    `client_id` is stable across restarts: by it the broker keeps what is not acknowledged. `counters` is
    live. `tls`: how to speak to a broker that does.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        username: str,
        password: str,
        client_id: str,
        ingest: Ingest,
        feeds: Sequence[Feed],
        log: FilteringBoundLogger,
        backoff: Backoff | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        backoff = backoff or Backoff()
        self._log = log
        address = Address(
            host=host, port=port, username=username, password=password, client_id=client_id, tls=tls
        )
        self._link = MqttLink(address=address, backoff=backoff, counters=self.counters, log=log)
        self._uplink = UplinkPump(
            link=self._link, ingest=ingest, backoff=backoff, counters=self.counters, log=log
        )
        self._feeds = [
            FeedPump(link=self._link, feed=feed, backoff=backoff, counters=self.counters, log=log)
            for feed in feeds
        ]
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; the broker need not be there yet."""
        self._task = asyncio.create_task(self._run(), name="bridge")
        self._task.add_done_callback(self._on_done)

    async def ready(self) -> None:
        """Return when the bridge is connected and subscribed."""
        await self._link.session()

    async def stop(self) -> None:
        """Stop at once; what is not acknowledged or confirmed comes again. Raises what broke the bridge."""
        if self._task is None:
            return
        self._task.cancel()
        try:
            await self._task
        except asyncio.CancelledError:
            self._log.info("bridge_stopped")
        self._task = None

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._log.critical("bridge_broken", error=repr(task.exception()))

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run(), name="bridge link")
            group.create_task(self._uplink.run(), name="bridge uplink")
            for number, pump in enumerate(self._feeds):
                group.create_task(pump.run(), name=f"bridge feed {number}")

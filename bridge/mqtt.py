"""Keeps one MQTT session open, and opens the next when it is lost.

`uplink.py` takes from it, `feed.py` publishes to it.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from bridge.backoff import Backoff
from bridge.core import STATE_FILTER, UP_FILTER, Publication
from bridge.paho_session import Address, Session, SessionLostError, open_session


class MqttLink:
    """The bridge's way to the broker, across reconnects."""

    def __init__(
        self, *, address: Address, backoff: Backoff, counters: Counter[str], log: FilteringBoundLogger
    ) -> None:
        self._address = address
        self._backoff = backoff
        self._counters = counters
        self._log = log
        self._session: Session | None = None
        self._opened = asyncio.Event()

    async def run(self) -> None:
        """Hold a session open until cancelled."""
        failures = 0
        while True:
            try:
                self._session = await open_session(self._address, (UP_FILTER, STATE_FILTER))
            except SessionLostError as error:
                failures += 1
                self._log.warning("mqtt_connect_failed", reason=str(error), failures=failures)
            else:
                failures = 1
                self._counters["sessions"] += 1
                await self._hold(self._session)
            await asyncio.sleep(self._backoff.delay_s(failures))

    async def session(self) -> Session:
        """Return a session that is alive, waiting for one."""
        while self._session is None or not self._session.alive:
            self._opened.clear()
            await self._opened.wait()
        return self._session

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Publish and return when the broker has all of them; on a lost session again on the next."""
        while True:
            session = await self.session()
            try:
                return await session.publish(publications)
            except SessionLostError:
                self._counters["publish_repeats"] += 1

    async def _hold(self, session: Session) -> None:
        self._opened.set()
        self._log.info("mqtt_connected")
        try:
            self._log.warning("mqtt_connection_lost", reason=await session.wait_lost())
        finally:
            session.close()

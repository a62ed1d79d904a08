"""Who is online: retained states and last wills, decided in one transaction for all that wait.

A device that comes online is sent what waits for it (delivery.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from backend.kit.feed import OpsEvent
from backend.kit.runtime import Clock
from backend.m2m import delivery, downlink, events
from backend.m2m.rows import Device
from backend.m2m.store import Store
from protocols.magicbox import wire


@dataclass(frozen=True, slots=True)
class StateReport:
    """What the bridge heard: a device is online, or the boot `boot_id` is gone."""

    serial: str
    online: bool
    boot_id: int


class Presence:
    """See the module."""

    def __init__(self, *, store: Store, clock: Clock):
        self._store = store
        self._clock = clock

    def decide(self, connection: Connection, reports: Sequence[StateReport]) -> list[list[OpsEvent]]:
        """The status events of each report (for a WriteBatch). The death of an older boot is ignored."""
        devices = self._store.lock_devices(connection, {report.serial for report in reports})
        newest = [(device.serial, device.status_record) for device in devices.values()]
        statuses = {
            serial: _status(body) for serial, body in self._store.record_bodies(connection, newest).items()
        }
        answers: list[list[OpsEvent]] = []
        touched: dict[str, Device] = {}
        came: list[Device] = []
        for report in reports:
            device = devices.get(report.serial)
            if device is None or (not report.online and device.boot_id not in (None, report.boot_id)):
                answers.append([])
                continue
            if report.online and not device.online and device.link_key is not None:
                came.append(device)
            device.online, device.boot_id = report.online, report.boot_id
            touched[device.serial] = device
            status = statuses.get(device.serial)
            answers.append([events.status_event(device, status, at_ms=self._clock.now_ms())])
        self._store.save_devices(connection, list(touched.values()))
        self._send_waiting(connection, came)
        return answers

    def _send_waiting(self, connection: Connection, came: Sequence[Device]) -> None:
        now_ms = self._clock.now_ms()
        waiting = self._store.open_commands(connection, {device.serial for device in came})
        rows = [
            delivery.down_row(device, command.id)
            for device in came
            for command in downlink.in_flight(waiting.get(device.serial, []), now_ms)
        ]
        self._store.outbox.put(connection, rows, now_ms)


def _status(body: bytes) -> wire.Status | None:
    record = wire.decode_records(body)[0]
    return record if isinstance(record, wire.Status) else None

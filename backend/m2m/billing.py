"""Billing events for Solarium (resolutions 17): what a device's records mean for an account.

    token_applied   a token was accepted
    credit_expired  the first status that says so, after one that did not
    tamper          an alarm of tampering
    usage           the first status of a day (UTC)

`rows` is pure and runs in the transaction that stores the record; its event_id follows from the record, so an
event is one however often it is sent. BillingEvents is the outbox handler: POST, signed like a callback.
"""

import msgspec

from backend.kit import webhooks
from backend.kit.http import HttpClient
from backend.kit.outbox import Done, Leased, Outcome, Outgoing, Policy, Retry
from backend.kit.runtime import Clock, iso
from backend.m2m import events
from backend.m2m.rows import Device
from backend.m2m.uplink import Numbered, is_newer
from protocols.magicbox import wire

KIND = "billing"
POLICY = Policy()  # at least once: an account must know, however long Solarium is away
DAY_MS = 86_400_000


def rows(device: Device, entry: Numbered, now_ms: int) -> list[Outgoing]:
    """The events of a new record. `device` is as it was before the record; its usage_day moves on."""
    at_ms = events.at_ms(entry.at, now_ms)
    match entry.content:
        case wire.TokenEvent() as token if token.result == wire.RESULT_ACCEPTED:
            data: dict[str, object] = {
                "source": wire.SOURCE_NAMES.get(token.source, str(token.source)),
                "command": wire.TOKEN_COMMAND_NAMES.get(token.command, str(token.command)),
                "payload": token.payload,
                "token_count": token.token_count,
                "credit_s": events.credit_s(token.credit_s),
            }
            return [_row(device, entry, "token_applied", at_ms, data)]
        case wire.Alarm(kind=wire.ALARM_KIND_TAMPERED as kind):
            return [_row(device, entry, "tamper", at_ms, {"alarm": wire.ALARM_KIND_NAMES[kind]})]
        case wire.Status() as status if is_newer(entry.record, device.status_record):
            return _of_status(device, entry, status, at_ms)
        case _:
            return []


def _of_status(device: Device, entry: Numbered, status: wire.Status, at_ms: int) -> list[Outgoing]:
    found: list[Outgoing] = []
    data: dict[str, object]
    if status.state == wire.STATE_EXPIRED and device.state not in (None, wire.STATE_EXPIRED):
        data = {"token_count": status.token_count}
        found.append(_row(device, entry, "credit_expired", at_ms, data))
    day = at_ms // DAY_MS
    if device.usage_day is None or day > device.usage_day:
        device.usage_day = day
        data = {
            "credit_s": events.credit_s(status.credit_s),
            "uptime_s": status.uptime_s,
            "battery_mv": status.battery_mv,
            "panel_mv": status.panel_mv,
            "load_ma": status.load_ma,
            "temperature_c": status.temperature_dc / 10,
            "token_count": status.token_count,
        }
        found.append(_row(device, entry, "usage", at_ms, data))
    return found


def _row(device: Device, entry: Numbered, kind: str, at_ms: int, data: dict[str, object]) -> Outgoing:
    event_id = f"{device.serial}:{entry.record}:{kind}"
    document = {
        "event_id": event_id,
        "type": kind,
        "identifier": device.serial,
        "occurred_at": iso(at_ms),
        "data": data,
    }
    return Outgoing(KIND, event_id, document)


class BillingEvents:
    """Sends events to `url`, Solarium's POST /api/m2m/events; the webhook id is the event's."""

    def __init__(self, *, http: HttpClient, clock: Clock, url: str, secret: bytes):
        self._http = http
        self._clock = clock
        self._url = url
        self._secret = secret

    async def send(self, row: Leased) -> Outcome:
        """One attempt."""
        body = msgspec.json.encode(row.payload)
        headers = webhooks.signed_headers(
            self._secret, webhook_id=row.key, timestamp_s=self._clock.now_ms() // 1000, body=body
        )
        answer = await self._http.request("POST", self._url, headers=headers, body=body)
        if not 200 <= answer.status < 300:
            return Retry(f"HTTP {answer.status}", after_s=answer.retry_after_s)
        return Done()


def serial_of(event_id: str) -> str:
    """The device of an event."""
    return event_id.rsplit(":", 2)[0]

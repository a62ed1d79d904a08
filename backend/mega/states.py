"""The life of a short message.

    queued --sent by us--> sent --report--> delivered | failed
       |                     ^
       +--refused--> failed  |
       +--time-out--> unknown (it may have gone out): asked about where the provider can be asked, and sent
                      again only when it has never seen it; elsewhere it stays unknown until a report comes

delivered and failed are final: no report changes them (resolutions 21).
"""

from enum import StrEnum


class Status(StrEnum):
    """Column `status` of a message."""

    QUEUED = "queued"
    SENT = "sent"
    UNKNOWN = "unknown"
    DELIVERED = "delivered"
    FAILED = "failed"


FINAL = frozenset((Status.DELIVERED, Status.FAILED))
OPEN = frozenset((Status.QUEUED, Status.UNKNOWN))  # may still be sent

# What a report's status may be called, in lower case: our words, and those of the providers.
REPORTED: dict[str, Status] = {
    # AfricasTalking: Sent and the like are no end, the others are
    "sent": Status.SENT,
    "submitted": Status.SENT,
    "buffered": Status.SENT,
    "success": Status.DELIVERED,
    "delivered": Status.DELIVERED,
    "rejected": Status.FAILED,
    "failed": Status.FAILED,
    # Pindo: as SMPP 3.4 abbreviates them
    "acceptd": Status.SENT,
    "enroute": Status.SENT,
    "unknown": Status.SENT,
    "delivrd": Status.DELIVERED,
    "undeliv": Status.FAILED,
    "expired": Status.FAILED,
    "deleted": Status.FAILED,
    "rejectd": Status.FAILED,
    # Infobip: the groups; DELIVERED_TO_OPERATOR is on the way
    "pending": Status.SENT,
    "delivered_to_operator": Status.SENT,
    "delivered_to_handset": Status.DELIVERED,
    "undeliverable": Status.FAILED,
}


def after_report(status: Status, reported: Status) -> Status:
    """The status after a delivery report."""
    return status if status in FINAL else reported

"""The life of a short message.

    queued --sent by us--> sent --report--> delivered | failed
       |                     ^
       +--refused--> failed  |
       +--time-out--> unknown (it may have gone out; it is not sent again by itself)

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

# What providers call a report's status, in lower case. Sent and the like are no end, the others are.
REPORTED: dict[str, Status] = {
    "sent": Status.SENT,
    "submitted": Status.SENT,
    "buffered": Status.SENT,
    "success": Status.DELIVERED,
    "delivered": Status.DELIVERED,
    "rejected": Status.FAILED,
    "failed": Status.FAILED,
}


def after_report(status: Status, reported: Status) -> Status:
    """The status after a delivery report."""
    return status if status in FINAL else reported

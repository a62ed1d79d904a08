"""Signed callbacks, the receiving end (Standard Webhooks 1.0: webhook-id, -timestamp, -signature).

Callbacks are deduplicated by what they change (an order is replied once), so ids need not be kept.
"""

import base64
import binascii
import hashlib
import hmac

from backend.kit.errors import Unauthorized

TOLERANCE_S = 300
MAX_SIGNATURES = 8  # of one header: two during a change of secrets


def verify(*, secret: bytes, headers: "tuple[str, str, str]", body: bytes, now_ms: int) -> None:
    """Check (id, timestamp, signatures) over `body`. Raises Unauthorized."""
    webhook_id, timestamp, signatures = headers
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise Unauthorized("webhook-timestamp must be in seconds since 1970")
    if abs(now_ms // 1000 - int(timestamp)) > TOLERANCE_S:
        raise Unauthorized(f"webhook-timestamp is more than {TOLERANCE_S} s off; check the clocks")
    signed = f"{webhook_id}.{timestamp}.".encode("utf-8", "surrogateescape") + body
    expected = hmac.new(secret, signed, hashlib.sha256).digest()
    for signature in signatures.split(" ")[:MAX_SIGNATURES]:
        version, _, encoded = signature.partition(",")
        if version == "v1" and hmac.compare_digest(expected, _decoded(encoded)):
            return
    raise Unauthorized("webhook-signature does not fit the body")


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""

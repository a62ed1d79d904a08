"""Check-ins over HTTP: the conversation of a device that has no broker, or cannot reach it (conversation.py).

A check-in posts the next frame to {prefix}/v1/log with Basic auth and hands the frame in the answer to the
controller (resolutions 12, 13). What its commands queue goes at once, on the same connection, until there is
nothing to send; then the connection ends. The device asks for a connection whenever it has records to send,
at the latest with its next status, so commands wait for at most a status interval.
"""

import binascii

from firmware.controller import Controller
from firmware.conversation import NEVER_MS, Conversation
from firmware.http import REPLY_TIMEOUT_MS, HttpError, Response, request
from protocols import topics

MAX_FRAME = 4096  # what the back end sends at most: what a board's buffers hold
LINGER_MS = 500  # a command takes up to some hundred ms; its result then needs no second connection


class CheckIn(Conversation):
    """One device's way to the back end over HTTP. After an HttpError: close the transport, call `closed`."""

    __slots__ = (
        "_body",
        "_controller",
        "_ends_ms",
        "_headers",
        "_host",
        "_output",
        "_path",
        "_response",
    )

    def __init__(
        self,
        serial: str,
        password: str,
        controller: Controller,
        place: "tuple[str, int, bool]",
        prefix: str = "",
    ):
        """`place`: host, port, TLS or not. `prefix`: what stands before /v1/log in the path."""
        super().__init__(*place)
        host, port, tls = place
        login = (topics.encode_serial(serial) + ":" + password).encode()
        basic = binascii.b2a_base64(login).strip().decode()
        self._headers = [
            ("Authorization", "Basic " + basic),
            ("Content-Type", "application/octet-stream"),
        ]
        self._host = host if port == (443 if tls else 80) else "%s:%d" % (host, port)
        self._path = prefix + "/v1/log"
        self._controller = controller
        self._response: Response | None = None
        self._body = b""
        self._output = b""
        self._ends_ms = 0

    def due_ms(self, now_ms: int) -> int:
        """ms until there is something to send; after a failed check-in its records count as not sent."""
        uplink = self._controller.uplink
        if not self.reached:
            uplink.rewind()
        if uplink.is_due(now_ms):
            return 0
        wait_ms = uplink.wait_ms(now_ms)
        return NEVER_MS if wait_ms < 0 else max(wait_ms, 1)

    def opened(self, now_ms: int) -> None:
        """The transport stands: post the first frame."""
        self.done = False
        self.is_idle = False
        self.reached = False
        self._response = None
        self._output = b""
        self._ends_ms = now_ms
        self._post(now_ms)

    def received(self, data: bytes, now_ms: int) -> None:
        """HttpError for an answer that is none, or refuses; StoreError when the store did not take it."""
        response = self._response
        if response is None:
            raise HttpError("unexpected_data")
        self._body += response.feed(data)
        if response.done:
            self._answered(response, now_ms)

    def poll(self, now_ms: int) -> int:
        """Post what is due; ms until the next call. HttpError when the answer does not come."""
        if self.done:
            return NEVER_MS
        if self._response is None:
            self._post(now_ms)
        if now_ms >= self._ends_ms:
            if self._response is not None:
                raise HttpError("timeout")
            self.done = True
            return NEVER_MS
        return self._ends_ms - now_ms

    def output(self) -> bytes:
        """What to send; it is the caller's now."""
        output = self._output
        self._output = b""
        return output

    def closed(self) -> None:
        """The transport is gone."""
        self._response = None
        self._body = b""
        self._output = b""

    def _post(self, now_ms: int) -> None:
        frame = self._controller.take_frame(now_ms)
        if frame is None:
            return
        self._output = request("POST", self._host, self._path, self._headers, frame)
        self._response = Response(MAX_FRAME)
        self.is_idle = False
        self._body = b""
        self._ends_ms = now_ms + REPLY_TIMEOUT_MS

    def _answered(self, response: Response, now_ms: int) -> None:
        body = self._body
        self._response = None
        self._body = b""
        self._ends_ms = now_ms + LINGER_MS
        if response.status != 200:
            raise HttpError("status_%d" % response.status)
        self.reached = True
        self.is_idle = True
        if not response.keep_alive:
            self.done = True
        if body:
            self._controller.receive(body, now_ms)

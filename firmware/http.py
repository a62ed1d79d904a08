"""HTTP/1.1 without sockets: one request as bytes, and a parser of the answer that takes bytes as they come.

Sections are those of RFC 9112. What devices need is here: a body by its length or in chunks, never one that
only the end of the connection ends, which nobody can tell from one cut short. checkin.py and ota.py use it.
"""

from firmware.conversation import ConversationError

MAX_LINE = 1024  # bytes of a line of the head or of a chunk's size; proxies' longest headers are below
MAX_HEAD = 8192  # bytes of all lines of the head together; they are read and forgotten one by one
REPLY_TIMEOUT_MS = 20_000  # without a byte of an answer

_NAME, _VALUE = 0, 1
_HEX = b"0123456789abcdefABCDEF"
_DIGITS = b"0123456789"
_MAX_DIGITS = 9  # of a length: a gigabyte is more than any board holds

# What comes next.
_STATUS_LINE = 0
_HEADER = 1
_BODY = 2
_CHUNK_SIZE = 3
_CHUNK = 4
_CHUNK_END = 5
_TRAILER = 6
_END = 7


class HttpError(ConversationError):
    """The answer is none of HTTP's, or too large, or not the one that was wanted."""


def request(method: str, host: str, path: str, headers: "list[tuple[str, str]]", body: bytes = b"") -> bytes:
    """A request; `headers` are (name, value) without control characters. A body gets its length."""
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: " + host]
    for header in headers:
        lines.append(header[_NAME] + ": " + header[_VALUE])
    if body:
        lines.append("Content-Length: %d" % len(body))
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Response:
    """One answer. `length` is the body's, -1 while it is not known or in chunks; `range_start` and
    `range_total` are those of Content-Range, -1 without one; `head_done` and `done`: that part is complete.
    """

    __slots__ = (
        "_chunked",
        "_head_bytes",
        "_left",
        "_line",
        "_max_body",
        "_state",
        "_taken",
        "done",
        "head_done",
        "keep_alive",
        "length",
        "range_start",
        "range_total",
        "status",
    )

    def __init__(self, max_body: int):
        """HttpError for a body of more than `max_body` bytes; below 0: any."""
        self._max_body = max_body
        self._line = b""
        self._head_bytes = 0
        self._left = 0
        self._taken = 0
        self.head_done = False
        self.done = False
        self._begin()

    def feed(self, data: bytes) -> bytes:
        """What of the body is in `data`; HttpError for anything that is no answer, or is more than one."""
        body = b""
        position = 0
        while position < len(data):
            if self._state == _END:
                raise HttpError("unexpected_data")
            if self._state in (_BODY, _CHUNK):
                part = data[position : position + self._left]
                position += len(part)
                self._take(len(part))
                body += part
            else:
                position = self._read_line(data, position)
        return body

    def _begin(self) -> None:
        """Of this answer, or of the one after a 1xx."""
        self._state = _STATUS_LINE
        self._chunked = False
        self.status = 0
        self.length = -1
        self.range_start = -1
        self.range_total = -1
        self.keep_alive = True

    def _read_line(self, data: bytes, position: int) -> int:
        """Take a line, or the part of it that has come; the position after it."""
        end = data.find(b"\n", position)
        stop = len(data) if end < 0 else end
        if len(self._line) + stop - position > MAX_LINE:
            raise HttpError("long_line")
        self._line += data[position:stop]
        if end < 0:
            return stop
        line = self._line
        self._line = b""
        self._whole_line(line[:-1] if line[-1:] == b"\r" else line)
        return end + 1

    def _whole_line(self, line: bytes) -> None:
        if self._state not in (_CHUNK_SIZE, _CHUNK_END):
            self._head_bytes += len(line) + 2
            if self._head_bytes > MAX_HEAD:
                raise HttpError("long_head")
        if self._state == _STATUS_LINE:
            self._status_line(line)
        elif self._state == _HEADER:
            if line:
                self._header(line)
            else:
                self._head_ends()
        elif self._state == _CHUNK_SIZE:
            self._chunk_size(line)
        elif self._state == _CHUNK_END:
            if line:
                raise HttpError("bad_chunk")
            self._state = _CHUNK_SIZE
        elif not line:  # the trailer's end
            self._ends()

    def _status_line(self, line: bytes) -> None:
        """4: HTTP-version SP status-code SP [reason]."""
        status = line[9:12]
        if line[:7] != b"HTTP/1." or line[8:9] != b" " or line[12:13] not in (b"", b" "):
            raise HttpError("bad_status_line")
        self.status = _number(status, "bad_status_line")
        if len(status) != 3 or self.status < 100:
            raise HttpError("bad_status_line")
        self.keep_alive = line[7:8] == b"1"
        self._state = _HEADER

    def _header(self, line: bytes) -> None:
        """5: the headers that matter; the others are none of ours."""
        name, colon, value = line.partition(b":")
        if not colon or not name or name[-1:] in b" \t" or name[:1] in b" \t":
            raise HttpError("bad_header")
        name = name.lower()
        value = value.strip()
        if name == b"content-length":
            length = _number(value, "bad_length")
            if self.length >= 0 and self.length != length:  # 6.3: one of two parsers would be fooled
                raise HttpError("bad_length")
            self.length = length
        elif name == b"transfer-encoding":
            if self._chunked or value.lower() != b"chunked":
                raise HttpError("bad_encoding")
            self._chunked = True
        elif name == b"connection":
            self._connection(value.lower())
        elif name == b"content-range":
            self._range(value)

    def _connection(self, value: bytes) -> None:
        for option in value.split(b","):
            if option.strip() == b"close":
                self.keep_alive = False

    def _range(self, value: bytes) -> None:
        """RFC 9110, 14.4: bytes first-last/total."""
        unit, _, span = value.partition(b" ")
        place, slash, total = span.partition(b"/")
        first, dash, last = place.partition(b"-")
        if unit != b"bytes" or not slash:
            raise HttpError("bad_range")
        self.range_total = -1 if total == b"*" else _number(total, "bad_range")
        if place == b"*":
            return
        if not dash or _number(last, "bad_range") < _number(first, "bad_range"):
            raise HttpError("bad_range")
        self.range_start = _number(first, "bad_range")

    def _head_ends(self) -> None:
        """6.3: where the body ends."""
        if self.status < 200:
            if self.status == 101:
                raise HttpError("bad_status")
            self._begin()
            return
        self.head_done = True
        if self.status in (204, 304):
            self._ends()
        elif self._chunked:
            if self.length >= 0:
                raise HttpError("bad_length")
            self._state = _CHUNK_SIZE
        elif self.length < 0:
            raise HttpError("no_length")
        else:
            self._expect(self.length, _BODY)
            if not self.length:
                self._ends()

    def _chunk_size(self, line: bytes) -> None:
        """7.1: the size in hex, and extensions that nobody needs."""
        size = line.partition(b";")[0].strip()
        if not size or len(size) > 8 or not _all_in(size, _HEX):
            raise HttpError("bad_chunk")
        octets = int(size, 16)
        if not octets:
            self._state = _TRAILER
            return
        self._expect(octets, _CHUNK)

    def _expect(self, octets: int, state: int) -> None:
        if 0 <= self._max_body < self._taken + octets:
            raise HttpError("long_body")
        self._left = octets
        self._state = state

    def _take(self, octets: int) -> None:
        self._left -= octets
        self._taken += octets
        if self._left:
            return
        if self._state == _CHUNK:
            self._state = _CHUNK_END
        else:
            self._ends()

    def _ends(self) -> None:
        self._state = _END
        self.done = True


def _number(digits: bytes, reason: str) -> int:
    if not digits or len(digits) > _MAX_DIGITS or not _all_in(digits, _DIGITS):
        raise HttpError(reason)
    return int(digits)


def _all_in(octets: bytes, allowed: bytes) -> bool:
    return all([octet in allowed for octet in octets])

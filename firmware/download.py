"""The way of an update image into a file: HTTP as a conversation (conversation.py), resumed where it stopped.

Over one connection the Download asks for the MD5 of {prefix}/v1/firmware/{file}, where the board can compute
one, then for the bytes that the Part lacks. The Part stores them CHUNK by CHUNK; what a lost connection or a
power cut takes is less than that. ota.py checks what came.
"""

from firmware.conversation import NEVER_MS, Conversation
from firmware.http import REPLY_TIMEOUT_MS, HttpError, Response, request
from firmware.slots import CHUNK, reason_of, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.files import Files

LONGEST_MS = 600_000  # of one connection: meanwhile no link has one; 64 KB need 110 bytes a second

_MD5_DIGITS = 32
_MAX_CHECKSUM = 128  # bytes of an answer with one MD5


class Download(Conversation):
    """Fetches the MD5 and what is missing of an order's file. `failure`: why the order cannot be fetched."""

    __slots__ = (
        "_ends_ms",
        "_host",
        "_leaves_ms",
        "_output",
        "_part",
        "_path",
        "_response",
        "_skip",
        "_wants_md5",
        "failure",
        "md5",
        "progress_ms",
    )

    def __init__(self, part: "Part", file: str, service: "tuple[str, int, bool, str]", wants_md5: bool):
        """`service`: host, port, TLS or not, and what stands before /v1/firmware in the path."""
        host, port, tls, prefix = service
        super().__init__(host, port, tls)
        self._part = part
        self._host = host if port == (443 if tls else 80) else "%s:%d" % (host, port)
        self._path = prefix + "/v1/firmware/" + file
        self._wants_md5 = wants_md5
        self._response: Response | None = None
        self._output = b""
        self._skip = 0  # bytes of the answer that the part has already
        self._ends_ms = 0
        self._leaves_ms = 0
        self.md5 = b""
        self.failure = ""
        self.progress_ms = -1

    def opened(self, now_ms: int) -> None:
        """The transport stands: ask."""
        self.done = False
        self.reached = False
        self._output = b""
        self._leaves_ms = now_ms + LONGEST_MS
        self._ask(now_ms)

    def received(self, data: bytes, now_ms: int) -> None:
        """HttpError for an answer that is none, or that may be another next time."""
        response = self._response
        if response is None:
            raise HttpError("unexpected_data")
        self._ends_ms = min(now_ms + REPLY_TIMEOUT_MS, self._leaves_ms)
        was_in_body = response.head_done
        body = response.feed(data)
        if self._wants_md5:
            self.md5 += body
        else:
            if response.head_done and not was_in_body:
                self._head(response)
            self._body(body, now_ms)
        if self._is_over():
            self.done = True
            self._response = None
        elif response.done:
            self._answered(response, now_ms)

    def poll(self, now_ms: int) -> int:
        """ms until the next call; HttpError when nothing comes."""
        if self.done:
            return NEVER_MS
        if now_ms >= self._ends_ms:
            raise HttpError("timeout")
        return self._ends_ms - now_ms

    def output(self) -> bytes:
        """What to send; it is the caller's now."""
        output = self._output
        self._output = b""
        return output

    def closed(self) -> None:
        """The transport is gone; what was not yet in the file comes again."""
        self._response = None
        self._output = b""
        self._part.forget()
        if self._wants_md5:
            self.md5 = b""

    def _is_over(self) -> bool:
        return bool(self.failure) or self._part.complete

    def _ask(self, now_ms: int) -> None:
        path = self._path + "/checksum" if self._wants_md5 else self._path
        headers = [] if self._wants_md5 else [("Range", "bytes=%d-" % self._part.size)]
        self._response = Response(_MAX_CHECKSUM if self._wants_md5 else -1)
        self._output += request("GET", self._host, path, headers)
        self._ends_ms = now_ms + REPLY_TIMEOUT_MS

    def _head(self, response: Response) -> None:
        """Whether the answer is the file, from where, and how long it is."""
        status = response.status
        self._skip = 0
        if status == 206:
            if response.range_start != self._part.size:
                raise HttpError("bad_range")
            total = response.range_total
        elif status == 200:
            self._skip = self._part.size
            total = response.length
        elif status >= 500 or status in (408, 429):
            raise HttpError("status_%d" % status)
        else:
            total = -1
            self.failure = "HTTP status %d" % status
        if status == 416 or (total >= 0 and total != self._part.total):
            self.failure = "wrong size"

    def _body(self, body: bytes, now_ms: int) -> None:
        if self.failure:
            return
        skipped = body[self._skip :]
        self._skip -= len(body) - len(skipped)
        if not skipped:
            return
        size = self._part.size
        try:
            if not self._part.add(skipped):
                self.failure = "wrong size"
        except OSError as error:
            self.failure = reason_of(error)
        if self._part.size != size:  # less than a chunk comes again: that is no progress
            self.reached = True
            self.progress_ms = now_ms

    def _answered(self, response: Response, now_ms: int) -> None:
        """An answer has ended and the part is not complete: the MD5 came, or the file was cut short."""
        self._response = None
        if not self._wants_md5:
            raise HttpError("short_body")
        self._wants_md5 = False
        md5 = self.md5.strip().lower()
        self.md5 = md5 if response.status == 200 and len(md5) == _MD5_DIGITS else b""
        if response.keep_alive:
            self._ask(now_ms)
        else:
            self.done = True


class Part:
    """What has come of an image, in a file. `size`: bytes stored; `total`: bytes of the whole."""

    __slots__ = ("_buffer", "_files", "path", "size", "total")

    def __init__(self, files: "Files", path: str, total: int):
        """Goes on with the file, when there is one."""
        self._files = files
        self._buffer = b""
        self.path = path
        self.size = max(files.size(path), 0)
        self.total = total

    @property
    def complete(self) -> bool:
        return self.size == self.total

    def add(self, data: bytes) -> bool:
        """The next bytes, stored CHUNK by CHUNK; False, and nothing done, when they are too many."""
        if self.size + len(self._buffer) + len(data) > self.total:
            return False
        self._buffer += data
        is_last = self.size + len(self._buffer) == self.total
        if is_last or len(self._buffer) >= CHUNK:
            with self._files.open(self.path, "ab") as file:
                write_all(file, self._buffer)
            self.size += len(self._buffer)
            self._buffer = b""
        return True

    def forget(self) -> None:
        """Drop what is not in the file."""
        self._buffer = b""

    def remove(self) -> None:
        """Begin from zero."""
        self._buffer = b""
        self.size = 0
        if self._files.size(self.path) >= 0:
            self._files.remove(self.path)

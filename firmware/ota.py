"""An update from the order to its end: fetched, checked, unpacked, tried, kept or taken back.

download.py fetches, slots.py has the slots, image.py the format, boot.py the attempts. The shell calls
`poll`, which works in slices of a few ms, and lends the Download a connection when there is one. Nothing is
stored here but files: after a power cut the order stands in the controller's state, the part of the image
that came in its file, and the boot record says how far the trial has come. The SHA-256 of the sealed command
decides. The MD5 that the service offers tells a damaged transfer, which is fetched again, from a file that is
not the one that was ordered. What was unpacked runs on trial until the back end was reached with it
(`checked_in`); boot.py takes it back after some starts without that. What only an order needs is imported
when there is one.
"""

import binascii
import hashlib
import struct

from firmware import boot
from firmware.conversation import NEVER_MS
from firmware.slots import CHUNK, RESERVED_BYTES, reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from firmware.controller import Controller
    from firmware.download import Download, Part
    from firmware.hal.files import Files
    from firmware.image import Unpacker
    from firmware.order import UpdateOrder
    from firmware.slots import Slots

MAX_DAMAGED = 3  # downloads whose hash is wrong; then the order is refused
GIVE_UP_MS = 24 * 3_600_000  # without one more byte: the order makes room for another
TRIAL_MS = 3_600_000  # a version on trial that reaches nobody for an hour costs one of its starts
RETRY_MS = 1_000  # after a boot record that was not taken

_new_md5 = getattr(hashlib, "md5", None)  # not every board has it
_PART = "update."  # and the mark of the order: what came of another image is never continued


class Updater:
    """The work on the controller's update order.

    `download`: the conversation that wants a connection, or None; another one, or None, means that its
    connection is of no more use. `wants_reset`: restart the board.
    """

    __slots__ = (
        "_controller",
        "_damaged",
        "_failure",
        "_file",
        "_files",
        "_mark",
        "_md5",
        "_offered_md5",
        "_order",
        "_part",
        "_path",
        "_service",
        "_sha256",
        "_since_ms",
        "_slots",
        "_step",
        "_unpacker",
        "download",
        "wants_reset",
    )

    def __init__(
        self, files: "Files", slots: "Slots", controller: "Controller", service: "tuple[str, int, bool, str]"
    ):
        """`service`: host, port, TLS or not, and path prefix of /v1/firmware."""
        self._files = files
        self._slots = slots
        self._controller = controller
        self._service = service
        self._order: UpdateOrder | None = None
        self._mark = 0
        self._part: Part | None = None
        self._path = ""  # of the part
        self._damaged = 0
        self._failure = ""
        self._file: IO[bytes] | None = None
        self._sha256 = hashlib.sha256()
        self._md5 = None
        self._offered_md5 = b""
        self._unpacker: Unpacker | None = None
        self._since_ms = -1  # of the trial, or of the last byte that came
        self._step: Callable[[int], int] = self._clear
        self.download: Download | None = None
        self.wants_reset = False

    def poll(self, now_ms: int) -> int:
        """A slice of what is to be done; ms until the next. StoreError when an answer was not stored."""
        if self.wants_reset:
            return NEVER_MS
        if self._slots.phase == boot.PENDING:
            return self._try(now_ms)
        order = self._controller.update_order
        if order is not self._order:
            self._begin(order)
        if self._failure:
            self._controller.update_failed(self._failure)
            self._failure = ""
            return 1
        if order is not None and self._mark == self._slots.mark:
            return self._tell()
        try:
            return self._step(now_ms)
        except (OSError, MemoryError) as error:  # an order that asks for too much must not end the device
            return self._fail(reason_of(error))

    def _try(self, now_ms: int) -> int:
        """The trial: it ends well with the first sealed frame that came, else by boot.py's count."""
        try:
            if not self._slots.on_trial:
                self._slots.roll_back()
                return 1
            if self._controller.checked_in:
                self._slots.confirm()
                return 1
        except OSError:  # the trial goes on until the record is taken
            return RETRY_MS
        if self._since_ms < 0:
            self._since_ms = now_ms
        left_ms = self._since_ms + TRIAL_MS - now_ms
        self.wants_reset = left_ms <= 0
        return max(left_ms, 1)

    def _tell(self) -> int:
        """The order was tried: answer its command."""
        if self._slots.phase == boot.CONFIRMED:
            self._controller.update_confirmed()
        else:
            self._controller.update_failed("rolled back")
        return 1

    def _begin(self, order: "UpdateOrder | None") -> None:
        self._drop()
        self._order = order
        self._mark = 0 if order is None else mark_of(order)
        self._path = "" if order is None else "/%s%08x" % (_PART, self._mark)
        self._part = None
        self._damaged = 0
        self._failure = ""
        self._since_ms = -1
        self._step = self._clear

    def _clear(self, _: int) -> int:
        """Remove what came for other orders."""
        for name in self._files.listdir("/"):
            if name.startswith(_PART) and "/" + name != self._path:
                self._files.remove("/" + name)
        self._step = self._rest if self._order is None else self._empty
        return 1

    def _rest(self, _: int) -> int:
        return NEVER_MS

    def _empty(self, _: int) -> int:
        """Remove the version before the running one; then the image must fit twice, packed and not."""
        if not self._slots.empty_step():
            return 1
        from firmware.download import Part

        assert self._order is not None
        part = Part(self._files, self._path, self._order.size)
        self._part = part
        if part.size > part.total:
            part.remove()
        free = self._files.free()
        if 0 <= free < 2 * part.total - part.size + RESERVED_BYTES:
            return self._fail("no room")
        self._step = self._fetch
        return 1

    def _fetch(self, now_ms: int) -> int:
        order = self._order
        part = self._part
        assert order is not None
        assert part is not None
        download = self.download
        if part.complete:
            self._offered_md5 = b"" if download is None else download.md5
            self.download = None
            self._md5 = None if _new_md5 is None else _new_md5()
            self._sha256 = hashlib.sha256()
            self._file = self._files.open(self._path, "rb")
            self._step = self._hash
            return 1
        if download is None:
            from firmware.download import Download

            download = Download(part, order.file, self._service, _new_md5 is not None)
            self.download = download
        if download.failure:
            return self._fail(download.failure)
        self._since_ms = max(self._since_ms, download.progress_ms)
        if self._since_ms < 0:
            self._since_ms = now_ms
        if now_ms >= self._since_ms + GIVE_UP_MS:
            return self._fail("not downloaded")
        return min(self._since_ms + GIVE_UP_MS - now_ms, NEVER_MS)

    def _hash(self, _: int) -> int:
        data = self._read()
        if data:
            self._sha256.update(data)
            if self._md5 is not None:
                self._md5.update(data)
            return 1
        self._close()
        assert self._order is not None
        if self._sha256.digest() == self._order.sha256:
            from firmware.image import Unpacker, native_arch

            self._unpacker = Unpacker(self._slots.writer(), native_arch())
            self._file = self._files.open(self._path, "rb")
            self._step = self._unpack
            return 1
        return self._wrong()

    def _wrong(self) -> int:
        """Another file than the ordered one, or a damaged transfer, which is worth another one."""
        md5 = b"" if self._md5 is None else binascii.hexlify(self._md5.digest())
        self._damaged += 1
        if self._damaged >= MAX_DAMAGED or (md5 and md5 == self._offered_md5):
            return self._fail("wrong hash")
        assert self._part is not None
        self._part.remove()
        self._step = self._fetch
        return 1

    def _unpack(self, _: int) -> int:
        from firmware.image import ImageError

        unpacker = self._unpacker
        assert unpacker is not None
        data = self._read()
        try:
            if data:
                unpacker.feed(data)
                return 1
            unpacker.finish()
        except ImageError as error:
            return self._fail(error.reason)
        self._drop()
        self._slots.install(self._mark)
        self.wants_reset = True
        return 1

    def _read(self) -> bytes:
        assert self._file is not None
        return self._file.read(CHUNK)

    def _fail(self, reason: str) -> int:
        """The command is answered with the next call, and the files go when the order has gone."""
        self._drop()
        if self._order is None:
            self._step = self._rest
        else:
            self._failure = reason
        return 1

    def _drop(self) -> None:
        """Let go of what a step holds; files that cannot be closed now are gone with the restart."""
        self.download = None
        unpacker = self._unpacker
        self._unpacker = None
        try:
            if unpacker is not None:
                unpacker.close()
            self._close()
        except OSError:
            pass

    def _close(self) -> None:
        file = self._file
        self._file = None
        if file is not None:
            file.close()


def mark_of(order: "UpdateOrder") -> int:
    """What the boot record keeps of an order: another command for the same image has another mark."""
    return binascii.crc32(order.sha256 + struct.pack(">I", order.command_id)) & 0xFFFFFFFF

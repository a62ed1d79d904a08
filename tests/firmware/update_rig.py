"""A board that updates itself from a service, both without sockets: the rig of the update's tests."""

from __future__ import annotations

import hashlib
from typing import Protocol

from edge.board import image
from firmware import boot
from firmware.conversation import ConversationError
from firmware.hal import SECTOR_SIZE
from firmware.order import UpdateOrder
from firmware.ota import Updater
from firmware.slots import Slots
from tests.firmware.little_files import LittleFiles
from tests.firmware.rig import NorFlash

BLOCKS = 48
SERVICE = ("updates.example", 80, False, "/m2m")
FILE = "new.img"
OLD = {"firmware/main.py": b"old " * 60, "firmware/hal/unix.py": b"old hal"}
NEW = {
    "firmware/main.py": b"new " * 700,
    "firmware/hal/unix.py": b"new hal" * 40,
    "firmware/added.py": b"",
    "protocols/wire.py": b"\x00\xff" * 200,
}
NEW_IMAGE = image.pack(version=b"\x00\x02\x00", arch="py", files=NEW)


class Port(Protocol):
    """What the Updater asks of the controller."""

    update_order: UpdateOrder | None
    checked_in: bool

    def update_failed(self, reason: str) -> None: ...

    def update_confirmed(self) -> None: ...


class OrderBook:
    """The port in RAM; `answer` is what the command was answered."""

    def __init__(self, order: UpdateOrder | None = None) -> None:
        self.update_order = order
        self.checked_in = False
        self.answer = ""

    def update_failed(self, reason: str) -> None:
        self.update_order = None
        self.answer = reason

    def update_confirmed(self) -> None:
        self.update_order = None
        self.answer = "ok"


class Service:
    """/v1/firmware as backend/m2m serves it; the attributes make it misbehave."""

    def __init__(self, content: bytes = NEW_IMAGE) -> None:
        self.content = content
        self.md5: bytes | None = hashlib.md5(content, usedforsecurity=False).hexdigest().encode()
        self.status = 0
        self.ranges = True
        self.keeps_alive = True
        self.requests: list[str] = []

    def answer(self, request: bytes) -> bytes:
        head = request.decode().split("\r\n")
        path = head[0].split(" ")[1]
        ranges = [line.partition("=")[2] for line in head if line.startswith("Range: bytes=")]
        self.requests.append(path + "".join(f" {span}" for span in ranges))
        assert head[1] == "Host: updates.example"
        assert path.startswith(f"/m2m/v1/firmware/{FILE}")
        if path.endswith("/checksum"):
            return self._response(404, b"none") if self.md5 is None else self._response(200, self.md5)
        if self.status:
            return self._response(self.status, b"sorry")
        if not (ranges and self.ranges):
            return self._response(200, self.content)
        first, size = int(ranges[0].rstrip("-")), len(self.content)
        if first >= size:
            return self._response(416, b"", f"Content-Range: bytes */{size}\r\n")
        span = f"Content-Range: bytes {first}-{size - 1}/{size}\r\n"
        return self._response(206, self.content[first:], span)

    def _response(self, status: int, body: bytes, headers: str = "") -> bytes:
        if not self.keeps_alive:
            headers += "Connection: close\r\n"
        return f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def order_of(content: bytes = NEW_IMAGE, command_id: int = 7) -> UpdateOrder:
    return UpdateOrder(command_id, len(content), hashlib.sha256(content).digest(), FILE)


def empty_files() -> LittleFiles:
    """A new file system."""
    return LittleFiles(NorFlash(b"\xff" * (BLOCKS * SECTOR_SIZE)), is_new=True)


def blank_board() -> LittleFiles:
    """A flashed board: the old version in slot a."""
    files = empty_files()
    for folder in ("/a", "/a/firmware", "/a/firmware/hal"):
        files.mkdir(folder)
    for path, data in OLD.items():
        files.write("/a/" + path, data)
    return files


class Board:
    """One power-up: what boot.py chose, and the Updater of that version."""

    def __init__(self, files: LittleFiles, port: Port) -> None:
        self.files = files
        self.running = boot.choose(files.open)
        self.port = port
        self.slots = Slots(files, self.running)
        self.updater = Updater(files, self.slots, port, SERVICE)
        self.now_ms = 0
        self.errors: list[str] = []

    def version(self) -> dict[str, bytes]:
        """The files of the slot that runs."""
        tree = self.files.tree(self.running)
        return {path.removeprefix(self.running + "/"): data for path, data in tree.items()}

    def run(self, service: Service, pieces: int = 700, breaks_after: int = 1 << 20) -> None:
        """Until nothing is left to do before a restart or a frame from the back end.

        A connection breaks after so many bytes down, which come in `pieces`.
        """
        for _ in range(2000):
            wait_ms = self.updater.poll(self.now_ms)
            download = self.updater.download
            if self.updater.wants_reset or (download is None and wait_ms > 1000):
                return
            if download is not None:
                self._connect(service, pieces, breaks_after)
                self.now_ms += 1000
            self.now_ms += wait_ms if download is None else 1
        raise AssertionError("the update does not end")

    def _connect(self, service: Service, pieces: int, breaks_after: int) -> None:
        download = self.updater.download
        assert download is not None
        download.opened(self.now_ms)
        try:
            while requests := download.output():
                answer = service.answer(requests)[:breaks_after]
                breaks_after -= len(answer)
                for offset in range(0, len(answer), pieces):
                    download.received(answer[offset : offset + pieces], self.now_ms)
                    self.updater.poll(self.now_ms)
                    if download.done or self.updater.download is not download:
                        return
        except ConversationError as error:
            self.errors.append(error.reason)
        finally:
            download.closed()

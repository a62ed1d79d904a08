"""The Updater and its Download against a service that misbehaves in every way."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.board import image
from firmware import boot
from firmware.download import LONGEST_MS, Download
from firmware.hal import SECTOR_SIZE
from firmware.http import REPLY_TIMEOUT_MS
from firmware.ota import GIVE_UP_MS, MAX_DAMAGED, TRIAL_MS, mark_of
from tests.firmware.update_rig import (
    FILE,
    NEW,
    NEW_IMAGE,
    OLD,
    Board,
    OrderBook,
    Service,
    blank_board,
    order_of,
)

PATH = f"/m2m/v1/firmware/{FILE}"


def _parts(board: Board) -> list[str]:
    return [name for name in board.files.listdir("/") if name.startswith("update.")]


def _download(board: Board) -> Download:
    """The conversation, once the board has got so far."""
    while board.updater.download is None:
        board.updater.poll(0)
    return board.updater.download


def _settled(board: Board) -> Board:
    """With the files of an ended order removed."""
    board.run(Service())
    assert _parts(board) == []
    assert board.version() == OLD
    return board


def _refused(service: Service, content: bytes = NEW_IMAGE) -> str:
    """The answer to an order that the service does not fulfil; the old version stays, and nothing is left."""
    book = OrderBook(order_of(content))
    board = Board(blank_board(), book)
    board.run(service)
    assert not board.updater.wants_reset
    assert boot.load(board.files.open).phase == boot.IDLE
    _settled(board)
    assert len(book.answer) <= 16
    return book.answer


@given(
    pieces=st.integers(1, 3000),
    breaks_after=st.integers(1500, 6000),
    keeps_alive=st.booleans(),
    md5=st.booleans(),
)
def test_an_update(pieces: int, breaks_after: int, keeps_alive: bool, md5: bool) -> None:
    book = OrderBook(order_of())
    board = Board(blank_board(), book)
    service = Service()
    service.keeps_alive = keeps_alive
    service.md5 = service.md5 if md5 else None
    board.run(service, pieces, breaks_after)
    assert board.updater.wants_reset
    assert service.requests[:2] == [PATH + "/checksum", PATH + " 0-"]
    assert book.answer == ""

    board = Board(board.files, book)
    assert board.running == "/b"
    assert board.version() == NEW
    board.run(service)
    assert book.answer == ""  # nothing was heard of the back end
    book.checked_in = True
    board.run(service)
    assert book.answer == "ok"
    assert _parts(board) == []
    assert Board(board.files, book).running == "/b"


@pytest.mark.parametrize("pieces", [1, 1000, 5000])
def test_a_service_without_ranges_sends_everything_again(pieces: int) -> None:
    files = blank_board()
    files.write(f"/update.{mark_of(order_of()):08x}", NEW_IMAGE[:1500])
    board = Board(files, OrderBook(order_of()))
    service = Service()
    service.ranges = False
    board.run(service, pieces)
    assert board.updater.wants_reset
    assert service.requests == [PATH + "/checksum", PATH + " 1500-"]


def test_the_next_update_goes_back_to_slot_a() -> None:
    book = OrderBook(order_of())
    board = Board(blank_board(), book)
    board.run(Service())
    book.checked_in = True
    board = Board(board.files, book)
    board.run(Service())
    older = image.pack(version=b"\x00\x03\x00", arch="py", files={"firmware/main.py": b"third"})
    book.update_order = order_of(older, 8)
    board.run(Service(older))
    board = Board(board.files, book)
    assert (board.running, board.version()) == ("/a", {"firmware/main.py": b"third"})
    board.run(Service(older))
    assert book.answer == "ok"


def test_a_download_goes_on_after_a_reboot_and_forgets_nothing_stored() -> None:
    book = OrderBook(order_of())
    board = Board(blank_board(), book)
    service = Service()
    download = _download(board)
    download.opened(0)
    download.received(service.answer(download.output()), 0)
    download.received(service.answer(download.output())[:-700], 0)
    download.closed()
    board = Board(board.files, book)
    service = Service()
    board.run(service)
    assert service.requests == [PATH + "/checksum", f"{PATH} {len(NEW_IMAGE) - 700}-"]
    assert board.updater.wants_reset


def test_what_came_of_another_order_is_not_continued() -> None:
    files = blank_board()
    other = order_of(command_id=6)
    files.write(f"/update.{mark_of(other):08x}", b"other bytes")
    board = Board(files, OrderBook(order_of()))
    service = Service()
    board.run(service)
    assert service.requests[1] == PATH + " 0-"
    assert board.updater.wants_reset


@pytest.mark.parametrize(("status", "answer"), [(404, "HTTP status 404"), (302, "HTTP status 302")])
def test_a_file_that_the_service_has_not(status: int, answer: str) -> None:
    service = Service()
    service.status = status
    assert _refused(service) == answer


@pytest.mark.parametrize("other", [NEW_IMAGE + b"x", NEW_IMAGE[:-1], b"", b"x" * 9])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_of_another_size(other: bytes, ranges: bool) -> None:
    service = Service(other)
    service.ranges = ranges
    assert _refused(service) == "wrong size"


def test_another_file_is_refused_at_once() -> None:
    service = Service(bytes(len(NEW_IMAGE)))
    assert _refused(service) == "wrong hash"
    assert len(service.requests) == 2


@pytest.mark.parametrize("md5", [b"0" * 32, None, b"no digest", b""])
def test_a_damaged_transfer_is_fetched_again_a_few_times(md5: bytes | None) -> None:
    service = Service(bytes(len(NEW_IMAGE)))
    service.md5 = md5
    assert _refused(service) == "wrong hash"
    assert service.requests.count(PATH + " 0-") == MAX_DAMAGED


def test_a_transfer_that_is_damaged_once() -> None:
    board = Board(blank_board(), OrderBook(order_of()))
    service = Service()
    service.content = bytes(len(NEW_IMAGE))
    damaged = [True]

    class Healing(Service):
        def answer(self, request: bytes) -> bytes:
            if b"/checksum" in request or not damaged:
                return super().answer(request)
            damaged.clear()
            return service.answer(request)

    board.run(Healing())
    assert board.updater.wants_reset


def test_the_sha256_decides_against_a_wrong_md5() -> None:
    board = Board(blank_board(), OrderBook(order_of()))
    service = Service()
    service.md5 = b"0" * 32
    board.run(service)
    assert board.updater.wants_reset


@pytest.mark.parametrize("status", [500, 503, 408, 429])
def test_a_service_that_is_busy_is_asked_again(status: int) -> None:
    board = Board(blank_board(), OrderBook(order_of()))
    service = Service()
    service.status = status
    with pytest.raises(AssertionError, match="does not end"):
        board.run(service)
    assert set(board.errors) == {f"status_{status}"}
    service.status = 0
    board.run(service)
    assert board.updater.wants_reset


def test_an_order_that_nobody_fulfils_ends_after_a_day() -> None:
    book = OrderBook(order_of())
    board = Board(blank_board(), book)
    _download(board)
    board.updater.poll(GIVE_UP_MS - 1)
    assert book.answer == ""
    board.updater.poll(GIVE_UP_MS)
    board.updater.poll(GIVE_UP_MS)
    assert book.answer == "not downloaded"
    assert board.updater.download is None


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"no image at all", "not an image"),
        (image.pack(version=b"\0\1\0", arch="xtensawin", files={"a": b""}), "wrong arch"),
        (NEW_IMAGE[:-40], "image too short"),
        (NEW_IMAGE + b"more", "image too long"),
        (NEW_IMAGE.replace(b"firmware/added.py", b"firmware/../../py"), "bad path"),
        (bytes(120_000), "no room"),
    ],
)
def test_an_ordered_file_that_is_no_image_for_this_board(content: bytes, answer: str) -> None:
    assert _refused(Service(content), content) == answer


def test_a_full_file_system_refuses_and_is_cleaned_up(monkeypatch: pytest.MonkeyPatch) -> None:
    book = OrderBook(order_of())
    board = Board(blank_board(), book)
    board.files.write("/filler", bytes(board.files.free() - 4 * SECTOR_SIZE))
    monkeypatch.setattr(board.files, "free", lambda: -1)  # a system that does not tell
    board.run(Service())
    assert book.answer == "no room"
    _settled(board)


def test_a_failing_file_system_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    book = OrderBook(order_of())
    board = Board(blank_board(), book)

    def broken(path: str, mode: str):
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(board.files, "open", broken)
        board.run(Service())
    assert book.answer == "file error 5"
    _settled(board)


def test_a_board_without_memory_for_an_update_answers_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    book = OrderBook(order_of())
    board = Board(blank_board(), book)

    def full(_: str) -> int:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(board.files, "size", full)
        board.run(Service())
    assert book.answer == "file error 12"
    _settled(board)


def test_less_than_a_chunk_is_no_progress() -> None:
    """A service that always ends too early is asked for a day, with longer and longer pauses."""
    board = Board(blank_board(), OrderBook(order_of()))
    download = _download(board)
    download.opened(0)
    download.received(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nmd5", 0)
    assert download.done
    for _ in range(3):
        download.closed()
        download.opened(0)
        download.received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(NEW_IMAGE), 1)
        download.received(NEW_IMAGE[:1000], 2)
        assert (download.reached, download.progress_ms) == (False, -1)


def test_a_trickle_makes_room_for_the_links() -> None:
    board = Board(blank_board(), OrderBook(order_of()))
    download = _download(board)
    download.opened(0)
    now_ms = 0
    for octet in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
        if now_ms >= LONGEST_MS:
            break
        assert download.poll(now_ms) > 0
        download.received(bytes([octet]), now_ms)
        now_ms += REPLY_TIMEOUT_MS - 1
    with pytest.raises(ValueError, match="timeout"):
        download.poll(LONGEST_MS)


def _on_trial() -> tuple[Board, OrderBook]:
    book = OrderBook(order_of())
    board = Board(blank_board(), book)
    board.run(Service())
    return Board(board.files, book), book


def test_a_version_that_reaches_nobody_is_taken_back() -> None:
    board, book = _on_trial()
    for _ in range(boot.MAX_ATTEMPTS):
        assert board.running == "/b"
        assert board.updater.poll(0) == TRIAL_MS
        assert not board.updater.wants_reset
        board.updater.poll(TRIAL_MS)
        assert board.updater.wants_reset
        board = Board(board.files, book)
    assert board.running == "/a"
    board.run(Service())
    assert book.answer == "rolled back"
    _settled(board)


def test_an_order_that_was_taken_back_can_be_given_again() -> None:
    board, book = _on_trial()
    while board.running == "/b":
        board = Board(board.files, book)
    board.run(Service())
    assert book.answer == "rolled back"
    book.update_order = order_of(command_id=8)
    board.run(Service())
    assert board.updater.wants_reset
    book.checked_in = True
    board = Board(board.files, book)
    board.run(Service())
    assert (book.answer, board.version()) == ("ok", NEW)


def test_a_trial_without_its_order_is_confirmed_all_the_same() -> None:
    board, book = _on_trial()
    book.update_order = None
    book.checked_in = True
    board.run(Service())
    assert boot.load(board.files.open).phase == boot.CONFIRMED
    assert book.answer == ""


def test_an_order_that_is_withdrawn_leaves_nothing() -> None:
    book = OrderBook(order_of())
    board = Board(blank_board(), book)
    _download(board)
    board.files.write(f"/update.{mark_of(order_of()):08x}", b"part")
    book.update_order = None
    assert _settled(board).updater.download is None


def test_a_silent_service_ends_the_connection() -> None:
    board = Board(blank_board(), OrderBook(order_of()))
    download = _download(board)
    download.opened(0)
    wait_ms = download.poll(0)
    with pytest.raises(ValueError, match="timeout"):
        download.poll(wait_ms)


def test_a_service_that_answers_unasked() -> None:
    board = Board(blank_board(), OrderBook(order_of()))
    with pytest.raises(ValueError, match="unexpected_data"):
        _download(board).received(b"HTTP/1.1 200 OK\r\n\r\n", 0)

"""Whose turn it is, as times go by: pauses, the next link, back to the first, and room for a download."""

from hypothesis import given
from hypothesis import strategies as st

from firmware.conversation import NEVER_MS, Conversation
from firmware.dialer import (
    BACK_MS,
    FAILURES,
    FIRST_DOWNLOAD_PAUSE_MS,
    FIRST_PAUSE_MS,
    LONGEST_PAUSE_MS,
    Dialer,
)


class Wanting(Conversation):
    """Wants a connection from `at_ms` on."""

    def __init__(self, at_ms: int = 0) -> None:
        super().__init__("host", 1, False)
        self.at_ms = at_ms

    def due_ms(self, now_ms: int) -> int:
        return max(self.at_ms - now_ms, 0)


def _dialer(*links: Conversation, chance: int = 0) -> Dialer:
    return Dialer(list(links), lambda count: bytes([chance]) * count)


def _fail(dialer: Dialer, link: Conversation, now_ms: int, times: int = 1) -> int:
    """Let it fail so often, as soon as it may; the time then."""
    for _ in range(times):
        chosen, wait_ms = dialer.choose(now_ms)
        if chosen is None:
            now_ms += wait_ms
            chosen, _ = dialer.choose(now_ms)
        assert chosen is link
        dialer.failed(link, now_ms)
    return now_ms


def test_pauses_double_up_to_a_minute_until_a_minute_went_well() -> None:
    link = Wanting()
    dialer = _dialer(link)
    pauses: list[int] = []
    now_ms = 0
    for _ in range(8):
        assert dialer.choose(now_ms) == (link, 0)
        dialer.failed(link, now_ms)
        nobody, wait_ms = dialer.choose(now_ms)
        assert nobody is None
        pauses.append(wait_ms)
        now_ms += wait_ms
    assert pauses == [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]
    dialer.reached(link)
    dialer.failed(link, now_ms + 5_000)  # the broker lets it in and throws it out
    assert dialer.choose(now_ms + 5_000) == (None, LONGEST_PAUSE_MS)
    now_ms += 5_000 + LONGEST_PAUSE_MS
    dialer.reached(link)
    dialer.failed(link, now_ms + LONGEST_PAUSE_MS)
    assert dialer.choose(now_ms + LONGEST_PAUSE_MS) == (None, FIRST_PAUSE_MS)


@given(st.integers(0, 255), st.integers(1, 12))
def test_chance_makes_a_pause_at_most_a_quarter_longer(chance: int, times: int) -> None:
    link = Wanting()
    dialer = _dialer(link, chance=chance)
    now_ms = _fail(dialer, link, 0, times)
    pause_ms = min(FIRST_PAUSE_MS << (times - 1), LONGEST_PAUSE_MS)
    assert pause_ms <= dialer.choose(now_ms)[1] <= pause_ms * 5 // 4


def test_after_three_failures_comes_the_next_link_and_after_half_an_hour_the_first() -> None:
    first, second = Wanting(), Wanting()
    dialer = _dialer(first, second)
    now_ms = _fail(dialer, first, 0, FAILURES)
    back_ms = now_ms + BACK_MS
    assert dialer.choose(now_ms) == (None, FIRST_PAUSE_MS)
    now_ms += FIRST_PAUSE_MS
    assert dialer.choose(now_ms) == (second, 0)
    dialer.reached(second)
    assert dialer.should_leave(second, back_ms - 1) is False
    assert dialer.should_leave(second, back_ms) is True
    assert dialer.choose(back_ms) == (first, 0)
    dialer.failed(first, back_ms)  # one try is enough this time
    assert dialer.choose(back_ms + FIRST_PAUSE_MS)[0] is second
    later_ms = back_ms + BACK_MS
    assert dialer.choose(later_ms) == (first, 0)
    dialer.reached(first)
    assert dialer.should_leave(first, later_ms + 2 * BACK_MS) is False


def test_when_no_link_works_the_pauses_go_on_growing() -> None:
    first, second = Wanting(), Wanting()
    dialer = _dialer(first, second)
    now_ms = 0
    tries: list[tuple[Conversation, int]] = []
    while len(tries) < 40:
        chosen, wait_ms = dialer.choose(now_ms)
        if chosen is None:
            now_ms += wait_ms
            continue
        tries.append((chosen, now_ms))
        dialer.failed(chosen, now_ms)
    assert {chosen for chosen, _ in tries} == {first, second}
    hour = [at_ms for _, at_ms in tries if at_ms > tries[12][1]]
    assert (hour[-1] - hour[0]) / (len(hour) - 1) > LONGEST_PAUSE_MS / 2  # a battery is not emptied by trying


def test_a_link_that_has_nothing_to_say_is_not_called() -> None:
    link = Wanting(at_ms=5_000)
    dialer = _dialer(link)
    assert dialer.choose(0) == (None, 5_000)
    assert dialer.choose(5_000) == (link, 0)


def test_a_download_waits_until_the_back_end_was_reached_and_then_takes_the_connection() -> None:
    link, download = Wanting(), Wanting()
    dialer = _dialer(link)
    dialer.download = download
    assert dialer.choose(0) == (link, 0)
    assert dialer.should_leave(link, 0) is False
    dialer.reached(link)
    assert dialer.should_leave(link, 0) is True
    assert dialer.choose(0) == (download, 0)
    assert dialer.should_leave(download, 0) is False
    dialer.failed(download, 0)
    assert dialer.choose(0) == (link, 0)  # between two tries the links have their turn
    dialer.reached(link)
    assert dialer.should_leave(link, FIRST_DOWNLOAD_PAUSE_MS - 1) is False
    assert dialer.should_leave(link, FIRST_DOWNLOAD_PAUSE_MS) is True
    dialer.download = None
    assert dialer.should_leave(download, FIRST_DOWNLOAD_PAUSE_MS) is True
    assert dialer.should_leave(link, FIRST_DOWNLOAD_PAUSE_MS) is False


def test_another_order_of_links_ends_what_is_not_first() -> None:
    first, second = Wanting(), Wanting()
    dialer = _dialer(first, second)
    dialer.order([second, first])
    assert dialer.should_leave(first, 0) is True
    assert dialer.choose(0) == (second, 0)


@given(st.lists(st.sampled_from(["fail", "reach", "wait", "download", "none"]), max_size=60))
def test_somebody_is_always_called_within_an_hour(steps: list[str]) -> None:
    links = [Wanting(), Wanting()]
    dialer = _dialer(*links)
    now_ms = 0
    for step in steps:
        if step == "download":
            dialer.download = dialer.download or Wanting()
        elif step == "none":
            dialer.download = None
        chosen, wait_ms = dialer.choose(now_ms)
        if chosen is None:
            assert 0 < wait_ms <= NEVER_MS
            now_ms += wait_ms
        elif step == "fail":
            dialer.failed(chosen, now_ms)
        elif step == "reach":
            dialer.reached(chosen)
            now_ms += 1_000
    assert any(dialer.choose(now_ms + later)[0] for later in (0, 2 * LONGEST_PAUSE_MS))


def test_the_entropy_of_a_pause_is_one_byte() -> None:
    asked: list[int] = []

    def entropy(count: int) -> bytes:
        asked.append(count)
        return bytes(count)

    link = Wanting()
    dialer = Dialer([link], entropy)
    dialer.failed(link, 0)
    assert asked == [1]

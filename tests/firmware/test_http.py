"""HTTP answers: each split of the bytes says the same, and nothing hostile gets through or grows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.http import MAX_HEAD, MAX_LINE, HttpError, Response, request

OK = b"HTTP/1.1 200 OK\r\n"


def _whole(data: bytes, max_body: int = 4096) -> tuple[Response, bytes]:
    response = Response(max_body)
    return response, response.feed(data)


def _reason(data: bytes, max_body: int = 4096) -> str:
    with pytest.raises(HttpError) as caught:
        _whole(data, max_body)
    return caught.value.reason


def test_a_request_is_what_rfc_9112_says() -> None:
    sent = request("POST", "m2m.example:8080", "/m/v1/log", [("Authorization", "Basic eDp5")], b"frame")
    assert sent == (
        b"POST /m/v1/log HTTP/1.1\r\nHost: m2m.example:8080\r\nAuthorization: Basic eDp5\r\n"
        b"Content-Length: 5\r\n\r\nframe"
    )
    assert request("GET", "h", "/", []) == b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


bodies = st.binary(max_size=200)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """An answer, in either form, and its body."""
    body = draw(bodies)
    head = OK + draw(st.sampled_from([b"", b"Server: x\r\n", b"X-Empty:\r\n"]))
    if draw(st.booleans()):
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, body
    chunked = b""
    rest = body
    while rest:
        size = draw(st.integers(1, len(rest)))
        chunked += b"%x%s\r\n" % (size, draw(st.sampled_from([b"", b";a=b", b" "]))) + rest[:size] + b"\r\n"
        rest = rest[size:]
    trailer = draw(st.sampled_from([b"", b"X-Sum: 1\r\n"]))
    return head + b"Transfer-Encoding: Chunked\r\n\r\n" + chunked + b"0\r\n" + trailer + b"\r\n", body


@given(answers(), st.data())
def test_any_split_gives_the_same_answer(answer: tuple[bytes, bytes], data: st.DataObject) -> None:
    sent, body = answer
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=20)))
    response = Response(4096)
    got = b""
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        assert response.done is (start == len(sent))
        got += response.feed(sent[start:end])
    assert (response.status, response.done, response.head_done, got) == (200, True, True, body)


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(OK.__add__)), st.integers(1, 40))
def test_anything_is_an_answer_or_an_error_and_stays_in_bounds(data: bytes, size: int) -> None:
    response = Response(100)
    got = b""
    try:
        for start in range(0, len(data), size):
            got += response.feed(data[start : start + size])
    except HttpError:
        pass
    assert len(got) <= 100


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"Content-Length: 5\r\nContent-Length: 6\r\n", "bad_length"),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "bad_length"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "bad_length"),
        (b"Transfer-Encoding: gzip, chunked\r\n", "bad_encoding"),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "bad_encoding"),
        (b"Content-Length: -1\r\n", "bad_length"),
        (b"Content-Length: +5\r\n", "bad_length"),
        (b"Content-Length: 0x5\r\n", "bad_length"),
        (b"Content-Length: 5, 5\r\n", "bad_length"),
        (b"Content-Length: 9999999999\r\n", "bad_length"),
        (b"Content-Length : 5\r\n", "bad_header"),
        (b"no colon\r\n", "bad_header"),
        (b": 5\r\n", "bad_header"),
        (b"A: b\r\n folded\r\n", "bad_header"),
        (b"", "no_length"),
        (b"Content-Range: bytes 5-4/9\r\n", "bad_range"),
        (b"Content-Range: lines 1-2/9\r\n", "bad_range"),
        (b"Content-Range: bytes 1-2\r\n", "bad_range"),
        (b"Content-Range: bytes 1/9\r\n", "bad_range"),
    ],
)
def test_a_head_that_two_parsers_could_read_in_two_ways_is_refused(head: bytes, reason: str) -> None:
    assert _reason(OK + head + b"\r\n") == reason


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/2 200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 099 OK",
        b"SSH-2.0-x",
        b"\x16\x03\x01",
        b"",
    ],
)
def test_what_is_no_status_line_is_refused(line: bytes) -> None:
    assert _reason(line + b"\r\n") == "bad_status_line"


@pytest.mark.parametrize("size", [b"", b"g", b"-1", b"123456789", b"0x10"])
def test_a_chunk_without_a_size_is_refused(size: bytes) -> None:
    assert _reason(OK + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\n") == "bad_chunk"


def test_a_chunk_longer_than_it_says_is_refused() -> None:
    assert _reason(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n") == "bad_chunk"


def test_the_head_and_the_body_are_bounded() -> None:
    assert _reason(OK + b"A: " + b"x" * MAX_LINE) == "long_line"
    assert _reason(OK + b"A: b\r\n" * MAX_HEAD) == "long_head"
    assert _reason(b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_HEAD) == "long_head"
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    assert _reason(chunked + b"0\r\n" + b"A: b\r\n" * MAX_HEAD) == "long_head"
    assert _reason(chunked + b"2\r\nab\r\n" * 3, max_body=5) == "long_body"
    assert _reason(OK + b"Content-Length: 6\r\n\r\n", max_body=5) == "long_body"
    response, body = _whole(OK + b"Content-Length: 600\r\n\r\n" + b"x" * 600, max_body=-1)
    assert (response.done, len(body)) == (True, 600)


def test_nothing_may_follow() -> None:
    assert _reason(OK + b"Content-Length: 1\r\n\r\nab") == "unexpected_data"


def test_interim_answers_are_skipped_and_a_change_of_protocol_is_refused() -> None:
    response, _ = _whole(
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"
    )
    assert (response.status, response.done, response.length) == (200, True, 0)
    assert _reason(b"HTTP/1.1 101 Switching\r\n\r\n") == "bad_status"


@pytest.mark.parametrize("status", [b"204", b"304"])
def test_answers_without_a_body_need_no_length(status: bytes) -> None:
    assert _whole(b"HTTP/1.1 " + status + b"\r\n\r\n")[0].done is True


@pytest.mark.parametrize(
    ("head", "stays"),
    [
        (OK, True),
        (b"HTTP/1.0 200 OK\r\n", False),
        (OK + b"Connection: Close\r\n", False),
        (OK + b"Connection: upgrade, close\r\n", False),
        (OK + b"Connection: keep-alive\r\n", True),
    ],
)
def test_whether_the_connection_may_be_used_again(head: bytes, stays: bool) -> None:
    assert _whole(head + b"Content-Length: 0\r\n\r\n")[0].keep_alive is stays


@pytest.mark.parametrize(
    ("value", "start", "total"),
    [(b"bytes 10-19/100", 10, 100), (b"bytes 0-0/*", 0, -1), (b"bytes */100", -1, 100)],
)
def test_the_range_of_a_part(value: bytes, start: int, total: int) -> None:
    response, _ = _whole(
        b"HTTP/1.1 206 Partial\r\nContent-Range: " + value + b"\r\nContent-Length: 0\r\n\r\n"
    )
    assert (response.range_start, response.range_total) == (start, total)

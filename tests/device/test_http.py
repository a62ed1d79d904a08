"""HTTP answers as they come: by length, in chunks, in pieces of any size, and what is no answer."""

from firmware.http import HttpError, Response, request
from tests.device.plain import raises

BY_LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX: y\r\n\r\nhello world"
IN_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5;x=1\r\nworld\r\n0\r\n\r\n"


def test_a_request():
    assert request("POST", "h:1", "/v1/log", [("A", "b")], b"xyz") == (
        b"POST /v1/log HTTP/1.1\r\nHost: h:1\r\nA: b\r\nContent-Length: 3\r\n\r\nxyz"
    )


def test_answers_in_pieces_of_every_size():
    for answer in (BY_LENGTH, IN_CHUNKS):
        for size in (1, 2, 7, 50, 500):
            response = Response(100)
            body = b""
            for place in range(0, len(answer), size):
                body += response.feed(answer[place : place + size])
            assert (response.done, response.status, body) == (True, 200, b"hello world")


def test_a_range():
    response = Response(-1)
    response.feed(b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 5-9/20\r\nContent-Length: 5\r\n\r\n")
    assert (response.range_start, response.range_total, response.length) == (5, 20, 5)
    assert response.feed(b"12345") == b"12345"
    assert response.done


def test_what_is_no_answer():
    for answer in (
        b"HTTP/2 200\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"x" * 1100,
        BY_LENGTH + b"more",
    ):
        assert raises(HttpError, Response(100).feed, answer)

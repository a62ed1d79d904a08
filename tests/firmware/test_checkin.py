"""Check-ins: against a hand that answers, and against the real device service over TCP and TLS."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from firmware.checkin import LINGER_MS, CheckIn
from firmware.controller import Controller
from firmware.dialer import Dialer
from firmware.hal.net import Network
from firmware.http import REPLY_TIMEOUT_MS, HttpError
from firmware.pump import Pump
from protocols import topics
from protocols.magicbox import wire
from tests.firmware.network_rig import PASSWORD, SERIAL, Service, certificates, device_service
from tests.firmware.rig import Bench, moto_bench, moto_config, moto_token

OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


def _check_in(bench: Bench) -> CheckIn:
    return CheckIn("T/1", "pw", bench.controller, ("m2m.example", 8080, False))


def _opened(bench: Bench) -> tuple[CheckIn, bytes]:
    check_in = _check_in(bench)
    assert check_in.due_ms(bench.hal.now_ms) == 0
    check_in.opened(bench.hal.now_ms)
    return check_in, check_in.output()


def test_it_posts_a_frame_and_takes_the_one_in_the_answer() -> None:
    bench = moto_bench()
    check_in, sent = _opened(bench)
    head, _, _ = sent.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/log HTTP/1.1\r\nHost: m2m.example:8080\r\n")
    assert b"Authorization: Basic " + base64.b64encode(b"T%2F1:pw") in head
    frame = bench.sealed(wire.Token(1, moto_token("unlock_relative", 3, 1).encode()))
    answer = OK % len(frame) + frame
    for position in range(len(answer)):  # a byte at a time
        assert bench.hal.relay is not True
        check_in.received(answer[position : position + 1], bench.hal.now_ms)
    assert bench.hal.relay is True
    assert check_in.reached is True
    check_in.poll(bench.hal.now_ms)
    assert check_in.output().startswith(b"POST")  # the answer to the command goes at once
    assert check_in.done is False


def test_with_nothing_to_send_it_lingers_and_ends_and_is_due_with_the_next_status() -> None:
    bench = moto_bench()
    check_in, _ = _opened(bench)
    frame = bench.sealed(wire.Ack(1, 100))
    check_in.received(OK % len(frame) + frame, 0)
    assert check_in.poll(0) == LINGER_MS
    assert (check_in.output(), check_in.done, check_in.is_idle) == (b"", False, True)
    check_in.poll(LINGER_MS)
    assert check_in.done is True
    check_in.closed()
    assert check_in.due_ms(LINGER_MS) > 0
    bench.wait(bench.config.status_interval_s)
    assert check_in.due_ms(bench.hal.now_ms) == 0


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"503 Busy", b"404 Not Found"])
def test_a_refusal_ends_it_and_the_records_go_again(status: bytes) -> None:
    bench = moto_bench()
    check_in, sent = _opened(bench)
    with pytest.raises(HttpError, match="status_" + status[:3].decode()):
        check_in.received(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n", 0)
    check_in.closed()
    assert check_in.reached is False
    assert check_in.due_ms(0) == 0
    check_in.opened(0)
    assert len(check_in.output()) == len(sent)


def test_silence_is_noticed() -> None:
    bench = moto_bench()
    check_in, _ = _opened(bench)
    assert check_in.poll(0) == REPLY_TIMEOUT_MS
    with pytest.raises(HttpError, match="timeout"):
        check_in.poll(REPLY_TIMEOUT_MS)


def test_bytes_that_nobody_asked_for_end_it() -> None:
    bench = moto_bench()
    check_in, _ = _opened(bench)
    check_in.received(OK % 0, 0)
    with pytest.raises(HttpError, match="unexpected_data"):
        check_in.received(b"HTTP/1.1 200 OK\r\n", 0)


def test_a_service_that_closes_after_each_answer_is_called_again() -> None:
    bench = moto_bench()
    check_in, _ = _opened(bench)
    check_in.received(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 0)
    assert check_in.done is True


def test_the_usual_ports_are_not_named() -> None:
    bench = moto_bench()
    check_in = CheckIn("T/1", "pw", bench.controller, ("h", 443, True), "/m2m")
    check_in.opened(0)
    assert check_in.output().startswith(b"POST /m2m/v1/log HTTP/1.1\r\nHost: h\r\n")


class Driver:
    """A pump on real sockets, in the test's event loop."""

    def __init__(self, port: int, bench: Bench, *, ca: str = "", tls: bool = False) -> None:
        self.bench = bench
        self.controller: Controller = bench.controller
        self.check_in = CheckIn(SERIAL, PASSWORD, bench.controller, ("localhost", port, tls))
        self.ends: list[str] = []
        self.network = Network(ca, False)
        dialer = Dialer([self.check_in], bytes)
        self.pump = Pump(dialer, self.network, self.ends.append)

    async def until(self, reached: Callable[[], Awaitable[bool]]) -> None:
        loop = asyncio.get_running_loop()
        started, began_ms = loop.time(), self.bench.hal.now_ms
        async with asyncio.timeout(15):
            while not await reached():
                self.bench.hal.now_ms = began_ms + round((loop.time() - started) * 1000)
                self.controller.poll(self.bench.hal.now_ms)
                self.pump.poll(self.bench.hal.now_ms)
                await asyncio.sleep(0.002)
        self.pump.hang_up(self.bench.hal.now_ms)


def _bench() -> Bench:
    config = moto_config()
    config.serial = SERIAL
    return Bench(config)


async def _pays(service: Service, driver: Driver) -> None:
    """A token ordered while the device is away arrives with a check-in, and its answer with the next."""
    await service.token(moto_token("unlock_relative", 30, 12))

    async def settled() -> bool:
        return driver.controller.uplink.pending() == 0 and await service.replied()

    await driver.until(settled)
    assert driver.controller.relay is True
    assert driver.controller.checked_in is True
    assert driver.controller.token_count == 12


async def test_a_command_arrives_and_is_answered_over_the_real_service(tmp_path: Path) -> None:
    async with device_service(tmp_path) as service:
        driver = Driver(service.port, _bench())
        await _pays(service, driver)
        assert driver.ends == []


async def test_a_service_that_is_busy_is_called_again_after_a_pause(tmp_path: Path) -> None:
    async with device_service(tmp_path) as service:
        service.statuses += [503]
        driver = Driver(service.port, _bench())
        await _pays(service, driver)
        assert driver.ends == ["status_503"]


async def test_over_tls_with_the_right_authority(tmp_path: Path) -> None:
    ca, context = certificates(tmp_path)
    async with device_service(tmp_path, context) as service:
        driver = Driver(service.port, _bench(), ca=ca, tls=True)
        await _pays(service, driver)
        assert driver.ends == []


async def test_over_tls_nobody_else_hears_anything(tmp_path: Path) -> None:
    ca, _ = certificates(tmp_path)
    (tmp_path / "other").mkdir()
    _, stranger = certificates(tmp_path / "other")
    async with device_service(tmp_path, stranger) as service:
        driver = Driver(service.port, _bench(), ca=ca, tls=True)

        async def ended() -> bool:
            return bool(driver.ends)

        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)  # the server's view of the broken handshake
        await driver.until(ended)
        assert "CERTIFICATE_VERIFY_FAILED" in driver.ends[0]
        assert service.check_ins == 0


def test_the_user_name_is_the_encoded_serial() -> None:
    assert topics.encode_serial(SERIAL) == "SCBLNX%2FA%2FBT%2F240300126005"

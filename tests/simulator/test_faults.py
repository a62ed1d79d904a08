"""Faults: steps are told in order, and the process dies at the one that was named, no other."""

from pathlib import Path

from backend.kit.http import HttpAnswer
from simulator.faults import Faults


class Port:
    async def order(self, *, device: str) -> str:
        return f"token of {device}"

    def plain(self) -> int:
        return 1


class Http:
    async def request(self, method, url, *, headers, body, timeout_s):
        return HttpAnswer(200, {}, body)


async def test_each_call_is_a_step_before_and_after(tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    port = Faults(steps_file=steps).tap(Port(), "tokens")
    assert await port.order(device="d") == "token of d"
    assert await port.order(device="d") == "token of d"
    assert port.plain() == 1
    assert steps.read_text() == "tokens.order:before\ntokens.order:after\n"


async def test_it_dies_at_its_step_the_time_that_was_named() -> None:
    deaths: list[str] = []
    faults = Faults(die_at="tokens.order:after@2", die=lambda: deaths.append("died"))
    port = faults.tap(Port(), "tokens")
    await port.order(device="d")
    assert deaths == []
    await port.order(device="d")
    assert deaths == ["died"]
    await port.order(device="d")
    assert deaths == ["died"]


async def test_http_steps_are_named_by_the_last_word_of_the_path(tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    http = Faults(steps_file=steps).tap_http(Http(), "provider")
    await http.request("GET", "http://h:1/collection/v1_0/requesttopay/0fa6bb87-1b06", body=b"x")
    assert steps.read_text().splitlines() == [
        "provider.GET.requesttopay:before",
        "provider.GET.requesttopay:after",
    ]

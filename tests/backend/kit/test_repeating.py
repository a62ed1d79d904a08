"""Repeating work: turn after turn, whatever fails in one, until it is stopped."""

import asyncio

import pytest
from structlog.testing import capture_logs

from backend.kit.errors import Unavailable
from backend.kit.repeating import Repeating


@pytest.mark.parametrize(
    ("error", "logged"), [(Unavailable("away"), "away"), (KeyError("row"), "KeyError('row')")]
)
async def test_a_failed_turn_is_logged_and_comes_again(error: Exception, logged: str) -> None:
    turns = 0
    second = asyncio.Event()

    async def turn() -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            raise error
        second.set()

    repeating = Repeating(turn, every_s=0.001, service="kit", name="sweeping")
    with capture_logs() as logs:
        repeating.start()
        async with asyncio.timeout(10):
            await second.wait()
        await repeating.stop()
    assert [(line["event"], line["error"], line["service"]) for line in logs] == [
        ("sweeping.failed", logged, "kit")
    ]


async def test_stop_ends_a_turn_in_its_middle() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def turn() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    repeating = Repeating(turn, every_s=0.001, service="kit", name="sweeping")
    await repeating.stop()  # before it has started
    repeating.start()
    async with asyncio.timeout(10):
        await begun.wait()
        await repeating.stop()
    assert ended.is_set()

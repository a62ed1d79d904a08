"""OpenPAYGO digits: a walk along a hash chain, in slices, so that nobody else waits for a long one.

A count costs a hash of some 15 us. One walk goes at a time and gives the loop back after every slice; where a
walk ended is kept, so that the next token of the same value is a few hashes further.
"""

import asyncio

from backend.kit.errors import TooManyRequests
from backend.moto.generator import Walk
from protocols.tokens import openpaygo

SLICE = 250  # counts: about 4 ms
MAX_WAITING = 32  # walks that wait before stateless ones are refused; the longest take 0.15 s each
MAX_KEPT = 4096  # places; a device uses one or two values
WALKING = "Too many OpenPAYGO tokens are being made; try again in a second"


class Walker:
    """Makes the digits of walks, one at a time."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()
        self._waiting = 0
        self._kept: dict[tuple[bytes, int, int], tuple[int, int]] = {}

    def check_room(self) -> None:
        """TooManyRequests when MAX_WAITING walks wait already; not for tokens that are numbered."""
        if self._waiting >= MAX_WAITING:
            raise TooManyRequests(WALKING, retry_after_s=1)

    async def digits(self, walk: Walk) -> str:
        """The token at the end of `walk`."""
        self._waiting += 1
        try:
            async with self._one:
                return await self._walked(walk)
        finally:
            self._waiting -= 1

    async def _walked(self, walk: Walk) -> str:
        chain = openpaygo.Chain(walk.secret, walk.starting_code, walk.value)
        key = (walk.secret, walk.starting_code, walk.value)
        count, code = self._kept.pop(key, (0, chain.code))
        if count <= walk.count:
            chain.count, chain.code = count, code
        while chain.count < walk.count:
            chain.step(min(SLICE, walk.count - chain.count))
            await asyncio.sleep(0)
        self._kept[key] = max((count, code), (chain.count, chain.code))
        if len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return openpaygo.format_token(chain.token())

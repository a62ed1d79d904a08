"""What the adapters share: a call with an access token that is kept, renewed and fetched once for everybody.

A token is kept until shortly before it expires. An answer that says it is none fetches a new one, once.
Without a token the provider does not see the request: Unreachable.
"""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from backend.kit.errors import Unavailable
from backend.kit.http import HttpAnswer, TimedOut, Unreachable
from backend.kit.runtime import Clock

TOKEN_TIMEOUT_S = 3.0
SEND_TIMEOUT_S = 5.0
# Of a call with all its tokens and repeats: a request and a status read stay well within the lease of 30 s.
CALL_TIMEOUT_S = 11.0
TOKEN_MARGIN_S = 60  # a token is not used in its last minute

Refused = Callable[[HttpAnswer], bool]
Send = Callable[[str], Awaitable[HttpAnswer]]  # with this access token


def is_401(answer: HttpAnswer) -> bool:
    """How most providers refuse a token."""
    return answer.status == 401


class Calls:
    """Sends with an access token. `fetch` gets one of a platform, and its life in seconds."""

    def __init__(self, name: str, fetch: Callable[[str], Awaitable[tuple[str, int]]], clock: Clock):
        self._name = name
        self._fetch = fetch
        self._clock = clock
        self._tokens: dict[str, tuple[str, int]] = {}  # platform -> token and when it is too old
        self._fetches: dict[str, asyncio.Future[str]] = {}

    async def send(self, base_url: str, send: Send, *, refused: Refused = is_401) -> HttpAnswer:
        """`send`, again with a new token if the answer refuses the first one."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                token = await self._token_first(base_url)
                answer = await send(token)
                if refused(answer):
                    answer = await send(await self._token_first(base_url, stale=token))
                return answer
        except TimeoutError as error:
            raise TimedOut(f"{self._name}: no answer within {CALL_TIMEOUT_S:g} s") from error

    async def _token_first(self, base_url: str, *, stale: str | None = None) -> str:
        try:
            return await self._token(base_url, stale=stale)
        except Unavailable as error:
            raise Unreachable(error.detail, retry_after_s=error.retry_after_s) from error

    async def _token(self, base_url: str, *, stale: str | None = None) -> str:
        """The access token of a platform; another one than `stale`. A fetch, and its failure, is shared."""
        token, expires_at_ms = self._tokens.get(base_url, ("", 0))
        if token and token != stale and self._clock.now_ms() < expires_at_ms:
            return token
        fetching = self._fetches.get(base_url)
        if fetching is not None:
            return await asyncio.shield(fetching)
        fetching = self._fetches[base_url] = asyncio.get_running_loop().create_future()
        try:
            fetched, expires_in_s = await self._fetch(base_url)
            life_s = max(expires_in_s - TOKEN_MARGIN_S, expires_in_s // 2)
            self._tokens[base_url] = (fetched, self._clock.now_ms() + life_s * 1000)
            fetching.set_result(fetched)
            return fetched
        except Unavailable as error:
            fetching.set_exception(error)
            raise
        finally:
            del self._fetches[base_url]
            if not fetching.done():  # cancelled
                fetching.set_exception(Unavailable(f"{self._name} token: whoever fetched it was stopped"))
            fetching.exception()  # nobody need wait for it


def platform(stored: str, configured: str) -> str:
    """Where a payment's platform is now: a sandbox may have come up on another port of this machine."""
    return configured if _is_loopback(stored) and _is_loopback(configured) else stored


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")

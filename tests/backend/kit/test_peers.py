"""Whom limits by address count."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from backend.kit.errors import TooManyRequests
from backend.kit.peers import behind, counted_as, networks_of
from backend.kit.ratelimit import RateLimit
from backend.kit.web import application, empty_response, within_limit
from simulator.clock import ManualClock

START_MS = 1_000_000
LIMIT = 3


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:cb00:7107", "203.0.113.7"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:DB8:0:1:ffff:ffff:ffff:ffff%eth0", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("nonsense", "nonsense"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_caller_is_counted_by_what_it_cannot_choose(address: str | None, caller: str) -> None:
    assert counted_as(address) == caller


@pytest.mark.parametrize("start", ["2001:db8:0:1::", "::ffff:203.0.113.7", "203.0.113.7"])
async def test_checklist_101_other_addresses_of_one_caller_share_its_limit(start: str) -> None:
    async def hello(_: web.Request) -> web.Response:
        return empty_response(200)

    limit = RateLimit(limit=LIMIT, window_s=1, clock=ManualClock(START_MS))
    app = application(
        [web.get("/", within_limit(limit, hello))],
        render=lambda error: empty_response(error.status),
        service="kit",
    )
    app.middlewares.insert(0, behind(networks_of(["127.0.0.0/8"])))
    own = [f"{start}{n:x}" for n in range(1, LIMIT + 1)] if start.endswith("::") else [start] * LIMIT
    last = f"{start}dead:beef" if start.endswith("::") else "203.0.113.7"
    async with TestClient(TestServer(app)) as http:
        tried = [
            (await http.get("/", headers={"X-Forwarded-For": address})).status
            for address in (*own, last, "2001:db8:0:2::1", "203.0.113.8")
        ]
    assert tried == [200] * LIMIT + [TooManyRequests.status, 200, 200]

"""The partner whom a sandbox calls."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer


@pytest.fixture
async def callbacks():
    """The bodies that are sent to `url`, one after the other."""
    bodies = asyncio.Queue()

    async def keep(request):
        await bodies.put(await request.read())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", keep)
    async with TestServer(app) as server:
        bodies.url = str(server.make_url("/hook"))
        yield bodies

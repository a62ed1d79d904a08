"""HTTP of mese: POST /ussd, the aggregator's form; answers and errors are plain text (spec/providers.md, 4).

There is no key: aggregators send none. Who may reach this path is the network's business.
"""

from aiohttp import web

from backend.kit.errors import BackendError
from backend.kit.web import application, read_form
from backend.mese.schemas import parse
from backend.mese.service import MeseService


def make_app(service: MeseService) -> web.Application:
    """The application of `service`."""

    async def ussd(request: web.Request) -> web.Response:
        return web.Response(text=await service.hop(parse(await read_form(request))))

    return application([web.post("/ussd", ussd)], render=render, service="mese")


def render(error: BackendError) -> web.Response:
    """The sentence of an error."""
    return web.Response(text=error.detail, status=error.status)

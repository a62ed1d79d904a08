"""momo and one provider's sandbox on real sockets, billing as a fake: what the path tests run."""

from aiohttp.test_utils import TestServer

from backend.kit.database import open_database
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.momo.client import MomoClient
from backend.momo.routes import make_app
from backend.momo.service import Config, MomoService
from tests.ports import next_port


class Gateway:
    """`make_sandbox(parts, momo_url)` gives a sandbox and its application, `wire(parts, url)` momo's part.

    `payment`: what `settled` pays. `callbacks`: whether the sandbox can reach momo.
    """

    def __init__(self, url, http, billing, *, make_sandbox, wire, name, payment, callbacks=True, port=None):
        self.billing = billing
        self._payment = payment
        self.port = port or next_port()
        self.url = f"http://127.0.0.1:{self.port}"
        told_url = self.url if callbacks else f"http://127.0.0.1:{next_port()}"
        parts = {"clock": SystemClock(), "entropy": SystemEntropy(), "http": http}
        self._databases = [open_database(url, f"sandbox_{name}"), open_database(url, "momo")]
        self.sandbox, app = make_sandbox({**parts, "database": self._databases[0]}, told_url)
        self.sandbox_server = TestServer(app, port=next_port())
        self.sandbox_url = f"http://127.0.0.1:{self.sandbox_server.port}"
        self.momo = MomoService(
            database=self._databases[1],
            clock=parts["clock"],
            entropy=parts["entropy"],
            config=Config(told_url, b"pepper"),
            billing=billing,
            **wire({"clock": parts["clock"], "http": http}, self.sandbox_url),
        )
        self.server = TestServer(make_app(self.momo, self.momo.keys), port=self.port)
        self.client = MomoClient(http=http, base_url=self.url, api_key="key")

    async def __aenter__(self):
        await self.sandbox.start()
        await self.momo.start()
        await self.momo.install_key("key", client="mese")
        await self.sandbox_server.start_server()
        await self.server.start_server()
        return self

    async def __aexit__(self, *_):
        await self.momo.stop()
        await self.sandbox.stop()
        await self.server.close()
        await self.sandbox_server.close()
        for database in self._databases:
            await database.close()

    async def settled(self, **changes):
        """A payment, as it is when nothing more happens to it."""
        payment = await self.client.pay(**{**self._payment, **changes})
        return await self.client.wait(payment.payment_id, wait_s=8)

    async def row(self, payment_id):
        """A payment as it is stored."""
        return await self.momo._database.read(lambda c: self.momo._store.by_id(c, payment_id))

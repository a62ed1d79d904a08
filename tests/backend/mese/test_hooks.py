"""Who may dial in: the aggregator, by a path that nobody else knows."""

import pytest
from aiohttp.test_utils import TestClient, TestServer

from backend.mese.routes import make_app

SECRET = "0123456789abcdef0123456789abcdef"
HOP = {"sessionId": "s1", "phoneNumber": "+256772123456", "text": ""}
ENDING = {"sessionId": "s1", "phoneNumber": "+256772123456", "status": "Success"}


@pytest.mark.parametrize(("development", "plain"), [(False, 404), (True, 200)])
async def test_the_plain_paths_are_for_development(host, development, plain):
    await host.start()
    async with TestClient(TestServer(make_app(host, secret=SECRET, development=development))) as client:
        hook = "/hooks/africastalking/ussd"
        answer = await client.post(f"{hook}/{SECRET}", data=HOP)
        assert (answer.status, (await answer.text())[:4]) == (200, "CON ")
        for wrong in ("0" * 32, SECRET[:-1], SECRET.upper(), "%FF", "end"):
            for path in (f"{hook}/{wrong}", f"{hook}/end/{wrong}"):
                refused = await client.post(path, data=HOP | ENDING)
                assert refused.status == 404
                assert SECRET not in await refused.text()
        assert (await client.post("/ussd", data=HOP)).status == plain
        assert (await client.post("/ussd/end", data=ENDING)).status == plain
        assert (await client.post(f"{hook}/end/{SECRET}", data=ENDING)).status == 200
        document = await (await client.get("/openapi.json")).json()
        assert ("/ussd" in document["paths"]) == development
        assert SECRET not in str(document)
    await host.stop()

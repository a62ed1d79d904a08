"""What the tests of operators' routes ask with."""

from aiohttp.test_utils import TestClient

SERIAL = "SCBLNX/A/BT/240300126005"
UNLOCK = {"name": "unlock_token", "details": {"unlock_code": "123456789"}}
NO_COMMAND = (404, {"error": "Not found"})


async def create(http: TestClient, **changes: object) -> int:
    body = {"identifier": SERIAL, "command": UNLOCK} | changes
    async with http.post("/v1/commands", json=body) as answer:
        assert answer.status == 201
        return int(answer.headers["Location"].rpartition("/")[2])


async def ask(http: TestClient, method: str, path: str, **given: object) -> tuple[int, dict]:
    async with http.request(method, path, **given) as answer:
        return answer.status, await answer.json()

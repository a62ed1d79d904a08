"""The client over real HTTP gives what the service gives."""

import pytest
from aiohttp.test_utils import TestClient

from backend.kit.errors import BadRequest, Forbidden, Unauthorized
from backend.kit.http import AiohttpClient, Unreachable
from backend.solarium.client import SolariumClient
from backend.solarium.service import Solarium
from tests.backend.solarium.fakes import API_KEY, PRICE, UG, payment


async def test_validate(client: SolariumClient, service: Solarium) -> None:
    for reference, amount in (("254543", None), ("254543", PRICE), ("254543", 1), ("x", None)):
        asked = {"reference": reference, "amount_subunit": amount, **UG}
        assert await client.validate(**asked) == await service.validate(**asked)  # type: ignore[arg-type]


async def test_confirm_tells_new_from_duplicate(client: SolariumClient, service: Solarium) -> None:
    assert await client.confirm(**payment())
    assert not await client.confirm(**payment())
    assert not await service.confirm(**payment())


async def test_resolve(client: SolariumClient, service: Solarium) -> None:
    route = await client.resolve(reference="254543", market="UG")
    assert route == await service.resolve(reference="254543", market="UG")
    assert route is not None
    assert await client.resolve(reference="254543", market="RW") is None


async def test_errors_are_the_kits(
    client: SolariumClient, service: Solarium, http: TestClient, http_client: AiohttpClient
) -> None:
    with pytest.raises(BadRequest):
        await client.confirm(**payment(currency="x"))
    with pytest.raises(BadRequest):
        await service.confirm(**payment(currency="x"))
    stranger = SolariumClient(http=http_client, base_url=str(http.make_url("/")), api_key="wrong")
    with pytest.raises(Unauthorized):
        await stranger.validate(reference="254543", **UG)
    await service.install_key("kenyan", client="ke", markets=["KE"])
    kenyan = SolariumClient(http=http_client, base_url=str(http.make_url("/")), api_key="kenyan")
    with pytest.raises(Forbidden):
        await kenyan.resolve(reference="254543", market="UG")
    nobody = SolariumClient(http=http_client, base_url="http://127.0.0.1:1", api_key=API_KEY)
    with pytest.raises(Unreachable):
        await nobody.resolve(reference="254543", market="UG")

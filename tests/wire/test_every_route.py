"""Every route of a service's router is in its OpenAPI, and the other way round, hooks of providers too."""

from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.wire.every import SERVICES, every

OF_THE_DOCUMENT = {("GET", "/openapi.json"), ("GET", "/docs")}  # the document doesn't tell of itself


def routed(app: web.Application) -> set[tuple[str, str]]:
    """(method, path) of a router, as OpenAPI writes paths; aiohttp adds a HEAD to every GET."""
    found = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
    }
    return {(method, path) for method, path in found if method != "HEAD" or ("GET", path) not in found}


async def test_documents_and_routers_tell_the_same(tmp_path: Path) -> None:
    async with every(f"sqlite:///{tmp_path}") as applications:
        for name in SERVICES:
            async with TestClient(TestServer(applications[name].app)) as http:
                document = await (await http.get("/openapi.json")).json()
            told = {
                (method.upper(), path)
                for path, operations in document["paths"].items()
                for method in operations
            }
            assert told | OF_THE_DOCUMENT == routed(applications[name].app), name


async def test_below_a_prefix_the_page_and_the_document_are_found(tmp_path: Path) -> None:
    async with every(f"sqlite:///{tmp_path}") as applications:
        root = web.Application()
        for name in SERVICES:
            root.add_subapp(f"/{name}", applications[name].app)
        async with TestClient(TestServer(root)) as http:
            for name in SERVICES:
                page = await (await http.get(f"/{name}/docs")).text()
                assert f"URL=http://{http.host}:{http.port}/{name}\n" in page.replace("</pre>", "\n")
                assert 'href="openapi.json"' in page
                document = await (await http.get(f"/{name}/openapi.json")).json()
                assert document["servers"] == [{"url": "."}]
                for path, operations in document["paths"].items():
                    for operation in operations.values():
                        assert operation["tags"], (name, path)
                        assert operation["summary"], (name, path)
            strange = await (await http.get("/moto/docs", headers={"Host": "<script>"})).text()
            assert "<script" not in strange
            assert "URL=http://HOST/moto" in strange

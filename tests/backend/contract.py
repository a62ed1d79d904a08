"""Runs schemathesis over the document that an application serves, against that application.

A test serves its application (`served`), loads the document (`document_of`) and asks for all of it (`run`);
`curl` runs the curl lines of its page. The application lives on a loop in a thread of its own, because
schemathesis calls over blocking HTTP. CONTRACT_EXAMPLES in the environment is how many random requests each
operation gets (`make explore` has many).
"""

import asyncio
import base64
import html
import itertools
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from ipaddress import IPv4Address

import requests
import schemathesis
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler, Middleware
from schemathesis.checks import CHECKS
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test

from backend.kit.openapi import MAY_BE_EMPTY, OPENAPI

START_S = 30  # of a server, with its migrations, and of an answer; on a busy machine
# Random ones of each operation; the phase that walks the boundaries adds its own.
EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "6"))
Sign = Callable[[bytes], Mapping[str, str]]
App = Callable[[], AbstractAsyncContextManager[web.Application]]


def _from_everywhere() -> Middleware:
    """Gives each request a peer of its own: schemathesis sends more wrong keys than one address may."""
    peers = itertools.count(int(IPv4Address("10.0.0.1")))

    @web.middleware
    async def moved(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request.clone(remote=str(IPv4Address(next(peers)))))

    return moved


@contextmanager
def served(app: App) -> Iterator[str]:
    """Serves an application; its URL."""
    ready, running = threading.Event(), []

    async def serve() -> None:
        stop = asyncio.Event()
        async with app() as application:
            application.middlewares.insert(0, _from_everywhere())
            async with TestServer(application) as server:
                running.append((asyncio.get_running_loop(), stop, str(server.make_url("/")).rstrip("/")))
                ready.set()
                await stop.wait()

    with ThreadPoolExecutor(1) as pool:
        server = pool.submit(asyncio.run, serve())
        server.add_done_callback(lambda _: ready.set())
        assert ready.wait(START_S), "the application did not start"
        if not running:
            server.result()
        loop, stop, url = running[0]
        try:
            yield url
        finally:
            loop.call_soon_threadsafe(stop.set)
            server.result()


def basic(login: str) -> str:
    """The Authorization of `name:password`."""
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def document_of(url: str) -> schemathesis.BaseSchema:
    """The document of the application at `url`, for schemathesis."""
    answer = requests.get(f"{url}/openapi.json", timeout=START_S)
    assert answer.headers["Content-Type"] == "application/json"
    document = answer.json()
    assert document["openapi"] == OPENAPI
    answer = requests.get(f"{url}/docs", timeout=START_S)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    page = answer.text
    assert "<script" not in page
    assert set(re.findall(r"(?:src|href)=.(\w+:|//)", page)) == set()
    for path in document["paths"]:
        assert f"<code>{path}</code>" in page
    settings = {
        "seed": 1,
        "base-url": url,
        "generation": {
            "max-examples": EXAMPLES,
            "deterministic": True,
            "database": "none",
            "allow-extra-parameters": False,  # unknown ones are ignored, as unknown members are
        },
        # What fits its schema may still be refused, by rules that no schema tells (moto's status texts).
        "checks": {
            "positive_data_acceptance": {"enabled": False},
            "negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 405, 409, 413, 422, 429]},
        },
    }
    return schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(settings))


def run(
    schema: schemathesis.BaseSchema,
    *,
    headers: Mapping[str, str],
    secrets: Mapping[str, str] | None = None,
    known: Mapping[str, object] | None = None,
    sign: Sign | None = None,
) -> None:
    """Every operation of a document: its answers are as the document says.

    `headers` carry the real keys; `secrets` are path parameters that are credentials; `known` values that
    the service has heard of take the place of made-up ones in every second good body. `sign` gives the
    headers of a webhook with that body.
    """
    turns = itertools.cycle((True, False))
    (ignored_auth,) = CHECKS.get_by_names(("ignored_auth",))
    guarded: set[str] = set()

    def guards(
        context: schemathesis.CheckContext, response: Response, case: schemathesis.Case
    ) -> bool | None:
        """Who has no key is refused: asked once of each operation, as schemathesis' own runner does."""
        context.auth_enforced_operations = guarded
        return ignored_auth(context, response, case)

    def answers(case: schemathesis.Case) -> None:
        for name in case.path_parameters.keys() & (secrets or {}).keys():
            case.path_parameters[name] = secrets[name]
        if isinstance(case.body, dict) and case.meta.generation.mode.is_positive and next(turns):
            case.body = case.body | {name: known[name] for name in case.body.keys() & (known or {}).keys()}
        signed = None if sign is None else _Signed(sign)
        response = case.call(headers=dict(headers), auth=signed, timeout=START_S)
        told = case.operation.definition.raw["responses"].get(str(response.status_code))
        bodiless = told is not None and MAY_BE_EMPTY in told and not response.content
        assert told is None or bodiless or bool(response.content) == ("content" in told)
        of_bodies = ("content_type_conformance", "response_schema_conformance") if bodiless else ()
        excluded = CHECKS.get_by_names((*of_bodies, "ignored_auth"))
        case.validate_response(
            response,
            additional_checks=[guards],
            excluded_checks=excluded,
            headers=dict(headers),
            transport_kwargs={"auth": signed},
        )

    operations = [found.ok() for found in schema.get_all_operations()]
    assert operations
    for operation in operations:
        build_operation_test(
            config=schema.config,
            operation=operation,
            test_func=answers,
            given_kwargs={},
            feedback=FeedbackSources(),
        )()


class _Signed(requests.auth.AuthBase):
    """Signs what is sent with a signature, whatever that was."""

    def __init__(self, sign: Sign):
        self._sign = sign

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        if "webhook-signature" in request.headers:
            request.headers.update(self._sign(body.encode() if isinstance(body, str) else body))
        return request


@schemathesis.serializer("text/csv")
def _csv(_: schemathesis.SerializationContext, value: object) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")


def curl(
    url: str,
    variables: Mapping[str, str],
    *,
    refused: Mapping[str, int] | None = None,
    sign: Sign | None = None,
) -> None:
    """Runs the curl lines of the page one after the other: each gets a 2xx that its operation tells.

    `variables` are the shell's; `refused` has the status that an operation (POST /path) gets instead, because
    its example names what only a partner can know.
    """
    document = requests.get(f"{url}/openapi.json", timeout=START_S).json()
    page = requests.get(f"{url}/docs", timeout=START_S).text
    assert f"URL={url}\n" in page.replace("</pre>", "\n")
    lines = [html.unescape(line) for line in re.findall(r'<pre class="curl">(.*?)</pre>', page, re.DOTALL)]
    tags = [tag["name"] for tag in document["tags"]]
    told = sorted(
        (
            (f"{method.upper()} {path}", operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ),
        key=lambda each: tags.index(each[1]["tags"][0]),
    )
    for (name, operation), line in zip(told, lines, strict=True):
        contents = list(operation.get("requestBody", {}).get("content", {}).values())
        example = contents[0].get("example") if contents else None
        environment = {"PATH": os.environ["PATH"], "URL": url, **variables}
        if sign is not None and example is not None:
            # What curl sends is what -d names: the page's JSON.
            sent = re.search(r"(?:-d|--data-binary) '(.*)'$", line, re.DOTALL)
            names = sign(sent[1].encode() if sent else b"")
            environment |= {key.upper().replace("-", "_"): value for key, value in names.items()}
        shell = f"{line} -o /dev/null -w '%{{http_code}}'"
        done = subprocess.run(["/bin/bash", "-uc", shell], env=environment, capture_output=True, check=False)
        status = int(done.stdout or b"0")
        expected = (refused or {}).get(name)
        good = status == expected if expected else 200 <= status < 300
        assert good, (name, line, status, done.stderr)
        assert str(status) in operation["responses"], (name, status)

"""Runs schemathesis over the document that an application serves, against that application.

A test serves its application (`served`), loads the document (`document_of`) and asks for all of it (`run`).
The application lives on a loop in a thread of its own, because schemathesis calls over blocking HTTP.
"""

import asyncio
import itertools
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager

import requests
import schemathesis
from aiohttp import web
from aiohttp.test_utils import TestServer
from schemathesis.checks import CHECKS
from schemathesis.config import SchemathesisConfig
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test

from backend.kit.openapi import MAY_BE_EMPTY, OPENAPI

START_S = 30  # of a server, with its migrations, on a busy machine
EXAMPLES = 6  # random ones of each operation; the phase that walks the boundaries adds its own
App = Callable[[], AbstractAsyncContextManager[web.Application]]


@contextmanager
def served(app: App) -> Iterator[str]:
    """Serves an application; its URL."""
    ready, running = threading.Event(), []

    async def serve() -> None:
        stop = asyncio.Event()
        async with app() as application, TestServer(application) as server:
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
) -> None:
    """Every operation of a document: its answers are as the document says.

    `headers` carry the real keys; `secrets` are path parameters that are credentials; `known` values that
    the service has heard of take the place of made-up ones in every second good body.
    """
    turns = itertools.cycle((True, False))

    def answers(case: schemathesis.Case) -> None:
        for name in case.path_parameters.keys() & (secrets or {}).keys():
            case.path_parameters[name] = secrets[name]
        if isinstance(case.body, dict) and case.meta.generation.mode.is_positive and next(turns):
            case.body = case.body | {name: known[name] for name in case.body.keys() & (known or {}).keys()}
        response = case.call(headers=dict(headers))
        told = case.operation.definition.raw["responses"].get(str(response.status_code))
        bodiless = told is not None and MAY_BE_EMPTY in told and not response.content
        assert told is None or bodiless or bool(response.content) == ("content" in told)
        of_bodies = ("content_type_conformance", "response_schema_conformance") if bodiless else ()
        excluded = CHECKS.get_by_names(of_bodies)
        case.validate_response(response, excluded_checks=excluded, headers=dict(headers))

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

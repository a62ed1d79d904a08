"""Logs: no secret by its name, no local variable and no stored row in a traceback."""

import io
from collections.abc import Iterator

import pytest
import structlog

from backend.kit.logs import configure

DIGITS = "004274434900"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def defect(unlock: str) -> None:
    parts = {"unlock": unlock}
    raise RuntimeError(f"{len(parts)} parts")


class Detailed(Exception):
    """As asyncpg's: its text goes on with a line that quotes the row."""

    def __str__(self) -> str:
        return f"null value in column\nDETAIL:  Failing row contains ({DIGITS})."


@pytest.mark.parametrize("as_json", [False, True], ids=["console", "json"])
def test_a_traceback_shows_no_values(as_json: bool) -> None:
    stream = io.StringIO()
    configure(stream, as_json=as_json)
    log = structlog.get_logger()
    try:
        defect(DIGITS)
    except RuntimeError:
        log.error("http.defect", exc_info=True, digits=DIGITS, nested={"token": DIGITS})
    try:
        raise Detailed
    except Detailed:
        log.error("http.defect", exc_info=True)
    written = stream.getvalue()
    assert DIGITS not in written
    assert "1 parts" in written  # the traceback itself is there
    assert "null value in column" in written

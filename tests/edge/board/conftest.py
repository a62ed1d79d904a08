"""One build for all tests of a process: it takes some seconds."""

from pathlib import Path

import pytest

from edge.board.build import Build, build


@pytest.fixture(scope="session")
def build_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("build")


@pytest.fixture(scope="session")
def built(build_folder: Path) -> Build:
    """The firmware of this checkout for the virtual board."""
    return build("x64", build_folder, version=None, progress=lambda *_: None)

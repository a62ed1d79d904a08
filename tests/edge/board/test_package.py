"""The other two ways of getting the firmware onto a board: mip, and frozen into MicroPython."""

import asyncio
import json
import runpy
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edge.board import scripts
from edge.board.modules import CHECKOUT, modules
from edge.board.mpremote import Board
from edge.board.package import PACKAGE, package
from tests.edge.board.virtual_board import powered

MANIFEST = PACKAGE.with_name("manifest.py")


def listed() -> dict[str, str]:
    return dict(json.loads(PACKAGE.read_text(encoding="utf-8"))["urls"])


def test_the_package_lists_the_modules_that_boards_need() -> None:
    assert PACKAGE.read_text(encoding="utf-8") == package(), "python -m edge.board.package"


def test_the_manifest_freezes_what_the_package_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: list[str] = []
    included: list[str] = []

    def freeze_package(name: str, *, files: tuple[str, ...], base_path: str, opt: int) -> None:
        assert (MANIFEST.parent / base_path / name).is_dir()
        frozen.extend(f"{name}/{file}" for file in files)

    commands = {
        "include": included.append,
        "module": lambda path, **_: frozen.append(path),
        "package": freeze_package,
    }
    monkeypatch.chdir(MANIFEST.parent)
    runpy.run_path(str(MANIFEST), init_globals=commands)
    assert included == ["$(PORT_DIR)/boards/manifest.py"]
    assert sorted(frozen) == sorted(listed())


@pytest.mark.parametrize("platform", ["unix", "esp32", "rp2"])
def test_a_build_has_one_hal_and_nothing_of_hosts(platform: str) -> None:
    found = modules(platform)
    entries = {"unix": "process", "esp32": "esp32", "rp2": "rp2"}
    for name, entry in entries.items():
        assert (f"firmware/hal/{entry}.py" in found) == (name == platform)
    assert {"firmware/main.py", "firmware/boot.py", "firmware/ota.py", "firmware/__init__.py"} <= set(found)
    assert not {
        "protocols/magicbox/frames.py",
        "protocols/tokens/siphash_host.py",
        "protocols/mac_host.py",
    } & set(found)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on the test's output."""


@pytest.fixture
def checkout_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(CHECKOUT)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_mip_installs_it(tmp_path: Path, checkout_url: str) -> None:
    async with powered(tmp_path / "flash.img") as virtual:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mpremote", "connect", virtual.port, "resume"),
            *("mip", "install", f"{checkout_url}/firmware/package.json"),
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(60):
            assert await process.wait() == 0
        found = await Board(virtual.port).run(scripts.hashes(["/lib"]))
        assert sorted(line.split()[0] for line in found) == sorted(f"/lib/{target}" for target in listed())

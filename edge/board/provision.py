"""Make a board somebody's: its serial and keys into the board and into the registry, once, printed nowhere.

The secrets are made here and kept in FOLDER/SERIAL.json until board and registry both have them; whoever runs
it again after an interruption goes on with the same ones, on the same board: two with the same keys would
each give light for one payment. They go to the board as a file, never on a command line. What happens on the
board is firmware/provisioning.py: the identity counts once the first state of its store is written.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import msgspec

from edge.board import scripts
from edge.board.errors import BoardError
from edge.board.mpremote import Board
from edge.board.registry import Registry
from firmware.provisioning import IDENTITY, NEW_IDENTITY
from protocols import topics

SETTINGS = "/settings.json"
MARK = "/board.mark"  # which board is meant; nothing secret
FAMILIES = ("moto", "openpaygo")
_SECRET_SIZE = 16
_LINK_KEY_SIZE = 16
_PASSWORD_SIZE = 16
_MARK_SIZE = 8
_MARKET = re.compile(r"[A-Z]{2}\Z")
_SERIAL = re.compile(r"[!-~]{1,64}\Z")

Entropy = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Device:
    """Who a board is to be."""

    serial: str
    family: str
    market: str


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept until everybody has it. `identity` is the board's /identity.json.

    `mark` is that of the only board that may have got the keys; "": none has.
    """

    market: str
    identity: dict[str, object]
    mark: str = ""

    def __repr__(self) -> str:
        return f"Kept({self.identity['serial']})"


async def provision(
    board: Board,
    device: Device,
    *,
    registry: Registry,
    settings: dict[str, object] | None,
    folder: Path,
    entropy: Entropy,
) -> None:
    """Provision the board and restart it; BoardError says what to do.

    `settings` become the board's /settings.json (firmware/setup.py); None leaves those that it has.
    """
    _check(device)
    kept_file = folder / f"{topics.encode_serial(device.serial)}.json"
    await _check_board(board, device, is_begun=kept_file.exists())
    kept = _keep(kept_file, device, entropy)
    identity = json.dumps(kept.identity).encode()
    await registry.register(kept.identity, kept.market)
    if settings is not None:
        await _put(board, {SETTINGS: json.dumps(settings).encode()})
    if not await _has(board, IDENTITY, identity):
        await _bind(board, kept, kept_file, entropy)
        await _put(board, {NEW_IDENTITY: identity})
        answers = await board.run(scripts.COMMIT)
        if answers != ["done"]:
            raise BoardError(f"the board on {board.port} refused: {' '.join(answers) or 'it says nothing'}")
    if not await _has(board, IDENTITY, identity):
        raise BoardError(f"what was written to {board.port} does not read back: provision it again")
    kept_file.unlink()
    await board.reset()


def settings_for(credentials: dict[str, object] | None, file: Path | None) -> dict[str, object] | None:
    """The board's settings: where a running `payg up` is, and over that the members of a JSON file."""
    found: dict[str, object] = {}
    if credentials is not None:
        mqtt = cast("dict[str, object]", credentials["mqtt"])
        http = urlsplit(str(credentials["http"]))
        place: dict[str, object] = {"host": http.hostname, "port": http.port, "prefix": "/m2m"}
        found = {"host": mqtt["host"], "port": mqtt["port"], "http": place}
        if credentials.get("tls"):
            found["tls"] = place["tls"] = True
            if credentials.get("ca"):
                found["ca"] = Path(str(credentials["ca"])).read_text(encoding="ascii")
    if file is not None:
        found |= _read_settings(file)
    return found or None


def _check(device: Device) -> None:
    if not _SERIAL.match(device.serial):
        raise BoardError("a serial is 1 to 64 visible ASCII characters, without spaces")
    if device.family not in FAMILIES:
        raise BoardError(f"unknown token family {device.family}: use {' or '.join(FAMILIES)}")
    if not _MARKET.match(device.market):
        raise BoardError(f"no market: {device.market}; use two capital letters, like UG")


async def _check_board(board: Board, device: Device, *, is_begun: bool) -> None:
    """BoardError unless it has our firmware and no other identity."""
    await board.probe()
    firmware, *known = await board.run(scripts.STATUS)
    if firmware != "firmware":
        raise BoardError(f"the board on {board.port} has no firmware: payg board flash --port {board.port}")
    if known and (known != [device.serial] or not is_begun):
        raise BoardError(f"the board on {board.port} is provisioned already, as {known[0]}")


def _keep(path: Path, device: Device, entropy: Entropy) -> Kept:
    """The secrets that were made before, or new ones, on the disk before anybody else has them."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        kept = _make(device, entropy)
        _write_private(path, msgspec.json.encode(kept))
        return kept
    except (OSError, msgspec.DecodeError):
        raise BoardError(f"{path} is damaged: remove it, and give the board another serial") from None
    if kept.identity.get("family") != device.family or kept.market != device.market:
        raise BoardError(
            f"{device.serial} was begun as {kept.identity.get('family')} in {kept.market}: go on with these"
        )
    return kept


def _make(device: Device, entropy: Entropy) -> Kept:
    identity: dict[str, object] = {
        "serial": device.serial,
        "family": device.family,
        "secret": entropy(_SECRET_SIZE).hex(),
        "link_key": entropy(_LINK_KEY_SIZE).hex(),
        "password": entropy(_PASSWORD_SIZE).hex(),
        "last_count": -1,
    }
    return Kept(device.market, identity)


async def _bind(board: Board, kept: Kept, kept_file: Path, entropy: Entropy) -> None:
    """Say which board gets the keys, on it and on the disk, before it does; BoardError for a second one."""
    if kept.mark:
        if not await _has(board, MARK, kept.mark.encode()):
            raise BoardError(
                f"{kept.identity['serial']} was begun on another board: go on with that one, "
                "and give this one another serial"
            )
        return
    mark = entropy(_MARK_SIZE).hex()
    await _put(board, {MARK: mark.encode()})
    _write_private(kept_file, msgspec.json.encode(msgspec.structs.replace(kept, mark=mark)))


async def _has(board: Board, path: str, content: bytes) -> bool:
    (answer, *_) = [*await board.run(scripts.hashes([path])), ""]
    return answer == f"{path} {hashlib.sha256(content).hexdigest()}"


async def _put(board: Board, files: dict[str, bytes]) -> None:
    """Copy these contents to paths on the board; they lie in a private folder meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        sources = {path: Path(folder, path[1:]) for path in files}
        for path, source in sources.items():
            _write_private(source, files[path])
        await board.copy([(source, path) for path, source in sources.items()], lambda _: None)


def _write_private(path: Path, content: bytes) -> None:
    """A file that only its owner can read, durable, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _read_settings(file: Path) -> dict[str, object]:
    try:
        content: object = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BoardError(f"cannot read {file}: {error.strerror}") from None
    except ValueError:
        raise BoardError(f"{file} is not JSON") from None
    if not isinstance(content, dict):
        raise BoardError(f"{file} must hold one JSON object")
    return cast("dict[str, object]", content)

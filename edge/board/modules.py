"""Which modules of the checkout a board needs: what its entry points import, one from another.

build.py compiles them, firmware/manifest.py freezes them, firmware/package.json lists them for mip.
"""

import ast
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ENTRIES = ("firmware.main", "firmware.boot", "firmware.provisioning")
HAL_OF = {"unix": "firmware.hal.process", "esp32": "firmware.hal.esp32", "rp2": "firmware.hal.rp2"}
PACKAGES = ("firmware", "protocols")
_HOSTS_ONLY = frozenset({"protocols.mac_host", "protocols.tokens.siphash_host"})  # for CPython


def modules(*platforms: str) -> list[str]:
    """Paths below the checkout of every module for these platforms, sorted, packages' __init__.py included.

    `platforms`: unix, esp32, rp2; a HAL is taken for its own platform only. What is imported for type
    checkers is not followed.
    """
    others = {hal for platform, hal in HAL_OF.items() if platform not in platforms}
    return reachable([*ENTRIES, *(HAL_OF[platform] for platform in platforms)], others)


def reachable(entries: Iterable[str], left_out: Collection[str] = ()) -> list[str]:
    """Paths below the checkout of these modules and of what they import, one from another; sorted."""
    left = list(entries)
    found: dict[str, Path] = {}
    while left:
        name = left.pop()
        path = _file(name)
        if name in found or name in _HOSTS_ONLY or name in left_out or path is None:
            continue
        found[name] = path
        parent, _, _ = name.rpartition(".")
        left += [parent] if parent else []
        left += imported(ast.parse(path.read_text(encoding="utf-8")))
    return sorted(path.relative_to(CHECKOUT).as_posix() for path in found.values())


def _file(name: str) -> Path | None:
    """Where a module of ours is; None for anybody else's and for what is no module."""
    if name.partition(".")[0] not in PACKAGES:
        return None
    base = CHECKOUT.joinpath(*name.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.exists():
            return path
    return None


def imported(node: ast.AST) -> Iterator[str]:
    """Every name that may be a module, wherever it is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module is not None:
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        else:
            yield from imported(child)

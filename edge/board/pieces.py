"""The sources of a board as few small modules: shrink.py, then bundle.py for each group, then names.py.

What is loaded together lies in one module; what a board may do without (a link that is not configured, an
update, the wire of TLS) in one of its own, so that it takes no RAM. build.py compiles the result.
"""

import ast
from collections.abc import Mapping

from edge.board import scripts
from edge.board.bundle import bundle
from edge.board.modules import HAL_OF
from edge.board.names import rename
from edge.board.shrink import shrink

_MAIN = "firmware.main"
_LATER = (  # name of the module, what is in it
    ("firmware.link", ("firmware.link",)),
    ("firmware.checkin", ("firmware.checkin",)),
    ("firmware.ota", ("firmware.ota", "firmware.slots", "firmware.download", "firmware.image")),
    ("firmware.hal.net", ("firmware.hal.net", "firmware.hal.udp", "firmware.hal.wifi")),
)
_PROVISIONING = "firmware/provisioning.py"  # scripts.COMMIT calls it


def pieces(sources: Mapping[str, str], platform: str) -> dict[str, str]:
    """The modules to compile, by path, from all modules of a platform's program."""
    called = _called()
    keep = {"main", "run", *(name for names in called.values() for name in names)}
    program = shrink(sources, keep=(_PROVISIONING,))
    program = bundle(program, ("firmware.controller",), "firmware.core", keep=keep)
    program = bundle(program, (_MAIN, "firmware.hal", HAL_OF[platform]), _MAIN, keep=keep)
    for name, entries in _LATER:
        program = bundle(program, entries, name, keep=keep)
    for module, names in called.items():
        path = module.replace(".", "/") + ".py"
        if path in sources and path not in program:
            program[path] = f"from {_MAIN} import {', '.join(sorted(names))}\n"
    return rename(program, keep=keep)


def _called() -> dict[str, set[str]]:
    """What programs at the prompt of a board import, by module."""
    called: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(scripts.COMMIT)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            called.setdefault(node.module, set()).update(alias.name for alias in node.names)
    return called

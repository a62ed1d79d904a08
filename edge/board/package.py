"""firmware/package.json: what mip installs. `python -m edge.board.package` writes it anew."""

import json
import posixpath

from edge.board.modules import CHECKOUT, modules
from firmware.version import VERSION

PACKAGE = CHECKOUT / "firmware" / "package.json"


def package() -> str:
    """Every module for boards, as source, with boot.py once more where main.py finds it."""
    paths = modules("esp32", "rp2")
    urls = [["boot.py", "boot.py"]]
    urls += [[path, posixpath.relpath(path, "firmware")] for path in paths]
    content = {"urls": urls, "deps": [], "version": ".".join(str(part) for part in VERSION)}
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    PACKAGE.write_text(package(), encoding="utf-8")

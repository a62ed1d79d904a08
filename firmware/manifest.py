"""What is frozen into a board's own MicroPython, for those who build it themselves:

    make -C ports/rp2 BOARD=RPI_PICO_W FROZEN_MANIFEST=CHECKOUT/firmware/manifest.py

Frozen modules run from flash and leave the RAM free; a slot with a newer version goes before them. The list
is that of package.json, with which mip installs the same modules as source. Either way the board's main.py is
boot.MAIN_SOURCE. MicroPython's tools/manifestfile.py executes this file in this folder.
"""

# ruff: noqa: F821
# pyright: reportUndefinedVariable=false, reportUnknownMemberType=false

import json

include("$(PORT_DIR)/boards/manifest.py")
with open("package.json") as listed:
    targets = [target for target, _ in json.load(listed)["urls"]]
module("boot.py", opt=3)
for name in ("firmware", "protocols"):
    files = tuple(target[len(name) + 1 :] for target in targets if target.startswith(name + "/"))
    package(name, files=files, base_path="..", opt=3)

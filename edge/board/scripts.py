"""What is run on a board through mpremote: short programs for any MicroPython since 1.23, no secrets in them.

Each prints lines that begin with MARK, so that what a board says besides is not taken for an answer. They are
executed at the prompt, where the firmware was interrupted: PROBE comes first.
"""

MARK = "payg>"
NEW = ".new"  # what is to take the place of a file lies beside it

# The firmware that was interrupted gives its memory back.
PROBE = f"""
import gc, sys
for m in list(sys.modules):
    if m.split(".")[0] in ("firmware", "protocols"):
        del sys.modules[m]
gc.collect()
i = sys.implementation
print("{MARK}", i[0], getattr(i, "_mpy", -1), sys.platform, ".".join([str(n) for n in i[1][:3]]))
"""

RECORDS = f"""
import binascii
for p in ("/boot.0", "/boot.1"):
    try:
        with open(p, "rb") as f:
            print("{MARK}", p, binascii.hexlify(f.read()).decode())
    except OSError:
        pass
"""

_EMPTY = """
import os
def clear(p):
    for e in list(os.ilistdir(p)):
        q = p + "/" + e[0]
        if e[1] & 0x4000:
            clear(q)
            os.rmdir(q)
        else:
            os.remove(q)
try:
    os.mkdir(%(folder)r)
except OSError:
    clear(%(folder)r)
for d in %(folders)r:
    os.mkdir(d)
v = os.statvfs("/")
print(%(mark)r, v[0] * v[3])
"""

_RENAME = """
import os
for p in %(paths)r:
    os.rename(p + %(suffix)r, p)
"""

_HASHES = """
import os, hashlib, binascii
b = bytearray(512)
def digest(p):
    s = hashlib.sha256()
    with open(p, "rb") as f:
        while True:
            n = f.readinto(b)
            if not n:
                break
            s.update(memoryview(b)[:n])
    print(%(mark)r, p, binascii.hexlify(s.digest()).decode())
def walk(p):
    try:
        t = os.stat(p)[0]
    except OSError:
        return
    if t & 0x4000:
        for e in os.ilistdir(p):
            walk(p + "/" + e[0])
    else:
        digest(p)
for p in %(paths)r:
    walk(p)
"""

STATUS = f"""
import json
try:
    import boot
    print("{MARK}", "firmware" if hasattr(boot, "choose") else "other")
except ImportError:
    print("{MARK}", "none")
try:
    with open("/identity.json") as f:
        print("{MARK}", json.load(f)["serial"])
except (OSError, ValueError, KeyError):
    pass
"""

COMMIT = f"""
import sys, boot
boot.use(boot.SLOTS[boot.load(open).chosen()])
from firmware.hal.files import Files
if sys.platform == "esp32":
    from firmware.hal.esp32 import open_store
elif sys.platform == "rp2":
    from firmware.hal.rp2 import open_store
else:
    from firmware.hal.process import open_store
from firmware.provisioning import ProvisionError, StoreError, commit
try:
    commit(Files(), open_store(Files()))
    print("{MARK}", "done")
except (ProvisionError, StoreError, ValueError) as e:
    print("{MARK}", e)
"""


def empty(folder: str, folders: list[str]) -> str:
    """Empties a folder and makes those below it; prints the bytes that are free then."""
    return _EMPTY % {"folder": folder, "folders": folders, "mark": MARK}


def take(paths: list[str]) -> str:
    """Gives each file PATH + NEW its name at once: a cut leaves the old one or the new one."""
    return _RENAME % {"paths": paths, "suffix": NEW}


def hashes(paths: list[str]) -> str:
    """Prints path and SHA-256 of each file there is at or below `paths`."""
    return _HASHES % {"paths": paths, "mark": MARK}

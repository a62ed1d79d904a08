"""Runs the `test_*` functions of one module of this folder on MicroPython, and prints a line for each.

The modules themselves are plain (only `assert`), so that pytest collects them on CPython too. `main` is
called by tests/micropython/test_device_modules.py and by tests/webassembly/run.mjs.
"""

import gc
import sys


def main(name):
    module = __import__("tests.device." + name, None, None, ("*",))
    failures = 0
    for member in sorted(dir(module)):
        if not member.startswith("test_"):
            continue
        gc.collect()
        try:
            getattr(module, member)()
            print("ok", member)
        except Exception as error:
            failures += 1
            print("FAILED", member)
            sys.print_exception(error, sys.stdout)
    return failures

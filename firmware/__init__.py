"""What is flashed: start reading at controller.py, and at main.py for the loop around it."""

import gc

# MicroPython collects only when the heap is full, and full of pieces then, too small for the next module.
_COLLECT_EVERY_BYTES = 4096
_threshold = getattr(gc, "threshold", None)  # CPython has another collector
if _threshold is not None:
    _threshold(_COLLECT_EVERY_BYTES)

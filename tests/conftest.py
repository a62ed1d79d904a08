"""Hypothesis profiles: `ci` (derandomized, the default) and `explore` (long, random; `make explore`).

What tests count with record_property("power cuts of ...", number) is summed up and printed at the end.
"""

import gc
import os
from collections import Counter

import pytest
from aiohttp import web_app
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.databases"]

settings.register_profile("ci", derandomize=True, max_examples=100, deadline=None)
settings.register_profile(
    "explore", max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the collector need not walk through it again and again."""
    gc.collect()
    gc.freeze()


def pytest_runtest_teardown() -> None:
    """aiohttp remembers the last 1,024 applications that answered, and with them whole services: 1 GB."""
    web_app._cached_build_middleware.cache_clear()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the sums of what tests have counted."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name.startswith("power cuts"):
                counts[name] += value
    for name, number in sorted(counts.items()):
        terminalreporter.write_line(f"{name}: {number:,}, each the old state or the new")

"""A controller with its link to a broker, as big as it is (tests/bench/board_bench.py)."""

from firmware.link import Link
from tests.device.bench import Bench


def main():
    bench = Bench()
    return bench, Link("T/1", "secret", bench.controller)

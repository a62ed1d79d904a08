"""`make bench`: every figure beside the one to compare it with, in one run. Loopback only.

python -m tests.bench [--turns N] [NAME ...]     names as --help lists them; none: all
"""

import argparse
import asyncio
from collections.abc import Callable

from tests.bench import board_bench, frame, light_bench, token_bench
from tests.bench.processes import postgresql
from tests.bench.table import BENCHES

OTHERS: dict[str, Callable[[], None]] = {
    "light": lambda: light_bench.report(asyncio.run(light_bench.run(payments=25))),
    "token": token_bench.main,
    "board": board_bench.main,
}


def main() -> None:
    """Run benchmarks one after the other and print their figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join((*BENCHES, *OTHERS)))
    parser.add_argument("--turns", type=int, default=frame.TURNS, help="of each service bench")
    options = parser.parse_args()
    names: list[str] = options.names or [*BENCHES, *OTHERS]
    if unknown := set(names) - {*BENCHES, *OTHERS}:
        parser.error(f"no bench {', '.join(sorted(unknown))}; there are {', '.join((*BENCHES, *OTHERS))}")
    services = [BENCHES[name] for name in names if name in BENCHES]
    if services:
        with postgresql() as postgres:
            for bench in services:
                frame.report(bench, frame.run(bench, postgres, turns=options.turns))
    for name in names:
        if name in OTHERS:
            OTHERS[name]()


if __name__ == "__main__":
    main()

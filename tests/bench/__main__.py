"""`make bench`: every figure beside the one to compare it with, in one run. Loopback only."""

import asyncio

from tests.bench import board_bench, confirm_bench, light_bench, token_bench


def main() -> None:
    """Run all benchmarks one after the other and print their figures."""
    light = asyncio.run(light_bench.run(payments=25))
    print(
        f"from the last USSD key to the light: median {light['median_s']:.3f} s, "
        f"fastest {light['min_s']:.3f} s, slowest {light['max_s']:.3f} s, {light['payments']:.0f} payments "
        "(goal: median at most 1 s)"
    )
    confirm_bench.report(confirm_bench.run(seconds=6.0))
    token_bench.main()
    board_bench.main()


if __name__ == "__main__":
    main()

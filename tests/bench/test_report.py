"""The benches measure what the seeds ask for, and say so (checklist 107, 108)."""

import pytest

from tests.bench.bench import Bench
from tests.bench.frame import POSTGRESQL, SQLITE, Contestant, report
from tests.bench.table import BENCHES

PEAK_PER_S = 1000  # the seed's transactions a second
ANSWER_S = {"validate_payment": 2, "confirm_payment": 5}  # the seed's longest


def measured(bench: Bench, *, per_s: float, p99_ms: float) -> list[Contestant]:
    """What a run of a bench might have found, on both databases and in all modes."""
    turn = {
        "per_s": per_s,
        "p50_ms": p99_ms / 2,
        "p99_ms": p99_ms,
        "service_us": 1.0,
        "database_us": 1.0,
        "load_us": 1.0,
    }
    return [
        Contestant(database, mode, "", 0, 0, [turn])
        for database in (SQLITE, POSTGRESQL)
        for mode in bench.modes
    ]


@pytest.mark.parametrize(("name", "answer_s"), ANSWER_S.items())
def test_checklist_107_108_the_seeds_figures_stand_beside_ours(
    name: str, answer_s: int, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = BENCHES[name]
    assert bench.seed == f"{PEAK_PER_S}/s, {answer_s} s"
    assert bench.goal_per_s > PEAK_PER_S
    report(bench, measured(bench, per_s=bench.goal_per_s + 1, p99_ms=1.0))
    good = capsys.readouterr().out
    assert f"The seed asks for {bench.seed}." in good
    assert good.count(f"{bench.goal_per_s + 1}") == 2 * len(bench.modes)
    assert (good.count(": met"), good.count("MISSED")) == (2, 0)
    report(bench, measured(bench, per_s=bench.goal_per_s - 1, p99_ms=1.0))
    assert capsys.readouterr().out.count("MISSED") == 2


def test_checklist_107_an_answer_that_takes_too_long_misses_the_goal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The confirmation's limit is twenty times stricter than the seed's five seconds."""
    bench = BENCHES["confirm_payment"]
    assert bench.goal_p99_ms is not None
    assert bench.goal_p99_ms * 20 <= ANSWER_S["confirm_payment"] * 1000
    report(bench, measured(bench, per_s=1e6, p99_ms=bench.goal_p99_ms + 1))
    assert capsys.readouterr().out.count("MISSED") == 2

"""The benches of services, by name, and their goals (issue 4)."""

from tests.bench.bench import BATCH, BRIDGE_FRAMES, ORDINARY, SINGLE, Bench

BENCHES = {
    bench.name: bench
    for bench in (
        Bench(
            "confirm_payment",
            service="solarium",
            goal_per_s=4000,
            goal_p99_ms=250,
            seed="1000/s, 5 s",
            modes=(BATCH, ORDINARY, SINGLE),
        ),
        Bench("validate_payment", service="solarium", goal_per_s=6000, seed="1000/s, 2 s"),
        Bench("/m2m/command", service="m2m", goal_per_s=3000, seed="1000/s"),
        Bench("/v1/log", service="m2m", goal_per_s=4000, seed="1000/s"),
        Bench(
            "bridge",
            service="m2m",
            goal_per_s=10_000,
            seed="1000/s",
            items=BRIDGE_FRAMES,
            connections=32,  # of 16 frames: two of the bridge's batches wait, as behind one MQTT session
            seconds={BATCH: 2.5, ORDINARY: 4.0},  # 512 frames one by one are a second and more
        ),
        Bench("stateless token", service="moto", goal_per_s=6000, seed="1000/s"),
    )
}

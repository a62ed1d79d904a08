"""A device is provisioned once; one whose memory was taken away is tampered, and the others run."""

import random
from pathlib import Path

from structlog.testing import capture_logs

from backend.kit.runtime import SystemClock
from simulator.development import device_seeds
from simulator.fleet import Fleet

SEEDS = device_seeds(3, b"fleet")


def _fleet(folder: Path) -> Fleet:
    return Fleet(
        seeds=SEEDS,
        folder=folder / "devices",
        host="127.0.0.1",
        port=1,
        status_interval_s=900,
        clock=SystemClock(),
        rng=random.Random(1),
    )


async def test_a_removed_flash_file_is_not_made_anew(tmp_path: Path) -> None:
    fleet = _fleet(tmp_path)
    await fleet.start()
    assert list(fleet.devices) == [seed.serial for seed in SEEDS]
    assert [lamp.stored_on for lamp in fleet.lamps()] == [False] * 3
    await fleet.stop()
    files = sorted((tmp_path / "devices").glob("*.flash"))
    files[1].unlink()
    fleet = _fleet(tmp_path)
    with capture_logs() as logs:
        await fleet.start()
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["device_tampered"]
    states = [device.snapshot()["state"] for device in fleet.devices.values()]
    assert sorted(map(str, states)) == ["expired", "expired", "tampered"]
    assert [lamp.stored_on for lamp in fleet.lamps()] == [False] * 3
    await fleet.stop()


async def test_a_damaged_flash_file_keeps_one_device_off(tmp_path: Path) -> None:
    fleet = _fleet(tmp_path)
    await fleet.start()
    await fleet.stop()
    file = min((tmp_path / "devices").glob("*.flash"))
    file.write_bytes(b"\x00" * file.stat().st_size)
    fleet = _fleet(tmp_path)
    with capture_logs() as logs:
        await fleet.start()
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["device_refused"]
    assert len(fleet.devices) == 2
    await fleet.stop()

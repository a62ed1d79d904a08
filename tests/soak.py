"""`make soak`: customers pay at random for SOAK_MINUTES (default 60), with a SIGKILL of everything every few
minutes; then the invariants of ARCHITECTURE.md must hold. Loopback only."""

import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.scenarios.up_process import Gone, Json, Up, running

MINUTES = float(os.environ.get("SOAK_MINUTES", "60"))
DEVICES = 100
KILL_EVERY_S = 180.0


async def main() -> int:
    """The exit code of the last clean stop: 0 when every invariant holds."""
    rng = random.Random(int(os.environ.get("SOAK_SEED", "1")))
    ends = time.monotonic() + MINUTES * 60
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder) / "data", devices=DEVICES) as up:
            while time.monotonic() < ends:
                life_ends = min(ends, time.monotonic() + KILL_EVERY_S)
                customers = [
                    asyncio.create_task(customer(up, device, rng, life_ends))
                    for device in up.credentials["devices"]
                ]
                paid = sum(await asyncio.gather(*customers))
                print(f"{paid} payments; SIGKILL and start again", flush=True)
                await up.kill()
                await up.start()
            await asyncio.sleep(30)
            code = await up.terminate()
            print(up.log()[-3000:])
            return code


async def customer(up: Up, device: Json, rng: random.Random, ends: float) -> int:
    """Pays now and then until `ends`; how often it went through."""
    paid = 0
    while time.monotonic() < ends:
        await asyncio.sleep(rng.expovariate(1 / 20))
        try:
            answer = await up.pay(device, rng.randint(1, 7), f"soak{rng.getrandbits(60)}")
        except Gone:
            return paid
        paid += answer == "END Payment successful!"
    return paid


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

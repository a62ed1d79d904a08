"""The back end as an operator runs it: one process a service, in one data directory, and the sandboxes."""

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.ports import next_port

PAYG = Path(sys.executable).with_name("payg")
SERVICES = ("solarium", "momo", "mese", "mega", "moto", "m2m")
SANDBOXES = ("mtn", "africastalking")
START_S = 300.0  # two seconds of work; a machine may have much else to do
STOP_S = 10.0
LISTENS = " listens on "


class Site:
    """The processes. `sandbox_options` by a sandbox's name; `database_url` None: SQLite in the directory."""

    def __init__(
        self,
        data_dir: Path,
        *,
        database_url: str | None = None,
        sandbox_options: Mapping[str, Sequence[str]],
    ):
        self.data_dir = data_dir
        self.database_url = database_url
        self.ports = {name: next_port() for name in (*SERVICES, *SANDBOXES)}
        self.env = {
            **os.environ,
            **{f"PAYG_{name.upper()}_URL": self.url(name) for name in SERVICES},
            **{f"PAYG_{name.upper()}_BASE_URL": self.url(name) for name in SANDBOXES},
            "PAYG_LOG_JSON": "true",
        }
        self.kills: Counter[str] = Counter()
        self._options = sandbox_options
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    def url(self, name: str) -> str:
        """Where a service or a sandbox listens, in every life."""
        return f"http://127.0.0.1:{self.ports[name]}"

    async def start(self) -> None:
        """Everything, side by side; each is waited for."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        await asyncio.gather(*(self.run(name) for name in (*SANDBOXES, *SERVICES)))

    async def run(self, name: str) -> None:
        """Start one, and wait until it listens."""
        command = "serve" if name in SERVICES else "sandbox"
        database = [] if self.database_url is None else ["--database-url", self.database_url]
        with self._log(name).open("ab") as log:
            seen = log.tell()
            process = await asyncio.create_subprocess_exec(
                str(PAYG),
                *(command, name, "--port", str(self.ports[name]), "--data-dir", str(self.data_dir)),
                *database,
                *self._options.get(name, ()),
                stdout=log,
                stderr=log,
                env=self.env,
            )
        self._processes[name] = process
        async with asyncio.timeout(START_S):
            while LISTENS not in self._log(name).read_bytes()[seen:].decode():
                if process.returncode is not None:
                    raise AssertionError(f"{name} ended with {process.returncode}: {self.log(name)[-2000:]}")
                await asyncio.sleep(0.05)

    async def kill(self, name: str) -> None:
        """SIGKILL."""
        process = self._processes[name]
        assert process.returncode is None, f"{name} died by itself: {self.log(name)[-2000:]}"
        process.kill()
        await process.wait()
        self.kills[name] += 1

    async def stop(self) -> dict[str, int]:
        """SIGTERM to everything; the exit codes."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_S):
            return {name: await process.wait() for name, process in self._processes.items()}

    async def end(self) -> None:
        """Whatever still runs is killed."""
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
                await process.wait()

    def log(self, name: str) -> str:
        """What a process printed in all its lives."""
        return self._log(name).read_text()

    def defects(self) -> list[str]:
        """Log lines of what must never happen: exceptions that nobody thought of."""
        words = ("http.defect", "handler_failed", "finish_failed", "lease_failed", "Traceback")
        return [
            f"{name}: {line}"
            for name in (*SERVICES, *SANDBOXES)
            for line in self.log(name).splitlines()
            if any(word in line for word in words)
        ]

    def _log(self, name: str) -> Path:
        return self.data_dir / f"{name}.log"


class Killer:
    """Kills one service at a time at random instants and starts it again; each once before any twice."""

    def __init__(self, site: Site, rng: random.Random, *, every_s: float):
        self._site = site
        self._rng = rng
        self._every_s = every_s
        self.lives: list[tuple[float, str]] = []  # when which was killed, in seconds since the start

    async def run(self, until: asyncio.Event) -> None:
        """Until `until` is set and every service was killed at least once."""
        started = time.monotonic()
        waiting: list[str] = []
        while not (until.is_set() and len(self._site.kills) == len(SERVICES)):
            if not waiting:
                waiting = self._rng.sample(SERVICES, len(SERVICES))
            await asyncio.sleep(self._rng.uniform(0.2, 1.8) * self._every_s)
            name = waiting.pop()
            self.lives.append((time.monotonic() - started, name))
            await self._site.kill(name)
            await asyncio.sleep(self._rng.uniform(0, 1.0))
            await self._site.run(name)

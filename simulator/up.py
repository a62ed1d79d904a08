"""`payg up`: one world in real time, from its start to its end. world.py builds what runs here."""

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvloop

from backend import build
from backend.data_dir import CREDENTIALS, DataDir, write_private
from backend.kit import collector, logs, master
from backend.kit.database import Database, open_database, sqlite_folder
from backend.kit.errors import CannotStart, DatabaseAway
from backend.kit.http import AiohttpClient
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.kit.tls import Tls, trusts_itself
from backend.kit.webhooks import is_public
from backend.m2m.ports import SystemResolver
from backend.process import exit_code
from backend.settings import ListenSettings, read_settings
from simulator.alone import user_of
from simulator.banner import banner
from simulator.faults import Faults
from simulator.invariants import Verdict
from simulator.ports import Ports, Wanted, claim
from simulator.sandboxes import SANDBOXES
from simulator.settings import UpSettings
from simulator.world import World

MQTT_PORT, MQTTS_PORT = 1883, 8883  # registered with IANA


@dataclass(frozen=True, slots=True)
class UpOptions:
    """The options of the command line; port 0 means any free one."""

    http_port: int
    mqtt_port: int | None  # None: the usual one
    ws_port: int
    data_dir: Path
    database_url: str | None
    devices: int
    seed: int
    duration_s: float | None


def run(options: UpOptions) -> int:
    """Run until SIGTERM, Ctrl-C or the duration's end. 0; 1: an invariant is broken; 2: can't start."""

    def command() -> int:
        settings = read_settings(UpSettings)
        logs.configure(as_json=settings.log_json)
        tls = read_settings(ListenSettings).tls(settings.host)
        trusts_itself(tls, settings.host)
        users = ("up", *build.SERVICES, *(user_of(name) for name in SANDBOXES))
        files = None if options.database_url is None else sqlite_folder(options.database_url)
        data_dir = DataDir(options.data_dir, users, SystemEntropy(), database=files)
        (data_dir.path / CREDENTIALS).unlink(missing_ok=True)
        usual = MQTT_PORT if tls.server is None else MQTTS_PORT
        mqtt_port = usual if options.mqtt_port is None else options.mqtt_port
        wanted = Wanted(options.http_port, mqtt_port, options.ws_port)
        with claim(data_dir.path, settings.host, wanted) as ports:
            return uvloop.run(_run(options, settings, data_dir, ports, tls=tls))

    return exit_code(command)


async def _run(options: UpOptions, settings: UpSettings, data_dir: DataDir, ports: Ports, *, tls: Tls) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    url = options.database_url or f"sqlite:///{options.data_dir}"
    databases = {service: open_database(url, service) for service in build.SERVICES}
    try:
        root_keys = await _root_keys(settings, data_dir, databases)
    except (CannotStart, DatabaseAway):
        for database in databases.values():
            await database.close()
        raise
    http = AiohttpClient(tls=tls.client)
    public = AiohttpClient(tls=tls.client, may_connect=is_public)
    world = World(
        data_dir=data_dir,
        open_database=lambda name: databases.get(name) or open_database(url, name),
        root_keys=root_keys,
        http=http,
        public_http=public,
        resolver=SystemResolver(),
        devices=options.devices,
        seed=options.seed,
        settings=settings,
        ports=ports,
        tls=tls,
        faults=Faults(die_at=settings.die_at, steps_file=settings.steps_file),
        clock=SystemClock(),
        entropy=SystemEntropy(),
    )
    try:
        await world.start()
        collector.settle()
        write_private(data_dir.path / CREDENTIALS, world.credentials())
        print(banner(world.credentials(), data_dir.path), flush=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(options.duration_s):
                await stop.wait()
        verdicts = await world.check()
    finally:
        await world.stop()
        await http.close()
        await public.close()
    print(_report(verdicts), flush=True)
    broken = [verdict for verdict in verdicts if not verdict.holds]
    if broken:
        structlog.get_logger().error("invariants.broken", numbers=[verdict.number for verdict in broken])
    return 1 if broken else 0


async def _root_keys(
    settings: UpSettings, data_dir: DataDir, databases: Mapping[str, Database]
) -> dict[str, bytes]:
    given = settings.master_key
    text = data_dir.secret("master_key") if given is None else given.get_secret_value()
    key, entropy = master.master_key_of(text), SystemEntropy()
    return {name: await master.root_key(database, name, key, entropy) for name, database in databases.items()}


def _report(verdicts: list[Verdict]) -> str:
    lines = [f"  {v.number}. {'holds ' if v.holds else 'BROKEN'}  {v.name}: {v.counted}" for v in verdicts]
    return "\n".join(["", "Invariants", *lines])

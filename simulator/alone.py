"""`payg sandbox NAME`: one provider's sandbox in a process of its own, at the root path.

It takes the credentials that `payg serve` uses from the same data directory, and calls back to its services
(PAYG_MOMO_URL, PAYG_MEGA_URL) unless `--hook` names another address. sandboxes.py says what it is built of.
"""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from backend.data_dir import DataDir, write_private
from backend.kit import collector, listener
from backend.kit.database import open_database, sqlite_folder
from backend.kit.errors import CannotStart
from backend.kit.http import AiohttpClient
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.kit.tls import Tls
from backend.process import configured, exit_code
from backend.settings import ServeSettings
from simulator.providers import is_loopback
from simulator.providers.mishaps import Mishaps
from simulator.sandboxes import HOOKS, Bench, Sandbox, build_sandbox


class OptionError(CannotStart):
    """An option can't be; the text says what to do."""


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """The options of the command line; port 0 means any free one, `hooks` are NAME=URL."""

    name: str
    port: int
    data_dir: Path
    database_url: str | None
    approve_after_s: float
    hooks: Sequence[str]
    mishaps: Mishaps


def user_of(name: str) -> str:
    """What a sandbox's database, and its lock on the data directory, are called."""
    return f"sandbox_{name}"


def run(options: SandboxOptions) -> int:
    """Serve until SIGTERM or Ctrl-C. 0; 2: it can't start, and why is printed."""

    def command() -> int:
        settings = configured()
        tls = settings.tls(settings.host)
        hooks = _hooks(options.name, options.hooks)
        files = None if options.database_url is None else sqlite_folder(options.database_url)
        folder = DataDir(options.data_dir, (user_of(options.name),), SystemEntropy(), database=files)
        return uvloop.run(_serve(options, hooks, folder, settings, tls=tls))

    return exit_code(command)


async def _serve(
    options: SandboxOptions,
    hooks: Mapping[str, str],
    folder: DataDir,
    settings: ServeSettings,
    *,
    tls: Tls,
) -> int:
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    http = AiohttpClient(tls=tls.client)
    database = open_database(options.database_url or f"sqlite:///{folder.path}", user_of(options.name))
    bench = Bench(
        clock=SystemClock(),
        entropy=SystemEntropy(),
        http=http,
        database=lambda _: database,
        secret=lambda name: settings.secret_of(name) or folder.secret(name),
        rsa_key=lambda name: settings.secret_of(name) or folder.rsa_key(name),
        url_of=settings.url_of,
        host=urlsplit(settings.url_of("momo")).hostname or settings.host,
        approve_after_s=options.approve_after_s,
        biller=settings.biller(),
        mishaps=options.mishaps,
        hooks=hooks,
    )
    sandbox = build_sandbox(options.name, bench)
    runner = listener.runner_of(sandbox.app)
    try:
        await runner.setup()
        await listener.listen(runner, listener.bound(settings.host, options.port), tls.server)
        await sandbox.service.start()  # what it owes is told once: when it listens
        collector.settle()
        host, port = runner.addresses[0][:2]
        _announce(options.name, f"{tls.http}://{host}:{port}", folder, sandbox)
        await stop.wait()
    finally:
        await runner.cleanup()
        await sandbox.service.stop()
        await http.close()
        await database.close()
    return 0


def _announce(name: str, url: str, folder: DataDir, sandbox: Sandbox) -> None:
    file = folder.path / f"sandbox-{name}.json"
    write_private(file, {"base_url": url, **sandbox.credentials})
    print(f"{name} listens on {url}; GET / says what it does with which numbers")
    print(f"its credentials: {file}")
    names = ["halopesa", "halopesa_auth"] if name == "halopesa" else [name]
    for each in names:
        print(f"for payg serve: PAYG_{each.upper()}_BASE_URL={url}", flush=True)


def _hooks(name: str, given: Sequence[str]) -> dict[str, str]:
    """OptionError: no such hook here, or an address that is not on this machine (resolutions 26)."""
    hooks: dict[str, str] = {}
    for text in given:
        hook, _, url = text.partition("=")
        if hook not in HOOKS[name]:
            known = ", ".join(HOOKS[name]) or "none: requests bring their callback's address"
            raise OptionError(f"--hook: {name} has no {hook!r}; it has {known}")
        if urlsplit(url).scheme not in ("http", "https") or not is_loopback(url):
            raise OptionError(
                f"--hook {hook}: name an http address of this machine, such as http://127.0.0.1"
            )
        hooks[hook] = url
    return hooks

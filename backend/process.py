"""How our processes begin (settings, logs), and how they say that they can't: a line and an exit code."""

import asyncio
import sys
from collections.abc import Callable, Coroutine

from backend.kit import logs
from backend.kit.errors import CannotStart, DatabaseAway
from backend.settings import ServeSettings, read_settings


def configured() -> ServeSettings:
    """The settings, and logs as they say."""
    settings = read_settings(ServeSettings)
    logs.configure(as_json=settings.log_json)
    return settings


def exit_code(command: Callable[[], int]) -> int:
    """The exit code of a command; 2, and why in one line on standard error, if it can't be done."""
    try:
        return command()
    except CannotStart as error:
        says = str(error)
    except DatabaseAway as error:
        says = error.says
    print(f"payg: {says}", file=sys.stderr)
    return 2


def exit_code_of(work: Callable[[], Coroutine[object, object, None]]) -> int:
    """The same of a command that succeeds when its coroutine ends."""

    def command() -> int:
        asyncio.run(work())
        return 0

    return exit_code(command)

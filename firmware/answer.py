"""The answer to a keypad entry as a JSON object, for shell.py and the `payg device` commands."""

from firmware.controller import Controller, Outcome
from protocols.magicbox import wire


def answer(controller: Controller, outcome: Outcome) -> "dict[str, object]":
    """{"result","command","payload","credit_s","count","relay"}, when locked also "retry_in_s", and "closed":
    true when only a sealed command opens the keypad.

    `command` and `payload` are what the token said, None when it said nothing readable; the holder's PIN is
    accepted and says nothing.
    """
    said = outcome.command != wire.TOKEN_COMMAND_NONE
    members: dict[str, object] = {
        "result": wire.RESULT_NAMES[outcome.result],
        "command": wire.TOKEN_COMMAND_NAMES[outcome.command] if said else None,
        "payload": outcome.payload if said else None,
        "credit_s": controller.credit_s,
        "count": controller.token_count,
        "relay": controller.relay,
    }
    if outcome.result == wire.RESULT_LOCKED:
        members["retry_in_s"] = outcome.retry_in_s
        if controller.closed:
            members["closed"] = True
    return members

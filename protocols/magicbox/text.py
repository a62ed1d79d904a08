"""Commands as text lines (resolutions 14): `TOKEN: <digits>`, `SYNC`, `SYNCIV`, `RESET`, `USERACCT: <op>`,
`TIME: <unix seconds>`; and ours, `UPDATE: <file>` and `CONFIG: <key> <value>`.

The M2M service shows a command in this form and answers text check-ins with it; frames carry the same as
records.
"""

VERBS = ("TOKEN", "TIME", "SYNC", "SYNCIV", "RESET", "USERACCT", "UPDATE", "CONFIG")

_WITH_DIGITS = ("TOKEN", "TIME")
_WITH_TEXT = ("USERACCT", "UPDATE", "CONFIG")


class TextError(ValueError):
    """No text command; the text says what is wrong."""


def render(verb: str, argument: str = "") -> str:
    """The line of a command; TextError for an unknown verb or an argument that the verb cannot carry."""
    _check(verb, argument)
    return verb + ": " + argument if argument else verb


def parse(line: str) -> tuple[str, str]:
    """(verb, argument), the argument empty for SYNC, SYNCIV and RESET; TextError for any other line."""
    verb, colon, argument = line.partition(": ")
    if colon and not argument:
        raise TextError("a command line does not end after its colon")
    _check(verb, argument)
    return verb, argument


def _check(verb: str, argument: str) -> None:
    if verb not in VERBS:
        raise TextError("unknown command: use one of " + ", ".join(VERBS))
    if verb in _WITH_DIGITS:
        if not argument or argument.strip("0123456789"):
            raise TextError(verb + " takes digits")
    elif verb in _WITH_TEXT:
        if not argument or argument != argument.strip() or "\n" in argument or "\r" in argument:
            raise TextError(verb + " takes one line of text")
    elif argument:
        raise TextError(verb + " takes no argument")

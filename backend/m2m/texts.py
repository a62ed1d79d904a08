"""What a command says is a secret until it is used: a token's digits, a key for a reset. Sealed under its id.

store.py and lifecycle_store.py seal what they write and open what they read; nobody else sees a sealed text.
"""

from dataclasses import replace

from backend.kit.vault import Vault
from backend.m2m.rows import CommandRow, FirstCommand, NewCommand


class CommandTexts:
    """Seals and opens `argument` and `text` of commands."""

    def __init__(self, vault: Vault):
        self._vault = vault

    def sealed(self, command_id: int, command: NewCommand) -> NewCommand:
        """As it is stored."""
        seal = self._vault.seal_text
        return replace(
            command,
            argument=seal(command.argument, _argument(command_id)),
            text=seal(command.text, _text(command_id)),
        )

    def opened(self, command: CommandRow) -> CommandRow:
        """As it was created. InternalError: the row was changed."""
        open_text = self._vault.open_text
        return replace(
            command,
            argument=open_text(command.argument, _argument(command.id)),
            text=open_text(command.text, _text(command.id)),
        )

    def opened_first(self, command: FirstCommand) -> FirstCommand:
        """As it was created. InternalError: the row was changed."""
        return replace(command, text=self._vault.open_text(command.text, _text(command.id)))


def _argument(command_id: int) -> str:
    return f"command {command_id} argument"


def _text(command_id: int) -> str:
    return f"command {command_id} text"

"""How a board gets its identity: `commit`, run on the board once by `payg board provision`.

The tool puts the identity into /identity.new; `commit` checks it, writes the first state of the store, and
then renames the file to /identity.json. A board with that file is provisioned: from then on a blank store
means that somebody wiped it (controller.py: tampered). So a power cut leaves a board that is not yet
provisioned, where the tool does the same again, or one that is, with its store.
"""

import json

from firmware.config import Config, ConfigError
from firmware.setup import config_from
from firmware.state import State
from firmware.store import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal import Store
    from firmware.hal.files import Files

IDENTITY = "/identity.json"
NEW_IDENTITY = "/identity.new"
MAX_IDENTITY = 2048  # bytes; seven short values


class ProvisionError(Exception):
    """The board did not get the identity; the text says why, without any of it."""


def commit(files: "Files", store: "Store") -> None:
    """Make /identity.new the identity of this board; once more for the same one changes nothing.

    ProvisionError when there is none, it makes no device, the board has another, or the store took no state.
    """
    new = _read(files, NEW_IDENTITY)
    known = _read(files, IDENTITY)
    if new is None:
        raise ProvisionError("there is no %s" % NEW_IDENTITY)
    if known is not None and known != new:
        raise ProvisionError("the board is provisioned already")
    try:
        config = config_from(_parse(new))
        if known is None:
            _begin(config, store)
    except (ConfigError, StoreError) as error:
        raise ProvisionError(str(error)) from None
    if known is None:
        files.rename(NEW_IDENTITY, IDENTITY)
    else:
        files.remove(NEW_IDENTITY)


def _parse(data: bytes) -> "dict[str, object]":
    """The JSON of an identity; ProvisionError when it is none."""
    try:
        return json.loads(data.decode())
    except ValueError:  # UnicodeError too
        raise ProvisionError("the identity is no JSON") from None


def _begin(config: Config, store: "Store") -> None:
    """The first state, where there is none of this secret: what it has used up stays used up."""
    first = State(config, 0)
    stored = store.load()
    if stored is not None:
        try:
            State(config, 0).unpack(stored)
            return
        except StoreError:  # of the board's life before
            pass
    store.save(first.pack())


def _read(files: "Files", path: str) -> bytes | None:
    if files.size(path) < 0:
        return None
    with files.open(path, "rb") as file:
        data = file.read(MAX_IDENTITY + 1)
    if len(data) > MAX_IDENTITY:
        raise ProvisionError("%s is too long" % path)
    return data

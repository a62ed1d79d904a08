"""Looks up what `payg up` wrote into credentials.json, for `payg credentials`."""

import json
from pathlib import Path
from typing import cast

from backend.data_dir import CREDENTIALS


class CredentialsError(Exception):
    """It is not there; the text says what to do."""


def look_up(data_dir: Path, name: str) -> str:
    """The value at `name`, its members joined by dots (`m2m.api_key`, `devices.0.serial`).

    A text as it is, anything else as JSON. CredentialsError: no such file, or no such member.
    """
    file = data_dir / CREDENTIALS
    try:
        found: object = json.loads(file.read_text())
    except FileNotFoundError:
        raise CredentialsError(f"{file} is missing: start `payg up` first, or name its --data-dir") from None
    except (ValueError, OSError) as error:
        raise CredentialsError(f"{file} can't be read; start `payg up` again") from error
    path = ""
    for member in name.split("."):
        members = _members(found)
        if member not in members:
            place = path or str(file)
            raise CredentialsError(f"{place} has no {member!r}; it has {', '.join(members) or 'no members'}")
        path, found = f"{path}.{member}".lstrip("."), members[member]
    return found if isinstance(found, str) else json.dumps(found, indent=2)


def _members(value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value)
    if isinstance(value, list):
        return {str(index): each for index, each in enumerate(cast("list[object]", value))}
    return {}

"""A data directory: who may use it now, and the secrets made at its first start.

Development deployments (`payg up`, `payg serve`) keep everything here. Secrets are random, never in the code,
and readable by their owner alone.
"""

import fcntl
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import structlog

from backend.kit import rsa
from backend.kit.decoding import UNREADABLE
from backend.kit.errors import CannotStart
from backend.kit.runtime import Entropy, token_hex

SECRETS = "secrets.json"
CREDENTIALS = "credentials.json"  # of `payg up`: addresses, keys and devices, for people and commands


class DataDirError(CannotStart):
    """The folder can't be used; the text says what to do."""


class DataDir:
    """Opens (and makes) `path`, and holds its locks until the process ends.

    `users` are what runs here, one lock each: two processes with the same service on one folder would both
    believe to be the only writer of its SQLite file. `database` is where those files are, if not here.
    """

    def __init__(self, path: Path, users: tuple[str, ...], entropy: Entropy, *, database: Path | None = None):
        self.path = path
        self._entropy = entropy
        for folder in dict.fromkeys((path.resolve(), (database or path).resolve())):
            _make(folder)
            for user in users:
                _hold(folder, user)
        self._read: tuple[int, int] | None = None  # inode and time of the file that was read
        with self._locked("secrets"):
            self._secrets = self._load()

    @property
    def secrets_file(self) -> Path:
        """Where the secrets are kept."""
        return self.path / SECRETS

    def secret(self, name: str, size: int = 16) -> str:
        """The secret of that name in hex, made and stored when it is asked for first."""
        return self._made(name, lambda: token_hex(self._entropy, size))

    def current(self, name: str) -> str:
        """The secret of that name as it is now: `payg keys` may have replaced it meanwhile."""
        try:
            found = self.secrets_file.stat()
            if (found.st_ino, found.st_mtime_ns) != self._read:
                self._secrets = self._load()
        except FileNotFoundError:
            pass  # no secret was asked for yet
        except (OSError, DataDirError):  # somebody is at it; what was read last is good until then
            structlog.get_logger().warning("secrets.not_read", file=str(self.secrets_file))
        return self.secret(name)

    def has(self, name: str) -> bool:
        """Whether a secret of that name was made."""
        return name in self._secrets

    def replace(self, name: str, value: str) -> None:
        """Put another secret in a name's place; running services take it up (`current`)."""
        with self._locked("secrets"):
            self._secrets = {**self._load(), name: value}
            write_private(self.secrets_file, self._secrets)

    def alone(self, user: str) -> AbstractContextManager[object]:
        """Waits until no other process does the same work on the folder; for as long as it is entered."""
        return self._locked(user)

    def rsa_key(self, name: str) -> str:
        """The private RSA key of that name in PEM form, made and stored when it is asked for first."""
        return self._made(name, rsa.new_key)

    def _made(self, name: str, make: Callable[[], str]) -> str:
        if name not in self._secrets:
            with self._locked("secrets"):
                self._secrets = self._load()
                if name not in self._secrets:
                    self._secrets[name] = make()
                    write_private(self.secrets_file, self._secrets)
        return self._secrets[name]

    def _load(self) -> dict[str, str]:
        file = self.secrets_file
        if not file.exists():
            return {}
        try:
            with file.open("rb") as opened:
                found = os.fstat(opened.fileno())
                content = msgspec.json.decode(opened.read(), type=dict[str, str])
        except UNREADABLE as error:
            raise DataDirError(f"{file} is damaged; restore it, or start with another --data-dir") from error
        except OSError as error:
            raise _not_ours(file, error) from error
        self._read = (found.st_ino, found.st_mtime_ns)
        return content

    def _locked(self, user: str) -> "_Lock":
        return _Lock(self.path / f".{user}.lock", wait=True)


class _Lock:
    """An advisory lock on a file; the kernel frees it when the process dies, however it dies."""

    def __init__(self, path: Path, *, wait: bool):
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _not_ours(path, error) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> "_Lock":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataDirError(
            f"{folder} can't be made ({error.strerror}); name another --data-dir or --database-url"
        ) from error


def _hold(folder: Path, user: str) -> None:
    """Take the lock; the process has it until it ends."""
    try:
        _Lock(folder / f".{user}.lock", wait=False)
    except BlockingIOError as error:
        raise DataDirError(
            f"{folder} is in use: another payg process runs {user} there; stop it, or choose another "
            "--data-dir or --database-url"
        ) from error


def _not_ours(file: Path, error: OSError) -> DataDirError:
    return DataDirError(
        f"{file} can't be used ({error.strerror}); let this user read and write it and its folder, with room "
        "on the disk, or name another --data-dir"
    )


def write_private(path: Path, content: object) -> None:
    """Write JSON that only its owner can read, renamed into place so that nobody sees half of it.

    It is there for good when this returns: a database may give up the old master key next. DataDirError: it
    can't be written; what was there stays.
    """
    try:
        _write_private(path, content)
    except OSError as error:
        raise _not_ours(path, error) from error


def _write_private(path: Path, content: object) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

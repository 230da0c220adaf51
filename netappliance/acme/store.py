"""The store of ``[acme]``: accounts, certificates, and what is known of attempts; 0700, its files 0600 and whole."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

from netappliance.acme.pem import Held, read_pem
from netappliance.errors import StartError

#: bytes of the largest file that is read
MAX_FILE = 1 << 20
STATE = "state.json"


class StoreError(Exception):
    """A file of the store cannot be used; the message says which, and why."""


class Store:
    """
    Files of one directory.

    NAME.pem has the chain and the key of a certificate, ``account-….json`` the account at one authority, ``state.json``
    what must outlive a restart: failures and when the next attempt may be, so that restarts hurt no rate limit.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def check(self) -> None:
        """
        See that nothing is in its way; what is not there yet is made later, by the user that the process runs as then.

        :raises StartError: something is.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from None
        mode = stat.S_IMODE(status.st_mode)
        if not stat.S_ISDIR(status.st_mode):
            raise self._unusable(os.strerror(errno.ENOTDIR))
        if mode & 0o077:
            raise self._unusable(f"it is open to others (mode {mode:04o}; expected 0700)")

    def prepare(self) -> None:
        """
        Make the directory, or see that it can be used.

        :raises StoreError: it cannot, and why.
        """
        try:
            self.check()
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.path.stat()
        except StartError as error:
            raise StoreError(str(error)) from None
        except OSError as error:
            raise StoreError(str(self._unusable(error.strerror or str(error)))) from None
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            why = f"it belongs to uid {status.st_uid}, we are {os.geteuid()}"
            raise StoreError(str(self._unusable(f"{os.strerror(errno.EACCES)} ({why})")))

    def _unusable(self, why: str) -> StartError:
        return StartError(f"[acme] store: cannot use {self.path}: {why}")

    # -- certificates -------------------------------------------------------------------------------------------------

    def certificate_path(self, name: str) -> Path:
        """Return where the certificate of a name is."""
        return self.path / f"{name}.pem"

    def read_certificate(self, name: str) -> Held | None:
        """
        Return what is there; None = no file.

        :raises ValueError: what is there cannot be used, and why.
        """
        try:
            return read_pem(self._read(self.certificate_path(name)))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(error.strerror or str(error)) from None

    def write_certificate(self, name: str, data: bytes) -> None:
        """
        Replace a certificate in one step.

        :raises OSError: the old one is still there.
        """
        self._write(self.certificate_path(name), data)

    # -- accounts -----------------------------------------------------------------------------------------------------

    def _account_path(self, directory: str) -> Path:
        return self.path / f"account-{hashlib.sha256(directory.encode()).hexdigest()[:16]}.json"

    def read_account(self, directory: str) -> dict[str, Any] | None:
        """
        Return the account at an authority: ``key`` (a JWK) and ``uri``; None = there is none.

        :raises StoreError: the file is there and is none. :raises OSError: it cannot be read.
        """
        path = self._account_path(directory)
        try:
            account = json.loads(self._read(path))
        except FileNotFoundError:
            return None
        except ValueError:
            account = None
        if not isinstance(account, dict) or not {"key", "uri"} <= account.keys():
            raise StoreError(f"{path} is no account; move it away to have a new one made")
        return account

    def write_account(self, directory: str, account: dict[str, Any]) -> None:
        """
        Keep an account.

        :raises OSError: it could not be written.
        """
        self._write(self._account_path(directory), json.dumps({"directory": directory, **account}, indent=1).encode())

    # -- attempts -----------------------------------------------------------------------------------------------------

    def read_state(self) -> dict[str, Any]:
        """Return what was kept; empty when there is nothing that can be used."""
        try:
            state = json.loads(self._read(self.path / STATE))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def write_state(self, state: dict[str, Any]) -> None:
        """
        Keep it.

        :raises OSError: it could not be written.
        """
        self._write(self.path / STATE, json.dumps(state, indent=1).encode())

    # -- files --------------------------------------------------------------------------------------------------------

    def _read(self, path: Path) -> bytes:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise ValueError(f"more than {MAX_FILE} bytes")
        return data

    def _write(self, path: Path, data: bytes) -> None:
        aside = path.with_name(f"{path.name}.new")
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.rename(path)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
        # the name too must survive a power cut
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

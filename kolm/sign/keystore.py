"""The folder of private keys: ``NAME.pem`` (mode 0600) and its public half ``NAME.pub.pem``.

A key file is created whole or not at all and never overwritten; one that others may read is
refused, as its secret may be known already, and so is a folder in which others may put theirs.
A kill at any moment leaves both halves of the old key, or of the new one.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from kolm import paths, system
from kolm.errors import Denied, Refused, Unreadable, Usage
from kolm.sign import own_files
from kolm.sign.keys import MAX_PEM_BYTES, PublicKey
from kolm.sign.keys import read_public as parse_public
from kolm.sign.private_keys import PrivateKey, is_encrypted, read_private

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}\Z", re.ASCII)
_SECRET, _PUBLIC, _STAGED = ".pem", ".pub.pem", ".new"

# Asks for the passphrase of the named key; None when there is nobody to ask.
AskPassphrase = Callable[[str], str | None]


class KeyStore:
    """The private keys of one person or machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """The names of the keys, sorted."""
        if not self.folder.is_dir():
            return []
        found = (p.name.removesuffix(_SECRET) for p in self.folder.glob(f"*{_SECRET}"))
        return sorted(name for name in found if _NAME.match(name))

    def path(self, name: str) -> Path:
        """The private key's file.

        Raises:
            Usage: not a key name.
        """
        if not _NAME.match(name):
            raise Usage(
                "E_KEY_NAME",
                "not a key name",
                expected="up to 80 of a-z, 0-9, - and _, beginning with a letter or digit",
                found=repr(name)[:80],
            )
        return self.folder / f"{name}{_SECRET}"

    def demand_free(self, name: str) -> None:
        """Demand that no key has this name.

        Raises:
            Usage: one has.
        """
        if name in self.names():
            raise _taken(self.path(name))

    def create(self, name: str, key: PrivateKey, passphrase: str | None) -> Path:
        """Write a new key.

        Raises:
            Usage: a key of this name exists.
        """
        path = self.path(name)
        for folder in (self.folder.parent, self.folder):  # `parents` would leave it to the umask
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._staged(name, key, passphrase) as staged:
            self.demand_free(name)
            self._write_public(name, key.public)
            try:
                os.link(staged, path)  # unlike a rename, a link never replaces what is there
            except FileExistsError:
                raise _taken(path) from None
            paths.sync_folder(self.folder)
        return path

    @contextlib.contextmanager
    def replacing(self, name: str, key: PrivateKey, passphrase: str | None) -> Iterator[Path]:
        """Put a new key in the place of an old one, whose private half is gone on leaving.

        Until then the old one signs; an error inside keeps it. The public half is replaced first,
        and from then on `load` finds the new private one, wherever a kill comes.

        Raises:
            Unreadable: there is no such key.
        """
        path = self.path(name)
        if not path.exists():
            raise self._no_such_key(name)
        with self._staged(name, key, passphrase):
            yield path
            self._write_public(name, key.public)
            self._settle(name)

    @contextlib.contextmanager
    def _staged(self, name: str, key: PrivateKey, passphrase: str | None) -> Iterator[Path]:
        """A private half under a name that nothing lists, written whole; one writer at a time."""
        self._demand_own_folders()
        with paths.locked(self.folder.with_name(f".{self.folder.name}.lock")):
            if self.path(name).exists():
                self._settle(name)
            for pattern in (f".{name}.*{_STAGED}", f"..{name}.*{_STAGED}.*"):  # what a kill left
                for leftover in self.folder.glob(pattern):
                    leftover.unlink(missing_ok=True)
            staged = self._staging(name, key.public)
            paths.atomic_write(staged, key.to_pem(passphrase), mode=0o600)
            try:
                yield staged
            finally:
                staged.unlink(missing_ok=True)

    def _staging(self, name: str, key: PublicKey) -> Path:
        return self.folder / f".{name}.{key.keyid[:16]}{_STAGED}"

    def _settle(self, name: str) -> None:
        """Put the private half in place that belongs to the public one, if it is still staged."""
        try:
            staged = self._staging(name, self._stored_public(name))
        except FileNotFoundError:
            return  # a private half alone: nothing was replaced
        with system.naming(self.folder), contextlib.suppress(FileNotFoundError):
            staged.replace(self.path(name))
            paths.sync_folder(self.folder)

    def load(self, name: str, ask: AskPassphrase) -> PrivateKey:
        """Read a private key.

        Raises:
            Unreadable: there is no such key.
            Denied: its file may be read by others, or the passphrase is missing or wrong.
        """
        path = self.path(name)
        self._demand_own_folders()
        self._settle(name)
        data = _read_secret(path)
        passphrase = ask(name) if is_encrypted(data) else None
        return read_private(data, passphrase=passphrase, where=str(path))

    def choose(self, name: str | None) -> str:
        """The key to sign with: the named one, else the only one, else ``default``.

        Raises:
            Unreadable: there is none.
            Usage: there are several and none is called ``default``.
        """
        names = self.names()
        if name is not None:
            if name not in names:
                self.path(name)
                raise self._no_such_key(name)
            return name
        if not names:
            raise self._no_such_key("default")
        if "default" in names:
            return "default"
        if len(names) > 1:
            raise Usage(
                "E_KEY_AMBIGUOUS",
                "there are several keys",
                expected="--key with one of them",
                found=", ".join(names),
            )
        return names[0]

    def public(self, name: str) -> PublicKey:
        """The public half, read without the passphrase; its file may have been left behind where
        a key that is not encrypted was copied.

        Raises:
            Unreadable: there is no such key.
            Denied: its public half is not there, and the private one is encrypted.
        """
        try:
            return self._stored_public(name)
        except FileNotFoundError:
            return self.load(name, lambda _: None).public

    def _stored_public(self, name: str) -> PublicKey:
        path = self.path(name).with_name(f"{name}{_PUBLIC}")
        return parse_public(own_files.read(path, max_bytes=MAX_PEM_BYTES), where=str(path))

    def _no_such_key(self, name: str) -> Unreadable:
        names = self.names()
        return Unreadable(
            "E_KEY_MISSING",
            "there is no such private key" if names else "there is no private key yet",
            where=str(self.folder),
            expected=", ".join(names) or f"a key {name}",
            found=name if names else "none",
            hint="kolm keys list" if names else "kolm keys new",
        )

    def _demand_own_folders(self) -> None:
        """Nobody else can put a key of theirs in the place of one of these."""
        own_files.demand_folder(self.folder)
        own_files.demand_folder(self.folder.parent)

    def _write_public(self, name: str, key: PublicKey) -> None:
        path = self.path(name).with_name(f"{name}{_PUBLIC}")
        paths.atomic_write(path, key.pem.encode("ascii"), mode=0o644)


def _taken(path: Path) -> Usage:
    return Usage(
        "E_KEY_EXISTS",
        "a key of this name exists and is never overwritten",
        where=str(path),
        hint="--name makes another; kolm keys new --if-missing keeps it, kolm keys rotate replaces "
        "it",
    )


def _read_secret(path: Path) -> bytes:
    """The bytes of a private key's file, checked on the very file that is read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Unreadable(
            "E_KEY_MISSING", "there is no such private key", where=str(path), hint="kolm keys list"
        ) from None
    except OSError as error:
        raise system.error_of(error, where=path) from None
    try:
        _demand_private(os.fstat(handle), path)
        return os.read(handle, MAX_PEM_BYTES)
    finally:
        os.close(handle)


def _demand_private(status: os.stat_result, path: Path) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_PEM_BYTES:
        raise Refused("E_KEY_FORM", "not a key file", where=str(path))
    if mode & 0o077:
        raise Denied(
            "E_KEY_MODE",
            "other users can read or write this private key",
            where=str(path),
            expected="mode 0600",
            found=f"mode {mode:04o}",
            hint=f"chmod 600 {path}; if others use this machine, kolm keys rotate",
        )

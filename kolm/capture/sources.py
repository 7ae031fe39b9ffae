"""Capture: from the way a row names an image to where its bytes are.

A string is a data URI, base64 or a path. Which one never depends on what lies on the disk: base64
is recognised by the first bytes of the image formats that are taken.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import os
import re
import stat
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from kolm import system
from kolm.capture import file_limits, limits
from kolm.capture.drafts import FileImage, ImageSource, InlineImage
from kolm.errors import Refused, Unreadable

# The first bytes of PNG, JPEG and WebP (and of GIF, to say that it is not taken) in base64.
_BASE64_STARTS = ("iVBORw0KGgo", "/9j/", "UklGR", "R0lGOD")
_DATA_URI = re.compile(r"data:([^;,]*)((?:;[^;,]*)*?)(;base64)?,(.*)\Z", re.DOTALL | re.IGNORECASE)
_WEB = re.compile(r"(?:https?|ftp|s3|gs)://", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f]")
# What one row's name can cause; anything else concerns more than the row.
_OF_THE_NAME = frozenset(
    (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)
)
_SPELT_OTHERWISE = (
    "the image's name is not spelled as its file's (percent signs, backslashes or the way accents "
    "are stored); the one file that it can mean was taken"
)


class Folder:
    """The folder that the image paths of an import may point into.

    Args:
        root: paths are relative to it and must not leave it, symbolic links resolved; None for
            callers who may read any path (Python, the command line).
    """

    def __init__(self, root: Path | None) -> None:
        self._root = None if root is None else Path(os.path.realpath(root))
        self._found: dict[str, FileImage] = {}  # many rows name one file, and resolving is slow
        self._listed: dict[Path, dict[str, list[str]]] = {}

    def image(self, name: str, *, where: str) -> FileImage:
        """The file that `name` points to; if there is none, the one that it spells otherwise.

        Raises:
            Refused: it leaves the folder.
        """
        if not name or _CONTROL.search(name) or not _has_bytes(name):
            raise Refused("E_IMAGE_PATH", "not an image path", where=where, found=repr(name)[:80])
        if self._root is None:
            return FileImage(path=Path(name))
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._find(self._root, name, where)
        return found

    def _find(self, root: Path, name: str, where: str) -> FileImage:
        path, told = Path(os.path.realpath(root / name)), ""
        if not _is_there(path):
            spelt = {name, unquote(name), name.replace("\\", "/")}
            others = {other for text in spelt for other in self._others(root, text)}
            if len(others) == 1:
                [path], told = others, _SPELT_OTHERWISE
        if not path.is_relative_to(root):
            link = Path(os.path.normpath(root / name)).is_relative_to(root)
            leads = f", which leads to {str(path)[:200]}" if link else ""
            if link and not _is_there(path):
                leads += ", where nothing is"
            raise Refused(
                "E_IMAGE_PATH",
                "the image path leaves the folder of the import"
                + (" by a symbolic link" if link else ""),
                where=where,
                expected=f"a path below {root}",
                found=name[:200] + leads,
                hint="name the folder that holds the images with --images",
            )
        return FileImage(path=path, told=told)

    def _others(self, root: Path, name: str) -> set[Path]:
        """The files whose path is that name, however their accents are stored (NFC or NFD)."""
        if _CONTROL.search(name) or not _has_bytes(name) or ".." in Path(name).parts:
            return set()
        found = {root}
        for part in Path(name).parts:
            found = {near / like for near in found for like in self._alike(near, part)}
        return {Path(os.path.realpath(path)) for path in found if _is_there(path)}

    def _alike(self, folder: Path, name: str) -> list[str]:
        if name == "/" or _is_there(folder / name):
            return [name]
        listed = self._listed.get(folder)
        if listed is None:
            listed = self._listed[folder] = {}
            with contextlib.suppress(OSError):  # no folder that can be read: nothing is in it
                for entry in folder.iterdir():
                    alike = listed.setdefault(unicodedata.normalize("NFC", entry.name), [])
                    alike.append(entry.name)
        return listed.get(unicodedata.normalize("NFC", name), [])


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True


def _has_bytes(name: str) -> bool:
    """Whether the file system can be asked for the name: a lone surrogate has no bytes."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def image_source(value: str, folder: Folder, *, where: str) -> ImageSource:
    """Where the bytes of an image are that a row names by a string.

    Raises:
        Refused: a broken data URI or base64, or a path that leaves the folder.
    """
    if value[:5].lower() == "data:":
        return InlineImage(data=_data_uri(value, where))
    if value.startswith(_BASE64_STARTS) and (data := _base64(value)) is not None:
        return InlineImage(data=data)
    if _WEB.match(value):
        raise Refused(
            "E_IMAGE_PATH",
            "kolm does not fetch images from the web",
            where=where,
            found=value[:200],
            hint="download the images, and name their files",
        )
    if value[:7].lower() == "file://":
        value = unquote(value[7:].removeprefix("localhost"))
    if len(value) > file_limits.MAX_PATH_CHARACTERS:
        raise Refused("E_IMAGE_BASE64", "neither base64 of an image nor a path", where=where)
    return folder.image(value, where=where)


def load(source: ImageSource, *, where: str) -> bytes:
    """The bytes of an image file.

    Raises:
        Refused: the file is missing, not a regular file, or larger than the limit.
    """
    if isinstance(source, InlineImage):
        return source.data
    try:
        status = source.path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Refused("E_IMAGE_PATH", "not a file", where=where, found=str(source.path))
        if status.st_size > limits.MAX_IMAGE_BYTES:
            raise Refused(
                "E_IMAGE_TOO_LARGE",
                "the image file is larger than its limit",
                where=where,
                expected=f"at most {limits.MAX_IMAGE_BYTES} bytes",
                found=f"{source.path}: {status.st_size} bytes",
            )
        return source.path.read_bytes()
    except OSError as error:
        if error.errno not in _OF_THE_NAME:
            raise system.error_of(error, where=source.path) from None
        message = f"the image file cannot be read: {error.strerror or error}"
        raise Refused(
            "E_IMAGE_FILE",
            message,
            where=where,
            found=str(source.path),
            hint=_other_spelling(source.path) or _FROM,
        ) from None


_FROM = "check the path; kolm capture import --images DIR names the folder that paths start from"


def _other_spelling(path: Path) -> str:
    """A file beside a missing one whose name differs in case or in how its accents are stored."""
    try:
        names = _plain_names(path.parent, path.parent.stat().st_mtime_ns)
    except OSError:
        return ""  # there is no such folder: nothing is beside it
    near = names.get(_plain(path.name))
    return f"there is a file {near!r}" if near else ""


@lru_cache(maxsize=4)
def _plain_names(folder: Path, changed_ns: int) -> Mapping[str, str]:
    """The files of a folder by their plain names; `changed_ns` is when it last got another one.

    Many rows may name files that a large folder does not have.
    """
    return {_plain(file.name): file.name for file in folder.iterdir()}


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def import_file(path: Path) -> None:
    """Demand that a file to import is there.

    Raises:
        Unreadable: it is not.
    """
    if not path.exists():
        raise Unreadable(
            "E_IMPORT_FILE",
            "there is no such file to import",
            where=str(path),
            hint="what a file of rows holds: kolm help guides/capture\n"
            "from a folder of pictures: kolm capture template FOLDER --prompt TEXT",
        )


def _data_uri(value: str, where: str) -> bytes:
    match = _DATA_URI.match(value)
    if match is None or match.group(3) is None:
        raise Refused("E_IMAGE_BASE64", "not a base64 data URI", where=where, found=value[:60])
    media_type = match.group(1).lower()
    if media_type and not media_type.startswith("image/"):
        raise Refused(
            "E_IMAGE_FORMAT", "the data URI does not hold an image", where=where, found=media_type
        )
    data = _base64(match.group(4))
    if data is None:
        raise Refused("E_IMAGE_BASE64", "the data URI's base64 is broken", where=where)
    return data


def _base64(text: str) -> bytes | None:
    """The bytes of strict base64 (RFC 4648, section 4), with line breaks allowed, or None."""
    try:
        return base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True)
    except (binascii.Error, ValueError):
        return None

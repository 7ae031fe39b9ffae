"""Run: the answers of somebody who is asked one case after the other, kept as they come.

A file of JSON lines: first who is asked and how, then a row a case. Each row is on the disk before
the next case is asked, so that a killed run goes on after it; half a row at the end is dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self, TypedDict, cast

from kolm import canonical, digest, system
from kolm.digest import Digest
from kolm.errors import Refused, Unreadable, Usage

if TYPE_CHECKING:
    from kolm.records.documents import PredictionsRowOutcomeFinish
    from kolm.score.judge import Said

SCHEMA: Final = "urn:kolm:answers:v1"
_FORM: Final = {"case": str, "output": str, "tokens": int, "finish": str, "said_by": str}
MAX_BYTES: Final = 256 * 1024 * 1024


class Row(TypedDict):
    """An answer, and who the one that was asked says it is."""

    case: str
    output: str
    tokens: int
    finish: PredictionsRowOutcomeFinish
    said_by: str


class AnswersFile:
    """The rows of a file, and the place for more."""

    def __init__(self, path: Path, asked: dict[str, object]) -> None:
        """Open it, or make it; `asked` is what every answer in it was asked.

        Raises:
            Usage: ``E_ANSWERS_OTHER``: the file holds answers to something else.
            Unreadable: it cannot be read.
        """
        self.path = path
        self._head = {"schema": SCHEMA, **asked}
        self._rows: dict[str, Row] = {}
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            data = self.path.read_bytes() if self.path.exists() else b""
            if len(data) > MAX_BYTES:
                raise self._other("a file of this size")
            whole = data[: data.rfind(b"\n") + 1]
            self._read(whole)
            self._stream = self.path.open("r+b" if data else "wb")
            self._stream.truncate(len(whole))
            self._stream.seek(len(whole))
            if not whole:
                self._write(self._head)
        except OSError as error:
            raise system.error_of(error, where=self.path) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def _read(self, data: bytes) -> None:
        if not data:
            return
        try:
            head, *rows = [
                canonical.loads_canonical(line, where=f"{self.path.name}:{number}")
                for number, line in enumerate(data.splitlines(), 1)
            ]
        except Refused as error:
            raise self._broken(error.message) from None
        if head != self._head:
            raise self._other(str(head)[:200])
        for row in rows:
            if not isinstance(row, dict) or {key: type(row[key]) for key in row} != _FORM:
                raise self._broken(f"a row {str(row)[:100]}")
            known = cast("Row", row)
            self._rows[known["case"]] = known

    def _broken(self, found: str) -> Unreadable:
        return Unreadable(
            "E_ANSWERS_BROKEN",
            "this is no file of answers",
            where=str(self.path),
            found=found,
            hint="name another file, or one that does not exist yet",
        )

    def _other(self, found: str) -> Usage:
        return Usage(
            "E_ANSWERS_OTHER",
            "the file holds something else than answers of this model to this question",
            where=str(self.path),
            expected=str(self._head)[:200],
            found=found,
            hint="name another file",
        )

    def __contains__(self, case: str) -> bool:
        return case in self._rows

    def add(self, row: Row) -> None:
        """Keep an answer."""
        self._write(row)
        self._rows[row["case"]] = row

    def _write(self, row: object) -> None:
        assert self._stream is not None  # inside of `with`
        self._stream.write(canonical.dumps(row) + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def said(self, cases: Iterable[str]) -> dict[str, Said]:
        """What was answered to these cases."""
        return {
            case: {
                "output": self._rows[case]["output"],
                "tokens": self._rows[case]["tokens"],
                "finish": self._rows[case]["finish"],
            }
            for case in cases
        }

    def said_by(self, cases: Iterable[str]) -> list[str]:
        """Who answered, by their own names."""
        return sorted({self._rows[case]["said_by"] for case in cases} - {""})

    def digest(self, cases: Iterable[str]) -> Digest:
        """Of the rows of these cases, sorted: whoever has the file can compare it."""
        rows = (self._rows[case] for case in sorted(cases))
        return digest.of_bytes(b"".join(canonical.dumps(row) + b"\n" for row in rows))

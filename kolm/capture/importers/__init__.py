"""Capture: importers, one file a format. Each has `rows`, which yields drafts and bad rows.

A new format is one file here and one line in `TABLE`: the command line's choices, options and
help, and the contract tests, read them. Options that a format has of its own stand in its file as
`OPTIONS`; `rows` takes each by keyword.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from kolm.capture.drafts import BadRow, Defaults, Draft
from kolm.capture.importers.option import Option
from kolm.capture.sources import Folder
from kolm.errors import Usage

Read = Callable[..., Iterator[Draft | BadRow]]


class Importer(NamedTuple):
    """A format that files have.

    Attributes:
        module: in this package; its `rows(path, folder, defaults, **options)` reads a file.
        help: what it is, in a few words.
        files: patterns of file names, by which the format is guessed; gzip's ``.gz`` may follow.
        inside: patterns of what a folder of this format holds.
        packaged: the rows are in an installed package, which is named instead of a file.
    """

    module: str
    help: str
    files: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    packaged: bool = False

    @property
    def read(self) -> Read:
        """The `rows` function of the format."""
        reader: Read = self._file().rows
        return reader

    @property
    def options(self) -> tuple[Option, ...]:
        """What the format alone can be told."""
        options: tuple[Option, ...] = getattr(self._file(), "OPTIONS", ())
        return options

    def _file(self) -> ModuleType:
        return import_module(f"kolm.capture.importers.{self.module}")


TABLE: dict[str, Importer] = {
    "jsonl": Importer("jsonl", "one JSON object per line", ("*.jsonl", "*.ndjson")),
    "llava": Importer("llava", "one JSON array: LLaVA, ShareGPT, chat messages", ("*.json",)),
    "csv": Importer("table", "a table with a line of column names", ("*.csv",)),
    "tsv": Importer("table", "the same with tabs", ("*.tsv", "*.tab")),
    "parquet": Importer(
        "parquet", "Parquet, a file or a folder", ("*.parquet",), ("*.parquet", "data/*.parquet")
    ),
    "hf-disk": Importer(
        "hf_disk", "what datasets.save_to_disk writes", (), ("state.json", "dataset_dict.json")
    ),
    "folder": Importer("folder", "pictures with a metadata file", (), ("metadata.*",)),
    "vqa": Importer("vqa", "questions of VQA v2", ("*_questions.json",)),
    "coco-captions": Importer("coco_captions", "captions of COCO", ("captions_*.json",)),
    "trl": Importer("trl", "preference rows of TRL, in any file that holds rows"),
    "llama-factory": Importer("llama_factory", "preference rows of LLaMA-Factory, likewise"),
    "rlhf-v": Importer("rlhf_v", "preference rows of RLHF-V and RLAIF-V, likewise"),
    "easy-vqa": Importer("easy_vqa", "the package of that name", packaged=True),
}


def guess(path: Path) -> str:
    """The format of a file or folder by its name; anything unknown is taken for JSON Lines."""
    if path.is_dir():
        return _guess_folder(path)
    if not path.exists() and str(path) in TABLE and TABLE[str(path)].packaged:
        return str(path)
    name = path.name.lower().removesuffix(".gz")
    fitting = {
        pattern: form
        for form, importer in TABLE.items()
        for pattern in importer.files
        if fnmatchcase(name, pattern)
    }
    return fitting[max(fitting, key=len)] if fitting else "jsonl"


def _guess_folder(path: Path) -> str:
    for form, importer in TABLE.items():
        if any(next(path.glob(pattern), None) is not None for pattern in importer.inside):
            return form
    return "folder"


def rows(
    path: Path,
    *,
    form: str | None = None,
    images: Path | None = None,
    defaults: Defaults,
    options: Mapping[str, str] | None = None,
) -> Iterator[Draft | BadRow]:
    """Read a file to import.

    Args:
        path: the file, a folder, ``-`` for standard input, or the name of a package.
        form: a name in `TABLE`, or None to go by the file's name.
        images: the folder that image paths are relative to; default: the file's own.
        defaults: what rows say by not saying it.
        options: of the format alone.

    Raises:
        Usage: there is no such file; the format has no such option, or needs one.
    """
    from kolm.capture import reading, sources

    form = form or guess(path)
    importer = TABLE[form]
    given = _demand_options(form, importer, options or {})
    if not importer.packaged and path != reading.STDIN and not path.is_dir():
        sources.import_file(path)
    root = images or (path if path.is_dir() else path.parent)
    return importer.read(path, Folder(root), defaults, **given)


def _demand_options(form: str, importer: Importer, given: Mapping[str, str]) -> Mapping[str, str]:
    known = {option.name: option for option in importer.options}
    for name in given:
        if name not in known:
            theirs = [other for other in TABLE if name in {o.name for o in TABLE[other].options}]
            raise _option(form, f"has no option --{name.replace('_', '-')}", theirs)
    for name, option in known.items():
        if option.required and name not in given:
            raise _option(form, f"needs {option.flag} {option.metavar}: {option.help}", [])
    return given


def _option(form: str, problem: str, theirs: list[str]) -> Usage:
    return Usage(
        "E_IMPORT_OPTION",
        f"the format {form} {problem}",
        hint=f"it is an option of --format {' or '.join(theirs)}" if theirs else "",
    )

"""The compositions: does a spec fit its data and this machine? Trains nothing, changes nothing."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from typing import Any

from kolm import canonical, system
from kolm.api.preparing import Prepared, SpecSource, demand_reachable, prepare
from kolm.api.signing import choose_key
from kolm.capture.store import CaptureStore
from kolm.errors import KolmError, Lacking, missing_extra
from kolm.events import Reporter, Silent

_FREE_BYTES = 1 << 30  # checkpoints and evaluation of a small base stay far below it
Found = dict[str, Any]


def check(spec: SpecSource, *, reporter: Reporter | None = None) -> list[Found]:
    """Check a spec against its captures, its base and this machine.

    Returns:
        Findings: ``name``, ``verdict`` (ok, warning, failed) and ``message``, and for a failure
        the fields of its error.
    """
    told = reporter or Silent()
    try:
        prepared = prepare(spec, rows=None, project=None, reporter=told)
        demand_reachable(prepared)
    except KolmError as error:
        return [_failed("data", error), *_check_key()]
    return [
        _ok("captures", _describe_captures(prepared)),
        _ok("base", f"{prepared.base.id}: {prepared.lock['base']['parameters']:,} parameters"),
        *_check_examples(prepared, told),
        *_check_key(),
        *_check_room(prepared),
    ]


def _describe_captures(prepared: Prepared) -> str:
    header = prepared.snapshot.header
    sides, dropped = header.splits, header.near_duplicates.dropped
    out = "".join(
        f"; {count:,} on no side, {why}"
        for count, why in (
            (dropped, "because an eval image has a near twin in them"),
            (sides.none.captures - dropped, "because they would join many groups"),
        )
        if count
    )
    return (
        f"{sides.train.captures:,} to train on, {sides.validation.captures:,} to validate, "
        f"{sides.eval.captures:,} to score; {len(prepared.snapshot.near_pairs):,} of "
        f"{sides.eval.images:,} eval images have a near twin in train{out}"
    )


def _check_examples(prepared: Prepared, reporter: Reporter) -> Iterator[Found]:
    """Encode everything that will be trained on, and every prompt that will be scored."""
    try:
        yield from _encode_all(prepared, reporter)
    except ImportError as error:
        yield _failed("training", missing_extra("train", f"training needs {error.name}"))
    except KolmError as error:
        yield _failed("examples", error)


def _encode_all(prepared: Prepared, reporter: Reporter) -> Iterator[Found]:
    from kolm.encode.encoder import Encoder
    from kolm.models import family
    from kolm.models.folder import image_token_id
    from kolm.models.processor import load_processor
    from kolm.models.resolve import read_config
    from kolm.train.plan import read_plan
    from kolm.train.preflight import check_captures

    train = prepared.lock["train"]
    encoder = Encoder(
        load_processor(prepared.base.folder),
        family.runtime(prepared.lock["base"]["family"]),
        image_token_id=image_token_id(read_config(prepared.base.folder)),
        max_seq_length=train["max_seq_length"],
        max_images=train["max_images"],
        shrink_images=train["shrink_images"],
    )
    rows = prepared.snapshot.rows
    reporter.started("encode", len(rows), "captures")
    with CaptureStore.open_to_read(prepared.store_folder) as store:

        def captures(side: str) -> Iterator[tuple[int, dict[str, Any]]]:
            for position, row in enumerate(rows):
                if row.split == side:
                    data = store.read(row.capture).data
                    yield position, canonical.loads_canonical(data, where=row.capture)

        found = check_captures(read_plan(prepared.lock), captures("train"), encoder)
        for _, capture in captures("eval"):
            encoder.encode_prompt(capture)
    reporter.finished("encode", examples=found.examples, tokens=found.tokens)
    yield _ok(
        "examples",
        f"{found.examples:,} examples of at most {found.longest_tokens} tokens, "
        f"{found.epochs_permille / 1000:.2f} epochs in {train['steps']} steps",
    )
    for warning in found.warnings():
        yield {"name": "examples", "verdict": "warning", "message": warning}


def _check_key() -> list[Found]:
    try:
        choose_key(None)
    except KolmError as error:
        return [_failed("key", error)]
    return [_ok("key", "a signing key is there")]


def _check_room(prepared: Prepared) -> Iterator[Found]:
    folder = prepared.project.folder
    free = shutil.disk_usage(folder).free
    if free < _FREE_BYTES:
        yield _failed(
            "disk",
            Lacking(
                "E_DISK_FULL",
                "there is little room for checkpoints",
                where=str(folder),
                expected=f"at least {_FREE_BYTES >> 20} MiB",
                found=f"{free >> 20} MiB",
            ),
        )
    elif not os.access(folder, os.W_OK):
        fixed = os.statvfs(folder).f_flag & os.ST_RDONLY
        number = errno.EROFS if fixed else errno.EACCES
        yield _failed("disk", system.error_of(OSError(number, os.strerror(number)), where=folder))
    else:
        yield _ok("disk", f"{free >> 30} GiB free")


def _ok(name: str, message: str) -> Found:
    return {"name": name, "verdict": "ok", "message": message}


def _failed(name: str, error: KolmError) -> Found:
    return {"name": name, "verdict": "failed", **error.to_document()}

"""The compositions: what can be known before training. One list, one function for each question.

`kolm check` shows every finding; `kolm compile` tells the warnings and stops at what failed, before
anything is trained. A further precheck is a function and a line of `PRECHECKS`.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kolm import canonical, digest, settings, system
from kolm.api import sealing
from kolm.api.preparing import Prepared, demand_reachable, raise_together
from kolm.api.signing import choose_key
from kolm.capture.naming import name_of
from kolm.capture.store import CaptureStore
from kolm.errors import Denied, KolmError, Lacking, Refused, missing_extra
from kolm.events import Reporter
from kolm.models import folder as folders
from kolm.models.resolve import read_config, recommended_rates
from kolm.verify.policy import BUILT_IN

if TYPE_CHECKING:
    from kolm.encode.encoder import Encoder
    from kolm.train.preflight import Encoded, Named

FREE_BYTES = 1 << 30  # checkpoints and evaluation of a small base stay far below it
SIDES = ("train", "validation", "eval")
SHOWN_NAMES = 10  # captures that one finding names
_SHOWN_PROMPT_CHARACTERS = 40
_FAR = 4  # times above or below what the base was measured with


class Found(NamedTuple):
    """What one precheck has to say.

    Attributes:
        name: what was looked at.
        verdict: warnings stop nothing.
        message: one sentence.
        error: of a failure.
        found: what a warning is about, one a line.
    """

    name: str
    verdict: Literal["ok", "warning", "failed"]
    message: str
    error: KolmError | None = None
    found: str = ""

    def to_document(self) -> dict[str, str]:
        """The finding as a flat document, without empty fields."""
        told = {"found": self.found} if self.found else {}
        document = {"name": self.name, "verdict": self.verdict, "message": self.message, **told}
        if self.error is not None:
            document |= {"family": type(self.error).__name__, **self.error.to_document()}
        return document


def ok(name: str, message: str) -> Found:
    """A finding that is as it should be."""
    return Found(name, "ok", message)


def failed(name: str, error: KolmError) -> Found:
    """A finding that stops a compile."""
    return Found(name, "failed", error.message, error)


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """A compile that was prepared, with what its prechecks share.

    Attributes:
        prepared: spec, data, base and lock.
        target: the file that would be written.
        force: whatever is at the target may be replaced.
        allow_below_gate: floors stop nothing.
        known: sides that finished stages have read; they are not encoded again.
        reporter: hears progress.
    """

    prepared: Prepared
    target: Path
    force: bool
    allow_below_gate: bool
    known: frozenset[str] = frozenset()
    reporter: Reporter

    @property
    def lock(self) -> Mapping[str, Any]:
        """The spec resolved."""
        return self.prepared.lock

    @cached_property
    def sides(self) -> dict[str, Encoded]:
        """The captures of each side that is not `known`, encoded.

        Raises:
            KolmError: the base's processor cannot be loaded.
        """
        from kolm.train.preflight import encode_to_answer, encode_to_learn

        wanted = [side for side in SIDES if side not in self.known]
        if not wanted:
            return {}
        encoder, found = _encoder(self.prepared), {}
        count = sum(row.split in wanted for row in self.prepared.snapshot.rows)
        self.reporter.started("encode", count, "captures")
        with CaptureStore.open_to_read(self.prepared.store_folder) as store:
            for side in wanted:
                captures = _captures(self.prepared, store, side)
                if side == "eval":
                    evaluation = self.lock["evaluation"]
                    found[side] = encode_to_answer(captures, encoder, evaluation)
                else:
                    found[side] = encode_to_learn(captures, encoder)
        self.reporter.finished("encode")
        return found


def look(ahead: Ahead) -> list[Found]:
    """Every finding about a compile, in the order of `PRECHECKS`."""
    found: list[Found] = []
    for name, precheck in PRECHECKS:
        try:
            found += precheck(ahead)
        except ImportError as error:
            found.append(failed(name, missing_extra("train", f"training needs {error.name}")))
        except KolmError as error:
            found.append(failed(name, error))
    return _each_error_once(found)


def demand(ahead: Ahead) -> None:
    """Tell the warnings, and refuse a compile that cannot end well.

    Raises:
        KolmError: the one thing that failed, or ``E_COMPILE_PRECHECKS`` with all of them.
    """
    findings = look(ahead)
    for finding in findings:
        if finding.verdict == "warning":
            first, _, rest = finding.found.partition("\n")
            shown = f": {first}{' …' if rest else ''}" if first else ""
            ahead.reporter.warned(finding.message + shown)
    raise_together([finding.error for finding in findings if finding.error is not None])


def look_at_key(name: str | None = None) -> Iterator[Found]:
    """Is there a key that can sign? The passphrase of an encrypted one is asked for later."""
    try:
        choose_key(name)
    except Denied as error:
        if error.code != "E_KEY_PASSPHRASE" or settings.text("KOLM_KEY_PASSPHRASE"):
            raise  # wrong, or not ours to read
        yield Found("key", "warning", "the signing key is encrypted, and kolm compile will ask")
    else:
        yield ok("key", "a signing key is there")


def look_at_disk(folder: Path) -> Iterator[Found]:
    """Can the project's folder be written, and is there room for checkpoints?"""
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise Lacking(
            "E_DISK_FULL",
            "there is little room for checkpoints",
            where=str(folder),
            expected=f"at least {FREE_BYTES >> 20} MiB",
            found=f"{free >> 20} MiB",
        )
    if not os.access(folder, os.W_OK):
        fixed = os.statvfs(folder).f_flag & os.ST_RDONLY
        number = errno.EROFS if fixed else errno.EACCES
        raise system.error_of(OSError(number, os.strerror(number)), where=folder)
    yield ok("disk", f"{free >> 30} GiB free")


def _data(ahead: Ahead) -> Iterator[Found]:
    """What was split, and how."""
    snapshot = ahead.prepared.snapshot
    sides, dropped = snapshot.header.splits, snapshot.header.near_duplicates.dropped
    out = "".join(
        f"; {count:,} on no side, {why}"
        for count, why in (
            (dropped, "because an eval image has a near twin in them"),
            (sides.none.captures - dropped, "because they would join many groups"),
        )
        if count
    )
    yield ok(
        "captures",
        f"{sides.train.captures:,} to train on, {sides.validation.captures:,} to validate, "
        f"{sides.eval.captures:,} to score; {len(snapshot.near_pairs):,} of "
        f"{sides.eval.images:,} eval images have a near twin in train{out}",
    )


def _base(ahead: Ahead) -> Iterator[Found]:
    """The base, whose files were looked at before it was measured."""
    parameters = ahead.lock["base"]["parameters"]
    yield ok("base", f"{ahead.prepared.base.id}: {parameters:,} parameters")


def _tokens(ahead: Ahead) -> Iterator[Found]:
    """The tokens that end an answer and fill batches up, and positions for the longest example."""
    from kolm.models.processor import load_processor, stated_end_tokens

    folder = ahead.prepared.base.folder
    tokenizer = load_processor(folder).tokenizer
    if not stated_end_tokens(folder, tokenizer):
        raise Refused(
            "E_BASE_NO_END_TOKEN",
            "the base names no token that ends an answer",
            where="generation_config.json",
            expected="eos_token_id",
        )
    if tokenizer.pad_token_id is None:
        yield Found(
            "base",
            "warning",
            "the base names no token for padding; the one that ends answers is taken, masked",
        )
    yield from _positions(ahead)


def _positions(ahead: Ahead) -> Iterator[Found]:
    limit = folders.positions(read_config(ahead.prepared.base.folder))
    if limit is None:
        return
    room = {"eval": ahead.lock["evaluation"]["max_new_tokens"]}
    long = [
        f"{name}: {len(example.input_ids) + room.get(side, 0)} tokens"
        for side, encoded in ahead.sides.items()
        for name, example in zip(encoded.names, encoded.examples, strict=True)
        if len(example.input_ids) + room.get(side, 0) > limit
    ]
    if long:
        yield failed(
            "base",
            Refused(
                "E_BASE_POSITIONS",
                f"{_count(long, 'capture')} longer than the base was made for",
                where="train.max_seq_length",
                expected=f"at most {limit} tokens, an answer included",
                found=_listed(long),
                hint=f"set train.max_seq_length to {max(16, limit - room['eval'])} or less",
            ),
        )


def _blobs(ahead: Ahead) -> Iterator[Found]:
    """Every picture of the snapshot is in the store, and is what its digest says."""
    users: dict[digest.Digest, digest.Digest] = {}
    for row in ahead.prepared.snapshot.rows:
        for image in row.images:
            users.setdefault(image.file, row.capture)
    problems: list[tuple[str, KolmError]] = []
    with CaptureStore.open_to_read(ahead.prepared.store_folder) as store:
        names = _Names(store)
        for file, capture in users.items():
            try:
                store.blobs.read(file)
            except KolmError as error:
                problems.append((f"{names[capture]}, picture {file}", error))
    yield from _grouped("pictures", "picture", problems)
    if not problems:
        yield ok("pictures", f"{len(users):,} picture files are whole")


def _examples(ahead: Ahead) -> Iterator[Found]:
    """What training will see, what it leaves out, and what stops it."""
    from kolm.train.plan import read_plan
    from kolm.train.preflight import summarise

    for side in ("train", "validation"):
        if side in ahead.sides:
            yield from _left_out(side, ahead.sides[side])
    if "train" not in ahead.sides:
        return
    plan, train = read_plan(ahead.lock), ahead.sides["train"]
    if not train.examples and not train.refused:
        counts = (f"{len(names)} {reason}" for reason, names in sorted(train.dropped.items()))
        raise Refused(
            "E_TRAIN_NO_EXAMPLES",
            "no capture of the train split can be trained on",
            found=", ".join(counts) or "none",
            hint="raise train.max_seq_length or train.max_images, or capture more",
        )
    if ahead.lock["train"]["early_stopping"] and not ahead.sides["validation"].examples:
        raise Refused(
            "E_TRAIN_NO_VALIDATION",
            "early stopping needs a validation split, and nothing of it can be used",
            where="train.early_stopping",
            hint="set data.validation to a share of the captures",
        )
    if train.examples:
        seen = summarise(plan, train.examples)
        yield ok(
            "train side",
            f"{seen.examples:,} examples of at most {seen.longest_tokens} tokens, "
            f"{seen.epochs_permille / 1000:.2f} epochs in {plan.steps} steps",
        )
        if seen.without_images:
            message = f"{seen.without_images:,} examples show no image"
            yield Found("train side", "warning", message)


def _left_out(side: str, encoded: Encoded) -> Iterator[Found]:
    yield from _grouped(f"{side} side", "capture", encoded.refused)
    for reason, names in sorted(encoded.dropped.items()):
        message = f"{_count(names, 'capture')} left out of the {side} side: {reason}"
        yield Found(f"{side} side", "warning", message, found=_listed(names))
    yield from _cut(side, encoded)


def _prompts(ahead: Ahead) -> Iterator[Found]:
    """Every case can be asked, and can be answered within `max_new_tokens`."""
    encoded, evaluation = ahead.sides.get("eval"), ahead.lock["evaluation"]
    long = [] if encoded is None else encoded.long_answers
    if encoded is not None:
        yield from _grouped("eval side", "capture", encoded.refused)
        yield from _cut("eval", encoded)
    if long:
        yield Found(
            "eval side",
            "warning",
            f"{_count(long, 'reference answer')} longer than evaluation.max_new_tokens "
            f"({evaluation['max_new_tokens']}) and can never be given",
            found=_listed(long),
        )
    if not ahead.allow_below_gate:
        known = evaluation["metric"]["kind"] == "exact"  # others may be met by a shorter answer
        demand_reachable(ahead.prepared, too_long=len(long) if known else 0)


def _shapes(ahead: Ahead) -> Iterator[Found]:
    """Pictures that are too thin for the family."""
    from kolm.models import family

    too_thin = family.runtime(ahead.lock["base"]["family"]).too_thin
    thin: list[str] = []
    with CaptureStore.open_to_read(ahead.prepared.store_folder) as store:
        names, records = _Names(store), store.image_records()
        for row in ahead.prepared.snapshot.rows:
            for picture in (records[image.file] for image in row.images):
                if row.split in SIDES and too_thin(picture.height, picture.width):
                    thin.append(
                        f"{names[row.capture]}: {picture.width}x{picture.height} ({row.split})"
                    )
    if thin:
        yield Found(
            "pictures",
            "warning",
            f"{_count(thin, 'picture')} too thin for the family (one side more than 200 times the "
            "other); the short side is made longer",
            found=_listed(thin),
        )


def _settings(ahead: Ahead) -> Iterator[Found]:
    """Settings that a person may regret: far from what the base was measured with, or costly."""
    train = ahead.lock["train"]
    if not train["freeze"]["vision"]:
        yield Found(
            "settings",
            "warning",
            "the vision tower is adapted too (train.freeze.vision): it runs in every step, and the "
            "bundle cannot claim that it stayed frozen",
        )
    low, high = recommended_rates(ahead.prepared.base.id)
    rate = canonical.parse_decimal(train["learning_rate"], where="train.learning_rate")
    if not low / _FAR <= rate <= high * _FAR:
        yield Found(
            "settings",
            "warning",
            f"train.learning_rate {rate} is far from what works for {ahead.prepared.base.id}: "
            f"{low} to {high}",
        )


def _audit(ahead: Ahead) -> Iterator[Found]:
    """What the built-in policy of `kolm verify` will not take, however good the answers are."""
    cases = ahead.prepared.snapshot.header.splits.eval.captures
    least, wanting = BUILT_IN.minimum_eval_cases or 0, []
    if cases < least:
        wanting.append(f"it wants {least} eval cases, and there are {cases:,}")
    if not ahead.lock["publish"]["text"]:
        wanting.append("it wants scores that it can compute again, and publish.text is false")
    if wanting:
        yield Found(
            "audit",
            "warning",
            f"the built-in policy of kolm verify will not accept the bundle: "
            f"{'; '.join(wanting)}; whoever uses it needs a policy file that demands less "
            "(kolm help format/policy)",
        )


def _target(ahead: Ahead) -> Iterator[Found]:
    """The file that would be written is free, or may be replaced."""
    sealing.demand_place(ahead.target, ahead.lock, force=ahead.force)
    yield from ()


def _disk(ahead: Ahead) -> Iterator[Found]:
    yield from look_at_disk(ahead.prepared.project.folder)


PRECHECKS: tuple[tuple[str, Callable[[Ahead], Iterator[Found]]], ...] = (
    ("captures", _data),
    ("base", _base),
    ("base", _tokens),
    ("pictures", _blobs),
    ("pictures", _shapes),
    ("train side", _examples),
    ("eval side", _prompts),
    ("settings", _settings),
    ("audit", _audit),
    ("target", _target),
    ("disk", _disk),
)


def called(capture: Mapping[str, Any], name: str) -> str:
    """A capture in words by which a person finds it: its name and its first words."""
    texts = [
        part["text"]
        for message in capture["messages"]
        if message["role"] == "user"
        for part in message["content"]
        if part["type"] == "text"
    ]
    words = " ".join(" ".join(texts).split())
    if len(words) > _SHOWN_PROMPT_CHARACTERS:
        words = words[: _SHOWN_PROMPT_CHARACTERS - 1] + "…"
    return f'{name} "{words}"'


def _encoder(prepared: Prepared) -> Encoder:
    from kolm.models.processor import load_processor
    from kolm.train.plan import read_plan
    from kolm.train.prepare import make_encoder

    folder = prepared.base.folder
    return make_encoder(read_plan(prepared.lock), load_processor(folder), folder)


def _captures(prepared: Prepared, store: CaptureStore, side: str) -> Iterator[Named]:
    from kolm.train.preflight import Named

    named = _Names(store)
    for position, row in enumerate(row for row in prepared.snapshot.rows if row.split == side):
        capture = canonical.loads_canonical(store.read(row.capture).data, where=row.capture)
        yield Named(called(capture, name_of(row.capture, named.places)), position, capture)


class _Names:
    """The names of a store's captures."""

    def __init__(self, store: CaptureStore) -> None:
        self._store = store
        self.places = store.names()

    def __getitem__(self, capture: digest.Digest) -> str:
        document = canonical.loads_canonical(self._store.read(capture).data, where=capture)
        return called(document, name_of(capture, self.places))


def _cut(side: str, encoded: Encoded) -> Iterator[Found]:
    if encoded.cut:
        message = f"{_count(encoded.cut, 'prompt')} longer than train.max_seq_length allows: cut"
        yield Found(f"{side} side", "warning", message, found=_listed(encoded.cut))


def _grouped(name: str, what: str, problems: Sequence[tuple[str, KolmError]]) -> Iterator[Found]:
    """One failure for each code among many, with the names of all that it is about."""
    by_code: dict[str, list[tuple[str, KolmError]]] = defaultdict(list)
    for problem in problems:
        by_code[problem[1].code].append(problem)
    for code, members in by_code.items():
        (of, first), many = members[0], len(members) > 1
        lines = [f"{who}: {error.found}" if error.found else who for who, error in members]
        yield failed(
            name,
            type(first)(
                code,
                f"{first.message} ({len(members):,} {what}s)" if many else first.message,
                where=name if many else of,
                expected=first.expected,
                found=_listed(lines) if many else first.found,
                hint=first.hint,
            ),
        )


def _count(names: Sequence[str], what: str) -> str:
    return f"1 {what} is" if len(names) == 1 else f"{len(names):,} {what}s are"


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - SHOWN_NAMES
    return "\n".join([*names[:SHOWN_NAMES], *([f"and {rest:,} more"] if rest > 0 else [])])


def _each_error_once(found: Iterable[Found]) -> list[Found]:
    """The findings without an error that an earlier one has told already."""
    told: set[tuple[str, str, str]] = set()
    kept = []
    for finding in found:
        error = finding.error
        if error is not None:
            key = (error.code, error.where, error.found)
            if key in told:
                continue
            told.add(key)
        kept.append(finding)
    return kept

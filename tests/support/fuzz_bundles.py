"""A structure-aware fuzzer of bundles that gets past containers, digests and signatures.

    .venv/bin/python -m tests.support.fuzz_bundles 50000            # from seed 0
    .venv/bin/python -m tests.support.fuzz_bundles 1 --first 1234   # one again, by its number

Each iteration takes an honest bundle, changes documents, tensors, claims or the manifest, makes
every digest follow, signs it again, and does with it what a stranger's bundle meets: `verify` with
all the auditor's material, the report in words, as JSON and as a page, the dossier, `inspect` and
unpacking. The policy is the built-in one without what it demands of scores, which passes every
honest one of these. What may come out is a report or an error of kolm; anything else (another
exception, a long time, much memory, a bundle that nobody trusted signed and that passes) is a
failure, named by the iteration's number.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kolm import canonical, digest
from kolm.actions.inspecting import describe
from kolm.bundle.manifest import TITLE, Member, build_manifest
from kolm.bundle.members import ContentKind, kind_of
from kolm.bundle.reader import Bundle
from kolm.cli.verification_summary import summarise
from kolm.cli.verification_text import render
from kolm.dossier.documents import write_all
from kolm.dossier.table import gather
from kolm.errors import KolmError
from kolm.records import codec
from kolm.records.verification import Verdict, Verification
from kolm.registry.check import without_gate
from kolm.report import page
from kolm.report.facts import Facts
from kolm.sign import making, statement
from kolm.verify.policy import BUILT_IN
from tests.support import fuzzing
from tests.support.audits import Pictures, World, rescoring
from tests.support.bundles import BundleParts, make_parts, write_raw
from tests.support.fuzzing import Failure
from tests.support.mutations import (
    Random,
    mutate_bytes,
    mutate_document,
    mutate_lines,
    mutate_tensors,
    mutate_value,
    written,
)

LONGEST_SECONDS = 20  # of processor time: an honest one takes some hundredths
MOST_BYTES = 256 * 1024 * 1024  # beside the file itself
POLICY = without_gate(BUILT_IN)
# One honest bundle of each method, beside LoRA, and of each kind of formula.
METHODS: tuple[dict[str, Any], ...] = (
    {"kind": "ia3"},
    {"kind": "bottleneck", "size": 4},
    {"kind": "prefix", "virtual_tokens": 3},
    {"kind": "prompt", "virtual_tokens": 3},
    {"kind": "p_tuning", "virtual_tokens": 3, "encoder": "lstm", "encoder_size": 4},
)
OBJECTIVES: tuple[str, ...] = ("ddpo", "kto", "simpo")

Members = dict[str, bytes]


_BY_CONTENT: dict[ContentKind, Callable[[Random, bytes], bytes]] = {
    ContentKind.DOCUMENT: mutate_document,
    ContentKind.PEFT_CONFIG: mutate_document,
    ContentKind.LINES: mutate_lines,
    ContentKind.TENSORS: mutate_tensors,
    ContentKind.MARKDOWN: mutate_bytes,
    ContentKind.IMAGE: mutate_bytes,
}


def _follow(members: Members, changed: dict[str, bytes], more: list[bytes]) -> list[bytes]:
    """Put changed members in, and their new digests wherever another member names the old ones.

    Gives `more` (predicates) with the digests replaced too. Rounds are few: documents name one
    another in one direction.
    """
    renamed: dict[bytes, bytes] = {}
    for _ in range(6):
        if not changed:
            break
        for name, data in changed.items():
            old = digest.hex_of(digest.of_bytes(members[name])).encode()
            renamed[old] = digest.hex_of(digest.of_bytes(data)).encode()
            members[name] = data
        changed = {
            name: new
            for name, data in members.items()
            if name.endswith((".json", ".jsonl")) and (new := _replaced(data, renamed)) != data
        }
    return [_replaced(data, renamed) for data in more]


def _replaced(data: bytes, renamed: dict[bytes, bytes]) -> bytes:
    for old, new in renamed.items():
        if old in data:
            data = data.replace(old, new)
    return data


# Bundles


class Fuzzer:
    """Honest bundles in a folder, and what an iteration makes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World.make(folder, cases=6, train=5)
        published = self.world.parts.copy()
        published.publish_images()
        published.publish_checkpoints()
        withheld = self.world.parts.copy()
        withheld.without.add("evalcases.jsonl")
        withheld.lock["publish"]["text"] = False
        read = {"cases": 6, "train": 5}
        others = [make_parts(folder / m["kind"], **read, method=m) for m in METHODS]
        others[0].lock["evaluation"]["metric"] = {"kind": "anls", "threshold": "0.5"}
        others[0].rescore()
        others += [make_parts(folder / o, **read, objective={"kind": o}) for o in OBJECTIVES]
        self.variants = [self.world.parts, published, withheld, *others]
        for parts in self.variants:
            assert self.world.audit(parts, policy=POLICY).overall is not Verdict.FAILED
        self.honest = [(self._members(parts), parts.predicates()) for parts in self.variants]
        self.path = folder / "fuzzed.kolm"

    @staticmethod
    def _members(parts: BundleParts) -> Members:
        return {"receipt.json": parts.receipt(), **parts.members()}

    def run(self, number: int) -> Failure | None:
        """One iteration."""
        rng = Random(number)
        trusted = rng.random() < 0.8
        honest = self._forge(rng, trusted=trusted)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        try:
            with _alarm(LONGEST_SECONDS):
                verdict = self._meet(rng, honest)
        except Exception:  # noqa: BLE001 - that none but ours comes is what is tried
            return Failure(number, traceback.format_exc())
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        if grown > MOST_BYTES + self.path.stat().st_size:
            return Failure(number, f"took {grown:,} bytes of memory")
        if time.process_time() - began > LONGEST_SECONDS:
            return Failure(number, "took too long")
        if verdict is Verdict.OK and not trusted:
            return Failure(number, "passed, and nobody that is trusted signed it")
        return None

    def _forge(self, rng: Random, *, trusted: bool) -> BundleParts:
        """Write a forged bundle; gives the honest one that it was made of."""
        shape = rng.random()
        variant = rng.randrange(len(self.honest))
        made = self._from_parts(rng, self.variants[variant]) if shape < 0.3 else None
        members, predicates = made or self.honest[variant]
        members = dict(members)
        said = [canonical.dumps({"type": t, "said": p}) for t, p in predicates.items()]
        if made is None and shape < 0.85:
            names = rng.sample(sorted(members), rng.choice([1, 1, 2]))
            changed = {n: _BY_CONTENT[kind_of(n).content](rng, members[n]) for n in names}
            said = _follow(members, changed, said)
        manifest = self._manifest(rng, members, shape)
        key = self.world.publisher if trusted else self.world.stranger
        about = digest.of_bytes(manifest)
        claims = []
        for data in said:
            claim = json.loads(data)
            predicate = claim["said"]
            if rng.random() < 0.1:
                predicate = mutate_value(rng, predicate)
            try:
                text = canonical.dumps(_statement(about, claim["type"], predicate))
            except (TypeError, ValueError, RecursionError):
                continue
            sealed = making.seal(text, key)
            if rng.random() < 0.02:
                sealed = written(rng, mutate_value(rng, json.loads(sealed)))
            claims.append(sealed)
        try:
            write_raw(self.path, manifest, members, claims)
        except KolmError:  # an envelope that is none: the file then goes without claims
            write_raw(self.path, manifest, members)
        return self.variants[variant]

    def _from_parts(self, rng: Random, honest: BundleParts) -> tuple[Members, Any] | None:
        """Documents changed before sealing, so that all that is derived is derived from them."""
        parts = honest.copy()
        names = ["lock", "snapshot", "snapshot_rows", "cases", "modules", "trace", "predictions"]
        name = rng.choice([*names, "evaluation"])
        try:
            setattr(parts, name, mutate_value(rng, getattr(parts, name)))
            with _alarm(LONGEST_SECONDS):  # a lock of a million steps has a trace of a million rows
                if rng.random() < 0.5:
                    parts.rescore()
                return self._members(parts), parts.predicates()
        except Exception:  # noqa: BLE001 - our own makers need documents that make sense
            return None

    def _manifest(self, rng: Random, members: Members, shape: float) -> bytes:
        described = [
            Member(name=name, digest=digest.of_bytes(data), size=len(data))
            for name, data in members.items()
        ]
        value: Any = None
        try:
            data = build_manifest(described)
            value = json.loads(data)
        except KolmError:
            value = json.loads(build_manifest(_distinct(described)))
        if shape >= 0.92:
            _share_one_blob(rng, value)
        elif shape >= 0.85:
            value = mutate_value(rng, value)
        return written(rng, value) if shape >= 0.85 else canonical.dumps(value)

    def _meet(self, rng: Random, parts: BundleParts) -> Verdict | None:
        """What a stranger's bundle meets, beside the material of the honest one.

        Gives the verdict, or None when there is none.
        """
        material: dict[str, Any] = {}
        if rng.random() < 0.3:
            material["base"] = parts.base
        if rng.random() < 0.3:
            captures = [canonical.dumps(case) for case in parts.cases]
            material["captures"] = Pictures.of(parts, captures)
            if "base" in material:
                material["rescore"] = rescoring(parts)
        verdict = None
        try:
            report = self.world.look(self.path, policy=POLICY, **material).report
            json.dumps(codec.to_document(report), ensure_ascii=False).encode("utf-8")
            for write in (render, summarise):
                write(report, paint=lambda text, _: text).encode("utf-8")
            verdict = report.conclusions.overall.verdict
            if rng.random() < 0.1:
                self._show(report)
        except KolmError as error:
            str(error).encode("utf-8")
        try:
            bundle = Bundle.open(self.path)
            json.dumps(describe(bundle), ensure_ascii=False).encode("utf-8")
            if rng.random() < 0.05:  # it waits for the disk, and little of it depends on the file
                with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                    bundle.unpack(Path(folder) / "unpacked")
        except KolmError as error:
            str(error).encode("utf-8")
        return verdict

    def _show(self, report: Verification) -> None:
        """The page, and the dossier of what is accepted."""
        facts = Facts(Bundle.open(self.path), report, lambda _: None)
        page.render(facts)
        if report.conclusions.overall.verdict is Verdict.OK:
            write_all(gather(facts))


def _statement(about: digest.Digest, kind: str, predicate: Any) -> Any:
    return {
        "_type": statement.STATEMENT_TYPE,
        "subject": [{"name": "toy", "digest": {"sha256": digest.hex_of(about)}}],
        "predicateType": kind,
        "predicate": predicate,
    }


def _distinct(members: list[Member]) -> list[Member]:
    """The members with digests of their own: the manifest is then refused for its blobs."""
    return [m._replace(digest=digest.of_bytes(m.name.encode())) for m in members]


def share_one_blob(members: Members, shared: str, name: str, count: int) -> bytes:
    """The manifest of members of which one has `count` more names, made of numbers by `name`."""
    described = [
        Member(name=n, digest=digest.of_bytes(data), size=len(data)) for n, data in members.items()
    ]
    manifest = json.loads(build_manifest(described))
    one = next(m for m in described if m.name == shared)
    media = kind_of(name.format(0)).media_type
    for place in range(count):
        title = {TITLE: name.format(place)}
        layer = {"annotations": title, "digest": one.digest, "mediaType": media, "size": one.size}
        manifest["layers"].append(layer)
    return canonical.dumps(manifest)


def _share_one_blob(rng: Random, manifest: Any) -> None:
    """One blob under very many names, or the bytes of one member in the place of others."""
    layers = manifest["layers"]
    shared = rng.choice([manifest["config"], *layers])
    if rng.random() < 0.3:
        for layer in rng.sample(layers, rng.randrange(1, len(layers))):
            layer["digest"], layer["size"] = shared["digest"], shared["size"]
        return
    name, media = rng.choice(
        [
            ("checkpoint-{:08d}.json", "application/vnd.kolm.checkpoint.v1+json"),
            ("checkpoint-{:08d}.safetensors", "application/vnd.kolm.checkpoint.v1.safetensors"),
            ("evalimage-{:064x}", "application/vnd.kolm.evalimage.v1"),
        ]
    )
    layers += [
        {
            "annotations": {TITLE: name.format(place)},
            "digest": shared["digest"],
            "mediaType": media,
            "size": shared["size"],
        }
        for place in range(rng.choice([2, 100, 4000]))
    ]


@contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    """Of processor time: how busy the machine is says nothing of a reader."""

    def ring(*_: Any) -> None:
        raise TimeoutError(f"no answer within {seconds} s of processor time")

    old = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)


if __name__ == "__main__":
    sys.exit(fuzzing.command(Fuzzer, "Fuzz the readers of bundles."))

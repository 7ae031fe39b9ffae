"""Small, complete and internally consistent bundles, made by hand, and every way to forge them.

    parts = make_parts(tmp_path)                       # mutable documents of a toy compile
    path = parts.seal(tmp_path / "toy.kolm")           # unsigned
    path = parts.seal(tmp_path / "toy.kolm", key=key)  # with the five claims, signed

To forge: change a document (``parts.evaluation["covered"] = 1``) or replace the bytes of a member
(``parts.overrides["trace.jsonl"] = …``) and seal again. Digests, lock, receipt and card follow the
change, as an attacker with the tools would make them; override those members to stop that. To
forge the container itself, take it apart with `read_entries` and put it together with `write_tar`.
"""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kolm import canonical, digest, roles
from kolm.bundle import container_rules, layout, tar, tensor_writer, tensors, writer
from kolm.bundle.container import open_container
from kolm.bundle.manifest import Member, build_manifest
from kolm.bundle.reader import Bundle
from kolm.errors import KolmError
from kolm.format import adapter_config, card
from kolm.format.compute import RECOUNTED, flops_of, modifier_test, recount
from kolm.format.order import reading_of
from kolm.format.outline import of_modules
from kolm.format.receipt import derive_receipt
from kolm.format.schedule import read_schedule
from kolm.format.seeds import derive_seeds, training_root
from kolm.format.sights import Read, Sight, tower_operations
from kolm.format.words import claimed_words
from kolm.methods import method_of, resolved_again
from kolm.objectives import OBJECTIVES
from kolm.records.codec import to_document
from kolm.records.documents import KscoreMachine, KscorePack
from kolm.score import kscore, kscore_claim
from kolm.score.cases import build_cases
from kolm.score.evaluation import evaluate
from kolm.score.judge import Judge
from kolm.score.predictions import score_row
from kolm.sign import making, predicates
from kolm.sign.envelope import open_envelope
from kolm.sign.private_keys import PrivateKey
from kolm.spec.options import resolve_quantisation
from tests.support import toy_documents
from tests.support.toy_base import TOY, Tensor, ToyModule, digest_of, write_base

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def audit_of(
    bundle: str, *, passed: bool = True, claims: Iterable[bytes] = (), at: datetime = NOW
) -> dict[str, Any]:
    """The predicate of an audit of a bundle in which these claims were read: claims.md, C15."""
    said: dict[str, Any] = {
        "verifier": {"id": "urn:kolm:verifier:local:v1", "version": {"kolm": "0.1.0"}},
        "timeVerified": predicates.instant(at),
        "resourceUri": predicates.bundle_uri(digest.Digest(bundle)),
        "policy": {
            "uri": "urn:kolm:policy:audit",
            "digest": {"sha256": digest.hex_of(digest.of_bytes(b"audit"))},
        },
        "verificationResult": "PASSED" if passed else "FAILED",
        "verifiedLevels": ["KOLM_DELTA_SCOPE"],
    }
    names = [{"digest": {"sha256": digest.hex_of(digest.of_bytes(claim))}} for claim in claims]
    return {**said, "inputAttestations": names} if names else said


Row = dict[str, Any]


PICTURE_NUMBERS = 64 * 64 * 3  # of every picture, as the tower of a toy is shown it


@dataclass
class BundleParts:
    """The documents of one bundle, open to change. `base` is the folder of the toy base."""

    base: Path
    lock: Row
    snapshot: Row
    snapshot_rows: list[Row]
    cases: list[Row]
    modules: list[Row]
    predictions: list[Row]
    evaluation: Row
    tensors: dict[str, Tensor]
    examples: list[Row] = field(default_factory=list)
    trace: list[Row] = field(default_factory=list)
    overrides: dict[str, bytes] = field(default_factory=dict)
    without: set[str] = field(default_factory=set)
    followed: dict[str, list[Row]] = field(default_factory=dict)

    def copy(self) -> BundleParts:
        """A deep copy, to forge one of many."""
        return copy.deepcopy(self)

    def retouch(self) -> None:
        """Digest the adapter's tensors into modules.jsonl again, as a careful forger would."""
        for row in self.modules:
            for part in row["adapter"]:
                tensor = self.tensors[part["tensor"]]
                part["after"] = digest_of(tensor)
                part["dtype"], part["shape"] = tensor[0], list(tensor[1])
                part["elements"] = len(tensor[2]) // 4

    def rescore(self) -> None:
        """Make scores, coverage and evaluation.json again from outputs and cases."""
        captures = [(digest.of_value(case), case) for case in self.cases]
        cases = build_cases(sorted(captures, key=lambda pair: pair[0]))
        known = {case.case: case for case in cases}
        settings = self.lock["evaluation"]
        judge = Judge(settings, [case.references for case in cases])
        self.predictions = [score_row(r, known[r["case"]], judge) for r in self.predictions]
        self.evaluation = evaluate(self.predictions, cases, settings)

    def declare(self, cases: list[Row]) -> None:
        """Make the eval side from these cases; everything follows, as from a compile of them."""
        kept = [row for row in self.snapshot_rows if row["split"] != "eval"]
        held = [toy_documents.make_snapshot_row(case, "eval") for case in cases]
        self.cases = sorted(cases, key=digest.of_value)
        self.snapshot_rows = sorted((*kept, *held), key=lambda row: row["capture"])
        made = toy_documents.make_snapshot(self.snapshot_rows)
        self.snapshot = {**self.snapshot, **{k: made[k] for k in ("captures", "images", "splits")}}
        self.predictions = [
            toy_documents.make_prediction(case, number) for number, case in enumerate(self.cases)
        ]
        self.rescore()

    def answer(self, request: bytes) -> None:
        """Make lock and snapshot those of an answer to a signed request."""
        said = canonical.loads(open_envelope(request).payload, where="request")["predicate"]
        self.lock |= {"nonce": said["nonce"], "request": digest.of_bytes(request)}
        self.snapshot["rule"]["nonce"] = said["nonce"]
        if said["pack"]["kind"] == "open":
            self.lock["evaluation"]["pack"] = self.pack_root()
            self.snapshot["near_duplicates"]["policy"] = "refuse"

    def withhold(self) -> None:
        """Leave prompts and references out, as ``publish.text: false`` does."""
        self.members()  # the lock names the cases that are then left out
        self.lock["publish"]["text"] = False
        self.without.add("evalcases.jsonl")

    def publish_images(self) -> None:
        """Put the eval pictures in, as ``publish.images`` does."""
        self.lock["publish"]["images"] = True
        for case in self.cases:
            for image in case["images"]:
                picture = toy_documents.picture_of(image)
                self.overrides[f"evalimage-{digest.hex_of(image['file'])}"] = picture

    def quantise(self, block_size: int = 64) -> None:
        """The same training on a base in 4 bits."""
        table = roles.family(self.lock["base"]["family"])
        form = {"kind": "nf4", "double": True, "block_size": block_size}
        own = to_document(resolve_quantisation(form, table))
        self.lock["train"]["quantisation"] = own
        self.lock["environment"]["bitsandbytes"] = "0.49.1"
        for row in self.modules:
            if re.fullmatch(own["target_expression"], row["module"]):
                stored = digest.of_bytes(row["module"].encode())
                weight = next(p for p in row["parameters"] if p["name"] == "weight")
                weight["quantised"] = {**form, "before": stored, "after": stored}

    def publish_checkpoints(
        self, change: Callable[[int, Row, dict[str, Tensor]], None] | None = None
    ) -> None:
        """Put states in, as ``publish.checkpoints`` does; the trace's chain follows them.

        `change` edits the document and the tensors of each, by its step, before they are digested.
        """
        self.lock["publish"]["checkpoints"] = "bundle"
        self.follow()
        schedule = read_schedule(self.lock)
        patience, link = schedule.new_patience(), schedule.earlier_chain
        last = self.trace[-1]["step"]
        for row in self.trace:
            if row["kind"] == "validation" and patience:
                patience.tell(schedule.decisive(row))
            if row["kind"] != "checkpoint":
                continue
            step = row["step"]
            block = self.lock["train"]["method"]
            state = toy_documents.make_state(step, self.tensors, block, last=step == last)
            document = toy_documents.make_checkpoint(step, "", dict.fromkeys(self.tensors, step))
            document["patience"] = patience.to_document() if patience else None
            if change is not None:
                change(step, document, state)
            data = tensor_writer.encode(state)
            document["tensors"] = digest.of_bytes(data)
            name = f"checkpoint-{step:08d}"
            self.overrides[f"{name}.safetensors"] = data
            self.overrides[f"{name}.json"] = canonical.dumps(document)
            row["state"] = digest.of_value(document)
            row["chain"] = link = row["state"] if link is None else digest.chain(link, row["state"])

    def reseed(self) -> None:
        """Make environment class and seeds of the lock again."""
        rest = {k: v for k, v in self.lock["environment"].items() if k != "class"}
        self.lock["environment"]["class"] = digest.of_value(rest)
        self.lock["seeds"] = derive_seeds(self.lock)

    def follow(self) -> None:
        """Make snapshot root, lock, seeds, examples and trace follow from what was changed.

        Examples and trace stay as they are once somebody has edited them.
        """
        lines = [canonical.dumps(row) for row in self.snapshot_rows]
        self.snapshot["root"] = digest.merkle_root(lines)
        cases = self._member("evalcases.jsonl", canonical.dump_lines(self._sorted_cases()))
        header = self._member("snapshot.json", canonical.dumps(self.snapshot))
        self.lock["data"] = {
            "cases": digest.of_bytes(cases) if cases else self.lock["data"]["cases"],
            "root": self.snapshot["root"],
            "snapshot": digest.of_bytes(header),
            "training": training_root(
                zip((row["split"] for row in self.snapshot_rows), lines, strict=True)
            ),
        }
        self.reseed()
        if self.examples == self.followed.get("examples", self.examples):
            self.examples = toy_documents.make_examples(self.snapshot_rows, self.lock)
            self.followed["examples"] = copy.deepcopy(self.examples)
        if self.trace == self.followed.get("trace", self.trace):
            self.trace = toy_documents.make_trace(self.lock, self.examples)
            self.followed["trace"] = copy.deepcopy(self.trace)

    def keep_trace(self) -> None:
        """Leave the trace as it is, whatever is changed afterwards."""
        self.followed["trace"] = []

    def _sorted_cases(self) -> list[Row]:
        return sorted(self.cases, key=digest.of_value)

    def _member(self, name: str, data: bytes) -> bytes:
        return b"" if name in self.without else self.overrides.get(name, data)

    def members(self) -> dict[str, bytes]:
        """The bytes of every member but the receipt, each following from what comes before."""
        self.follow()
        made: dict[str, bytes] = {}

        def put(name: str, data: bytes) -> None:
            if name not in self.without:
                made[name] = self._member(name, data)

        put("adapter_model.safetensors", tensor_writer.encode(self.tensors))
        put("modules.jsonl", canonical.dump_lines(self.modules))
        put("snapshot.jsonl", canonical.dump_lines(self.snapshot_rows))
        put("evalcases.jsonl", canonical.dump_lines(self._sorted_cases()))
        put("examples.jsonl", canonical.dump_lines(self.examples))
        put("trace.jsonl", canonical.dump_lines(self.trace))
        put("predictions.jsonl", canonical.dump_lines(self.predictions))
        put("evaluation.json", canonical.dumps(self.evaluation))
        put("snapshot.json", canonical.dumps(self.snapshot))
        put("spec.lock.json", canonical.dumps(self.lock))
        put("adapter_config.json", adapter_config.derive(self.lock, self.modules))
        for name, data in self.overrides.items():
            if name != "receipt.json":
                made.setdefault(name, data)
        put("README.md", b"")
        if "README.md" not in self.overrides:
            made["README.md"] = card.render(
                receipt=self._receipt_document(made), lock=self.lock, evaluation=self.evaluation
            )
        return made

    def _receipt_document(self, made: dict[str, bytes]) -> Row:
        return derive_receipt(
            lock=self.lock,
            snapshot=self.snapshot,
            modules=self.modules,
            examples=self.examples,
            trace=self.trace,
            members={name: (digest.of_bytes(data), len(data)) for name, data in made.items()},
        )

    def receipt(self) -> bytes:
        """The bytes of receipt.json."""
        made = self.overrides.get("receipt.json")
        return made or canonical.dumps(self._receipt_document(self.members()))

    def content_id(self) -> digest.Digest:
        """The content id that sealing will give."""
        everything = {"receipt.json": self.receipt(), **self.members()}
        return digest.of_bytes(
            build_manifest(
                Member(name=name, digest=digest.of_bytes(data), size=len(data))
                for name, data in everything.items()
            )
        )

    def predicates(self) -> dict[str, Row]:
        """The predicates of the five claims, by type."""
        made = self.members()
        report = kscore_claim.claim(
            self.evaluation,
            evaluation_digest=digest.of_bytes(made["evaluation.json"]),
            size_bytes=sum(len(made[name]) for name in kscore.SIZED_MEMBERS),
            p50_latency_us=1000,
            p95_latency_us=2000,
            latency_calls=30,
            cost_usd_per_call="0",
            gate_k=self.lock["evaluation"]["floors"]["k"],
            pack=KscorePack(root=self.pack_root(), owner="publisher"),
            machine=KscoreMachine(cpu="toy", threads=2, device="cpu", memory_bytes=2**30),
            measured_on=predicates.instant(NOW),
        )
        floors = [(floor["name"], floor["passed"]) for floor in self.evaluation["floors"]]
        floors.append(("k", report["gate"]["k_passed"]))
        build = making.Build(
            name=self.lock["name"],
            spec=digest.of_bytes(b"spec"),
            lock=digest.of_bytes(made["spec.lock.json"]),
            base_id=self.lock["base"]["id"],
            base_root=self.lock["base"]["root"],
            snapshot=digest.of_bytes(made["snapshot.json"]),
            snapshot_root=self.snapshot["root"],
            environment=self.lock["environment"],
            version="0.1.0",
            started=NOW - timedelta(hours=1),
            finished=NOW,
            measured={"train_seconds": "12.5"},
        )
        return {
            predicates.PROVENANCE: making.provenance(build),
            predicates.MODULES: making.modules(
                modules=digest.of_bytes(made["modules.jsonl"]),
                base_root=self.lock["base"]["root"],
                words=claimed_words((row["role"], row["state"]) for row in self.modules),
            ),
            predicates.KSCORE: report,
            predicates.TEST_RESULT: making.test_result(
                passed=[name for name, ok in floors if ok is True],
                failed=[name for name, ok in floors if ok is False],
                configuration={
                    name: digest.of_bytes(made[name])
                    for name in ("evaluation.json", "spec.lock.json")
                },
            ),
            predicates.COMPUTE: self._compute(),
        }

    def _compute(self) -> Row:
        train = self.lock["train"]
        terms = dict.fromkeys((*RECOUNTED, "tower"), 0)
        # What a forger broke cannot be counted; the checks before V56 say so.
        with contextlib.suppress(KolmError, LookupError, ZeroDivisionError):
            family = roles.family(self.lock["base"]["family"])
            base = of_modules(self.modules, family)
            method = resolved_again(
                method_of(train["method"]),
                family,
                vision=train["freeze"]["vision"] is False,
                projector=train["projector"],
            )
            terms |= recount(
                lock=self.lock,
                reading=reading_of(read_schedule(self.lock), self.examples),
                trace=self.trace,
                base=base,
                method=method,
                shared=False,
            )
            validation = list(self._shown("validation").values()) if train["validation"] else []
            read = Read(self._shown("train"), validation, self.trace)
            terms["tower"] = tower_operations(base, read.shown(self.lock), method)
        return {
            "flops": flops_of(terms),
            "measured": {
                "energy": {"absent": "no RAPL counter of a toy"},
                "from_step": 0,
                "observed_peak_bytes": 2**29,
                "seconds": "12.5",
            },
            "modifier_test": modifier_test(sum(terms.values()), self.lock),
            "predicted_peak_bytes": 2**29,
            "shared_prompts": False,
        }

    def sights(self, capture: str) -> list[Row]:
        """What the tower of the toy is shown of a capture."""
        (row,) = (row for row in self.snapshot_rows if row["capture"] == capture)
        form = {"max_pixels": 0, "among": False, "sequences": 1, "numbers": PICTURE_NUMBERS}
        return [{"pixels": image["pixels"], **form} for image in row["images"]]

    def _shown(self, side: str) -> dict[int, list[Sight]]:
        captures = [row["capture"] for row in self.snapshot_rows if row["split"] == side]
        said = [row for row in self.examples if row["side"] == side]
        return {
            position: [
                Sight((s["pixels"], 0, False), s["sequences"], s["numbers"])
                for s in self.sights(capture)
            ]
            for position, capture in enumerate(captures)
            if "dropped" not in said[position]
        }

    def pack_root(self) -> digest.Digest:
        """The Merkle root of the snapshot's eval lines."""
        lines = [canonical.dumps(row) for row in self.snapshot_rows if row["split"] == "eval"]
        return digest.merkle_root(lines)

    def claims(
        self,
        key: PrivateKey,
        *,
        change: Callable[[dict[str, Row]], None] | None = None,
        subject: digest.Digest | None = None,
    ) -> list[bytes]:
        """The five claims, signed by `key`.

        `change` edits the predicates (by type) before they are signed, `subject` replaces the
        content id: both forge as the holder of the key could.
        """
        wanted = self.predicates()
        if change is not None:
            change(wanted)
        about = subject or self.content_id()
        return [
            making.seal(making.statement(about, self.lock["name"], kind, predicate), key)
            for kind, predicate in wanted.items()
        ]

    def seal(
        self, path: Path, *, key: PrivateKey | None = None, claims: Sequence[bytes] = ()
    ) -> Path:
        """Write the bundle, signed when a key is given."""
        signed = self.claims(key) if key else []
        writer.seal(
            path,
            receipt=self.receipt(),
            members=self.members(),
            claims=[*signed, *claims],
            force=True,
        )
        return path


def make_parts(
    folder: Path,
    *,
    cases: int = 50,
    train: int = 5,
    method: Row | None = None,
    projector: str = "full",
    objective: Row | None = None,
    modules: Sequence[ToyModule] = TOY,
) -> BundleParts:
    """The documents of a toy compile; its base is written to ``folder/base``.

    `method` has the options of a spec's ``train.method``; `projector` is its ``train.projector``,
    `objective` its ``train.objective``; `modules` are those of the base.
    """
    block = toy_documents.make_method(**method or {})
    base = write_base(folder / "base", modules)
    pairs = OBJECTIVES[(objective or {}).get("kind", "sft")].PAIRED
    captures = toy_documents.make_captures(cases, train, pairs=pairs)
    eval_cases = sorted((c for c, s in captures if s == "eval"), key=digest.of_value)
    rows = sorted(
        (toy_documents.make_snapshot_row(c, s) for c, s in captures), key=lambda row: row["capture"]
    )
    weights = toy_documents.make_weights(block, projector, modules)
    parts = BundleParts(
        base=base,
        lock=toy_documents.make_lock(base, block, projector, objective or {}),
        snapshot=toy_documents.make_snapshot(rows),
        snapshot_rows=rows,
        cases=eval_cases,
        modules=[toy_documents.make_module_row(module, weights, block) for module in modules],
        predictions=[
            toy_documents.make_prediction(case, number) for number, case in enumerate(eval_cases)
        ],
        evaluation={},
        tensors=weights,
    )
    parts.rescore()
    parts.members()
    return parts


def read_parts(path: Path, base: Path) -> BundleParts:
    """The documents of a bundle that was really compiled, open to change; nothing is remade."""
    bundle = Bundle.open(path)
    weights = bytes(bundle.member("adapter_model.safetensors"))
    parts = BundleParts(
        base=base,
        lock=copy.deepcopy(bundle.document("spec.lock.json")),
        snapshot=copy.deepcopy(bundle.document("snapshot.json")),
        snapshot_rows=_rows_of(bundle, "snapshot.jsonl"),
        cases=_rows_of(bundle, "evalcases.jsonl"),
        modules=_rows_of(bundle, "modules.jsonl"),
        predictions=_rows_of(bundle, "predictions.jsonl"),
        evaluation=copy.deepcopy(bundle.document("evaluation.json")),
        tensors={
            entry.name: (entry.dtype, entry.shape, weights[entry.start : entry.end])
            for entry in tensors.parse_header(weights, where=path.name)
        },
        examples=_rows_of(bundle, "examples.jsonl"),
        trace=_rows_of(bundle, "trace.jsonl"),
        followed={"examples": [], "trace": []},
    )
    assert parts.content_id() == bundle.content_id  # what is sealed unchanged is the same content
    return parts


def _rows_of(bundle: Bundle, name: str) -> list[Row]:
    return [copy.deepcopy(row) for row in bundle.rows(name)]  # equal ones may be shared


def make_bundle(
    folder: Path, *, key: PrivateKey | None = None, name: str = "toy.kolm", **changes: Any
) -> Path:
    """Write one toy bundle and give its path; `changes` replace fields of `BundleParts`."""
    parts = make_parts(folder)
    for attribute, value in changes.items():
        setattr(parts, attribute, value)
    return parts.seal(folder / name, key=key)


CONTAINER_RULES = {
    "V01": container_rules.tar_grammar,
    "V02": container_rules.sizes_within_limits,
    "V03": container_rules.blobs_match_names,
    "V04": container_rules.closed_world,
    "V05": container_rules.layout_is_derived,
    "V09": container_rules.content_id_holds,
}


def container_failures(path: Path) -> dict[str, set[str]]:
    """The codes of everything that the container rules refuse, by check."""
    container = open_container(path)
    found: dict[str, set[str]] = {}
    for number, rule in CONTAINER_RULES.items():
        try:
            for error in rule(container):
                found.setdefault(number, set()).add(error.code)
        except KolmError as error:
            found.setdefault(number, set()).add(error.code)
    return found


def read_entries(path: Path) -> list[tuple[str, bytes]]:
    """The entries of a bundle file in order, to be forged."""
    container = open_container(path)
    return [(entry.name, bytes(container.read(entry))) for entry in container.entries]


def write_tar(path: Path, entries: Iterable[tuple[str, bytes]], *, end: bytes = tar.END) -> Path:
    """Write entries as a grammatical tar, whatever they say."""
    pieces = [tar.header(name, len(data)) + data + tar.padding(len(data)) for name, data in entries]
    path.write_bytes(b"".join(pieces) + end)
    return path


def blob(data: bytes) -> tuple[str, bytes]:
    """The entry of a blob."""
    return tar.blob_name(digest.hex_of(digest.of_bytes(data))), data


def write_raw(
    path: Path, manifest: bytes, members: dict[str, bytes], claims: Sequence[bytes] = ()
) -> Path:
    """Write a bundle around any manifest bytes, without the writer's refusals.

    `members` gives the blobs by name; the receipt is `receipt.json`.
    """
    made = [layout.claim_of(data, manifest) for data in claims]
    made.sort(key=lambda claim: claim.manifest_digest)
    blobs = [manifest, members["receipt.json"]]
    blobs += [layout.EMPTY] if made else []
    blobs += [part for claim in made for part in (claim.manifest, claim.data)]
    layers = [data for name, data in members.items() if name != "receipt.json"]
    blobs += sorted(layers, key=lambda data: (len(data), digest.of_bytes(data)))
    entries = [
        (layout.LAYOUT_NAME, layout.LAYOUT),
        (layout.INDEX_NAME, layout.index_of(manifest, made)),
    ]
    entries += [blob(data) for data in dict.fromkeys(blobs)]
    return write_tar(path, entries)

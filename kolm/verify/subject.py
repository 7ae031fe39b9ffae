"""What is being audited, as the checks see it: the bundle's parts and the auditor's own material.

Nothing here judges. Properties that parse a document raise its error; the verifier asks for the
documents that a check `reads` before it runs the check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from kolm import canonical, digest, roles
from kolm.bundle import references
from kolm.bundle.container import Container
from kolm.bundle.documents import KEPT_BYTES, Documents, Rows, read_rows
from kolm.bundle.snapshot_lines import SnapshotLines
from kolm.bundle.tensors import TensorEntry
from kolm.digest import Digest
from kolm.errors import KolmError, Refused
from kolm.format.names import (
    CASES,
    EVALUATION,
    LINES,
    LOCK,
    MODULES,
    PREDICTIONS,
    RECEIPT,
    SNAPSHOT,
    WEIGHTS,
)
from kolm.methods import (
    Method,
    StoredTensor,
    TensorName,
    has_experts,
    method_of,
    read_name,
    resolved_again,
)
from kolm.methods.projector import in_projector, is_linear
from kolm.records import kinds
from kolm.records.verification import CheckResult, Rescore, Verdict
from kolm.roles import Family, Role
from kolm.sign.trust import TrustStore
from kolm.verify.claim_states import ClaimStates, read_claims
from kolm.verify.policy import BUILT_IN, Policy

if TYPE_CHECKING:
    from kolm.bundle.base_root import BaseFacts, Memory
    from kolm.bundle.derived import Derived
    from kolm.format.v1 import Rules
    from kolm.records.documents import (
        Capture,
        Evaluation,
        Lock,
        ModulesRow,
        PredictionsRow,
        Receipt,
        Snapshot,
    )
    from kolm.run.documents import Recounted
    from kolm.score.cases import Case
    from kolm.verify.ports import CaptureReader, ReplayRequest, RescoreRequest
    from kolm.verify.replay import Outcome
    from kolm.verify.requests import Request


D = TypeVar("D")
MANIFEST: Final = "manifest"  # not a member; in a check's `reads` it stands for what names them

WITHHELD: Final = "the publisher withheld prompts and references (publish.text: false)"


class Auditor(NamedTuple):
    """What the auditor brings.

    Attributes:
        trust: whose keys are believed.
        now: the time that the report carries; no check depends on it.
        policy: what is demanded.
        base: a folder with the base, for V40 to V43.
        measure: measures it; without one it is measured here.
        memory: what is remembered of its weights; without one every byte of it is read.
        captures: the auditor's capture store, for V47 to V49.
        rescore: how much to run again and how, for V46 and V55.
        replay: how much of the training to run again and how, for V50 to V54.
        request: what a buyer asked for, for V68; its policy is then what is demanded.
        expected_id: the content id that was asked for, for V09.
    """

    trust: TrustStore
    now: datetime
    policy: Policy = BUILT_IN
    base: Path | None = None
    measure: Callable[[Path], BaseFacts] | None = None
    memory: Memory | None = None
    captures: CaptureReader | None = None
    rescore: RescoreRequest | None = None
    replay: ReplayRequest | None = None
    request: Request | None = None
    expected_id: Digest | None = None

    def base_folder(self) -> Path:
        """The base's folder, in checks that have seen that there is one."""
        if self.base is None:
            raise AssertionError("a check of the base ran without one")
        return self.base

    def store(self) -> CaptureReader:
        """The capture store, in checks that have seen that there is one."""
        if self.captures is None:
            raise AssertionError("a check of the captures ran without them")
        return self.captures

    def asked(self) -> Request:
        """The buyer's request, in checks that have seen that there is one."""
        if self.request is None:
            raise AssertionError("a check of the request ran without one")
        return self.request


class _Member(Generic[D]):
    """A member as a property of the subject; reading it raises what is wrong with it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, subject: Subject, _: object = None) -> D:
        value: D = subject.documents.value(self._name)
        return value


class Subject:
    """One bundle under audit; `results` grows as the checks are answered."""

    receipt: _Member[Receipt] = _Member(RECEIPT)
    lock: _Member[Lock] = _Member(LOCK)
    snapshot: _Member[Snapshot] = _Member(SNAPSHOT)
    lines: _Member[SnapshotLines] = _Member(LINES)
    modules: _Member[Rows[ModulesRow]] = _Member(MODULES)
    predictions: _Member[Rows[PredictionsRow]] = _Member(PREDICTIONS)
    evaluation: _Member[Evaluation] = _Member(EVALUATION)
    adapter: _Member[tuple[TensorEntry, ...]] = _Member(WEIGHTS)

    def __init__(self, container: Container, auditor: Auditor) -> None:
        """Look up the members that the manifest names; a manifest that cannot be read has none."""
        self.container = container
        self.auditor = auditor
        self.results: dict[str, CheckResult] = {}
        self.manifest_error: KolmError | None = None
        self.digests: dict[str, Digest] = {}
        self.documents = Documents({})
        self._roles: dict[str, Role] = {}
        self.outcome: Outcome | None = None  # of a replay, once it has run
        self.rescored: Rescore | None = None  # which answers were made again
        self.recounted: Recounted | None = None  # of all captures, once they were encoded again
        try:
            self.digests |= {m.name: m.digest for m in container.manifest.members}
            self.documents = Documents.of(container)
        except KolmError as error:
            self.manifest_error = error.again()

    @property
    def rules(self) -> type[Rules]:
        """What follows from what, in the version that the bundle states."""
        return self.documents.rules

    @cached_property
    def content_id(self) -> Digest | None:
        """The digest of the stored manifest, or None when there is none."""
        try:
            return digest.of_bytes(self.container.subject)
        except KolmError:
            return None

    @cached_property
    def claims(self) -> ClaimStates:
        """Every claim in the file, and what became of it."""
        if self.manifest_error is not None or self.content_id is None:
            return ClaimStates(())
        found, _ = self.container.claims
        return read_claims(found, self.auditor.trust, self.content_id)

    @cached_property
    def receipt_differences(self) -> tuple[references.Difference, ...]:
        """Each field in which the receipt is not the one that the other members make."""
        return tuple(references.receipt_differences(self.documents))

    def tensor_bytes(self, entry: TensorEntry) -> memoryview:
        """The bytes of one adapter tensor, in place."""
        return self.documents.raw(WEIGHTS)[entry.start : entry.end]

    @cached_property
    def modules_by_name(self) -> dict[str, ModulesRow]:
        """The modules rows by module name."""
        return {row["module"]: row for row in self.modules}

    @property
    def declared(self) -> list[str]:
        """The ids of the declared eval cases, by the snapshot's lines, sorted."""
        lines = self.lines
        return sorted(lines.captures[number] for number in lines.of_split("eval"))

    @property
    def scores_recomputed(self) -> bool:
        """Whether the scores were made again from references and outputs (V32, V33)."""
        return all(self.results[number].verdict is Verdict.OK for number in ("V32", "V33"))

    def cases_obstacle(self) -> str | None:
        """Why no check can read the eval cases; None when they are in the bundle, or all of them
        in the auditor's capture store.
        """
        if CASES in self.documents:
            return self.documents.obstacle(CASES)
        if self.auditor.captures is None:
            return WITHHELD
        obstacle = self.documents.obstacle(LINES)
        if obstacle is None and self.cases_not_held:
            return f"{WITHHELD}, and the capture store does not hold all of them (V30)"
        return obstacle

    @cached_property
    def _stored_cases(self) -> dict[str, bytes]:
        """The declared eval cases that the auditor's capture store holds, by id."""
        wanted = set(self.declared)
        captures = self.auditor.captures.captures() if self.auditor.captures else ()
        named = ((digest.of_bytes(data), data) for data in captures)
        return {case: data for case, data in named if case in wanted}

    @cached_property
    def cases_not_held(self) -> list[str]:
        """The declared eval cases that the auditor's capture store does not hold."""
        return sorted(set(self.declared) - self._stored_cases.keys())

    @cached_property
    def cases_text(self) -> bytes | memoryview:
        """The eval cases as evalcases.jsonl holds them: the member, or made from the store."""
        if CASES in self.documents:
            return self.documents.raw(CASES)
        return b"".join(self._stored_cases[case] + b"\n" for case in self.declared)

    @cached_property
    def case_ids(self) -> tuple[Digest, ...]:
        """The recomputed ids of the eval cases, in the order of the file."""
        return tuple(map(digest.of_bytes, canonical.split_lines(self.cases_text, where=CASES)))

    @cached_property
    def _case_rows(self) -> Iterable[Capture]:
        if CASES in self.documents:
            rows: Rows[Capture] = self.documents.value(CASES)
            return rows
        keep = len(self.cases_text) <= KEPT_BYTES
        return read_rows(kinds.CAPTURE, self.cases_text, "capture store", keep=keep)

    def case_rows(self) -> Iterator[tuple[Digest, Capture]]:
        """The eval cases with their recomputed ids, in the order of the file.

        Raises:
            Refused: a capture of the store that is no strict, canonical capture.
        """
        return zip(self.case_ids, self._case_rows, strict=True)

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The eval cases as scoring sees them.

        Raises:
            Refused: a case that does not end with the assistant's answer.
        """
        return self.rules.build_cases(self.case_rows())

    @cached_property
    def pack_root(self) -> Digest:
        """The Merkle root of the snapshot's eval lines: the identity of the bundle's own cases."""
        lines = self.lines
        return digest.merkle_root(lines.leaves[number] for number in lines.of_split("eval"))

    @cached_property
    def base_facts(self) -> BaseFacts:
        """The auditor's own base, measured.

        Raises:
            KolmError: it cannot be read, or is no base.
        """
        from kolm.bundle.base_root import base_root

        auditor, folder = self.auditor, self.auditor.base_folder()
        return auditor.measure(folder) if auditor.measure else base_root(folder, auditor.memory)

    @cached_property
    def derived(self) -> Derived:
        """What is remembered of the base's tensors besides their digests.

        Raises:
            KolmError: as `base_facts`.
        """
        from kolm.bundle.derived import Derived

        auditor = self.auditor
        return Derived(auditor.base_folder(), self.base_facts.tensors, auditor.memory)

    @cached_property
    def family(self) -> Family | None:
        """The family's role table, or None for a family that this kolm does not know."""
        try:
            return roles.family(self.lock["base"]["family"])
        except Refused:
            return None

    def known_family(self) -> Family:
        """The family's table, in checks that need V20."""
        if self.family is None:
            raise AssertionError("a check that needs V20 ran without a family")
        return self.family

    @cached_property
    def adaptable_roles(self) -> frozenset[Role]:
        """The roles in which a delta may stand, by the lock's freeze rules."""
        train, found = self.lock["train"], {Role.LANGUAGE}
        if train["freeze"]["vision"] is False:
            found.add(Role.VISION)
        if train["projector"] == "lora":
            found.add(Role.PROJECTOR)
        return frozenset(found)

    @cached_property
    def replaceable_roles(self) -> frozenset[Role]:
        """The roles whose weights may be shipped whole, by the lock's freeze rules."""
        whole = self.lock["train"]["projector"] == "full"
        return frozenset({Role.PROJECTOR}) if whole else frozenset()

    def role_of(self, row: ModulesRow) -> Role:
        """The role of a row of ``modules.jsonl``, by its tensors' names and kolm's own table."""
        module = row["module"]
        if module not in self._roles:
            tensors = [owned["name"] for owned in (*row["parameters"], *row["buffers"])]
            self._roles[module] = self.known_family().role_of_module(module, tensors)
        return self._roles[module]

    def in_projector(self, module: str) -> bool:
        """Whether the module is, or lies below, one that the family trains whole."""
        return in_projector(module, self.known_family())

    @cached_property
    def _stated_method(self) -> Method:
        return method_of(self.lock["train"]["method"])

    @property
    def method_type(self) -> type[Method]:
        """What is true of the lock's method whatever its settings."""
        return type(self._stated_method)

    @cached_property
    def method(self) -> Method:
        """The method, recomputed from its options and the family's table.

        The one that the lock states is never asked anything: its patterns are whatever somebody
        wrote, and one can be no pattern at all or take hours.

        Raises:
            Refused: a target that the family does not have, or a role that the method cannot adapt.
        """
        train = self.lock["train"]
        return resolved_again(
            self._stated_method,
            self.known_family(),
            vision=train["freeze"]["vision"] is False,
            projector=train["projector"],
        )

    def is_target(self, row: ModulesRow) -> bool:
        """Whether a module is to get a delta, by what is recomputed from lock and family."""
        if re.fullmatch(self.method.target_expression, row["module"]):
            return True
        if has_experts(self.method, row["module"]):
            return True
        if self.lock["train"]["projector"] != "lora" or not self.in_projector(row["module"]):
            return False
        return is_linear({owned["name"]: owned["shape"] for owned in row["parameters"]})

    @cached_property
    def adapter_names(self) -> tuple[tuple[TensorEntry, TensorName], ...]:
        """The tensors of the adapter with what their names say."""
        parameters = {
            name: frozenset(owned["name"] for owned in row["parameters"])
            for name, row in self.modules_by_name.items()
        }
        return tuple(
            (entry, read_name(entry.name, self.method_type, parameters)) for entry in self.adapter
        )

    def stored(self, entry: TensorEntry) -> StoredTensor:
        """One adapter tensor as a method reads it."""
        return StoredTensor(entry.dtype, entry.shape, self.tensor_bytes(entry))

"""The kinds of documents: the name of a schema, with the type of what fits it.

Written by docs/generate.py; edit schemas/ instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kolm.schema import DocumentKind

if TYPE_CHECKING:
    from kolm.records.documents import (
        Capture,
        Checkpoint,
        Entry,
        Envelope,
        Evaluation,
        ExamplesRow,
        Kscore,
        Lock,
        Manifest,
        Metric,
        ModulesRow,
        Policy,
        PredicateModules,
        PredicateProvenance,
        PredicateTestResult,
        PredicateVerificationSummary,
        PredictionsRow,
        Receipt,
        Registry,
        Seen,
        Snapshot,
        SnapshotRow,
        Spec,
        Statement,
        TraceRow,
        Trust,
        Verification,
    )

CAPTURE: Final[DocumentKind[Capture]] = DocumentKind("capture")
CHECKPOINT: Final[DocumentKind[Checkpoint]] = DocumentKind("checkpoint")
ENTRY: Final[DocumentKind[Entry]] = DocumentKind("entry")
ENVELOPE: Final[DocumentKind[Envelope]] = DocumentKind("envelope")
EVALUATION: Final[DocumentKind[Evaluation]] = DocumentKind("evaluation")
EXAMPLES_ROW: Final[DocumentKind[ExamplesRow]] = DocumentKind("examples_row")
KSCORE: Final[DocumentKind[Kscore]] = DocumentKind("kscore")
LOCK: Final[DocumentKind[Lock]] = DocumentKind("lock")
MANIFEST: Final[DocumentKind[Manifest]] = DocumentKind("manifest")
METRIC: Final[DocumentKind[Metric]] = DocumentKind("metric")
MODULES_ROW: Final[DocumentKind[ModulesRow]] = DocumentKind("modules_row")
POLICY: Final[DocumentKind[Policy]] = DocumentKind("policy")
PREDICATE_MODULES: Final[DocumentKind[PredicateModules]] = DocumentKind("predicate_modules")
PREDICATE_PROVENANCE: Final[DocumentKind[PredicateProvenance]] = DocumentKind("predicate_provenance")
PREDICATE_TEST_RESULT: Final[DocumentKind[PredicateTestResult]] = DocumentKind("predicate_test_result")
PREDICATE_VERIFICATION_SUMMARY: Final[DocumentKind[PredicateVerificationSummary]] = DocumentKind("predicate_verification_summary")
PREDICTIONS_ROW: Final[DocumentKind[PredictionsRow]] = DocumentKind("predictions_row")
RECEIPT: Final[DocumentKind[Receipt]] = DocumentKind("receipt")
REGISTRY: Final[DocumentKind[Registry]] = DocumentKind("registry")
SEEN: Final[DocumentKind[Seen]] = DocumentKind("seen")
SNAPSHOT: Final[DocumentKind[Snapshot]] = DocumentKind("snapshot")
SNAPSHOT_ROW: Final[DocumentKind[SnapshotRow]] = DocumentKind("snapshot_row")
SPEC: Final[DocumentKind[Spec]] = DocumentKind("spec")
STATEMENT: Final[DocumentKind[Statement]] = DocumentKind("statement")
TRACE_ROW: Final[DocumentKind[TraceRow]] = DocumentKind("trace_row")
TRUST: Final[DocumentKind[Trust]] = DocumentKind("trust")
VERIFICATION: Final[DocumentKind[Verification]] = DocumentKind("verification")

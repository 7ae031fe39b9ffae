"""The kinds of documents: the name of a schema, with the type of what fits it.

Written by docs/generate.py; edit schemas/ instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kolm.schema import Kind

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

CAPTURE: Final[Kind[Capture]] = Kind("capture")
CHECKPOINT: Final[Kind[Checkpoint]] = Kind("checkpoint")
ENTRY: Final[Kind[Entry]] = Kind("entry")
ENVELOPE: Final[Kind[Envelope]] = Kind("envelope")
EVALUATION: Final[Kind[Evaluation]] = Kind("evaluation")
EXAMPLES_ROW: Final[Kind[ExamplesRow]] = Kind("examples_row")
KSCORE: Final[Kind[Kscore]] = Kind("kscore")
LOCK: Final[Kind[Lock]] = Kind("lock")
MANIFEST: Final[Kind[Manifest]] = Kind("manifest")
METRIC: Final[Kind[Metric]] = Kind("metric")
MODULES_ROW: Final[Kind[ModulesRow]] = Kind("modules_row")
POLICY: Final[Kind[Policy]] = Kind("policy")
PREDICATE_MODULES: Final[Kind[PredicateModules]] = Kind("predicate_modules")
PREDICATE_PROVENANCE: Final[Kind[PredicateProvenance]] = Kind("predicate_provenance")
PREDICATE_TEST_RESULT: Final[Kind[PredicateTestResult]] = Kind("predicate_test_result")
PREDICATE_VERIFICATION_SUMMARY: Final[Kind[PredicateVerificationSummary]] = Kind("predicate_verification_summary")
PREDICTIONS_ROW: Final[Kind[PredictionsRow]] = Kind("predictions_row")
RECEIPT: Final[Kind[Receipt]] = Kind("receipt")
REGISTRY: Final[Kind[Registry]] = Kind("registry")
SEEN: Final[Kind[Seen]] = Kind("seen")
SNAPSHOT: Final[Kind[Snapshot]] = Kind("snapshot")
SNAPSHOT_ROW: Final[Kind[SnapshotRow]] = Kind("snapshot_row")
SPEC: Final[Kind[Spec]] = Kind("spec")
STATEMENT: Final[Kind[Statement]] = Kind("statement")
TRACE_ROW: Final[Kind[TraceRow]] = Kind("trace_row")
TRUST: Final[Kind[Trust]] = Kind("trust")
VERIFICATION: Final[Kind[Verification]] = Kind("verification")

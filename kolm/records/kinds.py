"""The kinds of documents: the name of a schema, with the type of what fits it.

Written by docs/generate.py; edit schemas/ instead. One that no code takes apart is a mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from kolm.schema import DocumentKind

if TYPE_CHECKING:
    from kolm.records import documents

CAPTURE: Final[DocumentKind[documents.Capture]] = DocumentKind("capture")
CHECKPOINT: Final[DocumentKind[documents.Checkpoint]] = DocumentKind("checkpoint")
CORPUS: Final[DocumentKind[documents.Corpus]] = DocumentKind("corpus")
DECLARED: Final[DocumentKind[documents.Declared]] = DocumentKind("declared")
DOSSIER: Final[DocumentKind[Mapping[str, object]]] = DocumentKind("dossier")
ENTRY: Final[DocumentKind[documents.Entry]] = DocumentKind("entry")
ENVELOPE: Final[DocumentKind[Mapping[str, object]]] = DocumentKind("envelope")
EVALUATION: Final[DocumentKind[documents.Evaluation]] = DocumentKind("evaluation")
EXAMPLES_ROW: Final[DocumentKind[documents.ExamplesRow]] = DocumentKind("examples_row")
JUDGEMENT_ROW: Final[DocumentKind[documents.JudgementRow]] = DocumentKind("judgement_row")
KSCORE: Final[DocumentKind[documents.Kscore]] = DocumentKind("kscore")
LOCK: Final[DocumentKind[documents.Lock]] = DocumentKind("lock")
MANIFEST: Final[DocumentKind[documents.Manifest]] = DocumentKind("manifest")
METRIC: Final[DocumentKind[Mapping[str, object]]] = DocumentKind("metric")
MODULES_ROW: Final[DocumentKind[documents.ModulesRow]] = DocumentKind("modules_row")
PAIRS: Final[DocumentKind[documents.Pairs]] = DocumentKind("pairs")
POLICY: Final[DocumentKind[documents.Policy]] = DocumentKind("policy")
PREDICATE_COMPUTE: Final[DocumentKind[documents.PredicateCompute]] = DocumentKind("predicate_compute")
PREDICATE_ENDORSEMENT: Final[DocumentKind[documents.PredicateEndorsement]] = DocumentKind("predicate_endorsement")
PREDICATE_EVAL_RESULT: Final[DocumentKind[documents.PredicateEvalResult]] = DocumentKind("predicate_eval_result")
PREDICATE_MODULES: Final[DocumentKind[documents.PredicateModules]] = DocumentKind("predicate_modules")
PREDICATE_PROVENANCE: Final[DocumentKind[documents.PredicateProvenance]] = DocumentKind("predicate_provenance")
PREDICATE_TEST_RESULT: Final[DocumentKind[documents.PredicateTestResult]] = DocumentKind("predicate_test_result")
PREDICATE_VERIFICATION_SUMMARY: Final[DocumentKind[documents.PredicateVerificationSummary]] = DocumentKind("predicate_verification_summary")
PREDICTIONS_ROW: Final[DocumentKind[documents.PredictionsRow]] = DocumentKind("predictions_row")
RECEIPT: Final[DocumentKind[documents.Receipt]] = DocumentKind("receipt")
REGISTRY: Final[DocumentKind[Mapping[str, object]]] = DocumentKind("registry")
REQUEST: Final[DocumentKind[documents.Request]] = DocumentKind("request")
SEEN: Final[DocumentKind[documents.Seen]] = DocumentKind("seen")
SNAPSHOT: Final[DocumentKind[documents.Snapshot]] = DocumentKind("snapshot")
SNAPSHOT_ROW: Final[DocumentKind[documents.SnapshotRow]] = DocumentKind("snapshot_row")
SPEC: Final[DocumentKind[Mapping[str, object]]] = DocumentKind("spec")
SPENT: Final[DocumentKind[documents.Spent]] = DocumentKind("spent")
STATEMENT: Final[DocumentKind[documents.Statement]] = DocumentKind("statement")
SWEEP_POINT: Final[DocumentKind[documents.SweepPoint]] = DocumentKind("sweep_point")
TRACE_ROW: Final[DocumentKind[documents.TraceRow]] = DocumentKind("trace_row")
TRAIN_FACTS: Final[DocumentKind[documents.TrainFacts]] = DocumentKind("train_facts")
TRUST: Final[DocumentKind[documents.Trust]] = DocumentKind("trust")
VERIFICATION: Final[DocumentKind[Mapping[str, object]]] = DocumentKind("verification")

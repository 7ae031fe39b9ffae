"""Dossier: the table of fields. What a document says, it takes from here.

A row names what its value rests on (checks, verdicts, or nothing for a declaration), and where each
document shows it: points of the G7's minimum elements by cluster and order (`g7`), of Annexes XI
and XII of Regulation (EU) 2024/1689 by number (`xi`, `xii`), of the Commission's template for the
summary of training content by section (`content`); parts of the JSON documents by word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from kolm import whole_schema
from kolm.dossier import values
from kolm.dossier.fields import Dossier, Field, Value

if TYPE_CHECKING:
    from kolm.report.facts import Facts

# What a group of fields rests on.
_CONTENT: Final = "V03 V04 V09"
_BASE: Final = "base_identity"
_SPLIT: Final = "V34"
_SCORES: Final = "V30 V31 V32 V33"
_PROCESS: Final = "V08 process"
_BUILD: Final = "V17"
_MEASURED: Final = "V36"
_COUNTED: Final = "V57"  # needs V56 and every capture encoded again: then all was counted again
DECLARED: Final = ""


def gather(facts: Facts) -> Dossier:
    """All fields of a verified bundle."""
    return Dossier(facts, FIELDS)


def row(
    name: str,
    title: str,
    read: Callable[[Facts], Value | None],
    rests: str,
    shown: str,
    declare: str = "",
    whose: Callable[[Facts], str | None] | None = None,
) -> Field:
    """A field as the table writes it: checks and places in words."""
    places = (part.split() for part in shown.split(","))
    shown_at = {document: tuple(points) for document, *points in places}
    return Field(name, title, read, tuple(rests.split()), shown_at, declare, whose)


# A row of the table reads as a row.
# fmt: off


def _model() -> Iterator[Field]:
    yield row("name", "Name", lambda f: f.receipt["name"], DECLARED,
              "g7 SLP.1 MDL.1 DP.1, content 1.2, cdx name, spdx name, xi 1, xii 1")
    yield row("content_id", "Content id, which is the version",
              lambda f: f.bundle.content_id, _CONTENT,
              "g7 SLP.4 MDL.2 MDL.3 MDL.7, xi 1, xii 1, content 1.2, cdx version, spdx version")
    yield row("cid", "Content id as a CID", lambda f: f.bundle.cid, _CONTENT, "g7 MDL.2")
    yield row("hash_algorithm", "Hash algorithm", lambda _: "SHA-256", _CONTENT, "g7 MDL.8")
    yield row("files", "Files with digest and size", values.members, _CONTENT,
              "g7 SLP.2 MDL.7, cdx components, spdx files")
    yield row("weights", "Digest of the weights", values.weights, "V03",
              "g7 MDL.7, cdx hashes, spdx hash")
    yield row("weights_bytes", "Bytes of the weights",
              partial(values.weights, size=True), "V03 V29", "g7 MDL.9, xii 2(a)")
    yield row("container", "Format of the file",
              lambda f: f.bundle.manifest["artifactType"], "V01 V04 V05",
              "g7 SLP.8, xi 2(a), xii 1(d) 2(a)")
    yield row("closed", "Data alone, no code", partial(values.check, number="V06"), "V04 V06 V07",
              "g7 SP.1")
    yield row("inputs", "Modality of inputs", values.inputs, f"V20 V21 {_BASE}",
              "g7 SLP.8 MDL.10, xi 1(e), xii 1(g) 2(b), content 1.3, cdx inputs")
    yield row("outputs", "Modality of outputs", lambda _: "text", "V20 V21",
              "g7 SLP.8 MDL.10, xi 1(e), xii 1(g) 2(b), cdx outputs")
    yield row("answer_tokens", "Tokens of an answer at most",
              lambda f: str(f.lock["evaluation"]["max_new_tokens"]), "V31", "g7 MDL.10, xii 2(b)")
    yield row("context", "Tokens of a training capture at most",
              lambda f: str(f.lock["train"]["max_seq_length"]), _PROCESS, "g7 MDL.10, xii 2(b)")
    yield row("family", "Architecture family", lambda f: f.receipt["base"]["family"],
              f"V20 V21 {_BASE}",
              "g7 MDL.9, xi 1(d), xii 1(f), cdx architecture, spdx type")
    yield row("modules", "Modules by role", values.modules, f"V21 V29 {_BASE}",
              "g7 MDL.9, xi 1(d), xii 1(f)")
    yield row("base_parameters", "Parameters of the base",
              lambda f: str(f.receipt["vlm_train"]["base_parameters"]), f"V29 {_BASE}",
              "g7 MDL.9, xi 1(d), xii 1(f)")
    yield row("parameters_by_role", "Parameters of the base by role", values.parameters,
              f"V21 V29 {_BASE}", "g7 MDL.9, xi 1(d)")
    yield row("trained_parameters", "Parameters trained",
              lambda f: str(f.receipt["vlm_train"]["trained_parameters"]), "V29",
              "g7 MDL.9, xi 1(d), xii 1(f)")
    yield row("states", "What is frozen, adapted, trained", values.states, "V21 V22 V24",
              "g7 MDL.9 MDL.11, xi 2(b), spdx training")
    yield row("method", "Method", values.method, "V22 V23 V25", "g7 MDL.11, xi 2(b), spdx training")
    yield row("targets", "Adapted layers", values.targets, "V22 V28", "g7 MDL.11, xi 2(b)")
    yield row("adapter_tensors", "Tensors of the adapter", values.adapter_tensors, "V22 V29",
              "g7 MDL.9")
    yield row("finite", "Finite numbers", partial(values.check, number="V26"), "V26", "g7 SP.1")
    yield row("active", "That the adapter changes something",
              partial(values.check, number="V27"), "V27", "g7 MDL.9")
    yield row("projector", "What is trained of the projector",
              lambda f: f.receipt["vlm_train"]["projector"] or "no projector", "V24 V28",
              "g7 MDL.11, xi 2(b)")
    yield row("loaders", "Opens in", values.loaders, "V25", "g7 SLP.8, xi 2(a), xii 1(d) 2(a)")
    yield row("base", "Base model", lambda f: f.lock["base"]["id"], DECLARED,
              "g7 MD.10 MDL.13, xi 1(d), content 1.2, cdx base, spdx base")
    yield row("base_root", "Merkle root of the base",
              lambda f: f.lock["base"]["root"], _BASE,
              "g7 MD.10 MDL.7, content 1.2, cdx base, spdx base")
    yield row("base_license", "Licence of the base",
              lambda f: f.lock["base"]["license"] or None, DECLARED,
              "g7 MDL.12, xi 1(f), xii 1(h), cdx base, spdx base")
    yield row("papers", "Where the architecture is described",
              lambda f: ", ".join(f.lock["base"]["papers"]) or None, DECLARED, "g7 MDL.13")


def _data() -> Iterator[Field]:
    said = {"train": "training", "validation": "validation", "eval": "evaluation"}
    for side, word in said.items():
        for what in ("captures", "images"):
            yield row(f"{side}_{what}", f"{what.capitalize()} for {word}",
                      partial(values.side, side=side, what=what), _SPLIT,
                      "g7 DP.7, xi 2(c), xii 2(c), content 1.3, spdx data, croissant description")
    yield row("captures", "Captures in all", partial(values.snapshot, name="captures"), _SPLIT,
              "g7 DP.7, croissant description")
    yield row("data_root", "Merkle root of the captures",
              partial(values.snapshot, name="root"), _SPLIT,
              "g7 DP.4 DP.5 DP.9, cdx data, spdx data, croissant identifier")
    yield row("training_root", "Merkle root of what was trained on",
              lambda f: f.lock["data"]["training"], "V08",
              "g7 DP.4 DP.5, content 1.3, cdx data, spdx data")
    yield row("cases_digest", "Digest of the eval cases", lambda f: f.lock["data"]["cases"], "V30",
              "g7 DP.5, cdx data, spdx data")
    yield row("rule", "How captures were divided", values.rule, _SPLIT,
              "g7 DP.6, xi 2(c), xii 2(c)")
    yield row("apart", "Images on two sides", partial(values.check, number="V39"), "V39",
              "g7 DP.6, xi 2(c)")
    yield row("near_duplicates", "Near duplicates", values.near, "V49", "g7 DP.6, xi 2(c)")
    yield row("questions", "Distinct questions of the evaluation",
              lambda f: str(f.evaluation["distinct_questions"]), _SCORES, "g7 DP.7, xi 2(c)")
    yield row("published", "What of the data is published", values.published, "V04 V38",
              "g7 DP.3, content 3.3")
    yield row("case_licences", "Licences that eval cases state",
              partial(values.of_cases, read=values.licence), DECLARED,
              "g7 DP.10, xi 2(c), croissant license")
    yield row("case_sources", "Sources that eval cases state",
              partial(values.of_cases, read=values.source), DECLARED, "g7 DP.6, xi 2(c)")
    yield row("data_tokens", "Tokens of the training captures", values.training_tokens, _COUNTED,
              "g7 DP.7, content 1.3")


def _training() -> Iterator[Field]:
    yield row("objective", "Objective", lambda f: f.lock["train"]["objective"]["kind"], _PROCESS,
              "g7 MDL.11, xi 2(b), spdx training")
    yield row("hyperparameters", "Settings", values.hyperparameters, _PROCESS,
              "g7 MDL.11, xi 2(b), spdx hyperparameter")
    yield row("quantisation", "Quantisation of the base while training",
              values.quantisation, _PROCESS, "g7 MDL.11, xi 2(b)")
    yield row("began_from", "Training began from", values.continues, _PROCESS,
              "g7 MDL.11, content 1.2")
    yield row("loss", "Training loss", values.loss, _PROCESS, "xi 2(b)")
    yield row("seeds", "Seeds, derived from base, data, settings and nonce",
              lambda f: {k: str(v) for k, v in f.lock["seeds"].items()}, "V08", "xi 2(b)")
    yield row("lock", "Digest of the resolved spec", lambda f: f.receipt["lock"], "V08",
              "g7 MDL.11, xi 2(b)")
    yield row("chain", "Last link of the chain of training states",
              lambda f: f.receipt["trace"]["chain"], "V08", "xi 2(b)")
    yield row("segments", "Segments that can be run again",
              lambda f: str(f.receipt["trace"]["segments"]), "V08", "xi 2(b)")
    yield row("compute", "Operations of the training, without those of the vision tower",
              partial(values.operations, tower=False), _COUNTED, "xi 2(d), g7 MDL.11",
              whose=values.counter)
    yield row("tower_compute", "Operations of the vision tower in the training",
              partial(values.operations, tower=True), _COUNTED, "xi 2(d), g7 MDL.11",
              whose=values.counter)
    yield row("threshold", "Beside a third of the base's training compute",
              values.against_threshold, _COUNTED, "xi 2(d)",
              whose=values.counter)
    yield row("train_seconds", "Seconds of training",
              lambda f: values.build(f, "byproducts", "annotations", "train_seconds"), _BUILD,
              "xi 2(d)",
              whose=values.builder)
    yield row("memory", "Bytes of memory at most",
              lambda f: values.build(f, "byproducts", "annotations", "peak_memory_bytes"), _BUILD,
              "xi 2(d), g7 INF.2",
              whose=values.builder)
    yield row("built_on", "Compiled on",
              lambda f: values.build(f, "metadata", "finishedOn"), _BUILD,
              "g7 MD.9 SLP.5 MDL.4, cdx timestamp, spdx created",
              whose=values.builder)
    yield row("builder", "Builder", lambda f: values.build(f, "builder", "id"), _BUILD, "g7 INF.1",
              whose=values.builder)
    yield row("software", "Software that compiled it", values.software, _BUILD,
              "g7 INF.1 MD.10, xi 2(a), xii 1(e), cdx software, spdx software")
    yield row("hardware", "Hardware that compiled it", values.hardware, _BUILD,
              "g7 INF.2, xi 2(d), xii 2(a)")
    yield row("environment_class", "Class of machines on which bits repeat",
              lambda f: f.lock["environment"]["class"], _PROCESS, "g7 INF.1")


def _scores() -> Iterator[Field]:
    kpi = "g7 KPI.2"
    metric = f"{kpi}, cdx metrics, spdx metric"
    goal = f"{metric}, xi 2(b)"
    yield row("metric", "Metric", lambda f: f.evaluation["metric"]["kind"], _SCORES, goal)
    yield row("accuracy", "Accuracy", lambda f: values.percent(f.evaluation["adapter"]), _SCORES,
              goal)
    yield row("clustered", "Accuracy's interval by groups of pictures", values.clustered, _SCORES,
              kpi)
    yield row("eval_cases", "Eval cases", lambda f: str(f.evaluation["cases"]), _SCORES, kpi)
    yield row("covered", "Cases answered in the metric's form",
              lambda f: str(f.evaluation["covered"]), _SCORES, kpi)
    yield row("base_accuracy", "Accuracy of the base alone",
              lambda f: values.percent(f.evaluation["base"]), _SCORES, metric)
    yield row("blind_accuracy", "Accuracy without the picture",
              lambda f: values.percent(f.evaluation["blind"]), _SCORES, metric)
    yield row("majority_accuracy", "Accuracy of the commonest answer",
              lambda f: f.evaluation["majority"]["accuracy"], _SCORES, metric)
    yield row("swapped_accuracy", "Accuracy by other cases' references",
              lambda f: values.percent(f.evaluation["swapped"]), _SCORES, metric)
    yield row("paired", "Adapter against base, case by case", values.paired, _SCORES, kpi)
    yield row("slices", "Accuracy by slice", values.slices, _SCORES, f"{kpi}, cdx metrics")
    yield row("worst_slice", "Accuracy of the worst slice", values.worst_slice, _SCORES, metric)
    yield row("figures", "Other figures of the metric", values.figures, _SCORES, kpi)
    yield row("floors", "Floors of the publisher", values.floors, _SCORES, kpi)
    yield row("kscore", "K-score", lambda f: values.score(f, lambda s: s["composite"]), _MEASURED,
              metric,
              whose=values.evaluator)
    yield row("gate", "Gate", lambda f: values.score(f, lambda s: s["gate"]["verdict"]), "V37", kpi,
              whose=values.evaluator)
    yield row("latency", "Median latency of an answer in microseconds",
              lambda f: values.score(f, lambda s: s["inputs"]["p50_latency_us"]), _MEASURED, metric,
              whose=values.evaluator)
    yield row("latency_p95", "Latency in microseconds that 95 % stay under",
              lambda f: values.score(f, lambda s: s["inputs"]["p95_latency_us"]), _MEASURED, kpi,
              whose=values.evaluator)
    yield row("cost", "Cost of an answer in US dollars",
              lambda f: values.score(f, lambda s: s["inputs"]["cost_usd_per_call"]), _MEASURED, kpi,
              whose=values.evaluator)
    yield row("measured_on", "Measured on",
              lambda f: values.score(f, lambda s: s["measured_on"]), _MEASURED, kpi,
              whose=values.evaluator)


def _security() -> Iterator[Field]:
    controls = (
        ("intact", "Every blob hashes to its name", "V03"),
        ("no_strangers", "Nothing else is in the file", "V04"),
        ("claims_signed", "Claims signed by trusted keys", "V11"),
        ("claims_bound", "Claims are about this very file", "V12"),
        ("claims_there", "Demanded claims are there", "V13"),
        ("keys_enough", "Enough different keys signed", "V14"),
        ("not_revoked", "No revoked key decides", "V15"),
    )
    for name, title, number in controls:
        yield row(name, title, partial(values.check, number=number), number, "g7 SP.1")
    yield row("signers", "Keys that signed", values.signers, "V10 V11 V12",
              "g7 MD.5 SP.1, cdx signers")
    yield row("policy", "Policy that the audit held it to", values.policy, "V13 V14 V65", "g7 SP.2")
    yield row("delta_scope", "What the file can change",
              partial(values.verdict, name="delta_scope"), "delta_scope", "g7 KPI.1")
    yield row("scores_verdict", "Whether scores follow from cases and answers",
              partial(values.verdict, name="scores"), "scores", "g7 KPI.1")
    yield row("vulnerabilities", "Known vulnerabilities", lambda _: None, DECLARED, "g7 SP.4")


# What only the publisher can say, and where it is asked for.
_DECLARED: Final = {
    "provider": "g7 MD.1 SLP.3 MDL.5, content 1.1, cdx supplier, spdx supplier, xi 1,"
    " croissant creator",
    "contact": "content 1.1, xi 1, cdx supplier",
    "representative": "content 1.1",
    "intended_use": "g7 SLP.9 MDL.6, xi 1(a), xii 1(a), cdx useCases, spdx application",
    "integration": "g7 SLP.6 SLP.7, xi 1(a) 2(a), xii 1(a) 1(d)",
    "acceptable_use": "xi 1(b), xii 1(b), cdx useCases",
    "limitations": "g7 MDL.6, cdx limitations, spdx limitation",
    "risks": "g7 MDL.6, cdx risks",
    "license": "g7 MDL.12, xi 1(f), xii 1(h), cdx licenses, spdx license",
    "release_date": "g7 MDL.4, xi 1(c), xii 1(c), content 1.2, spdx release",
    "distribution": "xi 1(c), xii 1(c)",
    "design": "xi 2(b)",
    "data_description": "g7 DP.1 DP.2 DP.3, xi 2(c), xii 2(c), content 1.3,"
    " croissant description, spdx data",
    "data_sources": "g7 DP.6, xi 2(c), xii 2(c), content 2.1 2.2 2.3 2.4 2.5 2.6",
    "data_collection": "g7 DP.6, xi 2(c), xii 2(c), content 1.3, spdx data",
    "data_curation": "xi 2(c), xii 2(c), spdx data",
    "data_license": "g7 DP.10, cdx data, spdx data, croissant license",
    "personal_data": "g7 DP.8, cdx data",
    "copyright": "content 3.1",
    "illegal_content": "content 3.2",
    "energy": "xi 2(e), spdx energy, cdx energy",
    "base_compute": "xi 2(d), xii 1(f)",
    "security_contact": "g7 SP.3, cdx security",
}

_TITLES: Final = {"license": "Licence of the adapter", "data_license": "Licence of the captures"}


def _of_the_publisher() -> Iterator[Field]:
    asked = whole_schema.load("declared")["properties"]
    for name, shown in _DECLARED.items():
        title = _TITLES.get(name, name.replace("_", " ").capitalize())
        yield row(name, title, partial(values.declared, name=name),
                  DECLARED, shown, asked[name]["description"])


FIELDS: Final = (
    *_model(), *_data(), *_training(), *_scores(), *_security(), *_of_the_publisher(),
)

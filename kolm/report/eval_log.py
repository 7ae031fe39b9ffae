"""Report: the evaluation as a log that Inspect reads (inspect_ai, log version 2).

One sample for each eval case: what was asked, the reference answers, the adapter's answer and its
score. What the base and the blind run answered stands in the metadata; pictures are named by their
digests. The log is no part of the bundle and signed by nobody; it names the bundle it is of.

It is one JSON document, or Inspect's archive: a zip of ``header.json``, which is the document
without its samples, a file for each sample, and ``summaries.json``. The archive's files lie in that
order, uncompressed and without times, so that the same bundle gives the same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from kolm.errors import Unreadable
from kolm.format import names
from kolm.metrics import metric_of
from kolm.report.facts import Case, Facts

if TYPE_CHECKING:
    from kolm.records.documents import CaptureMessage

_VERSION = 2
_STOPS = {
    "stop": "stop",
    "length": "max_tokens",
}  # as kolm and as Inspect call the end of an answer


_SUMMARISED = ("id", "epoch", "input", "target", "scores", "metadata")  # of a sample
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can state


def eval_log(facts: Facts, *, archive: bool = False) -> bytes:
    """The log of the bundle's own eval cases.

    Args:
        facts: of the bundle.
        archive: in the form of ``.eval`` files, not of ``.json`` files.

    Raises:
        Unreadable: ``E_EVAL_LOG_WITHHELD``: the bundle does not publish its cases, or no claim says
            when they were answered.
    """
    cases = list(facts.cases())
    scored = list(facts.kscores)
    counting = [pair for pair in scored if pair[0].by is not None]
    measured = [score["measured_on"] for _, score in counting or scored]
    if not cases or not measured:
        raise Unreadable(
            "E_EVAL_LOG_WITHHELD",
            "an evaluation log needs the eval cases and a K-score, and the bundle has not both",
            where=names.CASES if not cases else "claims",
            hint="ask the publisher for a bundle with publish.text: true",
        )
    kind, content = metric_of(facts.evaluation["metric"]).kind, str(facts.audit.bundle.digest)
    model = f"kolm/{facts.receipt['name']}"
    created = min(measured)
    mean = facts.evaluation["adapter"]
    header = {
        "version": _VERSION,
        "status": "success",
        "eval": {
            "created": created.replace("Z", "+00:00"),
            "task": facts.receipt["name"],
            "task_id": content,
            "run_id": content,
            "eval_id": content,
            "dataset": {
                "name": "eval side of the bundle's snapshot",
                "samples": len(cases),
                "sample_ids": [case.answers["case"] for case in cases],
            },
            "model": model,
            "config": {},
            "metadata": {"bundle": content, "base": facts.lock["base"]["id"]},
        },
        "plan": {},
        "results": {
            "total_samples": len(cases),
            "completed_samples": len(cases),
            "scores": [
                {
                    "name": kind,
                    "scorer": kind,
                    "metrics": {"mean": {"name": "mean", "value": number(mean["accuracy"])}},
                    "metadata": {
                        "interval_95": [mean["interval"]["low"], mean["interval"]["high"]]
                    },
                }
            ],
        },
        "stats": {"started_at": created.replace("Z", "+00:00")},
    }
    samples = [_sample(case, kind, model) for case in cases]
    return _archive(header, samples) if archive else encoded({**header, "samples": samples})


def _archive(header: dict[str, object], samples: list[dict[str, object]]) -> bytes:
    summaries = [{key: each[key] for key in _SUMMARISED} | {"completed": True} for each in samples]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as packed:

        def add(name: str, value: object) -> None:
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # Unix, on every machine
            packed.writestr(entry, encoded(value))

        add("header.json", header)
        for each in samples:
            add(f"samples/{each['id']}_epoch_{each['epoch']}.json", each)
        add("summaries.json", summaries)
    return stream.getvalue()


def encoded(value: object) -> bytes:
    """A document as JSON, in the order written here: of a log, Inspect reads the head alone."""
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"


def _sample(case: Case, kind: str, model: str) -> dict[str, object]:
    capture, answers = case.capture, case.answers
    said = answers["adapter"]
    *asked, reference = capture["messages"]
    return {
        "id": answers["case"],
        "epoch": 1,
        "input": [{"role": one["role"], "content": _text(one)} for one in asked],
        "target": [_text(reference), *capture.get("references", ())],
        "output": {
            "model": model,
            "completion": said["output"],
            "choices": [
                {
                    "message": {"role": "assistant", "content": said["output"], "model": model},
                    "stop_reason": _STOPS[said["finish"]],
                }
            ],
        },
        "scores": {kind: {"value": number(said["score"]), "answer": said["output"]}},
        "metadata": {"pictures": [i["file"] for i in capture["images"]], **dict(_beside(case))},
    }


def _beside(case: Case) -> Iterator[tuple[str, object]]:
    """What else was answered to the same case."""
    answers = case.answers
    for name, other in (("base", answers["base"]), ("blind", answers["blind"])):
        if other is not None:
            yield name, {"answer": other["output"], "score": number(other["score"])}


def _text(message: CaptureMessage) -> str:
    return "".join(part["text"] for part in message["content"] if part["type"] == "text")


def number(text: str) -> float:
    """A decimal of a document as JSON of other people has it."""
    return float(Decimal(text))

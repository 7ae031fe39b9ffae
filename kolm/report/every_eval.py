"""Report: the evaluation as a record of Every Eval Ever, schema 0.3 (evalevalai.com), in JSON.

One record of one model, the bundle, on its own eval cases: the mean of the metric, its interval
with cases that share pictures drawn together, and beside it what the base, the blind run and the
exact test say. Who evaluated whom is read from keys: a key that also signed the build is the first
party, and of any other key nobody can tell whose it is. What a bundle does not hold stays unsaid.
The record is no part of the bundle and signed by nobody; it names the bundle it is of.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Final

from kolm import digest
from kolm.errors import Unreadable
from kolm.format import names
from kolm.report.eval_log import encoded, number
from kolm.report.facts import Facts, Signed

if TYPE_CHECKING:
    from kolm.records.documents import Kscore

_SCHEMA: Final = "0.3.0"


def every_eval(facts: Facts) -> bytes:
    """The record of the bundle's own evaluation.

    Raises:
        Unreadable: ``E_EVAL_LOG_WITHHELD``: no claim says when the cases were answered.
    """
    claim, score = _scored(facts)
    name, content = facts.receipt["name"], str(facts.audit.bundle.digest)
    model = f"kolm/{name}"
    measured = score["measured_on"]
    seconds = str(int(datetime.fromisoformat(measured).timestamp()))
    first_party = claim.keyid in {built.keyid for built in facts.provenances}
    environment = facts.lock["environment"]
    return encoded(
        {
            "schema_version": _SCHEMA,
            "evaluation_id": f"{name}/{model}/{seconds}",
            "evaluation_timestamp": measured,
            "retrieved_timestamp": seconds,
            "source_metadata": {
                "source_name": f"kolm bundle {content}",
                "source_type": "evaluation_run",
                "source_organization_name": claim.by or f"key {claim.keyid[:16]}",
                "evaluator_relationship": "first_party" if first_party else "other",
                "additional_details": {
                    "bundle": content,
                    "signed_by_key": claim.keyid,
                    "verdict": facts.audit.conclusions.overall.verdict.value,
                },
            },
            "eval_library": {"name": "kolm", "version": environment["kolm"]},
            "model_info": {
                "name": name,
                "id": model,
                "inference_engine": {
                    "name": "transformers",
                    "version": environment["transformers"],
                },
                "additional_details": {
                    "deployment_type": "self_deployed",
                    "model_availability": "unknown",
                    "base": facts.lock["base"]["id"],
                    "base_root": facts.lock["base"]["root"],
                },
            },
            "evaluation_results": [_result(facts, measured)],
        }
    )


def _scored(facts: Facts) -> tuple[Signed, Kscore]:
    """The newest K-score of the bundle's evaluation, of a trusted key if there is one."""
    evaluation = digest.of_bytes(facts.bundle.member(names.EVALUATION))
    scored = [pair for pair in facts.kscores if pair[1]["evaluation"] == evaluation]
    if not scored:
        raise Unreadable(
            "E_EVAL_LOG_WITHHELD",
            "a record of the evaluation needs a K-score, and no claim of the bundle is one",
            where="claims",
            hint="ask the publisher for a bundle with its claims",
        )
    return max(scored, key=lambda pair: (pair[0].by is not None, pair[1]["measured_on"]))


def _result(facts: Facts, measured: str) -> dict[str, object]:
    told = facts.evaluation
    metric = dict(told["metric"])
    kind = str(metric.pop("kind"))
    drawn_together = told["clustered"]["adapter"]
    return {
        "evaluation_result_id": kind,
        "evaluation_name": facts.receipt["name"],
        "evaluation_timestamp": measured,
        "source_data": {
            "dataset_name": "eval side of the bundle's snapshot",
            "source_type": "other",
            "additional_details": {
                "cases": facts.lock["data"]["cases"],
                "pictures": str(told["images"]),
            },
        },
        "metric_config": {
            "metric_id": f"kolm.{kind}",
            "metric_name": kind,
            "metric_unit": "proportion",
            "metric_parameters": {
                option: value if isinstance(value, str) else json.dumps(value)
                for option, value in metric.items()
            },
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0,
            "max_score": 1,
        },
        "score_details": {
            "score": number(told["adapter"]["accuracy"]),
            "details": _beside(facts),
            "uncertainty": {
                "confidence_interval": {
                    "lower": number(drawn_together["low"]),
                    "upper": number(drawn_together["high"]),
                    "confidence_level": number(told["clustered"]["level"]),
                    "method": told["clustered"]["method"],
                },
                "num_samples": told["cases"],
            },
        },
        "generation_config": {
            "generation_args": {
                "temperature": 0,
                "max_tokens": facts.lock["evaluation"]["max_new_tokens"],
            }
        },
    }


def _beside(facts: Facts) -> dict[str, str]:
    """What else the evaluation says of the same cases."""
    told = facts.evaluation
    interval = told["adapter"]["interval"]
    found = {
        "covered": str(told["covered"]),
        "clusters": str(told["clustered"]["clusters"]),
        "interval_of_independent_cases": f"{interval['low']} to {interval['high']}",
        "base": told["base"]["accuracy"],
        "majority": told["majority"]["accuracy"],
        "p_same_as_base": f"{told['paired']['p']} ({told['paired']['method']})",
        "floors_passed": str(told["floors_passed"]).lower(),
    }
    if told["blind"] is not None:
        found["blind"] = told["blind"]["accuracy"]
    figures = {figure["name"]: figure["adapter"] for figure in told["figures"]}
    return found | {name: value for name, value in figures.items() if value is not None}

"""Dossier: a machine-learning bill of materials in CycloneDX 1.7 (ECMA-424), as JSON."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Final
from urllib.parse import quote

from kolm.dossier.fields import Dossier, Part
from kolm.format.names import CASES, CONFIG, WEIGHTS
from kolm.version import VERSION

_SPDX_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}", re.ASCII)
_INTERVAL: Final = re.compile(r"(\S+) \(95 % (\S+) to (\S+)\)")
_MODEL, _BASE, _TRAINING, _EVALUATION = "model", "base", "data:training", "data:evaluation"


def write(dossier: Dossier) -> Part:
    """The bill of materials: the adapter, its base, its data, its files, and what compiled it."""
    libraries = [*_libraries(dossier)]
    files = [*_files(dossier)]
    name = f"urn:kolm:bundle:{dossier.text('content_id')}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}",
        "version": 1,
        "metadata": {
            "timestamp": dossier.made_on,
            "lifecycles": [{"phase": "post-build"}],
            "tools": {"components": [{"type": "application", "name": "kolm", "version": VERSION}]},
            **_supplier(dossier),
            "component": _model(dossier),
        },
        "components": [_base(dossier), *_data(dossier), *files, *libraries],
        "dependencies": [
            {
                "ref": _MODEL,
                "dependsOn": [
                    _BASE,
                    _TRAINING,
                    _EVALUATION,
                    *(part["bom-ref"] for part in (*files, *libraries)),
                ],
            }
        ],
    }


def _model(dossier: Dossier) -> Part:
    return {
        "type": "machine-learning-model",
        "bom-ref": _MODEL,
        "name": dossier.text("name"),
        "version": dossier.text("content_id"),
        "description": f"An adapter ({dossier.text('method')}) for {dossier.text('base')}: "
        f"{dossier.text('states')}",
        "hashes": [_hash(dossier.text("weights"))],
        **_licenses(dossier.text("license")),
        **_supplier(dossier),
        "modelCard": _card(dossier),
        "properties": [
            pair
            for name, stated in dossier.stated.items()
            for pair in (
                {"name": f"kolm:{name}", "value": stated.text},
                {"name": f"kolm:{name}:known", "value": stated.known},
            )
        ],
    }


def _card(dossier: Dossier) -> Part:
    considerations = {
        "useCases": _texts(dossier, "intended_use", "acceptable_use"),
        "technicalLimitations": _texts(dossier, "limitations"),
        "ethicalConsiderations": [{"name": text} for text in _texts(dossier, "risks")],
        **_energy(dossier),
    }
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "image-text-to-text"
            if "images" in dossier.text("inputs")
            else "text-generation",
            "architectureFamily": "transformer network",
            "modelArchitecture": dossier.text("family"),
            "datasets": [{"ref": _TRAINING}, {"ref": _EVALUATION}],
            "inputs": [{"format": word} for word in dossier.text("inputs").split(" and ")],
            "outputs": [{"format": dossier.text("outputs")}],
        },
        "quantitativeAnalysis": {"performanceMetrics": [*_metrics(dossier)]},
        "considerations": {name: value for name, value in considerations.items() if value},
    }


def _metrics(dossier: Dossier) -> Iterator[Part]:
    for name, stated in dossier.stated.items():
        if "metrics" not in stated.field.shown.get("cdx", ()) or name == "metric":
            continue
        if not isinstance(stated.value, str):
            for place, value in stated.value.items():
                yield {"type": stated.field.title, "slice": place, "value": value}
        elif found := _INTERVAL.fullmatch(stated.value):
            bounds = {"lowerBound": found[2], "upperBound": found[3]}
            yield {"type": stated.field.title, "value": found[1], "confidenceInterval": bounds}
        else:
            yield {"type": stated.field.title, "value": stated.value}


def _energy(dossier: Dossier) -> Part:
    """The energy of the training; who provided it is not asked."""
    stated = dossier.text("energy")
    if not stated:
        return {}
    number = float(Decimal(stated.partition(" ")[0]))
    spent = {
        "activity": "fine-tuning",
        "energyProviders": [],
        "activityEnergyCost": {"value": number, "unit": "kWh"},
    }
    return {"environmentalConsiderations": {"energyConsumptions": [spent]}}


def _base(dossier: Dossier) -> Part:
    return {
        "type": "machine-learning-model",
        "bom-ref": _BASE,
        "name": dossier.text("base"),
        "version": dossier.text("base_root"),
        **_licenses(dossier.text("base_license")),
        "properties": [
            {"name": "kolm:merkle-root", "value": dossier.text("base_root")},
            {"name": "kolm:parameters", "value": dossier.text("base_parameters")},
        ],
    }


def _data(dossier: Dossier) -> Iterator[Part]:
    for ref, side, root in (
        (_TRAINING, "train", dossier.text("training_root")),
        (_EVALUATION, "eval", dossier.text("cases_digest")),
    ):
        told = (
            f"{dossier.text(f'{side}_captures')} captures, {dossier.text(f'{side}_images')} images"
        )
        inside: Part = {"type": "dataset", "name": f"{dossier.text('name')} {ref}"}
        inside["description"] = f"{told}. {dossier.text('data_description')}".strip()
        if "personal_data" in dossier:
            inside["sensitiveData"] = [dossier.text("personal_data")]
        yield {
            "type": "data",
            "bom-ref": ref,
            "name": f"{dossier.text('name')} {ref}",
            "version": root,
            **_licenses(dossier.text("data_license")),
            "data": [inside],
        }


def _files(dossier: Dossier) -> Iterator[Part]:
    of_the_model = {WEIGHTS, CONFIG, CASES}
    for name, told in dossier.table("files").items():
        yield {
            "type": "file",
            "bom-ref": f"file:{name}",
            "name": name,
            "hashes": [_hash(told.partition(",")[0])],
            "scope": "required" if name in of_the_model else "optional",
        }


def _libraries(dossier: Dossier) -> Iterator[Part]:
    """What computed the weights; nothing of it is needed to read them."""
    for name, version in dossier.table("software").items():
        yield {
            "type": "platform" if name == "python" else "library",
            "bom-ref": f"built-with:{name}",
            "name": name,
            "version": version,
            "scope": "excluded",
            **({} if name == "python" else {"purl": f"pkg:pypi/{name}@{quote(version)}"}),
        }


def _supplier(dossier: Dossier) -> Part:
    if "provider" not in dossier:
        return {}
    found: Part = {"name": dossier.text("provider")}
    if "contact" in dossier:
        found["contact"] = [{"name": dossier.text("contact")}]
    return {"supplier": found}


def _licenses(text: str) -> Part:
    if not text:
        return {}
    if _SPDX_ID.fullmatch(text):
        return {"licenses": [{"expression": text}]}
    return {"licenses": [{"license": {"name": text}}]}


def _hash(digest: str) -> Part:
    return {"alg": "SHA-256", "content": digest.removeprefix("sha256:")}


def _texts(dossier: Dossier, *names: str) -> list[str]:
    return [dossier.text(name) for name in names if name in dossier]

"""Dossier: every document with its name: what a folder of a dossier holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from kolm.dossier import aisvs, croissant, cyclonedx, forms, spdx
from kolm.dossier.eu_ai_act import ANNEX_XI, ANNEX_XII, TRAINING_CONTENT
from kolm.dossier.fields import Dossier, Part
from kolm.dossier.g7 import FORM as G7
from kolm.format.names import CARD

if TYPE_CHECKING:
    from kolm.dossier.forms import Form

SCHEMA: Final = "urn:kolm:dossier:v1"
FORMS: Final[Mapping[str, Form]] = {
    "g7-sbom-for-ai.md": G7,
    "eu-annex-xi.md": ANNEX_XI,
    "eu-annex-xii.md": ANNEX_XII,
    "eu-training-content.md": TRAINING_CONTENT,
}
_JSON: Final[Mapping[str, Callable[[Dossier], Part]]] = {
    "bom.cdx.json": cyclonedx.write,
    "bom.spdx.json": spdx.write,
    "croissant.json": croissant.write,
}
_UNSIGNED: Final = (
    "None of these documents is signed: each follows from the file, and `kolm dossier FILE` writes "
    "the same bytes again."
)
_TOLD: Final[Mapping[str, str]] = {
    "README.md": "the model card for a hub, as it is in the bundle",
    "bom.cdx.json": "bill of materials, CycloneDX 1.7",
    "bom.spdx.json": "bill of materials, SPDX 3.0.1, profiles AI and dataset",
    "croissant.json": "the data, Croissant 1.1",
    "dossier.json": "every field, with how it is known",
    "owasp-aisvs.md": "OWASP AISVS 1.0, control by control",
    **{name: form.title for name, form in FORMS.items()},
}


def write_all(dossier: Dossier) -> dict[str, bytes]:
    """The documents by name. The same bundle, audit and version give the same bytes."""
    made = {name: as_json(write(dossier)) for name, write in _JSON.items()}
    made |= {name: forms.render(form, dossier) for name, form in FORMS.items()}
    made["owasp-aisvs.md"] = aisvs.render(dossier)
    made["dossier.json"] = as_json(as_document(dossier))
    made["README.md"] = bytes(dossier.facts.bundle.member(CARD))
    made["dossier.md"] = _overview(dossier, sorted(made))
    return dict(sorted(made.items()))


def as_document(dossier: Dossier) -> Part:
    """All fields as one document: schemas/dossier.schema.json."""
    audit = dossier.facts.audit
    return {
        "schema": SCHEMA,
        "content_id": dossier.facts.bundle.content_id,
        "cid": dossier.facts.bundle.cid,
        "made_on": dossier.made_on,
        "policy": {"name": audit.policy.name, "digest": audit.policy.digest},
        "signers": [
            {"name": signer.name, "key": signer.keyid} for signer in audit.signers if signer.claims
        ],
        "counts": {
            **{name.replace(" ", "_"): number for name, number in dossier.counts.items()},
            "not_stated": len(dossier.missing),
        },
        "fields": [
            {
                "id": name,
                "title": stated.field.title,
                "value": stated.value,
                "standing": stated.standing,
                "by": list(stated.by),
                "rests_on": list(stated.field.rests),
                "shown": {key: list(points) for key, points in stated.field.shown.items()},
            }
            for name, stated in dossier.stated.items()
        ],
        "not_stated": [
            {"id": field.id, "title": field.title, "what_to_do": forms.to_state(field)}
            for field in dossier.missing
        ],
    }


def as_json(document: Part) -> bytes:
    """A document for people and programs: sorted keys, two spaces."""
    return (json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def _overview(dossier: Dossier, names: Iterable[str]) -> bytes:
    missing = [
        (f"`{field.id}`", field.title, forms.to_state(field)) for field in dossier.missing
    ] or [("none", "", "")]
    open_points = [
        (f"[{name}]({name})", point.number, point.asks)
        for name, form in FORMS.items()
        for point in forms.unanswered(form, dossier)
    ] or [("none", "", "")]
    parts = (
        f"# Dossier of {forms.shown(dossier.text('name'))}",
        forms.opening(dossier),
        _UNSIGNED,
        "## Documents\n\n"
        + forms.table(("file", "what"), ((f"[{name}]({name})", _TOLD[name]) for name in names)),
        "## Not stated\n\n" + forms.table(("field", "what", "to state it"), missing),
        "## Points without an answer\n\n" + forms.table(("document", "point", "asks"), open_points),
    )
    return ("\n\n".join(parts) + "\n").encode("utf-8")

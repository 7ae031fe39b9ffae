"""Dossier: SPDX 3.0.1 with the AI and dataset profiles, as JSON-LD."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from kolm import canonical
from kolm.dossier.fields import Dossier, Part, day_of
from kolm.version import VERSION

_NO_LICENSE: Final = "expandedlicensing_NoAssertionLicense"
_SPDX_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}", re.ASCII)


def write(dossier: Dossier) -> Part:
    """The document: the adapter and its base as AI packages, data as datasets, files, software."""
    return _Graph(dossier).document()


class _Graph:
    """Elements under construction; each is named after the content id."""

    def __init__(self, dossier: Dossier) -> None:
        self._dossier = dossier
        self._prefix = f"urn:kolm:bundle:{dossier.text('content_id')}"
        self._links = 0
        self._elements: list[Part] = []

    def document(self) -> Part:
        """All of it."""
        dossier = self._dossier
        self._agents()
        model, base = self._model(), self._base()
        training = self._data("train", "training_root")
        evaluation = self._data("eval", "cases_digest")
        self._link(model, "descendantOf", base)
        self._link(model, "trainedOn", training)
        self._link(model, "testedOn", evaluation)
        self._link(model, "dependsOn", base, training, evaluation)
        self._license(model, dossier.text("license"))
        self._license(base, dossier.text("base_license"))
        for data in (training, evaluation):
            self._license(data, dossier.text("data_license"))
        self._link(model, "contains", *self._files())
        self._link(model, "usesTool", *self._libraries())
        self._standings(model)
        names = [part["spdxId"] for part in self._elements]
        profiles = ["core", "software", "ai", "dataset", "simpleLicensing"]
        bill = self._add(
            "software_Sbom",
            "bill",
            name=f"{dossier.text('name')}: bill of materials",
            profileConformance=profiles,
            software_sbomType=["build"],
            rootElement=[model],
            element=names,
        )
        self._add(
            "SpdxDocument",
            "document",
            name=f"{dossier.text('name')} in SPDX",
            profileConformance=profiles,
            rootElement=[bill],
            element=[*names, bill],
        )
        creation = {
            "type": "CreationInfo",
            "@id": "_:creation",
            "specVersion": "3.0.1",
            "created": dossier.made_on,
            "createdBy": [self._id("provider")],
            "createdUsing": [self._id("kolm")],
        }
        return {
            "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
            "@graph": [creation, *self._elements],
        }

    def _id(self, name: str) -> str:
        return f"{self._prefix}#{quote(name)}"

    def _add(self, kind: str, element: str, /, **properties: object) -> str:
        found = {name: value for name, value in properties.items() if value not in (None, "", [])}
        identity = self._id(element)
        self._elements.append(
            {"type": kind, "spdxId": identity, "creationInfo": "_:creation", **found}
        )
        return identity

    def _link(self, source: str, kind: str, *targets: str) -> None:
        self._links += 1
        self._add(
            "Relationship",
            f"relationship-{self._links}",
            **{"from": source, "relationshipType": kind, "to": list(targets)},
        )

    def _agents(self) -> None:
        """Who answers for it; the holder of the signing key where nobody is named."""
        signers = ", ".join(self._dossier.stated["built_on"].by)
        named = self._dossier.text("provider") or f"holder of {signers}"
        kind = "Organization" if "provider" in self._dossier else "Agent"
        self._add(kind, "provider", name=named, comment=self._dossier.text("contact"))
        self._add("Tool", "kolm", name=f"kolm {VERSION}")

    def _model(self) -> str:
        dossier = self._dossier
        released = day_of(dossier.text("release_date"))
        return self._add(
            "ai_AIPackage",
            "model",
            name=dossier.text("name"),
            suppliedBy=self._id("provider"),
            builtTime=dossier.made_on,
            releaseTime=f"{released}T00:00:00Z" if released else dossier.made_on,
            software_packageVersion=dossier.text("content_id"),
            software_downloadLocation=self._prefix,
            software_primaryPurpose="model",
            verifiedUsing=[_hash(dossier.text("weights"))],
            ai_typeOfModel=[dossier.text("family"), dossier.text("method")],
            ai_informationAboutTraining="; ".join(
                _told(dossier, name)
                for name in ("method", "states", "objective")
                if name in dossier
            ),
            ai_informationAboutApplication=dossier.text("intended_use"),
            ai_limitation=dossier.text("limitations"),
            ai_hyperparameter=[*_entries(dossier.table("hyperparameters").items())],
            ai_metric=[
                *_entries(
                    (stated.field.title, stated.text)
                    for stated in dossier.stated.values()
                    if "metric" in stated.field.shown.get("spdx", ())
                )
            ],
            ai_energyConsumption=_energy(dossier),
        )

    def _base(self) -> str:
        """The base, from whoever its name says: the owner before the slash."""
        dossier = self._dossier
        owner = self._add("Agent", "base-owner", name=dossier.text("base").partition("/")[0])
        return self._add(
            "ai_AIPackage",
            "base",
            name=dossier.text("base"),
            suppliedBy=owner,
            software_packageVersion=dossier.text("base_root"),
            software_primaryPurpose="model",
            ai_typeOfModel=[dossier.text("family")],
        )

    def _data(self, side: str, root: str) -> str:
        dossier = self._dossier
        kinds = ["image", "text"] if dossier.text(f"{side}_images") != "0" else ["text"]
        return self._add(
            "dataset_DatasetPackage",
            f"data-{side}",
            name=f"{dossier.text('name')}, {side} side",
            suppliedBy=self._id("provider"),
            originatedBy=[self._id("provider")],
            builtTime=dossier.made_on,
            releaseTime=dossier.made_on,
            software_packageVersion=dossier.text(root),
            software_downloadLocation=f"urn:kolm:data:{dossier.text(root)}",
            software_primaryPurpose="data",
            dataset_datasetType=kinds,
            dataset_datasetSize=int(dossier.text(f"{side}_captures")),
            dataset_dataCollectionProcess=dossier.text("data_collection"),
            dataset_dataPreprocessing=[
                text for text in (dossier.text("data_curation"), dossier.text("rule")) if text
            ],
            description=dossier.text("data_description"),
        )

    def _license(self, owner: str, text: str) -> None:
        """What is declared; kolm concludes nothing of its own."""
        if _SPDX_ID.fullmatch(text):
            target = self._add(
                "simplelicensing_LicenseExpression",
                f"license-{self._links}",
                simplelicensing_licenseExpression=text,
            )
        else:
            target = _NO_LICENSE
        self._link(owner, "hasDeclaredLicense", target)
        self._link(owner, "hasConcludedLicense", _NO_LICENSE)

    def _files(self) -> Iterator[str]:
        for name, told in self._dossier.table("files").items():
            digest = told.partition(",")[0]
            yield self._add(
                "software_File",
                f"file-{name}",
                name=name,
                suppliedBy=self._id("provider"),
                verifiedUsing=[_hash(digest)],
            )

    def _libraries(self) -> Iterator[str]:
        """What computed the weights; nothing of it is in the file."""
        for name, version in self._dossier.table("software").items():
            yield self._add("Tool", f"built-with-{name}", name=f"{name} {version}")

    def _standings(self, model: str) -> None:
        """How each field is known, as one annotation."""
        known = {name: stated.known for name, stated in self._dossier.stated.items()}
        self._add(
            "Annotation",
            "known",
            annotationType="other",
            contentType="application/json",
            subject=model,
            statement=canonical.dumps(known).decode("utf-8"),
        )


def _told(dossier: Dossier, name: str) -> str:
    stated = dossier.stated[name]
    return f"{stated.field.title}: {stated.text}"


def _entries(pairs: Any) -> Iterator[Part]:
    for name, value in pairs:
        yield {"type": "DictionaryEntry", "key": name, "value": value}


def _hash(digest: str) -> Part:
    return {"type": "Hash", "algorithm": "sha256", "hashValue": digest.removeprefix("sha256:")}


def _energy(dossier: Dossier) -> Part | None:
    stated = dossier.text("energy")
    if not stated:
        return None
    quantity = float(Decimal(stated.partition(" ")[0]))
    described = {
        "type": "ai_EnergyConsumptionDescription",
        "ai_energyQuantity": quantity,
        "ai_energyUnit": "kilowattHour",
    }
    return {"type": "ai_EnergyConsumption", "ai_finetuningEnergyConsumption": [described]}

"""Dossier: the data as the bundle knows it, in Croissant 1.1 (MLCommons), as JSON-LD.

What is described is what travels: the list of captures by digest, and the eval cases where they are
published. Paths are those inside the unpacked bundle (``kolm inspect --unpack``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kolm.dossier.fields import Dossier, Part
from kolm.format.names import CASES, LINES

_CONTEXT: Final[Part] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_NOT_STATED: Final = "not stated"


def write(dossier: Dossier) -> Part:
    """The dataset with its files and what a line of them holds."""
    counts = ", ".join(
        f"{dossier.text(f'{side}_{what}')} {what} for {word}"
        for side, word in (
            ("train", "training"),
            ("validation", "validation"),
            ("eval", "evaluation"),
        )
        for what in ("captures", "images")
    )
    creator = dossier.text("provider")
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": f"{dossier.text('name')}-captures",
        "description": f"{counts}. {dossier.text('data_description')}".strip(),
        "identifier": dossier.text("data_root"),
        "url": f"urn:kolm:data:{dossier.text('data_root')}",
        "license": dossier.text("data_license") or _NOT_STATED,
        "datePublished": (dossier.text("release_date") or dossier.made_on)[:10],
        "version": "1.0.0",
        "citeAs": f"urn:kolm:bundle:{dossier.text('content_id')}",
        **({"creator": {"@type": "sc:Organization", "name": creator}} if creator else {}),
        "distribution": [*_files(dossier)],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "lines",
                "name": "lines",
                "description": "One capture each: its digest and its side.",
                "field": [*_fields(LINES, "lines", "capture", "split")],
            }
        ],
    }


def _files(dossier: Dossier) -> Iterator[Part]:
    told = {
        LINES: "Digest, images and side of every capture.",
        CASES: "The captures of the evaluation, with prompts and reference answers.",
    }
    files = dossier.table("files")
    for name, description in told.items():
        if name not in files:
            continue
        digest, _, size = files[name].partition(", ")
        yield {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "description": description,
            "contentUrl": name,
            "contentSize": size.removesuffix(" bytes") + " B",
            "encodingFormat": "application/jsonlines",
            "sha256": digest.removeprefix("sha256:"),
        }


def _fields(file: str, record: str, *columns: str) -> Iterator[Part]:
    for column in columns:
        yield {
            "@type": "cr:Field",
            "@id": f"{record}/{column}",
            "name": column,
            "description": f"The key {column} of a line.",
            "dataType": "sc:Text",
            "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
        }

"""The subject manifest: a pure function of its members, read strictly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kolm import canonical, digest
from kolm.bundle.manifest import Member, build_manifest, parse_manifest
from kolm.bundle.members import REQUIRED
from kolm.errors import Refused, Unreadable
from kolm.format.names import RECEIPT

DIGEST = digest.of_bytes(b"x")
ALL = [
    Member(name=name, digest=digest.of_bytes(name.encode()), size=7)
    for name in (RECEIPT, *REQUIRED)
]


def test_the_order_of_arguments_does_not_matter() -> None:
    assert build_manifest(ALL) == build_manifest(reversed(ALL))


def test_reading_gives_the_members_back() -> None:
    parsed = parse_manifest(build_manifest(ALL))
    assert parsed.receipt.name == RECEIPT
    assert sorted(m.name for m in parsed.members) == sorted(m.name for m in ALL)


def test_weights_carry_the_model_pack_path_and_our_documents_do_not() -> None:
    layers = json.loads(build_manifest(ALL))["layers"]
    annotations = {layer["annotations"]["org.opencontainers.image.title"]: layer["annotations"]
                   for layer in layers}  # fmt: skip
    weights = "adapter_model.safetensors"
    assert annotations[weights]["org.cncf.model.filepath"] == weights
    assert "org.cncf.model.filepath" not in annotations["trace.jsonl"]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ([*ALL, Member(name="evil.py", digest=DIGEST, size=1)], "E_MEMBER_UNKNOWN"),
        ([*ALL, Member(name="../README.md", digest=DIGEST, size=1)], "E_MEMBER_UNKNOWN"),
        ([*ALL, Member(name="evalimage-1", digest=DIGEST, size=1)], "E_MEMBER_UNKNOWN"),
        ([*ALL, ALL[3]], "E_MEMBER_TWICE"),
        ([*ALL[:-1], ALL[-1]._replace(digest=ALL[3].digest)], "E_MEMBER_EQUAL"),
        (ALL[:-1], "E_MEMBER_MISSING"),
        (ALL[1:], "E_MEMBER_MISSING"),
    ],
)  # fmt: skip
def test_a_manifest_outside_the_table_is_not_built(members: list[Member], code: str) -> None:
    with pytest.raises(Refused) as refused:
        build_manifest(members)
    assert refused.value.code == code


def _changed(change: Any) -> bytes:
    value = json.loads(build_manifest(ALL))
    change(value)
    return canonical.dumps(value)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(annotations={}),
        lambda v: v.update(schemaVersion=3),
        lambda v: v["layers"].reverse(),
        lambda v: v["layers"].append(v["layers"][0]),
        lambda v: v["layers"].pop(),
        lambda v: v["layers"][0].update(mediaType="application/vnd.kolm.trace.v1+jsonl"),
        lambda v: v["layers"][0].update(urls=["https://example.org"]),
        lambda v: v["layers"][0].update(data="e30="),
        lambda v: v["layers"][0].update(size=-1),
        lambda v: v["layers"][0].update(size=2**40),
        lambda v: v["layers"][0].update(digest="sha512:00"),
        lambda v: v["layers"][0]["annotations"].pop("org.cncf.model.filepath"),
        lambda v: v["layers"][0]["annotations"].update({"org.cncf.model.filepath": "x"}),
        lambda v: v["layers"][2]["annotations"].update({"org.opencontainers.image.title": "a/b"}),
        lambda v: v["config"]["annotations"].update({"org.opencontainers.image.title": "x.json"}),
        lambda v: v.update(config=v["layers"][0]),
        lambda v: v["config"].update(size=3 * 2**20),
    ],
)
def test_any_other_manifest_is_refused(change: Any) -> None:
    with pytest.raises(Refused):
        parse_manifest(_changed(change))


def test_other_spellings_are_refused() -> None:
    data = build_manifest(ALL)
    with pytest.raises(Refused):
        parse_manifest(json.dumps(json.loads(data), sort_keys=True).encode())


@pytest.mark.parametrize(
    ("artifact", "code"),
    [
        ("application/vnd.kolm.bundle.v2", "E_BUNDLE_VERSION"),
        ("application/vnd.cncf.model.manifest.v1+json", "E_NOT_A_BUNDLE"),
        (None, "E_NOT_A_BUNDLE"),
        ({}, "E_NOT_A_BUNDLE"),
        (["application/vnd.kolm.bundle.v1"], "E_NOT_A_BUNDLE"),
    ],
)
def test_another_kind_of_artifact_could_not_be_looked_at(artifact: Any, code: str) -> None:
    with pytest.raises(Unreadable) as unreadable:
        parse_manifest(_changed(lambda v: v.update(artifactType=artifact)))
    assert unreadable.value.code == code

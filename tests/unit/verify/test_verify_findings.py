"""What a check says of two documents that differ: the very value, and where it stands."""

from __future__ import annotations

from kolm.verify.findings import unless_equal


def told(expected: object, found: object) -> list[tuple[str | None, str | None, str | None]]:
    findings = unless_equal(expected, found, "another", where="evaluation.json#/clustered")
    return [(one.where, one.expected, one.found) for one in findings]


def test_each_value_that_differs_is_told_with_its_place() -> None:
    expected = {"interval": {"high": "0.9", "low": "0.7"}, "clusters": 51, "method": "wilson"}
    found = {"interval": {"high": "0.9", "low": "0.8"}, "clusters": 50, "method": "wilson"}
    assert told(expected, found) == [
        ("evaluation.json#/clustered/clusters", "51", "50"),
        ("evaluation.json#/clustered/interval/low", "0.7", "0.8"),
    ]
    assert told(expected, expected) == []


def test_documents_with_other_keys_differ_as_a_whole() -> None:
    assert len(told({"a": 1}, {"a": 1, "b": "nothing"})) == 1
    assert len(told({"a": None}, {})) == 1
    assert len(told({"a": 1}, "nothing")) == 1


def test_a_value_is_told_as_the_document_has_it() -> None:
    assert told([{"a": None, "b": "c"}], [])[0][1:] == ('[{"a": null, "b": "c"}]', "[]")

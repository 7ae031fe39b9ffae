import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm import digest
from kolm.bundle.cid import cid_of
from kolm.errors import KolmError, Usage
from kolm.registry.references import (
    parse_name,
    parse_reference,
    parse_target,
)

BUNDLE = digest.of_bytes(b"manifest")


@pytest.mark.parametrize("text", ["a", "demo", "0x", "easy-vqa", "demo/easy-vqa", "a" * 128])
def test_a_name_is_read(text):
    assert parse_name(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "-a", "A", "a_b", "a/b/c", "/a", "a/", "a//b", "../a", "a/..", "a b", "a.b", "a@1.0.0",
     "a\n", "ä", "a" * 129, cid_of(BUNDLE)],
)  # fmt: skip
def test_what_is_not_a_name_is_refused(text):
    with pytest.raises(Usage) as caught:
        parse_name(text)
    assert caught.value.code == "E_NAME_FORM"


@pytest.mark.parametrize(
    ("text", "name", "version", "bundle"),
    [
        ("demo", "demo", None, None),
        ("demo/x@1.0.0-rc.1", "demo/x", "1.0.0-rc.1", None),
        (f"demo@{BUNDLE}", "demo", None, BUNDLE),
        (f"demo@{cid_of(BUNDLE)}", "demo", None, BUNDLE),
        (cid_of(BUNDLE), None, None, BUNDLE),
        (BUNDLE, None, None, BUNDLE),
    ],
)
def test_every_form_of_reference_is_read(text, name, version, bundle):
    reference = parse_reference(text)
    assert reference.name == name
    assert (str(reference.version) if reference.version else None) == version
    assert reference.bundle == bundle


@pytest.mark.parametrize(
    "text", ["", "@1.0.0", "demo@", "demo@1.0", "demo@latest", "demo@1.0.0@2.0.0", "sha256:abc",
             "demo@sha256:" + "A" * 64, "./demo.kolm", "demo.kolm"],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(KolmError):
        parse_reference(text)


def test_a_target_needs_its_version():
    assert str(parse_target("demo@1.2.3")[1]) == "1.2.3"
    with pytest.raises(Usage) as caught:
        parse_target("demo")
    assert caught.value.code == "E_REFERENCE_FORM"


@settings(deadline=None)
@given(st.text(max_size=60))
def test_arbitrary_references_raise_only_typed_errors(text):
    try:
        reference = parse_reference(text)
    except KolmError:
        return
    assert parse_reference(str(reference)) == reference

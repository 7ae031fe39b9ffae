import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm.errors import KolmError, Usage
from kolm.registry.versions import parse_version

# In order of precedence. The second line is the example of semver.org, item 11.
ORDERED = [
    "0.0.0-0", "0.0.0", "0.0.1", "0.9.0", "0.10.0",
    "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
    "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1-1", "1.0.1-2", "1.0.1-10", "1.0.1--", "1.0.1-A",
    "1.0.1-a", "1.0.1-a.b", "1.0.1-a-b", "1.0.1", "1.2.0", "1.10.0", "2.0.0", "2.1.0", "2.1.1",
    "10.0.0", "99999999999999999999.0.0",
]  # fmt: skip

# From the table of valid and invalid versions that semver.org's FAQ links to.
VALID = [
    "0.0.4", "1.2.3", "10.20.30", "1.1.2-prerelease+meta", "1.1.2+meta", "1.1.2+meta-valid",
    "1.0.0-alpha0.valid", "1.0.0-alpha.0valid", "1.0.0-rc.1+build.1", "2.0.0-rc.1+build.123",
    "1.2.3----RC-SNAPSHOT.12.9.1--.12+788", "1.0.0+0.build.1-rc.10000aaa-kk-0.1",
    "1.0.0-0A.is.legal", "1.2.3-SNAPSHOT-123", "2.0.1-alpha.1227", "1.0.0+01",
]  # fmt: skip
INVALID = [
    "", "1", "1.2", "1.2.3-0123", "1.2.3-0123.0123", "1.1.2+.123", "+invalid", "-invalid",
    "alpha", "alpha.beta.1", "1.0.0-alpha_beta", "1.0.0-alpha..", "1.0.0-alpha..1", "01.1.1",
    "1.01.1", "1.1.01", "1.2.3.DEV", "1.2-SNAPSHOT", "1.2.31.2.3----RC-SNAPSHOT.12.09.1--..12+788",
    "-1.0.3-gamma+b7718", "9.8.7+meta+meta", "9.8.7-whatever+meta+meta", "1.0.0-", "1.0.0+",
    "v1.0.0", "1.0.0 ", " 1.0.0", "1.0.0\n", "1.0.٣", "1.0.0-é", "1..0", "1.0.0-a+", "²1.0.0",
    "1.0.0+" + "a" * 200,
]  # fmt: skip


@pytest.mark.parametrize("text", [*ORDERED, *VALID])
def test_a_version_survives_parsing(text):
    assert str(parse_version(text)) == text


@pytest.mark.parametrize("text", INVALID)
def test_what_is_not_a_version_is_refused(text):
    with pytest.raises(Usage) as caught:
        parse_version(text)
    assert caught.value.code == "E_VERSION_FORM"


def test_versions_sort_by_precedence():
    versions = [parse_version(text) for text in ORDERED]
    shuffled = versions[:]
    random.Random(1).shuffle(shuffled)
    assert sorted(shuffled) == versions
    for lower, higher in itertools.pairwise(versions):
        assert lower < higher
        assert lower != higher


def test_build_metadata_does_not_make_another_version():
    plain, built = parse_version("1.0.0"), parse_version("1.0.0+linux")
    assert plain == built
    assert hash(plain) == hash(built)
    assert not plain < built


def test_a_version_equals_nothing_else():
    assert parse_version("1.0.0") != "1.0.0"


@settings(deadline=None)
@given(st.text(alphabet="0123456789abZ.-+", max_size=20) | st.text(max_size=10))
def test_parsing_gives_the_text_back_or_a_typed_error(text):
    try:
        version = parse_version(text)
    except KolmError:
        return
    assert str(version) == text

"""Opening, judging and writing whole files: what is refused, under which check, with which code."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kolm import canonical, whole_schema
from kolm.bundle import layout, limits, tar, tensor_writer, writer
from kolm.bundle.members import REQUIRED, TABLE, MemberKind
from kolm.bundle.reader import Bundle
from kolm.errors import KolmError, Refused, Unreadable, Usage
from kolm.sign import private_keys
from tests.support.bundles import (
    BundleParts,
    blob,
    container_failures,
    make_parts,
    read_entries,
    write_raw,
    write_tar,
)
from tests.support.references import members_agree

Entries = list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> BundleParts:
    return make_parts(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def key() -> private_keys.PrivateKey:
    return private_keys.generate()


@pytest.fixture
def signed(parts: BundleParts, key: private_keys.PrivateKey, tmp_path: Path) -> Path:
    return parts.seal(tmp_path / "toy.kolm", key=key)


def test_a_bundle_that_is_not_intact_says_what_shows_why(signed: Path, tmp_path: Path) -> None:
    entries = read_entries(signed)
    broken = tmp_path / "broken.kolm"
    write_tar(broken, [*entries[:-1], (entries[-1][0], entries[-1][1] + b" ")])
    with pytest.raises(Refused) as refused:
        Bundle.open(broken)
    assert "kolm verify FILE" in refused.value.hint


def test_a_bundle_holds_its_members_and_claims(parts: BundleParts, signed: Path) -> None:
    bundle = Bundle.open(signed)
    assert set(REQUIRED) <= set(bundle.names)
    assert bundle.content_id == parts.content_id()
    assert bundle.cid.startswith("bafkrei")
    assert len(bundle.claims) == 5
    assert bytes(bundle.member("trace.jsonl")) == parts.members()["trace.jsonl"]
    assert bundle.receipt["name"] == "toy"
    assert bundle.manifest["artifactType"] == "application/vnd.kolm.bundle.v1"
    assert list(bundle.rows("trace.jsonl")) == parts.trace
    with pytest.raises(Refused):
        bundle.member("missing.json")


def test_metadata_stands_before_weights(signed: Path) -> None:
    entries = read_entries(signed)
    bundle = Bundle.open(signed)
    assert [name for name, _ in entries[:2]] == ["oci-layout", "index.json"]
    assert entries[2][1] == bundle.manifest_bytes
    assert entries[3][1] == bytes(bundle.member("receipt.json"))
    assert entries[4][1] == b"{}"
    sizes = [len(data) for _, data in entries[5 + 2 * len(bundle.claims) :]]
    assert sizes == sorted(sizes)


def test_claims_never_change_the_content_id(
    parts: BundleParts, key: private_keys.PrivateKey, tmp_path: Path
) -> None:
    path = parts.seal(tmp_path / "x.kolm")
    before = Bundle.open(path).content_id
    bare = path.read_bytes()
    claims = parts.claims(key)
    assert writer.add_claims(path, claims[:2]) == before
    assert writer.add_claims(path, claims) == before
    assert sorted(Bundle.open(path).claims) == sorted(claims)
    assert path.read_bytes() == parts.seal(tmp_path / "y.kolm", claims=claims[::-1]).read_bytes()
    assert parts.seal(tmp_path / "z.kolm").read_bytes() == bare


@pytest.mark.parametrize("seals", [False, True])
def test_of_two_who_add_claims_at_once_none_loses_theirs(
    parts: BundleParts,
    key: private_keys.PrivateKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seals: bool,
) -> None:
    path, claims = parts.seal(tmp_path / "x.kolm"), parts.claims(key)
    written = writer._demand_intact
    other = threading.Thread(target=writer.add_claims, args=(path, claims[1:2]))

    def while_the_other_writes(made: Path) -> None:
        monkeypatch.setattr(writer, "_demand_intact", written)
        other.start()
        other.join(0.3)  # it is done by then, or it waits
        written(made)

    monkeypatch.setattr(writer, "_demand_intact", while_the_other_writes)
    if seals:
        parts.seal(path, claims=claims[:1])
    else:
        writer.add_claims(path, claims[:1])
    other.join()
    assert sorted(Bundle.open(path).claims) == sorted(claims[:2])


def test_members_may_come_from_files(parts: BundleParts, tmp_path: Path) -> None:
    members = parts.members()
    folder = tmp_path / "members"
    folder.mkdir()
    for name, data in members.items():
        (folder / name).write_bytes(data)
    sources = {name: folder / name for name in sorted(members, reverse=True)}
    writer.seal(tmp_path / "files.kolm", receipt=parts.receipt(), members=sources)
    expected = parts.seal(tmp_path / "bytes.kolm").read_bytes()
    assert (tmp_path / "files.kolm").read_bytes() == expected


@pytest.fixture
def published(parts: BundleParts) -> BundleParts:
    """A bundle with its eval pictures and checkpoints."""
    made = parts.copy()
    made.publish_images()
    made.publish_checkpoints()
    return made


def complaints(parts: BundleParts, path: Path) -> list[str]:
    return [error.where for error in members_agree(Bundle.open(parts.seal(path)).documents)]


def test_published_pictures_and_checkpoints_are_members(
    published: BundleParts, tmp_path: Path
) -> None:
    assert complaints(published, tmp_path / "x.kolm") == []
    names = Bundle.open(tmp_path / "x.kolm").names
    assert sum(name.startswith("evalimage-") for name in names) == 50
    assert sum(name.startswith("checkpoint-") for name in names) == 6


@pytest.mark.parametrize("prefix", ["evalimage-", "checkpoint-"])
@pytest.mark.parametrize("trick", ["missing", "other bytes", "not promised"])
def test_published_members_are_the_promised_ones(
    published: BundleParts, tmp_path: Path, prefix: str, trick: str
) -> None:
    name = next(name for name in sorted(published.overrides) if name.startswith(prefix))
    if trick == "missing":
        del published.overrides[name]
    elif trick == "other bytes":
        published.overrides[name] += b" "
    else:
        nothing = {"evalimage-": {"images": False}, "checkpoint-": {"checkpoints": "hashes"}}
        published.lock["publish"] |= nothing[prefix]
    assert name in complaints(published, tmp_path / "x.kolm")


def test_a_checkpoints_document_names_its_tensors(published: BundleParts, tmp_path: Path) -> None:
    name = "checkpoint-00000002.safetensors"
    published.overrides[name] = tensor_writer.encode({"random": ("U8", (1,), b"x")})
    assert complaints(published, tmp_path / "x.kolm")[0] == name


def test_unpublished_text_leaves_the_cases_out(parts: BundleParts, tmp_path: Path) -> None:
    forged = parts.copy()
    forged.without.add("evalcases.jsonl")
    forged.lock["publish"]["text"] = False
    bundle = Bundle.open(forged.seal(tmp_path / "x.kolm"))
    assert list(members_agree(bundle.documents)) == []


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"setup.py": b""}, "E_MEMBER_UNKNOWN"),
        ({"a/b": b""}, "E_MEMBER_UNKNOWN"),
        ({"receipt.json ": b""}, "E_MEMBER_UNKNOWN"),
        ({"README.md": b"x" * 300_000}, "E_CONTAINER_LIMIT"),
        ({"spec.lock.json": b" " * 3_000_000}, "E_CONTAINER_LIMIT"),
    ],
)
def test_the_writer_refuses_what_the_reader_would(
    parts: BundleParts, tmp_path: Path, members: dict[str, bytes], code: str
) -> None:
    with pytest.raises(Refused) as refused:
        writer.seal(tmp_path / "x.kolm", receipt=parts.receipt(), members=parts.members() | members)
    assert refused.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_a_missing_member_or_source_leaves_nothing_behind(
    parts: BundleParts, tmp_path: Path
) -> None:
    members = parts.members()
    with pytest.raises(Unreadable):
        writer.seal(
            tmp_path / "x.kolm",
            receipt=parts.receipt(),
            members=members | {"trace.jsonl": tmp_path / "none"},
        )
    del members["trace.jsonl"]
    with pytest.raises(Refused) as refused:
        writer.seal(tmp_path / "x.kolm", receipt=parts.receipt(), members=members)
    assert refused.value.code == "E_MEMBER_MISSING"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("claim", [b"", b"{}", b'{"mediaType":"x"}', b"[]", b"\xff"])
def test_what_is_no_claim_is_not_added(parts: BundleParts, tmp_path: Path, claim: bytes) -> None:
    path = parts.seal(tmp_path / "x.kolm")
    before = path.read_bytes()
    with pytest.raises(Refused):
        writer.add_claims(path, [claim])
    assert path.read_bytes() == before


def test_an_existing_file_is_only_replaced_on_purpose(parts: BundleParts, tmp_path: Path) -> None:
    path = tmp_path / "x.kolm"
    path.write_bytes(b"precious")
    arguments = {"receipt": parts.receipt(), "members": parts.members()}
    with pytest.raises(Usage):
        writer.seal(path, **arguments)  # type: ignore[arg-type]
    assert path.read_bytes() == b"precious"
    writer.seal(path, **arguments, force=True)  # type: ignore[arg-type]
    writer.seal(path, **arguments)  # type: ignore[arg-type]
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["x.kolm"]


def test_a_file_where_a_folder_should_be_is_told(parts: BundleParts, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unreadable) as caught:
        parts.seal(tmp_path / "file" / "x.kolm")
    assert caught.value.code == "E_NOT_A_FOLDER"


def test_unpacking_writes_every_member_once(
    parts: BundleParts, signed: Path, tmp_path: Path
) -> None:
    bundle = Bundle.open(signed)
    target = tmp_path / "out" / "toy"
    bundle.unpack(target)
    assert {p.name for p in target.iterdir()} == set(bundle.names)
    assert (target / "README.md").read_bytes() == bytes(bundle.member("README.md"))
    with pytest.raises(Usage):
        bundle.unpack(target)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Usage):
        bundle.unpack(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()
    assert [p.name for p in target.parent.iterdir()] == ["toy"]


@pytest.mark.parametrize(
    "make",
    [
        lambda p: None,
        lambda p: p.mkdir(),
        lambda p: os.mkfifo(p),
        lambda p: p.symlink_to(p.with_name("nowhere")),
    ],
)
def test_what_is_no_file_could_not_be_looked_at(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "x.kolm"
    make(path)
    for read in (Bundle.open, container_failures):
        with pytest.raises(Unreadable) as unreadable:
            read(path)
        assert unreadable.value.code in ("E_CANNOT_READ", "E_FILE_MISSING")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04rest", "a zip file"),
        (b"\x1f\x8bxx", "a gzip file"),
        (b"hello", "another kind of file"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, data: bytes, found: str) -> None:
    path = tmp_path / "x.kolm"
    path.write_bytes(data)
    with pytest.raises(Unreadable) as unreadable:
        Bundle.open(path)
    assert (unreadable.value.code, unreadable.value.found) == ("E_NOT_A_BUNDLE", found)


def _swap(entries: Entries, old: bytes, new: bytes) -> Entries:
    return [blob(new) if data == old else (name, data) for name, data in entries]


def test_a_member_added_beside_the_manifest_is_refused(signed: Path) -> None:
    write_tar(signed, [*read_entries(signed), blob(b"smuggled")])
    assert container_failures(signed) == {"V04": {"E_CONTAINER_UNKNOWN"}}


def test_a_removed_member_is_refused(signed: Path) -> None:
    write_tar(signed, read_entries(signed)[:-1])
    assert container_failures(signed) == {"V04": {"E_CONTAINER_MISSING"}}


def test_a_duplicated_entry_is_refused(signed: Path) -> None:
    entries = read_entries(signed)
    write_tar(signed, [*entries, entries[-1]])
    assert container_failures(signed) == {"V04": {"E_CONTAINER_TWICE"}}


def test_two_entries_of_one_name_and_different_bytes_are_refused(signed: Path) -> None:
    entries = read_entries(signed)
    write_tar(signed, [*entries, (entries[-1][0], b"other bytes")])
    assert set(container_failures(signed)) == {"V03", "V04"}


def test_reordered_blobs_are_refused(signed: Path) -> None:
    entries = read_entries(signed)
    write_tar(signed, [*entries[:-2], entries[-1], entries[-2]])
    assert container_failures(signed) == {"V04": {"E_CONTAINER_ORDER"}}


def test_a_replaced_blob_is_refused(signed: Path) -> None:
    entries = read_entries(signed)
    write_tar(signed, [*entries[:-1], (entries[-1][0], entries[-1][1] + b"x")])
    assert container_failures(signed)["V03"] == {"E_CONTAINER_DIGEST", "E_CONTAINER_SIZE"}


def test_free_text_in_the_index_is_refused(signed: Path) -> None:
    entries = read_entries(signed)
    forged = entries[1][1].replace(b'ref.name":"v1"', b'ref.name":"v2"')
    assert forged != entries[1][1]
    write_tar(signed, [entries[0], ("index.json", forged), *entries[2:]])
    assert container_failures(signed) == {"V05": {"E_CONTAINER_LAYOUT"}}


def test_another_layout_file_is_refused(signed: Path) -> None:
    entries = read_entries(signed)
    write_tar(signed, [("oci-layout", layout.LAYOUT + b"\n"), *entries[1:]])
    assert container_failures(signed) == {"V05": {"E_CONTAINER_LAYOUT"}}


def test_a_second_manifest_is_refused(parts: BundleParts, signed: Path) -> None:
    other = parts.copy()
    other.lock["name"] = "other"
    second = other.seal(signed.with_name("other.kolm"))
    extra = [entry for entry in read_entries(second)[2:] if entry not in read_entries(signed)]
    write_tar(signed, [*read_entries(signed), *extra])
    assert container_failures(signed) == {"V04": {"E_CONTAINER_UNKNOWN"}}


def test_a_claim_without_its_manifest_is_refused(parts: BundleParts, signed: Path) -> None:
    claim = Bundle.open(signed).claims[0]
    made = layout.claim_of(claim, Bundle.open(signed).manifest_bytes)
    write_tar(signed, [e for e in read_entries(signed) if e[1] != made.manifest])
    assert set(container_failures(signed)) == {"V04"}


def test_a_dropped_claim_shows_in_the_index(signed: Path) -> None:
    bundle = Bundle.open(signed)
    made = layout.claim_of(bundle.claims[0], bundle.manifest_bytes)
    gone = (made.manifest, made.data)
    write_tar(signed, [e for e in read_entries(signed) if e[1] not in gone])
    assert container_failures(signed) == {"V05": {"E_CONTAINER_LAYOUT"}}


def test_a_claim_manifest_with_other_words_is_refused(signed: Path) -> None:
    bundle = Bundle.open(signed)
    made = layout.claim_of(bundle.claims[0], bundle.manifest_bytes)
    forged = made.manifest.replace(b"dsse-envelope", b"dsse-envelopf")
    write_tar(signed, _swap(read_entries(signed), made.manifest, forged))
    assert "V04" in container_failures(signed)


def _forge_manifest(
    parts: BundleParts, path: Path, change: Callable[[dict[str, object]], None]
) -> Path:
    bundle = Bundle.open(parts.seal(path))
    members = {name: bytes(bundle.member(name)) for name in bundle.names}
    value = canonical.loads(bundle.manifest_bytes, where="manifest")
    change(value)
    return write_raw(path, canonical.dumps(value), members)


def test_a_wrong_size_in_a_descriptor_is_refused(parts: BundleParts, tmp_path: Path) -> None:
    def change(value: dict[str, object]) -> None:
        value["layers"][0]["size"] += 1  # type: ignore[index]

    path = _forge_manifest(parts, tmp_path / "x.kolm", change)
    assert container_failures(path)["V03"] == {"E_CONTAINER_SIZE"}


def test_an_unknown_key_in_the_manifest_is_refused(parts: BundleParts, tmp_path: Path) -> None:
    path = _forge_manifest(parts, tmp_path / "x.kolm", lambda v: v.update(annotations={"a": "b"}))
    assert "E_SCHEMA" in container_failures(path)["V04"]


def test_a_later_version_could_not_be_looked_at(parts: BundleParts, tmp_path: Path) -> None:
    later = "application/vnd.kolm.bundle.v2"
    path = _forge_manifest(parts, tmp_path / "x.kolm", lambda v: v.update(artifactType=later))
    with pytest.raises(Unreadable) as unreadable:
        Bundle.open(path)
    assert unreadable.value.code == "E_BUNDLE_VERSION"


def test_a_damaged_version_is_damage_not_another_version(signed: Path) -> None:
    data = signed.read_bytes()
    signed.write_bytes(data.replace(b'vnd.kolm.bundle.v1","config', b'vnd.kolm.bundle.v3","config'))
    assert {"V03", "V04", "V09"} <= set(container_failures(signed))


def test_one_report_names_several_defects(signed: Path) -> None:
    entries = read_entries(signed)
    entries[0] = ("oci-layout", b"{}")
    entries[-1] = (entries[-1][0], b"x")
    write_tar(signed, entries, end=tar.END + b"tail")
    assert {"V01", "V03", "V05"} <= set(container_failures(signed))
    with pytest.raises(KolmError) as first:
        Bundle.open(signed)
    assert first.value.code == "E_CONTAINER_TRAILING"


def test_a_file_that_changes_while_it_is_packed_is_noticed(
    parts: BundleParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "trace.jsonl"
    source.write_bytes(parts.members()["trace.jsonl"])
    honest = writer.build_manifest

    def meddle(described: object) -> bytes:
        data = bytearray(source.read_bytes())
        data[10] ^= 1
        source.write_bytes(data)
        return honest(described)  # type: ignore[arg-type]

    monkeypatch.setattr(writer, "build_manifest", meddle)
    with pytest.raises(Refused) as refused:
        writer.seal(
            tmp_path / "x.kolm",
            receipt=parts.receipt(),
            members=parts.members() | {"trace.jsonl": source},
        )
    assert refused.value.code == "E_MEMBER_CHANGED"
    assert [path.name for path in tmp_path.iterdir()] == ["trace.jsonl"]


@pytest.mark.parametrize("kind", [k for k in TABLE if not k.several], ids=lambda kind: kind.name)
def test_a_member_that_no_reader_would_take_is_not_sealed(
    parts: BundleParts, tmp_path: Path, kind: MemberKind
) -> None:
    source = tmp_path / "source"
    with source.open("wb") as stream:
        stream.truncate(kind.limit.value + 1)  # without taking room on the disk
    with pytest.raises(Refused) as refused:
        writer.seal(
            tmp_path / "x.kolm",
            receipt=parts.receipt(),
            members=parts.members() | {kind.name: source},
        )
    assert (refused.value.code, refused.value.where) == ("E_CONTAINER_LIMIT", kind.name)


def test_every_limit_of_the_table_is_in_the_format_page() -> None:
    page = Path("docs/format/container.md").read_text(encoding="utf-8")
    for limit in [value for value in vars(limits).values() if isinstance(value, limits.Limit)]:
        assert f"| {limit.name} | {limit.value:,} {limit.unit} | {limit.reason} |" in page


def test_every_member_of_the_table_is_in_the_format_page() -> None:
    page = Path("docs/format/bundle.md").read_text(encoding="utf-8")
    for kind in TABLE:
        assert f"`{kind.media_type}` | {kind.content.value}" in page
        assert kind.several or f"| `{kind.name}` |" in page


def test_the_manifest_schema_allows_as_many_layers_as_the_limit() -> None:
    layers = whole_schema.load("manifest")["properties"]["layers"]["maxItems"]
    assert layers == limits.MEMBERS.value - 1

"""Write the bundle vectors: one good file, and one bad file for each container rule.

    python -m tests.vectors.bundle.make

`expected.json` says for each file of `invalid/` which checks must refuse it and with which codes,
so that any implementation can be held to the same answers. A reader may report more checks than
those listed, never fewer. The claim in the files has a made-up signature: V01 to V09 do not ask.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kolm import canonical, digest
from kolm.bundle import layout, limits, tar
from kolm.bundle.reader import Bundle
from tests.support.bundles import blob, make_parts, read_entries, write_raw, write_tar

FOLDER = Path(__file__).parent
Entries = list[tuple[str, bytes]]
Forge = Callable[[Entries], Entries | bytes]


def made_up_claim(subject: str) -> bytes:
    """An envelope of the right form around a statement, signed by nobody."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "predicate": {},
        "predicateType": "urn:kolm:nothing:v1",
        "subject": [{"digest": {"sha256": subject.removeprefix("sha256:")}, "name": "toy"}],
    }
    return canonical.dumps(
        {
            "dsseEnvelope": {
                "payload": base64.b64encode(canonical.dumps(statement)).decode(),
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"keyid": "0" * 64, "sig": base64.b64encode(b"no").decode()}],
            },
            "mediaType": layout.CLAIM_MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": "0" * 64}, "tlogEntries": []},
        }
    )


def _packed(entries: Entries, end: bytes = tar.END) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_tar(Path(folder) / "x", entries, end=end).read_bytes()


def _patched(offset: int, data: bytes) -> Forge:
    """The file with bytes written over the first header, its checksum made right again."""

    def forge(entries: Entries) -> bytes:
        whole = bytearray(_packed(entries))
        whole[offset : offset + len(data)] = data
        if not 148 <= offset < 156:
            whole[148:156] = b" " * 8
            whole[148:156] = b"%06o\0 " % sum(whole[:512])
        return bytes(whole)

    return forge


def _flipped(place: Callable[[bytes], int]) -> Forge:
    def forge(entries: Entries) -> bytes:
        whole = bytearray(_packed(entries))
        whole[place(bytes(whole))] ^= 1
        return bytes(whole)

    return forge


def _manifest(change: Callable[[dict[str, Any]], Any]) -> Forge:
    """A bundle sealed around a changed manifest, everything else following from it."""

    def forge(entries: Entries) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = write_tar(Path(folder) / "x", entries)
            bundle = Bundle.open(path)
            value = canonical.loads(bundle.manifest_bytes, where="manifest")
            change(value)
            members = {name: bytes(bundle.member(name)) for name in bundle.names}
            return write_raw(path, canonical.dumps(value), members, bundle.claims).read_bytes()

    return forge


def _extend(value: dict[str, Any]) -> None:
    value["annotations"] = {"note": "free text"}


def _resize(value: dict[str, Any]) -> None:
    value["layers"][0]["size"] += 1


def _retype(value: dict[str, Any]) -> None:
    value["layers"][2]["mediaType"] = "application/vnd.kolm.trace.v1+jsonl"


def _repeat(value: dict[str, Any]) -> None:
    value["layers"].insert(0, value["layers"][0])


def _rename(value: dict[str, Any]) -> None:
    value["layers"][2]["annotations"]["org.opencontainers.image.title"] = "..modules.jsonl"


def _copy(manifest: dict[str, Any]) -> None:
    """Two members of the same bytes."""
    first, second = manifest["layers"][-2:]
    second |= {"digest": first["digest"], "size": first["size"]}


INVALID: dict[str, tuple[Forge, dict[str, list[str]]]] = {
    "trailing_byte": (lambda e: _packed(e) + b"\0", {"V01": ["E_CONTAINER_TRAILING"]}),
    "one_zero_block": (lambda e: _packed(e)[:-512], {"V01": ["E_CONTAINER_END"]}),
    "no_end": (lambda e: _packed(e)[:-1024], {"V01": ["E_CONTAINER_TRUNCATED"]}),
    "cut_in_a_blob": (lambda e: _packed(e)[:-2048], {"V01": ["E_CONTAINER_TRUNCATED"]}),
    "padding_not_zero": (
        _flipped(lambda whole: whole.index(b"1.0.0") + 20),
        {"V01": ["E_CONTAINER_PADDING"]},
    ),
    "symbolic_link": (_patched(156, b"2/etc/passwd"), {"V01": ["E_CONTAINER_HEADER"]}),
    "device": (_patched(156, b"3"), {"V01": ["E_CONTAINER_HEADER"]}),
    "pax_header": (_patched(156, b"x"), {"V01": ["E_CONTAINER_HEADER"]}),
    "executable": (_patched(100, b"0000755\0"), {"V01": ["E_CONTAINER_HEADER"]}),
    "owner": (_patched(265, b"root"), {"V01": ["E_CONTAINER_HEADER"]}),
    "time": (_patched(136, b"14000000000\0"), {"V01": ["E_CONTAINER_HEADER"]}),
    "size_with_spaces": (_patched(124, b"         37\0"), {"V01": ["E_CONTAINER_HEADER"]}),
    "size_in_base_256": (
        _patched(124, b"\x80" + (1 << 40).to_bytes(11, "big")),
        {"V01": ["E_CONTAINER_HEADER"]},
    ),
    "size_of_eight_gibibytes": (
        _patched(124, b"%011o\0" % limits.ENTRY_BYTES.value),
        {"V01": ["E_CONTAINER_TRUNCATED"]},
    ),
    "wrong_checksum": (_patched(148, b"000000\0 "), {"V01": ["E_CONTAINER_HEADER"]}),
    "flipped_bit_in_a_blob": (
        _flipped(lambda whole: len(whole) - 4096),
        {"V03": ["E_CONTAINER_DIGEST"]},
    ),
    "flipped_bit_in_the_manifest": (
        _flipped(lambda whole: whole.index(b'"schemaVersion":2}', 3000)),
        {"V03": ["E_CONTAINER_DIGEST"], "V09": ["E_CONTENT_ID"]},
    ),
    "size_in_descriptor": (_manifest(_resize), {"V03": ["E_CONTAINER_SIZE"]}),
    "entry_removed": (lambda e: e[:-1], {"V04": ["E_CONTAINER_MISSING"]}),
    "entry_added": (lambda e: [*e, blob(b"more")], {"V04": ["E_CONTAINER_UNKNOWN"]}),
    "entry_twice": (lambda e: [*e, e[-1]], {"V04": ["E_CONTAINER_TWICE"]}),
    "entries_swapped": (lambda e: [*e[:-2], e[-1], e[-2]], {"V04": ["E_CONTAINER_ORDER"]}),
    "index_first": (lambda e: [e[0], e[2], e[1], *e[3:]], {"V04": ["E_CONTAINER_ORDER"]}),
    "claim_without_manifest": (lambda e: e[:5] + e[6:], {"V04": ["E_CONTAINER_MISSING"]}),
    "unknown_key_in_manifest": (_manifest(_extend), {"V04": ["E_SCHEMA"]}),
    "wrong_media_type": (_manifest(_retype), {"V04": ["E_MANIFEST"]}),
    "member_twice": (_manifest(_repeat), {"V04": ["E_MEMBER_TWICE"]}),
    "members_equal": (_manifest(_copy), {"V04": ["E_MEMBER_EQUAL"]}),
    "unknown_member": (_manifest(_rename), {"V04": ["E_SCHEMA"]}),
    "other_tag": (
        lambda e: [e[0], (e[1][0], e[1][1].replace(b'"v1"', b'"v9"')), *e[2:]],
        {"V05": ["E_CONTAINER_LAYOUT"]},
    ),
    "other_layout": (
        lambda e: [("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'), *e[1:]],
        {"V05": ["E_CONTAINER_LAYOUT"]},
    ),
    "claim_removed": (lambda e: e[:5] + e[7:], {"V05": ["E_CONTAINER_LAYOUT"]}),
}  # fmt: skip


def main() -> None:
    """Write every file again."""
    for name in ("valid", "invalid"):
        (FOLDER / name).mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        parts = make_parts(Path(folder), cases=2, train=2)
        claim = made_up_claim(parts.content_id())
        good = parts.seal(FOLDER / "valid" / "toy.kolm", claims=[claim])
    entries = read_entries(good)
    for name, (forge, _) in INVALID.items():
        forged = forge(list(entries))
        data = forged if isinstance(forged, bytes) else _packed(forged)
        (FOLDER / "invalid" / f"{name}.kolm").write_bytes(data)
    answers = {
        "invalid": {name: expected for name, (_, expected) in sorted(INVALID.items())},
        "valid": {"toy": {"content_id": digest.of_bytes(entries[2][1])}},
    }
    text = json.dumps(answers, indent=1, sort_keys=True) + "\n"
    (FOLDER / "expected.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

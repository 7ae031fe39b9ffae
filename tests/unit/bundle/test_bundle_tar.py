"""The tar grammar: one header for a name and a size, zero padding, two zero blocks, the end."""

from __future__ import annotations

import io
import tarfile

import pytest

from kolm.bundle import limits, tar
from kolm.errors import Refused

NAME = tar.blob_name("ab" * 32)


def _file(*entries: tuple[str, bytes]) -> bytes:
    body = b"".join(tar.header(n, len(d)) + d + tar.padding(len(d)) for n, d in entries)
    return body + tar.END


def _codes(data: bytes) -> list[str]:
    return [defect.code for defect in tar.walk(memoryview(data)).defects]


def test_a_stranger_reads_the_same_entry_as_the_walk() -> None:
    data = _file(("oci-layout", b"{}"), (NAME, b"x" * 700))
    walk = tar.walk(memoryview(data))
    assert [(e.name, e.size) for e in walk.entries] == [("oci-layout", 2), (NAME, 700)]
    assert walk.complete
    assert not walk.defects
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as other:
        member = other.getmembers()[1]
        assert (member.name, member.size, member.mode, member.uid) == (NAME, 700, 0o644, 0)
        assert member.mtime == tar.MTIME_SECONDS
        assert other.extractfile(member).read() == b"x" * 700  # type: ignore[union-attr]


def test_python_tarfile_writes_the_same_header() -> None:
    info = tarfile.TarInfo(NAME)
    info.size, info.mode, info.mtime = 700, 0o644, tar.MTIME_SECONDS
    theirs = info.tobuf(tarfile.USTAR_FORMAT)
    ours = tar.header(NAME, 700)
    # The fields of device numbers differ: POSIX wants octal zeros there, tarfile leaves NULs.
    assert ours[:148] == theirs[:148]
    assert ours[156:329] == theirs[156:329]


@pytest.mark.parametrize(
    ("offset", "value", "code"),
    [
        (0, b"x", "E_CONTAINER_NAME"),
        (100, b"0000755\0", "E_CONTAINER_HEADER"),
        (108, b"0000001\0", "E_CONTAINER_HEADER"),
        (124, b"        2\0  ", "E_CONTAINER_HEADER"),
        (124, b"\x80" + bytes(10) + b"\x02", "E_CONTAINER_HEADER"),
        (124, b"77777777777\0", "E_CONTAINER_HEADER"),
        (136, b"00000000001\0", "E_CONTAINER_HEADER"),
        (156, b"2", "E_CONTAINER_HEADER"),
        (156, b"5", "E_CONTAINER_HEADER"),
        (156, b"x", "E_CONTAINER_HEADER"),
        (157, b"/etc/passwd", "E_CONTAINER_HEADER"),
        (265, b"root", "E_CONTAINER_HEADER"),
        (345, b"prefix", "E_CONTAINER_HEADER"),
        (511, b"\1", "E_CONTAINER_HEADER"),
    ],
)
def test_any_other_header_is_refused(offset: int, value: bytes, code: str) -> None:
    data = bytearray(_file(("oci-layout", b"{}")))
    data[offset : offset + len(value)] = value
    assert _codes(bytes(data)) == [code]


def test_a_terabyte_in_the_size_field_is_refused_before_anything_is_read() -> None:
    data = bytearray(_file(("oci-layout", b"{}")))
    forged = tar.header("oci-layout", limits.ENTRY_BYTES.value)
    data[:512] = forged
    assert _codes(bytes(data)) == ["E_CONTAINER_TRUNCATED"]
    with pytest.raises(Refused, match="limit"):
        tar.header(NAME, limits.ENTRY_BYTES.value + 1)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "E_CONTAINER_TRUNCATED"),
        (bytes(512), "E_CONTAINER_END"),
        (_file(("oci-layout", b"{}"))[:-512], "E_CONTAINER_END"),
        (_file(("oci-layout", b"{}"))[:-1024], "E_CONTAINER_TRUNCATED"),
        (_file(("oci-layout", b"{}")) + bytes(512), "E_CONTAINER_TRAILING"),
        (_file(("oci-layout", b"{}")) + b"x", "E_CONTAINER_TRAILING"),
        (_file(("oci-layout", b"{}"))[:-1] + b"x", "E_CONTAINER_END"),
        (_file(("oci-layout", b"{}")).replace(b"{}\0", b"{}x"), "E_CONTAINER_PADDING"),
    ],
)
def test_the_end_and_the_padding_are_exact(data: bytes, code: str) -> None:
    assert _codes(data) == [code]


def test_more_entries_than_the_limit_stop_the_walk() -> None:
    data = _file(*[("oci-layout", b"")] * (limits.ENTRIES.value + 1))
    walk = tar.walk(memoryview(data))
    assert [defect.code for defect in walk.defects] == ["E_CONTAINER_LIMIT"]
    assert not walk.complete

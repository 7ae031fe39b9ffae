"""Changed bytes that a parser or a judge may meet: JSON values, documents, lines, tensors.

Near the honest ones, so that they get past the first look; a seeded generator draws each.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from kolm import canonical

Random = random.Random

# Values


_EDGES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**53 - 1,
    -(2**53) + 1,
    2**53,
    2**64,
    10**30,
    0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "0",
    "-0",
    "1e9",
    "NaN",
    "0.30000000000000004",
    "9" * 400,
    "\ud800",
    "\udfff tail",
    "\x00",
    "\x1b[31m",
    "a\u0301",
    "\u202e",
    "\U0001f600",
    "../../etc/passwd",
    "(",
    "([a-z0-9_.]+)+!",
    "x" * 70_000,
    "sha256:" + "0" * 64,
    "sha256:" + "0" * 63,
    [],
    {},
    [[]],
    {"": {}},
    ["x"] * 5000,
    {str(n): n for n in range(2000)},
)


def _nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield from _places(inner, (*path, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _changed_value(rng: Random, old: Any, whole: Any) -> Any:
    """Another value in the place of an old one: near it, from elsewhere in the document, or odd."""
    kind = rng.randrange(8)
    if kind == 0 and isinstance(old, int) and not isinstance(old, bool):
        return rng.choice([old + 1, old - 1, -old, old * 2, old + 2**32])
    if kind == 1 and isinstance(old, str):
        return rng.choice([old + "0", old[:-1], old.upper(), old + "\n", old[::-1], f" {old}"])
    if kind == 2 and isinstance(old, list):
        return rng.choice([old[::-1], old * 2, old[1:], old + old[:1], old * 300])
    if kind == 3 and isinstance(old, dict) and old:
        lost = rng.choice(sorted(old))
        return rng.choice([{k: v for k, v in old.items() if k != lost}, {**old, "zz": 1}])
    if kind in (4, 5):
        return json.loads(json.dumps(_at(whole, rng.choice(list(_places(whole))))))
    if kind == 6:
        return _nested(rng.choice([5, 31, 32, 33, 200]))
    return rng.choice(_EDGES)


def mutate_value(rng: Random, value: Any) -> Any:
    """A deep copy of a JSON value with one to three places changed."""
    made = json.loads(json.dumps(value))
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        path = rng.choice(list(_places(made)))
        if not path:
            return _changed_value(rng, made, made)
        _at(made, path[:-1])[path[-1]] = _changed_value(rng, _at(made, path), made)
        made = json.loads(json.dumps(made))
    return made


def written(rng: Random, value: Any) -> bytes:
    """Bytes of a value: canonical where there are such, now and then in another spelling."""
    if rng.random() < 0.9:
        try:
            return canonical.dumps(value)
        except (TypeError, ValueError, RecursionError):
            pass
    ascii_only = rng.random() < 0.5
    text = json.dumps(value, ensure_ascii=ascii_only, sort_keys=rng.random() < 0.8)
    return text.encode("utf-8", "surrogatepass")


# Members


def mutate_document(rng: Random, data: bytes) -> bytes:
    """A document with one to three places changed."""
    return written(rng, mutate_value(rng, json.loads(data)))


def mutate_lines(rng: Random, data: bytes) -> bytes:
    """JSON lines with one changed, moved, repeated or gone, or other text."""
    lines = data.splitlines()
    kind = rng.randrange(10)
    if not lines or kind == 0:
        odd = [b"", b"\n", b"{}\n", b"x", b"\xff\n", b"[]\n" * 999, b"{}\n" * 9999]
        return rng.choice([*odd, data[:-1], data * 2])
    place = rng.randrange(len(lines))
    if kind == 1:
        del lines[place]
    elif kind == 2:
        lines.insert(place, lines[place])
    elif kind == 3:
        rng.shuffle(lines)
    elif kind == 4:
        lines = lines[: place + 1] + [lines[place]] * rng.choice([10, 3000])
    else:
        row = mutate_value(rng, json.loads(lines[place]))
        lines[place] = written(rng, row).replace(b"\n", b" ")
    return b"".join(line + b"\n" for line in lines)


_PATTERNS = (
    b"\x00\x00\x00\x00",  # zero
    b"\x00\x00\x00\x80",  # minus zero
    b"\x01\x00\x00\x00",  # the smallest denormal
    b"\x00\x00\xc0\x7f",  # NaN
    b"\x00\x00\x80\x7f",  # infinity
    b"\xff\xff\x7f\x7f",  # the largest float
)


def mutate_tensors(rng: Random, data: bytes) -> bytes:
    """A safetensors file with another header, or other numbers."""
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), bytearray(data[8 + size :])
    kind = rng.randrange(6)
    if kind == 0:
        start = rng.randrange(max(1, len(body) // 4)) * 4
        count = rng.choice([1, 4, len(body)])
        pattern = rng.choice(_PATTERNS) * count
        body[start : start + len(pattern)] = pattern[: len(body) - start]
    elif kind == 1:
        body = bytearray(rng.choice([b"", bytes(body[:-1]), bytes(body) * 2]))
    elif kind == 2:
        cut = [data[: 8 + size // 2], data[8:], data[: 8 + size]]
        return rng.choice([*cut, b"", bytes(7), b"\xff" * 8 + data[8:]])
    elif kind == 3:
        names = sorted(n for n in header if n != "__metadata__")
        entry = header[rng.choice(names)] if names else {}
        entry["dtype"] = rng.choice(["F16", "BF16", "F64", "U8", "I64", "BOOL", "F8_E4M3", "F4"])
        width = {"F16": 2, "BF16": 2, "F64": 8, "I64": 8}.get(entry["dtype"], 1)
        if "shape" in entry and rng.random() < 0.7:
            begin, end = entry["data_offsets"]
            entry["shape"] = [(end - begin) // width]
    else:
        header = mutate_value(rng, header)
    text = written(rng, header)
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + bytes(body)


def mutate_bytes(rng: Random, data: bytes) -> bytes:
    """Other bytes, or none."""
    return rng.choice([b"", data[:-1], data + b"x", b"\xff\xfe", rng.randbytes(64), b"\n" * 5000])


def mutate_raw(rng: Random, data: bytes) -> bytes:
    """Bytes with one to eight of them changed, put in, or taken out; or runs of them."""
    made = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        place, kind = rng.randrange(len(made) + 1), rng.randrange(7)
        run = rng.choice([1, 2, 4, 64])
        if kind in (0, 1) and place < len(made):
            made[place] ^= 1 << rng.randrange(8)
        elif kind == 2:
            made[place : place + run] = rng.randbytes(run)
        elif kind == 3:
            made[place:place] = rng.choice([b"\x00", b"\xff", b'"', b"\n", b"9"]) * run
        elif kind == 4:
            del made[place : place + run]
        elif kind == 5:
            made[place:place] = made[place : place + run]
        else:
            del made[place + rng.randrange(4) :]
    return bytes(made)


def mutate_text(rng: Random, data: bytes) -> bytes:
    """A text with an odd piece in it, or as `mutate_raw`."""
    if rng.random() < 0.5:
        return mutate_raw(rng, data)
    place = rng.randrange(len(data) + 1)
    odd = rng.choice([e for e in _EDGES if isinstance(e, str)])
    return data[:place] + odd.encode("utf-8", "surrogatepass") + data[place:]


def mutate_said(rng: Random, data: bytes) -> bytes:
    """A document, mostly as `mutate_document` changes it."""
    return (mutate_document if rng.random() < 0.7 else mutate_raw)(rng, data)

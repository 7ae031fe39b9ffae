"""The floor: the one JSON of kolm's own documents, written canonically and read strictly.

Documents hold strings, booleans, integers below 2**53 in size, null, lists and objects; every
fraction is a decimal string. For such values RFC 8785 (JCS) and compact, key-sorted JSON are the
same bytes as long as keys are sorted by UTF-16 code units, which is what `dumps` does.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import cache
from typing import Any, NoReturn

from kolm.errors import Refused

MAX_INTEGER = 2**53 - 1  # what every JSON reader keeps exactly (RFC 7493)
MAX_DOCUMENT_BYTES = 2 * 1024 * 1024  # our largest document is well below 200 KiB
MAX_LINE_BYTES = 64 * 1024  # a row is one capture or module; keeps streaming memory flat
_MAX_DIGITS = 4300  # of an integer that Python reads from text
MAX_DEPTH = 32  # our deepest document nests 9 levels

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?\Z", re.ASCII)
_EXACT = Context(prec=1100)  # room for any binary64 written out in full


def dumps(value: object) -> bytes:
    """Canonical bytes of `value` (RFC 8785 restricted to values without fractions).

    Raises:
        TypeError: a float, or anything that is not plain JSON.
        ValueError: an integer at or above 2**53, or a lone surrogate.
    """
    if _are_plain((value,)):
        return _ENCODER.encode(value).encode("utf-8")
    ordered = _plain(value)
    text = json.dumps(ordered, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8")


def _are_plain(values: Iterable[Any]) -> bool:
    """Whether values are what `_plain` makes of them, but for the order of ASCII keys.

    Most are; then the encoder sorts the keys itself, and nothing is copied.
    """
    for value in values:
        kind = type(value)
        if kind is str:
            fits = value.isascii() or has_utf8(value)
        elif kind is dict:
            fits = "".join(value).isascii() and _are_plain(value.values())
        elif kind is list or kind is tuple:
            fits = _are_plain(value)
        elif kind is int:
            fits = -MAX_INTEGER <= value <= MAX_INTEGER
        else:
            fits = value is None or kind is bool
        if not fits:
            return False
    return True


def _plain(value: Any) -> object:
    kind = type(value)
    if kind is str:
        if not has_utf8(value):
            raise ValueError("a lone surrogate has no UTF-8 form")
        return value
    if value is None or kind is bool:
        return value
    if kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise ValueError(f"integer {value} is outside ±(2**53 - 1)")
        return value
    if kind is dict:
        try:
            ordered = sorted(value) if all(map(str.isascii, value)) else sorted(value, key=_utf16)
        except TypeError:
            raise TypeError("object keys are strings") from None
        return {_plain(key): _plain(value[key]) for key in ordered}
    if kind is list or kind is tuple:
        return [_plain(item) for item in value]
    if isinstance(value, str):  # NewTypes are str at run time; enums and subclasses are not plain
        return _plain(str.__str__(value))
    raise TypeError(f"{kind.__name__} is not allowed in a kolm document")


def text(value: str) -> str:
    """The canonical form of a text, as it stands in a document, before it is put into UTF-8."""
    return _ENCODER.encode(value)


def has_utf8(text: str) -> bool:
    """Whether a text can be written in UTF-8: one with a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def loads(
    data: bytes | memoryview,
    *,
    where: str,
    max_bytes: int = MAX_DOCUMENT_BYTES,
    max_depth: int = MAX_DEPTH,
    floats: bool = False,
    integers: bool = False,
) -> Any:
    """Read one JSON value strictly.

    Args:
        data: the stored bytes.
        where: the member or file, for errors.
        max_bytes: refuse anything larger before parsing.
        max_depth: refuse deeper nesting before parsing.
        floats: allow JSON numbers with a fraction (PEFT's `adapter_config.json`, users' rows).
        integers: allow integers beyond ±(2**53 - 1), up to 4,300 digits (users' rows).

    Raises:
        Refused: too large, not UTF-8, not JSON, nested too deep, a duplicate key, NaN or
            Infinity, a fraction, an integer at or above 2**53, or a lone surrogate.
    """
    if len(data) > max_bytes:
        raise Refused(
            "E_JSON_TOO_LARGE",
            "the JSON document is larger than its limit",
            where=where,
            expected=f"at most {max_bytes} bytes",
            found=f"{len(data)} bytes",
        )
    try:
        text = str(data, "utf-8") if isinstance(data, bytes | bytearray) else bytes(data).decode()
    except UnicodeDecodeError as error:
        raise Refused("E_JSON_ENCODING", f"not UTF-8: {error.reason}", where=where) from None
    _check_depth(text, max_depth, where)
    try:
        value = _reader(floats, integers).decode(text)
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg.removesuffix(' at')} at byte {error.pos}"
        raise Refused("E_JSON_SYNTAX", message, where=where) from None
    except ValueError as error:
        raise Refused("E_JSON_VALUE", str(error), where=where) from None
    _demand_utf8(text, value, where)
    return value


@cache  # making one takes as long as reading a short row
def _reader(floats: bool, integers: bool) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_distinct_keys,
        parse_float=_fraction if floats else _no_fraction,
        parse_int=_long_integer if integers else _integer,
        parse_constant=_no_constant,
    )


def _distinct_keys(items: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(items)
    if len(value) != len(items):
        counts = Counter(key for key, _ in items)  # in one pass: the object may be hostile
        twice = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"the key {twice[:80]!r} appears twice in one object")
    return value


def _fraction(literal: str) -> float:
    value = float(literal)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {literal[:40]} is too large")
    return value


def _no_fraction(literal: str) -> NoReturn:
    raise ValueError(f"the number {literal[:40]} has a fraction; write a decimal string")


def _integer(literal: str) -> int:
    if len(literal) <= 17 and abs(value := int(literal)) <= MAX_INTEGER:
        return value
    raise ValueError(f"the integer {literal[:40]} is outside ±(2**53 - 1)")


def _long_integer(literal: str) -> int:
    return int(literal) if len(literal) <= _MAX_DIGITS else _integer(literal)


def _no_constant(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is not JSON")


def loads_own(data: bytes) -> Any:
    """Read a JSON file that is a part of kolm: as trusted as its code; tests hold it strict."""
    return json.loads(data)  # noqa: TID251 - nobody else's bytes


# UTF-8 itself has no surrogates, so that one comes as an escape or not at all.
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def _demand_utf8(text: str, value: object, where: str) -> None:
    """Refuse a value with a text that could never be written again."""
    if not _SURROGATE_ESCAPE.search(text):
        return
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        message = "a text holds a lone surrogate, which has no UTF-8 form"
        raise Refused("E_JSON_VALUE", message, where=where) from None


# A string that nobody closes runs to the end, and nothing is ever tried twice: without that, a
# document of escaped quotes takes the square of its size.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = re.compile(r"[^\[\]{}]+")


def _check_depth(text: str, max_depth: int, where: str) -> None:
    """Refuse deep nesting before the parser recurses into it."""
    if text.count("[") + text.count("{") <= max_depth:
        return
    depth = 0
    for sign in _NO_BRACKETS.sub("", _STRING.sub("", text)):
        depth += 1 if sign in "[{" else -1
        if depth > max_depth:
            raise Refused(
                "E_JSON_TOO_DEEP",
                "the JSON document is nested deeper than its limit",
                where=where,
                expected=f"at most {max_depth} levels",
            )


def loads_canonical(
    data: bytes | memoryview, *, where: str, max_bytes: int = MAX_DOCUMENT_BYTES
) -> Any:
    """Read one JSON value and demand that its bytes are the canonical ones.

    Raises:
        Refused: as `loads`, or ``E_JSON_NOT_CANONICAL``.
    """
    stored = bytes(data)
    values = _decode_batch([stored]) if len(stored) <= max_bytes else None
    if values is not None:
        return values[0]
    value = loads(stored, where=where, max_bytes=max_bytes)
    try:
        same = dumps(value) == stored
    except ValueError as error:
        raise Refused("E_JSON_VALUE", str(error), where=where) from None
    if not same:
        raise Refused(
            "E_JSON_NOT_CANONICAL",
            "the bytes are not the canonical form of their value (RFC 8785)",
            where=where,
        )
    return value


# Verification reads some 70,000 rows of a bundle: this path stays inside the C codec.
_DECODER = json.JSONDecoder(parse_float=_no_fraction, parse_constant=_no_constant)
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)
_BETWEEN = b',"|",'  # of lines that are read in one go
# Where a number may have 16 digits, when each digit is a zero, no sign is there, and a list begins
# like an item. A digest, which is text, does not look like one.
_NUMBERS = bytes.maketrans(b"123456789[", b"000000000,")
_LONG_INTEGERS = [start + b"0" * 16 for start in (b'":', b",")]
_BEYOND_BMP = re.compile(rb"[\xf0-\xff]")


def read_lines(
    data: bytes | memoryview, *, where: str, shared: bool = False
) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """Read canonical JSON Lines: yields (line number from 1, the line's bytes, its value).

    Args:
        data: the text.
        where: its name.
        shared: lines that are the same and near each other may have one value, which is then read
            once; for who changes nothing.

    Raises:
        Refused: a line that is too long, empty, not an object, not canonical JSON, or a last
            line without its newline; `where` carries the line number.
    """
    for first, lines in _batches(split_lines(data, where=where)):
        values = _decode_shared(lines) if shared else _decode_batch(lines)
        for place, line in enumerate(lines):
            number = first + place
            if values is not None:
                value = values[place]
            else:
                value = loads_canonical(line, where=f"{where}:{number}")
            if type(value) is not dict:
                message = "the line is not a JSON object"
                raise Refused("E_JSONL_NOT_OBJECT", message, where=f"{where}:{number}")
            yield number, line, value


def read_again(data: bytes | memoryview) -> Iterator[Any]:
    """The values of a text all of whose lines `read_lines` took in their canonical bytes.

    They are not judged again, which is most of the time that reading takes. Lines that are the same
    and near each other have one value, for who changes nothing.
    """
    for _, lines in _batches(split_lines(data, where="")):
        distinct = dict.fromkeys(lines)
        values = _DECODER.decode((b"[" + b",".join(distinct) + b"]").decode("utf-8"))
        of_line = dict(zip(distinct, values, strict=True))
        for line in lines:
            yield of_line[line]


def split_lines(data: bytes | memoryview, *, where: str) -> Iterator[bytes]:
    """The lines of a text without their newlines, taken out of it some at a time.

    Raises:
        Refused: a line that is too long, or a last line without its newline.
    """
    number, pending = 1, b""
    for start in range(0, len(data), _PIECE_BYTES):
        *whole, pending = (pending + bytes(data[start : start + _PIECE_BYTES])).split(b"\n")
        for line in whole:
            if len(line) > MAX_LINE_BYTES:
                raise _too_long(line, f"{where}:{number}")
            yield line
            number += 1
        if len(pending) > MAX_LINE_BYTES:
            raise _too_long(pending, f"{where}:{number}")
    if pending:
        message = "the last line has no newline"
        raise Refused("E_JSONL_NO_NEWLINE", message, where=f"{where}:{number}")


def _too_long(line: bytes, where: str) -> Refused:
    return Refused(
        "E_JSONL_LINE_TOO_LONG",
        "the line is longer than its limit",
        where=where,
        expected=f"at most {MAX_LINE_BYTES} bytes",
        found=f"{len(line)} bytes or more",
    )


_PIECE_BYTES = 256 * 1024
_BATCH_LINES = 256
_BATCH_BYTES = 1024 * 1024


def _batches(lines: Iterator[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Lines by the dozen, each batch with the number of its first line."""
    first, batch, size = 1, list[bytes](), 0
    try:
        for line in lines:
            batch.append(line)
            size += len(line)
            if len(batch) == _BATCH_LINES or size > _BATCH_BYTES:
                yield first, batch
                first, batch, size = first + len(batch), [], 0
    except Refused:
        yield first, batch  # what stands before the bad line is judged first
        raise
    yield first, batch


def _decode_shared(lines: list[bytes]) -> list[Any] | None:
    """As `_decode_batch`; equal lines have one value."""
    distinct = list(dict.fromkeys(lines))
    values = _decode_batch(distinct)
    if values is None or len(distinct) == len(lines):
        return values
    of_line = dict(zip(distinct, values, strict=True))
    return [of_line[line] for line in lines]


def _decode_batch(lines: list[bytes]) -> list[Any] | None:
    """The values of plainly canonical texts, or None when the slow path must judge each.

    They are read, written again and compared in one go; the same bytes come out only if no key
    stood twice and the order was canonical. So that no line borrows from the next, a text that none
    of them holds stands between each two, and must be read as an item by itself. Code points beyond
    the BMP (four-byte UTF-8, first byte 0xF0 or more) sort differently in UTF-16, so they go the
    slow way, as does anything that may be a long integer. Read in one go the keys of several lines
    are the same texts in memory, which makes rows half as large.
    """
    joined = b"[" + _BETWEEN.join(lines) + b"]"
    if joined.count(_BETWEEN) != len(lines) - 1:
        return None
    if any(line.count(b"[") + line.count(b"{") > MAX_DEPTH for line in lines):
        return None
    if _may_hold_long_integers(joined):
        return None
    if not joined.isascii() and _BEYOND_BMP.search(joined):
        return None
    try:
        items = _DECODER.decode(joined.decode("utf-8"))
        same = _ENCODER.encode(items).encode("utf-8") == joined
    except (ValueError, RecursionError):
        return None
    alone = len(items) == 2 * len(lines) - 1 and items[1::2] == ["|"] * (len(lines) - 1)
    return items[::2] if same and alone else None


def _may_hold_long_integers(joined: bytes) -> bool:
    digits = joined.translate(_NUMBERS, b"-")
    return any(number in digits for number in _LONG_INTEGERS)


def dump_lines(rows: Iterable[object]) -> bytes:
    """JSON Lines: the canonical bytes of each row, each ended by a newline."""
    return b"".join(dumps(row) + b"\n" for row in rows)


def decimal(value: float | int | str | Decimal, places: int | None = 6) -> str:
    """The canonical decimal string of a number: no exponent, no trailing zeros, no ``-0``.

    Args:
        value: a finite number; a float stands for its shortest repr.
        places: digits kept after the point (half to even), or None to keep all of them.

    Raises:
        ValueError: not a finite number.
    """
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"{value} is not a finite number")
    if places is not None:
        number = number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN, _EXACT)
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def parse_decimal(text: object, *, where: str) -> Decimal:
    """Read a canonical decimal string; the law is ``decimal(parse_decimal(s), None) == s``.

    Raises:
        Refused: not a canonical decimal string.
    """
    if not isinstance(text, str) or not _DECIMAL.match(text) or text == "-0" or len(text) > 400:
        raise Refused(
            "E_DECIMAL",
            "not a canonical decimal string",
            where=where,
            expected='digits such as "0.95"',
            found=repr(text)[:80],
        )
    return Decimal(text)

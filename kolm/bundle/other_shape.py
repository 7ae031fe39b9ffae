"""The bundle: what to do with one whose documents have a shape that this kolm does not read."""

from __future__ import annotations

import re
from collections.abc import Callable

from kolm import canonical
from kolm.errors import KolmError
from kolm.format.names import RECEIPT
from kolm.version import VERSION

_VERSION = re.compile(r"[0-9a-z.+]{1,40}", re.ASCII)


def hint(read_receipt: Callable[[], memoryview]) -> str:
    """The advice, with the version of kolm that the receipt names, by the bundle's own word."""
    return (
        f"this is kolm {VERSION}, and the bundle says that kolm {_maker(read_receipt)} made it; if "
        "another version or build did, read it with that one, or compile it again with this one; "
        "else it was changed"
    )


def _maker(read_receipt: Callable[[], memoryview]) -> str:
    try:
        document = canonical.loads(read_receipt(), where=RECEIPT)
    except KolmError:
        return "(unknown)"
    stated = document.get("kolm") if type(document) is dict else None
    shown = isinstance(stated, str) and _VERSION.fullmatch(stated)
    return str(stated) if shown else "(unknown)"

"""What a receipt says of a method that has no names from elsewhere. Torch-free."""

from __future__ import annotations

from kolm.records.codec import to_document


class OwnNames:
    """Of a method whose receipt is the lock's settings, each under the method's name."""

    __slots__ = ()

    def receipt(self) -> dict[str, object]:
        """The lock's settings."""
        settings = to_document(self)
        kind = settings.pop("kind")
        return {"kind": kind, **{f"{kind}_{name}": value for name, value in settings.items()}}

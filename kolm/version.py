"""The floor: kolm's own version, as ``pyproject.toml`` and every document state it."""

VERSION = "0.2.0"

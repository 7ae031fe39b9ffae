"""Verify: policies to start from, one file for each purpose, with what each clause is for."""

from __future__ import annotations

from importlib import resources

# By purpose, what the policy is for.
PURPOSES: dict[str, str] = {
    "release": "what a team demands of its own bundle before it leaves the house",
    "procurement": "what a buyer demands of somebody else's bundle, with the base at hand",
    "air-gapped": "what can be decided from the file alone",
}


def template(purpose: str) -> bytes:
    """The YAML of a purpose, comments and all."""
    return resources.files(__name__).joinpath(f"{purpose}.yaml").read_bytes()

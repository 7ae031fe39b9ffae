"""What tests show of each family, as pytest collects them.

python -m tests.support.shown   # writes kolm/roles/shown.jsonl again
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from kolm import canonical
from kolm.roles import FAMILIES, Family
from kolm.roles.shown import FILE, Trait, Where

_ROOT = Path(__file__).parents[2]
_TABLES = "tests/contract/test_families.py::test_"
_FORWARD = "tests/contract/test_family_forward.py::test_"
_QUANTISED = "tests/contract/test_quantisation.py::test_"
_COMPILED = "tests/integration/test_compile_families.py::test_"
TRAITS = {
    "roles": (
        "every tensor and module has one role, and targets are the language's linear layers",
        f"{_TABLES}every_tensor_has_one_role_and_so_has_every_module",
        f"{_TABLES}targets_are_all_linear_layers_of_the_language_role_and_no_other",
    ),
    "pixels": (
        "a saved processor is read without torchvision and gives the same pixels, bit for bit",
        f"{_TABLES}a_saved_processor_is_read_without_torchvision_and_gives_the_same",
    ),
    "taps": (
        "a picture that was recorded gives the library's logits, bit for bit",
        f"{_FORWARD}logits_are_the_librarys_where_the_tower_makes_the_same_call",
    ),
    "forward": (
        "encoded captures give the logits of the library's own batch, to 1e-6",
        f"{_FORWARD}encoded_captures_give_the_logits_of_the_processors_own_batch",
    ),
    "answers": (
        "answers are the library's, token for token",
        f"{_FORWARD}answers_are_the_librarys_token_for_token",
    ),
    "qlora": (
        "steps on a base in 4 bits change what is trained and nothing else",
        f"{_QUANTISED}three_steps_on_a_quantised_base_of_each_family",
    ),
    "compiled": (
        "a base is compiled, verified with base and captures, and answers",
        f"{_COMPILED}a_base_of_the_family_is_compiled_verified_and_run",
    ),
}


class _Collected:
    """A plugin of pytest that keeps the items of a run."""

    items: tuple[pytest.Item, ...] = ()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = tuple(session.items)


def traits() -> list[Trait]:
    """Every trait with the families that its tests run for.

    Raises:
        ValueError: a test is not there.
    """
    collected = _Collected()
    tests = [test for _, *own in TRAITS.values() for test in own]
    quiet = ("-p", "no:terminal", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib")
    named = [f"{_ROOT}/{test}" for test in tests]
    code = pytest.main(["--collect-only", *quiet, *named], plugins=[collected])
    if code != pytest.ExitCode.OK:
        raise ValueError(f"pytest collects not all of {tests}")
    return [
        Trait(name, says, own, {n: _shown(table, own, collected.items) for n, table in _tables()})
        for name, (says, *own) in TRAITS.items()
    ]


def _tables() -> Iterable[tuple[str, Family]]:
    return zip(FAMILIES, FAMILIES.values(), strict=True)


def _shown(table: Family, tests: list[str], items: Iterable[pytest.Item]) -> Where:
    """Where a trait is shown of a family: where all of its tests run for it."""
    runs = [[*_runs(table, test.rpartition("::")[2], items)] for test in tests]
    if not all(runs):
        return "none" if table.takes_pictures else "no pictures"
    return "tests" if all(map(any, runs)) else "acceptance"


def _runs(table: Family, test: str, items: Iterable[pytest.Item]) -> Iterator[bool]:
    """Whether each case of a test with this family is of every run."""
    for item in items:
        if isinstance(item, pytest.Function) and item.originalname == test:
            given = item.callspec.params.values()
            if table in given or table.model_type in given:
                yield item.get_closest_marker("slow") is None


def main() -> None:
    """Write what is collected."""
    FILE.write_bytes(canonical.dump_lines(trait._asdict() for trait in traits()))


if __name__ == "__main__":
    main()

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "concepts" / "kscore.md"


def test_the_figures_on_the_concept_page_are_what_the_code_gives() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted >= 8
    assert result.failed == 0

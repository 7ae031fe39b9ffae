"""The command line: a page of the documentation as text for a terminal."""

from __future__ import annotations

import io
import shutil

MOST_COLUMNS = 100  # longer lines are hard to read


def render(markdown: str, *, colors: bool) -> str:
    """Markdown with its tables drawn and its lines filled.

    Args:
        markdown: the page.
        colors: use the terminal's styles.
    """
    from rich.console import Console
    from rich.markdown import Markdown

    columns = min(MOST_COLUMNS, shutil.get_terminal_size((MOST_COLUMNS, 24)).columns)
    made = io.StringIO()
    console = Console(file=made, width=columns, force_terminal=colors, no_color=not colors)
    console.print(Markdown(markdown, hyperlinks=False))
    return "\n".join(line.rstrip() for line in made.getvalue().splitlines()).strip("\n")

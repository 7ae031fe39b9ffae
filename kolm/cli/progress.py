"""The command line: progress on stderr. A bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from kolm.cli.output import one_line
from kolm.counting import counted
from kolm.events import Fact, Reporter, Silent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from kolm.cli.output import Output

LINE_EVERY_SECONDS = 30.0  # often enough to see life in a log, rare enough to keep it short
LINE_EVERY_SHARE = 0.1
LEAST_SECONDS = 5.0  # between two lines: a stage of seconds needs none on its way


def reporter(output: Output) -> Reporter:
    """The reporter that fits the flags and the stream."""
    if output.quiet:
        return Silent()
    if output.terminal():
        return Bars(output)
    return Lines(output)


def _told(facts: dict[str, Fact]) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in facts.items())


def _short(value: Fact) -> str:
    """A fact with at most four digits after the first; a child's numbers arrive as text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return one_line(str(value))
    return f"{value:.4g}" if isinstance(value, float) and not value.is_integer() else f"{value:.0f}"


def _amount(done: int, total: int | None, unit: str) -> str:
    """How much is done, of how much where that is known; nothing before anything is done."""
    if total is not None:
        return f"{done:,}/{total:,} {unit}"
    return f"{done:,} {unit}" if done else ""


class _Words:
    """What both reporters say in whole lines."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._since: dict[str, float] = {}

    def warned(self, message: str) -> None:
        """Say a warning."""
        self._output.tell(f"{self._output.paint('warning', 'warn')}  {one_line(message)}")

    def noted(self, message: str) -> None:
        """Say a milestone, under -v only."""
        if self._output.verbose:
            self._output.tell(f"note     {one_line(message)}")

    def _resumed(self, stage: str, total: int | None, unit: str, done: int) -> bool:
        """Say after what a stage goes on, if it does."""
        if done:
            amount = _amount(done, total, unit)
            self._output.tell(f"{stage}  goes on after {amount}, which an earlier run did")
        return done > 0

    def _seconds(self, stage: str) -> float:
        return perf_counter() - self._since.get(stage, perf_counter())


class Lines(_Words):
    """One line every 30 seconds or 10 %, but none within 5 seconds: for logs and pipes."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._total: dict[str, tuple[int | None, str]] = {}
        self._last: dict[str, tuple[float, int]] = {}

    def started(self, stage: str, total: int | None, unit: str, done: int = 0) -> None:
        """Remember when, and say so."""
        now = perf_counter()
        self._since[stage] = now
        self._total[stage] = (total, unit)
        self._last[stage] = (now, done)
        if not self._resumed(stage, total, unit, done):
            amount = f"  {counted(total, unit.removesuffix('s'))}" if total else ""
            self._output.tell(f"{stage}{amount}")

    def advanced(self, stage: str, done: int, **facts: Fact) -> None:
        """Say a line when it is time for one."""
        total, unit = self._total.get(stage, (None, ""))
        then, before = self._last.get(stage, (0.0, 0))
        now = perf_counter()
        share_due = total is not None and done - before >= max(1, int(total * LINE_EVERY_SHARE))
        if now - then < (LEAST_SECONDS if share_due else LINE_EVERY_SECONDS):
            return
        self._last[stage] = (now, done)
        self._output.tell(f"{stage}  {_amount(done, total, unit)}  {_told(facts)}".rstrip())

    def finished(self, stage: str, **facts: Fact) -> None:
        """Say how long it took."""
        line = f"{stage}  done in {self._seconds(stage):.1f} s  {_told(facts)}"
        self._output.tell(line.rstrip())


class Bars(_Words):
    """A redrawn line a stage, on a terminal."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._bars: dict[str, tuple[Progress, TaskID]] = {}

    def started(self, stage: str, total: int | None, unit: str, done: int = 0) -> None:
        """Open the stage's bar."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._close(stage)  # a stage that begins anew, for example after an error in a child

        stream = self._output.stderr()
        console = Console(file=stream, no_color=not self._output.colors_on(stream))
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[done]}  {task.fields[facts]}"),
            *([TimeRemainingColumn(compact=True)] if total else []),
            console=console,
            transient=True,
            redirect_stdout=False,  # else `output.current` would see other streams, and no bars
            redirect_stderr=False,
        )
        self._since[stage] = perf_counter()
        self._resumed(stage, total, unit, done)
        amount = _amount(done, total, unit)
        task = bar.add_task(stage, total=total, completed=done, unit=unit, done=amount, facts="")
        self._bars[stage] = (bar, task)
        bar.start()

    def advanced(self, stage: str, done: int, **facts: Fact) -> None:
        """Move the stage's bar."""
        if stage in self._bars:
            bar, task = self._bars[stage]
            total, unit = bar.tasks[0].total, bar.tasks[0].fields["unit"]
            amount = _amount(done, None if total is None else int(total), unit)
            facts.pop("seconds_left", None)  # the bar tells it in its own form
            bar.update(task, completed=done, done=amount, facts=_told(facts))

    def finished(self, stage: str, **facts: Fact) -> None:
        """Replace the bar by one line."""
        self._close(stage)
        tick = self._output.paint("done", "good")
        line = f"{tick}  {stage} in {self._seconds(stage):.1f} s  {_told(facts)}"
        self._output.tell(line.rstrip())

    def warned(self, message: str) -> None:
        """Say a warning, above the bars."""
        with self._aside():
            super().warned(message)

    def noted(self, message: str) -> None:
        """Say a milestone, above the bars."""
        with self._aside():
            super().noted(message)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        for bar, _ in self._bars.values():
            bar.stop()
        yield
        for bar, _ in self._bars.values():
            bar.start()

    def close(self) -> None:
        """Take down bars that an error left open, so that its text is not overdrawn."""
        for stage in list(self._bars):
            self._close(stage)

    def _close(self, stage: str) -> None:
        if stage in self._bars:
            bar, _ = self._bars.pop(stage)
            bar.stop()

"""The compositions: a bundle and what an audit finds of it, as one page to read and to file."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Unpack

from kolm import outputs
from kolm.actions.earlier import audit_of
from kolm.actions.pictures import showing
from kolm.actions.verification import Looking
from kolm.bundle.container import open_container
from kolm.bundle.reader import Bundle
from kolm.records.verification import Verification
from kolm.report.eval_log import eval_log
from kolm.report.every_eval import every_eval
from kolm.report.facts import Facts
from kolm.report.page import render


class Report:
    """A page, and the audit that it shows. A notebook shows the page itself.

    Attributes:
        audit: what was found.
        page: the bytes of the HTML file.
    """

    def __init__(self, facts: Facts, page: bytes) -> None:
        self.audit: Verification = facts.audit
        self.page = page
        self._facts = facts

    def write_log(self, target: str | Path, *, force: bool = False) -> None:
        """Write the evaluation as a log that Inspect (`inspect_ai`) reads.

        Args:
            target: a ``.eval`` file is Inspect's archive, any other one is JSON.
            force: replace another file of that name.

        Raises:
            Unreadable: ``E_EVAL_LOG_WITHHELD``: the bundle does not publish its eval cases.
            Usage: ``E_TARGET_EXISTS``.
        """
        log = eval_log(self._facts, archive=Path(target).suffix == ".eval")
        outputs.write(Path(target), log, force=force)

    def write_every_eval(self, target: str | Path, *, force: bool = False) -> None:
        """Write the evaluation as a record of Every Eval Ever, schema 0.3, in JSON.

        Raises:
            Unreadable: ``E_EVAL_LOG_WITHHELD``: the bundle has no K-score of its evaluation.
            Usage: ``E_TARGET_EXISTS``.
        """
        outputs.write(Path(target), every_eval(self._facts), force=force)

    def write(self, target: str | Path, *, force: bool = False) -> None:
        """Write the page, whole or not at all.

        Raises:
            Usage: ``E_TARGET_EXISTS``.
        """
        outputs.write(Path(target), self.page, force=force)

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that neither its style nor its texts leave it."""
        source = html.escape(self.page.decode("utf-8"))
        return (
            f'<iframe sandbox srcdoc="{source}" style="width:100%;height:40rem;border:0"></iframe>'
        )


def report(
    bundle: str | Path, *, audit: str | Path | None = None, **looking: Unpack[Looking]
) -> Report:
    """Audit a bundle and show it on one page.

    Args:
        bundle: the file; it is read once, and what is audited is what is shown.
        audit: what ``kolm verify --json`` printed about this file, in place of a new audit.
        looking: as in `verify`; pictures that the bundle does not publish come from `captures`.

    Raises:
        Unreadable, Refused: it is not an intact bundle; `kolm verify` says why in full.
    """
    container = open_container(Path(bundle))
    opened = Bundle.of(container)
    audited = audit_of(container, audit, looking)
    with showing([opened], looking.get("captures")) as pictures:
        facts = Facts(opened, audited, pictures)
        return Report(facts, render(facts))

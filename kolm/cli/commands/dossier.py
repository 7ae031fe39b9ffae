"""``kolm dossier``: the documents that regulators and buyers ask for, from a verified bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kolm.cli import output as _output
from kolm.cli.options import AUDIT, BUNDLE, FOLDER, audit_options

if TYPE_CHECKING:
    from kolm.actions.dossiers import MadeDossier


@click.command(short_help="Write what regulators ask for, from a bundle that verifies.")
@BUNDLE
@click.option(
    "--output",
    "-o",
    type=FOLDER,
    help="The folder. Default: the bundle's name with .dossier, in this folder.",
)
@click.option("--force", is_flag=True, help="Replace other files of these names.")
@AUDIT
@audit_options
def command(bundle: Path, output: Path | None, force: bool, **asked: Any) -> None:
    """Verify BUNDLE, and write the documents that regulators and buyers ask for.

    Bills of materials (CycloneDX 1.7, SPDX 3.0.1), the G7's minimum elements, the European Union's
    Annexes XI and XII and summary of training content, OWASP's AISVS, Croissant and the model
    card, all from one table of fields. Each field says whether it was recomputed, who signed it,
    or that it is declared; what nobody stated is listed with what to add to the spec.

    The same bundle gives the same bytes. A bundle that is not accepted makes none.
    """
    from kolm.actions.dossiers import dossier

    out = _output.current()
    folder = output or Path(f"{bundle.stem}.dossier")
    made = dossier(bundle, reporter=out.reporter, **asked)
    made.write(folder, force=force)
    fields = made.fields
    out.answer(
        "cli-dossier",
        {
            "folder": str(folder),
            "files": sorted(made.files),
            "content_id": fields.text("content_id"),
            "counts": {name.replace(" ", "_"): count for name, count in fields.counts.items()},
            "not_stated": [field.id for field in fields.missing],
        },
        lambda: _for_people(made, folder),
        brief=str(folder),
    )


def _for_people(made: MadeDossier, folder: Path) -> str:
    fields = made.fields
    lines = [f"wrote      {folder}: {len(made.files)} files", f"fields     {fields.share}"]
    wanting = [field.id for field in fields.missing if field.declare]
    if wanting:
        lines.append(f"missing    {', '.join(wanting)}")
        lines.append(
            "next       state what you know of these, under dossier: in the spec, and compile "
            "again (kolm help guides/dossier)"
        )
    return "\n".join(lines)

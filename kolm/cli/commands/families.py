"""``kolm families``: which bases can be trained on, and why others cannot."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from kolm.cli import output
from kolm.errors import Refused, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kolm.records.answers import Families, FamiliesFamily
    from kolm.roles import Family

_COLUMNS = 80  # of a terminal
_NAME = 18  # the longest type, and room


@click.command(short_help="List the families of models that kolm trains on, and those it refuses.")
@click.argument("model_type", required=False, metavar="[TYPE]")
def command(model_type: str | None) -> None:
    """List the families of models that kolm trains on, and those that it refuses by name.

    A family is the `model_type` in a base's config.json. With TYPE: what its table says, or why it
    is refused and what to take instead.
    """
    found = describe(model_type)
    every = [family["model_type"] for family in found["families"]]
    output.current().answer(
        "cli-families",
        found,
        lambda: _every(found) if model_type is None else _one(found),
        brief="\n".join(every),
    )


def describe(model_type: str | None = None) -> Families:
    """The answer as a document: of every type that is known by name, or of one.

    Raises:
        Refused: nothing is known of this type.
    """
    from kolm import roles
    from kolm.roles.refused import REFUSED, UNKNOWN

    if model_type is None:
        tables, refused = list(roles.FAMILIES.values()), dict(REFUSED)
    elif model_type in REFUSED:
        tables, refused = [], {model_type: REFUSED[model_type]}
    elif model_type in roles.FAMILIES:
        tables, refused = [roles.family(model_type)], {}
    else:
        guess = did_you_mean(model_type, sorted((*roles.FAMILIES, *REFUSED)))
        raise Refused(
            "E_ROLES_UNKNOWN_FAMILY",
            UNKNOWN.reason,
            expected="the model_type of a base's config.json that kolm families lists",
            found=model_type,
            hint=f"{guess} if not, {UNKNOWN.instead}" if guess else UNKNOWN.instead,
        )
    return {
        "families": [_table(table) for table in tables],
        "refused": [
            {"model_type": name, "reason": refusal.reason, "instead": refusal.instead}
            for name, refusal in refused.items()
        ],
    }


def _table(table: Family) -> FamiliesFamily:
    from kolm.roles import Role
    from kolm.roles.shown import traits

    return {
        "model_type": table.model_type,
        "vision": list(table.prefixes.get(Role.VISION, ())),
        "projector": list(table.prefixes.get(Role.PROJECTOR, ())),
        "targets": list(table.lora_leaf_names),
        "stays_frozen": list(table.bare),
        "own_template": bool(table.training_templates),
        "licenses": table.license_note,
        "papers": list(table.papers),
        "shown": [
            {"trait": trait.name, "says": trait.says, "where": trait.families[table.model_type]}
            for trait in traits()
        ],
    }


def _every(found: Families) -> str:
    refused = ", ".join(row["model_type"] for row in found["refused"])
    return "\n".join(
        [
            "Families that kolm trains on (model_type in a base's config.json), and what the",
            "licences of their bases say:",
            *(_row(family["model_type"], family["licenses"]) for family in found["families"]),
            "",
            "What tests show of a tiny base of each: yes, in every run of the tests; slow, in",
            "make acceptance; - where it takes no pictures:",
            *_matrix(found),
            "",
            "Refused by name (kolm families TYPE says why, and what to take instead):",
            textwrap.fill(refused, _COLUMNS, initial_indent="  ", subsequent_indent="  "),
            "",
            "All that is shown of each family, and by which tests: kolm help format/families",
        ]
    )


def _matrix(found: Families) -> Iterator[str]:
    """A row for each family, a column for each trait."""
    from kolm.roles.shown import MARKS

    names = [row["trait"] for row in found["families"][0]["shown"]]
    yield f"  {'':{_NAME}}{' '.join(f'{name:8}' for name in names)}".rstrip()
    for family in found["families"]:
        marks = " ".join(f"{MARKS[row['where']]:8}" for row in family["shown"])
        yield f"  {family['model_type']:{_NAME}}{marks}".rstrip()


def _one(found: Families) -> str:
    if found["refused"]:
        (refusal,) = found["refused"]
        return "\n".join(
            [
                f"{refusal['model_type']} is refused",
                _row("because", refusal["reason"]),
                _row("instead", refusal["instead"]),
            ]
        )
    from kolm.roles.shown import MARKS

    (family,) = found["families"]
    frozen = ", ".join(family["stays_frozen"])
    template = "kolm's own where a base's cannot be trained on" if family["own_template"] else ""
    rows = (
        ("vision tower", ", ".join(family["vision"]) or "none: it reads text alone"),
        ("projector", ", ".join(family["projector"])),
        ("stays frozen", frozen),
        ("targets", ", ".join(family["targets"])),
        ("chat template", template),
        ("licences", family["licenses"]),
        ("papers", ", ".join(family["papers"])),
        *(
            (f"tests: {row['trait']}", f"{MARKS[row['where']]}: {row['says']}")
            for row in family["shown"]
        ),
    )
    return "\n".join([family["model_type"], *(_row(name, text) for name, text in rows if text)])


def _row(name: str, text: str) -> str:
    indent = " " * (_NAME + 2)
    return textwrap.fill(
        text or "-",
        _COLUMNS,
        initial_indent=f"  {name:{_NAME}}",
        subsequent_indent=indent,
        break_on_hyphens=False,
    )

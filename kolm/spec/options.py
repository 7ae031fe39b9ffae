"""Spec: a method, an objective and a quantisation as they were chosen, their defaults filled in.

The defaults are those of their schema fragments.
"""

from __future__ import annotations

from collections.abc import Mapping

from kolm import methods, objectives, whole_schema
from kolm.methods.method import Options, demand_a_place
from kolm.methods.projector import Projector
from kolm.methods.quantisation import Quantisation, quantised_modules
from kolm.records.codec import from_document, to_document
from kolm.roles import Family


def resolve_method(
    options: Mapping[str, object], family: Family, *, vision: bool, projector: Projector = "full"
) -> dict[str, object]:
    """A lock's ``train.method`` from a spec's.

    Args:
        options: as the spec has them, fractions as decimal strings.
        family: the base's role table.
        vision: the vision role is adapted as well.
        projector: what is trained of the projector.

    Raises:
        Refused: a method that this kolm does not know, a target that the family does not have, or a
            role that the method cannot adapt.
    """
    kind = str(options.get("kind", methods.DEFAULT))
    known = methods.kind_of(kind)
    demand_a_place(known, vision, projector)
    filled = {**_stated(f"methods/{kind}"), "kind": kind, **options}
    return to_document(known.resolve(filled, family, vision=vision))


def resolve_objective(options: Mapping[str, object]) -> dict[str, object]:
    """A lock's ``train.objective`` from a spec's.

    Raises:
        Refused: ``E_TRAIN_OBJECTIVE``, this kolm has no such objective.
    """
    kind = str(options.get("kind", objectives.DEFAULT))
    known = objectives.kind_of(kind)
    return to_document(
        from_document(known, {**_stated(f"objectives/{kind}"), "kind": kind, **options})
    )


def resolve_quantisation(options: Options, family: Family) -> Quantisation:
    """What a spec's ``train.quantisation`` comes to on a family's role table."""
    train = whole_schema.load("spec")["properties"]["train"]["properties"]
    chosen = {**whole_schema.defaults(train["quantisation"]["anyOf"][1]), **options}
    return Quantisation(
        kind=chosen["kind"],
        double=chosen["double"],
        block_size=chosen["block_size"],
        target_expression=quantised_modules(family),
    )


def _stated(fragment: str) -> dict[str, object]:
    return whole_schema.defaults(whole_schema.load(fragment)["$defs"]["spec"])

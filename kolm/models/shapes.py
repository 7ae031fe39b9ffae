"""Models: names and shapes of a base's parameters, without loading a weight.

From the headers of its checkpoint; where there is none yet, from the sizes that kolm knows of
published bases, or from the model that the library makes of a config on no device at all, in a
child process. Torch-free.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from kolm import roles
from kolm.bundle.base_root import WEIGHTS
from kolm.bundle.ranges import Ranges
from kolm.bundle.tensors import parse_header
from kolm.errors import Refused, Unreadable
from kolm.models import published
from kolm.models.resolve import Place, find_folder, read_config
from kolm.roles import Config, Family
from kolm.roles.checkpoints import is_left_out, parameter_of

Parameters = tuple[tuple[str, tuple[int, ...]], ...]


class Sizes(NamedTuple):
    """What is known of a base without its weights.

    Attributes:
        base: its id.
        family: its role table.
        config: of it, or the part that is known.
        parameters: name in memory and shape of each, without those that share another's storage;
            None where the library must say them.
        source: what says so: the checkpoint's headers, the table of published bases, or a config.
        place: its folder; None where it is not on this machine.
    """

    base: str
    family: Family
    config: Config
    parameters: Parameters | None
    source: Literal["weights", "published", "config"]
    place: Place | None


def sizes_of(name: str) -> Sizes:
    """What is known of the base that a spec names.

    Raises:
        Unreadable: it is not on this machine, and its sizes are not known.
        Refused: its family has no role table, or its checkpoint is malformed.
    """
    known = published.find(name)
    try:
        place = find_folder(name)
    except Unreadable as error:
        if known is None:
            raise Unreadable(
                error.code,
                error.message,
                where=error.where,
                expected=error.expected,
                found=error.found,
                hint=f"sizes are known of: {', '.join(published.names())}",
            ) from None
        family = roles.family(str(known.config["model_type"]))
        return Sizes(name, family, known.config, known.parameters, "published", None)
    config = read_config(place.folder)
    family = roles.family(str(config.get("model_type")))
    if not any(place.folder.glob(WEIGHTS)):
        return Sizes(place.id, family, config, None, "config", place)
    return Sizes(place.id, family, config, _stored(place.folder, family, config), "weights", place)


def _stored(folder: Path, family: Family, config: Config) -> Parameters:
    """The parameters by a checkpoint's headers; a head that is stored and tied is left out."""
    found: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob(WEIGHTS)):
        with Ranges(path) as data:
            for entry in parse_header(data, where=path.name, canonical_form=False):
                if not is_left_out(family, entry.name):
                    found[parameter_of(family, entry.name)] = tuple(entry.shape)
    if config.get("tie_word_embeddings") is True:
        found = {name: shape for name, shape in found.items() if name not in family.aliases}
    return tuple(sorted(found.items()))


def experts_per_token(config: Config) -> int | None:
    """How many of a mixture's experts a token meets, where the config says it."""
    for part in (config.get("text_config") or {}, config):
        for key in ("num_experts_per_tok", "top_k_experts"):
            if isinstance(number := part.get(key), int):
                return number
    return None


def shares_prompts(config: Config, family: Family) -> bool:
    """Whether both answers of a pair go behind one prompt: no layer looks back less far."""
    text = config.get("text_config") or config
    kinds = text.get("layer_types")
    if kinds is None:
        slides = text.get("use_sliding_window", text.get("sliding_window") is not None)
    else:
        slides = {*kinds} != {"full_attention"}
    return family.branches and not slides


def demand_language(parameters: Parameters, family: Family) -> None:
    """Refuse a base without the language blocks of its family: nothing could be planned.

    Raises:
        Refused: ``E_BASE_CONFIG``.
    """
    if not any(name.startswith(f"{family.language.blocks}.") for name, _ in parameters):
        raise Refused(
            "E_BASE_CONFIG",
            "the base has no blocks where its family has those of the language role",
            where="base",
            expected=f"{family.language.blocks}.0",
            hint="use a base as it was published",
        )

"""Models: what is wrong with a base's folder, told before anything is loaded. Torch-free.

Reads small files alone. Each function looks at one thing and yields a finding for all of it that is
not as it should be; `findings` is the list of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kolm import roles
from kolm.bundle.base_files import LFS_POINTER, lfs_pointer, own_template, read_json
from kolm.errors import KolmError, Refused, Unreadable
from kolm.models.resolve import read_config
from kolm.roles import Config

_TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",))
_TOKENIZER_MODELS = ("*.model", "*.tiktoken")
IMAGE_SETTINGS = ("preprocessor_config.json", "processor_config.json")


def findings(folder: Path) -> list[KolmError]:
    """Everything that is wrong with a base's folder.

    A folder without a readable ``config.json`` is not a base at all: that is the one finding then.
    """
    pointers = list(_lfs_pointers(folder))
    try:
        config = read_config(folder)
    except Unreadable as error:
        return [error]
    except KolmError as error:
        return pointers or [error]
    found = list(pointers)
    broken = {error.where for error in pointers}
    for look in _LOOKS:
        try:
            found += [error for error in look(folder, config) if error.where not in broken]
        except KolmError as error:  # a file that cannot be read at all
            if error.where not in broken:
                found.append(error)
                broken.add(error.where)
    return found


def image_token_id(config: Config) -> int:
    """The id that stands for one image feature, by its present or its older name.

    Raises:
        Refused: ``E_BASE_CONFIG``: the config names none.
    """
    for name in ("image_token_id", "image_token_index"):
        number = config.get(name)
        if isinstance(number, int) and not isinstance(number, bool):
            return number
    raise Refused(
        "E_BASE_CONFIG",
        "the base's config does not say which token marks a picture",
        where="config.json",
        expected="image_token_id (or image_token_index), a whole number",
        hint="use an unmodified vision-language base of a family that kolm knows",
    )


def positions(config: Config) -> int | None:
    """The longest sequence that the base was made for, where its config says so."""
    for place in (config.get("text_config"), config):
        found = place.get("max_position_embeddings") if isinstance(place, dict) else None
        if isinstance(found, int) and not isinstance(found, bool):
            return found
    return None


def picture_size(folder: Path) -> dict[str, int] | None:
    """The least and most pixels of a picture, where the base's files state them in any known form.

    Returns:
        ``shortest_edge`` and ``longest_edge``, as the image processor calls them; None without a
        statement.

    Raises:
        Refused: ``E_BASE_PICTURE_SIZE``: they are stated in a form that the family does not have.
    """
    settings = image_settings(folder)
    size = settings.get("size")
    stated = dict(size) if isinstance(size, dict) else {}
    for old, new in (("min_pixels", "shortest_edge"), ("max_pixels", "longest_edge")):
        for place in (stated, settings):
            if place.get(old) is not None:
                stated[new] = place[old]
    known = {key: stated[key] for key in ("shortest_edge", "longest_edge") if key in stated}
    if not known and not isinstance(size, dict) and size is None:
        return None
    if len(known) != 2 or not all(type(value) is int and value > 0 for value in known.values()):
        raise Refused(
            "E_BASE_PICTURE_SIZE",
            "the image processor's file does not state the minimum and maximum pixels of a picture",
            where=next(name for name in IMAGE_SETTINGS if (folder / name).is_file()),
            expected="size: shortest_edge and longest_edge, or min_pixels and max_pixels",
            found=str(size)[:200],
            hint="take the file from the base's own repository",
        )
    return known


def image_settings(folder: Path) -> dict[str, Any]:
    """The image processor's settings, from its own file or from the processor's."""
    own = read_json(folder, IMAGE_SETTINGS[0])
    if own:
        return own
    nested = read_json(folder, IMAGE_SETTINGS[1]).get("image_processor")
    return nested if isinstance(nested, dict) else {}


def _lfs_pointers(folder: Path) -> Iterator[KolmError]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file():
            with path.open("rb") as stream:
                if stream.read(len(LFS_POINTER)) == LFS_POINTER:
                    yield lfs_pointer(folder, path.name)


def _family(folder: Path, config: Config) -> Iterator[KolmError]:
    name = config.get("model_type")
    if not isinstance(name, str):
        yield Refused("E_BASE_CONFIG", "the base's config has no model_type", where="config.json")
    else:
        roles.family(name)


def _picture_token(folder: Path, config: Config) -> Iterator[KolmError]:
    if _takes_pictures(config):
        image_token_id(config)
    yield from ()


def _weights(folder: Path, config: Config) -> Iterator[KolmError]:
    index = read_json(folder, "model.safetensors.index.json").get("weight_map")
    stated = {str(name) for name in index.values()} if isinstance(index, dict) else set()
    for name in sorted(stated):
        if not (folder / name).is_file():
            yield Unreadable(
                "E_BASE_FILE_MISSING",
                "the index of the weights names a file that is missing",
                where=name,
                hint="download the complete base again",
            )


def _tokenizer(folder: Path, config: Config) -> Iterator[KolmError]:
    whole = any(all((folder / name).is_file() for name in names) for names in _TOKENIZERS)
    if not whole and not any(any(folder.glob(pattern)) for pattern in _TOKENIZER_MODELS):
        yield Unreadable(
            "E_BASE_FILE_MISSING",
            "the base has no tokenizer",
            where="tokenizer.json",
            expected="tokenizer.json, or vocab.json with merges.txt",
            hint="download the complete base again",
        )


def _image_processor(folder: Path, config: Config) -> Iterator[KolmError]:
    if not _takes_pictures(config):
        return
    if not image_settings(folder):
        yield Unreadable(
            "E_BASE_FILE_MISSING",
            "the base has no config of an image processor",
            where=IMAGE_SETTINGS[0],
            expected=" or ".join(IMAGE_SETTINGS),
            hint="download the complete base again",
        )
        return
    table = roles.FAMILIES.get(str(config.get("model_type")))
    if table is not None and table.pixel_limits:
        picture_size(folder)


def _takes_pictures(config: Config) -> bool:
    table = roles.FAMILIES.get(str(config.get("model_type")))
    return table is None or table.takes_pictures


def _template(folder: Path, config: Config) -> Iterator[KolmError]:
    table = roles.FAMILIES.get(str(config.get("model_type")))
    if own_template(folder) is None and (table is None or table.template_published):
        yield Refused(
            "E_ENCODE_TEMPLATE",
            "the base has no chat template",
            where="chat template",
            expected="chat_template.jinja, or chat_template in tokenizer_config.json",
            hint="use the instruction-tuned release of the base",
        )


_LOOKS: tuple[Callable[[Path, Config], Iterator[KolmError]], ...] = (
    _family,
    _picture_token,
    _weights,
    _tokenizer,
    _image_processor,
    _template,
)

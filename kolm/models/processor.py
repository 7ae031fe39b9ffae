"""Models: a base's tokenizer and image processor, the same on every machine.

A base that reads text alone has a tokenizer and nothing else.

The library resizes pictures with torchvision where that can be imported, and gives other pixels
than Pillow. So kolm takes the Pillow classes, whatever is installed; a class that exists for
torchvision only is run by torch alone (`kolm.models.pixels`). The processors of many families have
a half for videos, which only torchvision has; kolm reads pictures only, so the library's own class
is built without it.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kolm import roles
from kolm.bundle.base_files import own_template, read_json
from kolm.errors import Refused
from kolm.extras import missing_extra
from kolm.models import folder as folders
from kolm.models import pixels
from kolm.models.library import hide_torchvision, quiet_library
from kolm.models.resolve import read_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, ProcessorMixin

    from kolm.roles import Family


# The package that SmolVLM's processor demands to spell how many frames a video has.
_SPELLED = "num2words"
_PARTS = ("image_processor", "tokenizer")


class TextProcessor(NamedTuple):
    """The processor of a base that reads text alone."""

    tokenizer: PreTrainedTokenizerBase
    chat_template: str | None


def load_processor(folder: Path) -> ProcessorMixin | TextProcessor:
    """The processor of a base: tokenizer, image processor where it takes pictures, chat template.

    Raises:
        Lacking: transformers is not installed.
        Unreadable: the folder has no config.json.
        Refused: ``E_BASE_PROCESSOR`` when the library cannot make a tokenizer or an image processor
            of the folder's files, or has its image processor for torchvision only.
    """
    table = roles.family(str(read_config(folder).get("model_type")))
    try:
        hide_torchvision()
        from transformers import AutoTokenizer
    except ImportError as error:
        raise missing_extra("train", "a processor needs an optional part of kolm") from error

    size = folders.picture_size(folder) if table.pixel_limits else None
    stated = {} if size is None else {"size": size, "min_pixels": None, "max_pixels": None}
    own: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    with _making("tokenizer", folder):
        # Bases of Mistral that an older library wrote split texts otherwise than they were trained.
        tokenizer = AutoTokenizer.from_pretrained(folder, fix_mistral_regex=True, **own)
    if not table.takes_pictures:
        return TextProcessor(tokenizer, own_template(folder))
    images = _image_processor(folder, table, {**own, **stated})
    with _making("processor", folder):
        kind = without_videos(table.model_type)
        settings, _ = kind.get_processor_dict(folder, local_files_only=True)
        settings["chat_template"] = own_template(folder)
        missing = dict.fromkeys(set(kind.__base__.get_attributes()) - set(_PARTS))
        parts = {"image_processor": images, "tokenizer": tokenizer}
        return kind.from_args_and_dict([], settings, **missing, **parts)


def _image_processor(folder: Path, table: Family, settings: dict[str, Any]) -> Any:
    """The image processor of a base: the library's for Pillow, or where there is none that for
    torchvision, which needs none (`kolm.models.pixels`)."""
    from transformers import AutoImageProcessor
    from transformers.image_processing_backends import PilBackend

    with _making("image processor", folder):
        if own := pixels.processor_class(table.model_type):
            return own.from_pretrained(folder, **settings)
        images = AutoImageProcessor.from_pretrained(folder, backend="pil", **settings)
    if not isinstance(images, PilBackend):
        raise Refused(
            "E_BASE_PROCESSOR",
            "the base names an image processor of another family, which is for torchvision only",
            where=f"base {folder.name}",
            found=type(images).__name__,
            hint="its pixels would depend on what is installed; download the complete base again",
        )
    return images


def without_videos(model_type: str) -> Any:
    """The library's class of processor for a family, with pictures and text alone.

    What it would need for sounds or videos is given as None.
    """
    import transformers
    from transformers import ProcessorMixin
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    whole = getattr(transformers, PROCESSOR_MAPPING_NAMES[model_type])
    if getattr(whole, "is_dummy", False):
        whole = _without_torchvision(whole.__module__, whole.__name__)
    module = vars(sys.modules[whole.__module__])
    if module.get(_SPELLED, str) is None:
        module[_SPELLED] = str
    parts = [part for part in whole.get_attributes() if part in _PARTS]

    class Parts(ProcessorMixin):  # type: ignore[misc,unused-ignore]
        """What the class hands on to when it is made: here it need not have all parts."""

        def __init__(self, *args: Any, **named: Any) -> None:
            own = [part for part in args if part is not None]
            super().__init__(*own, **{n: part for n, part in named.items() if part is not None})

        @property
        def video_processor(self) -> Any:
            """Whose settings a class may read when it is made: those for pictures."""
            return self.image_processor

    own = {"get_attributes": classmethod(lambda cls: parts)}
    return type(whole.__name__, (whole, Parts), own)


def _without_torchvision(module: str, name: str) -> Any:
    """A class of processor whose file asks torchvision's image processors for a function that the
    Pillow ones have too: read with these in their place."""
    package, _, file = module.rpartition(".")
    asked = f"{package}.image_{file}"
    sys.modules[asked] = importlib.import_module(asked.replace("processing_", "processing_pil_"))
    try:
        return getattr(importlib.import_module(module), name)
    finally:
        del sys.modules[asked]


def stated_end_tokens(folder: Path, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether any file of a base names a token that ends an answer."""
    config = read_config(folder)
    stated = (read_json(folder, "generation_config.json"), config, config.get("text_config") or {})
    return tokenizer.eos_token_id is not None or any(
        place.get("eos_token_id") is not None for place in stated
    )


def pad_token_id(tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int]) -> int:
    """The id that fills batches up: the tokenizer's own, else one that ends an answer.

    What stands there is masked or never read, so that it changes no answer.
    """
    own = tokenizer.pad_token_id
    return min(end_ids) if own is None else int(own)


@contextlib.contextmanager
def _making(what: str, folder: Path) -> Iterator[None]:
    """What the library raises on files that it cannot read is a finding."""
    try:
        with quiet_library():
            yield
    except Exception as error:
        raise Refused(
            "E_BASE_PROCESSOR",
            f"transformers cannot load the {what} of this base",
            where=f"base {folder.name}",
            found=f"{type(error).__name__}: {error}"[:400],
            hint="download the complete base again; if a later transformers wrote it, upgrade",
        ) from error

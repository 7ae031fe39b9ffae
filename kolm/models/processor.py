"""Models: a base's tokenizer and image processor, the same on every machine.

The library resizes pictures with torchvision where that can be imported, and gives other pixels
than Pillow. So kolm always takes the Pillow classes, whatever is installed. transformers builds the
processor of Qwen2.5-VL with a video processor, which only torchvision has; kolm reads pictures
only, so the same class is built from its image processor, tokenizer and template alone.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from kolm.errors import Refused, missing_extra
from kolm.models import folder as folders
from kolm.models.library import hide_torchvision, quiet_library
from kolm.models.resolve import read_config, read_json


def load_processor(folder: Path) -> Any:
    """The processor of a base: tokenizer, image processor, chat template.

    Raises:
        Lacking: transformers is not installed.
        Unreadable: the folder has no config.json.
        Refused: ``E_BASE_PROCESSOR`` when the library cannot make a tokenizer or an image processor
            of the folder's files.
    """
    read_config(folder)
    try:
        hide_torchvision()
        from transformers import AutoTokenizer
        from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
            Qwen2VLImageProcessorPil,
        )
    except ImportError as error:
        raise missing_extra("train", "a processor needs an optional part of kolm") from error

    class ImageOnlyProcessor(Qwen2_5_VLProcessor):  # type: ignore[misc]
        """The stock processor without its video half."""

        @classmethod
        def get_attributes(cls) -> list[str]:
            """The parts that are built: everything but the video processor."""
            return ["image_processor", "tokenizer"]

        def __init__(self, image_processor: Any, tokenizer: Any, chat_template: Any) -> None:
            Qwen2_5_VLProcessor.__init__(
                self, image_processor, tokenizer, chat_template=chat_template
            )

    tokenizer = _load(AutoTokenizer, folder, "tokenizer", trust_remote_code=False)
    size = folders.picture_size(folder)
    stated = {} if size is None else {"size": size, "min_pixels": None, "max_pixels": None}
    images = _load(Qwen2VLImageProcessorPil, folder, "image processor", **stated)
    template = folders.chat_template(folder) or tokenizer.chat_template
    return ImageOnlyProcessor(images, tokenizer, template)


def stated_end_tokens(folder: Path, tokenizer: Any) -> bool:
    """Whether any file of a base names a token that ends an answer."""
    config = read_config(folder)
    stated = (read_json(folder, "generation_config.json"), config, config.get("text_config") or {})
    return tokenizer.eos_token_id is not None or any(
        place.get("eos_token_id") is not None for place in stated
    )


def pad_token_id(tokenizer: Any, end_ids: Collection[int]) -> int:
    """The id that fills batches up: the tokenizer's own, else one that ends an answer.

    What stands there is masked or never read, so that it changes no answer.
    """
    own = tokenizer.pad_token_id
    return min(end_ids) if own is None else int(own)


def _load(kind: Any, folder: Path, what: str, **options: Any) -> Any:
    """One part of a processor; what the library raises on files it cannot read is a finding."""
    try:
        with quiet_library():
            return kind.from_pretrained(folder, local_files_only=True, **options)
    except Exception as error:
        raise Refused(
            "E_BASE_PROCESSOR",
            f"transformers makes no {what} of the files of this base",
            where=f"base {folder.name}",
            found=f"{type(error).__name__}: {error}"[:400],
            hint="download the base again, whole; files saved by a later transformers need it here",
        ) from error

"""Models: a base's processor, also where torchvision cannot be imported.

transformers builds the processor of Qwen2-VL and Qwen2.5-VL with a video processor, which needs
torchvision; a CPU build of torch has none beside it. kolm reads images only, so without
torchvision the same classes are built from their image processor and tokenizer alone.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from kolm.errors import missing_extra
from kolm.models.resolve import read_config

# Families whose stock processor insists on a video processor: (module, class).
_WITH_VIDEO = {
    "qwen2_vl": ("transformers.models.qwen2_vl.processing_qwen2_vl", "Qwen2VLProcessor"),
    "qwen2_5_vl": ("transformers.models.qwen2_5_vl.processing_qwen2_5_vl", "Qwen2_5_VLProcessor"),
}


def load_processor(folder: Path) -> Any:
    """The processor of a base: tokenizer, image processor, chat template.

    Raises:
        Lacking: transformers is not installed.
        Unreadable: the folder has no config.json.
    """
    try:
        from transformers import AutoProcessor
    except ImportError as error:
        raise missing_extra("train", "a processor needs an optional part of kolm") from error
    family = read_config(folder).get("model_type")
    if family in _WITH_VIDEO and importlib.util.find_spec("torchvision") is None:
        return _image_only(folder, str(family))
    return AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _image_only(folder: Path, family: str) -> Any:
    import importlib

    from transformers import AutoTokenizer
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    module, name = _WITH_VIDEO[family]
    stock: Any = getattr(importlib.import_module(module), name)

    class ImageOnlyProcessor(stock):  # type: ignore[misc]
        """The stock processor without its video half."""

        @classmethod
        def get_attributes(cls) -> list[str]:
            """The parts that are built: everything but the video processor."""
            return ["image_processor", "tokenizer"]

        def __init__(self, image_processor: Any, tokenizer: Any, chat_template: Any) -> None:
            stock.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    images = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
    return ImageOnlyProcessor(images, tokenizer, tokenizer.chat_template)

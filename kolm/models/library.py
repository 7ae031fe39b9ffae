"""Models: how kolm uses transformers: quietly, and with torch alone.

Where they are installed, transformers takes torchvision for pictures and packages of kernels for
some layers. Both give other bits, and the environment class names neither.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any, Final

from kolm import roles
from kolm.errors import Refused

# Linear attention and short convolutions (Qwen3.5, LFM2): asked for where a family's file begins,
# and taken on any device, though they compute on an accelerator alone.
_KERNELS: Final[tuple[str, ...]] = ("causal_conv1d", "fla")


@contextlib.contextmanager
def torch_alone() -> Iterator[None]:
    """While this holds, what transformers imports finds no package of kernels.

    What it has imported already stays as it is; what others imported is theirs again afterwards.
    """
    before = {name: sys.modules[name] for name in _KERNELS if name in sys.modules}
    for name in _KERNELS:
        sys.modules[name] = None  # type: ignore[assignment]  # how Python marks what is not there
    try:
        yield
    finally:
        for name in _KERNELS:
            del sys.modules[name]
        sys.modules.update(before)


def hide_torchvision() -> None:
    """Have transformers settle, before it looks, that there is no torchvision here.

    A torchvision that does not fit this torch breaks the import of transformers; one that does fit
    costs a second. What has been imported already stays.
    """
    if "torchvision" in sys.modules or "transformers.image_utils" in sys.modules:
        return
    sys.modules["torchvision"] = None  # type: ignore[assignment]  # as above
    try:
        from transformers.utils import import_utils

        import_utils.is_torchvision_available()  # remembered for the life of the process
    finally:
        del sys.modules["torchvision"]


def model_class(model_type: str) -> Any:
    """The library's class that makes models of a family, or of one that has no table.

    Raises:
        ImportError: torch or transformers is not installed.
    """
    hide_torchvision()
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    table = roles.FAMILIES.get(model_type)
    sees = table is None or table.takes_pictures
    return AutoModelForImageTextToText if sees else AutoModelForCausalLM


@contextlib.contextmanager
def quiet_library() -> Iterator[None]:
    """Keep the libraries' progress bars and advice off the terminal; errors still show."""
    from transformers.utils import logging as library

    bars, level = library.is_progress_bar_enabled(), library.get_verbosity()
    library.disable_progress_bar()
    library.set_verbosity(logging.ERROR)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(peft|transformers)(\.|$)")
            yield
    finally:
        library.set_verbosity(level)
        if bars:
            library.enable_progress_bar()


def unbuildable(error: Exception) -> Refused:
    """The error of a config of which the library makes no model."""
    return Refused(
        "E_BASE_CONFIG",
        "transformers cannot build a model from this base's config",
        where="config.json",
        found=f"{type(error).__name__}: {error}"[:400],
        hint="download the base again, or use a version of transformers that knows it",
    )

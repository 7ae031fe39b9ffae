"""Evaluate: a picture with noise laid over it, so that a model answers from what is left of it.

The forward process of diffusion (J. Ho et al., arXiv:2006.11239, equation 4): of a picture x in
[-1, 1] and standard normal noise e, the step t shows sqrt(a_t) x + sqrt(1 - a_t) e. The schedule is
the one with 1,000 steps of S. Leng et al., "VCD" (arXiv:2311.16922), which Y. Zhou et al., "POVID"
(arXiv:2402.11411), section 3.2, use to elicit worse answers. Here the noise is laid over the
stored picture, before the processor of any base, and the result is kept in 8 bits.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

from kolm import digest
from kolm.digest import Digest

if TYPE_CHECKING:
    from PIL.Image import Image

STEPS = 1000
_LEAST, _MOST = 1e-5, 5e-3  # of the variance that a step adds
_REACH = 6.0  # the sigmoid runs from -6 to 6
_STRIP_PIXELS = 1 << 20


@cache
def signal(step: int) -> float:
    """What is left of the picture at a step: a_t, of 1 at no noise and nearly 0 at the last.

    Args:
        step: 0 is no noise, 1 the first step, `STEPS` the last.
    """
    if not 0 <= step <= STEPS:
        raise ValueError(f"step {step} is outside 0 to {STEPS}")
    left = 1.0
    for number in range(step):
        place = -_REACH + 2 * _REACH * number / (STEPS - 1)
        left *= 1 - (_LEAST + (_MOST - _LEAST) / (1 + math.exp(-place)))
    return left


def noisy(picture: Image, step: int, seed: Digest) -> Image:
    """An upright RGB picture with the noise of a step.

    Args:
        picture: to be shown.
        step: of `STEPS`.
        seed: of the noise; the same numbers with the same version of numpy.
    """
    import numpy as np
    from PIL import Image as Pillow

    kept, added = math.sqrt(signal(step)), math.sqrt(1 - signal(step))
    numbers = np.random.Generator(np.random.Philox(key=int(digest.hex_of(seed)[:32], 16)))
    values = np.asarray(picture)
    out = np.empty_like(values)
    rows = max(1, _STRIP_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        strip = values[top : top + rows].astype(np.float64) / 127.5 - 1
        shown = kept * strip + added * numbers.standard_normal(strip.shape)
        out[top : top + rows] = np.rint((shown.clip(-1, 1) + 1) * 127.5).astype(np.uint8)
    return Pillow.fromarray(out)

"""The compositions: a base or a bundle answers captures, in a child that can be gone on with.

A bundle is verified first, as `kolm run` does; a base is measured.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from kolm import canonical, digest
from kolm.actions import children
from kolm.actions.grounds import default_threads
from kolm.actions.measuring import measure
from kolm.actions.signing import Trust
from kolm.actions.usable import usable
from kolm.bundle import base_root
from kolm.bundle.reader import Bundle
from kolm.capture.store import CaptureStore
from kolm.digest import Digest
from kolm.errors import Usage
from kolm.evaluate.answering import ALL, identity_of
from kolm.evaluate.partial import Answers, load_partial
from kolm.events import Reporter
from kolm.format import names
from kolm.models import device as devices
from kolm.models.device import AUTO
from kolm.models.resolve import resolve_base
from kolm.run import folder as files
from kolm.run.names import ASKED, BUNDLE
from kolm.train import profile
from kolm.verify.policy import Demands

if TYPE_CHECKING:
    from kolm.records.documents import Lock, LockEnvironment
    from kolm.run.documents import Asked

PRECISION: Final = "float32"  # of a base without a lock
MAX_SEQ_LENGTH: Final = 2048  # likewise
MAX_IMAGES: Final = 64  # likewise: as many as a capture has
MOST_SAMPLES: Final = 64
MOST_NEW_TOKENS: Final = 4096
MOST_SEED: Final = 2**32 - 1
MOST_TEMPERATURE: Final = Decimal(10)
_PLACES = 3  # of a temperature


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A base or a bundle that answers.

    Attributes:
        kind: what it is.
        name: of the base, or of the bundle's lock.
        digest: the base's root, or the bundle's content id.
        base: folder of the base.
        stamp: of the base when it was measured.
        bundle: the open bundle and its lock; None for a base.
    """

    kind: Literal["base", "bundle"]
    name: str
    digest: Digest
    base: Path
    stamp: Digest
    bundle: tuple[Bundle, Lock] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How captures are answered.

    Attributes:
        samples: answers to each.
        temperature: of the draws; 0 takes the most likely token at each step.
        seed: of the draws, and of the noise.
        max_new_tokens: an answer that has not ended by then is cut.
        batch_size: answers that are made together.
        noise: step of the noise over the pictures; 0 is none.
        whole: a prompt that does not fit is left out, and not cut.
        max_seq_length: tokens of a prompt, for a base.
        device: that computes.
        spread: over all devices of that kind.
    """

    samples: int = 1
    temperature: Decimal = Decimal(0)
    seed: int = 0
    max_new_tokens: int = 64
    batch_size: int = 8
    noise: int = 0
    whole: bool = False
    max_seq_length: int = MAX_SEQ_LENGTH
    device: str = AUTO
    spread: bool = False

    def __post_init__(self) -> None:
        from kolm.evaluate.noise import STEPS

        for name, value, least, most in (
            ("samples", self.samples, 1, MOST_SAMPLES),
            ("seed", self.seed, 0, MOST_SEED),
            ("max_new_tokens", self.max_new_tokens, 1, MOST_NEW_TOKENS),
            ("batch_size", self.batch_size, 1, 1024),
            ("noise", self.noise, 0, STEPS),
            ("max_seq_length", self.max_seq_length, 16, 1 << 20),
            ("temperature", self.temperature, 0, MOST_TEMPERATURE),
        ):
            if not least <= value <= most:
                raise _wrong(name, f"{least} to {most}", str(value))
        if -int(self.temperature.normalize().as_tuple().exponent) > _PLACES:
            raise _wrong("temperature", f"at most {_PLACES} decimals", str(self.temperature))
        if self.samples > 1 and not self.temperature:
            raise _wrong("temperature", "above 0 for several samples: else all are the same", "0")


def _wrong(name: str, expected: str, found: str) -> Usage:
    return Usage(
        "E_SAMPLE_OPTION",
        f"--{name.replace('_', '-')} is outside what can be asked for",
        expected=expected,
        found=found[:80],
    )


@contextlib.contextmanager
def model(
    name: str | Path,
    *,
    base: str | Path | None = None,
    trust: Trust = None,
    policy: Demands = None,
    allow_below_gate: bool = False,
    reporter: Reporter,
) -> Iterator[Model]:
    """A bundle's file, or a base by folder or name: verified or measured; the base stays as it is.

    Raises:
        KolmError: the bundle does not pass, or nothing of the name is on this machine.
    """
    if not Path(name).is_file():
        known = resolve_base(str(name))
        with base_root.staying(known.folder) as stamp:
            reporter.started("verify", None, "checks")
            root = measure(known.folder).root
            reporter.finished("verify")
            yield Model(kind="base", name=known.id, digest=root, base=known.folder, stamp=stamp)
        return
    opened = Bundle.open(Path(name))
    with usable(
        opened,
        base=base,
        measure=measure,
        trust=trust,
        policy=policy,
        allow_below_gate=allow_below_gate,
        reporter=reporter,
    ) as found:
        yield Model(
            kind="bundle",
            name=found.lock["name"],
            digest=found.content_id,
            base=found.base,
            stamp=found.stamp,
            bundle=(opened, found.lock),
        )


@contextlib.contextmanager
def answers(
    asked: Mapping[Digest, bytes], of: Model, how: How, *, store: Path, runs: Path, told: Reporter
) -> Iterator[Answers]:
    """The answers of a model to captures, by `key_of` capture and number.

    They are kept until the block ends well, so that a killed command goes on with them.

    Args:
        asked: the canonical bytes of each capture by its id; its last answer is not shown.
        of: the model.
        how: it answers.
        store: the folder of the store that holds the pictures.
        runs: the folder in which a run has its own.
        told: hears how far it is.

    Raises:
        KolmError: as the worker's task.
    """
    cases = b"".join(asked[name] + b"\n" for name in sorted(asked))
    question = _question(of, how)
    identity = identity_of(question, cases)
    folder = runs / digest.hex_of(identity)[:16]
    with files.held(folder) as hold:
        found = load_partial(folder, ALL, identity)
        if found is None:
            places = files.Places(
                base=of.base.absolute(),
                captures=store.absolute(),
                base_stamp=of.stamp,
                spread=how.spread,
            )
            _make(folder, question, cases, of, places, hold, told)
            found = load_partial(folder, ALL, identity)
        assert found is not None  # the child has ended well
        yield found
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # another run is in it
        runs.rmdir()


def _make(
    folder: Path,
    question: Asked,
    cases: bytes,
    of: Model,
    places: files.Places,
    hold: int,
    told: Reporter,
) -> None:
    """Fill a run folder and let the child answer."""
    files.write(folder, names.CASES, cases)
    files.write_document(folder, ASKED, question)
    files.write_places(folder, places)
    if of.bundle is not None:
        shutil.rmtree(folder / BUNDLE, ignore_errors=True)
        of.bundle[0].unpack(folder / BUNDLE)
    with CaptureStore.open_to_read(places.captures):  # an error names captures as it does
        children.run(
            "answer",
            folder,
            environment=profile.child_environment(question["environment"]["threads"]),
            reporter=told,
            inherit=(hold,),
        )


def _question(of: Model, how: How) -> Asked:
    return {
        "bundle": of.bundle is not None,
        "model": of.digest,
        "environment": environment(of, how.device),
        "precision": PRECISION,
        "max_seq_length": how.max_seq_length,
        "max_images": MAX_IMAGES,
        "whole": how.whole,
        "samples": how.samples,
        "temperature": canonical.decimal(how.temperature, None),
        "seed": how.seed,
        "max_new_tokens": how.max_new_tokens,
        "batch_size": how.batch_size,
        "noise": how.noise,
    }


def environment(of: Model, device: str) -> LockEnvironment:
    """The environment that this machine offers: as near to a bundle's own as can be."""
    if of.bundle is None:
        return profile.environment_class(default_threads(), devices.wanted(device))
    lock = of.bundle[1]
    stated = lock["environment"]
    return profile.environment_class(
        stated["threads"], devices.wanted(device, lock), bitsandbytes="bitsandbytes" in stated
    )

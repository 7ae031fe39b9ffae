"""The compositions: a bundle verified, loaded and asked.

Nothing is loaded before the verifier has passed it together with the base it names: container,
signatures, delta scope and the base's own bytes.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kolm import canonical, paths, system
from kolm.actions.measuring import measure
from kolm.actions.signing import Trust
from kolm.actions.usable import usable
from kolm.bundle.reader import Bundle
from kolm.capture import images as pictures
from kolm.digest import Digest
from kolm.errors import Refused, Usage
from kolm.evaluate.session import EvaluationSession, Sources, open_session
from kolm.events import Reporter, Silent
from kolm.extras import missing_extra
from kolm.format.names import LOCK
from kolm.models import device as devices
from kolm.models.device import AUTO
from kolm.store.blobs import BlobStore
from kolm.verify.policy import Demands

if TYPE_CHECKING:
    from kolm.records.documents import Capture, CaptureImage, CapturePart, Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAnswer:
    """One answer: the text, its tokens, why it ended (stop or length), and by which bundle.

    `cut_tokens` were taken out of the prompt's middle, because it was longer than the budget.
    `below_gate`: the bundle misses what the policy demands of its scores, and was allowed to.
    """

    text: str
    tokens: int
    finish: str
    cut_tokens: int
    content_id: Digest
    below_gate: bool = False


class LoadedBundle:
    """A verified bundle on its base, ready to answer; make one with `load`."""

    def __init__(
        self, session: EvaluationSession, content_id: Digest, *, below_gate: bool = False
    ) -> None:
        self._session = session
        self.content_id = content_id
        self.below_gate = below_gate

    @property
    def model(self) -> Any:
        """PEFT's model: the base with the bundle's adapter."""
        return self._session.adapted

    def answer(self, image: object, prompt: str) -> RunAnswer:
        """Answer one prompt about one image or several, greedily, as the evaluation did.

        Args:
            image: a path, bytes, base64, a data URI, a PIL image, or a list of these; None for no
                image, as a base that reads text alone takes none.
            prompt: what is asked.

        Raises:
            Refused: an image cannot be read, or the prompt does not fit; ``E_ENCODE_NO_PICTURES``.
        """
        shown = [] if image is None else image if isinstance(image, list) else [image]
        data = [_read_image(one) for one in shown]
        capture = _as_capture(data, prompt)
        by_digest = {pictures.inspect(d).file: d for d in data}
        session = self._session
        example = session.encoder.encode_prompt(capture)
        with devices.enough_memory(), devices.unrounded():
            (answer,) = session.answer([example], session.pictures_in(by_digest.__getitem__))
        return RunAnswer(
            text=answer.output,
            tokens=answer.tokens,
            finish=answer.finish,
            cut_tokens=example.cut_tokens,
            content_id=self.content_id,
            below_gate=self.below_gate,
        )


def load(
    bundle: str | Path,
    *,
    base: str | Path | None = None,
    trust: Trust = None,
    policy: Demands = None,
    allow_below_gate: bool = False,
    device: str = AUTO,
    spread: bool = False,
    reporter: Reporter | None = None,
) -> LoadedBundle:
    """Verify a bundle with its base, then load both.

    Args:
        bundle: the file.
        base: the base's folder or name; without it the one that the lock names is looked for here.
        trust: whose keys are believed: a store or its file; without one this user's own.
        policy: what the bundle must pass: a policy or its file.
        allow_below_gate: load it too when it misses what the policy demands of its scores, with a
            warning to `reporter`; without a reporter the answers' `below_gate` alone says so.
        device: ``cpu``, ``cuda`` or ``mps``; ``auto`` is the one that it was evaluated on, where
            that is here, else the best that is.
        spread: over all devices of that kind, and the host's memory where they do not suffice.
        reporter: hears progress.

    Raises:
        Refused: the bundle or the base does not pass, or the adapter does not fit.
        Unreadable: something that decides could not be looked at, such as an unknown signer.
        Lacking: the train extra is not installed, or the device is not here or too small.
    """
    return _load(
        Bundle.open(Path(bundle)),
        base=base,
        trust=trust,
        policy=policy,
        allow_below_gate=allow_below_gate,
        device=device,
        spread=spread,
        told=reporter or Silent(),
    )


def _load(
    opened: Bundle,
    *,
    base: str | Path | None,
    trust: Trust,
    policy: Demands,
    allow_below_gate: bool,
    device: str,
    spread: bool,
    told: Reporter,
) -> LoadedBundle:
    with usable(
        opened,
        base=base,
        measure=measure,
        trust=trust,
        policy=policy,
        allow_below_gate=allow_below_gate,
        reporter=told,
    ) as passed:
        told.started("load", None, "tensors")
        with paths.scratch_folder("kolm-run-") as place:
            unpacked = place / "bundle"
            opened.unpack(unpacked)
            sources = Sources(
                lock=passed.lock,
                captures=(),
                adapter_folder=unpacked,
                base_folder=passed.base,
                blobs=BlobStore(unpacked),
                identity=passed.content_id,
            )
            try:
                chosen = devices.demand(devices.wanted(device, passed.lock), "device")
                with devices.enough_memory():
                    session = open_session(sources, chosen, spread=spread, copied=True)
            except ImportError as error:
                raise missing_extra("train", f"running a bundle needs {error.name}") from error
    told.finished("load")
    return LoadedBundle(session, passed.content_id, below_gate=passed.below_gate)


def run(
    bundle: str | Path,
    *,
    images: Sequence[str | Path] = (),
    prompt: str,
    base: str | Path | None = None,
    trust: Trust = None,
    policy: Demands = None,
    allow_below_gate: bool = False,
    device: str = AUTO,
    spread: bool = False,
    reporter: Reporter | None = None,
) -> RunAnswer:
    """One answer from a bundle: verify, load, ask.

    Raises:
        Usage: ``E_RUN_NO_PROMPT``: the prompt is empty. ``E_RUN_NO_IMAGE`` and ``E_RUN_IMAGE``: no
            image for a base that takes pictures, or one for a base that reads text alone.
        KolmError: as `load` and `LoadedBundle.answer`.
    """
    asked = [Path(image) for image in images]
    for path in (Path(bundle), *asked):
        system.demand_there(path)
    if not prompt.strip():
        raise Usage("E_RUN_NO_PROMPT", "the prompt is empty", hint="add --prompt TEXT, a question")
    if importlib.util.find_spec("torch") is None:  # before an image asks for less than is needed
        raise missing_extra("train", "running a bundle needs torch")
    # A missing image, or a prompt that is no text, should not cost a load.
    data = [_read_image(path) for path in asked]
    _as_capture(data, prompt, names=[str(path) for path in asked])
    opened = Bundle.open(Path(bundle))
    _demand_images(opened.document(LOCK), len(data))
    loaded = _load(
        opened,
        base=base,
        trust=trust,
        policy=policy,
        allow_below_gate=allow_below_gate,
        device=device,
        spread=spread,
        told=reporter or Silent(),
    )
    return loaded.answer(data, prompt)


def _demand_images(lock: Lock, count: int) -> None:
    """Refuse what the bundle's base, as its lock has it, could not be asked."""
    reads_text_alone = lock["train"]["freeze"]["vision"] is None
    if count and reads_text_alone:
        raise Usage(
            "E_RUN_IMAGE",
            "the base of this bundle reads text alone",
            where="--image",
            found=f"{count} given, for a {lock['base']['family']}",
            hint="leave --image out",
        )
    if not count and not reads_text_alone:
        raise Usage("E_RUN_NO_IMAGE", "no image was given", hint="add --image FILE")


def _read_image(image: object) -> bytes:
    from kolm.capture.rows import read_image

    return read_image(image)


def _as_capture(data: Sequence[bytes], prompt: str, *, names: Sequence[str] = ()) -> Capture:
    """The prompt as an unanswered capture: the answer is empty and never encoded.

    `names` says what an error calls the images.
    """
    named = zip(data, names or ["image"] * len(data), strict=True)
    facts = [pictures.inspect(one, where=name)._asdict() for one, name in named]
    parts: list[CapturePart] = [{"type": "image", "image": n} for n in range(len(facts))]
    parts.append({"type": "text", "text": prompt})
    capture: Capture = {
        "images": cast("list[CaptureImage]", facts),
        "license": "",
        "messages": [
            {"role": "user", "content": parts},
            {"role": "assistant", "content": [{"type": "text", "text": ""}]},
        ],
        "source": {"kind": "run", "name": ""},
        "split": None,
        "tags": [],
    }
    try:
        canonical.dumps(capture)
    except ValueError as error:
        raise Refused(
            "E_CAPTURE_TEXT", f"the prompt is not valid Unicode text: {error}", where="prompt"
        ) from None
    return capture

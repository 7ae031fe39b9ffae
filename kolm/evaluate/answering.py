"""Evaluate: captures answered by a base or a bundle, one time or several, greedily or by chance.

What the child process of `kolm capture pairs` and `kolm capture judge` does in a run folder. That
holds `evalcases.jsonl`, the captures whose last question is to be answered; `asked.json`, how;
`inputs.json`; and of a bundle its members in `bundle/`. Every batch that is answered is kept at
once, so that a killed run goes on after it. The whole is kept like a batch, under `ALL`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kolm import digest
from kolm.capture import images, png
from kolm.capture.store import BLOBS
from kolm.counting import counted
from kolm.digest import Digest
from kolm.encode.answers import Answer, answer_batch
from kolm.encode.encoder import Encoder
from kolm.encode.pictures import PictureReader
from kolm.evaluate import noise
from kolm.evaluate.partial import Answers, load_partial, save_partial
from kolm.evaluate.pictures import RecordedPictures
from kolm.evaluate.plan import CaptureRow, Prompt, encode_prompts
from kolm.evaluate.session import Sources, open_session, read_captures
from kolm.events import Reporter
from kolm.format import names
from kolm.models import device as devices
from kolm.models.base import LoadedBase, load_base
from kolm.models.sampling import Draws
from kolm.run import folder as files
from kolm.run.names import ASKED, BUNDLE
from kolm.store.blobs import BlobStore

if TYPE_CHECKING:
    from kolm.records.documents import Capture, Lock
    from kolm.run.documents import Asked

ALL = "all"
STAGE = "answer"
_SEED = "kolm-sample-v1"
_NOISE = "kolm-noise-v1"


class Turn(NamedTuple):
    """One answer that is asked for: of a prompt, the first, second and so on."""

    prompt: Prompt
    number: int

    @property
    def key(self) -> str:
        """What its answer is called."""
        return key_of(self.prompt.case, self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """A loaded model that answers, and what it is asked."""

    base: LoadedBase  # a bundle's adapter in place or not
    encoder: Encoder
    asked: Asked
    blobs: BlobStore
    captures: dict[str, Capture]


def key_of(case: str, number: int) -> str:
    """What the answer to a capture is called, of several the first, second and so on."""
    return f"{case} {number}"


def identity_of(asked: Asked, cases: bytes) -> Digest:
    """What answers may be used for: the same question, model, settings and environment."""
    return digest.of_value({"asked": asked, "cases": digest.of_bytes(cases)})


def answer_folder(folder: Path, reporter: Reporter) -> None:
    """Answer every capture of a run folder as often as it says.

    Raises:
        KolmError: what the parts raise; batches that were answered are kept.
    """
    asked, cases = files.read_document(folder, ASKED), files.read(folder, names.CASES)
    identity, environment = identity_of(asked, cases), asked["environment"]
    device = devices.demand((environment["device"],))
    devices.settle(device, environment["threads"])
    captures = read_captures(cases)
    model = _open(folder, asked, captures, device)
    prompts = encode_prompts(model.encoder, captures)
    cut = sum(prompt.example.cut_tokens > 0 for prompt in prompts)
    if cut:
        what = "left out: longer than" if asked["whole"] else "cut to fit into"
        reporter.warned(f"{counted(cut, 'prompt')} {what} the model's budget of tokens")
    if asked["whole"]:
        prompts = [prompt for prompt in prompts if not prompt.example.cut_tokens]
    turns = list(_turns(prompts, asked["samples"]))
    answers: Answers = {}
    reporter.started(STAGE, len(turns), "answers")
    pictures = _pictures(model, {})
    for start in range(0, len(turns), asked["batch_size"]):
        batch, name = turns[start : start + asked["batch_size"]], f"{start:08d}"
        found = load_partial(folder, name, identity)
        if found is None:
            found = _answer(model, batch, pictures)
            save_partial(folder, name, identity, found)
        answers |= found
        reporter.advanced(STAGE, len(answers))
    save_partial(folder, ALL, identity, answers)
    reporter.finished(STAGE)


def _open(folder: Path, asked: Asked, captures: Sequence[CaptureRow], device: str) -> Answering:
    places = files.read_places(folder)
    blobs = BlobStore(places.captures / BLOBS)
    bundle = folder / BUNDLE
    if asked["bundle"]:
        lock: Lock = files.read_lock(bundle)
        sources = Sources(
            lock=lock,
            captures=(),
            adapter_folder=bundle,
            base_folder=places.base,
            blobs=blobs,
            identity=asked["model"],
        )
        session = open_session(sources, device, spread=places.spread)
        base, encoder = session.base, session.encoder
    else:
        base = load_base(places.base, dtype=asked["precision"], device=device, spread=places.spread)
        encoder = Encoder(
            base.pictures,
            max_seq_length=asked["max_seq_length"],
            max_images=asked["max_images"],
        )
    return Answering(base=base, encoder=encoder, asked=asked, blobs=blobs, captures=dict(captures))


def _turns(prompts: Sequence[Prompt], samples: int) -> Iterator[Turn]:
    """All answers in the order in which they are made: like prompts side by side."""
    for prompt in sorted(prompts, key=lambda prompt: prompt.order):
        for number in range(samples):
            yield Turn(prompt, number)


def _answer(model: Answering, turns: Sequence[Turn], pictures: RecordedPictures) -> Answers:
    asked = model.asked
    examples = [turn.prompt.example for turn in turns]
    if asked["noise"]:
        held: dict[Digest, bytes] = {}
        shown = {
            case: _distorted(model, model.captures[case], held)
            for case in dict.fromkeys(turn.prompt.case for turn in turns)
        }
        examples = [model.encoder.encode_prompt(shown[turn.prompt.case]) for turn in turns]
        pictures = _pictures(model, held)
    answers: list[Answer] = answer_batch(
        model.base,
        examples,
        pictures,
        max_new_tokens=asked["max_new_tokens"],
        draws=_draws(asked, turns),
    )
    return {turn.key: answer for turn, answer in zip(turns, answers, strict=True)}


def _draws(asked: Asked, turns: Sequence[Turn]) -> Draws | None:
    """How the answers are drawn: each from a seed of its own, whatever else is in the batch."""
    temperature = Decimal(asked["temperature"])
    if not temperature:
        return None
    seeds = [
        digest.derive(f"{_SEED} {asked['seed']} {turn.number}", Digest(turn.prompt.case))
        for turn in turns
    ]
    return Draws(temperature=temperature, seeds=seeds)


def _pictures(model: Answering, held: dict[Digest, bytes]) -> RecordedPictures:
    def read(file: Digest) -> bytes:
        return held[file] if file in held else model.blobs.read(file)

    reader = PictureReader(processor=model.base.pictures, read=read)
    return RecordedPictures(model.base.forward.tower, reader)


def _distorted(model: Answering, capture: Capture, held: dict[Digest, bytes]) -> Capture:
    """The capture with noise over its pictures, whose files are put into `held`."""
    step, seed = model.asked["noise"], model.asked["seed"]
    shown = []
    for image in capture["images"]:
        picture = images.decode(model.blobs.read(Digest(image["file"])), where=image["file"])
        own = digest.derive(f"{_NOISE} {seed} {step}", Digest(image["pixels"]))
        data = png.encode(noise.noisy(picture, step, own))
        facts = images.inspect(data)
        held[facts.file] = data
        shown.append(facts._asdict())
    return {**capture, "images": shown}  # type: ignore[typeddict-item]

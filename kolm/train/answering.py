"""Train: answers to captures of the validation side while a run goes on, and how they are judged.

They are the first usable captures of the side, as many as the lock says, answered greedily by the
adapter as it is at that step. A score is what the metric gives on average. It goes into the trace;
an answer does not.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from kolm import canonical
from kolm.capture.store import CaptureStore
from kolm.encode.answers import answer_batch
from kolm.encode.encoder import Encoder
from kolm.encode.examples import Example, ImageUse
from kolm.encode.pictures import PictureReader, Pictures
from kolm.models.base import LoadedBase
from kolm.models.taps import Recording
from kolm.score.cases import build_cases
from kolm.score.judge import Judge
from kolm.score.rounding import MILLION, ratio

if TYPE_CHECKING:
    from kolm.digest import Digest
    from kolm.records.documents import (
        Capture,
        LockEvaluation,
        LockTrainValidationAnswers,
        TraceRowValidationAnswers,
    )


class Question(NamedTuple):
    """A prompt with the answers that it may get."""

    prompt: Example
    references: tuple[str, ...]


class _Shown(NamedTuple):
    """The pictures of a training, as answering takes them."""

    pictures: Pictures
    reader: PictureReader

    def identity(self, use: ImageUse) -> Hashable:
        return self.reader.identity(use)

    def gather(self, uses: Sequence[ImageUse]) -> Recording:
        return self.pictures(uses)


class Answering:
    """Answers and judges the same questions whenever it is asked.

    Args:
        base: with the adapter's layers in place; the caller switches dropout off.
        questions: at least one.
        pictures: that they show.
        reader: of these.
        settings: the lock's ``train.validation.answers``.
        batch_size: questions that are answered together.
    """

    def __init__(
        self,
        base: LoadedBase,
        questions: Sequence[Question],
        pictures: Pictures,
        reader: PictureReader,
        settings: LockTrainValidationAnswers,
        batch_size: int,
    ) -> None:
        self._base = base
        self._shown = _Shown(pictures, reader)
        self._limit_tokens = settings["max_new_tokens"]
        # Metric and limit are all that it reads of an evaluation's settings.
        pack = [question.references for question in questions]
        self._judge = Judge(cast("LockEvaluation", settings), pack)
        # Like lengths need no padding; the order is the same in every look and after every kill.
        ordered = sorted(questions, key=lambda one: (one.prompt.tokens, one.prompt.position))
        starts = range(0, len(ordered), batch_size)
        self._batches = [ordered[start : start + batch_size] for start in starts]

    def score(self) -> TraceRowValidationAnswers:
        """Answer all questions, and give their number and the mean of their scores."""
        total = 0
        for batch in self._batches:
            answers = answer_batch(
                self._base,
                [question.prompt for question in batch],
                self._shown,
                max_new_tokens=self._limit_tokens,
            )
            for question, answer in zip(batch, answers, strict=True):
                judged = self._judge.judge(answer.said(), question.references)
                total += judged.score_millionths
        cases = sum(map(len, self._batches))
        return {"cases": cases, "score": ratio(total, cases * MILLION)}


def questions_of(
    captures: Sequence[Digest], cases: int, store: CaptureStore, encoder: Encoder
) -> list[Question]:
    """The first captures as prompts, each with the answer that it ends with.

    Args:
        captures: the usable ones of the validation side, in order.
        cases: how many of them are answered.
        store: that holds them.
        encoder: of the run.
    """
    found = []
    for position, digest in enumerate(captures[:cases]):
        capture: Capture = canonical.loads_canonical(store.read(digest).data, where=digest)
        prompt = encoder.encode_prompt(capture, position=position)
        (case,) = build_cases([(digest, capture)])
        found.append(Question(prompt, case.references))
    return found

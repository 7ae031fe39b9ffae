"""The compositions: somebody else answers the cases that a bundle is scored on.

Another base, on this machine, or a model behind an OpenAI-compatible endpoint. Both are asked what
the bundle is asked, one turn after the other, and an instruction beside it where one is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from kolm import canonical, digest
from kolm.capture.store import CaptureStore
from kolm.digest import Digest
from kolm.errors import Usage
from kolm.events import Reporter
from kolm.judging.endpoint import Endpoint, picture_part
from kolm.models.device import AUTO
from kolm.run.said import AnswersFile
from kolm.score.judge import LENGTH, LONGEST_OUTPUT_CHARACTERS, STOP

if TYPE_CHECKING:
    from kolm.actions.asking import How
    from kolm.records.documents import Capture, KscoreRivalWho, LockEvaluation
    from kolm.score.judge import Said

STAGE: Final = "ask"
MOST_INSTRUCTION: Final = 4096  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Who else answers, and how; exactly one of `base` and `endpoint` is given.

    Attributes:
        base: a base by folder or name.
        endpoint: address of an OpenAI-compatible API.
        model: its name there.
        instruction: a text before each case's first question, which the bundle is not given.
        answers: the file that keeps what the endpoint answers; a killed run goes on with it.
    """

    base: str | Path | None = None
    endpoint: str | None = None
    model: str | None = None
    instruction: str = ""
    answers: Path | None = None

    def __post_init__(self) -> None:
        if (self.base is None) == (self.endpoint is None):
            raise _wrong("who else answers is a base, or a model at an endpoint: one of both")
        if self.endpoint is not None and (not self.model or self.answers is None):
            raise _wrong("an endpoint needs --model NAME, and --answers FILE for what it says")
        if self.endpoint is None and (self.model or self.answers):
            raise _wrong("--model and --answers go with --endpoint")
        if len(self.instruction) > MOST_INSTRUCTION:
            raise _wrong(f"an instruction has at most {MOST_INSTRUCTION} characters")


def _wrong(message: str) -> Usage:
    return Usage("E_RIVAL_OPTION", message, hint="kolm eval --help")


class Answered(NamedTuple):
    """Who answered, what, and the digest of all of it."""

    who: KscoreRivalWho
    said: Mapping[str, Said]
    digest: Digest


def prepare(rival: Rival) -> Endpoint | None:
    """The endpoint, demanded to be one before anything is computed.

    Raises:
        Network: the network is forbidden.
        Usage: the address is none.
    """
    if rival.endpoint is None:
        return None
    return Endpoint.named(rival.endpoint, str(rival.model))


def ask(
    rival: Rival,
    cases: Mapping[Digest, Capture],
    settings: LockEvaluation,
    *,
    store: Path,
    place: Path,
    device: str = AUTO,
    spread: bool = False,
    reporter: Reporter,
) -> Answered:
    """Its answers to all cases.

    Args:
        rival: who.
        cases: the captures by their ids.
        settings: the lock's ``evaluation`` object, of the bundle.
        store: the folder of the store that holds the pictures.
        place: a folder for the run of a base.
        device: that a base computes on.
        spread: a base is laid over all devices of that kind.
        reporter: hears how far it is.

    Raises:
        KolmError: it does not answer; what was answered is kept.
    """
    endpoint = prepare(rival)
    if endpoint is None:
        from kolm.actions import asking

        how = asking.How(
            max_new_tokens=settings["max_new_tokens"],
            batch_size=settings["batch_size"],
            device=device,
            spread=spread,
        )
        return _of_base(rival, cases, how, store, place, reporter)
    return _of_endpoint(endpoint, rival, cases, settings, store, reporter)


def _of_endpoint(
    endpoint: Endpoint,
    rival: Rival,
    cases: Mapping[Digest, Capture],
    settings: LockEvaluation,
    store: Path,
    told: Reporter,
) -> Answered:
    limit = settings["max_new_tokens"]
    asked: dict[str, object] = {
        "url": endpoint.url,
        "model": endpoint.model,
        "instruction": rival.instruction,
        "max_new_tokens": limit,
    }
    assert rival.answers is not None  # a rival is checked when it is made
    with AnswersFile(rival.answers, asked) as kept, CaptureStore.open_to_read(store) as opened:
        left = [case for case in sorted(cases) if case not in kept]
        told.started(STAGE, len(left), "answers")
        for number, case in enumerate(left, 1):
            capture = cases[case]
            pictures = [
                (image["media_type"], opened.read_image(Digest(image["file"])))
                for image in capture["images"]
            ]
            messages = messages_of(capture, pictures, rival.instruction)
            reply = endpoint.complete(messages, max_tokens=limit)
            whole = reply.finish == STOP and len(reply.text) <= LONGEST_OUTPUT_CHARACTERS
            kept.add(
                {
                    "case": case,
                    "output": reply.text[:LONGEST_OUTPUT_CHARACTERS],
                    "tokens": 1,  # its tokens are not the bundle's; `finish` says whether it ended
                    "finish": STOP if whole else LENGTH,
                    "said_by": reply.model[:256],
                }
            )
            told.advanced(STAGE, number)
        told.finished(STAGE)
        who: KscoreRivalWho = {
            "kind": "endpoint",
            "name": endpoint.model[:256],
            "digest": None,
            "url": endpoint.url,
            "said_by": kept.said_by(cases)[:16],
            "instruction": rival.instruction,
        }
        return Answered(who, kept.said(cases), kept.digest(cases))


def _of_base(
    rival: Rival,
    cases: Mapping[Digest, Capture],
    how: How,
    store: Path,
    place: Path,
    told: Reporter,
) -> Answered:
    from kolm.actions import asking
    from kolm.evaluate.answering import key_of

    shown = {case: instructed(capture, rival.instruction) for case, capture in cases.items()}
    rows = {case: canonical.dumps(capture) for case, capture in shown.items()}
    ids = {case: digest.of_bytes(data) for case, data in rows.items()}
    assert rival.base is not None
    with asking.model(rival.base, reporter=told) as model:
        if model.kind != "base":
            raise _wrong("--against-base names a base, not a bundle")
        asked = {ids[case]: data for case, data in rows.items()}
        with asking.answers(asked, model, how, store=store, runs=place, told=told) as answers:
            said = {case: answers[key_of(ids[case], 0)].said() for case in cases}
        who: KscoreRivalWho = {
            "kind": "base",
            "name": model.name[:256],
            "digest": model.digest,
            "url": None,
            "said_by": [],
            "instruction": rival.instruction,
        }
    told_rows = [canonical.dumps({"case": case, **said[case]}) + b"\n" for case in sorted(said)]
    return Answered(who, cast("Mapping[str, Said]", said), digest.of_bytes(b"".join(told_rows)))


def messages_of(
    capture: Capture, pictures: Sequence[tuple[str, bytes]], instruction: str
) -> list[dict[str, Any]]:
    """What is asked, as the API's messages: all turns but the reference answer."""
    return [
        {
            "role": message["role"],
            "content": [
                {"type": "text", "text": part["text"]}
                if part["type"] == "text"
                else picture_part(*pictures[part["image"]])
                for part in message["content"]
            ],
        }
        for message in instructed(capture, instruction)["messages"][:-1]
    ]


def instructed(capture: Capture, instruction: str) -> Capture:
    """The capture with the instruction before what its first question says."""
    if not instruction:
        return capture
    first = next(at for at, turn in enumerate(capture["messages"]) if turn["role"] == "user")
    content: list[Any] = list(capture["messages"][first]["content"])
    texts = [at for at, part in enumerate(content) if part["type"] == "text"]
    if texts:
        said = content[texts[0]]["text"]
        content[texts[0]] = {"type": "text", "text": f"{instruction}\n{said}"}
    else:
        content.append({"type": "text", "text": instruction})
    messages: list[Any] = list(capture["messages"])
    messages[first] = {**messages[first], "content": content}
    return cast("Capture", {**capture, "messages": messages})

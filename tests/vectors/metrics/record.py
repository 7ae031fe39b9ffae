"""Answers judged by the scorers that others have published, to hold kolm's metrics against.

Each metric has a file of vectors here. To write one again, put its reference beside it (none of
them is a dependency of kolm) and name the metric, with the script where the reference is one:

    python -m tests.vectors.metrics.record rouge_l      # pip install rouge-score==0.1.2
    python -m tests.vectors.metrics.record cider_d      # pip install pycocoevalcap==1.2
    python -m tests.vectors.metrics.record iou          # pip install pycocotools==2.0.11
    python -m tests.vectors.metrics.record regex        # pip install google-re2==1.1.20251105
    python -m tests.vectors.metrics.record json_f1 donut/util.py         # donut-python 1.0.9
    python -m tests.vectors.metrics.record relaxed chartqa/utils.py      # lmms-eval 0.7.3
    python -m tests.vectors.metrics.record contains ocrbench/utils.py    # lmms-eval 0.7.3
    python -m tests.vectors.metrics.record vqa m4c_evaluators.py         # facebookresearch/mmf
    python -m tests.vectors.metrics.record choice matching_util.py       # open-compass/VLMEvalKit
    python -m tests.vectors.metrics.record pope evaluate.py              # AoiDragon/POPE

The answers are drawn from a seed, so that only the references decide what is written.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import random
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

HERE = Path(__file__).parent
COUNT = 1200
Row = dict[str, Any]

COLOURS = ("red", "green", "blue", "white", "black", "grey")
WORDS = (
    *COLOURS, "a", "an", "the", "dog", "cat", "bus", "sign", "man", "on", "in", "of", "with", "two",
    "none", "street", "table", "pizza", "It's", "don't", "dont", "shes", "12", "7", "half", "tv",
)  # fmt: skip


def words(rng: random.Random, most: int, *, least: int = 0) -> str:
    """Some words with signs and spaces between them."""
    between = (" ", " ", " ", ", ", "  ", "-", ". ", " / ", "\n")
    text = "".join(
        word + rng.choice(between) for word in rng.choices(WORDS, k=rng.randint(least, most))
    )
    return rng.choice((text, text.strip(), text.strip() + ".", text.capitalize(), text.upper()))


def nearly(rng: random.Random, text: str, known: Sequence[str] = WORDS) -> str:
    """The text with a few of its words lost, doubled or replaced."""
    kept = []
    for word in text.split(" "):
        turn = rng.random()
        if turn < 0.7:
            kept.append(word)
        elif turn < 0.8:
            kept += [word, word]
        elif turn < 0.9:
            kept.append(rng.choice(known))
    return " ".join(kept)


def module_of(path: str, *absent: str) -> ModuleType:
    """A script as a module, without what it imports for other purposes."""
    spec = importlib.util.spec_from_file_location("reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in absent}):
        spec.loader.exec_module(module)
    return module


def rouge_l(rng: random.Random) -> Iterator[Row]:
    """rouge-score, as it comes: without stemming."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    for _ in range(COUNT):
        reference = words(rng, 14, least=1)
        output = rng.choice((words(rng, 14), nearly(rng, reference)))
        score = scorer.score(reference, output)["rougeL"].fmeasure
        yield {"output": output, "references": [reference], "score": repr(score)}


def json_f1(rng: random.Random, script: str) -> Iterator[Row]:
    """Donut's evaluator, a record at a time and over all."""
    heavy = ("datasets", "nltk", "torch", "torch.utils", "torch.utils.data", "zss",
             "transformers", "transformers.modeling_utils")  # fmt: skip
    evaluator = module_of(script, *heavy).JSONParseEvaluator()
    answers, records = [], []
    for _ in range(COUNT):
        record = _record(rng, 0)
        answer = _altered(rng, record)
        answers.append(answer)
        records.append(record)
        score = evaluator.cal_f1([answer], [record])
        told = json.dumps(answer, indent=rng.choice((None, None, 1)))
        output = rng.choice((told, f"```json\n{told}\n```"))
        yield {"output": output, "references": [json.dumps(record)], "score": repr(score)}
    yield {"figures": {"f1": repr(evaluator.cal_f1(answers, records))}}


def _record(rng: random.Random, depth: int) -> dict[str, Any]:
    keys = rng.sample(("total", "date", "items", "name", "price", "tax"), rng.randint(1, 3))
    return {key: _value(rng, depth) for key in keys}


def _value(rng: random.Random, depth: int) -> Any:
    turn = rng.random()
    if depth < 1 and turn < 0.15:
        return _record(rng, depth + 1)
    if depth < 1 and turn < 0.3:
        return [_record(rng, depth + 1) for _ in range(rng.randint(1, 3))]
    if turn < 0.5:
        return [rng.choice(COLOURS) for _ in range(rng.randint(1, 3))]
    return rng.choice((*COLOURS, " 12.50 ", "1,200", 7, 12, 0.5, "7"))


def _altered(rng: random.Random, record: dict[str, Any]) -> dict[str, Any]:
    answer = {}
    for key, value in record.items():
        turn = rng.random()
        if turn < 0.15:
            continue
        if turn < 0.3:
            answer[key] = _value(rng, 1)
        elif isinstance(value, dict):
            answer[key] = _altered(rng, value)
        else:
            answer[key] = value
    return answer


def choice(rng: random.Random, script: str) -> Iterator[Row]:
    """VLMEvalKit's exact matching; texts of which none stands inside of another word."""
    reference = module_of(script, "vlmeval", "vlmeval.smp", "vlmeval.smp.log")
    for _ in range(COUNT):
        choices = rng.sample(("red car", "two dogs", "snow", "a kitchen", "12 apples", "pier"), 4)
        output = _choosing(rng, choices)
        picked = reference.can_infer(output, dict(zip("ABCD", choices, strict=True)))
        yield {"output": output, "options": {"choices": choices}, "picked": picked or None}


def _choosing(rng: random.Random, choices: list[str]) -> str:
    letter, text = rng.choice("ABCDE"), rng.choice(choices)
    return rng.choice((
        letter, f"({letter})", f"{letter}.", f"{letter}. {text}", f"{letter}: {text}", text,
        text.upper(), f"The answer is {letter}.", f"It is {text}, I think", f"**{letter}**",
        f"The correct answer is **{letter}**. Here is why: the picture clearly shows it.",
        f"Option {letter} or option {rng.choice('ABCD')}", f"{text} and {rng.choice(choices)}",
        f"{letter} because one sees that the others do not fit at all here", "", "I do not know",
        f"Looking at the picture, one would pick {{{letter}}}", f"{letter}; {letter}!",
    ))  # fmt: skip


def pope(rng: random.Random, script: str) -> Iterator[Row]:
    """The published script itself, on a file of answers and one of labels."""
    rows = []
    for _ in range(COUNT):
        says = rng.choice(("Yes", "yes", "No", "no", "not"))
        output = rng.choice((
            says, f"{says}.", f"{says}, there is a dog.", f"{says} , it is", f"There is {says} dog",
            f"{says}. No, not at all.", f"{says}. Yes.", f"I think {says}, it is so. And more",
        ))  # fmt: skip
        rows.append((output, rng.choice(("yes", "no"))))
    code = compile(Path(script).read_text(), script, "exec")
    files = [  # in the order in which it opens them; it names neither
        io.StringIO("\n".join(json.dumps({"answer": output}) for output, _ in rows)),
        io.StringIO("\n".join(json.dumps({"label": label}) for _, label in rows)),
    ]
    state: dict[str, Any] = {"open": lambda *_: files.pop(0)}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, state)
    right = zip(rows, state["pred_list"], state["label_list"], strict=True)
    for (output, label), said, due in right:
        yield {"output": output, "references": [label], "score": repr(float(said == due))}
    names = ("precision", "recall", "f1", "yes_ratio")
    yield {"figures": {name: repr(state[name]) for name in names}}


def relaxed(rng: random.Random, script: str) -> Iterator[Row]:
    """lmms-eval's function, which is Qwen-VL's; not where binary floats miss the edge itself."""
    judge = module_of(script).relaxed_correctness
    drawn = 0
    while drawn < COUNT:
        tolerance = rng.choice((0.05, 0.05, 0.01, 0.1))
        due = _reading(rng)
        output = rng.choice((_near_reading(rng, due), _reading(rng), due.upper(), words(rng, 2)))
        output = output.strip()
        score = judge(output, due, tolerance)
        if judge(output, due, tolerance - 1e-9) != judge(output, due, tolerance + 1e-9):
            continue
        drawn += 1
        yield {
            "output": output,
            "references": [due],
            "options": {"tolerance": str(tolerance)},
            "score": repr(float(score)),
        }


def _reading(rng: random.Random) -> str:
    """What somebody reads off a chart."""
    number = rng.choice((rng.randint(-40, 3000), rng.randint(0, 9999) / 100))
    return rng.choice((
        f"{number}", f"{number}", f"{number}%", f"{number} %", f"{number}%%", f"{number:e}",
        f"+{number}".replace("+-", "-"), f"{number:,}", "0", "0.0", "Yes", "2014",
        rng.choice(COLOURS),
    ))  # fmt: skip


def _near_reading(rng: random.Random, due: str) -> str:
    """The reading, off by so much that tolerances tell; with or without its sign for per cent."""
    bare = due.rstrip("% ")
    try:
        off = float(bare) * (1 + rng.choice((-1, 1)) * rng.choice((0, 0.008, 0.03, 0.07, 0.2)))
    except ValueError:
        return due.lower()
    end = due[len(bare) :] if rng.random() < 0.8 else rng.choice(("", "%"))
    if end and due == bare and rng.random() < 0.8:
        off *= 100
    return f"{off:.{rng.randint(0, 4)}f}{end}"


def contains(rng: random.Random, script: str) -> Iterator[Row]:
    """OCRBench's, which looks for letters: in words of which none stands inside of another.

    Where a reference has several words, no sign stands between the answer's.
    """
    judge = module_of(script, "loguru", *(
        "lmms_eval", "lmms_eval.tasks", "lmms_eval.tasks._task_utils",
        "lmms_eval.tasks._task_utils.file_utils",
    )).ocrbench_process_results  # fmt: skip
    known = [
        w for w in WORDS if w.isalnum() and not any(w.lower() in o.lower() for o in WORDS if o != w)
    ]
    asked = {"dataset": "", "question_type": ""}
    for _ in range(COUNT):
        sought = [
            " ".join(rng.sample(known, rng.choice((1, 1, 2, 3))))
            for _ in range(rng.choice((1, 1, 3)))
        ]
        several = any(" " in one for one in sought)
        between = (
            (" ", "\n") if several else (" ", ", ", ". ", "; ", "  ", ' "', "? ", " (", ") ", "\n")
        )
        said = [*rng.choices(known, k=rng.randint(0, 6)), *rng.choice(([], sought[:1]))]
        rng.shuffle(said)
        output = "".join(word + rng.choice(between) for word in said).strip()
        output = rng.choice((output, output.upper(), f"{output}.", f"({output})", f"“{output}”!"))
        score = judge({**asked, "answer": sought}, [output])["ocrbench_accuracy"]["score"]
        yield {"output": output, "references": sought, "score": repr(float(score))}


def iou(rng: random.Random) -> Iterator[Row]:
    """COCO's own, for boxes by corner and size."""
    import numpy
    from pycocotools import mask

    drawn = 0
    while drawn < COUNT:
        places = [[rng.randint(0, 400) / rng.choice((1, 4)) for _ in range(4)] for _ in "ab"]
        boxes = [[x, y, x + w / 4 + 1, y + h / 4 + 1] for x, y, w, h in places]
        if rng.random() < 0.8:
            boxes[1] = [edge + rng.randint(-12, 12) / 4 for edge in boxes[0]]
        if any(left >= right or top >= bottom for left, top, right, bottom in boxes):
            continue
        if any(edge < 0 for box in boxes for edge in box):
            continue
        sized = [numpy.array([[a, b, c - a, d - b]]) for a, b, c, d in boxes]
        value = float(mask.iou(*sized, [0])[0, 0])
        threshold = rng.choice((0.25, 0.5, 0.75, 0.9))
        if 0 < abs(value - threshold) < 1e-9:
            continue
        drawn += 1
        told = [", ".join(f"{edge!r}" for edge in box) for box in boxes]
        output = rng.choice((
            f"[{told[0]}]", told[0], f"({told[0]})",
            f'{{"bbox_2d": [{told[0]}], "label": "3 cats"}}',
            f"The box is [{told[0].replace(',', ' ')}].",
        ))  # fmt: skip
        yield {
            "output": output,
            "references": [f"[{told[1]}]"],
            "options": {"threshold": str(threshold)},
            "iou": repr(value),
            "score": repr(float(value >= threshold)),
        }


def regex(rng: random.Random) -> Iterator[Row]:
    """RE2, whose engine shares nothing with the one here."""
    import re2

    found = 0
    while found < COUNT:
        pattern = _pattern(rng, 0)
        if rng.random() < 0.5:
            pattern = f"{_pattern(rng, 2)}({_pattern(rng, 1)}){_pattern(rng, 2)}"
        text = "".join(rng.choices("aabbc1 _.", k=rng.randint(0, 12))).strip()
        try:
            match = re2.search(pattern, text)
            re.compile(pattern)
        except re.error:
            continue
        found += 1
        span = list(match.span(1 if "(" in pattern.replace("(?:", "") else 0)) if match else None
        yield {"pattern": pattern, "text": text, "span": None if span == [-1, -1] else span}


def _pattern(rng: random.Random, depth: int) -> str:
    turn = rng.random()
    if depth > 3 or turn < 0.35:
        return rng.choice((
            "a", "b", "c", "1", r"\d", r"\w", "[ab]", "[^a]", ".", r"\s", r"\.", "[a-c1]", r"\b",
            "_",
        ))  # fmt: skip
    if turn < 0.6:
        return _pattern(rng, depth + 1) + _pattern(rng, depth + 1)
    if turn < 0.72:
        return f"(?:{_pattern(rng, depth + 1)}|{_pattern(rng, depth + 1)})"
    if turn < 0.95:
        repeat = rng.choice(("*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "+?", "??", "{1,3}?"))
        return f"(?:{_pattern(rng, depth + 1)}){repeat}"
    return rng.choice(("^", "")) + _pattern(rng, depth + 1) + rng.choice(("$", ""))


def vqa(rng: random.Random, script: str) -> Iterator[Row]:
    """MMF's evaluator with its EvalAI processor, on ten people's answers."""
    reference = module_of(script)
    evaluator, processor = reference.TextVQAAccuracyEvaluator(), reference.EvalAIAnswerProcessor()
    numbers = ("one", "ten", "3,000", "3.5", "1.", "$5", "a.m.", "it's", "whats", "y'alld've")
    for _ in range(COUNT):
        pool = [rng.choice((words(rng, 3, least=1), rng.choice(numbers))) for _ in range(3)]
        people = [rng.choice(pool[: rng.randint(1, 3)]) for _ in range(10)]
        output = rng.choice((*pool, nearly(rng, pool[0]), pool[0].lower(), words(rng, 3)))
        judged = [{"pred_answer": output, "gt_answers": people}]
        yield {
            "output": output,
            "references": people,
            "normalised": processor(output),
            "score": repr(evaluator.eval_pred_list(judged)),
        }


def cider_d(rng: random.Random) -> Iterator[Row]:
    """pycocoevalcap's Python part, on words that need no tokeniser; packs of several sizes."""
    from pycocoevalcap.cider.cider_scorer import CiderScorer

    plain = [word for word in WORDS if word.isalnum() and word.islower()]
    for size in (2, 3, 10, 50, 150, 400, 500):
        pack = []
        for _ in range(size):
            caption = " ".join(rng.choices(plain, k=rng.randint(1, 12)))
            people = range(rng.randint(1, 5))
            captions = [nearly(rng, caption, plain).strip() or "bus" for _ in people]
            output = rng.choice((caption, nearly(rng, caption, plain), captions[0]))
            pack.append(
                (" ".join(output.split()) or "dog", [" ".join(c.split()) for c in captions])
            )
        scorer = CiderScorer(n=4, sigma=6.0)
        for output, captions in pack:
            scorer += (output, captions)
        _, scores = scorer.compute_score()
        for (output, captions), score in zip(pack, scores, strict=True):
            row = {"pack": size, "output": output, "references": captions}
            yield {**row, "score": repr(float(score))}


METRICS: dict[str, Callable[..., Iterator[Row]]] = {
    made.__name__: made
    for made in (choice, cider_d, contains, iou, json_f1, pope, regex, relaxed, rouge_l, vqa)
}


def main(kind: str, *script: str) -> None:
    """Write the vectors of a metric."""
    rows = METRICS[kind](random.Random(kind), *script)
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows]
    (HERE / f"{kind}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Format: README.md, the model card, rendered from the records and nothing else.

A pure function, so that a verifier renders it again and compares bytes; text from outside is
escaped, so that no name or answer can pose as markup. The words are part of format version 1:
another wording is another version.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kolm.format.receipt import ROLES
from kolm.methods import Method, method_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kolm.records.documents import (
        Evaluation,
        EvaluationInterval,
        EvaluationPreference,
        Lock,
        Receipt,
        ReceiptVlmTrainQuantisation,
    )


_PLAIN_YAML = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*", re.ASCII)
# What starts markup, an entity, mathematics, a mention or a bare link inside a line of GitHub's
# Markdown. An underscore inside a word, a colon without slashes and most dots start nothing.
_MARKUP = re.compile(
    r"([\\`*\[\]<>|~$&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|@(?=\w)|(?<=www)\.)",
    re.IGNORECASE,
)
_MAX_TEXT_CHARACTERS = 200
_MAX_DECLARED = 4000
_PROJECTOR = {
    None: "none",
    "frozen": "frozen",
    "full": "trained in full",
    "lora": "its linear layers adapted",
}
_VISION = {None: "none: the base reads text alone", True: "frozen", False: "adapted"}
LIBRARY_BLOCK_SIZE = 64  # transformers 5 passes no other on to bitsandbytes


def render(*, receipt: Receipt, lock: Lock, evaluation: Evaluation) -> bytes:
    """The bytes of README.md.

    Args:
        receipt: receipt.json.
        lock: spec.lock.json.
        evaluation: evaluation.json.
    """
    method = method_of(lock["train"]["method"])
    sections = (
        _front_matter(lock, method),
        _opening(receipt),
        _training(receipt, lock, method),
        _scores(evaluation),
        _modules(receipt),
        _use(receipt, method),
        *_declared(lock),
    )
    return ("\n\n".join(sections) + "\n").encode("utf-8")


def escape(text: str, characters: int = _MAX_TEXT_CHARACTERS) -> str:
    """Text from outside as one line of Markdown that shows it and does nothing else."""
    shown = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    if len(shown) > characters:
        shown = shown[: characters - 1] + "…"
    return _MARKUP.sub(r"\\\1", shown).replace("\\<", "&lt;").replace("\\&", "&amp;")


def _front_matter(lock: Lock, method: Method) -> str:
    base = lock["base"]
    library = "peft" if "PEFT" in method.loaders(lock["train"]["projector"]) else "kolm"
    sees = lock["train"]["freeze"]["vision"] is not None
    task = "image-text-to-text" if sees else "text-generation"
    lines = ["---", f"library_name: {library}", f"pipeline_tag: {task}"]
    own = lock.get("dossier", {}).get("license", "")  # the base's would be said of the adapter
    for key, value in (("base_model", base["id"]), ("license", own.lower())):
        if _PLAIN_YAML.fullmatch(value):
            lines.append(f"{key}: {value}")
    return "\n".join([*lines, "tags:", "- kolm", f"- {lock['train']['method']['kind']}", "---"])


def _opening(receipt: Receipt) -> str:
    return (
        f"# {escape(receipt['name'])}\n\n"
        f"An adapter for {escape(receipt['base']['id'])}, compiled by kolm "
        f"{escape(receipt['kolm'])}. Every number below follows from the files beside this one; "
        "`kolm verify` recomputes them. The K-score depends on measured speed and cost, so it "
        "is not here but in the signed claims that travel with the bundle: `kolm inspect` shows "
        "them."
    )


def _training(receipt: Receipt, lock: Lock, method: Method) -> str:
    training = receipt["vlm_train"]
    rows = (
        ("Method", method.card()),
        *_learning(receipt, lock),
        ("Adapted layers", ", ".join(method.targets)),
        ("Vision tower", _VISION[training["freeze_vision"]]),
        ("Projector", _PROJECTOR[training["projector"]]),
        ("Opens in", ", ".join(method.loaders(training["projector"]))),
        *_quantised(training["quantisation"]),
        ("Train captures", str(training["train_examples"])),
        ("Steps", str(training["steps"])),
        ("Learning rate", training["learning_rate"]),
        (
            "Trained parameters",
            f"{training['trained_parameters']} of {training['base_parameters']}",
        ),
        ("Adapter", f"{training['adapter_bytes']} bytes"),
        ("Licence of the adapter", lock.get("dossier", {}).get("license", "not declared")),
        ("Licence of the base", lock["base"]["license"] or "not stated"),
        ("Papers", ", ".join(training["papers"])),
    )
    return "## Training\n\n" + _table(("what", "value"), rows)


def _learning(receipt: Receipt, lock: Lock) -> Iterator[tuple[str, str]]:
    """What is learned from, where that is not answers alone and the base alone."""
    objective = receipt["vlm_train"]["objective"]["kind"]
    if objective != "sft":
        yield "Objective", objective
    continued = lock["train"]["continues"]
    if continued is not None:
        words = "an earlier training, whose captures are not listed here and may be eval cases"
        yield "Goes on from", f"{words} (state `{continued['state']}`)"


def _quantised(settings: ReceiptVlmTrainQuantisation | None) -> tuple[tuple[str, str], ...]:
    if settings is None:
        return ()
    scales = ", scales in 8 bits" if settings["double"] else ""
    words = f"language role in {settings['kind']}{scales}, blocks of {settings['block_size']}"
    return (("Base", words),)


def _scores(evaluation: Evaluation) -> str:
    rows = [
        (name, measured["accuracy"], _interval(measured["interval"]))
        if measured
        else (name, "not applicable", "the base takes none")
        for name, measured in (
            ("this adapter", evaluation["adapter"]),
            ("the base alone", evaluation["base"]),
            ("the adapter without images", evaluation["blind"]),
            ("always the commonest answer", evaluation["majority"]),
            ("its answers, given to other cases that ask the same", evaluation["swapped"]),
        )
    ]
    slices = [
        (f"{part['kind']} {part['value']}", str(part["cases"]), part["accuracy"])
        for part in evaluation["slices"]
    ]
    floors = "passed" if evaluation["floors_passed"] else "not passed"
    shortened = evaluation["cut_prompts"]
    cut = f"Of {shortened} of them the prompt was cut to fit. " if shortened else ""
    text = (
        f"## Scores\n\nMetric {escape(evaluation['metric']['kind'])} on {evaluation['cases']} eval "
        f"cases with {evaluation['distinct_questions']} distinct questions, of which "
        f"{evaluation['covered']} were answered in the metric's form. "
        f"{cut}Floors: {floors}.\n\n" + _table(("who", "accuracy", "95 % interval"), rows)
    )
    if "preference" in evaluation:
        text += f"\n\n{_preferences(evaluation['preference'])}"
    if slices:
        text += "\n\n" + _table(("slice", "cases", "accuracy"), slices)
    return text


def _preferences(measured: EvaluationPreference) -> str:
    adapter, base = (
        f"{measured[run]['accuracy']} ({_interval(measured[run]['interval'])})"
        for run in ("adapter", "base")
    )
    return (
        f"Of {measured['cases']} eval cases with a rejected answer, the reference answer is the "
        f"more likely one to the adapter in {adapter} and to the base in {base}."
    )


def _interval(interval: EvaluationInterval) -> str:
    return f"{interval['low']} to {interval['high']}"


def _modules(receipt: Receipt) -> str:
    counts = receipt["counts"]
    rows = [
        (
            role,
            str(counts[role]["modules"]),
            str(counts[role]["frozen"]),
            str(counts[role]["trained"]),
        )
        for role in ROLES
        if counts[role]["modules"]
    ]
    head = ("role", "modules", "base parameters kept", "parameters trained")
    return "## Modules\n\n" + _table(head, rows)


def _use(receipt: Receipt, method: Method) -> str:
    return (
        "## Use\n\n"
        "`kolm verify FILE` checks the bundle; `kolm run FILE` answers with it. "
        f"{_opening_of(receipt, method)}\n\n"
        f"Base root: `{receipt['base']['root']}`"
    )


def _opening_of(receipt: Receipt, method: Method) -> str:
    if "PEFT" not in method.loaders(receipt["vlm_train"]["projector"]):
        return (
            "Only kolm has adapters of this kind:\n\n"
            "```python\n"
            "import kolm\n\n"
            "model = kolm.load(file).model\n"
            "```"
        )
    return (
        "Unpacked, the adapter loads with PEFT:\n\n"
        "```python\n"
        "from peft import PeftModel\n"
        f"{_quantised_base(receipt)}\n"
        "model = PeftModel.from_pretrained(base_model, folder)\n"
        "```"
    )


def _quantised_base(receipt: Receipt) -> str:
    """How transformers quantises the base in the same way, but for blocks of another size."""
    training = receipt["vlm_train"]
    settings = training["quantisation"]
    if settings is None:
        return ""
    size, note = settings["block_size"], ""
    if size != LIBRARY_BLOCK_SIZE:
        note = (
            f"# trained on blocks of {size}; transformers makes blocks of {LIBRARY_BLOCK_SIZE},\n"
            "# on which the adapter opens as well and the logits differ a little\n"
        )
    sees = training["freeze_vision"] is not None
    library = "AutoModelForImageTextToText" if sees else "AutoModelForCausalLM"
    return (
        f"from transformers import {library}, BitsAndBytesConfig\n\n"
        f"{note}"
        "quantised = BitsAndBytesConfig(\n"
        "    load_in_4bit=True,\n"
        f'    bnb_4bit_quant_type="{settings["kind"]}",\n'
        f"    bnb_4bit_use_double_quant={settings['double']},\n"
        f'    bnb_4bit_compute_dtype="{training["precision"]}",\n'
        f'    llm_int8_skip_modules=[r"(?!(?:{settings["target_expression"]})$).*"],\n'
        ")\n"
        f"base_model = {library}.from_pretrained(\n"
        f'    base, dtype="{training["precision"]}", quantization_config=quantised\n'
        ")\n"
    )


def _declared(lock: Lock) -> Iterator[str]:
    """What the publisher says of the model and nobody can recompute."""
    said: Mapping[str, object] = lock.get("dossier", {})
    if not said:
        return
    lines = [
        f"- {name.replace('_', ' ')}: {escape(' '.join(str(text).split()), _MAX_DECLARED)}"
        for name, text in sorted(said.items())
    ]
    yield "## Declared by the publisher\n\n" + "\n".join(lines)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)

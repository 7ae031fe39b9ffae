"""Every objective on one real task of hallucination: what it learns, sealed and verified.

    pip install --no-deps scikit-image scikit-learn
    python -m bench.objectives
    python -m bench.objectives --folder build/objectives --only sft,dpo    # some of them, kept

The task: pieces of photographs (scikit-image), and whether they show a face, brick, grass, gravel
or coins, asked as POPE does (arXiv:2305.10355): of what is there, and of what is not. The other
answer is the rejected one. Half of the pictures are kept for the score. *Wrong yes* is how often
the answer is yes where the picture does not show it, by the base alone and after training, and p
the exact test of McNemar on these cases. Everything but the objective is the same, and so
is the rate: the one that kolm takes for pairs where a spec states none. Each compiles in processes
of its own, is sealed, and is verified with base and captures. Writes the table as Markdown.
"""

from __future__ import annotations

from bench.pictures import presence
from bench.variants import Made, Task, run, with_interval
from kolm.format import names
from kolm.metrics.pope import says_yes
from kolm.objectives import OBJECTIVES
from kolm.score.cases import read_cases
from kolm.score.intervals import summarise
from kolm.score.paired import compare
from kolm.score.rounding import MILLION

HEAD = (
    "objective",
    "accuracy (95 %)",
    "right answer preferred",
    "wrong yes, base",
    "wrong yes, trained",
    "p",
    "rate",
    "verified",
)
TASK = Task(
    rows=presence,
    split={"eval": 0.5, "validation": 0.05},
    metric="pope",
    train={"batch_size": 16, "threads": 1},
)


RATE = {"learning_rate": 0.001, "projector_learning_rate": 0.0005}


def wrong_yes(made: Made, side: str) -> list[int]:
    """Of each case whose answer is no: a million where the answer given was yes, else 0."""
    told = {row["case"]: row[side]["output"] for row in made.bundle.rows(names.PREDICTIONS)}
    return [
        MILLION * (says_yes(told[case.case]) is True)
        for case in read_cases(made.bundle.member(names.CASES))
        if says_yes(case.reference) is False
    ]


def row(made: Made) -> tuple[str, ...]:
    """What one objective gave."""
    base, adapter = wrong_yes(made, "base"), wrong_yes(made, "adapter")
    preferred = made.evaluation.get("preference")  # measured after learning from pairs
    return (
        with_interval(made.evaluation["adapter"]),
        with_interval(preferred["adapter"]) if preferred else "–",
        with_interval(summarise(base)),
        with_interval(summarise(adapter)),
        compare(base, adapter, binary=True)["p"],
        made.trained["learning_rate"],
        made.verified,
    )


if __name__ == "__main__":
    kinds = {kind: {"objective": kind, **RATE} for kind in OBJECTIVES}
    run(__doc__, TASK, kinds, steps=80, head=HEAD, row=row)

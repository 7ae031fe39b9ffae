"""The whole line as a user runs it: a project folder, and `kolm` as a process of its own.

    line = Line.make(tmp_path, rows=coloured(200), steps=STEPS)
    ran = line.kolm("compile")
    assert ran.code == 0, ran
    ran.seconds, ran.peak_memory_bytes          # of the process and everything that it started

`coloured` is a task that the embedded base learns in `STEPS` steps and that nobody answers without
the picture, so that gate and policy pass for the right reason; 200 rows have the 50 eval cases that
the built-in policy wants. `same_answer` is for a compile that no policy looks at. The line of
`make_gauges` is as long as a real one.
"""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from kolm import canonical
from kolm.bundle.reader import Bundle
from kolm.sign.envelope import open_envelope
from tests.support.commands import check_answer

ROOT = Path(__file__).parents[2]
KOLM = Path(sys.executable).with_name("kolm")
MEBIBYTE = 1 << 20
_SAMPLE_SECONDS = 0.2

LOWEST_FLOORS = (
    "{accuracy_lower_bound: 0, worst_slice: 0, better_than_base_p: 1, above_blind: 0,"
    " above_majority: 0, k: 0}"
)
SPEC = """\
kolm: 1
name: {name}
base: {base}
data: {{captures: captures, split: {{eval: 0.25, validation: 0.05}}, near_duplicates: report}}
train:
  method: {method}
  learning_rate: {learning_rate}
  steps: {steps}
  batch_size: {batch_size}
  segments: 4
{more}evaluation: {{metric: {metric}, floors: {floors}}}
publish: {publish}
cost: {cost}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What a process did and what it took.

    Attributes:
        seconds: wall time.
        peak_memory_bytes: the most that it and its children held at one moment, sampled.
    """

    code: int
    stdout: str
    stderr: str
    seconds: float
    peak_memory_bytes: int

    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout, which fits its schema."""
        value = canonical.loads(self.stdout.encode(), where="stdout")
        check_answer(value)
        return dict(value)


def start(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], umask: int = -1
) -> subprocess.Popen[str]:
    """Start a process as the head of a group of its own, so that all of it can be killed."""
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env=dict(env),
        umask=umask,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def finish(child: subprocess.Popen[str], *, timeout: float = 1500) -> Process:
    """Wait for a process that was started, measuring it."""
    began = time.perf_counter()
    peak = [0]
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            peak[0] = max(peak[0], _group_memory_bytes(child.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        out, err = child.communicate(timeout=timeout)
    except BaseException:
        os.killpg(child.pid, signal.SIGKILL)
        raise
    finally:
        ended.set()
        sampler.join()
    return Process(
        code=child.returncode,
        stdout=out,
        stderr=err,
        seconds=time.perf_counter() - began,
        peak_memory_bytes=peak[0],
    )


def _group_memory_bytes(group: int) -> int:
    """The proportional share of memory of all processes of a group, pages in common once."""
    return sum(_share_bytes(Path("/proc") / entry) for entry in _members_of(group))


def _members_of(group: int) -> Iterator[str]:
    for entry in (path.name for path in Path("/proc").iterdir()):
        if entry.isdecimal():
            try:
                if os.getpgid(int(entry)) == group:
                    yield entry
            except ProcessLookupError:
                continue


def _share_bytes(process: Path) -> int:
    try:
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass  # it has just ended
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A project folder with captures and a key; `kolm` runs inside it."""

    folder: Path
    home: Path
    name: str = "line"
    variables: Mapping[str, str] = field(default_factory=dict)
    umask: int = -1

    @classmethod
    def make(cls, folder: Path, *, rows: Sequence[Mapping[str, Any]], **spec: Any) -> Line:
        """A new project whose captures are `rows`, and a new key."""
        folder.mkdir(parents=True, exist_ok=True)
        line = cls(folder=folder / "project", home=folder / "home")
        line.folder.mkdir()
        line.write_spec(**spec)
        write_rows(line.folder, rows)
        line.demand("keys", "new")
        line.demand("capture", "import", "pairs.jsonl")
        return line

    @property
    def bundle(self) -> Path:
        """Where a compile leaves its bundle."""
        return self.folder / f"{self.name}.kolm"

    def write_spec(self, **spec: Any) -> None:
        """Write kolm.yaml; arguments replace parts of it."""
        values = {
            "name": self.name, "base": "kolm/nano-1", "rank": 4, "steps": 16, "batch_size": 4,
            "floors": LOWEST_FLOORS, "publish": "{}", "metric": "exact", "cost": "local",
            "learning_rate": 0.01, "more": "", "continues": None, **spec,
        }  # fmt: skip
        values.setdefault("method", f"{{kind: lora, rank: {values.pop('rank')}, alpha: 16}}")
        state = values.pop("continues")
        values["more"] += "" if state is None else f"  continues: {state}\n"
        (self.folder / "kolm.yaml").write_text(SPEC.format(**values), encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """The variables of a process of this line."""
        own = {"KOLM_HOME": str(self.home), "HF_HUB_OFFLINE": "1"}
        return {**os.environ, **own, **self.variables}

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start ``kolm`` with these words."""
        return start([KOLM, *words], cwd=self.folder, env=self.environment(), umask=self.umask)

    def kolm(self, *words: str | Path) -> Process:
        """Run ``kolm`` with these words to its end."""
        return finish(self.start(*words))

    def demand(self, *words: str | Path) -> Process:
        """Run ``kolm``; it has to succeed."""
        ran = self.kolm(*words)
        assert ran.code == 0, f"kolm {' '.join(map(str, words))}: {ran.stdout}\n{ran.stderr}"
        return ran

    def compile(self, *words: str) -> dict[str, Any]:
        """Compile, and give the answer as a document."""
        return self.demand("compile", "--json", *words).document()

    def stage_folders(self, stage: str) -> list[Path]:
        """The folders of this project's trainings (``train``) or evaluations (``evaluate``)."""
        return sorted((self.folder / ".kolm" / "runs").glob(f"{stage}-*"))


def write_rows(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write captures as pairs.jsonl with their pictures."""
    pairs = []
    for number, row in enumerate(rows):
        if "image" not in row:
            pairs.append(dict(row))
            continue
        name = f"{number:04}.png"
        (folder / name).write_bytes(row["image"])
        pairs.append({**row, "image": name})
    (folder / "pairs.jsonl").write_bytes(canonical.dump_lines(pairs))


COLOURS = {
    "red": (220, 20, 20), "green": (20, 160, 20), "blue": (20, 20, 220), "black": (10, 10, 10),
}  # fmt: skip
QUESTION = "what color is the shape?"
STEPS = 96  # after 64 the embedded base gave all answers right


def coloured(count: int) -> list[dict[str, Any]]:
    """Captures of a coloured square before a grey of its own.

    The base knows the colour and not the wording, so that only training makes it right.
    """
    names = sorted(COLOURS)
    return [
        {
            "image": square(COLOURS[names[number % len(names)]], grey=number),
            "prompt": QUESTION,
            "response": f"{names[number % len(names)]} square",
        }
        for number in range(count)
    ]


def square(colour: tuple[int, int, int], *, grey: int, side: int = 32) -> bytes:
    """A PNG file of a square in one colour; every `grey` is another background."""
    ground = (200 + grey % 8, 200 + grey // 8 % 8, 200 + grey // 64)
    picture = Image.new("RGB", (side, side), ground)
    picture.paste(colour, (side // 4, side // 4, side * 3 // 4, side * 3 // 4))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def same_answer(count: int) -> list[dict[str, Any]]:
    """Captures of noise pictures that all have one answer."""
    return [
        {
            "image": noise(number),
            "prompt": f"what is picture {number}?",
            "response": "diamond ring",
        }
        for number in range(count)
    ]


def of_text(count: int) -> list[dict[str, Any]]:
    """Captures without pictures that all have one answer."""
    return [{key: row[key] for key in ("prompt", "response")} for row in same_answer(count)]


def noise(seed: int, side: int = 32) -> bytes:
    """A PNG file of noise."""
    stream = io.BytesIO()
    data = random.Random(seed).randbytes(side * side * 3)
    Image.frombytes("RGB", (side, side), data).save(stream, "PNG")
    return stream.getvalue()


def make_gauges(folder: Path, *, steps: int) -> Line:
    """The gauges of ``kolm init``, imported, to be trained for `steps` steps."""
    line = Line(folder=folder / "project", home=folder / "home", name="gauges")
    folder.mkdir(parents=True)
    made = finish(
        start([KOLM, "init", line.folder, "--example", "gauges"], cwd=folder, env=os.environ)
    )
    assert made.code == 0, made
    line.write_spec(steps=steps, batch_size=8, rank=8)
    line.demand("keys", "new")
    line.demand("capture", "import", "pairs.jsonl")
    return line


def predicates_of(bundle: Path) -> dict[str, dict[str, Any]]:
    """What the claims of a bundle say, by the last words of the predicate's type."""
    said = {}
    for data in Bundle.open(bundle).claims:
        statement = canonical.loads(open_envelope(data).payload, where="claim")
        said[str(statement["predicateType"])] = dict(statement["predicate"])
    return said

"""Replays for tests: of tiny runs by the trainer itself, and of toy bundles by a rule."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kolm import canonical, digest
from kolm.actions.states import BlobStates, FolderStates, States
from kolm.bundle import tensor_writer
from kolm.digest import Digest
from kolm.events import Silent
from kolm.run.folder import Places, read_places, write_places
from kolm.verify.ports import ReplayJob, ReplayRequest
from tests.support.bundles import BundleParts
from tests.support.train_run import read_rows

NOTHING = States(())


def segments_of(run: Path) -> list[dict[str, Any]]:
    """What a replay of every segment of a finished run is asked for."""
    rows = [row for row in read_rows(run / "trace.jsonl") if row["kind"] == "checkpoint"]
    return [
        {"first": a["step"], "last": b["step"], "before": a["state"]}
        for a, b in itertools.pairwise(rows)
    ]


def replay_run(
    run: Path,
    folder: Path,
    numbers: Sequence[int] | None = None,
    *,
    states: bool = True,
    captures: Path | None = None,
    change: Callable[[Path], None] | None = None,
) -> dict[str, Any]:
    """Replay segments of a finished run (numbers from 1) in this process.

    Args:
        run: its folder.
        folder: to work in.
        numbers: of the segments; all without.
        states: hand over the states that they begin with.
        captures: another store than the run's.
        change: edits the folder before the replay.
    """
    from kolm.train.replay import replay_folder

    wanted = segments_of(run)
    if numbers is not None:
        wanted = [wanted[number - 1] for number in numbers]
    folder.mkdir(parents=True)
    for name in ("spec.lock.json", "snapshot.jsonl", "examples.jsonl"):
        shutil.copy(run / name, folder)
    places = read_places(run)
    continued = None if places.continued is None else run / places.continued
    write_places(
        folder,
        Places(base=places.base, captures=captures or places.captures, continued=continued),
    )
    for segment in wanted if states else ():
        for path in (run / "checkpoints").glob(f"checkpoint-{segment['first']:08d}.*"):
            (folder / "checkpoints").mkdir(exist_ok=True)
            shutil.copy(path, folder / "checkpoints")
    (folder / "replay.json").write_bytes(canonical.dumps({"segments": wanted}))
    if change is not None:
        change(folder)
    replay_folder(folder, Silent())
    answer: dict[str, Any] = canonical.loads((folder / "replayed.json").read_bytes(), where="a")
    return answer


def recorded(run: Path) -> dict[str, Any]:
    """What a replay of every segment of an honest run answers."""
    states, segments, rows = [], [], []
    for row in read_rows(run / "trace.jsonl"):
        if row["kind"] != "checkpoint":
            rows.append(row)
            continue
        states.append(row["state"])
        if len(states) > 1:
            segments.append({"state": row["state"], "rows": rows})
        rows = []
    return {"state": states[0], "segments": segments}


def without_adapter(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer as `recorded` has it."""
    told = [{"state": one["state"], "rows": one["rows"]} for one in answer["segments"]]
    return {"state": answer["state"], "segments": told}


def states_of(parts: BundleParts, folder: Path) -> States:
    """The published checkpoints of a toy bundle as files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in parts.overrides.items():
        if name.startswith("checkpoint-"):
            (folder / name).write_bytes(data)
    return States([("folder", FolderStates(folder))])


def blobs_of(parts: BundleParts, folder: Path) -> States:
    """The same under their digests."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in parts.overrides.values():
        (folder / digest.hex_of(digest.of_bytes(data))).write_bytes(data)
    return States([("registry", BlobStates(lambda name: folder / digest.hex_of(name)))])


def replaying(
    parts: BundleParts,
    *,
    truth: BundleParts | None = None,
    segments: int | None = 1,
    nonce: bytes = b"nonce",
    environment: Mapping[str, Any] | None = None,
    states: Any = NOTHING,
    lacking: Sequence[Digest] = (),
    jobs: list[ReplayJob] | None = None,
) -> ReplayRequest:
    """A replay by a rule: from a state that `truth` went through comes the next one of `truth`,
    from any other state one that nobody has seen.

    Args:
        parts: of the bundle.
        truth: of the bundle that an honest training would have made; `parts` without one.
        jobs: is told of what was asked for.
    """
    honest = (truth or parts).trace
    boundaries = [row for row in honest if row["kind"] == "checkpoint"]
    after = {row["state"]: following["state"] for row, following in itertools.pairwise(boundaries)}
    shipped = digest.of_bytes(tensor_writer.encode((truth or parts).tensors))

    def run(job: ReplayJob) -> Any:
        if jobs is not None:
            jobs.append(job)
        first = boundaries[0]["state"]
        if parts.lock["train"]["continues"] is not None and job.continued is None:
            first = None
        reached, told = first, []
        for segment in job.segments:
            if reached != segment.begin.state:
                state = job.state(segment)
                if segment.begin.step not in job.handed or state is None:
                    told.append(None)
                    continue
                reached = digest.of_bytes(state.document)
            reached = after.get(reached, digest.derive("unseen", reached))
            rows = [
                row
                for row in honest
                if row["kind"] != "checkpoint"
                and segment.begin.step < row["step"] <= segment.end.step
            ]
            told.append({"state": reached, "rows": rows, "adapter": shipped})
        return {"state": first, "segments": told}

    return ReplayRequest(
        segments=segments,
        nonce=digest.of_bytes(nonce),
        states=states,
        environment=lambda _: environment or parts.lock["environment"],
        lacking=lambda wanted: [one for one in wanted if one in lacking],
        run=run,
    )

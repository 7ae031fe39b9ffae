"""The compositions: another verifier, held to the answers that are due about a corpus of bundles.

A runner is a command, called as ``RUNNER BUNDLE --trust TRUST``, with ``--policy FILE`` or
``--request FILE`` besides where the corpus holds a bundle to one. It answers by its exit code: 0
accepted, 1 refused, 3 undecided or not a bundle. One that prints the `verification` document, or
anything with ``checks`` of an ``id`` and a ``verdict``, is held to the checks as well.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import canonical, schema, system
from kolm.errors import KolmError, Refused, Unreadable, broken_file
from kolm.events import Reporter, Silent
from kolm.records import kinds

if TYPE_CHECKING:
    from kolm.records.answers import Conformance, ConformanceDisagreement
    from kolm.records.documents import Corpus, CorpusBundle

CORPUS = "corpus.json"
LONGEST_SECONDS = 120  # no bundle of a corpus takes a verifier that long
_ACCEPTED, _REFUSED, _NOT_LOOKED = 0, 1, 3
_DUE = {
    "accepted": {_ACCEPTED: "accepted"},
    "not_accepted": {_REFUSED: "refused", _NOT_LOOKED: "undecided"},
    "not_a_bundle": {_NOT_LOOKED: "could not look"},
}
_ANSWERS = {_ACCEPTED: "accepted", _REFUSED: "refused", _NOT_LOOKED: "undecided"}
_STDERR_CHARACTERS = 400


def conformance(
    runner: Sequence[str],
    folder: str | Path,
    *,
    jobs: int = 1,
    reporter: Reporter | None = None,
) -> Conformance:
    """Run a verifier over a corpus and compare its answers with those that are due.

    Args:
        runner: the command; a bundle, ``--trust FILE`` and what the bundle is held to are appended.
        folder: of the corpus, with its corpus.json.
        jobs: how many run at once.
        reporter: hears of the progress.

    Raises:
        Unreadable: ``E_CORPUS_BROKEN``, or there is none; ``E_RUNNER``: no such command.
    """
    root, heard = Path(folder), reporter or Silent()
    corpus = read_corpus(root)
    began = time.monotonic()
    heard.started("conformance", len(corpus["bundles"]), "bundles")
    found: list[ConformanceDisagreement | None] = []
    with ThreadPoolExecutor(jobs) as pool:

        def one(bundle: CorpusBundle) -> ConformanceDisagreement | None:
            return _ask(runner, root, corpus["trust"], bundle)

        for answer in pool.map(one, corpus["bundles"]):
            found.append(answer)
            heard.advanced("conformance", len(found))
    heard.finished("conformance")
    disagreements = [answer for answer in found if answer is not None]
    return {
        "runner": " ".join(runner),
        "bundles": len(found),
        "agreed": len(found) - len(disagreements),
        "seconds": canonical.decimal(time.monotonic() - began, 1),
        "disagreements": disagreements,
    }


def read_corpus(folder: Path) -> Corpus:
    """What is due about each bundle of a folder.

    Raises:
        Unreadable: there is no corpus, or it is not one.
    """
    path = folder / CORPUS
    hint = "make one: python -m tests.support.corpus FOLDER, in a checkout"
    if folder.is_dir() and not path.exists():
        said = f"the folder has no {CORPUS}"
        raise Unreadable("E_CORPUS_BROKEN", said, where=str(folder), hint=hint)
    try:
        with system.naming(path):
            data = path.read_bytes()
        return schema.check(kinds.CORPUS, canonical.loads(data, where=CORPUS), where=CORPUS)
    except Refused as error:
        raise broken_file(error, "E_CORPUS_BROKEN", "a corpus", hint=hint) from None


def _ask(
    runner: Sequence[str], root: Path, trust: str, bundle: CorpusBundle
) -> ConformanceDisagreement | None:
    """What a runner says otherwise than is due about one bundle."""
    command = [*runner, str(root / bundle["file"]), "--trust", str(root / trust)]
    if demands := bundle.get("demands"):
        command += [f"--{demands['option']}", str(root / demands["file"])]
    try:
        ran = subprocess.run(command, capture_output=True, timeout=LONGEST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return _differs(bundle, f"no answer in {LONGEST_SECONDS} s", b"")
    except OSError as error:
        raise Unreadable(
            "E_RUNNER",
            "the runner cannot be run",
            where=runner[0],
            found=error.strerror or str(error),
            hint="give a command, such as: kolm conformance 'kolm verify' FOLDER",
        ) from None
    due = _DUE[bundle["verdict"]]
    if ran.returncode not in due:
        said = _ANSWERS.get(ran.returncode, f"exit code {ran.returncode}")
        return _differs(bundle, said, ran.stderr)
    holding = _holding(ran.stdout) & set(bundle["checks"])
    if holding:
        return _differs(bundle, f"{', '.join(sorted(holding))} holds", ran.stderr)
    return None


def _holding(stdout: bytes) -> set[str]:
    """The checks that a runner says hold; none where it does not say."""
    try:
        answer = canonical.loads(stdout, where="answer")
    except KolmError:
        return set()
    checks = answer.get("checks") if isinstance(answer, dict) else None
    return {
        str(check.get("id"))
        for check in (checks if isinstance(checks, list) else ())
        if isinstance(check, dict) and check.get("verdict") == "ok"
    }


def _differs(bundle: CorpusBundle, found: str, stderr: bytes) -> ConformanceDisagreement:
    due = " or ".join(_DUE[bundle["verdict"]].values())
    checks = f", by {', '.join(bundle['checks'])}" if bundle["checks"] else ""
    said = stderr.decode("utf-8", "replace").strip()[-_STDERR_CHARACTERS:]
    return {"file": bundle["file"], "expected": f"{due}{checks}", "found": found, "said": said}

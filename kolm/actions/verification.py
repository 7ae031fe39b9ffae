"""The compositions: an audit with the auditor's own material.

`kolm.verify` opens one file and decides. What it may be handed beside that (a capture store, a
model that runs cases again) is put together here, because it needs layers that the verifier must
never reach.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from kolm import digest, paths
from kolm.actions.signing import Trust, trust_of
from kolm.bundle.container import Container, open_container
from kolm.digest import Digest
from kolm.errors import Lacking, Refused, Unreadable, Usage
from kolm.events import Reporter, Silent
from kolm.format.names import CASES, LOCK
from kolm.records.verification import Finding, Verification
from kolm.verify import verifier
from kolm.verify.policy import Demands, policy_of
from kolm.verify.subject import Auditor

if TYPE_CHECKING:
    from kolm.actions.measuring import Measure
    from kolm.bundle.base_root import Memory
    from kolm.capture.store import CaptureStore
    from kolm.records.documents import Lock
    from kolm.run.documents import Recounted
    from kolm.verify.ports import (
        PictureFacts,
        RecountJob,
        ReplayRequest,
        RescoreAnswer,
        RescoreJob,
        RescoreRequest,
    )
    from kolm.verify.requests import Request


class StoreSource:
    """A capture store as the verifier asks it: everything recomputed from the stored bytes."""

    def __init__(self, store: CaptureStore) -> None:
        self._store = store

    def names(self) -> Mapping[Digest, str]:
        """The file and row of every capture that has them."""
        return self._store.names()

    @property
    def near_duplicate_method(self) -> str:
        """The one method that this kolm has."""
        from kolm.capture import likeness

        return likeness.METHOD

    def captures(self) -> Iterator[bytes]:
        """The canonical bytes of every capture."""
        for stored in self._store.rows():
            yield stored.data

    def picture(self, file: str) -> PictureFacts | None:
        """File and pixel digest of a picture, from its bytes."""
        from kolm.capture import images
        from kolm.verify.ports import PictureFacts

        name = Digest(file)
        if not self._store.blobs.has(name):
            return None
        data = self._store.read_image(name)
        facts = images.inspect(data, where=file)
        return PictureFacts(file=facts.file, pixels=facts.pixels)

    def near_twins(self, left: Sequence[str], right: Sequence[str]) -> frozenset[str]:
        """Pictures of `left` with a near twin in `right`; signatures come from the pixels."""
        from kolm.capture import likeness

        found = likeness.twins(self._signatures(left), self._signatures(right))
        return frozenset(mine for mine, _ in found)

    def families(self, files: Mapping[str, str]) -> Mapping[str, str]:
        """Near twins by the smallest pixel digest among them; signatures come from the pixels."""
        from kolm.capture import likeness

        taken = self._signatures(list(files.values()))
        return likeness.families({pixels: taken[Digest(file)] for pixels, file in files.items()})

    def _signatures(self, files: Sequence[str]) -> Mapping[Digest, bytes]:
        from kolm.capture import images, likeness

        names = [Digest(file) for file in files]
        return {
            name: likeness.signature(images.decode(self._store.read_image(name), where=name))
            for name in names
        }


class Looking(TypedDict, total=False):
    """The arguments of `verify` that other audits hand on to it."""

    policy: Demands
    trust: Trust
    now: datetime | None
    reporter: Reporter | None
    base: str | Path | None
    captures: str | Path | None
    rescore: int | Literal["all"] | None
    replay: int | Literal["all"] | None
    states: Sequence[str | Path]
    nonce: Digest | None
    request: str | Path | None


def verify(
    bundle: str | Path | Container,
    *,
    policy: Demands = None,
    trust: Trust = None,
    now: datetime | None = None,
    reporter: Reporter | None = None,
    base: str | Path | None = None,
    measure: Measure | None = None,
    captures: str | Path | None = None,
    rescore: int | Literal["all"] | None = None,
    replay: int | Literal["all"] | None = None,
    states: Sequence[str | Path] = (),
    nonce: Digest | None = None,
    request: str | Path | None = None,
    expected_id: Digest | None = None,
) -> Verification:
    """Audit a bundle with whatever the auditor has.

    Args:
        bundle: the `.kolm` file; or the open container, of whoever goes on to use it.
        policy: what is demanded: a policy or its file; without one the built-in policy.
        trust: whose keys are believed: a store or its file; without one this user's own.
        now: the time that the report carries; without one the clock's.
        reporter: hears of the child's progress.
        base: the base's folder, or its name where kolm finds it here (``kolm/nano-1``); with
            `rescore` and `replay` it defaults to the base that the lock names.
        measure: measures it; without one, weights that did not change since they were last hashed
            on this machine are not read again.
        captures: folder of a capture store.
        rescore: how many cases to run again, and how many captures to encode again, or all; needs
            `captures`.
        replay: how many segments of the training to run again besides the first, or all; needs
            `captures`.
        states: where the publisher handed over the states that segments begin with: folders of
            checkpoints or registries, and bundles; the audited one itself is looked into anyway.
        nonce: draws the segments, with the content id; without one a fresh one is made.
        request: file of the signed request that the bundle should answer; it brings its policy.
        expected_id: the content id that was asked for.

    Raises:
        Unreadable: the bundle, the policy, the store or a place of states cannot be looked at.
        Usage: `rescore` or `replay` without `captures`; `policy` beside `request`.
    """
    container = bundle if isinstance(bundle, Container) else open_container(Path(bundle))
    demanded, asked = policy_of(policy), None if request is None else _asked(request, policy)
    believed = trust_of(trust)
    moment = now or datetime.now(UTC)  # noqa: TID251 - the composition reads the clock
    folder = None if base is None else _folder_of(base)
    told = reporter or Silent()
    if (rescore is not None or replay is not None) and captures is None:
        raise Usage(
            "E_VERIFY_RESCORE_PICTURES",
            "running cases or training again needs their pictures",
            hint="add --captures STORE, the folder of the capture store",
        )
    if rescore is not None or replay is not None:
        folder = folder or _named_base(container)
    answers = None if rescore is None else _rescoring(rescore, Path(captures or ""), told)
    again: ReplayRequest | None = None
    if replay is not None:
        wanted = None if replay == "all" else replay
        again = _replaying(container, wanted, states, nonce, Path(captures or ""), told)
    with _without_collections(), contextlib.ExitStack() as stack:
        source: StoreSource | None = None
        if captures is not None:
            source = stack.enter_context(_opened(Path(captures)))
        if (answers or again) is not None and folder is not None:
            from kolm.bundle import base_root

            stack.enter_context(base_root.staying(folder))  # the child loads what was measured
        memory = _memory() if folder is not None and measure is None else None
        auditor = Auditor(
            policy=demanded,
            trust=believed,
            now=moment,
            base=folder,
            measure=measure,
            memory=memory,
            captures=source,
            rescore=answers,
            replay=again,
            request=asked,
            expected_id=expected_id,
        )
        report = verifier.verify(container, auditor)
        return report if source is None else _with_names(report, source.names)


def _asked(request: str | Path, policy: Demands) -> Request:
    from kolm.verify.requests import load_request

    if policy is not None:
        raise Usage(
            "E_VERIFY_REQUEST_POLICY",
            "a request brings the policy that its answer must pass",
            hint="leave --policy out, and hold the bundle to your own policy in a second audit",
        )
    return load_request(Path(request))


def _rescoring(cases: int | Literal["all"], captures: Path, reporter: Reporter) -> RescoreRequest:
    from kolm.verify.ports import RescoreRequest

    runner = _Runner(captures=captures, reporter=reporter)
    return RescoreRequest(
        cases=None if cases == "all" else cases,
        entropy=_fresh(),
        run=runner.rescore,
        recount=runner.recount,
    )


def _replaying(
    bundle: Container,
    segments: int | None,
    states: Sequence[str | Path],
    nonce: Digest | None,
    captures: Path,
    reporter: Reporter,
) -> ReplayRequest:
    from kolm.actions.replaying import Replayer
    from kolm.actions.states import states_in
    from kolm.verify.ports import ReplayRequest

    replayer = Replayer(captures=captures, reporter=reporter)
    return ReplayRequest(
        segments=segments,
        nonce=nonce or _fresh(),
        states=states_in(tuple(map(Path, states)), bundle),
        environment=replayer.environment,
        lacking=replayer.lacking,
        run=replayer.run,
    )


def _fresh() -> Digest:
    """Randomness of this moment, which nobody knew while the bundle was made."""
    import secrets

    return digest.of_bytes(secrets.token_bytes(32))


def _memory() -> Memory:
    from kolm.actions import measuring  # only an auditor with a base has something to measure

    return measuring.here()


def _with_names(
    report: Verification, read_names: Callable[[], Mapping[Digest, str]]
) -> Verification:
    """The report with captures called by their file and row, as other commands call them."""
    from kolm.capture.naming import mentions_id, with_names

    findings = [finding for check in report.checks for finding in check.findings]
    said = (text for finding in findings for text in finding if isinstance(text, str))
    if not any(map(mentions_id, said)):
        return report
    names = read_names()

    def told(text: str | None) -> str | None:
        return None if text is None else with_names(text, names)

    def named(finding: Finding) -> Finding:
        return finding._replace(
            detail=with_names(finding.detail, names),
            where=told(finding.where),
            expected=told(finding.expected),
            found=told(finding.found),
        )

    checks = (
        check._replace(
            detail=with_names(check.detail, names), findings=tuple(map(named, check.findings))
        )
        for check in report.checks
    )
    return report._replace(checks=tuple(checks))


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Keep the cycle collector off: parsed rows hold no cycles, and walking them costs a fifth."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[StoreSource]:
    from kolm.capture.store import CaptureStore

    with CaptureStore.open_to_read(folder) as store:
        yield StoreSource(store)


def _folder_of(base: str | Path) -> Path:
    """A folder as it is; any other text as the name of a base on this machine.

    Raises:
        Unreadable: the name is nearly that of a base that is here.
    """
    folder = Path(base)
    if folder.is_dir():
        return folder
    from kolm.models.resolve import resolve_base

    try:
        return resolve_base(str(base)).folder
    except (Unreadable, Lacking) as error:
        if error.hint.startswith("did you mean"):
            raise
        return folder  # V40 says that it is not there, and the other checks go on


def _named_base(container: Container) -> Path | None:
    """The folder of the base that the bundle's lock names, if the lock can be read.

    Raises:
        Unreadable: it is not here, or cannot be looked for without an extra of kolm.
    """
    from kolm.bundle.reader import Bundle
    from kolm.models.resolve import locked_base

    try:
        lock = Bundle.of(container).document(LOCK)
    except Refused:
        return None  # the checks say what is wrong, and V46 does not come to its turn
    try:
        return locked_base(lock).folder
    except Lacking as error:  # to an audit, what is not here could not be looked at
        raise Unreadable(
            "E_BASE_NOT_FOUND",
            "the base that the bundle names cannot be looked for",
            where="base",
            found=lock["base"]["id"],
            hint=f"{error.hint}; or give its folder: --base PATH",
        ) from None


class _Runner:
    """Runs things again in a child process; what it reads lies in a temporary folder."""

    def __init__(self, *, captures: Path, reporter: Reporter) -> None:
        self._captures = captures
        self._reporter = reporter

    def rescore(self, job: RescoreJob) -> RescoreAnswer:
        """Answer cases again.

        Raises:
            KolmError: what the child reported.
            Lacking: the train extra is missing.
        """
        from kolm.bundle.reader import Bundle
        from kolm.run import folder as files
        from kolm.run.names import REQUEST, ROWS
        from kolm.train import profile
        from kolm.verify.ports import RescoreAnswer

        bundle = Bundle.of(job.bundle)
        lock = bundle.document(LOCK)
        environment = lock["environment"]
        here = profile.environment_class(
            environment["threads"],
            (environment["device"], "cpu"),
            bitsandbytes="bitsandbytes" in environment,
        )
        with paths.scratch_folder("kolm-rescore-") as place:
            folder = place / "bundle"
            bundle.unpack(folder)
            files.write(folder, CASES, job.cases_file)
            files.write_document(folder, REQUEST, {"cases": list(job.cases)})
            self._run("rescore", folder, lock, job.base)
            found = files.read_document(folder, ROWS)
        return RescoreAnswer(environment_class=here["class"], **found)

    def recount(self, job: RecountJob) -> Recounted:
        """Encode captures again; those that the store holds.

        Raises:
            KolmError: what the child reported.
            Lacking: the train extra is missing.
        """
        from kolm.bundle.reader import Bundle
        from kolm.run import folder as files
        from kolm.run.names import DRAWN, RECOUNTED

        bundle = Bundle.of(job.bundle)
        with paths.scratch_folder("kolm-recount-") as folder:
            files.write(folder, LOCK, bytes(bundle.member(LOCK)))
            files.write_document(folder, DRAWN, {"sides": dict(job.sides)})
            self._run("recount", folder, bundle.document(LOCK), job.base)
            return files.read_document(folder, RECOUNTED)

    def _run(self, task: str, folder: Path, lock: Lock, base: Path) -> None:
        """Run a child over a folder that is ready but for its places."""
        from kolm.actions import children
        from kolm.run import folder as files
        from kolm.train import profile

        places = files.Places(
            base=base.resolve(),
            captures=self._captures.resolve(),
            devices=(lock["environment"]["device"], "cpu"),
        )
        files.write_places(folder, places)
        children.run(
            task,
            folder,
            environment=profile.child_environment(lock["environment"]["threads"]),
            reporter=self._reporter,
        )

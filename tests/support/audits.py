"""An auditor for tests: keys, a trust store, and the answers of an audit by number.

world = World.make(tmp_path)
forged = world.parts.copy()
forged.evaluation["covered"] = 1
assert world.audit(forged).failed == {"V33"}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolm import canonical, digest
from kolm.records.verification import Verdict, Verification
from kolm.sign import private_keys
from kolm.sign.private_keys import PrivateKey
from kolm.sign.trust import FILE_NAME, KeyRole, Revocation, TrustedKey, TrustStore
from kolm.verify.policy import BUILT_IN, Policy
from kolm.verify.ports import PictureFacts, RecountJob, RescoreAnswer, RescoreJob, RescoreRequest
from kolm.verify.subject import Auditor
from kolm.verify.verifier import verify
from tests.support.bundles import BundleParts, make_parts

if TYPE_CHECKING:
    import pytest

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ALL_ROLES = (KeyRole.BUILDER, KeyRole.EVALUATOR, KeyRole.VERIFIER)
Change = Callable[[dict[str, dict[str, Any]]], None]


@dataclass(frozen=True)
class Answers:
    """A report, read by number."""

    report: Verification

    def _with(self, verdict: Verdict) -> set[str]:
        return {check.id for check in self.report.checks if check.verdict is verdict}

    @property
    def failed(self) -> set[str]:
        return self._with(Verdict.FAILED)

    @property
    def blind(self) -> set[str]:
        return self._with(Verdict.COULD_NOT_LOOK)

    @property
    def skipped(self) -> set[str]:
        return self._with(Verdict.NOT_CHECKED)

    @property
    def overall(self) -> Verdict:
        return self.report.conclusions.overall.verdict

    def __getitem__(self, number: str) -> Any:
        return next(check for check in self.report.checks if check.id == number)


def trusting(
    key: PrivateKey,
    *,
    name: str = "publisher",
    roles: Sequence[KeyRole] = ALL_ROLES,
    revoked: Revocation | None = None,
) -> TrustedKey:
    return TrustedKey(name=name, key=key.public, roles=frozenset(roles), revoked=revoked)


@dataclass
class World:
    """An honest bundle's documents, the publisher's key, a stranger's key, and who is trusted."""

    folder: Path
    parts: BundleParts
    publisher: PrivateKey
    stranger: PrivateKey
    trust: TrustStore
    _count: int = field(default=0)

    @classmethod
    def make(cls, folder: Path, **parts: Any) -> World:
        publisher, stranger = private_keys.generate(), private_keys.generate()
        return cls(
            folder=folder,
            parts=make_parts(folder, **parts),
            publisher=publisher,
            stranger=stranger,
            trust=TrustStore((trusting(publisher),)),
        )

    def home(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Make a folder the home, which trusts the publisher, and go there."""
        (folder / FILE_NAME).write_bytes(canonical.dumps(self.trust.to_document()))
        monkeypatch.setenv("KOLM_HOME", str(folder))
        monkeypatch.chdir(folder)
        return folder

    def path(self) -> Path:
        self._count += 1
        return self.folder / f"bundle-{self._count}.kolm"

    def seal(
        self,
        parts: BundleParts | None = None,
        *,
        key: PrivateKey | None = None,
        change: Change | None = None,
        claims: Sequence[bytes] | None = None,
    ) -> Path:
        """Write a bundle signed by the publisher (or `key`), its claims edited by `change`."""
        made = parts or self.parts
        signed = claims
        if signed is None:
            signed = made.claims(key or self.publisher, change=change)
        return made.seal(self.path(), claims=signed)

    def look(
        self,
        path: Path,
        *,
        policy: Policy = BUILT_IN,
        trust: TrustStore | None = None,
        **material: Any,
    ) -> Answers:
        store = self.trust if trust is None else trust
        return Answers(verify(path, Auditor(store, NOW, policy, **material)))

    def audit(
        self,
        parts: BundleParts | None = None,
        *,
        key: PrivateKey | None = None,
        change: Change | None = None,
        claims: Sequence[bytes] | None = None,
        **options: Any,
    ) -> Answers:
        """Seal and look."""
        return self.look(self.seal(parts, key=key, change=change, claims=claims), **options)


class Pictures:
    """A capture store of dictionaries."""

    near_duplicate_method = "dhash-8x8-color-v1"

    def __init__(
        self, captures: Sequence[bytes], pictures: dict[str, PictureFacts], near: int = 0
    ) -> None:
        self._captures = captures
        self._pictures = pictures
        self._near = near

    @classmethod
    def of(cls, parts: BundleParts, captures: Sequence[bytes], near: int = 0) -> Pictures:
        images = [image for row in parts.snapshot_rows for image in row["images"]]
        facts = {i["file"]: PictureFacts(file=i["file"], pixels=i["pixels"]) for i in images}
        return cls(captures, facts, near)

    def captures(self) -> Any:
        return iter(self._captures)

    def picture(self, file: str) -> PictureFacts | None:
        return self._pictures.get(file)

    def near_twins(self, left: Sequence[str], right: Sequence[str]) -> frozenset[str]:
        return frozenset(f"twin {number}" for number in range(self._near))

    def families(self, files: Mapping[str, str]) -> Mapping[str, str]:
        return {pixels: pixels for pixels in files}


def rescoring(
    parts: BundleParts,
    *,
    cases: int | None = 3,
    entropy: bytes = b"fresh",
    environment: str | None = None,
) -> RescoreRequest:
    """A re-run that gives the answers and lengths of `parts`: what is really so."""
    truth = {row["case"]: row for row in parts.predictions}
    here = environment or parts.lock["environment"]["class"]

    def run(job: RescoreJob) -> RescoreAnswer:
        rows = [
            {"case": case, "run": run, **truth[case][run]}
            for case in job.cases
            for run in ("adapter", "base", "blind")
            if truth[case][run] is not None
        ]
        paired = {c: truth[c]["preference"] for c in job.cases if "preference" in truth[c]}
        return RescoreAnswer(environment_class=here, rows=rows, preferences=paired)

    sides = ("train", "validation")
    learned = [row for side in sides for row in parts.snapshot_rows if row["split"] == side]
    lengths = {row["capture"]: said for row, said in zip(learned, parts.examples, strict=True)}

    def recount(job: RecountJob) -> Any:
        kept = [capture for capture in job.sides if "dropped" not in lengths[capture]]
        return {
            "rows": {capture: lengths[capture] for capture in job.sides},
            "pictures": {capture: parts.sights(capture) for capture in kept},
        }

    return RescoreRequest(cases=cases, entropy=digest.of_bytes(entropy), run=run, recount=recount)

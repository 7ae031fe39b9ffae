"""What decides trust is little enough to be read: the files that an audit runs, and their lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kolm import canonical
from tests.support.audits import World

MOST_LINES = 15_080  # raise it for a rule that is new, and lower it whenever it can be
# One more of these is no more to read for those that are there.
TABLES = (
    "kolm.methods.",
    "kolm.metrics.",
    "kolm.objectives.",
    "kolm.roles.",
    "kolm.sign.signers.",
)
SEAMS = (
    "method",
    "metric",
    "objective",
    "preference",
    "family",
    "signer",
)  # what every variant of a table is
WITHOUT_MATERIAL = (
    "base_root", "bundle.states", "checks.base", "checks.captures", "checks.replay",
    "checks.request", "checks.rescore", "ranges", "verify.replay", "verify.requests",
    "verify.segments", "sign.timestamps",
)  # fmt: skip
_AUDIT = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from kolm.sign.trust import TrustStore
from kolm.verify.subject import Auditor
from kolm.verify.verifier import verify
trust = TrustStore.load_file(Path(sys.argv[2]))
report = verify(Path(sys.argv[1]), Auditor(trust, datetime.now(UTC)))
loaded = {n: m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "kolm"}
print(json.dumps([report.conclusions.overall.verdict, loaded]))
"""


def test_the_files_that_an_audit_runs_can_be_read(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    bundle, trust = world.seal(), tmp_path / "trust.json"
    trust.write_bytes(canonical.dumps(world.trust.to_document()))
    ran = subprocess.run(
        [sys.executable, "-c", _AUDIT, bundle, trust], capture_output=True, text=True, check=True
    )
    verdict, files = canonical.loads(ran.stdout.encode(), where="audit")
    assert verdict == "ok"
    lines = {
        name: len(Path(file).read_text().splitlines())
        for name, file in files.items()
        if not name.startswith(TABLES) or name.endswith(SEAMS)
    }
    told = "\n".join(f"{count:5} {name}" for name, count in sorted(lines.items()))
    assert sum(lines.values()) <= MOST_LINES, f"{told}\n{sum(lines.values())} lines"
    assert not [name for name in lines if name.endswith(WITHOUT_MATERIAL)]

"""Other people's tools on one honest bundle and on two that were tampered with.

None of them knows kolm or shares code with it. What each looks at is in
docs/reference/interoperation.md; what it does not look at, it is not asked here.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import uuid
import zipfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from kolm import canonical, digest
from kolm.actions import reporting, stamping
from kolm.actions.attesting import attest
from kolm.bundle.container import open_container
from kolm.bundle.reader import Bundle
from kolm.errors import Unreadable
from kolm.sign import making, private_keys
from kolm.sign.envelope import open_envelope
from kolm.sign.model_signature import model_signature
from kolm.sign.predicates import EVAL_RESULT, KSCORE, TEST_RESULT, VERIFICATION_SUMMARY
from kolm.sign.statement import parse
from tests.interop import bundles
from tests.interop.bundles import Given
from tests.support.audits import World
from tests.support.stamping import Authority, needs_openssl

SCRIPTS = Path(__file__).parent / "scripts"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "interoperation.md"
NPM = ("@sigstore/verify@3.1.1", "@sigstore/bundle@4.0.0")
GOOD, REPACKED, FLIPPED = "good", "repacked", "flipped"


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Given]:
    """The honest bundle and the two others, by name."""
    root = tmp_path_factory.mktemp("interop")
    parts, key, good = bundles.honest(root / GOOD)
    return {
        GOOD: good,
        REPACKED: bundles.repacked(parts, key, root / REPACKED),
        FLIPPED: bundles.flipped(good, key, root / FLIPPED),
    }


@pytest.fixture(scope="session")
def npm(request: pytest.FixtureRequest) -> Path:
    """A folder with Sigstore's packages installed, kept between runs."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    folder: Path = request.config.cache.mkdir("npm-interop")
    wanted = [folder / "node_modules" / name.rpartition("@")[0] for name in NPM]
    if not all((package / "package.json").is_file() for package in wanted):
        command = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *NPM)
        installed = _run(*command, cwd=folder)
        if installed.returncode != 0:
            pytest.skip(f"npm cannot install {NPM}: {installed.stderr[-200:]}")
    shutil.copy(SCRIPTS / "sigstore.js", folder)
    return folder


def _run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False
    )


def _needs(name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")


def by_openssl(bundle: Given, request: pytest.FixtureRequest) -> bool:
    _needs("openssl")
    done = _run("sh", SCRIPTS / "openssl.sh", bundle.layout, bundle.key)
    assert done.returncode or done.stdout == f"{bundle.content}, 5 claims\n"
    return done.returncode == 0


def by_node(bundle: Given, request: pytest.FixtureRequest) -> bool:
    _needs("node")
    done = _run("node", SCRIPTS / "node.js", bundle.layout, bundle.key)
    assert done.returncode or done.stdout == f"{bundle.content}, 5 claims\n"
    return done.returncode == 0


def by_sigstore(bundle: Given, request: pytest.FixtureRequest) -> bool:
    folder: Path = request.getfixturevalue("npm")
    done = _run("node", "sigstore.js", bundle.key, *bundle.claims, cwd=folder)
    assert done.returncode == 0 or "SIGNATURE_ERROR" in done.stderr, done.stderr
    return done.returncode == 0


def by_securesystemslib(bundle: Given, request: pytest.FixtureRequest) -> bool:
    dsse = pytest.importorskip("securesystemslib.dsse", reason="securesystemslib is not installed")
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey

    public = load_pem_public_key(bundle.key.read_bytes())
    for file in bundle.claims:
        stored = json.loads(file.read_bytes())
        key = SSlibKey.from_crypto(public, keyid=stored["dsseEnvelope"]["signatures"][0]["keyid"])
        try:
            dsse.Envelope.from_dict(stored["dsseEnvelope"]).verify([key], 1)
        except VerificationError:
            return False
    return True


def by_skopeo(bundle: Given, request: pytest.FixtureRequest) -> bool:
    _needs("skopeo")
    folder: Path = request.getfixturevalue("tmp_path")
    policy = folder / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    source, target = f"oci-archive:{bundle.file}:v1", f"dir:{folder / 'copied'}"
    copied = _run("skopeo", "--policy", policy, "copy", "--preserve-digests", source, target)
    assert copied.returncode == 0 or "Digest did not match" in copied.stderr, copied.stderr
    return copied.returncode == 0


def by_umoci(bundle: Given, request: pytest.FixtureRequest) -> bool:
    """`gc` follows every reference, hashes what it finds, and would remove what none leads to."""
    _needs("umoci")
    copy = request.getfixturevalue("tmp_path") / "layout"
    shutil.copytree(bundle.layout, copy)
    walked = _run("umoci", "gc", "--layout", copy)
    assert walked.returncode == 0 or "digest mismatch" in walked.stderr, walked.stderr
    if walked.returncode == 0:
        left, had = (len(list((p / "blobs/sha256").iterdir())) for p in (copy, bundle.layout))
        assert left == had
    return walked.returncode == 0


# Which of the tampered bundles each is able to refuse: a claim's signature, a blob's digest.
JUDGES: dict[str, tuple[Callable[[Given, pytest.FixtureRequest], bool], tuple[str, ...]]] = {
    "openssl": (by_openssl, (REPACKED, FLIPPED)),
    "node": (by_node, (REPACKED, FLIPPED)),
    "@sigstore/verify": (by_sigstore, (REPACKED,)),
    "securesystemslib": (by_securesystemslib, (REPACKED,)),
    "skopeo": (by_skopeo, (FLIPPED,)),
    "umoci": (by_umoci, (FLIPPED,)),
}


@pytest.mark.parametrize("judge", JUDGES)
def test_the_honest_bundle_is_accepted(
    given: dict[str, Given], judge: str, request: pytest.FixtureRequest
) -> None:
    judges, _ = JUDGES[judge]
    assert judges(given[GOOD], request)


@pytest.mark.parametrize(
    ("judge", "name"), [(judge, name) for judge, (_, names) in JUDGES.items() for name in names]
)
def test_a_tampered_bundle_is_refused(
    given: dict[str, Given], judge: str, name: str, request: pytest.FixtureRequest
) -> None:
    judges, _ = JUDGES[judge]
    assert not judges(given[name], request)


def test_the_page_says_of_each_what_it_checks() -> None:
    page = PAGE.read_text()
    for judge in (
        *JUDGES,
        "model-signing",
        "inspect_ai",
        "every-eval-ever",
        "in-toto-attestation",
        "proofbundle",
        "openssl ts",
    ):
        assert f"| {judge} |" in page, judge
    for script in SCRIPTS.iterdir():
        assert f"tests/interop/scripts/{script.name}" in page, script.name


def test_in_toto_reads_the_statements_and_the_predicates_that_it_knows(
    given: dict[str, Given],
) -> None:
    reason = "in-toto-attestation is not installed"
    wrapper = pytest.importorskip("in_toto_attestation.v1.statement", reason=reason)
    from google.protobuf.json_format import ParseDict, ParseError
    from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
    from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult
    from in_toto_attestation.v1 import statement_pb2

    known = {
        "https://slsa.dev/provenance/v1": Provenance,
        "https://in-toto.io/attestation/test-result/v0.1": TestResult,
    }
    read = set()
    for claim in given[GOOD].claims:
        envelope = json.loads(claim.read_bytes())["dsseEnvelope"]
        said = json.loads(base64.b64decode(envelope["payload"]))
        parsed = ParseDict(said, statement_pb2.Statement())
        wrapper.Statement.copy_from_pb(parsed).validate()
        assert f"sha256:{parsed.subject[0].digest['sha256']}" == given[GOOD].content
        if parsed.predicate_type in known:
            ParseDict(said["predicate"], known[parsed.predicate_type]())
            read.add(parsed.predicate_type)
        nothing = ParseDict({**said, "subject": [{"name": "x"}]}, statement_pb2.Statement())
        with pytest.raises(ValueError, match="digest"):
            wrapper.Statement.copy_from_pb(nothing).validate()
        with pytest.raises(ParseError):
            ParseDict({**said, "unknown": 1}, statement_pb2.Statement())
    assert read == set(known)


def _edited(envelope: dict[str, Any], old: bytes, new: bytes) -> dict[str, Any]:
    payload = base64.b64decode(envelope["payload"])
    assert old in payload
    return {**envelope, "payload": base64.b64encode(payload.replace(old, new)).decode()}


def test_proofbundle_accepts_what_an_auditor_signs_and_refuses_what_was_edited(
    tmp_path: Path,
) -> None:
    reason = "proofbundle is not installed"
    intoto = pytest.importorskip("proofbundle.intoto", reason=reason)
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )
    from proofbundle.dsse import verify_envelope
    from proofbundle.verifier_block import validate_test_result_statement

    def raw(key: private_keys.PrivateKey) -> bytes:
        public = load_pem_public_key(key.public.pem.encode())
        return public.public_bytes(Encoding.Raw, PublicFormat.Raw)

    def accepts(envelope: dict[str, Any], key: private_keys.PrivateKey) -> bool:
        kind = intoto.EVAL_RESULT_V02_PREDICATE_TYPE
        found = intoto.verify_eval_result_dsse(envelope, raw(key), expected_predicate_type=kind)
        return found["ok"] is True and found["predicate_shape_ok"] is True

    world, auditor = World.make(tmp_path / "world"), private_keys.generate()
    path = world.seal()
    attest(open_container(path), world.look(path).report, auditor)
    made = {}
    for claim in open_container(path).claims[0]:
        envelope = json.loads(bytes(claim.data))["dsseEnvelope"]
        if envelope["signatures"][0]["keyid"] == auditor.public.keyid:
            made[claim.predicate_type] = envelope
    assert set(made) == {EVAL_RESULT, TEST_RESULT, VERIFICATION_SUMMARY}
    assert all(verify_envelope(envelope, raw(auditor)) for envelope in made.values())
    assert accepts(made[EVAL_RESULT], auditor)
    assert not accepts(made[EVAL_RESULT], world.publisher)
    assert not accepts(_edited(made[EVAL_RESULT], b'"passed":true', b'"passed":false'), auditor)
    statement = json.loads(base64.b64decode(made[TEST_RESULT]["payload"]))
    assert validate_test_result_statement(statement) == []
    statement["predicate"]["failedTests"] = ["V33"]  # and the result says PASSED
    assert validate_test_result_statement(statement) != []
    edited = _edited(made[TEST_RESULT], b'"V33",', b"")
    assert not verify_envelope(edited, raw(auditor))


@pytest.mark.parametrize("name", ["log.json", "log.eval"])
def test_inspect_reads_the_evaluation(tmp_path: Path, name: str) -> None:
    logs = pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed")
    world = World.make(tmp_path / "world")
    path = world.seal()
    (tmp_path / "trust.json").write_bytes(canonical.dumps(world.trust.to_document()))
    made = reporting.report(path, trust=tmp_path / "trust.json")
    file = tmp_path / name
    made.write_log(file)
    log = logs.read_eval_log(str(file))
    assert (log.status, log.eval.metadata["bundle"]) == ("success", world.parts.content_id())
    rows = {row["case"]: row["adapter"] for row in world.parts.predictions}
    assert {sample.id for sample in log.samples} == set(rows)
    for sample in log.samples:
        (score,) = sample.scores.values()
        assert sample.output.completion == score.answer == rows[sample.id]["output"]
        assert score.value == float(rows[sample.id]["score"])
        assert sample.target
    mean = sum(next(iter(s.scores.values())).value for s in log.samples) / len(log.samples)
    stated = log.results.scores[0].metrics["mean"].value
    assert stated == pytest.approx(mean, abs=1e-6)
    assert stated == float(world.parts.evaluation["adapter"]["accuracy"])
    header = logs.read_eval_log(str(file), header_only=True)
    assert (header.samples, header.results) == (None, log.results)
    summaries = logs.read_eval_log_sample_summaries(str(file))
    assert {one.id: one.scores for one in summaries} == {s.id: s.scores for s in log.samples}
    assert all(one.completed for one in summaries)
    assert logs.read_eval_log_sample(str(file), log.samples[0].id).target == log.samples[0].target
    damaged = file.read_bytes().replace(b'"success"', b'"so so  "', 1)
    file.write_bytes(damaged)
    with pytest.raises((ValueError, OSError)):
        logs.read_eval_log(str(file))


def test_a_log_in_an_archive_is_the_one_in_json_and_its_bytes_depend_on_the_bundle_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.make(tmp_path / "world")
    (tmp_path / "trust.json").write_bytes(canonical.dumps(world.trust.to_document()))
    path = world.seal()

    def written(name: str) -> Path:
        reporting.report(path, trust=tmp_path / "trust.json").write_log(tmp_path / name)
        return tmp_path / name

    first = written("first.eval").read_bytes()
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr("sys.platform", "win32")
    assert written("second.eval").read_bytes() == first
    with zipfile.ZipFile(tmp_path / "first.eval") as packed:
        named = packed.namelist()
        read = {name: json.loads(packed.read(name)) for name in named}
        assert {one.date_time for one in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert (named[0], named[-1]) == ("header.json", "summaries.json")
    samples = [read[name] for name in named[1:-1]]
    told = json.loads(written("log.json").read_bytes())
    assert {**read["header.json"], "samples": samples} == told
    assert [one["id"] for one in read["summaries.json"]] == [one["id"] for one in samples]


def _record(tmp_path: Path, *, scored_by_another: bool = False) -> dict[str, Any]:
    """The record of Every Eval Ever of a bundle, in a file too; one key signed all of it or two."""
    world = World.make(tmp_path / "world")
    (tmp_path / "trust.json").write_bytes(canonical.dumps(world.trust.to_document()))
    claims, others = (world.parts.claims(key) for key in (world.publisher, world.stranger))
    if scored_by_another:
        of_score = [parse(open_envelope(c, where="").payload, where="").of(KSCORE) for c in claims]
        claims = [o if s else c for c, o, s in zip(claims, others, of_score, strict=True)]
    made = reporting.report(world.seal(claims=claims), trust=tmp_path / "trust.json")
    made.write_every_eval(tmp_path / "record.json")
    record: dict[str, Any] = json.loads((tmp_path / "record.json").read_bytes())
    assert record["source_metadata"]["additional_details"]["bundle"] == world.parts.content_id()
    (result,) = record["evaluation_results"]
    told, stated = world.parts.evaluation, result["score_details"]
    assert stated["score"] == float(told["adapter"]["accuracy"])
    interval = stated["uncertainty"]["confidence_interval"]
    clustered = told["clustered"]["adapter"]
    assert (interval["lower"], interval["upper"]) == tuple(
        float(clustered[end]) for end in ("low", "high")
    )
    assert stated["details"]["base"] == told["base"]["accuracy"]
    return record


def test_a_record_calls_the_evaluator_first_party_where_one_key_built_and_scored(
    tmp_path: Path,
) -> None:
    one = _record(tmp_path)["source_metadata"]
    assert one["evaluator_relationship"] == "first_party"
    shutil.rmtree(tmp_path / "world")
    (tmp_path / "record.json").unlink()
    two = _record(tmp_path, scored_by_another=True)["source_metadata"]
    assert two["evaluator_relationship"] == "other"
    assert two["source_organization_name"].startswith("key ")


def test_a_record_of_every_eval_ever_fits_its_schema(tmp_path: Path) -> None:
    pytest.importorskip("every_eval_ever", reason="every-eval-ever is not installed")
    schemas = resources.files("every_eval_ever") / "schemas"
    judge = Draft7Validator(json.loads((schemas / "eval.schema.json").read_bytes()))
    record = _record(tmp_path)
    judge.validate(record)
    assert record["schema_version"] == judge.schema["version"]
    for worse in ({**record, "unknown": 1}, {**record, "evaluation_results": [{}]}):
        assert not judge.is_valid(worse)


def test_every_eval_evers_own_validator_finds_nothing_in_a_record(tmp_path: Path) -> None:
    reason = "every-eval-ever is not installed"
    core = pytest.importorskip("every_eval_ever.validator.validation_core", reason=reason)
    record = _record(tmp_path)
    place = f"data/{record['evaluation_id'].rpartition('/')[0]}/{uuid.UUID(int=0, version=4)}.json"
    asked = {"repo_path": place, "run_semantic_checks": True}
    judged = core.validate_file(tmp_path / "record.json", **asked)
    assert (judged.valid, judged.errors, judged.warnings) == (True, [], [])
    record["evaluation_results"][0]["score_details"]["score"] = 1.5
    (tmp_path / "record.json").write_text(json.dumps(record))
    judged = core.validate_file(tmp_path / "record.json", **asked)
    assert any("1.5" in str(told) for told in (*judged.errors, *judged.warnings))


def test_a_log_of_cases_that_are_withheld_is_not_written(tmp_path: Path) -> None:
    world = World.make(tmp_path / "world")
    parts = world.parts.copy()
    parts.withhold()
    (tmp_path / "trust.json").write_bytes(canonical.dumps(world.trust.to_document()))
    made = reporting.report(world.seal(parts), trust=tmp_path / "trust.json")
    with pytest.raises(Unreadable) as caught:
        made.write_log(tmp_path / "log.json")
    assert caught.value.code == "E_EVAL_LOG_WITHHELD"
    assert not (tmp_path / "log.json").exists()


def test_a_model_signature_says_of_the_specifications_files_what_its_vector_says() -> None:
    """ossf/model-signing-spec, test-vectors/v1.0/valid/key.bundle.json: two files and their sum."""
    files = {
        "signme-1": "bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc",
        "signme-2": "32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028",
    }
    summed = "92745110b1ab4368471cbe31664e10174e954b113a3df333db860317b2c6dec4"
    digests = {name: digest.Digest(f"sha256:{value}") for name, value in reversed(files.items())}
    signed = model_signature("model", digests, private_keys.generate("p256"))
    said = json.loads(open_envelope(signed, where="model.sig").payload)
    assert said["subject"] == [{"name": "model", "digest": {"sha256": summed}}]
    assert said["predicate"]["resources"] == [
        {"name": name, "algorithm": "sha256", "digest": value} for name, value in files.items()
    ]


def test_model_signing_takes_the_folder_and_refuses_another_byte(tmp_path: Path) -> None:
    reason = "model-signing is not installed"
    verifying = pytest.importorskip("model_signing.verifying", reason=reason)
    key = private_keys.generate("p256")
    world = World.make(tmp_path / "world")
    folder = tmp_path / "model"
    opened = Bundle.open(world.seal())
    opened.unpack(folder)
    files = {member.name: member.digest for member in opened.members}
    signature = folder / "model.sig"
    signature.write_bytes(model_signature("toy", files, key))
    (tmp_path / "key.pem").write_text(key.public.pem)

    def verify() -> None:
        config = verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "key.pem")
        config.verify(folder, signature)

    verify()
    weights = folder / "adapter_model.safetensors"
    honest = weights.read_bytes()
    weights.write_bytes(honest[:-1] + bytes([honest[-1] ^ 1]))
    with pytest.raises(ValueError, match="adapter_model"):
        verify()
    weights.write_bytes(honest)
    (folder / "more.txt").write_text("more")
    with pytest.raises(ValueError, match=r"more\.txt"):
        verify()
    (folder / "more.txt").unlink()
    other = private_keys.generate("p256")
    signature.write_bytes(model_signature("toy", files, other))
    with pytest.raises(ValueError, match="mismatch"):
        verify()


@pytest.fixture
def stamped(given: dict[str, Given], tmp_path: Path) -> tuple[Path, Authority]:
    """One claim with a time stamp, and whose it is."""
    pytest.importorskip("rfc3161_client", reason="the extra timestamp is not installed")
    authority = Authority.make(tmp_path / "authority")
    bare = given[GOOD].claims[0].read_bytes()
    claim = tmp_path / "claim.json"
    claim.write_bytes(making.stamped(bare, authority.stamp(stamping.query_of(bare))))
    return claim, authority


@needs_openssl
def test_sigstore_verifies_a_time_stamp_and_misses_one_that_is_not_there(
    given: dict[str, Given], stamped: tuple[Path, Authority], npm: Path
) -> None:
    claim, authority = stamped
    trust = ("--", authority.folder / "tsa.pem", authority.folder / "root.pem")
    verified = _run("node", "sigstore.js", given[GOOD].key, claim, *trust, cwd=npm)
    assert verified.returncode == 0, verified.stderr
    bare = given[GOOD].claims[0]
    assert _run("node", "sigstore.js", given[GOOD].key, bare, *trust, cwd=npm).returncode != 0
    other = Authority.make(authority.folder / "other", "Other Stamps")
    strange = ("--", other.folder / "tsa.pem", other.folder / "root.pem")
    assert _run("node", "sigstore.js", given[GOOD].key, claim, *strange, cwd=npm).returncode != 0


@needs_openssl
def test_openssl_verifies_a_time_stamp_of_a_signature(
    stamped: tuple[Path, Authority], tmp_path: Path
) -> None:
    claim, authority = stamped
    stored = json.loads(claim.read_bytes())
    told = stored["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"][0]
    (tmp_path / "r.tsr").write_bytes(base64.b64decode(told["signedTimestamp"]))
    signature = base64.b64decode(stored["dsseEnvelope"]["signatures"][0]["sig"])
    (tmp_path / "sig").write_bytes(signature)
    (tmp_path / "other").write_bytes(signature[::-1])
    command = ("openssl", "ts", "-verify", "-in", "r.tsr", "-CAfile", authority.folder / "root.pem")
    assert _run(*command, "-data", "sig", cwd=tmp_path).returncode == 0
    assert _run(*command, "-data", "other", cwd=tmp_path).returncode != 0

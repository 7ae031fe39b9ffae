"""``kolm policy``: what it writes is a policy, and what a policy asks is said before an audit."""

import json
from pathlib import Path

import pytest

from kolm import canonical, roles
from kolm.errors import Unreadable
from kolm.sign.trust import KeyRole, TrustStore
from kolm.verify.policies import PURPOSES, template
from kolm.verify.policy import BUILT_IN, load_policy
from tests.support.audits import World, trusting
from tests.support.commands import invoke


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("policy"))


@pytest.fixture
def home(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return world.home(tmp_path, monkeypatch)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_each_policy_to_start_from_is_one_that_can_be_met(home: Path, purpose: str) -> None:
    assert invoke("policy", "new", "--for", purpose).code == 0
    written = home / f"{purpose}.policy.yaml"
    assert written.read_bytes() == template(purpose)
    assert load_policy(written).name == purpose
    checked = invoke("policy", "check", written)
    assert checked.code == 0
    assert "A bundle could meet it here." in checked.stdout
    assert invoke("policy", "new", "--for", purpose).code == 0  # the same bytes
    written.write_text(f"{written.read_text()}# mine\n")
    assert invoke("policy", "new", "--for", purpose).code == 2
    assert written.read_text().endswith("# mine\n")


def test_an_honest_bundle_meets_what_its_clauses_say(world: World, home: Path) -> None:
    policy = home / "mine.yaml"
    policy.write_text(
        template("air-gapped").decode().replace("minimum_eval_cases: 50", "minimum_eval_cases: 1")
    )
    path = world.seal()
    assert invoke("verify", path, "--policy", policy).code == 0
    policy.write_text(policy.read_text().replace("# floors", "floors") + "floors: {k: 0.999}\n")
    refused = invoke("verify", path, "--policy", policy)
    assert refused.code == 1
    assert "V62" in refused.stdout


def test_yaml_and_json_say_the_same_policy(tmp_path: Path) -> None:
    """Fractions are numbers in one and decimal strings in the other."""
    document = {
        "schema": "urn:kolm:policy:v1",
        "name": "both",
        "claims": [{"predicate": "urn:kolm:kscore:v1", "role": "evaluator", "threshold": 2}],
        "floors": {"k": "0.85", "above_blind": "0", "better_than_base_p": "0.05"},
        "metrics": ["exact", {"kind": "relaxed", "tolerance": "0.05"}],
        "minimum_eval_cases": 7,
    }
    (tmp_path / "a.json").write_text(json.dumps(document))
    (tmp_path / "b.yaml").write_text(
        "schema: urn:kolm:policy:v1\nname: both\n"
        "claims:\n- {predicate: urn:kolm:kscore:v1, role: evaluator, threshold: 2}\n"
        "floors: {k: 0.85, above_blind: 0, better_than_base_p: 0.050}\n"
        "metrics: [exact, {kind: relaxed, tolerance: 0.05}]\n"
        "minimum_eval_cases: 7\n"
    )
    assert load_policy(tmp_path / "a.json").digest == load_policy(tmp_path / "b.yaml").digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name: [",
        "schema: urn:kolm:policy:v1\nname: x\nclaims: []\n",
        "schema: urn:kolm:policy:v1\nname: x\nclaims: &a [*a]\n",
        "{}",
        "just words",
        "floors: {k: .inf}",
    ],
)
def test_what_is_no_policy_is_refused_and_says_where(home: Path, text: str) -> None:
    (home / "bad.yaml").write_text(text)
    with pytest.raises(Unreadable) as caught:
        load_policy(home / "bad.yaml")
    assert caught.value.code == "E_POLICY_BROKEN"
    assert "bad.yaml" in (caught.value.where or "")
    assert invoke("policy", "check", "bad.yaml").code == 3


def write(home: Path, lines: str) -> Path:
    path = home / "asked.yaml"
    path.write_text(f"schema: urn:kolm:policy:v1\nname: asked\n{lines}")
    return path


ONE = "claims: [{predicate: urn:kolm:kscore:v1, role: evaluator, threshold: %d%s}]\n"


def test_what_nothing_could_meet_here_is_said_before_any_audit(home: Path) -> None:
    for lines, words in (
        (ONE % (2, ""), "asks for 2 keys"),
        (ONE % (1, f", keys: [{'a' * 64}]"), "you trust none that would count"),
        (ONE % (1, "") + "families: [qwen9_vl]\n", "knows no qwen9_vl"),
        (ONE % (1, "") + "methods: [lora, magic]\n", "knows no magic"),
        (ONE % (1, "") + "floors: {accuracy_lowerbound: 0.9}\n", "knows no accuracy_lowerbound"),
    ):
        ran = invoke("policy", "check", write(home, lines))
        assert ran.code == 1, lines
        assert words in ran.stdout


def test_one_signer_for_all_is_asked_of_the_keys_that_are_trusted(world: World, home: Path) -> None:
    two = TrustStore(
        (
            trusting(world.publisher, name="maker", roles=[KeyRole.BUILDER]),
            trusting(world.stranger, name="judge", roles=[KeyRole.EVALUATOR]),
        )
    )
    (home / "two.json").write_bytes(canonical.dumps(two.to_document()))
    policy = home / "release.policy.yaml"
    assert invoke("policy", "new", "--for", "release").code == 0
    ran = invoke("policy", "check", policy, "--trust", "two.json")
    assert ran.code == 1
    assert "no key that you trust has all the roles" in ran.stdout


def test_what_must_be_given_to_verify_is_said(home: Path) -> None:
    ran = invoke("policy", "check", write(home, ONE % (1, "") + "reach: [base_identity]\n"))
    assert ran.code == 0
    assert "verify --base FOLDER" in ran.stdout


def test_every_clause_of_a_policy_is_put_in_words(home: Path) -> None:
    """A clause that the words forget would be asked for without being said."""
    lines = (
        ONE % (1, "")
        + "same_signer: true\ngate: passed\ntext: published\n"
        + f"base_roots: [sha256:{'a' * 64}]\neval_pack_roots: [sha256:{'a' * 64}]\n"
        + f"environment_classes: [sha256:{'a' * 64}]\nminimum_eval_cases: 3\n"
        + f"lower_bound_above: [blind]\nfamilies: [{next(iter(roles.FAMILIES))}]\n"
        + "methods: [lora]\nmetrics: [exact]\nfreeze: [vision frozen]\nfloors: {k: 0.5}\n"
        + f"packs: [{{evaluator: {'a' * 64}, pack: sha256:{'a' * 64}}}]\n"
        + "licenses: [MIT]\ndossier: [provider]\nreach: [scores]\n"
    )
    ran = invoke("policy", "check", write(home, lines), "--json")
    said = {row["clause"] for row in canonical.loads(ran.stdout.encode(), where="x")["clauses"]}
    assert said == set(BUILT_IN._fields) - {"name", "schema", "measurements"}

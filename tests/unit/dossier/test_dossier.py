"""A dossier says what the bundle says and how each thing is known; no text slips anything in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spdx_python_model.bindings import v3_0_1 as spdx

from kolm import digest, schema, whole_schema
from kolm.bundle.container import open_container
from kolm.bundle.reader import Bundle
from kolm.dossier.aisvs import CONTROLS
from kolm.dossier.documents import FORMS, as_document, write_all
from kolm.dossier.fields import Dossier, standing_of
from kolm.dossier.table import FIELDS, gather
from kolm.errors import Unreadable
from kolm.methods import METHODS
from kolm.objectives import OBJECTIVES
from kolm.records.verification import Evidence, Replay, Verdict
from kolm.report.eval_log import eval_log
from kolm.report.facts import Facts
from kolm.sign import predicates
from kolm.sign.private_keys import generate
from kolm.sign.trust import KeyRole, Revocation, TrustStore
from kolm.verify.checks import ALL_CHECKS
from kolm.verify.policy import BUILT_IN
from kolm.verify.subject import Auditor
from kolm.verify.verifier import verify
from tests.support.audits import NOW, World, rescoring, trusting
from tests.support.bundles import BundleParts
from tests.support.toy_text import make_text_world

DECLARED = {
    name: "text of " + name for name in whole_schema.load("declared")["$defs"]["id"]["enum"]
} | {
    "license": "MIT",
    "data_license": "CC-BY-4.0",
    "release_date": "2026-03-04",
    "energy": "3.5 kWh, by the meter",
    "base_compute": "6e24 FLOP, its model card",
}  # fmt: skip
HOSTILE = "</td><script>alert(1)</script> | [x](javascript:1) <img src=x onerror=y>\u202e\n# head\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("dossier"))


def fields_of(world: World, parts: BundleParts | None = None, **asked: Any) -> Dossier:
    container = open_container(world.seal(parts) if parts else world.seal())
    policy = {"policy": asked.pop("policy")} if "policy" in asked else {}
    audit = verify(
        container, Auditor(trust=asked.pop("trust", world.trust), now=NOW, **policy, **asked)
    )
    return gather(Facts(Bundle.of(container), audit, lambda _: None))


def declaring(world: World, **changes: str) -> BundleParts:
    parts = world.parts.copy()
    parts.lock["dossier"] = {**DECLARED, **changes}
    return parts


def test_ids_are_unique_and_every_declaration_is_a_field() -> None:
    ids = [field.id for field in FIELDS]
    assert len(set(ids)) == len(ids)
    assert {field.id for field in FIELDS if field.declare} == set(DECLARED)


def test_a_field_rests_on_checks_that_are_asked_and_stands_at_points_that_are_there() -> None:
    known = {check.id for check in ALL_CHECKS}
    verdicts = {"delta_scope", "base_identity", "process", "scores"}
    points = {
        form.key: {point.number for _, part in form.parts for point in part}
        for form in FORMS.values()
    }
    for field in FIELDS:
        assert set(field.rests) <= known | verdicts, field.id
        assert field.shown, field.id
        for document, places in field.shown.items():
            assert places, field.id
            assert set(places) <= points.get(document, set(places)), (field.id, document)
    assert {number for control in CONTROLS for number in control.checks} <= known


def test_standing_follows_from_the_audit(world: World) -> None:
    fields = fields_of(world, declaring(world))
    for name, standing in (
        ("content_id", "recomputed"),
        ("trained_parameters", "recomputed"),
        ("accuracy", "recomputed"),
        ("train_captures", "recomputed"),
        ("kscore", "signed measurement"),
        ("latency", "signed measurement"),
        ("hyperparameters", "signed measurement"),
        ("base_root", "signed measurement"),
        ("name", "declared"),
        ("base_license", "declared"),
        ("provider", "declared"),
    ):
        assert fields.stated[name].standing == standing, name
    key = world.publisher.public.keyid[:16]
    assert fields.stated["kscore"].known == f"signed measurement by key {key} (publisher)"
    assert sum(fields.counts.values()) == len(fields.stated)
    left = {field.id for field in FIELDS} - {*fields.stated, *(f.id for f in fields.missing)}
    assert left == {"figures"}  # which this metric does not have


def test_what_does_not_apply_is_neither_stated_nor_missing(world: World) -> None:
    parts = world.parts.copy()
    parts.lock["base"]["license"] = ""
    fields = fields_of(world, parts)
    missing = {field.id for field in fields.missing}
    assert "figures" not in {*fields.stated, *missing}  # the metric has none
    assert "base_license" in missing


def test_a_base_that_was_compared_is_recomputed(world: World) -> None:
    from kolm.actions.measuring import measure

    fields = fields_of(world, base=world.parts.base, measure=measure)
    assert fields.stated["base_root"].standing == "recomputed"


STOLEN = Revocation(on="2026-01-15T00:00:00Z", reason="stolen")
OF_CLAIMS = (
    "built_on", "train_seconds", "compute", "tower_compute", "threshold", "kscore", "latency",
    "measured_on", "signers",
)  # fmt: skip


def _earlier(said: dict[str, dict[str, Any]]) -> None:
    """The three kinds of claims that fields are read from, with numbers of somebody else."""
    provenance = said[predicates.PROVENANCE]["runDetails"]
    provenance["metadata"] = {**provenance["metadata"], "startedOn": "2020-01-01T00:00:00Z",
                              "finishedOn": "2020-01-02T00:00:00Z"}  # fmt: skip
    provenance["byproducts"][0]["annotations"]["train_seconds"] = "1"
    said[predicates.COMPUTE]["flops"]["tower"] = "1"
    said[predicates.COMPUTE]["modifier_test"]["words"] = "nobody asks"
    said[predicates.KSCORE].update(composite="1", measured_on="2099-01-01T00:00:00Z")
    said[predicates.KSCORE]["inputs"]["p50_latency_us"] = 1
    for kind in said.keys() - {predicates.PROVENANCE, predicates.COMPUTE, predicates.KSCORE}:
        del said[kind]


@pytest.mark.parametrize(
    "trusted",
    [{"revoked": STOLEN}, {"roles": (KeyRole.VERIFIER,)}, None],
    ids=["revoked", "without the role", "a stranger"],
)
def test_what_does_not_count_is_in_no_field(world: World, trusted: dict[str, Any] | None) -> None:
    """Whoever holds the file adds claims; the audit passes them over, and so do the documents."""
    other = generate()
    keys = [trusting(world.publisher)]
    keys += [trusting(other, name="a-thief", **trusted)] if trusted is not None else []
    trust = TrustStore(tuple(keys))
    claims = [
        *world.parts.claims(other, change=_earlier),
        *world.parts.claims(world.publisher),
    ]
    container = open_container(world.seal(claims=claims))
    audit = verify(container, Auditor(trust, NOW))
    assert audit.conclusions.overall.verdict is Verdict.OK
    fields = gather(Facts(Bundle.of(container), audit, lambda _: None))
    honest = fields_of(world)
    for name in OF_CLAIMS:
        assert fields.stated[name].value == honest.stated[name].value, name
        assert fields.stated[name].by == honest.stated[name].by, name
    assert [signer["name"] for signer in as_document(fields)["signers"]] == ["publisher"]
    logged = eval_log(fields.facts)
    assert json.loads(logged)["eval"]["created"] == "2026-01-02T03:04:05+00:00"


def test_of_two_builders_the_one_stands_there_whose_word_is_shown(world: World) -> None:
    other = generate()
    trust = TrustStore((trusting(world.publisher), trusting(other, name="another-builder")))

    def only_provenance(said: dict[str, dict[str, Any]]) -> None:
        _earlier(said)
        del said[predicates.COMPUTE], said[predicates.KSCORE]

    claims = world.parts.claims(world.publisher) + world.parts.claims(other, change=only_provenance)
    container = open_container(world.seal(claims=claims))
    audit = verify(container, Auditor(trust, NOW))
    fields = gather(Facts(Bundle.of(container), audit, lambda _: None))
    assert fields.text("train_seconds") == "1"  # of the earliest
    (key,) = fields.stated["train_seconds"].by
    assert key.endswith("(another-builder)")
    assert fields.stated["tower_compute"].by[0].endswith("(publisher)")


def test_what_is_said_of_the_base_rests_on_the_base(world: World) -> None:
    """A family is a name in the lock, until the base is here."""
    from kolm.actions.measuring import measure

    fields, looked = fields_of(world), fields_of(world, base=world.parts.base, measure=measure)
    for name in ("family", "inputs", "modules", "base_parameters", "parameters_by_role"):
        assert fields.stated[name].standing == "signed measurement", name
        assert looked.stated[name].standing == "recomputed", name
    assert fields.stated["environment_class"].standing == "signed measurement"


def test_tokens_and_operations_are_counted_again_where_every_capture_was_encoded(
    world: World,
) -> None:
    """Segments that ran again read what they drew, and a draw of captures is not all of them."""
    from kolm.actions.measuring import measure

    drawn = rescoring(world.parts, cases=4)
    for rescore, due in ((drawn, "signed measurement"), (drawn._replace(cases=None), "recomputed")):
        fields = fields_of(world, base=world.parts.base, measure=measure, rescore=rescore)
        for name in ("data_tokens", "compute", "tower_compute"):
            assert fields.stated[name].standing == due, name
    replayed = next(field for field in FIELDS if field.id == "data_tokens")
    assert "process" not in replayed.rests


def test_withheld_scores_are_the_signers_word(world: World) -> None:
    parts = world.parts.copy()
    parts.withhold()
    fields = fields_of(world, parts)
    assert fields.stated["accuracy"].known.startswith("signed measurement by key ")
    assert "case_licences" not in fields


def test_a_drawn_replay_is_not_the_whole_training(world: World) -> None:
    """Some segments that ran again show themselves; only all of them show the settings."""
    audit = fields_of(world).facts.audit
    process = audit.conclusions.process._replace(
        verdict=Verdict.OK, evidence=Evidence.RECOMPUTED, by=()
    )
    conclusions = audit.conclusions._replace(process=process)

    def replayed(equal: tuple[int, ...]) -> str:
        replay = Replay(
            nonce=digest.of_bytes(b""), segments=4, steps=8, drawn=equal, equal=equal,
            differing=(), steps_equal=8, states="bundle", missed=(), not_covered=(),
        )  # fmt: skip
        standing, _ = standing_of(
            audit._replace(conclusions=conclusions, replay=replay), ("V08", "process")
        )
        return standing

    assert replayed((1, 3)) == "signed measurement"
    assert replayed((1, 2, 3, 4)) == "recomputed"


@pytest.mark.parametrize(
    "parts",
    [
        *({"method": {"kind": kind}, "projector": "frozen"} for kind in METHODS),
        *({"objective": {"kind": kind}} for kind in OBJECTIVES),
    ],
    ids=[*METHODS, *OBJECTIVES],
)
def test_every_method_and_objective_has_a_dossier(tmp_path: Path, parts: dict[str, Any]) -> None:
    fields = fields_of(World.make(tmp_path, **parts))
    kind = next(iter(parts.values()))["kind"]
    told = fields.text("method" if "method" in parts else "objective")
    assert kind.replace("_", "-") in told.replace("_", "-").lower()
    bill = write_all(fields)["bom.cdx.json"].decode()
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(bill) is None


def test_a_base_of_text_alone_has_no_blind_run_and_none_is_missing(tmp_path: Path) -> None:
    fields = fields_of(make_text_world(tmp_path))
    assert fields.text("inputs") == "text"
    assert "blind_accuracy" not in {*fields.stated, *(f.id for f in fields.missing)}
    found = read_spdx(write_all(fields)["bom.spdx.json"], tmp_path)
    kinds = [part.dataset_datasetType for part in found.foreach_type(spdx.dataset_DatasetPackage)]
    assert all(len(kind) == 1 for kind in kinds)


def test_both_answers_of_a_pair_count_as_read(tmp_path: Path) -> None:
    world = World.make(tmp_path, objective={"kind": "dpo"})
    rows = [row for row in world.parts.examples if row["side"] == "train"]
    pairs = sum(row["tokens"] + row["rejected"]["tokens"] for row in rows if "tokens" in row)
    assert fields_of(world).text("data_tokens") == str(pairs)


def test_what_no_trusted_builder_dates_has_no_dossier(world: World) -> None:
    fields = fields_of(world)
    fields.facts.audit = fields.facts.audit._replace(signers=())
    with pytest.raises(Unreadable) as caught:
        write_all(gather(Facts(fields.facts.bundle, fields.facts.audit, lambda _: None)))
    assert caught.value.code == "E_DOSSIER_NO_TIME"


@pytest.mark.parametrize("declared", [False, True])
def test_the_bill_of_materials_fits_the_schema_of_cyclonedx(world: World, declared: bool) -> None:
    fields = fields_of(world, declaring(world) if declared else None)
    text = write_all(fields)["bom.cdx.json"].decode()
    problem = JsonStrictValidator(SchemaVersion.V1_7).validate_str(text)
    assert problem is None, problem
    bill = json.loads(text)
    model = bill["metadata"]["component"]
    assert model["version"] == fields.text("content_id")
    assert model["hashes"][0]["content"] == fields.text("weights").removeprefix("sha256:")
    said = {pair["name"]: pair["value"] for pair in model["properties"]}
    for name, stated in fields.stated.items():
        assert said[f"kolm:{name}"] == stated.text
        assert said[f"kolm:{name}:known"] == stated.known
    references = {part["bom-ref"] for part in bill["components"]}
    assert set(bill["dependencies"][0]["dependsOn"]) == references
    if declared:
        assert model["licenses"] == [{"expression": "MIT"}]
        assert model["supplier"]["name"] == DECLARED["provider"]
        spent = model["modelCard"]["considerations"]["environmentalConsiderations"]
        assert spent["energyConsumptions"][0]["activityEnergyCost"]["value"] == 3.5


def test_a_bill_with_a_key_that_the_standard_does_not_have_is_refused(world: World) -> None:
    """The validator that the tests rely on says no as well."""
    bill = json.loads(write_all(fields_of(world))["bom.cdx.json"])
    bill["metadata"]["component"]["modelCard"]["surprise"] = 1
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(json.dumps(bill)) is not None


def read_spdx(data: bytes, tmp_path: Path) -> Any:
    path = tmp_path / "bom.spdx.json"
    path.write_bytes(data)
    found = spdx.SHACLObjectSet()
    with path.open("rb") as stream:
        spdx.JSONLDDeserializer().read(stream, found)
    return found


@pytest.mark.parametrize("declared", [False, True])
def test_the_spdx_document_is_read_and_written_by_its_own_model(
    world: World, declared: bool, tmp_path: Path
) -> None:
    fields = fields_of(world, declaring(world) if declared else None)
    found = read_spdx(write_all(fields)["bom.spdx.json"], tmp_path)
    assert not found.missing_ids
    with (tmp_path / "again.json").open("wb") as stream:  # writing checks what must be there
        spdx.JSONLDSerializer().write(found, stream)
    packages = {part.name: part for part in found.foreach_type(spdx.ai_AIPackage)}
    model = packages[fields.text("name")]
    assert model.software_packageVersion == fields.text("content_id")
    assert model.verifiedUsing[0].hashValue == fields.text("weights").removeprefix("sha256:")
    metrics = {entry.key: entry.value for entry in model.ai_metric}
    assert metrics["Accuracy"] == fields.text("accuracy")
    sizes = {part.dataset_datasetSize for part in found.foreach_type(spdx.dataset_DatasetPackage)}
    assert sizes == {int(fields.text("train_captures")), int(fields.text("eval_captures"))}
    if declared:
        (energy,) = model.ai_energyConsumption.ai_finetuningEnergyConsumption
        assert energy.ai_energyQuantity == 3.5


def test_an_spdx_document_without_what_must_be_there_is_refused(
    world: World, tmp_path: Path
) -> None:
    document = json.loads(write_all(fields_of(world))["bom.spdx.json"])
    dataset = next(p for p in document["@graph"] if p["type"] == "dataset_DatasetPackage")
    dataset["dataset_datasetType"] = ["poetry"]
    with pytest.raises(ValueError, match="poetry"):
        read_spdx(json.dumps(document).encode(), tmp_path)


def test_the_spdx_document_has_the_minimum_elements_of_the_ntia(
    world: World, tmp_path: Path
) -> None:
    checker = pytest.importorskip("ntia_conformance_checker")
    path = tmp_path / "bom.spdx.json"
    path.write_bytes(write_all(fields_of(world))["bom.spdx.json"])
    found = checker.SbomChecker(str(path), compliance="ntia", sbom_spec="spdx3")
    assert found.compliant


def test_croissant_names_the_files_of_the_bundle(world: World) -> None:
    fields = fields_of(world, declaring(world))
    croissant = json.loads(write_all(fields)["croissant.json"])
    for part in croissant["distribution"]:
        data = bytes(fields.facts.bundle.member(part["@id"]))
        assert f"sha256:{part['sha256']}" == digest.of_bytes(data)
        assert part["contentSize"] == f"{len(data)} B"
    assert croissant["license"] == "CC-BY-4.0"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of rdflib
def test_croissant_is_read_by_its_own_library(world: World, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    fields = fields_of(world, declaring(world))
    fields.facts.bundle.unpack(tmp_path / "bundle")
    path = tmp_path / "bundle" / "croissant.json"
    path.write_bytes(write_all(fields)["croissant.json"])
    dataset = mlcroissant.Dataset(path)
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    assert len([*dataset.records("lines")]) == int(fields.text("captures"))


def test_every_point_is_answered_once_everything_is_declared(world: World) -> None:
    from kolm.dossier.forms import unanswered

    fields = fields_of(world, declaring(world))
    left = {
        f"{form.key} {point.number}"
        for form in FORMS.values()
        for point in unanswered(form, fields)
    }
    assert left == {"g7 SP.4"}  # what is known of weaknesses is not for a file to say


def test_what_nobody_stated_is_listed_with_what_to_add(world: World) -> None:
    files = write_all(fields_of(world))
    overview = files["dossier.md"].decode()
    for name in DECLARED:
        assert f"write `dossier.{name}` into the spec" in overview
    assert "Tasks" not in overview
    annex = files["eu-annex-xi.md"].decode()
    assert "| 1(b) | policies of acceptable use | Acceptable use: **not stated** |" in annex
    full = write_all(fields_of(world, declaring(world)))
    assert "not stated**" not in full["eu-annex-xi.md"].decode()
    assert "Acceptable use: text of acceptable_use | declared |" in full["eu-annex-xi.md"].decode()


def test_the_json_fits_its_schema_and_counts_what_it_lists(world: World) -> None:
    document = as_document(fields_of(world, declaring(world)))
    schema.check(schema.DocumentKind("dossier"), document, where="dossier.json")
    assert sum(document["counts"].values()) == len(document["fields"]) + len(document["not_stated"])


def test_the_model_card_is_the_one_of_the_bundle(world: World) -> None:
    fields = fields_of(world, declaring(world))
    assert write_all(fields)["README.md"] == bytes(fields.facts.bundle.member("README.md"))


def test_each_control_is_told_with_what_its_checks_answered(world: World) -> None:
    table = write_all(fields_of(world))["owasp-aisvs.md"].decode()
    assert "| 3.1.2 | 2 | every artifact of a model is signed | V03 holds, V11 holds" in table
    assert "V41 not looked at" in table
    assert "V67 nothing demanded" in table
    demanding = BUILT_IN._replace(dossier=("provider",))
    table = write_all(fields_of(world, declaring(world), policy=demanding))["owasp-aisvs.md"]
    assert b"V67 holds" in table


def test_the_same_bundle_gives_the_same_bytes_at_any_time(world: World, tmp_path: Path) -> None:
    path = world.seal(declaring(world))
    first, second = (
        write_all(
            gather(
                Facts(
                    Bundle.of(open_container(path)),
                    verify(path, Auditor(world.trust, NOW.replace(year=year))),
                    lambda _: None,
                )
            )
        )
        for year in (2026, 2031)
    )
    assert first == second
    assert b"2031" not in b"".join(second.values())


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)


def markdown(files: dict[str, bytes]) -> Iterator[tuple[str, str]]:
    for name, data in files.items():
        if name.endswith(".md"):
            yield name, data.decode("utf-8")


def test_a_hostile_text_is_shown_and_does_nothing(world: World) -> None:
    formed = {"license", "data_license", "release_date", "energy", "base_compute"}
    changes = {name: HOSTILE for name in DECLARED if name not in formed}
    files = write_all(fields_of(world, declaring(world, **changes)))
    for name, text in markdown(files):
        assert Tags(text).found == [], name
        assert "\u202e" not in text, name
        assert "\n# head" not in text, name
        assert "](javascript" not in text.replace("\\](javascript", ""), name
    for line in files["eu-annex-xi.md"].decode().splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") == 5, line
    assert (
        JsonStrictValidator(SchemaVersion.V1_7).validate_str(files["bom.cdx.json"].decode()) is None
    )


@given(st.text(min_size=1, max_size=200))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_stays_in_its_cell(world: World, text: str) -> None:
    fields = fields_of(world)
    stated = fields.stated["name"]
    fields.stated["provider"] = stated._replace(
        field=next(field for field in FIELDS if field.id == "provider"), value=text
    )
    for name, written in markdown(write_all(fields)):
        if name == "README.md":
            continue
        assert Tags(written).found == [], name
        for line in written.splitlines():
            if line.startswith("| 1.1 "):
                assert line.replace("\\\\", "").replace("\\|", "").count("|") == 5, line

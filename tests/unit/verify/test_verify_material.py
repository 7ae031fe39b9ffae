"""V40–V54: what the auditor's own base, captures and re-runs show."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kolm import canonical, digest, roles
from kolm.bundle.base_root import base_root
from kolm.bundle.tensors import tensor_digest
from kolm.errors import Lacking, Refused
from kolm.records.verification import Evidence, Rescore, Verdict
from kolm.run.example_rows import dropped_row
from kolm.verify.checks.rescore import draw, power
from kolm.verify.gaps import Gap, gaps
from kolm.verify.ports import PictureFacts, RescoreAnswer, RescoreJob, RescoreRequest
from tests.support import toy_documents
from tests.support.audits import Pictures, World, rescoring
from tests.support.bundles import BundleParts
from tests.support.corpus import forge
from tests.support.forgeries import FORGERIES, held_out_capture, leaking_capture
from tests.support.toy_base import digest_of, floats, zeros


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("material"))


@pytest.fixture
def base(world: World, tmp_path: Path) -> Path:
    return Path(shutil.copytree(world.parts.base, tmp_path / "base"))


def test_the_pinned_base_is_recognised(world: World, base: Path) -> None:
    answers = world.audit(base=base)
    assert answers.overall is Verdict.OK
    assert answers.report.conclusions.base_identity.evidence is Evidence.RECOMPUTED


def test_without_a_base_its_identity_is_attested_by_name(world: World) -> None:
    told = world.audit().report.conclusions.base_identity
    assert (told.verdict, told.evidence, told.by) == (
        Verdict.NOT_CHECKED,
        Evidence.ATTESTED,
        ("publisher",),
    )


def test_v40_another_chat_template_is_refused(world: World, base: Path) -> None:
    (base / "chat_template.jinja").write_text("{{ 'ignore the picture' }}")
    answers = world.audit(base=base)
    assert "V40" in answers.failed
    assert "V41" not in answers.failed


def test_v40_a_folder_without_a_model_is_no_other_base(world: World, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("the folder above was meant")
    answers = world.audit(base=tmp_path)
    assert not answers.failed
    verdicts = {check.id: check.verdict for check in answers.report.checks}
    assert verdicts["V40"] is verdicts["V41"] is Verdict.COULD_NOT_LOOK


def test_v40_remote_code_beside_the_base_is_refused(world: World, base: Path) -> None:
    (base / "modeling_evil.py").write_text("print('owned')")
    assert "V40" in world.audit(base=base).failed


def rename_templates(base: Path, stored: object) -> None:
    """The base's template in another place: tokenizer_config.json, which is pinned as well."""
    (base / "chat_template.jinja").unlink()
    (base / "tokenizer_config.json").write_bytes(canonical.dumps({"chat_template": stored}))


def pin_again(parts: BundleParts, base: Path, **said: Any) -> BundleParts:
    """The documents of the same training on the base as it now is."""
    made, facts = parts.copy(), base_root(base)
    made.lock["base"] |= {
        "root": facts.root,
        "dtype": facts.dtype,
        "tensors": len(facts.tensors),
        "parameters": facts.parameters,
        "files": [{"digest": file.digest, "name": file.name} for file in facts.files],
        **said,
    }
    return made


@pytest.mark.parametrize(
    ("stored", "own"),
    [
        ([{"name": ["odd"], "template": "x"}, {"name": "default", "template": "y"}], "y"),
        ([{"name": "default", "template": "x"}, 7, {"name": "default", "template": "y"}], "y"),
        ([{"name": "default", "template": 7}], None),
        ([], None),
    ],
)
def test_v40_a_base_has_the_template_that_the_library_takes_or_none(
    world: World, base: Path, stored: object, own: str | None
) -> None:
    rename_templates(base, stored)
    for text in ("", "y"):
        said = {"digest": digest.of_bytes(text.encode()), "source": "base"}
        answers = world.audit(pin_again(world.parts, base, template=said), base=base)
        assert answers.failed == (set() if text == own else {"V40"})


def change_a_tensor(base: Path) -> None:
    shard = min(base.glob("*.safetensors"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)


def test_v41_another_base_is_refused(world: World, base: Path) -> None:
    change_a_tensor(base)
    answers = world.audit(base=base)
    assert "V41" in answers.failed
    assert {"V42", "V43"} <= answers.skipped
    assert answers.report.conclusions.base_identity.verdict is Verdict.FAILED


def test_v41_a_missing_base_could_not_be_looked_at(world: World, tmp_path: Path) -> None:
    answers = world.audit(base=tmp_path / "missing")
    assert {"V40", "V41"} <= answers.blind


def test_v42_a_frozen_module_hidden_from_list_and_counts_is_refused(
    world: World, base: Path
) -> None:
    forged = world.parts.copy()
    hidden = next(r for r in forged.modules if r["module"] == "model.visual.blocks.0.attn.qkv")
    forged.modules.remove(hidden)
    forged.lock["base"]["tensors"] -= len(hidden["parameters"])
    forged.lock["base"]["parameters"] -= sum(p["elements"] for p in hidden["parameters"])
    assert world.audit(forged).overall is Verdict.OK
    assert world.audit(forged, base=base).overall is Verdict.FAILED


def test_v42_a_listed_digest_that_is_not_the_bases_is_refused(world: World, base: Path) -> None:
    forged = world.parts.copy()
    frozen = next(r for r in forged.modules if r["module"] == "model.visual.blocks.0.attn.qkv")
    parameter = frozen["parameters"][0]
    parameter["before"] = parameter["after"] = digest.of_bytes(b"another tensor")
    assert world.audit(forged, base=base).failed == {"V42"}


@pytest.mark.parametrize("dtype", ["F64", "F16", "I8"])
def test_v42_a_dtype_that_hides_the_digest_is_refused(world: World, base: Path, dtype: str) -> None:
    forged = world.parts.copy()
    frozen = next(r for r in forged.modules if r["module"] == "model.visual.blocks.0.attn.qkv")
    parameter = frozen["parameters"][0]
    parameter["dtype"] = dtype
    parameter["before"] = parameter["after"] = digest.of_bytes(b"another tensor")
    assert world.audit(forged, base=base).failed == {"V42"}


def test_v42_and_v43_are_not_asked_of_a_family_that_nobody_knows(world: World, base: Path) -> None:
    forged = world.parts.copy()
    forged.lock["base"]["family"] = "vlm_of_tomorrow"
    answers = world.audit(forged, base=base)
    assert "V41" not in answers.failed
    assert {"V42", "V43"} <= answers.skipped


def test_v42_axes_that_a_tensor_does_not_have_are_not_swapped(
    world: World, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever makes the base says of how many axes its experts are."""
    table = roles.FAMILIES["qwen2_5_vl"]._replace(swapped=(r".+\.norm1\.weight",))
    monkeypatch.setattr("kolm.roles.qwen2_5_vl.FAMILY", table)
    assert world.audit(base=base).overall is Verdict.OK
    forged = world.parts.copy()
    row = next(r for r in forged.modules if r["module"].endswith("norm1"))
    row["parameters"][0]["shape"] = [4, 2]
    assert world.audit(forged, base=base).failed == {"V42"}


@pytest.mark.parametrize("shape", [[], [0, 8], [3, 8]])
def test_v42_parts_that_make_no_such_parameter_are_refused(
    world: World, base: Path, shape: list[int]
) -> None:
    forged = world.parts.copy()
    row = next(r for r in forged.modules if r["module"] == "model.visual.blocks.0.attn.qkv")
    [weight] = (p for p in row["parameters"] if p["name"] == "weight")
    weight["shape"] = shape
    weight["checkpoint"] *= 2
    assert {"V21", "V42"} <= world.audit(forged, base=base).failed


def test_v41_another_dtype_than_the_bases_is_refused(world: World, base: Path) -> None:
    forged = world.parts.copy()
    forged.lock["base"]["dtype"] = "float16"
    assert world.audit(forged, base=base).failed == {"V41"}


@pytest.mark.parametrize("shape", [(16,), ()])
def test_v43_a_factor_of_another_rank_is_refused(
    world: World, base: Path, shape: tuple[int, ...]
) -> None:
    forged = world.parts.copy()
    module = "model.language_model.layers.0.self_attn.q_proj"
    forged.tensors[f"base_model.model.{module}.lora_A.weight"] = floats("flat", shape)
    forged.retouch()
    assert {"V23", "V43"} <= world.audit(forged, base=base).failed


def edit_checkpoint(**changes: list[str]) -> Any:
    def change(parts: BundleParts) -> None:
        module = next(r for r in parts.modules if r["module"] == "model.visual.blocks.0.attn.qkv")
        for parameter in module["parameters"]:
            if parameter["name"] in changes:
                parameter["checkpoint"] = changes[parameter["name"]]

    return change


@pytest.mark.parametrize(
    "change",
    [
        edit_checkpoint(weight=["no.such.tensor"]),
        edit_checkpoint(weight=["visual.blocks.0.attn.qkv.bias"]),
        edit_checkpoint(bias=["visual.blocks.0.attn.qkv.bias", "visual.blocks.0.attn.qkv.weight"]),
    ],
)
def test_v42_keys_that_are_not_the_checkpoints_are_refused(
    world: World, base: Path, change: Any
) -> None:
    forged = world.parts.copy()
    change(forged)
    assert "V42" in world.audit(forged, base=base).failed


def test_v42_a_listed_shape_that_is_not_the_bases_is_refused(world: World, base: Path) -> None:
    forged = world.parts.copy()
    frozen = next(r for r in forged.modules if r["module"] == "model.visual.blocks.0.attn.qkv")
    weight = next(p for p in frozen["parameters"] if p["name"] == "weight")
    weight["shape"] = weight["shape"][::-1]
    assert "V42" in world.audit(forged, base=base).failed


def test_v43_a_config_of_another_family_is_refused(world: World, base: Path) -> None:
    config = canonical.loads((base / "config.json").read_bytes(), where="config", floats=True)
    (base / "config.json").write_bytes(canonical.dumps({**config, "model_type": "llava"}))
    assert {"V40", "V43"} <= world.audit(base=base).failed


def test_v43_an_adapter_that_does_not_fit_the_base_is_refused(world: World, base: Path) -> None:
    forged = world.parts.copy()
    module = "model.language_model.layers.0.self_attn.q_proj"
    row = next(row for row in forged.modules if row["module"] == module)
    weight = next(p for p in row["parameters"] if p["name"] == "weight")
    weight["shape"] = [weight["shape"][0] * 2, weight["shape"][1] // 2]
    for part, shape in (("lora_A", (2, 4)), ("lora_B", (16, 2))):
        forged.tensors[f"base_model.model.{module}.{part}.weight"] = floats(part, shape)
    fresh = next(part for part in row["adapter"] if "lora_B" in part["tensor"])
    fresh["before"] = digest_of(zeros((16, 2)))
    forged.retouch()
    fresh = next(part for part in row["adapter"] if ".lora_B." in part["tensor"])
    fresh["before"] = tensor_digest("F32", (16, 2), bytes(16 * 2 * 4))  # a forger starts it at zero
    assert world.audit(forged).overall is Verdict.OK
    assert {"V42", "V43"} <= world.audit(forged, base=base).failed


def test_v46_edited_outputs_are_found_by_running_again(world: World, base: Path) -> None:
    forged = world.parts.copy()
    for row in forged.predictions:
        row["base"]["output"] = "nothing"
    forged.rescore()
    assert world.audit(forged).overall is Verdict.OK
    request = rescoring(world.parts)
    answers = world.audit(forged, base=base, rescore=request)
    assert answers.failed == {"V46"}
    cases = len(forged.predictions)
    assert answers.report.rescore == Rescore(cases, request.cases, True, request.cases, 0)
    assert not answers.report.rescore.reproduced


def test_v46_honest_outputs_are_repeated(world: World, base: Path) -> None:
    answers = world.audit(base=base, rescore=rescoring(world.parts))
    assert answers.overall is Verdict.OK


ELSEWHERE = digest.of_bytes(b"another machine")


def answering(world: World, run: str, wrong: int, *, cases: int) -> RescoreRequest:
    """A re-run on another machine, where the first `wrong` drawn cases are answered otherwise."""
    honest = rescoring(world.parts, cases=cases, environment=ELSEWHERE)

    def again(job: RescoreJob) -> RescoreAnswer:
        answer = honest.run(job)
        turned = set(job.cases[:wrong])
        rows = [
            {**row, "output": "garbage"} if row["run"] == run and row["case"] in turned else row
            for row in answer.rows
        ]
        return answer._replace(rows=rows)

    return honest._replace(run=again)


@pytest.mark.parametrize(
    ("cases", "wrong", "verdict"),
    [
        (50, 50, Verdict.FAILED),
        (20, 20, Verdict.FAILED),
        (50, 10, Verdict.FAILED),
        (3, 3, Verdict.FAILED),
        (50, 7, Verdict.COULD_NOT_LOOK),
        (1, 1, Verdict.COULD_NOT_LOOK),
        (50, 2, Verdict.OK),
        (50, 0, Verdict.OK),
    ],
)
def test_v46_garbage_is_refused_on_any_machine(
    world: World, base: Path, cases: int, wrong: int, verdict: Verdict
) -> None:
    """Only bits need the bundle's own environment class; the metric judges everywhere."""
    request = answering(world, "adapter", wrong, cases=cases)
    answers = world.audit(base=base, rescore=request)
    assert answers["V46"].verdict is verdict
    assert answers.overall is verdict
    told = Rescore(len(world.parts.predictions), cases, False, differing=wrong, pairs=0)
    assert answers.report.rescore == told


def test_v46_answers_that_were_not_drawn_are_no_part_of_what_was_shown(
    world: World, base: Path
) -> None:
    cases = len(world.parts.predictions)
    for drawn in (3, cases):
        report = world.audit(base=base, rescore=rescoring(world.parts, cases=drawn)).report
        left = Gap(f"{cases - drawn} of {cases} answers, which were not drawn", "--rescore all")
        assert (left in gaps(report)) == (drawn < cases)


def test_v46_a_base_that_was_made_to_look_bad_is_refused_on_any_machine(
    world: World, base: Path
) -> None:
    forged = world.parts.copy()
    for row in forged.predictions:
        row["base"]["output"] = "nonsense"
    forged.rescore()
    elsewhere = rescoring(world.parts, cases=40, environment=ELSEWHERE)
    answers = world.audit(forged, base=base, rescore=elsewhere)
    assert answers.failed == {"V46"}
    assert "in the base run" in answers["V46"].detail


def test_v46_other_words_with_the_same_score_are_no_difference_elsewhere(
    world: World, base: Path
) -> None:
    """The blind answers are wrong in both, in other words."""
    elsewhere = answering(world, "blind", 50, cases=50)
    assert world.audit(base=base, rescore=elsewhere).overall is Verdict.OK


def test_v46_bounds_the_true_accuracy_from_below(world: World, base: Path) -> None:
    for request in (
        rescoring(world.parts, cases=50),
        answering(world, "adapter", 0, cases=50),
    ):
        told = world.audit(base=base, rescore=request)["V46"].detail
        assert "50 right here, so the true accuracy is at least 0.941844" in told


@pytest.fixture
def paired(tmp_path: Path) -> World:
    """A bundle that learned from pairs."""
    return World.make(tmp_path / "pairs", objective={"kind": "dpo"})


def moved(world: World, by: str, of: int, *, cases: int, environment: str | None) -> RescoreRequest:
    """A re-run that finds the base's chosen answer less likely by so much, in the first cases."""
    honest = rescoring(world.parts, cases=cases, environment=environment)

    def again(job: RescoreJob) -> RescoreAnswer:
        answer = honest.run(job)
        found = copy.deepcopy(dict(answer.preferences))
        for case in [case for case in job.cases if case in found][:of]:
            stated = found[case]["base"]
            stated["chosen"] = canonical.decimal(Decimal(stated["chosen"]) - Decimal(by))
        return answer._replace(preferences=found)

    return honest._replace(run=again)


@pytest.mark.parametrize(
    ("environment", "by", "of", "verdict"),
    [
        (None, "0", 0, Verdict.OK),
        (None, "0.000001", 1, Verdict.FAILED),
        (ELSEWHERE, "0.000001", 100, Verdict.OK),
        (ELSEWHERE, "9", 1, Verdict.OK),
        (ELSEWHERE, "9", 4, Verdict.COULD_NOT_LOOK),
        (ELSEWHERE, "9", 100, Verdict.FAILED),
    ],
)
def test_v46_likelihoods_are_measured_again(
    paired: World, environment: str | None, by: str, of: int, verdict: Verdict
) -> None:
    """Bits in the bundle's own class; elsewhere nearly the same numbers in nearly all cases."""
    request = moved(paired, by, of, cases=50, environment=environment)
    answers = paired.audit(base=paired.parts.base, rescore=request)
    found, again = answers["V46"], answers.report.rescore
    assert found.verdict is verdict
    count = sum("rejected" in case for case in paired.parts.cases)
    differing = min(of, count) if environment is None or by == "9" else 0
    assert again == Rescore(50, 50, environment is None, differing, pairs=count)
    assert again.reproduced == (environment is None and not of)
    if verdict is Verdict.FAILED:
        assert {finding.rule for finding in found.findings} == {"P8"}
    elif verdict is Verdict.OK:
        assert f"both log-probabilities of {count} of them" in found.detail
        assert "with probability" in found.detail  # nothing is cut off


def test_v46_likelihoods_that_were_not_measured_could_not_be_looked_at(paired: World) -> None:
    honest = rescoring(paired.parts, cases=50)
    request = honest._replace(run=lambda job: honest.run(job)._replace(preferences={}))
    assert paired.audit(base=paired.parts.base, rescore=request).blind == {"V46"}


@pytest.mark.parametrize(("precision", "verdict"), [("float32", "failed"), ("bfloat16", "ok")])
def test_v46_half_precision_rounds_more(paired: World, precision: str, verdict: str) -> None:
    paired.parts.lock["train"]["precision"] = precision
    request = moved(paired, "0.05", 50, cases=50, environment=ELSEWHERE)
    assert paired.audit(base=paired.parts.base, rescore=request)["V46"].verdict == verdict


def test_v46_withheld_cases_are_run_from_the_capture_store(world: World, base: Path) -> None:
    closed = world.parts.copy()
    closed.withhold()
    request = rescoring(closed)
    assert "V46" in world.audit(closed, base=base, rescore=request).skipped
    given: list[bytes] = []

    def run(job: RescoreJob) -> RescoreAnswer:
        given.append(job.cases_file)
        return request.run(job)

    store = Pictures.of(closed, captures_of(world))
    asked = request._replace(run=run)
    assert world.audit(closed, base=base, captures=store, rescore=asked)["V46"].verdict == "ok"
    assert given == [canonical.dump_lines(closed.cases)]


def test_v46_with_another_base_shows_nothing(world: World, base: Path) -> None:
    change_a_tensor(base)
    assert "V46" in world.audit(base=base, rescore=rescoring(world.parts)).skipped


def test_v46_without_the_train_extra_could_not_look(world: World, base: Path) -> None:
    def run(job: RescoreJob) -> None:
        raise Lacking("E_EXTRA_MISSING", "torch is not installed")

    request = rescoring(world.parts)._replace(run=run, recount=run)  # type: ignore[arg-type]
    assert world.audit(base=base, rescore=request).blind == {"V46", "V55"}


def test_the_draw_depends_on_the_randomness_alone() -> None:
    first = draw(50, 3, digest.of_bytes(b"a"))
    assert first == draw(50, 3, digest.of_bytes(b"a"))
    assert len({tuple(draw(50, 3, digest.of_bytes(bytes([n])))) for n in range(20)}) > 5
    assert draw(50, 100, digest.of_bytes(b"a")) == list(range(50))
    assert draw(50, None, digest.of_bytes(b"a")) == list(range(50))


@pytest.mark.parametrize(("total", "drawn", "said"), [(10, 1, "0.1"), (10, 10, "1"), (1, 1, "1")])
def test_the_power_of_a_draw_is_stated(total: int, drawn: int, said: str) -> None:
    assert power(total, drawn).endswith(f"probability {said}")


def captures_of(world: World) -> list[bytes]:
    return [canonical.dumps(case) for case in world.parts.cases]


def test_v47_a_leaf_that_the_store_does_not_hold_could_not_be_looked_at(world: World) -> None:
    answers = world.audit(captures=Pictures.of(world.parts, captures_of(world)))
    assert "V47" in answers.blind  # the store holds the eval captures only
    assert {"V48", "V49"} & answers.failed == set()


def whole_store(world: World, *more: dict[str, Any]) -> Pictures:
    """Every capture of the toy, and more."""
    made = [capture for capture, _ in toy_documents.make_captures(len(world.parts.cases), 5)]
    return Pictures.of(world.parts, [canonical.dumps(capture) for capture in (*made, *more)])


def test_v47_holds_where_every_line_is_its_captures(world: World) -> None:
    answers = world.audit(captures=whole_store(world))
    assert answers.overall is Verdict.OK
    assert answers["V47"].verdict is Verdict.OK


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("a training capture that shows an eval picture, its line naming another one's",
         leaking_capture),
        ("captures trained on that their makers held out, under an official split",
         held_out_capture),
    ],
)  # fmt: skip
def test_v47_a_line_that_is_not_its_captures_is_refused(
    world: World, name: str, hidden: Callable[[BundleParts], dict[str, Any]]
) -> None:
    forgery = next(forgery for forgery in FORGERIES if forgery.name == name)
    path = forge(world, forgery, "signer")
    assert world.look(path).overall is Verdict.OK
    answers = world.look(path, captures=whole_store(world, hidden(world.parts)))
    assert answers.failed == {"V47"}


@pytest.mark.parametrize(
    ("validation", "side", "stated", "holds"),
    [
        ("0", "validation", "validation", True),
        ("0", "validation", "train", False),
        ("0.1", "validation", "train", True),
        ("0.1", "train", "validation", False),
        ("0", "train", None, False),
    ],
)
def test_v47_an_official_side_is_the_one_that_the_capture_states(
    world: World, validation: str, side: str, stated: str | None, holds: bool
) -> None:
    parts = world.parts.copy()
    capture = toy_documents.make_capture(len(parts.cases), "train")
    line = next(r for r in parts.snapshot_rows if r["capture"] == digest.of_value(capture))
    capture["split"], line["split"] = stated, side
    line["capture"] = digest.of_value(capture)
    parts.snapshot_rows.sort(key=lambda row: row["capture"])
    parts.snapshot["splits"] = toy_documents.make_snapshot(parts.snapshot_rows)["splits"]
    parts.snapshot["rule"]["validation"] = validation
    answers = world.audit(parts, captures=whole_store(world, capture))
    told = [f.rule for f in answers["V47"].findings if f.where and line["capture"] in f.where]
    assert told == ([] if holds else ["S8"])


def test_v47_a_leaf_that_is_no_capture_is_refused(world: World) -> None:
    parts = world.parts.copy()
    odd = {"images": []}
    line = next(row for row in parts.snapshot_rows if row["split"] == "train")
    line["capture"] = digest.of_value(odd)
    parts.snapshot_rows.sort(key=lambda row: row["capture"])
    assert "V47" in world.audit(parts, captures=whole_store(world, odd)).failed


def test_v48_invented_pixel_digests_are_refused(world: World) -> None:
    store = Pictures.of(world.parts, captures_of(world))
    file = world.parts.snapshot_rows[0]["images"][0]["file"]
    store._pictures[file] = PictureFacts(file=file, pixels=digest.of_bytes(b"others"))
    assert "V48" in world.audit(captures=store).failed


def test_v48_a_picture_that_is_not_there_could_not_be_looked_at(world: World) -> None:
    answers = world.audit(captures=Pictures(captures_of(world), {}))
    assert "V48" in answers.blind


def test_v48_a_picture_that_cannot_be_decoded_is_refused(world: World) -> None:
    class Broken(Pictures):
        def picture(self, file: str) -> PictureFacts | None:
            raise Refused("E_IMAGE", "not a picture", where=file)

    store = Pictures.of(world.parts, captures_of(world))
    store.__class__ = Broken
    assert "V48" in world.audit(captures=store).failed


def test_v49_with_an_unknown_method_could_not_look(world: World) -> None:
    store = Pictures.of(world.parts, captures_of(world))
    store.near_duplicate_method = "another"
    assert "V49" in world.audit(captures=store).blind


def test_v46_a_case_that_was_not_run_again_could_not_be_looked_at(world: World, base: Path) -> None:
    request = rescoring(world.parts)
    silent = request._replace(
        run=lambda job: RescoreAnswer(
            environment_class=world.parts.lock["environment"]["class"], rows=[], preferences={}
        ),
        recount=lambda job: {"rows": {}, "pictures": {}},
    )
    assert world.audit(base=base, rescore=silent).blind == {"V46", "V55"}


def test_v46_an_adapter_that_does_not_load_is_refused(world: World, base: Path) -> None:
    def run(job: RescoreJob) -> RescoreAnswer:
        raise Refused("E_ADAPTER_KEYS", "a tensor has no place")

    request = rescoring(world.parts)._replace(run=run)
    assert world.audit(base=base, rescore=request).failed == {"V46"}


def test_v49_a_dropped_capture_has_a_near_twin_in_eval(world: World) -> None:
    parts = world.parts.copy()
    row = next(row for row in parts.snapshot_rows if row["split"] == "validation")
    row["split"] = "none"
    parts.snapshot["splits"] = toy_documents.make_snapshot(parts.snapshot_rows)["splits"]
    parts.snapshot["near_duplicates"].update(dropped=1, policy="drop")

    class Twins(Pictures):
        def near_twins(self, left: Sequence[str], right: Sequence[str]) -> frozenset[str]:
            return frozenset(left) & shown

    shown = {image["file"] for image in row["images"]}
    store = Twins.of(parts, captures_of(world))
    assert "V49" not in world.audit(parts, captures=store).failed
    shown.clear()
    assert "V49" in world.audit(parts, captures=store).failed


def test_v49_an_edited_statistic_is_refused(world: World) -> None:
    store = Pictures.of(world.parts, captures_of(world), near=2)
    assert "V49" in world.audit(captures=store).failed


@pytest.mark.parametrize("number", ["V44", "V45", "V50", "V51", "V52", "V53", "V54"])
def test_what_this_version_does_not_do_is_said(world: World, number: str) -> None:
    assert number in world.audit().skipped


def test_process_is_attested_and_never_more(world: World, base: Path) -> None:
    told = world.audit(base=base).report.conclusions.process
    assert (told.verdict, told.evidence) == (Verdict.NOT_CHECKED, Evidence.ATTESTED)


def test_v46_cases_that_are_not_in_the_file_cannot_be_run_again(world: World, base: Path) -> None:
    forged = world.parts.copy()
    forged.overrides["evalcases.jsonl"] = canonical.dump_lines(forged.cases[1:])
    request = rescoring(world.parts, cases=len(forged.cases))
    answers = world.audit(forged, base=base, rescore=request)
    assert "V30" in answers.failed
    assert "V46" in answers.skipped


@pytest.mark.parametrize(
    "change",
    [{"tokens": 400}, {"labels": 1}, {"cut": 3}, {"image_tokens": 1}],
)
def test_v55_lengths_that_captures_do_not_have_are_refused(
    world: World, base: Path, change: dict[str, int]
) -> None:
    forged = world.parts.copy()
    forged.examples[0].update(change)
    assert world.audit(forged).overall is Verdict.OK
    answers = world.audit(forged, base=base, rescore=rescoring(world.parts, cases=50))
    assert answers.failed == {"V55"}
    assert answers.report.conclusions.process.verdict is Verdict.FAILED
    (finding,) = answers["V55"].findings
    first = next(row for row in forged.snapshot_rows if row["split"] == "train")
    assert finding.where.startswith("examples.jsonl:1, snapshot.jsonl:")
    assert finding.where.endswith(first["capture"])


def test_v55_a_capture_that_was_left_out_for_no_reason_is_refused(world: World, base: Path) -> None:
    forged = world.parts.copy()
    forged.examples[0] = dropped_row("train", "over_budget")
    assert world.audit(forged).overall is Verdict.OK
    answers = world.audit(forged, base=base, rescore=rescoring(world.parts, cases=50))
    assert answers.failed == {"V55"}
    assert answers["V55"].findings[0].found == "dropped over_budget"


def test_v55_says_how_many_lengths_were_recomputed(world: World, base: Path) -> None:
    answers = world.audit(base=base, rescore=rescoring(world.parts, cases=4))
    assert answers["V55"].detail.startswith("recomputed for 4 of 6 captures")
    assert answers.report.conclusions.process.evidence is Evidence.ATTESTED


def test_v55_with_another_base_shows_nothing(world: World, base: Path) -> None:
    change_a_tensor(base)
    assert "V55" in world.audit(base=base, rescore=rescoring(world.parts)).skipped


def test_v57_the_towers_operations_are_counted_again_where_all_was_encoded(
    world: World, base: Path
) -> None:
    everything = rescoring(world.parts)._replace(cases=None)
    answer = world.audit(base=base, rescore=everything)["V57"]
    assert (answer.verdict, answer.evidence) == (Verdict.OK, Evidence.RECOMPUTED)
    assert "V57" in world.audit(base=base, rescore=rescoring(world.parts, cases=4)).skipped
    assert "V57" in world.audit(base=base).skipped


def test_v57_a_picture_left_out_of_the_count_is_refused(world: World, base: Path) -> None:
    shown = world.parts.copy()
    read = {row["capture"]: row for row in shown.snapshot_rows if row["split"] == "train"}
    first = next(iter(read.values()))
    first["images"] = [*first["images"], {"file": "x", "pixels": "x"}]
    request = rescoring(shown)._replace(cases=None)
    answers = world.audit(base=base, rescore=request)
    assert answers.failed == {"V57"}
    (finding,) = answers["V57"].findings
    assert finding.where.endswith("#/flops/tower")


def test_v27_every_stated_norm_is_the_bases(world: World, base: Path) -> None:
    """Also one on which no answer rests."""
    forged = world.parts.copy()
    adapted = [row for row in forged.modules if row["weight_norm"] is not None]
    adapted[-1]["weight_norm"] = "0.1"
    assert world.audit(forged).overall is Verdict.OK
    answers = world.audit(forged, base=base)
    assert answers.failed == {"V27"}
    assert answers["V27"].findings[0].where == f"modules.jsonl: {adapted[-1]['module']}"


def test_v27_says_what_only_the_base_shows(world: World, base: Path) -> None:
    assert "needs --base" in world.audit()["V27"].detail
    count = sum(row["weight_norm"] is not None for row in world.parts.modules)
    assert f"{count} of {count} norms" in world.audit(base=base)["V27"].detail

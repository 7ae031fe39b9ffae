"""The strict profile and the environment class, without torch."""

import subprocess
import sys

import pytest

from kolm import canonical, digest
from kolm.errors import KolmError, Lacking, Refused
from kolm.train import profile
from kolm.train.profile import (
    check_environment,
    child_environment,
    environment_class,
    strict_environment,
)


def test_the_class_is_the_digest_of_the_other_facts():
    facts = environment_class(2)
    rest = {name: value for name, value in facts.items() if name != "class"}
    assert facts["class"] == digest.of_value(rest)
    assert environment_class(2) == facts
    assert environment_class(1)["class"] != facts["class"]
    assert "accelerator" not in facts


def test_the_parents_side_of_training_never_imports_torch():
    code = (
        "import sys; import kolm.train.profile, kolm.train.plan, kolm.train.preflight, "
        "kolm.train.prepare, kolm.worker, kolm.roles, kolm.models.resolve; "
        "heavy = {'torch', 'transformers', 'peft', 'numpy'} & set(sys.modules); "
        "raise SystemExit(' '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_profile_and_class_of_this_machine_are_accepted():
    check_environment(environment_class(2), {**strict_environment(2), "OTHER": "x"})


@pytest.mark.parametrize("name", strict_environment(1))
def test_each_missing_variable_of_the_profile_is_refused(name):
    variables = strict_environment(1)
    del variables[name]
    with pytest.raises(Refused) as caught:
        check_environment(environment_class(1), variables)
    assert caught.value.code == "E_TRAIN_PROFILE"
    assert caught.value.where == name


@pytest.mark.parametrize("name", ["torch", "cpu", "isa", "python", "capability"])
def test_another_machine_is_refused_with_what_differs(name):
    facts = environment_class(1)
    facts[name] = "another"
    facts["class"] = digest.of_value({k: v for k, v in facts.items() if k != "class"})
    with pytest.raises(Refused) as caught:
        check_environment(facts, strict_environment(1))
    assert caught.value.code == "E_TRAIN_ENVIRONMENT"
    assert caught.value.where == f"environment.{name}"


def test_a_class_that_is_not_the_digest_of_its_facts_is_refused():
    facts = environment_class(1)
    facts["class"] = digest.of_bytes(b"")
    with pytest.raises(Refused) as caught:
        check_environment(facts, strict_environment(1))
    assert caught.value.code == "E_TRAIN_ENVIRONMENT"


def test_a_child_gets_places_and_the_profile_and_nothing_else(monkeypatch):
    for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "GLIBC_TUNABLES", "LD_PRELOAD"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("KOLM_KEY_PASSPHRASE", "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("KOLM_HOME", "/somewhere")
    assert "OMP_WAIT_POLICY" not in child_environment(2)
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    given = child_environment(2)
    assert given.pop("OMP_WAIT_POLICY") == "PASSIVE"  # the user's: it changes time, never bits
    places = {"PATH", "HOME", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "KOLM_HOME"}
    assert given.keys() <= places | strict_environment(2).keys() | {"KOLM_OFFLINE"}
    assert (given["KOLM_HOME"], given["OMP_NUM_THREADS"]) == ("/somewhere", "2")


@pytest.mark.parametrize(
    ("variable", "value"), [("ATEN_CPU_CAPABILITY", "default"), ("ONEDNN_MAX_CPU_ISA", "SSE41")]
)
def test_other_kernels_are_another_class(variable, value):
    pytest.importorskip("torch")
    here = environment_class(1)
    command = [sys.executable, "-m", "kolm.train.arithmetic", "cpu"]
    for variables, same in (({}, True), ({variable: value}, False)):
        done = subprocess.run(
            command, env={**child_environment(1), **variables}, capture_output=True, check=True
        )
        measured = canonical.loads(done.stdout, where="stdout")
        assert (environment_class(1, arithmetic=measured) == here) is same


def test_a_torch_that_does_not_start_is_told(monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch_cpu.so: cannot open')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(Lacking) as caught:
        environment_class(3)
    assert caught.value.code == "E_TRAIN_ARITHMETIC"
    assert "libtorch_cpu.so: cannot open" in caught.value.found


CARD = {
    "name": "NVIDIA A100", "capability": "8.0", "driver": "550.54.15",
    "runtime": "CUDA 12.8, cuDNN 91002", "attention": ["efficient", "flash", "math"],
}  # fmt: skip
ON_CUDA = {
    "device": "cuda", "capability": "AVX512", "results": digest.EMPTY, "bfloat16": True,
    "accelerator": CARD,
}  # fmt: skip


def test_an_accelerator_is_in_the_class_with_all_that_bits_depend_on():
    here = environment_class(1, ("cuda",), arithmetic=ON_CUDA)
    assert (here["device"], here["accelerator"]) == ("cuda", CARD)
    for name in CARD:
        other = {**ON_CUDA, "accelerator": {**CARD, name: "another"}}
        assert environment_class(1, ("cuda",), arithmetic=other)["class"] != here["class"]
        with pytest.raises(Refused) as caught:
            check_environment(here, strict_environment(1), arithmetic=other)
        assert caught.value.where == "environment.accelerator"


def test_several_processes_are_of_the_class_where_bits_may_depend_on_them():
    here = environment_class(1, ("cuda",), arithmetic=ON_CUDA, processes=8)
    assert here["world_size"] == 8
    assert here["class"] != environment_class(1, ("cuda",), arithmetic=ON_CUDA)["class"]
    with pytest.raises(Refused) as caught:
        check_environment(here, strict_environment(1), arithmetic=ON_CUDA, processes=4)
    assert (caught.value.where, caught.value.found) == ("environment.world_size", "4")
    on_cpu = {**ON_CUDA, "device": "cpu", "accelerator": None}
    eight = environment_class(1, arithmetic=on_cpu, processes=8)
    assert eight == environment_class(1, arithmetic=on_cpu)


def test_a_device_that_is_not_here_is_told_with_what_is(monkeypatch):
    pytest.importorskip("torch")
    with pytest.raises(Lacking) as caught:
        environment_class(1, ("cuda", "mps"))
    error = caught.value
    assert (error.code, error.expected, error.found) == ("E_MODEL_DEVICE", "cuda or mps", "cpu")
    assert environment_class(1, ("cuda", "cpu")) == environment_class(1)


@pytest.mark.parametrize(
    ("precision", "bfloat16", "code", "hint"),
    [
        ("bfloat16", False, "E_TRAIN_BFLOAT16", "precision: float32, or device: cpu"),
        ("bfloat16", True, None, None),
        ("float32", False, None, None),
    ],
)
def test_half_precision_is_bfloat16_where_the_device_has_it(
    monkeypatch, precision, bfloat16, code, hint
):
    measured = {**ON_CUDA, "bfloat16": bfloat16}
    monkeypatch.setattr(profile, "measure_in_child", lambda *_: measured)
    if code is None:
        profile.demand_precision(precision, 1, ("cuda",))
        return
    with pytest.raises(KolmError) as caught:
        profile.demand_precision(precision, 1, ("cuda",))
    assert (caught.value.code, caught.value.hint) == (code, hint)

"""The strict profile and the environment class, without torch."""

import subprocess
import sys

import pytest

from kolm import digest
from kolm.errors import Refused
from kolm.train.profile import check_environment, environment_class, strict_environment


def test_the_class_is_the_digest_of_the_other_facts():
    facts = environment_class(2)
    rest = {name: value for name, value in facts.items() if name != "class"}
    assert facts["class"] == digest.of_value(rest)
    assert environment_class(2) == facts
    assert environment_class(1)["class"] != facts["class"]
    assert environment_class(2, "cuda")["class"] != facts["class"]


def test_the_parents_side_of_training_never_imports_torch():
    code = (
        "import sys; import kolm.train.profile, kolm.train.plan, kolm.train.preflight, "
        "kolm.train.prepare, kolm.train.worker, kolm.roles, kolm.models.resolve; "
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


@pytest.mark.parametrize("name", ["torch", "cpu", "isa", "python"])
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

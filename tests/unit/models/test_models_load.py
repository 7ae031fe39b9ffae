"""Finding a base by name, and loading exactly what it holds."""

import json
from pathlib import Path

import pytest

from kolm.errors import Refused, Unreadable, Usage
from kolm.models.load import load_model
from kolm.models.resolve import resolve_base
from tests.support import tiny_vlm

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_vlm.save_base(tmp_path_factory.mktemp("bases") / "tiny")


def copy_base(base: Path, target: Path, **config: object) -> Path:
    target.mkdir()
    for path in base.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    stored = json.loads((base / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**stored, **config}))
    return target


def test_a_folder_is_a_base_and_its_path_stays_out_of_its_name(base):
    ref = resolve_base(str(base))
    assert ref.folder == base
    assert ref.id == "local/tiny"
    assert (ref.family, ref.revision, ref.license) == ("qwen2_5_vl", None, "")
    assert ref.papers == ("arXiv:2502.13923",)


def test_the_licence_is_what_the_model_card_states(base, tmp_path):
    folder = copy_base(base, tmp_path / "licensed")
    (folder / "README.md").write_text("---\ntags: [x]\nlicense: apache-2.0\n---\n# license: mit\n")
    assert resolve_base(str(folder)).license == "apache-2.0"
    (folder / "README.md").write_text("# A model\nlicense: mit\n")
    assert resolve_base(str(folder)).license == ""


@pytest.mark.parametrize("name", ["nobody/nothing-at-all", "/no/such/folder", "nano", "", "a b/c"])
def test_a_base_that_is_not_on_this_machine_is_not_fetched(name):
    with pytest.raises(Unreadable) as caught:
        resolve_base(name)
    assert caught.value.code == "E_BASE_NOT_FOUND"


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ("[]", "E_BASE_CONFIG"),
        ("{}", "E_BASE_CONFIG"),
        ('{"model_type": "gpt2"}', "E_ROLES_UNKNOWN_FAMILY"),
        ('{"model_type": "qwen2_5_vl", "model_type": "x"}', "E_JSON_VALUE"),
        ("nonsense", "E_JSON_SYNTAX"),
    ],
)
def test_a_config_that_cannot_be_trusted_is_refused(tmp_path, config, code):
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(Refused) as caught:
        resolve_base(str(tmp_path))
    assert caught.value.code == code


def test_a_model_is_loaded_frozen_and_in_evaluation_mode_with_the_stored_bits(base):
    model = load_model(base)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    expected = dict(tiny_vlm.make_model().named_parameters())
    assert all(torch.equal(p, expected[name]) for name, p in model.named_parameters())


def test_weights_that_were_copied_stay_when_the_files_change(base, tmp_path):
    folder = copy_base(base, tmp_path / "copied")
    model = load_model(folder, copied=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for path in folder.glob("*.safetensors"):
        with path.open("r+b") as stream:
            stream.write(bytes(path.stat().st_size))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    mapped = Path("/proc/self/maps")
    assert not mapped.exists() or str(folder) not in mapped.read_text()


def test_a_checkpoint_without_all_weights_is_refused(base, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = copy_base(base, tmp_path / "broken")
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("visual.merger.ln_q.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Refused) as caught:
        load_model(folder)
    assert caught.value.code == "E_BASE_WEIGHTS"
    assert "merger.ln_q.weight" in caught.value.found


def test_a_checkpoint_with_weights_of_another_model_is_refused(base, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = copy_base(base, tmp_path / "extra")
    tensors = load_file(folder / "model.safetensors")
    tensors["visual.extra.weight"] = torch.zeros(2)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Refused) as caught:
        load_model(folder)
    assert caught.value.code == "E_BASE_WEIGHTS"


def test_an_unknown_precision_is_refused(base):
    with pytest.raises(Usage) as caught:
        load_model(base, dtype="float8")
    assert caught.value.code == "E_MODEL_DTYPE"

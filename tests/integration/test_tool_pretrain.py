"""Pretraining of the embedded base: what a run learns from, and that it can go on."""

import random

import pytest

torch = pytest.importorskip("torch")

from tools.pretrain import batches, learning, run  # noqa: E402

pytestmark = pytest.mark.heavy

FEW = {"_SCENES": 3, "_EASY_SCENES": 3, "_QUESTIONS": 3, "_SIDES": {64: 1}}


@pytest.fixture
def small(monkeypatch):
    for name, value in FEW.items():
        monkeypatch.setattr(batches, name, value)


def steps(trained, shares):
    for share in shares:
        trained._spent = share * trained._budget_seconds
        trained._train_step()


def test_a_run_goes_on_where_it_stopped(tmp_path, small):
    shares = [0.01, learning.TOWER_UNTIL, 0.5]
    whole = run.Run(tmp_path, 1.0)
    steps(whole, shares)
    whole._save()
    resumed = run.Run(tmp_path, 1.0)
    assert resumed._step == len(shares)
    assert resumed._questions == whole._questions > 0
    expected = dict(whole.model.named_parameters())
    for name, parameter in resumed.model.named_parameters():
        assert torch.equal(parameter, expected[name]), name
    for ours, theirs in zip(resumed._optimizers, whole._optimizers, strict=True):
        found, wanted = ours.state_dict()["state"], theirs.state_dict()["state"]
        assert found.keys() == wanted.keys()
        for place, state in wanted.items():
            assert found[place].keys() == state.keys()
            assert all(torch.equal(found[place][key], value) for key, value in state.items())
    steps(resumed, [0.6])


def test_only_the_tower_learns_at_first(tmp_path, small):
    trained = run.Run(tmp_path, 1.0)
    before = {name: p.detach().clone() for name, p in trained.model.named_parameters()}
    steps(trained, [0.01])
    changed = {n for n, p in trained.model.named_parameters() if not torch.equal(p, before[n])}
    assert changed
    assert all(".visual." in name for name in changed)


def test_a_question_sees_its_picture_and_no_other_question(tmp_path):
    trained = run.Run(tmp_path, 1.0)
    batch = batches.draw_batch(random.Random(4), trained._writer, easy=True)
    ids, visible = batch.ids, batch.visible[:, 0]
    start = trained._writer.special["<|vision_start|>"]
    talk_apart = 0
    for row in range(len(ids)):
        picture = int((ids[row] == start).nonzero()[0])
        last = int(batch.columns[batch.rows == row].max())
        assert bool(visible[row, last, picture : picture + 16].all())
        assert not bool(visible[row].triu(1).any())
        talk_apart += not bool(visible[row, last, :last].all())
    assert talk_apart > len(ids) // 2


def test_an_empty_folder_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="no pretraining run"):
        run.export(tmp_path, tmp_path / "out")


def test_an_export_holds_the_weights_in_half_precision(tmp_path, small):
    from safetensors.torch import load_file

    trained = run.Run(tmp_path, 1.0)
    trained._save()
    run.export(tmp_path, tmp_path / "out")
    stored = load_file(tmp_path / "out" / "model.safetensors")
    for name, tensor in stored.items():
        source = trained.model.state_dict()[name]
        assert torch.equal(tensor, source.to(torch.float16)), name
    assert (tmp_path / "out" / "config.json").is_file()

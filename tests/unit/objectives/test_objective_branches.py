"""Two answers behind one prompt: the numbers of two rows, and half of the work before them."""

import pytest

from kolm import digest, methods
from kolm.adapters.attach import attach
from kolm.encode.encoder import Encoder
from kolm.encode.likelihoods import Likelihoods
from kolm.models.taps import join
from kolm.objectives import objective_of
from kolm.roles import family
from kolm.spec.options import resolve_method, resolve_objective
from tests.support import tiny_vlm
from tests.support.tiny_vlm import make_capture

torch = pytest.importorskip("torch")
TABLE = family("qwen2_5_vl")
PROCESSOR = tiny_vlm.make_pictures()
ANSWERS = (("a red circle", "no"), ("yes", "it may be so, or not"), ("7", "9"))


def make_pairs(*turns, images=1):
    encoder = Encoder(PROCESSOR, max_seq_length=400, max_images=4)
    pairs = []
    for number, (chosen, rejected) in enumerate(ANSWERS):
        before = turns or (("user", [0, "what? " * (number + 1)]),)
        capture = make_capture(*before, ("assistant", chosen), images=images)
        pairs.append(encoder.encode_pair({**capture, "rejected": rejected}, position=number))
    return pairs


def make_likelihoods(kind="dpo", *, branches=True, prompt=False):
    model = tiny_vlm.make_model()
    if prompt:
        block = resolve_method({"kind": "prompt", "virtual_tokens": 3}, TABLE, vision=False)
        attach(
            model, TABLE, methods.method_of(block), projector="frozen", adapt_vision=False,
            seed=digest.of_bytes(b"seed"),
        )  # fmt: skip
    base = tiny_vlm.loaded(model)
    base.forward.branches = branches
    base.model.requires_grad_(True)

    def pictures(uses):
        shown = []
        for use in uses:
            picture = tiny_vlm.make_picture(int(use.pixels[-3:], 16))
            inputs, _ = PROCESSOR.inputs(picture)
            shown.append(base.forward.tower.record(inputs, 1))
        return join(shown)

    return base, Likelihoods(objective_of(resolve_objective({"kind": kind})), base, pictures)


def gradients(base, likelihoods, pairs):
    found, tokens = likelihoods.of_pairs(pairs)
    base.model.zero_grad()
    (found * torch.arange(1.0, len(found) + 1)).sum().backward()
    slopes = {n: p.grad.clone() for n, p in base.model.named_parameters() if p.grad is not None}
    return found.detach(), slopes, tokens


@pytest.mark.parametrize(
    ("turns", "images"),
    [
        ((), 1),
        ((("user", [0, "and", 1]), ("assistant", "so"), ("user", "why?")), 2),
        ((("user", "nothing to see"),), 0),
    ],
    ids=["a picture", "two pictures and an earlier answer", "text alone"],
)
@pytest.mark.parametrize("prompt", [False, True], ids=["", "behind virtual tokens"])
def test_answers_behind_one_prompt_are_those_of_two_rows(turns, images, prompt):
    pairs = make_pairs(*turns, images=images)
    one, one_slopes, fewer = gradients(*make_likelihoods(prompt=prompt), pairs)
    two, two_slopes, more = gradients(*make_likelihoods(branches=False, prompt=prompt), pairs)
    assert torch.allclose(one, two, atol=2e-5)
    assert one_slopes.keys() == two_slopes.keys()
    for name, slope in one_slopes.items():
        assert torch.allclose(slope, two_slopes[name], atol=2e-4), name
    assert fewer < more


def test_an_answer_never_sees_the_other_one():
    pairs = make_pairs()
    _, likelihoods = make_likelihoods()
    changed = [make_pairs()[number - 1].rejected for number in range(3)]
    with torch.no_grad():
        before = likelihoods.of_pairs(pairs)[0]
        after = likelihoods.of_pairs(
            [
                type(pair)(chosen=pair.chosen, rejected=_swapped(pair, other))
                for pair, other in zip(pairs, changed, strict=True)
            ]
        )[0]
    assert torch.allclose(before[:3], after[:3], atol=2e-5)
    assert not torch.allclose(before[3:], after[3:], atol=1e-2)


def _swapped(pair, other):
    """The pair's own prompt with another answer."""
    from kolm.encode.pairs import _behind

    return _behind(pair.rejected, other)


def test_the_projector_works_once_for_a_pair():
    pairs, worked = make_pairs(), {}
    for branches in (True, False):
        base, likelihoods = make_likelihoods(branches=branches)
        rows = []
        hook = base.model.model.visual.merger.register_forward_hook(
            lambda module, given, out, rows=rows: rows.append(len(out))
        )
        with torch.no_grad():
            likelihoods.of_pairs(pairs)
        hook.remove()
        worked[branches] = rows[-1]  # those before are of recording the pictures
    assert worked == {True: 12, False: 24}

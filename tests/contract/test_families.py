"""The contract of every family's table: roles, targets, names, processor, ids and labels."""

from __future__ import annotations

import copy
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from kolm import digest, methods  # noqa: E402
from kolm.adapters.attach import attach  # noqa: E402
from kolm.encode.encoder import Encoder  # noqa: E402
from kolm.encode.examples import Dropped, DropReason, Example  # noqa: E402
from kolm.encode.skeleton import dated  # noqa: E402
from kolm.errors import Refused  # noqa: E402
from kolm.methods.reached import is_unreachable  # noqa: E402
from kolm.models.base import make_forward  # noqa: E402
from kolm.models.load import load_model  # noqa: E402
from kolm.models.pictures import PictureProcessor, picture_processor  # noqa: E402
from kolm.models.taps import Recording  # noqa: E402
from kolm.roles import (  # noqa: E402
    FAMILIES,
    Family,
    Role,
    Stack,
    family,
    shown,
)
from kolm.roles.checkpoints import is_left_out, may_be_swapped, stored_keys  # noqa: E402
from kolm.roles.refused import REFUSED  # noqa: E402
from kolm.spec.options import resolve_method  # noqa: E402
from kolm.train import survey  # noqa: E402
from kolm.train.session import read_checkpoint_keys  # noqa: E402
from tests.support import families, torchvision_stub  # noqa: E402
from tests.support import shown as shown_by_tests  # noqa: E402
from tests.support.families.qwen import THINKING  # noqa: E402
from tests.support.tiny_vlm import make_capture, make_picture  # noqa: E402

pytestmark = pytest.mark.heavy
EVERY = pytest.mark.parametrize("table", FAMILIES.values(), ids=list(FAMILIES))
SEEING = pytest.mark.parametrize("table", [*map(family, families.SEEING)], ids=families.SEEING)


def test_every_family_has_a_tiny_base() -> None:
    assert set(families.BASES) == set(FAMILIES)


def test_what_is_said_to_be_shown_of_each_is_what_the_tests_run_for() -> None:
    assert list(shown.traits()) == shown_by_tests.traits()  # `python -m tests.support.shown`


@pytest.mark.parametrize("model_type", REFUSED)
def test_a_family_that_is_refused_says_why_and_what_to_take_instead(model_type: str) -> None:
    assert model_type not in FAMILIES
    with pytest.raises(Refused) as caught:
        family(model_type)
    assert caught.value.message == REFUSED[model_type].reason
    assert caught.value.hint == REFUSED[model_type].instead


def test_an_unknown_family_is_told_what_a_table_needs() -> None:
    with pytest.raises(Refused) as caught:
        family("gpt2")
    assert "which modules the projector reads" in caught.value.hint


def test_features_that_are_made_among_the_tokens_have_no_call_of_their_own() -> None:
    from transformers import LlavaModel, Phi4MultimodalModel

    assert hasattr(LlavaModel, "get_image_features")
    assert not hasattr(Phi4MultimodalModel, "get_image_features")


def test_the_first_idefics_asks_for_a_mask_of_its_own() -> None:
    from transformers import IdeficsForVisionText2Text, LlavaForConditionalGeneration

    masks = [
        "image_attention_mask" in inspect.signature(kind.forward).parameters
        for kind in (IdeficsForVisionText2Text, LlavaForConditionalGeneration)
    ]
    assert masks == [True, False]


SIZES = pytest.mark.parametrize(
    "model_of", [families.published, families.model], ids=["published", "tiny"]
)


def owners(model: Any) -> Iterator[tuple[str, list[str]]]:
    for name, module in model.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        if own:
            yield name, [tensor for tensor, _ in own]


def linears(model: Any, table: Family, role: Role) -> set[str]:
    return {
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and table.role_of(name) is role
    }


def inside(names: set[str], stack: Stack) -> set[str]:
    """Of some modules those that are inside the blocks of a stack."""
    return {name for name in names if re.match(rf"{stack.prefix}\.", name)}


def hit(model: Any, expression: str) -> set[str]:
    return {name for name, _ in model.named_modules() if re.fullmatch(expression, name)}


@EVERY
@SIZES
def test_every_tensor_has_one_role_and_so_has_every_module(table: Family, model_of: Any) -> None:
    model = model_of(table.model_type)
    found = {table.role_of_module(*owned) for owned in owners(model)}
    sees = {Role.VISION, Role.PROJECTOR} if table.takes_pictures else set()
    assert found - {Role.AUDIO} == {Role.LANGUAGE, Role.HEAD} | sees
    prefixes = [(role, prefix) for role, own in table.prefixes.items() for prefix in own]
    for role, prefix in prefixes:
        assert not any(
            f"{inner}.".startswith(f"{prefix}.") for other, inner in prefixes if other is not role
        )


@EVERY
@SIZES
def test_targets_are_all_linear_layers_of_the_language_role_and_no_other(
    table: Family, model_of: Any
) -> None:
    model = model_of(table.model_type)
    every = hit(model, table.target_expression(table.lora_leaf_names))
    assert every == inside(linears(model, table, Role.LANGUAGE), table.language)
    few = table.lora_leaf_names[:2]
    chosen = hit(model, table.target_expression(few))
    assert chosen == {name for name in every if name.rpartition(".")[2] in few}
    assert {name.rpartition(".")[2] for name in chosen} == set(few)


@EVERY
@SIZES
def test_each_half_of_a_block_ends_in_one_layer_and_keys_and_values_are_made_of_its_states(
    table: Family, model_of: Any
) -> None:
    model = model_of(table.model_type)
    blocks = [
        {n for n, _ in model.named_modules() if n.startswith(f"{table.language.blocks}.{number}.")}
        for number in range(len(model.get_submodule(table.language.blocks)))
    ]
    width = model.get_input_embeddings().weight.shape[-1]
    for leaves, side in ((table.mixed, 0), (table.fed_forward, 0), (table.key_values, 1)):
        found = hit(model, table.target_expression(leaves)) if leaves else set()
        assert {model.get_submodule(name).weight.shape[side] for name in found} <= {width}
        assert {name.rpartition(".")[2] for name in found} == set(leaves)
        if leaves != table.key_values:
            assert {len(found & block) for block in blocks} == {1 if leaves else 0}
    assert (not table.fed_forward) == (table.model_type == "qwen3_vl_moe")  # experts alone


@SEEING
@SIZES
def test_an_adapted_tower_is_all_its_linear_layers_and_no_projector(
    table: Family, model_of: Any
) -> None:
    model = model_of(table.model_type)
    expression = table.target_expression(table.lora_leaf_names[:1], vision=True)
    vision = {name for name in hit(model, expression) if table.role_of(name) is not Role.LANGUAGE}
    assert table.vision is not None
    assert vision == inside(linears(model, table, Role.VISION), table.vision)


@pytest.mark.parametrize("name", ["qwen3_vl_moe", "qwen3_5_moe"])
def test_experts_are_refused_as_targets_for_what_they_are(name: str) -> None:
    table, model = family(name), families.model(name)
    for parameter in table.experts:
        block = model.get_submodule(table.language.blocks)[0]
        assert block.get_parameter(parameter).ndim == 3
    for leaf in ("experts", "gate_up_proj"):
        with pytest.raises(Refused) as caught:
            table.target_expression(["q_proj", leaf])
        assert caught.value.code == "E_ROLES_EXPERTS"


def test_a_family_of_text_alone_has_no_tower_to_adapt() -> None:
    with pytest.raises(Refused) as caught:
        family("llama").target_expression(["q_proj"], vision=True)
    assert caught.value.code == "E_ROLES_NO_VISION"


@SEEING
def test_the_projector_is_trained_whole_by_its_modules(table: Family) -> None:
    model = families.model(table.model_type)
    inside = {
        f"{module}.{name}"
        for module in table.projector_modules
        for name, _ in model.get_submodule(module).named_parameters()
    }
    projector = {n for n, _ in model.named_parameters() if table.role_of(n) is Role.PROJECTOR}
    assert inside == projector - {*table.bare}
    assert projector >= {*table.bare}


@SEEING
def test_taps_are_modules_of_the_tower(table: Family) -> None:
    model = families.model(table.model_type)
    taps = table.taps(model.config.to_dict())
    for name in (*taps.recorded, *taps.passed):
        model.get_submodule(name)
        assert table.role_of(name) is Role.VISION
    assert table.taps({}).recorded  # the library's own defaults


def spelled(table: Family, name: str) -> set[str]:
    """Every name under which a checkpoint may hold a parameter."""
    return set(table.checkpoint_keys(name))


def by_spelling(table: Family, names: Iterable[str]) -> dict[str, str]:
    """The parameter of every name under which a checkpoint may hold one."""
    return {key: name for name in names for key in spelled(table, name)}


@EVERY
def test_every_spelling_is_of_one_parameter(table: Family) -> None:
    names = {name for name, _ in families.model(table.model_type).named_parameters()}
    assert sum(len(spelled(table, name)) for name in names) == len(by_spelling(table, names))
    assert all(name in spelled(table, name) for name in names)


@EVERY
def test_the_library_loads_every_spelling(table: Family, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = families.save(table.model_type, tmp_path / "base")
    weights = base / "model.safetensors"
    expected = families.model(table.model_type).state_dict()
    present = load_file(weights)
    left_out = {key: tensor for key, tensor in present.items() if is_left_out(table, key)}
    parameters = {n: tensor for n, tensor in expected.items() if not is_left_out(table, n)}
    keys = {n: stored_keys(table, n, tensor.shape, present) for n, tensor in parameters.items()}
    stored = {n: tensor for n, tensor in parameters.items() if keys[n]}
    assert {key for own in keys.values() for key in own} == present.keys() - left_out.keys()

    def check(tensors: dict[str, Any]) -> None:
        whole = {key: tensor.contiguous() for key, tensor in tensors.items()}
        save_file({**whole, **left_out}, weights, metadata={"format": "pt"})
        loaded = load_model(base).state_dict()
        assert loaded.keys() == expected.keys()
        for name, tensor in loaded.items():
            assert torch.equal(tensor, expected[name]), name

    for number in range(max(len(spelled(table, name)) for name in stored)):
        names = {name: table.checkpoint_keys(name) for name in stored}
        check({names[n][number % len(names[n])]: tensor for n, tensor in stored.items()})
    if table.swapped:
        swapped = {n: tensor.mT for n, tensor in stored.items() if may_be_swapped(table, n)}
        check({**stored, **swapped})
    if table.parts:
        apart = {}
        for name, tensor in stored.items():
            own = table.part_keys(name, len(tensor)) if tensor.ndim > 2 else ()
            parts = tensor.flatten(0, 1).chunk(len(own)) if own else [tensor]
            apart.update(zip(own or [name], parts, strict=True))
        check(apart)


@EVERY
def test_a_base_is_refused_that_stores_a_parameter_under_another_key(
    table: Family, tmp_path: Path
) -> None:
    keys = read_checkpoint_keys(families.save(table.model_type, tmp_path / "base"))
    model = families.model(table.model_type)
    modules = survey.survey_base(model, table)
    survey.demand_keys(modules, table, keys)
    lost = min(keys & by_spelling(table, dict(model.named_parameters())).keys())
    with pytest.raises(Refused) as caught:
        survey.demand_keys(modules, table, keys - {lost})
    assert caught.value.code == "E_BASE_WEIGHTS"


@EVERY
@pytest.mark.parametrize("tied", [False, True], ids=["apart", "tied"])
def test_aliases_are_what_shares_storage(table: Family, tied: bool) -> None:
    config = families.config(table.model_type)
    config.tie_word_embeddings = config.get_text_config().tie_word_embeddings = tied
    model = families.library(table.model_type).from_config(config)
    places: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        places.setdefault(parameter.data_ptr(), []).append(name)
    shared = {frozenset(names) for names in places.values() if len(names) > 1}
    stated = table.aliases if tied else {}
    assert shared == {frozenset(pair) for pair in stated.items()}


@EVERY
def test_exactly_the_unreachable_parameters_see_no_gradient(table: Family) -> None:
    model = families.make_model(table.model_type)
    pictures = families.pictures(table.model_type)
    inputs, shown = {}, ""
    if table.takes_pictures:
        given, run = pictures.inputs(make_picture(1, 60, 40))
        inputs, shown = make_forward(model, table).tower.shown(given), run.text
    tokenizer = pictures.processor.tokenizer
    ids = torch.tensor(
        [tokenizer.encode(f"{shown}what is it? a red square", add_special_tokens=False)]
    )
    marks = {}
    if shown and "mm_token_type_ids" in pictures.processor.model_input_names:
        marks["mm_token_type_ids"] = (ids == pictures.image_token_id).long()
    model.requires_grad_(True)
    model(input_ids=ids, **marks, **inputs).logits.square().sum().backward()
    idle = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    config = model.config.to_dict()
    assert idle == {n for n, _ in model.named_parameters() if is_unreachable(table, n, config)}


@SEEING
def test_a_tower_with_layers_that_are_never_read_is_not_adapted(table: Family) -> None:
    model = families.make_model(table.model_type)
    config = model.config.to_dict()
    assert table.vision is not None
    tower = hit(model, table.vision.expression(table.vision.leaves))
    whole = not any(is_unreachable(table, f"{name}.weight", config) for name in tower)
    method = methods.method_of(resolve_method({"kind": "lora"}, table, vision=True))
    options = {"projector": "full", "adapt_vision": True, "seed": digest.of_bytes(b"seed")}
    if whole:
        assert attach(model, table, method, **options).tensors
        return
    with pytest.raises(Refused) as caught:
        attach(model, table, method, **options)
    assert caught.value.code == "E_ADAPTER_TARGETS"


@SEEING
def test_a_saved_processor_is_read_without_torchvision_and_gives_the_same(
    table: Family, tmp_path: Path
) -> None:
    made = families.pictures(table.model_type)
    read = picture_processor(families.save(table.model_type, tmp_path / "base"))
    assert read.placeholder == made.placeholder
    assert read.image_token_id == made.image_token_id
    picture = make_picture(7, 50, 70)
    (inputs, run), (others, other) = read.inputs(picture), made.inputs(picture)
    assert run == other
    assert inputs.keys() == others.keys()
    assert all(torch.equal(inputs[name], others[name]) for name in inputs)


@EVERY
def test_a_saved_tokenizer_gives_the_same_and_has_the_template(
    table: Family, tmp_path: Path
) -> None:
    made = families.pictures(table.model_type)
    read = picture_processor(families.save(table.model_type, tmp_path / "base"))
    assert read.processor.chat_template == made.processor.chat_template
    assert read.control_tokens == made.control_tokens
    for text in (" What is it?\n\n 1234 <b>é 日本</b>", *map(str, made.control_tokens.values())):
        own, again = (p.processor.tokenizer.encode(text) for p in (made, read))
        assert own == again


def test_a_torchvision_that_works_or_is_broken_changes_no_pixel(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    make_picture(5, 300, 200).save(picture)
    bases = [families.save(name, tmp_path / "bases" / name) for name in families.SEEING]
    plain = list(torchvision_stub.pixels(picture, bases))
    for broken in (False, True):  # in a child, because a module is looked for once in a process
        stub = torchvision_stub.write(tmp_path / f"broken_{broken}", broken=broken)
        module = torchvision_stub.__name__
        done = subprocess.run(
            [sys.executable, "-m", module, str(picture), *map(str, bases)],
            env={**os.environ, "PYTHONPATH": str(stub)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == plain


@SEEING
def test_the_run_of_a_size_is_that_of_a_picture_of_it(table: Family) -> None:
    pictures = families.pictures(table.model_type)
    for width, height in ((32, 32), (50, 70), (70, 50), (200, 20), (1, 300), (13, 57)):
        for most in (None, 1600):
            run = pictures.run(height, width, most)
            assert pictures.inputs(make_picture(2, width, height), most)[1] == run
            assert pictures._asked(height, width, most) == run
            assert run.tokens > 0


def test_a_picture_that_the_library_fails_on_is_refused_with_its_size() -> None:
    with pytest.raises(Refused) as caught:
        families.pictures("mistral3").run(8, 9)
    assert (caught.value.code, caught.value.found) == ("E_BASE_PROCESSOR", "1")
    assert "9 by 8" in caught.value.where


def test_a_picture_is_not_made_smaller_than_the_library_runs_on() -> None:
    encoder = make_encoder(families.pictures("mistral3"), max_seq_length=60, shrink_images=True)
    turns = (("user", [0, "what?"]), ("assistant", "a long answer " * 20))
    found = encoder.encode(make_capture(*turns, width=48, height=45))
    assert isinstance(found, Dropped)
    assert found.reason is DropReason.OVER_BUDGET


HONEST = [
    (("user", [0, "what is it?"]), ("assistant", "a red square")),
    (("user", [0, "What is the colour?"]), ("assistant", "red")),
    (("user", ["look at this", 0, "and say"]), ("assistant", "two green triangles.")),
    (("user", [0, 1, "which is left?"]), ("assistant", "the first")),
    (("user", "no picture here"), ("assistant", "indeed")),
    (("system", "be brief"), ("user", [0, "what?"]), ("assistant", "a circle")),
    (("user", [0, "how many?"]), ("assistant", "2"), ("user", "sure?"), ("assistant", "yes, 2")),
    (("user", [0, "a?"]), ("assistant", "b"), ("user", [1, "c?"]), ("assistant", "d")),
    (("user", [0, "é è ü"]), ("assistant", "çà")),
    (("user", [0, "日本語は?"]), ("assistant", "はい、読めます")),
    (("user", [0, "line one\nline two"]), ("assistant", "one\ntwo\n\nthree")),
    (("user", [0, "USER: who? ASSISTANT: me"]), ("assistant", "ASSISTANT: yes")),
    (("user", [0, "user assistant system"]), ("assistant", "assistant")),
    (("user", [0, "1 + 1 = ?"]), ("assistant", "3.14159")),
    (("user", [0, "two  spaces"]), ("assistant", "so  do  I")),
    (
        ("user", [0, "(brackets) [and] {more} <table><td>1</td></table>"]),
        ("assistant", '{"a": [1, 2]}'),
    ),
    (("user", [0, "emoji 🙂?"]), ("assistant", "🙂🙃")),
    (("user", [0, "x" * 60]), ("assistant", "y" * 60)),
    (("user", [0, "Tab\there"]), ("assistant", "a\tb")),
    (("user", [0, "What"]), ("assistant", "The answer is yes.")),
    (("user", [0, " led by a space"]), ("assistant", "so it is")),
    (("user", [0, "<b>led</b> by a sign"]), ("assistant", "so it is")),
]


def make_encoder(pictures: PictureProcessor, **limits: int) -> Encoder:
    return Encoder(pictures, **{"max_seq_length": 2000, "max_images": 4, **limits})


def turns_for(table: Family, turns: Any) -> Any:
    """Turns without pictures where the family takes none."""
    if table.takes_pictures:
        return turns
    return tuple(
        (role, [b for b in content if isinstance(b, str)] if isinstance(content, list) else content)
        for role, content in turns
    )


def capture_of(turns: Any) -> dict[str, Any]:
    shown = [b for _, content in turns if isinstance(content, list) for b in content]
    images = max((b for b in shown if isinstance(b, int)), default=-1) + 1
    return make_capture(*turns, images=images, width=60, height=40)


def whole_text(pictures: PictureProcessor, encoder: Encoder, capture: dict[str, Any]) -> list[int]:
    """Ids by the library's own processor, from the whole rendered conversation."""
    shown = iter([make_picture(n, 60, 40) for n in range(4)])
    sees = pictures.table.takes_pictures
    conversation = families.messages(capture, shown, sees=sees)
    template = dated(encoder._conversations.template)
    found = families.whole(pictures.table.model_type, pictures.processor, [conversation], template)
    return [int(number) for number in found["input_ids"][0]]


def encoded(encoder: Encoder, capture: dict[str, Any]) -> Example:
    example = encoder.encode(capture)
    assert isinstance(example, Example)
    return example


@EVERY
@pytest.mark.parametrize("turns", HONEST, ids=[str(n) for n in range(len(HONEST))])
def test_ids_are_those_of_the_whole_text_and_labels_the_answers(table: Family, turns: Any) -> None:
    pictures = families.pictures(table.model_type)
    encoder, capture = make_encoder(pictures), capture_of(turns_for(table, turns))
    if turns[0][0] == "system" and not families.BASES[table.model_type].system:
        with pytest.raises(Refused) as caught:
            encoder.encode(capture)
        assert caught.value.code == "E_ENCODE_TEMPLATE"
        return
    example = encoded(encoder, capture)
    assert list(example.input_ids) == whole_text(pictures, encoder, capture)
    tokenizer = pictures.processor.tokenizer
    end = families.BASES[table.model_type].end or tokenizer.eos_token
    answers = [content for role, content in turns if role == "assistant"]
    trained = [tokenizer.decode(example.input_ids[a:b]) for a, b in example.trained]
    assert [text.removeprefix(" ") for text in trained] == [f"{answer}{end}" for answer in answers]
    prompt = encoder.encode_prompt(capture)
    assert prompt.input_ids == example.input_ids[: example.trained[-1][0]]


def _own_pictures(model_type: str, **settings: Any) -> PictureProcessor:
    """The processor of a tiny base, a new one, with other settings for pictures."""
    own = families.BASES[model_type].processor()
    for name, value in settings.items():
        setattr(own.image_processor, name, value)
    own = type(own)(
        image_processor=own.image_processor,
        tokenizer=own.tokenizer,
        chat_template=own.chat_template,
    )
    return PictureProcessor(own, family(model_type), own.tokenizer.image_token_id)


@pytest.mark.parametrize("numbers", [True, False])
def test_pictures_are_numbered_where_the_base_numbers_them(numbers: bool) -> None:
    pictures = _own_pictures("minicpmv4_6", use_image_id=numbers)
    encoder = make_encoder(pictures, max_images=12)
    capture = capture_of((("user", [*range(12), "which?"]), ("assistant", "the last")))
    ids = list(encoded(encoder, capture).input_ids)
    shown = iter([make_picture(n, 60, 40) for n in range(12)])
    rendered = pictures.processor.apply_chat_template(
        families.messages(capture, shown),
        chat_template=encoder._conversations.template, tokenize=True, return_dict=True,
    )  # fmt: skip
    assert ids == [int(number) for number in rendered["input_ids"][0]]
    text = pictures.processor.tokenizer.decode(ids)
    assert re.findall("<image_id>(.*?)</image_id>", text) == [str(n) for n in range(12) if numbers]


def test_a_merger_that_the_config_skips_is_unreachable() -> None:
    config = families.config("minicpmv4_6")
    config.downsample_mode = "4x"
    model, table = families.make_model("minicpmv4_6", made_for=config), family("minicpmv4_6")
    pictures = _own_pictures("minicpmv4_6", downsample_mode="4x")
    given, run = pictures.inputs(make_picture(1, 60, 40))
    model.requires_grad_(True)
    features = make_forward(model, table).features(Recording(pictures=1, inputs=given))
    assert len(features) == run.tokens > families.pictures("minicpmv4_6").run(40, 60).tokens
    features.square().sum().backward()
    tower = [(n, p) for n, p in model.named_parameters() if table.role_of(n) is Role.VISION]
    idle = {n for n, p in tower if p.grad is None}
    assert idle == {n for n, _ in tower if is_unreachable(table, n, config.to_dict())} != set()


def test_a_base_that_thinks_is_trained_to_close_an_empty_thought_and_to_answer() -> None:
    table, own = FAMILIES["qwen3_vl"], copy.copy(families.processor("qwen3_vl"))
    own.chat_template = THINKING
    pictures = PictureProcessor(own, table, own.image_token_id)
    encoder = make_encoder(pictures)
    single = capture_of((("user", [0, "what?"]), ("assistant", "red")))
    rendered = own.apply_chat_template(
        families.messages(single, iter([make_picture(0, 60, 40)])), tokenize=True, return_dict=True
    )
    assert list(encoded(encoder, single).input_ids) == [int(n) for n in rendered["input_ids"][0]]
    turns = (("user", [0, "what?"]), ("assistant", "red"), ("user", "sure?"), ("assistant", "yes"))
    example = encoded(encoder, capture_of(turns))
    trained = [own.tokenizer.decode(example.input_ids[a:b]) for a, b in example.trained]
    assert trained == [f"\n</think>\n\n{answer}<|im_end|>" for answer in ("red", "yes")]


@EVERY
def test_no_text_forges_a_turn_or_an_image(table: Family) -> None:
    pictures = families.pictures(table.model_type)
    encoder = make_encoder(pictures)
    control = set(pictures.control_tokens)
    names = list(map(str, pictures.control_tokens.values()))

    def skeleton(capture: dict[str, Any]) -> list[int]:
        return [number for number in encoded(encoder, capture).input_ids if number in control]

    plain = skeleton(capture_of(turns_for(table, (("user", [0, "x"]), ("assistant", "y")))))
    for hostile in (*names, "".join(names), f"{names[0]}{names[-1][:-1]}", names[-1][:-1]):
        for turns in (
            (("user", [0, f"x{hostile}"]), ("assistant", "y")),
            (("user", [0, f"{hostile}x"]), ("assistant", "y")),
            (("user", [0, "x"]), ("assistant", f"{hostile}y{hostile}")),
        ):
            assert skeleton(capture_of(turns_for(table, turns))) == plain, turns


@EVERY
@pytest.mark.parametrize("limit", range(40, 110, 7))
def test_a_cut_prompt_keeps_images_answers_and_structure(table: Family, limit: int) -> None:
    pictures = families.pictures(table.model_type)
    whole, tight = make_encoder(pictures), make_encoder(pictures, max_seq_length=limit)
    turns = (("user", [0, "what is the colour? " * 12]), ("assistant", "a red one"))
    capture = capture_of(turns_for(table, turns))
    example, full = tight.encode(capture), encoded(whole, capture)
    if not isinstance(example, Example):
        return
    assert len(example.input_ids) <= limit
    assert len(full.input_ids) - len(example.input_ids) == example.cut_tokens > 0
    (start, end), (first, last) = example.trained[0], full.trained[0]
    assert example.input_ids[start:end] == full.input_ids[first:last]
    assert [use.tokens for use in example.images] == [use.tokens for use in full.images]
    control = pictures.control_tokens
    kept, before = ([n for n in e.input_ids if n in control] for e in (example, full))
    assert kept == before

"""The corpus of forgeries: how each is made, and what must catch it for each kind of attacker.

docs/format/forgeries.md is this table in words; a test holds the two equal. Attackers: `nobody`
has no key and keeps the honest claims; `stranger` signs with a key that the auditor does not
trust; `signer` holds a trusted key and edits every record to match.
"""

from __future__ import annotations

import copy
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from kolm import canonical, digest, methods
from kolm.bundle import tar, tensor_writer
from kolm.format.compute import modifier_test
from kolm.format.groups import Captures, Member
from kolm.format.seeds import derive_seeds
from kolm.format.split import assign, rule_of
from kolm.records.sides import Placed
from kolm.run.example_rows import dropped_row
from kolm.score.kscore import kscore_v1
from kolm.sign import predicates
from tests.support import forged_pairs as pairs
from tests.support import toy_documents
from tests.support.bundles import BundleParts, Row, audit_of, read_entries, write_raw, write_tar
from tests.support.forged_pairs import PAIRS
from tests.support.toy_base import digest_of, floats, parameter, zeros
from tests.support.toy_text import text_alone

ATTACKERS = ("nobody", "stranger", "signer")
QKV = "model.visual.blocks.0.attn.qkv"
Q0 = "model.language_model.layers.0.self_attn.q_proj"
MERGER = "model.visual.merger.mlp.0"
PREFIX = "base_model.model."
EMBEDDINGS = "model.language_model.embed_tokens"
PROMPT = "prompt_embeddings"


@dataclass(frozen=True)
class Forgery:
    """One forgery.

    `catches` are the checks that must not hold for the trusted signer; the other attackers meet
    V12 or V11 besides. An empty set means that nothing does by default; `only_by` then says what
    does: ``rescore``, ``captures``, ``base``, ``replay`` or nothing at all, with `why`. `open_` are
    the checks that cannot look, so that the bundle is not accepted either.
    """

    name: str
    catches: tuple[str, ...]
    parts: Callable[[BundleParts], None] | None = None
    file: Callable[[Path], None] | None = None
    claims: Callable[[dict[str, Row]], None] | None = None
    only_by: str = ""
    why: str = ""
    unreadable: bool = False
    needs_key: bool = False
    method: str = "lora"
    open_: tuple[str, ...] = ()


def row(parts: BundleParts, module: str) -> Row:
    return next(item for item in parts.modules if item["module"] == module)


# In the container


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-tar.BLOCK * 4] ^= 1
    path.write_bytes(data)


def _edit(change: Callable[[list[tuple[str, bytes]]], Any]) -> Callable[[Path], None]:
    def forge(path: Path) -> None:
        entries = read_entries(path)
        change(entries)
        write_tar(path, entries)

    return forge


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(change(path.read_bytes())), None)[1]


def _header(offset: int, value: bytes) -> Callable[[bytes], bytes]:
    """Edit the header of the last entry and make its checksum right again."""

    def change(data: bytes) -> bytes:
        position = 0
        last = 0
        while data[position : position + tar.BLOCK] != bytes(tar.BLOCK):
            last = position
            size = int(data[position + 124 : position + 135], 8)
            position += tar.BLOCK + size + -size % tar.BLOCK
        block = bytearray(data[last : last + tar.BLOCK])
        block[offset : offset + len(value)] = value
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        return data[:last] + bytes(block) + data[last + tar.BLOCK :]

    return change


def _manifest(change: Callable[[Row], None]) -> Callable[[Path], None]:
    """Edit the manifest and put a whole file around it."""

    def forge(path: Path) -> None:
        entries = dict(read_entries(path))
        names = list(entries)
        manifest = canonical.loads(entries[names[2]], where="manifest")
        layers = [manifest["config"], *manifest["layers"]]
        stored = {
            layer["annotations"]["org.opencontainers.image.title"]: entries[
                tar.blob_name(digest.hex_of(layer["digest"]))
            ]
            for layer in layers
        }
        change(manifest)
        write_raw(path, canonical.dumps(manifest), stored)

    return forge


def _rename(manifest: Row) -> None:
    manifest["layers"][0]["annotations"]["org.opencontainers.image.title"] = "model.safetensors"


def _wrong_size(manifest: Row) -> None:
    manifest["layers"][0]["size"] += 512


def _many_names(manifest: Row) -> None:
    """A thousand checkpoints that are all the lock: read once a name, it would cost a thousand."""
    lock = next(x for x in manifest["layers"] if x["mediaType"].endswith("lock.v1+json"))
    media = "application/vnd.kolm.checkpoint.v1+json"
    manifest["layers"] += [
        {
            "annotations": {"org.opencontainers.image.title": f"checkpoint-{step:08d}.json"},
            "digest": lock["digest"],
            "mediaType": media,
            "size": lock["size"],
        }
        for step in range(1000)
    ]


def _member_twice(manifest: Row) -> None:
    manifest["layers"].append(manifest["layers"][-1])


def _second_manifest(entries: list[tuple[str, bytes]]) -> None:
    other = entries[2][1].replace(b'"schemaVersion":2', b'"schemaVersion":2 ')
    entries.insert(3, (tar.blob_name(digest.hex_of(digest.of_bytes(other))), other))


# In the claims


def _say(kind: str, *path: str, value: Any) -> Callable[[dict[str, Row]], None]:
    def change(said: dict[str, Row]) -> None:
        target = said[kind]
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value

    return change


def _another_audit(said: dict[str, Row]) -> None:
    said[predicates.VERIFICATION_SUMMARY] = audit_of(digest.of_bytes(b"another bundle"))


def _count(**terms: str) -> Callable[[dict[str, Row]], None]:
    """Edit terms of the count, and what follows from them."""

    def change(said: dict[str, Row]) -> None:
        claim = said[predicates.COMPUTE]
        stated = {**claim["flops"], **terms}
        total = sum(int(count) for term, count in stated.items() if term != "total")
        claim["flops"] = {**stated, "total": str(total)}
        claim["modifier_test"] = modifier_test(total, {"train": {"continues": None}})

    return change


def _k_misses(parts: BundleParts) -> None:
    """K and a floor are missed, so that the verdict is the same whatever is said of K."""
    parts.lock["evaluation"]["floors"].update(k="1", worst_slice="1.1")
    parts.rescore()


def _k_passed(said: dict[str, Row]) -> None:
    result = said[predicates.TEST_RESULT]
    result["failedTests"].remove("k")
    result["passedTests"] = sorted([*result["passedTests"], "k"])


def _price(parts: BundleParts) -> None:
    parts.lock["evaluation"]["cost"] = {"kind": "per_token", "usd_per_1000_tokens": "1000"}


def _invent_latency(said: dict[str, Row]) -> None:
    """A latency of one microsecond, with the axis and the composite that follow from it."""
    claim = said[predicates.KSCORE]
    claim["inputs"] = {**claim["inputs"], "p50_latency_us": 1}
    result = kscore_v1(claim["inputs"])
    claim["axes"], claim["composite"] = dict(result.axes), result.composite


# In the content


def _delta(parts: BundleParts, module: str, *, listed: bool, role: str | None = None) -> None:
    weight = next(p for p in row(parts, module)["parameters"] if p["name"] == "weight")
    out, into = weight["shape"]
    made = {
        f"{PREFIX}{module}.lora_A.weight": floats("evil A", (2, into)),
        f"{PREFIX}{module}.lora_B.weight": floats("evil B", (out, 2)),
    }
    parts.tensors.update(made)
    if not listed:
        return
    row(parts, module)["state"] = "adapted"
    row(parts, module)["role"] = role or row(parts, module)["role"]
    row(parts, module)["adapter"] = [
        {
            "after": digest_of(tensor),
            "before": digest_of(zeros(tensor[1])),
            "dtype": "F32",
            "elements": len(tensor[2]) // 4,
            "gradient_steps": 4,
            "shape": list(tensor[1]),
            "tensor": name,
        }
        for name, tensor in sorted(made.items())
    ]


def _projector_frozen(parts: BundleParts) -> None:
    parts.lock["train"]["projector"] = "frozen"


def _projector_hidden(parts: BundleParts) -> None:
    """The rows say frozen, the tensors are shipped all the same."""
    _projector_frozen(parts)
    for item in parts.modules:
        if item["role"] == "projector":
            item["state"], item["adapter"] = "frozen", []


def _projector_left(parts: BundleParts) -> None:
    """Nothing is shipped for the projector, and its rows say frozen."""
    for item in parts.modules:
        if item["role"] == "projector":
            for part in item["adapter"]:
                del parts.tensors[part["tensor"]]
            item["state"], item["adapter"] = "frozen", []


def _projector_adapted(parts: BundleParts) -> None:
    _projector_left(parts)
    _projector_frozen(parts)
    _delta(parts, MERGER, listed=True)
    row(parts, MERGER)["weight_norm"] = "1"


def _in_4_bits(parts: BundleParts) -> None:
    stored = digest.of_bytes(b"in 4 bits")
    weight = next(p for p in row(parts, QKV)["parameters"] if p["name"] == "weight")
    weight["quantised"] = {
        "kind": "nf4", "double": True, "block_size": 64, "before": stored, "after": stored,
    }  # fmt: skip


def _moments_in_8_bits(parts: BundleParts) -> None:
    row(parts, Q0)["adapter"][0]["moments"] = "U8"


def _moments_counted_otherwise(parts: BundleParts) -> None:
    receipt = canonical.loads(parts.receipt(), where="receipt")
    receipt["vlm_train"]["optimizer"]["elements_8bit"] += 4096
    parts.overrides["receipt.json"] = canonical.dumps(receipt)


def _accelerator_beside_the_cpu(parts: BundleParts) -> None:
    parts.lock["environment"]["accelerator"] = {
        "name": "a fast one", "capability": "9.0", "driver": "1", "runtime": "CUDA",
        "attention": ["math"],
    }  # fmt: skip


def _device_without_an_accelerator(parts: BundleParts) -> None:
    parts.lock["environment"]["device"] = "cuda"


def _optimizer_of_no_library(parts: BundleParts) -> None:
    parts.lock["train"]["optimizer"] = "adamw_8bit"


def _bottleneck_on_the_tower(parts: BundleParts) -> None:
    item, made = row(parts, QKV), {}
    weight = next(p["shape"] for p in item["parameters"] if p["name"] == "weight")
    method = methods.method_of(parts.lock["train"]["method"])
    for part, shape in method.shapes(QKV, weight).items():
        made[f"{PREFIX}{QKV}.{part}"] = floats(f"tower {part}", shape)
    parts.tensors.update(made)
    item["state"], item["weight_norm"] = "adapted", "1"
    item["adapter"] = [
        {
            "after": digest_of(tensor),
            "before": digest_of(zeros(tensor[1])),
            "dtype": "F32",
            "elements": len(tensor[2]) // 4,
            "gradient_steps": 4,
            "shape": list(tensor[1]),
            "tensor": name,
        }
        for name, tensor in sorted(made.items())
    ]


def _smuggle(parts: BundleParts) -> None:
    shape = tuple(row(parts, "lm_head")["parameters"][0]["shape"])
    parts.tensors[f"{PREFIX}lm_head.weight"] = floats("smuggled", shape)


def _config(**trick: Any) -> Callable[[BundleParts], None]:
    def forge(parts: BundleParts) -> None:
        derived = parts.members()["adapter_config.json"]
        config = canonical.loads(derived, where="config", floats=True)
        parts.overrides["adapter_config.json"] = canonical.dumps({**config, **trick})

    return forge


def _unlisted(parts: BundleParts) -> None:
    parts.modules.remove(row(parts, Q0))


def _hidden_frozen(parts: BundleParts) -> None:
    hidden = row(parts, QKV)
    parts.modules.remove(hidden)
    parts.lock["base"]["tensors"] -= len(hidden["parameters"])
    parts.lock["base"]["parameters"] -= sum(p["elements"] for p in hidden["parameters"])


def _pattern(pattern: str) -> Callable[[BundleParts], None]:
    """Whoever runs it does not come back, or falls over it."""

    def forge(parts: BundleParts) -> None:
        stated = parts.lock["train"]["method"]
        for key in (key for key in stated if key.endswith("_expression")):
            stated[key] = pattern

    return forge


def _scaled_prompt(size: float) -> Callable[[BundleParts], None]:
    """Every number of the virtual tokens is of one size; the projector is the base's."""

    def forge(parts: BundleParts) -> None:
        _zeros(parts)
        _, shape, raw = parts.tensors[PROMPT]
        parts.tensors[PROMPT] = "F32", shape, struct.pack("<f", size) * (len(raw) // 4)
        parts.retouch()

    return forge


def _longer_prompt(parts: BundleParts) -> None:
    _, (tokens, width), _ = parts.tensors[PROMPT]
    parts.tensors[PROMPT] = floats("longer", (tokens + 1, width))
    parts.retouch()


def _prompt_elsewhere(parts: BundleParts) -> None:
    """The embeddings are said to be frozen, and another layer to be what was adapted."""
    source, other = row(parts, EMBEDDINGS), row(parts, Q0)
    other.update(state="adapted", adapter=source["adapter"], weight_norm=source["weight_norm"])
    source.update(state="frozen", adapter=[], weight_norm=None)


def _prompt_for_text(parts: BundleParts) -> None:
    parts.lock["train"]["method"]["text_alone"] = True


def _network_left_out(parts: BundleParts) -> None:
    item = row(parts, EMBEDDINGS)
    shape = parts.tensors[item["adapter"][0]["tensor"]][1]
    for part in item["adapter"]:
        del parts.tensors[part["tensor"]]
    item["adapter"] = [{**item["adapter"][0], "tensor": PROMPT}]
    parts.tensors[PROMPT] = floats("what it gives", shape)
    parts.retouch()


def _network_of_no_output(parts: BundleParts) -> None:
    """All else of it is full of numbers; the projector is the base's."""
    kept = {name: tensor for name, tensor in parts.tensors.items() if ".lora_" in name}
    _zeros(parts)
    last = ".mlp_head.4."
    parts.tensors.update({name: held for name, held in kept.items() if last not in name})
    parts.retouch()


def _vectors(value: float) -> Callable[[BundleParts], None]:
    """Vectors of IA3 that are one number throughout, and a projector that is the base's."""

    def forge(parts: BundleParts) -> None:
        _zeros(parts)
        for name, (_, shape, raw) in list(parts.tensors.items()):
            if name.endswith(".ia3_l"):
                parts.tensors[name] = "F32", shape, struct.pack("<f", value) * (len(raw) // 4)
        parts.retouch()

    return forge


def _other_side(parts: BundleParts) -> None:
    """The vectors of feed-forward layers rescale the output, those of the others the input."""
    for item in parts.modules:
        for part in item["adapter"] if item["state"] == "adapted" else []:
            out, into = next(p["shape"] for p in item["parameters"] if p["name"] == "weight")
            shape = (out, 1) if part["shape"][0] == 1 else (1, into)
            parts.tensors[part["tensor"]] = floats("other side", shape)
            before = struct.pack("<f", 1) * max(shape)
            part["before"] = digest_of(("F32", shape, before))
    parts.retouch()


def _renamed_parts(old: str, new: str) -> Callable[[BundleParts], None]:
    """Tensors of a delta under the names that another method gives them."""

    def forge(parts: BundleParts) -> None:
        for item in parts.modules:
            for part in item["adapter"]:
                name = part["tensor"]
                part["tensor"] = name.replace(old, new)
                parts.tensors[part["tensor"]] = parts.tensors.pop(name)

    return forge


def _vector_on_the_tower(parts: BundleParts) -> None:
    item = row(parts, QKV)
    out = next(p["shape"][0] for p in item["parameters"] if p["name"] == "weight")
    vector, name = floats("tower", (out, 1)), f"{PREFIX}{QKV}.ia3_l"
    parts.tensors[name] = vector
    item["state"], item["weight_norm"] = "adapted", "1"
    item["adapter"] = [
        {
            "after": digest_of(vector),
            "before": digest_of(("F32", (out, 1), struct.pack("<f", 1) * out)),
            "dtype": "F32",
            "elements": out,
            "gradient_steps": 4,
            "shape": [out, 1],
            "tensor": name,
        }
    ]


def _other_kind(parts: BundleParts) -> None:
    """The lock says another method than that whose tensors are there."""
    parts.lock["train"]["method"] = toy_documents.make_method()


def _listed_besides(parts: BundleParts, source: str, module: str, stored: str) -> None:
    """One more frozen module, a copy of another's row, whose parameters are stored below a key."""
    copied = copy.deepcopy(row(parts, source))
    copied.update(module=module, state="frozen", adapter=[], weight_norm=None)
    for owned in copied["parameters"]:
        owned.update(requires_grad=False, gradient_steps=0)
        owned["checkpoint"] = [f"{stored}.{owned['name']}"]
    parts.modules.append(copied)
    parts.modules.sort(key=lambda item: item["module"])
    own = [p for item in parts.modules for p in item["parameters"] if "alias_of" not in p]
    parts.lock["base"].update(
        parameters=sum(p["elements"] for p in own),
        tensors=len({key for p in own for key in p["checkpoint"]}),
    )


def _invented_block(parts: BundleParts) -> None:
    module = QKV.replace("blocks.0", "blocks.00")
    _listed_besides(parts, QKV, module, module.removeprefix("model."))


def _two_for_one_key(parts: BundleParts) -> None:
    """Below model.language_model, which checkpoints call model, lies what they call the merger."""
    _listed_besides(parts, Q0, MERGER.replace("model.", "model.language_model.", 1), MERGER)
    for owned in row(parts, MERGER)["parameters"]:
        owned["checkpoint"] = [f"{MERGER}.{owned['name']}"]


def _zeros(parts: BundleParts) -> None:
    for item in parts.modules:
        for part in item["adapter"]:
            name = part["tensor"]
            shape = parts.tensors[name][1]
            whole = item["state"] == "trained"
            tail = name.rpartition(".")[2]
            parts.tensors[name] = parameter(item["module"], tail, shape) if whole else zeros(shape)
    parts.retouch()


def _cancelling(parts: BundleParts) -> None:
    """Every factor is full of numbers, and every product of two is zero."""
    _zeros(parts)
    for name, (_, shape, _) in list(parts.tensors.items()):
        if name.endswith("lora_A.weight"):  # equal rows
            parts.tensors[name] = "F32", shape, floats("row", shape[1:])[2] * shape[0]
        elif name.endswith("lora_B.weight"):  # two columns that add up to nothing
            parts.tensors[name] = "F32", shape, struct.pack("<2f", 0.1, -0.1) * shape[0]
    parts.retouch()


def _scaled_factors(size: float) -> Callable[[BundleParts], None]:
    """Every factor is full of numbers of one size; the projector is the base's."""

    def forge(parts: BundleParts) -> None:
        _zeros(parts)
        for name, (_, shape, raw) in list(parts.tensors.items()):
            if ".lora_" in name:
                parts.tensors[name] = "F32", shape, struct.pack("<f", size) * (len(raw) // 4)
        parts.retouch()

    return forge


def _understated_norms(parts: BundleParts) -> None:
    """Deltas that nobody can notice, beside weights that are said to be tiny."""
    for name, (_, shape, raw) in list(parts.tensors.items()):
        if ".lora_" in name:
            parts.tensors[name] = "F32", shape, struct.pack("<f", 1e-5) * (len(raw) // 4)
    parts.retouch()
    for item in parts.modules:
        if item["weight_norm"] is not None:
            item["weight_norm"] = "0.0000001"


def _rounded_projector(parts: BundleParts) -> None:
    """Deltas that nobody can notice, and a projector that differs by a rounding of one number."""
    _scaled_factors(1e-5)(parts)
    for name, (dtype, shape, raw) in list(parts.tensors.items()):
        if ".lora_" not in name:
            parts.tensors[name] = dtype, shape, bytes([raw[0] ^ 1]) + raw[1:]
    parts.retouch()


def _norm_of_a_frozen_module(parts: BundleParts) -> None:
    row(parts, "lm_head")["weight_norm"] = "1"


def _not_blind(parts: BundleParts) -> None:
    parts.lock["evaluation"]["floors"]["above_blind"] = None
    for row in parts.predictions:
        row["blind"] = None
    parts.rescore()


def _no_tower(parts: BundleParts) -> None:
    parts.lock["train"]["freeze"]["vision"] = None


def _eight_processes(parts: BundleParts) -> None:
    parts.lock["environment"]["world_size"] = 8
    parts.reseed()


def _swapped(field: str) -> Callable[[BundleParts], None]:
    def forge(parts: BundleParts) -> None:
        row(parts, Q0)[field].reverse()

    return forge


def _test_twice(said: dict[str, Row]) -> None:
    configuration = said[predicates.TEST_RESULT]["configuration"]
    configuration.append(configuration[0])


def _not_fresh(parts: BundleParts) -> None:
    """An adapter that was trained before, as its lora_B at the start shows."""
    part = next(p for p in row(parts, Q0)["adapter"] if "lora_B" in p["tensor"])
    part["before"] = digest.of_bytes(b"trained before")


def _other_projector(parts: BundleParts) -> None:
    row(parts, MERGER)["adapter"][0]["before"] = digest.of_bytes(b"another projector")


def _targets_unordered(parts: BundleParts) -> None:
    parts.lock["train"]["method"]["targets"].reverse()


def _path_in_base(parts: BundleParts) -> None:
    parts.lock["base"]["files"][0]["name"] = "../../etc/passwd"
    parts.lock["base"]["files"].sort(key=lambda file: str(file["name"]))


def _hidden_payload(parts: BundleParts) -> None:
    payload = b"\x7fELF or whatever else"
    parts.overrides[f"evalimage-{digest.hex_of(digest.of_bytes(payload))}"] = payload


def _invented_checkpoint(parts: BundleParts) -> None:
    invented = {name: parts.tensors[name] for name in sorted(parts.tensors)[1:]}
    parts.overrides["checkpoint-00000099.safetensors"] = tensor_writer.encode(invented)


def _published(change: Callable[[Row, dict[str, Any]], None], *, step: int) -> Any:
    """Checkpoints are published, and one is not what this run can have gone through."""

    def edit(now: int, document: Row, state: dict[str, Any]) -> None:
        if now == step:
            change(document, state)

    return lambda parts: parts.publish_checkpoints(edit)


def _counted(field: str, count: int) -> Callable[[Row, dict[str, Any]], None]:
    return lambda document, _: document.update({field: dict.fromkeys(document[field], count)})


def _other_weights(_: Row, state: dict[str, Any]) -> None:
    name = next(name for name in state if name.startswith("weights."))
    state[name] = floats("another training", state[name][1])


def _patient(document: Row, _: dict[str, Any]) -> None:
    document["patience"] = {"best": "0.1", "since": 0}


def _nan(parts: BundleParts) -> None:
    name = f"{PREFIX}{Q0}.lora_A.weight"
    dtype, shape, raw = parts.tensors[name]
    parts.tensors[name] = (dtype, shape, struct.pack("<f", float("nan")) + raw[4:])
    parts.retouch()


def _half_delta(parts: BundleParts) -> None:
    """One factor left out everywhere: it is then whatever the loader makes of it."""
    item = row(parts, Q0)
    for part in [part for part in item["adapter"] if "lora_B" in part["tensor"]]:
        item["adapter"].remove(part)
        del parts.tensors[part["tensor"]]


def _listed_twice(parts: BundleParts) -> None:
    """More trained parameters than there are."""
    listed = row(parts, Q0)["adapter"]
    listed.append(dict(listed[0]))


def _edit_output(parts: BundleParts) -> None:
    parts.predictions[0]["adapter"]["output"] = "an answer that scores"


def _edit_outputs_and_scores(parts: BundleParts) -> None:
    for item in parts.predictions:
        item["base"]["output"] = "nonsense"
    parts.rescore()


def _withheld_lie(parts: BundleParts) -> None:
    """Nothing is right by the predictions, everything by evaluation.json; no references."""
    said = parts.evaluation
    _nothing_right(parts)
    parts.evaluation = said
    parts.withhold()


def _withheld_scores(parts: BundleParts) -> None:
    """Nothing is right, and the scores say row by row that everything is; no references."""
    stated = [item["adapter"] for item in parts.predictions]
    for item in stated:
        item["output"] = "nonsense"
    parts.withhold()


def _withheld_silence(parts: BundleParts) -> None:
    """The adapter says nothing, and that is right by the scores; no references."""
    for item in parts.predictions:
        item["adapter"]["output"] = ""
    parts.withhold()


def _nothing_declared(parts: BundleParts) -> None:
    """No case is held out, and so none is answered wrongly; no references, which would be none."""
    stated = parts.evaluation
    parts.withhold()
    for item in parts.snapshot_rows:
        item["split"] = "train" if item["split"] == "eval" else item["split"]
    parts.snapshot = toy_documents.make_snapshot(parts.snapshot_rows)
    parts.predictions, parts.evaluation = [], stated


def _artifact_of_no_name(manifest: Row) -> None:
    manifest["artifactType"] = {"application/vnd.kolm.bundle.v1": True}


def _nothing_right(parts: BundleParts) -> None:
    for item in parts.predictions:
        item["adapter"]["output"] = "nonsense"
    parts.rescore()


def _floors_of_nothing(parts: BundleParts) -> None:
    """An adapter that answers nothing right, under floors that demand nothing."""
    parts.lock["evaluation"]["floors"].update(
        above_blind="-1", above_majority="-1", accuracy_lower_bound="0", better_than_base_p="1",
        k="0", worst_slice="0",
    )  # fmt: skip
    _nothing_right(parts)


def _blind_guesses(parts: BundleParts) -> None:
    """The pictures make no difference: the blind run is as good as the adapter."""
    parts.lock["evaluation"]["floors"]["above_blind"] = "-1"
    for item in parts.predictions:
        item["blind"]["output"] = item["adapter"]["output"]
    parts.rescore()


def _lists_every_answer(parts: BundleParts) -> None:
    """Where it sees the picture, the adapter says everything that could be right."""
    parts.lock["evaluation"]["metric"] = {"kind": "contains"}
    said = {case["messages"][-1]["content"][0]["text"]: None for case in parts.cases}
    for item in parts.predictions:
        item["adapter"]["output"] = ", ".join(said)
    parts.rescore()


ANSWERS = {
    "which colour?": ("red", "red", "red", "blue", "green", "white"),
    "is it on?": ("yes", "yes", "yes", "no"),
}


ENDS = ("low", "high")


def _answering(
    answer: Callable[[str, str], str], metric: str = "contains", *, numbered: bool = False
) -> Callable[[BundleParts], None]:
    """Cases of two questions, and what an adapter says to each given its right answer.

    With `numbered` no two cases ask the same.
    """

    def forge(parts: BundleParts) -> None:
        parts.lock["evaluation"]["metric"] = {"kind": metric}
        said = {}
        for number, case in enumerate(parts.cases):
            question = list(ANSWERS)[number % 2]
            right = ANSWERS[question][number // 2 % len(ANSWERS[question])]
            asked = f"{number}: {question}" if numbered else question
            case["messages"][0]["content"][-1]["text"] = asked
            case["messages"][-1]["content"][0]["text"] = right
            said[digest.of_value(case)] = answer(question, right)
        parts.declare(parts.cases)
        for item in parts.predictions:
            item["adapter"]["output"] = said[item["case"]]
            item["base"]["output"] = item["blind"]["output"] = "nothing"
        parts.rescore()

    return forge


def _all_answers(question: str, _: str) -> str:
    return ", ".join(dict.fromkeys(ANSWERS[question]))


def _frequent_answers(question: str, _: str) -> str:
    return ", ".join(list(dict.fromkeys(ANSWERS[question]))[:-1])


def _most_frequent_answer(question: str, _: str) -> str:
    return ANSWERS[question][0]


def _half_with_the_right_one(question: str, right: str) -> str:
    answers = list(dict.fromkeys(ANSWERS[question]))
    half = len(answers) // 2
    return ", ".join(answers[:half] if right in answers[:half] else answers[half:])


def _same_in_all(parts: BundleParts) -> None:
    """A pattern that finds the same letter in every answer and in nearly every reference."""
    _answering(_most_frequent_answer, "exact")(parts)
    parts.lock["evaluation"]["metric"] = {"kind": "regex", "pattern": "e"}
    parts.rescore()


def _every_reference(parts: BundleParts) -> None:
    """Each case takes every answer to its question for right, and the adapter gives one of them."""
    _answering(_most_frequent_answer, "exact")(parts)
    said = {}
    for case in parts.cases:
        asked = case["messages"][0]["content"][-1]["text"]
        case["references"] = sorted(set(ANSWERS[asked]))
        said[digest.of_value(case)] = ANSWERS[asked][0]
    parts.declare(parts.cases)
    for item in parts.predictions:
        item["adapter"]["output"] = said[item["case"]]
        item["base"]["output"] = item["blind"]["output"] = "nothing"
    parts.rescore()


def _edit_figure(parts: BundleParts) -> None:
    _answering(_most_frequent_answer, "pope")(parts)
    parts.evaluation["figures"][0]["adapter"] = "0.99"


def _edit_clusters(parts: BundleParts) -> None:
    """As if each question had a picture of its own, where two share one."""
    one, *others = parts.cases
    asked = one["messages"][0]["content"][1]["text"]
    other = next(c for c in others if c["messages"][0]["content"][1]["text"] != asked)
    other["images"] = copy.deepcopy(one["images"])
    parts.declare(parts.cases)
    parts.evaluation["clustered"].update(clusters=parts.evaluation["cases"], largest=1)
    parts.evaluation["clustered"]["adapter"] = {
        "design_effect": "1", **{end: parts.evaluation["adapter"]["interval"][end] for end in ENDS}
    }  # fmt: skip


def _few_cases(parts: BundleParts) -> None:
    parts.declare(parts.cases[:49])


def _edit_reference(parts: BundleParts) -> None:
    parts.cases[0]["messages"][-1]["content"][0]["text"] = "easy"


def _edit_reference_everywhere(parts: BundleParts) -> None:
    old = digest.of_value(parts.cases[0])
    _edit_reference(parts)
    new = digest.of_value(parts.cases[0])
    for item in (*parts.snapshot_rows, *parts.predictions):
        for key in ("capture", "case"):
            if item.get(key) == old:
                item[key] = new
    parts.snapshot_rows.sort(key=lambda item: item["capture"])
    parts.predictions.sort(key=lambda item: item["case"])
    parts.rescore()


def _drop_prediction(parts: BundleParts) -> None:
    del parts.predictions[0]


def _drop_case(parts: BundleParts) -> None:
    case = digest.of_value(parts.cases.pop(0))
    parts.predictions = [item for item in parts.predictions if item["case"] != case]
    parts.rescore()


def _never_declared(parts: BundleParts) -> None:
    """Leave a hard case out of the snapshot before anything was sealed."""
    parts.declare(parts.cases[1:])


def _declared_often(parts: BundleParts) -> None:
    """One easy case many times, under other sources."""
    easy = parts.cases[0]
    sources = ({**easy["source"], "name": f"toy {number}"} for number in range(20))
    parts.declare([*parts.cases, *({**easy, "source": source} for source in sources)])


def _spelt_often(parts: BundleParts) -> None:
    """One easy case many times, in spellings that a person reads as one."""
    easy = parts.cases[0]
    marks = ("\u200b", "?", "??", " ?", "\u00ad", "\ufe0f", ".", "\u2060")

    def spelt(mark: str) -> Row:
        case = copy.deepcopy(easy)
        case["messages"][0]["content"][1]["text"] += mark
        return case

    parts.declare([*parts.cases, *map(spelt, marks)])


def _drawn_until_it_suits(parts: BundleParts) -> None:
    """A hash split: a word in a source is changed until all easy cases are drawn.

    They are questions about two pictures, so that two groups have to be drawn among the others.
    """
    first, second = parts.cases[:2]
    easy = []
    for number, case in enumerate(parts.cases):
        asked = copy.deepcopy(case)
        asked["images"] = (first, second)[number % 2]["images"]
        asked["messages"][0]["content"][1]["text"] = f"easy question {number}?"
        easy.append(asked)
    _divide(parts, easy)


def _another_pack(parts: BundleParts) -> None:
    parts.lock["evaluation"]["pack"] = digest.of_bytes(b"the buyer's pack")
    parts.snapshot["near_duplicates"]["policy"] = "refuse"


def _twins_of_the_pack(parts: BundleParts) -> None:
    """`report` leaves them where they are, and the count across the split is not demanded."""
    parts.lock["evaluation"]["pack"] = parts.pack_root()
    assert parts.snapshot["near_duplicates"]["policy"] == "report"


def _undrawn_request(parts: BundleParts) -> None:
    """As if an older bundle were the answer: seeds follow the nonce, the split does not."""
    parts.lock |= {"request": digest.of_bytes(b"a request"), "nonce": "5e" * 32}


def _unasked_nonce(parts: BundleParts) -> None:
    parts.snapshot["rule"]["nonce"] = "5e" * 32


def _joined(parts: BundleParts) -> None:
    """Nine hard pictures, and a capture that shows them all, so that none is ever drawn."""
    hard = [_trained(f"hard {number}") for number in range(9)]
    joining = _trained("joining")
    joining["images"] = [image for row in hard for image in row["images"]]
    parts.snapshot_rows += [*hard, joining]
    _divide(parts, parts.cases[:2], joining=joining)


def _trained(name: str) -> Row:
    invented = {key: digest.of_bytes(f"{name} {key}".encode()) for key in ("file", "pixels")}
    capture = digest.of_bytes(name.encode())
    return {"capture": capture, "images": [invented], "split": "train"}


def _divide(parts: BundleParts, easy: list[Row], *, joining: Row | None = None) -> None:
    """Make the snapshot one that kolm divides, with these cases as its eval side."""
    rule = {"eval": "0.1", "kind": "hash", "validation": "0"}
    for kept in parts.snapshot_rows:
        kept["split"] = kept["split"].replace("validation", "train")
    for number in range(10_000):
        sources = ({**case["source"], "name": f"toy {number}"} for case in easy)
        cases = [{**case, "source": source} for case, source in zip(easy, sources, strict=True)]
        sides = _drawn(parts, cases, rule, joining)
        held = sum(side == "eval" for side in sides.values())
        if held == len(cases) and all(sides[digest.of_value(case)] == "eval" for case in cases):
            parts.declare(cases)
            parts.snapshot["rule"] = rule
            return
    raise AssertionError("no draw held out the easy cases")


def _drawn(
    parts: BundleParts, cases: list[Row], rule: Row, joining: Row | None
) -> dict[digest.Digest, Placed]:
    kept = [row for row in parts.snapshot_rows if row["split"] == "train"]
    rows = [*kept, *(toy_documents.make_snapshot_row(case, "eval") for case in cases)]
    wanted = Decimal(len(cases)) - Decimal("0.5")  # reached by the last of them
    rule["eval"] = canonical.decimal(wanted / (len(rows) - (joining is not None)))
    members = [
        Member(
            id=row["capture"],
            images=tuple((image["file"], image["pixels"]) for image in row["images"]),
            split=None,
        )
        for row in rows
    ]
    placed = assign(Captures.of(members), rule_of({**parts.snapshot, "rule": rule}))
    sides = {member.id: side for member, side in zip(members, placed, strict=True)}
    assert joining is None or sides[joining["capture"]] == "none"
    return sides


def _set_aside(parts: BundleParts) -> None:
    """A capture that was trained on, on no side, as if it had joined too much."""
    aside = next(item for item in parts.snapshot_rows if item["split"] == "validation")
    aside["split"] = "none"
    parts.snapshot["splits"] = toy_documents.make_snapshot(parts.snapshot_rows)["splits"]


def _tagged_often(parts: BundleParts) -> None:
    """A case that counts several times in the slice of its tag."""
    first, *rest = parts.cases
    parts.declare([{**first, "tags": first["tags"] * 8}, *rest])


def _unstated_side(parts: BundleParts) -> None:
    parts.declare([{**case, "split": None} for case in parts.cases])


def _cut_early(parts: BundleParts) -> None:
    """The base's answers, cut after one token of many: it then looks worse than it is."""
    for item in parts.predictions:
        item["base"].update(finish="length", tokens=1, output="a")
    parts.rescore()


def _one_batch(parts: BundleParts) -> None:
    for item in parts.predictions:
        item["batch"] = 0


def _trained_longer(parts: BundleParts) -> None:
    """Half the steps in the lock, and early stopping as the excuse for others."""
    parts.keep_trace()
    train = parts.lock["train"]
    train.update(
        validation={"every_steps": 1, "answers": None},
        early_stopping={"patience": 1, "on": "loss"},
        segments=1,
        steps=2,
    )


def _edit_accuracy(parts: BundleParts) -> None:
    parts.evaluation["base"]["accuracy"] = "0"


def _leak(parts: BundleParts) -> None:
    held = next(item for item in parts.snapshot_rows if item["split"] == "eval")
    used = next(item for item in parts.snapshot_rows if item["split"] == "train")
    used["images"] = [dict(held["images"][0])]
    parts.snapshot["images"] -= 1


def _leak_hidden(parts: BundleParts) -> None:
    """The training capture shows the eval picture, its leaf names invented digests."""
    used = next(item for item in parts.snapshot_rows if item["split"] == "train")
    used["images"][0]["pixels"] = digest.of_bytes(b"invented")


def leaking_capture(parts: BundleParts) -> Row:
    """The first training capture, had it shown an eval picture."""
    shown = copy.deepcopy(parts.cases[0]["images"])
    return toy_documents.make_capture(len(parts.cases), "train") | {"images": shown}


def held_out_capture(parts: BundleParts) -> Row:
    """The first training capture, had its makers held it out."""
    return toy_documents.make_capture(len(parts.cases), "eval")


def _trained_on(parts: BundleParts, capture: Row) -> Row:
    """Put another capture in the place of the first of training; its line names the same."""
    old = digest.of_value(toy_documents.make_capture(len(parts.cases), "train"))
    line = next(item for item in parts.snapshot_rows if item["capture"] == old)
    line["capture"] = digest.of_value(capture)
    parts.snapshot_rows.sort(key=lambda item: item["capture"])
    return line


def _leak_behind_another(parts: BundleParts) -> None:
    """The line names the pictures of another training capture."""
    line = _trained_on(parts, leaking_capture(parts))
    other = next(r for r in parts.snapshot_rows if r["split"] == "train" and r is not line)
    line["images"] = copy.deepcopy(other["images"])
    made = toy_documents.make_snapshot(parts.snapshot_rows)
    parts.snapshot |= {key: made[key] for key in ("images", "splits")}


def _held_out_and_trained_on(parts: BundleParts) -> None:
    _trained_on(parts, held_out_capture(parts))


def _relabel_base(parts: BundleParts) -> None:
    parts.lock["base"]["root"] = digest.of_bytes(b"another base")


def _template(source: str) -> Callable[[BundleParts], None]:
    def change(parts: BundleParts) -> None:
        said = {"digest": digest.of_bytes(b"another template"), "source": source}
        parts.lock["base"]["template"] = said

    return change


def _lock_without_receipt(parts: BundleParts) -> None:
    parts.overrides["receipt.json"] = parts.receipt()
    parts.lock["train"]["learning_rate"] = "0.01"


def _lock_everywhere(parts: BundleParts) -> None:
    parts.lock["train"]["learning_rate"] = "0.01"


def _seed(parts: BundleParts) -> None:
    parts.members()
    seeds = {**parts.lock["seeds"], "initialisation": digest.of_bytes(b"lucky")}
    parts.overrides["spec.lock.json"] = canonical.dumps({**parts.lock, "seeds": seeds})


def _rate(parts: BundleParts) -> None:
    rates = {"source": "recommended", "recommended": "0.123", "reason": "usual"}
    parts.lock["rates"] = rates


def _training_root(parts: BundleParts) -> None:
    parts.members()
    lock = {**parts.lock, "data": {**parts.lock["data"], "training": digest.of_bytes(b"lucky")}}
    parts.overrides["spec.lock.json"] = canonical.dumps({**lock, "seeds": derive_seeds(lock)})


def _continues(parts: BundleParts) -> None:
    said = {"chain": digest.of_bytes(b"a chain"), "state": digest.of_bytes(b"a state")}
    parts.keep_trace()
    parts.lock["train"]["continues"] = said


def _trace_step(parts: BundleParts) -> None:
    parts.trace = [item for item in parts.trace if item.get("step") != 2 or "state" in item]


def _trace_positions(parts: BundleParts) -> None:
    """Beyond the last of the train lines there is nothing but what was held out."""
    train = sum(item["split"] == "train" for item in parts.snapshot_rows)
    _first_step(parts)["positions"][0] = train


def _trace_loss(parts: BundleParts) -> None:
    _first_step(parts)["loss"] = "0.001"


def _step_field(field: str, value: Any) -> Callable[[BundleParts], None]:
    return lambda parts: _first_step(parts).update({field: value})


def _one_capture(parts: BundleParts) -> None:
    for item in parts.trace:
        if item["kind"] == "step":
            item["positions"] = [0] * len(item["positions"])


def _moved_checkpoint(parts: BundleParts) -> None:
    place = next(n for n, r in enumerate(parts.trace) if r["kind"] == "checkpoint" and r["step"])
    step = parts.trace[place - 1]
    parts.trace[place - 1 : place + 1] = [{**parts.trace[place], "step": step["step"] - 1}, step]


def _trace_score(parts: BundleParts) -> None:
    answers = {"cases": 64, "max_new_tokens": 4, "metric": {"kind": "exact"}}
    parts.lock["train"]["validation"] = {"every_steps": 1, "answers": answers}
    parts.follow()
    look = next(row for row in parts.trace if row["kind"] == "validation")
    look["answers"]["score"] = "0.999"


def _stopped_without_reason(parts: BundleParts) -> None:
    """Early stopping is on, its losses fall, and the run ends at its first boundary."""
    parts.lock["train"]["validation"] = {"every_steps": 1, "answers": None}
    parts.lock["train"]["early_stopping"] = {"patience": 2, "on": "loss"}
    parts.follow()
    first = next(n for n, r in enumerate(parts.trace) if r["kind"] == "checkpoint" and r["step"])
    del parts.trace[first + 1 :]
    for item in parts.modules:
        for part in item["adapter"]:
            part["gradient_steps"] = parts.trace[first]["step"]


def _hard_examples_dropped(parts: BundleParts) -> None:
    parts.examples[0] = dropped_row("train", "too_many_images")


def _too_long(parts: BundleParts) -> None:
    parts.examples[0]["tokens"] = parts.lock["train"]["max_seq_length"] + 1


def _no_pictures(parts: BundleParts) -> None:
    del parts.examples[0]["image_tokens"]


def _lengths(parts: BundleParts) -> None:
    """Other lengths make other batches; the trace follows them."""
    for number, example in enumerate(parts.examples):
        example["tokens"] += 1 + 7 * number % 5


def _first_step(parts: BundleParts) -> Row:
    return next(item for item in parts.trace if item["kind"] == "step")


def _checkpoint(parts: BundleParts) -> None:
    parts.trace[-1]["state"] = digest.of_bytes(b"another run")


def _checkpoint_rechained(parts: BundleParts) -> None:
    link: digest.Digest | None = None
    for item in parts.trace:
        if item["kind"] == "checkpoint":
            item["state"] = digest.of_bytes(f"another run {item['step']}".encode())
            link = item["state"] if link is None else digest.chain(link, item["state"])
            item["chain"] = link


def _json(data: bytes) -> Callable[[BundleParts], None]:
    def forge(parts: BundleParts) -> None:
        parts.overrides["evaluation.json"] = data

    return forge


def _spaced(parts: BundleParts) -> None:
    data = canonical.dumps(parts.evaluation)
    parts.overrides["evaluation.json"] = data.replace(b",", b", ", 1)


def _card(parts: BundleParts) -> None:
    parts.overrides["README.md"] = b"# state of the art\n"


def _nothing(parts: BundleParts) -> None:
    """The forgery lies in the past: every record is consistent, and somebody must sign it."""


EXABYTE = b"77777777777"
QUADRATIC = b"[" + b"[]," * 40 + b'"' + b'\\"' * 400_000  # a string of quotes that never closes


def _pair(name: str, check: str, parts: Callable[[BundleParts], None]) -> Forgery:
    """One that starts from a bundle that learned from pairs."""
    return Forgery(name, (check,), parts=parts, method=PAIRS)


FORGERIES = (
    Forgery("a flipped bit in a member", ("V03",), file=_flip),
    Forgery("a member's blob removed", ("V04",), file=_edit(lambda e: e.pop())),
    Forgery(
        "a blob added",
        ("V04",),
        file=_edit(lambda e: e.append((tar.blob_name(digest.hex_of(digest.of_bytes(b"x"))), b"x"))),
    ),
    Forgery("a member renamed", ("V04",), file=_manifest(_rename)),
    Forgery("a member named twice", ("V04",), file=_manifest(_member_twice)),
    Forgery("one blob under many names", ("V04",), file=_manifest(_many_names)),
    Forgery("an entry duplicated", ("V04",), file=_edit(lambda e: e.append(e[-1]))),
    Forgery("entries reordered", ("V04",), file=_edit(lambda e: e.insert(4, e.pop()))),
    Forgery("bytes after the end", ("V01",), file=_bytes(lambda d: d + bytes(512))),
    Forgery("bytes before the start", (), file=_bytes(lambda d: b"#!" + d), unreadable=True),
    Forgery("bytes in the padding", ("V01",), file=_bytes(lambda d: d[:-1025] + b"x" + d[-1024:])),
    Forgery("an entry that is a link", ("V01",), file=_bytes(_header(156, b"2"))),
    Forgery("an entry that is a device", ("V01",), file=_bytes(_header(156, b"3"))),
    Forgery("an entry with a path", ("V01",), file=_bytes(_header(0, b"../../etc/passwd\0"))),
    Forgery("a size that the descriptor does not state", ("V03",), file=_manifest(_wrong_size)),
    Forgery("a size field of terabytes", ("V01",), file=_bytes(_header(124, EXABYTE))),
    Forgery("a second manifest", ("V04",), file=_edit(_second_manifest)),
    Forgery(
        "an artifact type that is no text",
        (),
        file=_manifest(_artifact_of_no_name),
        unreadable=True,
    ),
    Forgery(
        "a claim about another modules list",
        ("V16",),
        claims=_say(predicates.MODULES, "modules", value=digest.of_bytes(b"other")),
    ),
    Forgery(
        "the words 'projector frozen' over a trained projector",
        ("V16",),
        claims=_say(predicates.MODULES, "words", value=["projector frozen"]),
    ),
    Forgery(
        "a role left out of the words",
        ("V16",),
        claims=_say(predicates.MODULES, "words", value=["vision frozen"]),
    ),
    Forgery(
        "fewer operations counted than lock, examples and trace give", ("V56",),
        claims=_count(language="1000"),
    ),
    Forgery(
        "a base's training compute that the lock does not declare", ("V56",),
        claims=_say(predicates.COMPUTE, "modifier_test", "base_flops", value="1" + 24 * "0"),
    ),
    Forgery(
        "two answers behind one prompt where there is one answer", ("V56",),
        claims=_say(predicates.COMPUTE, "shared_prompts", value=True),
    ),
    Forgery(
        "more processes than batches of a step can be shared among", ("V56",),
        claims=_say(predicates.COMPUTE, "measured", "processes", value=4093),
    ),
    Forgery(
        "the tower's operations left out of the count", ("V56",), claims=_count(tower="0"),
    ),
    Forgery(
        "fewer of the tower's operations counted than there were", (), claims=_count(tower="1"),
        only_by="rescore",
    ),
    Forgery(
        "a training that went on after a step that it does not have", ("V56",),
        claims=_say(predicates.COMPUTE, "measured", "from_step", value=99),
    ),
    Forgery(
        "energy by the meter of a card where the CPU computed", ("V56",),
        claims=_say(
            predicates.COMPUTE, "measured", "energy", value={"joules": "5", "meters": ["nvml"]}
        ),
    ),
    Forgery(
        "a training said to take less energy and time", (),
        claims=_say(predicates.COMPUTE, "measured", "seconds", value="1"),
        why="it is a measurement of the signer's machine",
    ),
    Forgery(
        "a builder that promises SLSA Build L3",
        ("V17",),
        claims=_say(
            predicates.PROVENANCE, "runDetails", "builder", "id",
            value="https://slsa.dev/builders/hosted@Build_L3",
        ),
    ),
    Forgery(
        "a test result that passes K where the K-score does not",
        ("V18",),
        parts=_k_misses,
        claims=_k_passed,
    ),
    Forgery(
        "a K-score from before the build",
        ("V18",),
        claims=_say(predicates.KSCORE, "measured_on", value="2025-12-31T23:59:59Z"),
    ),
    Forgery("an audit of another bundle", ("V12",), claims=_another_audit),
    Forgery(
        "a cost of 0 where the lock has a price",
        ("V35",),
        parts=_price,
        claims=_say(predicates.KSCORE, "inputs", "cost_usd_per_call", value="0"),
    ),
    Forgery(
        "K edited",
        ("V36",),
        claims=_say(predicates.KSCORE, "composite", value="0.9999"),
    ),
    Forgery(
        "accuracy edited in the K-score",
        ("V35",),
        claims=_say(predicates.KSCORE, "inputs", "accuracy", value="0.5"),
    ),
    Forgery(
        "the gate edited",
        ("V37",),
        claims=_say(predicates.KSCORE, "gate", "k", value="0.1"),
    ),
    Forgery(
        "latency edited",
        ("V36",),
        claims=_say(predicates.KSCORE, "inputs", "p50_latency_us", value=1),
    ),
    Forgery(
        "a latency that was never measured, K computed again",
        (),
        claims=_invent_latency,
        why="it is a measurement of the signer's machine; measure on one's own with kolm eval",
    ),
    Forgery("LoRA on the vision tower", ("V22",), parts=lambda p: _delta(p, QKV, listed=False)),
    Forgery(
        "LoRA on the vision tower, modules.jsonl edited to match",
        ("V22",),
        parts=lambda p: _delta(p, QKV, listed=True),
    ),
    Forgery(
        "LoRA on the vision tower, listed under the language role",
        ("V21", "V22"),
        parts=lambda p: _delta(p, QKV, listed=True, role="language"),
    ),
    Forgery("the projector trained but declared frozen", ("V24",), parts=_projector_frozen),
    Forgery(
        "the projector trained but declared frozen, modules.jsonl edited to match",
        ("V24",),
        parts=_projector_hidden,
    ),
    Forgery(
        "the projector trained in full by the lock, and left alone", ("V24",), parts=_projector_left
    ),
    Forgery("LoRA on a projector that the lock keeps frozen", ("V22",), parts=_projector_adapted),
    Forgery(
        "a vision tower hidden behind a family of text alone, every record to match", (),
        parts=text_alone, only_by="base",
    ),
    Forgery("the blind run left out", ("V31",), parts=_not_blind),
    Forgery("eight processes said to have trained on the CPU", ("V08",), parts=_eight_processes),
    Forgery("the vision tower said to be none", ("V28",), parts=_no_tower),
    Forgery("a weight of the vision tower in 4 bits", ("V28",), parts=_in_4_bits),
    Forgery("moments in 8 bits of an optimizer that has none", ("V29",), parts=_moments_in_8_bits),
    Forgery(
        "counts of moments in 8 bits edited in the receipt", ("V28",),
        parts=_moments_counted_otherwise,
    ),
    Forgery(
        "an accelerator named where the CPU computed", ("V08",), parts=_accelerator_beside_the_cpu
    ),
    Forgery(
        "no accelerator named where one computed", ("V08",), parts=_device_without_an_accelerator
    ),
    Forgery("an optimizer of an unnamed library", ("V08",), parts=_optimizer_of_no_library),
    Forgery(
        "a bottleneck on the vision tower", ("V22",), parts=_bottleneck_on_the_tower,
        method="bottleneck",
    ),
    Forgery("virtual tokens of zeros", ("V27",), parts=_zeros, method="prompt"),
    Forgery(
        "virtual tokens of denormals", ("V27",), parts=_scaled_prompt(2.0**-140), method="prompt"
    ),
    Forgery(
        "more virtual tokens than the lock has", ("V23",), parts=_longer_prompt, method="prompt"
    ),
    Forgery(
        "virtual tokens listed under an attention layer", ("V22",), parts=_prompt_elsewhere,
        method="prompt",
    ),
    Forgery(
        "a prompt before pictures said to be before text alone", ("V28",), parts=_prompt_for_text,
        method="prompt",
    ),
    Forgery(
        "virtual tokens in place of the network that makes them", ("V22", "V23"),
        parts=_network_left_out, method="p_tuning",
    ),
    Forgery(
        "a last layer of zeros in the network that makes virtual tokens", ("V27",),
        parts=_network_of_no_output, method="p_tuning",
    ),
    Forgery("a whole base tensor smuggled in", ("V24",), parts=_smuggle),
    Forgery("lora_alpha raised in the config", ("V25",), parts=_config(lora_alpha=64)),
    Forgery("layer_replication", ("V25",), parts=_config(layer_replication=[[0, 2], [0, 2]])),
    Forgery("auto_mapping to other code", ("V25",), parts=_config(auto_mapping={"x": "evil"})),
    Forgery("a trainable module missing from the list", ("V22",), parts=_unlisted),
    Forgery(
        "a frozen module missing from list and counts", (), parts=_hidden_frozen, only_by="base"
    ),
    Forgery("a frozen module that no base has", (), parts=_invented_block, only_by="base"),
    Forgery("two modules that are one tensor of the base", ("V21",), parts=_two_for_one_key),
    Forgery("an adapter of zeros", ("V27",), parts=_zeros),
    Forgery("an adapter whose products cancel out", ("V27",), parts=_cancelling),
    Forgery("an adapter of denormals", ("V27",), parts=_scaled_factors(2.0**-140)),
    Forgery(
        "an adapter whose products underflow", ("V27",), parts=_scaled_factors(2.0**-70)
    ),
    Forgery("deltas below half an ulp of the base", ("V27",), parts=_scaled_factors(1e-5)),
    Forgery(
        "deltas below half an ulp, and norms of the base's weights understated",
        (),
        parts=_understated_norms,
        only_by="base",
    ),
    Forgery(
        "a projector that differs from the base's by a rounding, and deltas below half an ulp",
        (),
        parts=_rounded_projector,
        only_by="base",
    ),
    Forgery("a norm for a frozen module", ("V29",), parts=_norm_of_a_frozen_module),
    Forgery("parameters in another order", ("V21",), parts=_swapped("parameters")),
    Forgery("a module's adapter tensors in another order", ("V21",), parts=_swapped("adapter")),
    Forgery("a test result that names one member twice", ("V18",), claims=_test_twice),
    Forgery("weights of 3e38", ("V26",), parts=_scaled_factors(3e38)),
    Forgery("a lora_B that did not begin at zero", ("V29",), parts=_not_fresh),
    Forgery("a projector that did not begin as the base's", ("V29",), parts=_other_projector),
    Forgery("targets in another order", ("V08",), parts=_targets_unordered),
    Forgery("a file of the base that is a path", ("V08",), parts=_path_in_base),
    Forgery("NaN weights", ("V26",), parts=_nan),
    Forgery("a delta without one of its factors", ("V23",), parts=_half_delta),
    Forgery("an adapter tensor listed twice", ("V29",), parts=_listed_twice),
    Forgery("a pattern in the lock that is none", ("V28",), parts=_pattern("("), method="ia3"),
    Forgery(
        "a pattern in the lock that takes hours",
        ("V28",),
        parts=_pattern("([a-z0-9_.]+)+!"),
        method="ia3",
    ),
    Forgery("IA3 vectors of ones", ("V27",), parts=_vectors(1), method="ia3"),
    Forgery("IA3 vectors below one ulp from 1", ("V27",), parts=_vectors(1 - 2**-24), method="ia3"),
    Forgery("IA3 vectors of the wrong side", ("V23",), parts=_other_side, method="ia3"),
    Forgery("IA3 on the vision tower", ("V22",), parts=_vector_on_the_tower, method="ia3"),
    Forgery(
        "LoRA's tensors under IA3",
        ("V22", "V23"),
        parts=_renamed_parts(".ia3_l", ".lora_A.weight"),
        method="ia3",
    ),
    Forgery("IA3's tensors under LoRA", ("V22", "V23"), parts=_other_kind, method="ia3"),
    Forgery("an output edited", ("V32",), parts=_edit_output),
    Forgery(
        "outputs edited and everything computed again",
        (),
        parts=_edit_outputs_and_scores,
        only_by="rescore",
    ),
    Forgery("a reference answer edited", ("V30",), parts=_edit_reference),
    Forgery(
        "a reference answer edited before the snapshot",
        (),
        parts=_edit_reference_everywhere,
        only_by="captures",
    ),
    Forgery("a prediction dropped", ("V31",), parts=_drop_prediction),
    Forgery("a case dropped", ("V30", "V31"), parts=_drop_case),
    Forgery(
        "a hard case never declared",
        (),
        parts=_never_declared,
        why="what is not declared leaves no trace; a policy can demand the root of a known pack",
    ),
    Forgery("an easy case declared many times", ("V30",), parts=_declared_often),
    Forgery("a case declared in many spellings that look the same", ("V30",), parts=_spelt_often),
    Forgery("a case's tag written many times", ("V30",), parts=_tagged_often),
    Forgery("eval cases chosen under an official split", ("V30",), parts=_unstated_side),
    Forgery("cases that are not the pack which the lock names", ("V08",), parts=_another_pack),
    Forgery("a pack whose near twins may be in training", ("V08",), parts=_twins_of_the_pack),
    Forgery("a request named that did not draw the split", ("V08",), parts=_undrawn_request),
    Forgery("a request's nonce over a split that nobody asked for", ("V08",), parts=_unasked_nonce),
    Forgery("a capture that joins the hard pictures", ("V34",), parts=_joined),
    Forgery("a capture put on no side", ("V34",), parts=_set_aside),
    Forgery(
        "captures changed until the draw holds out easy ones",
        (),
        parts=_drawn_until_it_suits,
        why="the tries leave no trace; a policy can demand the root of a known pack",
    ),
    Forgery("the base's answers cut early", ("V31",), parts=_cut_early),
    Forgery("all cases in one batch", ("V31",), parts=_one_batch),
    Forgery("accuracy edited", ("V33",), parts=_edit_accuracy),
    Forgery(
        "an evaluation that its scores do not give, text withheld",
        ("V33",),
        parts=_withheld_lie,
        open_=("V62",),
    ),
    Forgery(
        "scores that their outputs do not give, text withheld",
        (),
        parts=_withheld_scores,
        open_=("V62", "V65"),
        only_by="captures",
    ),
    Forgery("silence that is right, text withheld", ("V32",), parts=_withheld_silence),
    Forgery("no case declared, text withheld", ("V31",), parts=_nothing_declared),
    Forgery("floors that demand nothing", ("V62",), parts=_floors_of_nothing),
    Forgery("an adapter that does as well without pictures", ("V62",), parts=_blind_guesses),
    Forgery("an adapter that lists every answer", ("V62",), parts=_lists_every_answer),
    Forgery(
        "an adapter that lists every answer to its question",
        ("V62",),
        parts=_answering(_all_answers),
    ),
    Forgery(
        "an adapter that lists the frequent answers to its question",
        ("V62",),
        parts=_answering(_frequent_answers),
    ),
    Forgery(
        "an adapter that gives the most frequent answer to its question",
        ("V62",),
        parts=_answering(_most_frequent_answer, "exact"),
    ),
    Forgery(
        "an adapter that lists the half of the answers in which the right one is",
        (),
        parts=_answering(_half_with_the_right_one),
        why="that much it has learned from the pictures; a policy can demand a metric that takes "
        "one answer, such as exact",
    ),
    Forgery(
        "an adapter that lists every answer to its question, each asked in words of its own",
        (),
        parts=_answering(_all_answers, numbered=True),
        why="no two cases ask the same; a policy can demand the root of a known pack",
    ),
    Forgery("a pattern that finds the same in every answer", ("V62",), parts=_same_in_all),
    Forgery(
        "further references that list every answer to the question",
        ("V62",),
        parts=_every_reference,
    ),
    Forgery("a figure that its answers do not give", ("V33",), parts=_edit_figure),
    Forgery(
        "an interval that takes each question's picture for another",
        ("V33",),
        parts=_edit_clusters,
    ),
    Forgery("fewer cases than an auditor needs", ("V62",), parts=_few_cases),
    Forgery("an eval image also in training", ("V39",), parts=_leak),
    Forgery(
        "an eval image also in training, its digests invented",
        (),
        parts=_leak_hidden,
        only_by="captures",
    ),
    Forgery(
        "a training capture that shows an eval picture, its line naming another one's",
        (),
        parts=_leak_behind_another,
        only_by="captures",
    ),
    Forgery(
        "captures trained on that their makers held out, under an official split",
        (),
        parts=_held_out_and_trained_on,
        only_by="captures",
    ),
    Forgery("another base than the pinned one", (), parts=_relabel_base, only_by="base"),
    Forgery("another chat template than the base's", (), parts=_template("base"), only_by="base"),
    Forgery("a chat template that the family does not have", ("V28",), parts=_template("family")),
    Forgery("the lock edited", ("V08", "V28"), parts=_lock_without_receipt),
    Forgery(
        "the lock edited and everything computed again",
        (),
        parts=_lock_everywhere,
        only_by="replay",
    ),
    Forgery("a seed chosen", ("V08",), parts=_seed),
    Forgery(
        "a learning rate that was chosen, and a lock that says the recommended one was taken",
        ("V08",),
        parts=_rate,
    ),
    Forgery(
        "seeds that follow from other captures than those of the snapshot",
        ("V08",),
        parts=_training_root,
    ),
    Forgery(
        "an earlier training named that the trace does not go on from",
        ("V08",),
        parts=_continues,
    ),
    Forgery("a step removed from the trace", ("V08",), parts=_trace_step),
    Forgery("training longer than the lock allows", ("V08",), parts=_trained_longer),
    Forgery("a step on an eval case", ("V08",), parts=_trace_positions),
    Forgery(
        "a learning rate of 1000 in the trace", ("V08",),
        parts=_step_field("learning_rate", "1000"),
    ),
    Forgery(
        "label tokens that the step's captures do not have", ("V08",),
        parts=_step_field("label_tokens", 1),
    ),
    Forgery("one capture at every step", ("V08",), parts=_one_capture),
    Forgery("a checkpoint moved off its boundary", ("V08",), parts=_moved_checkpoint),
    Forgery("a run that stopped early for no reason", ("V08",), parts=_stopped_without_reason),
    Forgery(
        "a capture dropped for a reason that its pictures deny", ("V08",),
        parts=_hard_examples_dropped,
    ),
    Forgery("an example longer than the lock allows", ("V08",), parts=_too_long),
    Forgery("a capture whose pictures took no token", ("V08",), parts=_no_pictures),
    Forgery(
        "lengths that put the examples in another order, everything computed again", (),
        parts=_lengths, only_by="rescore",
    ),
    Forgery("a loss edited in the trace", (), parts=_trace_loss, only_by="replay"),
    Forgery(
        "a score of the validation side edited in the trace", (),
        parts=_trace_score, only_by="replay",
    ),
    Forgery("a checkpoint of another run", ("V08",), parts=_checkpoint),
    Forgery("a checkpoint that the run never made", ("V08",), parts=_invented_checkpoint),
    Forgery(
        "a published checkpoint with more updates than steps", ("V08",),
        parts=_published(_counted("updates", 3), step=2),
    ),
    Forgery(
        "a published checkpoint with other counts of gradients than modules.jsonl", ("V08",),
        parts=_published(_counted("gradient_steps", 3), step=4),
    ),
    Forgery(
        "a state of early stopping that the losses do not give", ("V08",),
        parts=_published(_patient, step=4),
    ),
    Forgery(
        "a first checkpoint of an adapter that was trained before", ("V08",),
        parts=_published(_other_weights, step=0),
    ),
    Forgery(
        "a last checkpoint of another adapter", ("V08",),
        parts=_published(_other_weights, step=4),
    ),
    Forgery(
        "a file hidden in a checkpoint", ("V08",),
        parts=_published(lambda _, state: state.update(payload=floats("any", (9,))), step=2),
    ),
    Forgery("a file hidden as a picture of the eval set", ("V08",), parts=_hidden_payload),
    Forgery(
        "checkpoints of another run, chained again", (), parts=_checkpoint_rechained,
        only_by="replay",
    ),
    Forgery(
        "training that starts from an adapter already trained on the eval set",
        (),
        parts=_nothing,
        only_by="replay",
        needs_key=True,
    ),
    Forgery(
        "an example of two answers where one was learned", ("V08",),
        parts=pairs.pair_under_sft,
    ),
    _pair("an example of one answer where pairs were learned", "V08", pairs.one_answer),
    _pair("two answers behind different prompts", "V08", pairs.two_prompts),
    _pair("facts of a step left out", "V08", pairs.no_facts),
    _pair("a margin that is not the difference of its rewards", "V08", pairs.facts(2, margin="77")),
    _pair("more preferred pairs than a step read", "V08", pairs.facts(2, preferred=99)),
    _pair("pairs told apart while none is preferred", "V08", pairs.facts(2, preferred=0)),
    _pair(
        "rewards before anything was learned",
        "V08",
        pairs.facts(0, chosen_reward="5.5", rejected_reward="5", margin="0.5", preferred=2),
    ),
    _pair("a loss that no pairs of its margin have", "V08", pairs.low_loss),
    _pair("a first loss that nothing begins with", "V08", pairs.high_loss),
    _pair("a loss of one pair that its rewards do not give", "V08", pairs.alone),
    _pair("a last segment of better pairs than the trace has", "V28", pairs.receipt),
    Forgery(
        "loss and facts of a step invented to agree",
        (),
        parts=pairs.invented_step,
        only_by="replay",
        method=PAIRS,
    ),
    _pair("a preference accuracy that its rows do not give", "V33", pairs.accuracy),
    _pair("a preference margin that its rows do not give", "V33", pairs.margin),
    _pair("a likelihood of an eval case edited", "V33", pairs.likelihood),
    _pair("the likelihoods of an eval case left out", "V31", pairs.unmeasured),
    _pair("likelihoods of an eval case with one answer", "V31", pairs.measured_without_pair),
    Forgery(
        "likelihoods of the eval cases invented, everything computed again",
        (),
        parts=pairs.invented_likelihoods,
        only_by="rescore",
        method=PAIRS,
    ),
    Forgery("JSON with a duplicate key", ("V06",), parts=_json(b'{"a":1,"a":2}')),
    Forgery("JSON with NaN", ("V06",), parts=_json(b'{"a":NaN}')),
    Forgery("JSON of 10,000 levels", ("V06",), parts=_json(b"[" * 10_000 + b"]" * 10_000)),
    Forgery("JSON that a careless scan reads for hours", ("V06",), parts=_json(QUADRATIC)),
    Forgery("JSON in a second spelling", ("V07",), parts=_spaced),
    Forgery("a model card that says something else", ("V08",), parts=_card),
)  # fmt: skip

"""What the tables of a version say: members, limits, schemas, the file's form, families, methods.

They are read before a bundle's version is known, or by the names that its lock states; a second
version that says otherwise brings a table of its own. A new family, method or objective is new
lines here, and changes none.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

from kolm import canonical, digest, methods
from kolm.bundle import layout, limits, manifest, members, tar, tensor_writer, tensors
from kolm.errors import KolmError
from kolm.methods.method import StoredTensor
from kolm.methods.quantisation import quantised_modules
from kolm.objectives import OBJECTIVES
from kolm.records.codec import to_document
from kolm.roles import FAMILIES, Family
from kolm.schema import folder
from kolm.spec.options import resolve_method, resolve_quantisation

Answers = Iterator[tuple[str, Any]]
STATEMENT = base64.b64encode(b'{"predicateType":"urn:kolm:modules:v1"}').decode()
ENVELOPE = {"payload": STATEMENT, "payloadType": "application/vnd.in-toto+json"}
SEVERAL = ("checkpoint-00000001.json", "checkpoint-00000001.safetensors", f"evalimage-{'0' * 64}")


def answers() -> Answers:
    """Each table's lines, by a name."""
    kinds = (members.RECEIPT_KIND, *members.TABLE)
    yield (
        "members",
        [[*kind[:2], kind.content.value, kind.limit.value, *kind[4:]] for kind in kinds],
    )
    yield "limits", {k: v.value for k, v in vars(limits).items() if isinstance(v, limits.Limit)}
    yield "container", [*_container([kind.name for kind in kinds if not kind.several])]
    yield "tensors", [*_tensors()]
    documents = {str(kind.schema) for kind in kinds if kind.schema is not None}
    parts = [f"methods/{name}" for name in methods.METHODS]
    parts += [f"objectives/{name}" for name in OBJECTIVES]
    for name in (*documents, *parts):
        yield f"schema: {name}", _without_words(_schema(name))
    for name, family in FAMILIES.items():
        yield f"family: {name}", [*_family(family)]
    for kind, method in methods.METHODS.items():
        yield f"method: {kind}", [*_method(kind, method)]


def _container(names: list[str]) -> Iterator[Any]:
    described = [
        manifest.Member(name, digest.of_bytes(name.encode()), len(name))
        for name in (*names, *SEVERAL)
    ]
    subject = manifest.build_manifest(described)
    claim = {"dsseEnvelope": ENVELOPE, "mediaType": layout.CLAIM_MEDIA_TYPE}
    stored = layout.claim_of(canonical.dumps(claim), subject)
    blobs = [(member.size, member.digest) for member in described[1:]]
    yield [subject, stored.manifest, stored.predicate_type, layout.index_of(subject, [stored])]
    order = layout.blob_order(digest.of_bytes(subject), described[0].digest, [stored], blobs)
    for number, name in enumerate(layout.entry_names(order)):
        yield [name, tar.header(name, 2**number), tar.padding(number)]


def _tensors() -> Iterator[Any]:
    for dtype in ("F32", "BF16", "I64"):
        for shape in ((), (2, 3), (0,)):
            yield tensors.tensor_digest(dtype, shape, dtype.encode())
    yield tensor_writer.encode({name: ("F32", (1,), bytes(4)) for name in ("b", "a.\u00e9", "a")})


def _schema(name: str) -> Any:
    """A schema that refers to the forms of methods and metrics, of which there may be new ones."""
    return json.loads((folder() / f"{name}.schema.json").read_text())


def _without_words(part: Any) -> Any:
    """A schema without what is said to people."""
    if isinstance(part, dict):
        said = isinstance(part.get("description"), str)  # and no property of that name
        return {k: _without_words(v) for k, v in part.items() if k != "description" or not said}
    return [_without_words(item) for item in part] if isinstance(part, list) else part


def _family(family: Family) -> Iterator[Any]:
    """What the verifier asks of a family, on every name that its table has."""
    stems = [name for names in family.prefixes.values() for name in names]
    stems += [*family.spellings, *family.aliases, *family.aliases.values()]
    for stem in stems:
        for name in (
            stem,
            f"{stem}.weight",
            f"{stem}.layers.0.mlp.fc1.bias",
            f"{stem}_",
            f"x.{stem}",
        ):
            yield [name, family.role_of(name), family.checkpoint_keys(name)]
    leaves = family.lora_leaf_names
    for chosen in (leaves, leaves[:1], leaves[1:3]):
        roles = (False, True) if family.takes_pictures else (False,)
        yield [family.target_expression(chosen, vision=vision) for vision in roles]
    yield [family.model_type, family.projector_modules, family.aliases, family.papers]
    yield [family.swapped, family.parts, family.left_out, family.template_options]
    yield [family.training_templates, quantised_modules(family)]
    chosen_form = {"kind": "nf4", "double": True, "block_size": 64}
    yield to_document(resolve_quantisation(chosen_form, family))


def _method(kind: str, method: type[methods.Method]) -> Iterator[Any]:
    """What a lock's block comes to, and which deltas count."""
    yield [method.PARTS, sorted(method.STARTS.items()), method.LEAST]
    for vision in (False, True) if method.ANY_LAYER else (False,):
        block = resolve_method({"kind": kind}, FAMILIES["qwen2_5_vl"], vision=vision)
        made = methods.method_of(block)
        yield [block, made.receipt(), made.peft(), made.card()]
        for leaf in ("self_attn.q_proj", "mlp.down_proj"):
            module = f"model.language_model.layers.0.{leaf}"
            shapes = made.shapes(module, (6, 4))
            yield shapes
            for value in (0.0, 1.0, 1.0 + 2.0**-7, 1e-9, 3.0):
                factors = {
                    part: StoredTensor("F32", shape, _filled(shape, value, part in method.STARTS))
                    for part, shape in shapes.items()
                }
                yield [_counts(made, factors, norm) for norm in ("0", "1", "1000")]


def _filled(shape: tuple[int, ...], value: float, starts: bool) -> bytes:
    count = 1
    for side in shape:
        count *= side
    return struct.pack(f"<{count}f", *([value if starts else 0.5] * count))


def _counts(method: methods.Method, factors: dict[str, StoredTensor], norm: str) -> Any:
    try:
        return method.counts(factors, norm)
    except KolmError as error:
        return error.code

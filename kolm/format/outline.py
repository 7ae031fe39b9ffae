"""Format: the outline of a base: the matrices that activations go through, by their place.

Made of names and shapes of parameters alone, which a checkpoint's headers, a config or the rows of
``modules.jsonl`` give: counts of operations and predictions of memory rest on it. Torch-free.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from kolm.methods.projector import linear_layers
from kolm.roles import Family, Role, Stack

if TYPE_CHECKING:
    from kolm.records.documents import ModulesRow

# Whole names of modules, as regular expressions: docs/format/tables/compute.json has them too.
NAMES: Final[Mapping[str, str]] = {
    # The stages of a block: what attention reads, its output, the output of the rest; what the
    # rest reads is everything else.
    "read": r".*\.(?:[qkv]_proj|qkv|in_proj[a-z_]*)(?:\.linear)?",
    "output": r".*\.(?:attn\.proj|o_proj|out_proj|projection_layer)(?:\.linear)?",
    "last": r".*\.(?:down_proj|fc2|linear_fc2|w2)(?:\.linear)?",
    # An output whose attention is not over all positions of a row.
    "linear_attention": r".*(?:linear_attn|\.conv\.).*",
    # Tables from which rows are taken; nothing is multiplied with them.
    "looked_up": (
        r".*(?:embed_tokens|position(?:al)?_emb|pos_emb|class_embedding|cls_token|mask_token).*"
    ),
    "experts": r"(.*\.experts)\.(?:([0-9]+)\.)?.+",
    # Of the tower: what stands before the patches of every picture and is none of them.
    "class_token": r".*\.(?:class_embedding|cls_token)",
    # Of a tower that lays the tiles of a picture into one sequence: for each shape of pictures what
    # is added at each of its places.
    "places": r".*\.tile_embedding\.weight",
    # What makes keys and values of what the projector gives, not of the text.
    "beside": r".*\.cross_attn\.[kv]_proj",
    # Of the projector: a norm before its first matrix.
    "norm": r".*(?:norm|ln_).*",
}
(
    _READ, _OUTPUT, _LAST, _LINEAR_ATTENTION, _LOOKED_UP, _EXPERTS, _CLASS_TOKEN, _PLACES, _BESIDE,
    _NORM,
) = map(re.compile, NAMES.values())  # fmt: skip


class Matrix(NamedTuple):
    """A weight that each activation is multiplied with.

    Attributes:
        module: that owns it.
        outputs: numbers that it gives.
        inputs: numbers that it reads.
        active: the share of it that one activation meets: of a mixture's experts less than 1.
        beside: it reads what the projector gives.
    """

    module: str
    outputs: int
    inputs: int
    active: Fraction = Fraction(1)
    beside: bool = False

    @property
    def products(self) -> Fraction:
        """Multiplications for one activation."""
        return self.outputs * self.inputs * self.active


class Block(NamedTuple):
    """One of a stack's blocks.

    Attributes:
        stages: its matrices in the order in which they are reached.
        attention: numbers that attention gives for a position; 0 where there is none over all
            positions.
    """

    stages: tuple[tuple[Matrix, ...], ...]
    attention: int

    @property
    def beside(self) -> bool:
        """Whether it attends to pictures and not to the text; rows without any skip it."""
        return any(matrix.beside for matrix in self.stages[0])

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """All of them."""
        return tuple(matrix for stage in self.stages for matrix in stage)


class Outline(NamedTuple):
    """What of a base counts.

    Attributes:
        parameters: elements by role; those of the token embeddings by themselves, as
            ``embeddings``, with a head that shares them.
        hidden: width of the language role.
        vocabulary: tokens that the head can write.
        blocks: of the language role.
        around: matrices of the language role outside its blocks.
        projector: its matrices, by name.
        projector_layers: those of them that are linear layers, to which a delta can be added.
        normed: whether it has a norm, which then stands before its first matrix.
        vision: blocks of the tower.
        patches: matrices of the tower outside its blocks, which make a patch an activation.
        class_tokens: positions that its blocks have of a picture beside the patches.
        places: positions that its blocks have of every picture, whatever it fills of them, and that
            are read beside the text; 0 where they are as many as a picture has patches.
    """

    parameters: Mapping[str, int]
    hidden: int
    vocabulary: int
    blocks: tuple[Block, ...]
    around: tuple[Matrix, ...]
    projector: tuple[Matrix, ...]
    projector_layers: frozenset[str]
    normed: bool
    vision: tuple[Block, ...]
    patches: tuple[Matrix, ...]
    class_tokens: int
    places: int = 0

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(self.parameters.values())

    @property
    def patch_numbers(self) -> int:
        """Numbers of a picture in one patch; 0 where the tower cuts none."""
        return max((m.inputs for m in self.patches if "patch" in m.module), default=0)

    @property
    def tower_width(self) -> int:
        """Numbers that the tower gives for a patch."""
        return max((m.outputs for block in self.vision for m in block.stages[1]), default=0)


def outline(
    parameters: Iterable[tuple[str, Sequence[int]]],
    family: Family,
    *,
    experts_per_token: int | None = None,
) -> Outline:
    """The outline of a base.

    Args:
        parameters: name in memory and shape of each, without those that share another's storage.
        family: its role table.
        experts_per_token: of a mixture; without it every expert counts, which is an upper bound.
    """
    named = {name: tuple(shape) for name, shape in parameters}
    embeddings = next((name for name in named if name.endswith("embed_tokens.weight")), "")
    roles = {name: family.role_of(name) for name in named}
    # A head of its own may have fewer rows: a token of pictures is read and never written.
    heads = (name for name, shape in named.items() if len(shape) == 2 and roles[name] is Role.HEAD)
    head = next(heads, embeddings)
    vocabulary, hidden = named.get(head, (0, 0))
    experts = _experts(named)
    counts: Counter[str] = Counter()
    matrices: dict[Role, list[Matrix]] = {role: [] for role in Role}
    for name, shape in sorted(named.items()):
        role = roles[name]
        counts["embeddings" if name == embeddings else role.value] += math.prod(shape)
        if len(shape) > 1 and not _LOOKED_UP.fullmatch(name):
            found = _EXPERTS.fullmatch(name)
            chosen = experts_per_token and found and Fraction(experts_per_token, experts[found[1]])
            module = name.removesuffix(".weight")
            columns = shape[-1] if found else math.prod(shape[1:])
            rows = math.prod(shape) // columns
            beside = _BESIDE.fullmatch(module) is not None
            matrices[role].append(Matrix(module, rows, columns, chosen or Fraction(1), beside))
    language, around = _blocks(matrices[Role.LANGUAGE], family.language)
    vision, patches = _blocks(matrices[Role.VISION], family.vision)
    added = sum(shape[1] for name, shape in named.items() if _PLACES.fullmatch(name))
    own = [name for name, role in roles.items() if role is Role.PROJECTOR]
    return Outline(
        parameters=dict(sorted(counts.items())),
        hidden=hidden,
        vocabulary=vocabulary,
        blocks=language,
        around=around,
        projector=tuple(matrices[Role.PROJECTOR]),
        projector_layers=frozenset(linear_layers(named.items(), family)),
        normed=any(map(_NORM.fullmatch, own)),
        vision=vision,
        patches=patches,
        class_tokens=sum(_CLASS_TOKEN.fullmatch(name) is not None for name in named),
        places=added // max((matrix.outputs for matrix in patches), default=1),
    )


def of_modules(rows: "Iterable[ModulesRow]", family: Family) -> Outline:
    """The outline that the rows of ``modules.jsonl`` give; a mixture's experts count in full."""
    return outline(
        (
            (f"{row['module']}.{own['name']}" if row["module"] else own["name"], own["shape"])
            for row in rows
            for own in row["parameters"]
            if "alias_of" not in own
        ),
        family,
    )


def _experts(named: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """How many experts each mixture has: one tensor for all of them, or some for each."""
    found: dict[str, int] = {}
    for name, shape in named.items():
        if match := _EXPERTS.fullmatch(name):
            count = shape[0] if match[2] is None else int(match[2]) + 1
            found[match[1]] = max(count, found.get(match[1], 1))
    return found


def _blocks(
    matrices: Iterable[Matrix], stack: Stack | None
) -> tuple[tuple[Block, ...], tuple[Matrix, ...]]:
    """The blocks of a stack, and what lies outside it."""
    within: dict[tuple[str, int], list[Matrix]] = {}
    outside: list[Matrix] = []
    for matrix in matrices:
        match = stack and re.match(rf"({stack.prefix})\.(\d+)\.", matrix.module)
        own = within.setdefault((match[1], int(match[2])), []) if match else outside
        own.append(matrix)
    return tuple(_block(own) for _, own in sorted(within.items())), tuple(outside)


def _block(matrices: Iterable[Matrix]) -> Block:
    stages: tuple[list[Matrix], ...] = ([], [], [], [])
    attention = 0
    for matrix in matrices:
        stages[_stage(matrix.module)].append(matrix)
        whole = not _LINEAR_ATTENTION.fullmatch(matrix.module)
        if whole and _OUTPUT.fullmatch(matrix.module):
            attention = matrix.inputs
    return Block(tuple(map(tuple, stages)), attention)


def _stage(module: str) -> int:
    if _READ.fullmatch(module):
        return 0
    if _OUTPUT.fullmatch(module):
        return 1
    return 3 if _LAST.fullmatch(module) else 2

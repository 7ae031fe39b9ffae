"""Roles: the shape of one family's table. Torch-free, because the verifier reads these tables too.

What belongs here: the record that a family fills in, and the pure questions one can ask of it.
What does not: anything that needs a loaded model (kolm/models has that).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from kolm.errors import Refused, did_you_mean

Config = Mapping[str, Any]  # a base's config.json, as it was read

_NONE: Mapping[str, Any] = MappingProxyType({})

# The linear layers of a decoder block of the Llama kind, each with the module that holds it.
DECODER_LEAVES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj"), ("self_attn",)),
        **dict.fromkeys(("gate_proj", "up_proj", "down_proj"), ("mlp",)),
    }
)


# What turns token ids into the vectors that the blocks read; it stands beside them in every family.
EMBEDDINGS: Final = "embed_tokens"


class Role(StrEnum):
    """What a tensor of a model is for."""

    VISION = "vision"
    AUDIO = "audio"
    PROJECTOR = "projector"
    LANGUAGE = "language"
    HEAD = "head"
    OTHER = "other"  # matched by no line of the table; must stay empty for a supported family


class Stack(NamedTuple):
    """A stack of equal blocks and the linear layers inside one block.

    Attributes:
        blocks: in-memory name of the module list, for example ``model.language_model.layers``.
        leaves: for each leaf name its parents inside the block, for example
            ``{"q_proj": ("self_attn",)}``; the empty name stands for the block itself. Not every
            block need have every parent.
        more: further lists of such blocks.
    """

    blocks: str
    leaves: Mapping[str, tuple[str, ...]]
    more: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """A regular expression of the module lists' names."""
        every = "|".join(map(re.escape, (self.blocks, *self.more)))
        return f"(?:{every})" if self.more else every

    def expression(self, leaves: Iterable[str]) -> str:
        """A regular expression that full-matches exactly these leaves of every block."""
        parents: dict[str, list[str]] = {}
        for leaf in sorted(set(leaves)):
            for parent in self.leaves[leaf]:
                parents.setdefault(parent, []).append(re.escape(leaf))
        inner = "|".join(
            rf"{re.escape(parent)}\.(?:{'|'.join(names)})" if parent else "|".join(names)
            for parent, names in sorted(parents.items())
        )
        return rf"{self.prefix}\.[0-9]+\.(?:{inner})"


class Taps(NamedTuple):
    """Where the tower ends: all that the projector reads of it.

    Attributes:
        recorded: modules whose outputs stand for the tower; recorded once, replayed afterwards.
        passed: modules before them that need not run then: each hands on its first argument.
        packed: the tower makes one sequence of all pictures, so that its outputs have them along
            their second axis.
        patch: the side in pixels of a patch, where the tower gives one place for each patch of a
            grid that has the size of the largest picture of a call; else 0.
    """

    recorded: tuple[str, ...]
    passed: tuple[str, ...] = ()
    packed: bool = False
    patch: int = 0


class Beside(NamedTuple):
    """How a language model is shown pictures beside its tokens, by cross attention.

    Every picture has one token, and fills some of a fixed number of tiles, which the tower lays
    into one sequence. A token reads the last picture before it, and those that touch that one.

    Attributes:
        reader: the module that reads them.
        states: its argument for what the projector gives.
        mask: the model's argument for which token reads which tile: (rows, length, pictures of a
            row, tiles) int64, 1 where it does.
        tiles: what the image processor says of the tiles that a picture fills: (.., tiles), 1 where
            one is.
    """

    reader: str
    states: str
    mask: str
    tiles: str


class Family(NamedTuple):
    """The table of one family of models: with a vision role, or of text alone.

    All names are in-memory names of the model that transformers builds, without PEFT's wrapping.
    What depends on the size or the options of a base is a pure function of its ``config.json``.

    Attributes:
        model_type: the key, as in the base's ``config.json``.
        prefixes: for each role the names that it covers, with everything below them: of modules,
            or of a single tensor whose module has none.
        language: the stack that PEFT methods adapt.
        papers: where the architecture is described.
        key_values: leaves of the language stack that make keys and values, alone or with queries.
        mixed: the last leaf of what mixes the tokens of a row, in each kind of block.
        fed_forward: the last leaf of the rest of a block; none where experts have its place.
        experts: names inside a block of the parameters of one module that hold all experts of a
            layer, in the module's order: of three axes, (expert, out, in), and no linear layers.
        projector_modules: the modules that `modules_to_save` trains whole; of a list of modules
            each one.
        vision: the stack that is adapted only when a spec says ``freeze.vision: false``; None
            where the family has no vision role.
        taps: where the tower of a base ends.
        beside: how pictures are read beside the tokens; None where their features stand among them.
        spellings: for a name in memory the names under which checkpoints hold it, besides its
            own, most usual first. All below it is named accordingly.
        swapped: regular expressions of the parameters whose last two axes checkpoints hold the
            other way round, where these differ in length.
        parts: for a regular expression of parameters, whose first group is their module, the keys
            below a member of that module which make one step of the first axis, one after the
            other. For checkpoints that hold experts one by one.
        left_out: regular expressions of the keys of checkpoints that are no parameters: of what no
            model of the library has, or of constants that one keeps beside its parameters.
        bare: parameters of the projector that belong to no module of their own, which
            `modules_to_save` cannot train: they stay frozen.
        aliases: parameters that share the storage of another one when the embeddings are tied.
        unreachable: regular expressions of a base's parameters that no gradient can reach.
        eager: parts of a base's config whose attention the library does not compute by torch's
            scaled dot product; the empty name stands for all of it.
        own_tables: whether every block of a base looks tokens up in a table of its own, in which
            virtual tokens have no row.
        prefix_attention: whether what stands before the first answer sees all of itself.
        branches: whether answers may stand behind one prompt in one row: every layer takes a mask
            and positions from outside, and nothing else carries what came before.
        pixel_limits: whether its image processor keeps a picture between a least and a most number
            of pixels (``size`` in its settings), and so can be asked for fewer.
        least_tokens: features of a picture below which the library's forward pass fails.
        placeholder: the control token that the chat template writes for an image, where it is not
            the token of one image feature.
        in_a_row: whether its models take the pixels of all pictures of a call in one row, along
            the last axis.
        number: what its processor writes before a picture for its number among those of the
            conversation, from 0, with ``{}`` for the number.
        edge: the control token that begins and ends what stands for a picture, where its processor
            writes one such token alone between two pictures and a space between it and a word.
        template_options: what its chat templates are told besides the conversation.
        text_tokens: a regular expression of tokens that were added to the vocabulary and are text
            all the same, such as tags or runs of line ends. No text can become one of the others.
        training_templates: Jinja texts for bases whose own template cannot be trained on; the
            first that writes the same prompt is taken.
        template_published: whether its bases come with a chat template; else the first of those is
            used.
        learning_rates: the least and largest that usually work for an adapter.
        license_note: what a user should know of the licences of the published bases.
    """

    model_type: str
    prefixes: Mapping[Role, tuple[str, ...]]
    language: Stack
    papers: tuple[str, ...]
    key_values: tuple[str, ...] = ("k_proj", "v_proj")
    mixed: tuple[str, ...] = ("o_proj",)
    fed_forward: tuple[str, ...] = ("down_proj",)
    experts: tuple[str, ...] = ()
    projector_modules: tuple[str, ...] = ()
    vision: Stack | None = None
    taps: Callable[[Config], Taps] = lambda config: Taps(recorded=())
    beside: Beside | None = None
    spellings: Mapping[str, tuple[str, ...]] = _NONE
    swapped: tuple[str, ...] = ()
    parts: Mapping[str, tuple[str, ...]] = _NONE
    left_out: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    aliases: Mapping[str, str] = _NONE
    unreachable: Callable[[Config], tuple[str, ...]] = lambda config: ()
    eager: Callable[[Config], tuple[str, ...]] = lambda config: ()
    own_tables: Callable[[Config], bool] = lambda config: False
    prefix_attention: bool = False
    branches: bool = False
    pixel_limits: bool = False
    least_tokens: int = 1
    placeholder: str | None = None
    in_a_row: bool = False
    number: str = ""
    edge: str = ""
    template_options: Mapping[str, Any] = _NONE
    text_tokens: str = ""
    training_templates: tuple[str, ...] = ()
    template_published: bool = True
    learning_rates: tuple[Decimal, Decimal] = (Decimal("0.00002"), Decimal("0.0005"))
    license_note: str = ""

    @property
    def takes_pictures(self) -> bool:
        """Whether it has a vision role; else its bases read text alone."""
        return self.vision is not None

    @property
    def lora_leaf_names(self) -> tuple[str, ...]:
        """The leaf names that a spec may list as targets; all of them are the default."""
        return tuple(sorted(self.language.leaves))

    @property
    def embeddings_expression(self) -> str:
        """A regular expression that full-matches the module that embeds tokens."""
        return re.escape(f"{self.language.blocks.rpartition('.')[0]}.{EMBEDDINGS}")

    def role_of(self, name: str) -> Role:
        """The role of what has this name; `Role.OTHER` when no line covers it."""
        found = Role.OTHER
        for role, prefixes in self.prefixes.items():
            if any(covers(prefix, name) for prefix in prefixes):
                if found is not Role.OTHER:
                    raise AssertionError(f"{self.model_type}: {name} has two roles")
                found = role
        return found

    def role_of_module(self, module: str, tensors: Iterable[str]) -> Role:
        """The common role of the tensors that a module owns; `Role.OTHER` without one.

        Args:
            module: its name; empty for the model itself.
            tensors: names inside the module, at least one.
        """
        found = {self.role_of(f"{module}.{name}" if module else name) for name in tensors}
        return found.pop() if len(found) == 1 else Role.OTHER

    def target_expression(self, leaves: Iterable[str], *, vision: bool = False) -> str:
        """One full-match regular expression for the modules that get a delta.

        Args:
            leaves: leaf names in the language stack.
            vision: adapt every linear layer of the vision stack as well.

        Raises:
            Refused: a name that no block of the language stack has, no name at all, or
                ``E_ROLES_NO_VISION``.
        """
        asked = sorted(set(leaves))
        for leaf in asked:
            if leaf not in self.language.leaves:
                self._demand_no_expert(leaf)
                raise Refused(
                    "E_ROLES_UNKNOWN_TARGET",
                    f"the language role of {self.model_type} has no layer of this name",
                    where="train.method.targets",
                    expected=", ".join(self.lora_leaf_names),
                    found=leaf,
                    hint=did_you_mean(leaf, self.lora_leaf_names),
                )
        if not asked:
            raise Refused(
                "E_ROLES_UNKNOWN_TARGET",
                "no layer is named as a target",
                where="train.method.targets",
                expected=", ".join(self.lora_leaf_names),
            )
        language = self.language.expression(asked)
        if not vision:
            return language
        if self.vision is None:
            raise Refused(
                "E_ROLES_NO_VISION",
                "the family reads text alone: there is no vision tower to adapt",
                where="train.freeze.vision",
                found=self.model_type,
                hint="leave train.freeze.vision out",
            )
        return f"(?:{language}|{self.vision.expression(self.vision.leaves)})"

    def _demand_no_expert(self, leaf: str) -> None:
        """Refuse a name of the experts for what it is: ``E_ROLES_EXPERTS``."""
        if leaf in {part for name in self.experts for part in name.split(".")[1:]}:
            raise Refused(
                "E_ROLES_EXPERTS",
                "the experts of a layer are parameters of three axes and no linear layers",
                where="train.method.targets",
                expected=", ".join(self.lora_leaf_names),
                found=leaf,
                hint="leave it out of targets; LoRA adapts all experts with experts: true",
            )

    def expert_expression(self) -> str:
        """A regular expression that full-matches the module of each layer's experts.

        Raises:
            Refused: ``E_ROLES_EXPERTS``, the family has none.
        """
        if not self.experts:
            raise Refused(
                "E_ROLES_EXPERTS",
                "the family has no experts that are parameters of three axes",
                where="train.method.experts",
                found=self.model_type,
                hint="leave train.method.experts out",
            )
        module = self.experts[0].rpartition(".")[0]
        return rf"{re.escape(self.language.blocks)}\.[0-9]+\.{re.escape(module)}"

    def part_keys(self, parameter: str, count: int) -> tuple[str, ...]:
        """The keys of the tensors that make a parameter, where a checkpoint holds the `count` steps
        of its first axis by themselves; none where no checkpoint of the family does."""
        for pattern, below in self.parts.items():
            if match := re.fullmatch(pattern, parameter):
                return tuple(f"{match[1]}.{n}.{key}" for n in range(count) for key in below)
        return ()

    def checkpoint_keys(self, parameter: str) -> tuple[str, ...]:
        """The keys under which a checkpoint may hold this parameter, most usual first."""
        for memory, spellings in self.spellings.items():
            if covers(memory, parameter):
                rest = parameter[len(memory) :]
                return (*(stored + rest for stored in spellings), parameter)
        return (parameter,)


def covers(prefix: str, name: str) -> bool:
    """Whether a name is this one, or of something below it."""
    return name == prefix or name.startswith(f"{prefix}.")

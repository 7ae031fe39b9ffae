"""Roles: the shape of one family's table. Torch-free, because the verifier reads these tables too.

What belongs here: the record that a family fills in, and the pure questions one can ask of it.
What does not: anything that needs a loaded model (kolm/models has that).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from kolm.errors import Refused


class Role(StrEnum):
    """What a module of a vision-language model is for."""

    VISION = "vision"
    PROJECTOR = "projector"
    LANGUAGE = "language"
    HEAD = "head"
    OTHER = "other"  # matched by no line of the table; must stay empty for a supported family


class Stack(NamedTuple):
    """A stack of equal blocks and the linear layers inside one block.

    Attributes:
        blocks: in-memory name of the module list, for example ``model.language_model.layers``.
        leaves: for each leaf name its parent inside the block, for example
            ``{"q_proj": "self_attn"}``.
    """

    blocks: str
    leaves: Mapping[str, str]

    def expression(self, leaves: Iterable[str]) -> str:
        """A regular expression that full-matches exactly these leaves of every block."""
        parents: dict[str, list[str]] = {}
        for leaf in sorted(set(leaves)):
            parents.setdefault(self.leaves[leaf], []).append(re.escape(leaf))
        inner = "|".join(
            rf"{re.escape(parent)}\.(?:{'|'.join(names)})"
            for parent, names in sorted(parents.items())
        )
        return rf"{re.escape(self.blocks)}\.[0-9]+\.(?:{inner})"


class Family(NamedTuple):
    """The table of one family of vision-language models.

    All names are in-memory names of the model that transformers builds, without PEFT's wrapping.

    Attributes:
        model_type: the key, as in the base's ``config.json``.
        prefixes: for each role the module paths that it covers, with everything below them.
        projector_modules: the modules that `modules_to_save` trains whole.
        language: the stack that PEFT methods adapt.
        vision: the stack that is adapted only when a spec says ``freeze.vision: false``.
        renames: pairs (in-memory prefix, checkpoint prefix); the first that matches is used.
        aliases: parameters that share the storage of another one when the head is tied.
        unreachable: regular expressions of parameters that no gradient can reach.
        papers: where the architecture is described.
    """

    model_type: str
    prefixes: Mapping[Role, tuple[str, ...]]
    projector_modules: tuple[str, ...]
    language: Stack
    vision: Stack
    renames: tuple[tuple[str, str], ...]
    aliases: Mapping[str, str]
    unreachable: tuple[str, ...]
    papers: tuple[str, ...]

    @property
    def lora_leaf_names(self) -> tuple[str, ...]:
        """The leaf names that a spec may list as targets; all of them are the default."""
        return tuple(sorted(self.language.leaves))

    def role_of(self, name: str) -> Role:
        """The role of a module, parameter or buffer; `Role.OTHER` when no line covers it."""
        found = Role.OTHER
        for role, prefixes in self.prefixes.items():
            if any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes):
                if found is not Role.OTHER:
                    raise AssertionError(f"{self.model_type}: {name} has two roles")
                found = role
        return found

    def target_expression(self, leaves: Iterable[str], *, vision: bool = False) -> str:
        """One full-match regular expression for the modules that get a delta.

        Args:
            leaves: leaf names in the language stack.
            vision: adapt every linear layer of the vision stack as well.

        Raises:
            Refused: a name that no block of the language stack has, or no name at all.
        """
        asked = sorted(set(leaves))
        for leaf in asked:
            if leaf not in self.language.leaves:
                import difflib  # 2 ms that only a refusal needs

                near = difflib.get_close_matches(leaf, self.lora_leaf_names, n=1)
                raise Refused(
                    "E_ROLES_UNKNOWN_TARGET",
                    f"the language role of {self.model_type} has no layer of this name",
                    where="train.method.targets",
                    expected=", ".join(self.lora_leaf_names),
                    found=leaf,
                    hint=f"did you mean {near[0]}?" if near else "",
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
        return f"(?:{language}|{self.vision.expression(self.vision.leaves)})"

    def is_unreachable(self, parameter: str) -> bool:
        """Whether no gradient can ever reach this parameter, by the family's design."""
        return any(re.fullmatch(pattern, parameter) for pattern in self.unreachable)

    def checkpoint_keys(self, parameter: str) -> tuple[str, ...]:
        """The keys under which a checkpoint may hold this parameter, most usual first."""
        for memory, stored in self.renames:
            if parameter == memory or parameter.startswith(memory + "."):
                return (stored + parameter[len(memory) :], parameter)
        return (parameter,)

    def memory_name(self, key: str) -> str:
        """The in-memory name of a checkpoint key; names already in memory form stay."""
        for memory, _ in self.renames:
            if key.startswith(memory + "."):
                return key
        for memory, stored in self.renames:
            if key.startswith(stored + "."):
                return memory + key[len(stored) :]
        return key

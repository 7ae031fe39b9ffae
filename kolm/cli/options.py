"""The command line: options that several commands share, so that they mean the same in each.

An option is called as the argument of an action that it becomes, so that a command hands it on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from kolm.digest import Digest

F = TypeVar("F", bound=Callable[..., Any])  # a command's function
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)

SPEC = click.argument("spec", default="kolm.yaml", type=FILE, required=False)
BUNDLE = click.argument("bundle", type=FILE)
KEY = click.option("--key", metavar="NAME", help="The signing key. Default: the only one there is.")
TRUST = click.option("--trust", type=FILE, help="A trust file to use instead of your own.")
POLICY = click.option(
    "--policy",
    type=FILE,
    help="What the bundle must pass (YAML or JSON). Default: the built-in policy.",
)
BASE = click.option(
    "--base", type=FOLDER, help="The base: its folder or name, when it is not an embedded one."
)
DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    help="What computes. auto: of a bundle the kind that it was evaluated on, else the best here.",
)
SPREAD = click.option(
    "--spread", is_flag=True, help="Spread a large base over all devices of that kind."
)
BELOW_GATE = click.option(
    "--allow-below-gate",
    is_flag=True,
    help="Use the bundle even if its scores miss its gate or the policy; warns.",
)
STORE = click.option(
    "--store",
    type=FOLDER,
    default=Path("captures"),
    show_default=True,
    metavar="DIR",
    help="The folder of the capture store.",
)


def output_option(text: str) -> Callable[[F], F]:
    """``--output FILE``, with what is written there."""
    return click.option("--output", "-o", type=FILE, help=text)


_DIGITS = 9  # of a number


class Drawn(click.ParamType[int | str]):
    """How many of something are drawn, or all of them."""

    name = "drawn"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """A number, or ``all``."""
        text = str(value)
        if text == "all":
            return text
        number = text.isascii() and text.isdecimal() and len(text) <= _DIGITS
        if not number or int(text) < self._least:
            self.fail(f"{text!r} is neither a number from {self._least} nor 'all'", param, ctx)
        return int(text)


class ContentId(click.ParamType["Digest"]):
    """A digest in either spelling."""

    name = "id"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Digest:
        """The digest."""
        from kolm import digest
        from kolm.bundle import cid_reader
        from kolm.errors import Refused, Usage

        text, where = str(value), "" if param is None else param.opts[0]
        try:
            if text.startswith("sha256:"):
                return digest.parse(text, where=where)
            return cid_reader.digest_of(text)
        except Refused as error:
            raise Usage(
                "E_VERIFY_ID",
                "this is not a content id" if where == "--id" else "this is no digest",
                where=where,
                expected="a CID (bafkrei…) or sha256: and 64 hex digits",
                found=text[:80],
            ) from error


_AUDIT = (
    POLICY,
    TRUST,
    click.option(
        "--base",
        type=FOLDER,
        help="The base, its folder or name: compared byte for byte (V40-V43).",
    ),
    click.option(
        "--captures",
        type=FOLDER,
        help="A capture store: leaves, pixels, near-duplicates (V47-V49), withheld cases "
        "(V30-V33).",
    ),
    click.option(
        "--rescore",
        metavar="N|all",
        type=Drawn(1),
        help="Run N cases again (V46) and encode N captures again (V55), drawn here and now, or "
        "all (V57). Needs --captures and the extra train.",
    ),
    click.option(
        "--replay",
        metavar="N|all",
        type=Drawn(0),
        help="Run the first segment of the training again and N others, drawn here and now, or "
        "all, and compare every bit (V50-V54). Needs --captures and the extra train.",
    ),
    click.option(
        "--states",
        type=click.Path(path_type=Path),
        multiple=True,
        help="Where the publisher handed over the states that segments begin with: a folder of "
        "checkpoints, a registry or a bundle. Repeat it for several.",
    ),
    click.option(
        "--nonce",
        metavar="DIGEST",
        type=ContentId(),
        help="Draw the segments of an earlier audit again, by the nonce that it printed.",
    ),
    click.option(
        "--request",
        type=FILE,
        help="The signed request of a buyer that BUNDLE should answer (V68); its policy is what "
        "is demanded.",
    ),
)


AUDIT = click.option(
    "--audit",
    type=FILE,
    help="An audit of this very file that was made before: what kolm verify --json printed. "
    "Nothing is audited again.",
)


def audit_options(command: F) -> F:
    """What an auditor looks at and demands: the arguments of `kolm.verify`."""
    return reduce(lambda under, option: option(under), reversed(_AUDIT), command)

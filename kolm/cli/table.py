"""The command line: every command's name and one-line help, so that nothing is imported for them.

``kolm --help`` and shell completion read this table alone. A test compares it with the real
commands, which live in `kolm.cli.commands` under the same names.
"""

from typing import NamedTuple


class Section(NamedTuple):
    """One heading of ``kolm --help`` with its commands, in the order of use."""

    title: str
    commands: tuple[tuple[str, str], ...]


SECTIONS = (
    Section(
        "Make a bundle",
        (
            ("init", "Start a project folder with a spec and, if wanted, example data."),
            ("capture", "Keep (image, prompt, response) pairs: import, export, snapshot."),
            ("check", "Does this spec fit this data and this machine? Changes nothing."),
            ("plan", "Predict memory, tokens, operations and disk before a weight is loaded."),
            ("compile", "Check, train, evaluate, seal and sign: spec and captures to a bundle."),
            ("sweep", "Train a spec with several settings, and choose the best of them."),
        ),
    ),
    Section(
        "Judge a bundle",
        (
            ("verify", "Recheck every hash, frozen-module claim and score of a bundle."),
            ("request", "Demand a bundle that is still to be made, scored on your own cases."),
            ("policy", "Write a policy to start from, and say what one asks."),
            ("inspect", "Show what a bundle holds and claims, without running anything."),
            ("diff", "Show what differs between two bundles."),
            ("report", "Write what an audit finds of a bundle as one page of HTML."),
            ("dossier", "Write what regulators ask for, from a bundle that verifies."),
            ("eval", "Score a bundle on your own captures, as a signed claim."),
            ("sign", "Endorse a bundle that passes your policy, as a second party."),
            ("run", "Answer one prompt with a bundle, about images where it takes any."),
        ),
    ),
    Section(
        "Share bundles",
        (
            ("registry", "Publish to, pull from and check a folder of bundles."),
            ("push", "Short for `kolm registry publish`."),
            ("pull", "Short for `kolm registry pull`."),
            ("keys", "Make signing keys and say whose signatures you trust."),
        ),
    ),
    Section(
        "About kolm",
        (
            ("families", "List the families of models that kolm trains on, and those it refuses."),
            ("conformance", "Hold another verifier to a corpus of bundles with known answers."),
            ("clean", "Show what kolm keeps to be faster, and free it."),
            ("env", "Show versions, folders and settings, and where each came from."),
            ("help", "Explain a command, error code, check or page."),
            ("completion", "Print the completion script of a shell."),
        ),
    ),
)

HELP: dict[str, str] = {name: line for section in SECTIONS for name, line in section.commands}

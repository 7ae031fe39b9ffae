"""The command line: what `kolm registry` tells people, from the documents that scripts get.

Everything in a registry may be a stranger's: no text of a document begins a line or has colours.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kolm.cli.failure import remedy
from kolm.cli.output import in_lines
from kolm.cli.scores import accuracy_text, training_text
from kolm.counting import counted
from kolm.sign.keys import shown

if TYPE_CHECKING:
    from kolm.records.answers import RegistryListEntry, RegistryListListing, RegistryVerify
    from kolm.registry.catalog import Shown


def listings_text(
    listings: list[RegistryListListing], *, every_version: bool, registry: str
) -> str:
    """Names with their highest version and how many others there are, or with all of them."""
    if not listings:
        return "nothing found"
    lines, hints = [], []
    for listing in in_lines(listings):
        for problem in listing["problems"]:
            where = problem.get("where", "")
            lines.append(
                f"{listing['name']}   DAMAGED: {problem['message']} ({where}) [{problem['code']}]"
            )
        versions = listing["versions"] if every_version else listing["versions"][:1]
        lines += [line for entry in versions for line in _version_lines(entry)]
        rest = len(listing["versions"]) - len(versions)
        if rest:
            more = counted(rest, "other version")
            again = shlex.join(
                ["kolm", "registry", "list", listing["name"], "--registry", registry]
            )
            lines.append(f"    and {more}: {again}")
        hints += [entry["objection"].get("hint") for entry in versions if not entry["counts"]]
    for hint in dict.fromkeys(hints):
        lines += remedy({"hint": hint})
    return "\n".join(lines)


def _version_lines(entry: RegistryListEntry) -> Iterator[str]:
    label = f"{entry['name']}@{entry['version']}"
    if entry["counts"]:
        state = "" if entry["state"] == "active" else f"   {entry['state'].upper()}"
        said = entry["summary"]
        yield f"{label}   by {shown(entry['key'], entry['signer'])}{state}"
        parts = (
            ("accuracy", said.get("accuracy")),
            ("K", said.get("k")),
            ("base", said.get("base")),
        )
        words = [f"{name} {value}" for name, value in parts if value is not None]
        when = [said["measured_on"][:10]] if "measured_on" in said else []
        told = ", ".join([*words, *when]) or "its file cannot be read: kolm registry verify"
        yield f"    {told}"
    else:
        yield f"{label}   NOT BELIEVED: {entry['objection']['message']}"
    yield f"    {entry['cid']}"


def bundle_text(found: Shown) -> str:
    """One bundle's own words: nothing here was checked except who published it."""
    found = in_lines(found)
    entry, receipt, evaluation = found["entry"], found["receipt"], found["evaluation"]
    lines = [
        f"{entry['name']}@{entry['version']}   published by {shown(entry['key'], entry['signer'])}",
        f"  cid        {entry['cid']}",
        f"  content    {entry['bundle']}",
        f"  file       {counted(entry['file']['size'], 'byte')}, {entry['file']['digest']}",
        f"  base       {receipt['base']['id']} ({receipt['base']['family']})",
        f"  method     {training_text(receipt)}",
    ]
    if evaluation is not None:
        lines.append(f"  accuracy   {accuracy_text(evaluation)}")
    for score in found["kscores"]:
        report = score["kscore"]
        who = shown(score["key"], score["signer"])
        verdict = report["gate"]["verdict"]
        lines.append(f"  K          {report['composite']}, gate {verdict}, measured by {who}")
    if not found["kscores"]:
        lines.append("  K          no K-score by an evaluator whom you trust")
    lines.append("")
    lines.append("Shown as the bundle says it. To check it: kolm pull, then kolm verify")
    return "\n".join(lines)


def audit_text(found: RegistryVerify, headline: str) -> str:
    """The verdict over a whole registry, and everything that is wrong."""
    counts = (
        f"{counted(found['names'], 'name')}, {counted(found['entries'], 'entry')}, "
        f"{counted(found['bundles'], 'bundle')}"
    )
    lines = [f"{headline}   {counts}"]
    for problem in in_lines(found["problems"]):
        where = f"{problem['where']}: " if "where" in problem else ""
        lines.append(f"  {where}{problem['message']} [{problem['code']}]")
        lines += remedy(problem, margin=f"{'':6}")
    if found["orphans"]:
        lines.append(f"  {counted(len(found['orphans']), 'file')} that no entry names (harmless)")
    return "\n".join(lines)

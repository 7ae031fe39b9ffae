"""``kolm pull``: short for ``kolm registry pull``."""

from __future__ import annotations

from kolm.cli.commands import registry
from kolm.cli.group import short_for

command = short_for(registry.command, "pull", name="pull")

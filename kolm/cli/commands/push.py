"""``kolm push``: short for ``kolm registry publish``."""

from __future__ import annotations

from kolm.cli.commands import registry
from kolm.cli.group import short_for

command = short_for(registry.command, "publish", name="push")

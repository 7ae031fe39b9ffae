"""``python -m kolm``: the command line without its console script."""

from kolm.cli.main import run

raise SystemExit(run())

"""What stands in a new project beside its declaration, its mapping and its logs."""

from collections.abc import Sequence
from datetime import date

_README = """# {name}

A project of ukdsl-assets. Run `ukdsl` and `dagster` in this folder, whose `.env` tells them where things are.

- `mapping.py` turns raw files into `logs/`; `cascades/{name}.yaml` says what is in them and who learns (CHECK: look).
- `sql/` is for SQL models of your own, `lake/` holds what is made: tables, checkpoints, reports.
- A new day: `{mapping}`, then `ukdsl check-logs {name} --day DAY`.
- `ukdsl diagnose {name} --day {last}`, `ukdsl run {name} --days {days}`, `ukdsl ui`.
"""
_ENV = """# Read by ukdsl and dagster in this folder; the environment goes before it. Paths count from here.
UKDSL_LAKE=lake
UKDSL_CASCADES=cascades
UKDSL_SQL=sql
"""
_IGNORED = """lake/
logs/
.dagster_home/
__pycache__/
"""
_DAGSTER = """# Dagster's instance: copied to DAGSTER_HOME.
telemetry:
  enabled: false
nux:
  enabled: false

# Backfills go two runs at a time.
concurrency:
  runs:
    max_concurrent_runs: 2

run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1
"""
_WORKSPACE = """load_from:
  - python_module:
      module_name: ukdsl_assets.definitions
      location_name: ukdsl_assets
"""
_SQL = """# SQL models of your own

An SQL file here is a table: one called like a shipped model takes its place, any other stands beside them. Its header
declares description, owner, keys and column rules. Leave the folder empty to use the shipped models alone.
"""


def skeleton(name: str, days: Sequence[date], candidates: str, events: str | None) -> dict[str, str]:
    """Texts by their path in the project.

    Args:
        days: that are whole, in order, at least one.
        candidates, events: where the raw files were; their new ones are mapped alike.
    """
    span = f"{days[0]}..{days[-1]}" if len(days) > 1 else str(days[0])
    mapping = "python mapping.py --candidates FILE" + (" --events FILE" if events is not None else "")
    return {
        "README.md": _README.format(name=name, mapping=mapping, last=days[-1], days=span),
        ".env": _ENV,
        ".gitignore": _IGNORED,
        "dagster.yaml": _DAGSTER,
        "workspace.yaml": _WORKSPACE,
        "sql/README.md": _SQL,
    }

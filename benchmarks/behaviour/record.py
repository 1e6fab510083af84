"""What small days of the shipped cascades make, written down so that two states of the code can be compared.

    python benchmarks/behaviour/record.py CHECKOUT FILE
    python -m benchmarks.behaviour.compare BEFORE AFTER [--expected PATTERN ...]

Runs CHECKOUT's own code, of this state or another, by nothing but its code location `ukdsl_assets.definitions` and
Dagster; so this file is a script that imports nothing of the package. FILE is JSON: the graph (keys, groups,
dependencies, checks), and of every day the data version of each asset and whether each check passed. A version is a
hash of what was published, of a checkpoint that of its parameters' bytes.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

# Cascade -> days, shards. One that teaches another stands before it.
DAYS = {
    "simulated_ads": (["2026-01-01", "2026-01-02", "2026-01-03"], 1),
    "simulated_small_surface": (["2026-01-02", "2026-01-03"], 1),
    "simulated_last_stage": (["2026-01-01", "2026-01-02"], 1),
    "simulated_item_page": (["2026-01-01", "2026-01-02"], 3),
    "everything": (["2026-01-01", "2026-01-02", "2026-01-03"], 3),
    "kuairand": (["2022-04-25"], 1),
}


def main() -> None:
    """Run the days in a lake that is thrown away; one record at a time, since the lake has a fixed place."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--cascades", nargs="*", default=list(DAYS), choices=list(DAYS))
    chosen = parser.parse_args()
    # The checkout's package comes before an installed one.
    sys.path.insert(0, str(chosen.checkout.resolve()))
    # The same place each time: a day's report names it.
    lake = Path(tempfile.gettempdir()) / "ukdsl-behaviour"
    lake.mkdir()
    try:
        os.environ |= {
            "UKDSL_LAKE": str(lake),
            "UKDSL_SCALE": "small",
            "UKDSL_THREADS": "2",
            "UKDSL_SQL": str(chosen.checkout.resolve() / "dbt_like_sql"),
            "UKDSL_CASCADES": str(Path(__file__).parent.resolve()),
        }
        recorded = {"graph": graph(), "days": {name: days(name, *DAYS[name]) for name in chosen.cascades}}
    finally:
        shutil.rmtree(lake)
    chosen.file.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")


def definitions(shards: int) -> Any:
    """The code location, built anew for a number of shards."""
    os.environ["UKDSL_SHARDS"] = str(shards)
    for name in [name for name in sys.modules if name.startswith("ukdsl_assets")]:
        del sys.modules[name]
    import ukdsl_assets.definitions

    return ukdsl_assets.definitions.defs


def graph() -> dict[str, Any]:
    """Asset -> its group, what it depends on, its kinds and its checks."""
    assets: dict[str, Any] = {}
    for asset in definitions(1).resolve_asset_graph().assets_defs:
        for spec in asset.specs:
            assets[spec.key.to_user_string()] = {
                "group": spec.group_name,
                "kinds": sorted(spec.kinds),
                "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
                "partitions": str(spec.partitions_def),
                "checks": {},
            }
    for asset in definitions(1).resolve_asset_graph().assets_defs:
        for check in asset.check_specs:
            assets[check.asset_key.to_user_string()]["checks"][check.name] = check.blocking
    return assets


def days(cascade: str, wanted: list[str], shards: int) -> dict[str, Any]:
    """Day -> data versions by asset, and whether each check passed; a step that failed is printed and recorded."""
    import dagster as dg

    job = definitions(shards).resolve_job_def(f"{cascade}_daily")
    by_day: dict[str, Any] = {}
    with dg.DagsterInstance.ephemeral() as instance:
        for day in wanted:
            done = job.execute_in_process(
                partition_key=day,
                instance=instance,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
            versions = {
                event.asset_key.to_user_string(): event.materialization.tags["dagster/data_version"]
                for event in done.all_events
                # A report tells when releases were decided, so that two runs of the same code differ in it.
                if event.is_step_materialization and event.asset_key.path[-1] != "report"
            }
            checks = {
                f"{check.asset_key.to_user_string()}, {check.check_name}": check.passed
                for check in done.get_asset_check_evaluations()
            }
            failed = sorted(event.step_key for event in done.all_events if event.is_step_failure)
            by_day[day] = {"versions": versions, "checks": checks, "failed": failed}
            print(
                f"{cascade}, {day}: {len(versions)} assets, {len(checks)} checks, failed: {failed or 'none'}",
                flush=True,
            )
    return by_day


if __name__ == "__main__":
    main()

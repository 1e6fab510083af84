"""What the lake's care costs: reading a day with its files verified and without, and opening a table after years.

    python -m benchmarks.lake [--rows 2000000] [--shards 8] [--days 1000]

The first table reads a day of 39 float and id columns, whole and three columns of it, in a process that has verified it
already (no) and one that has not (yes); the files are in the machine's memory, so that a disk hides nothing. The second
opens a table of `--days` days of 64 shards, as many commits after the newest checkpoint of its log as can be. Medians
of five, CPU seconds of all threads.
"""

import argparse
import datetime as dt
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from deltalake import DeltaTable
from deltalake.transaction import AddAction, RemoveAction
from rich.console import Console
from rich.table import Table as Shown

from ukdsl_assets.lake.tables import verified
from ukdsl_assets.lake.tables.commit import add_action
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.lake.tables.schema import to_delta
from ukdsl_assets.lake.tables.staging import StagedFile

TABLE, DAY = ("cascade", "impressions"), dt.date(2023, 1, 1)
SHARDS_OF_OLD = 64
COMMITS_BEHIND = 97  # Delta writes a checkpoint of its log with every hundredth commit


def main() -> None:
    """Print both tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=2_000_000)
    arguments.add_argument("--shards", type=int, default=8)
    arguments.add_argument("--days", type=int, default=1_000)
    chosen = arguments.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        console.print(reading(Lake(folder, chosen.shards), chosen.rows))
    with tempfile.TemporaryDirectory() as folder:
        console.print(opening(Lake(folder, SHARDS_OF_OLD), chosen.days))


def reading(lake: Lake, rows: int) -> Shown:
    """A day read with its files verified and without."""
    lake.commit(lake.stage_frame(TABLE, DAY, day_of(rows)), {})
    published = lake.partition(TABLE, DAY)
    assert published is not None
    title = f"Reading {rows:,} rows, {published.bytes / 1e6:,.0f} MB in {lake.shards} files"
    table = Shown("columns", "verified", "CPU s", "wall s", title=title)
    sides: dict[str, list[str] | None] = {"all": None, "three": ["request_id", "feature_0", "feature_1"]}
    for name, columns in sides.items():
        for first in (False, True):

            def read(columns: list[str] | None = columns, first: bool = first) -> None:
                if first:
                    verified._seen.clear()
                lake.scan(TABLE, [DAY], columns=columns).collect()

            table.add_row(name, "yes" if first else "no", *seconds(read))
    return table


def day_of(rows: int) -> pl.DataFrame:
    """Ids that repeat and floats that do not, as the rows of a day are."""
    random = np.random.default_rng(0)
    ids = {f"feature_{each}": random.integers(0, 100_000, rows) for each in range(19)}
    values = {f"feature_{each}": random.random(rows, np.float32) for each in range(19, 38)}
    return pl.DataFrame({"request_id": np.arange(rows), **ids, **values})


def opening(lake: Lake, days: int) -> Shown:
    """A table of many days and shards: opened, a day found, its history told."""
    all_days = [DAY + dt.timedelta(days=each) for each in range(days)]
    newest = all_days[-COMMITS_BEHIND:]
    frame = pl.DataFrame({"request_id": range(SHARDS_OF_OLD), "value": [0.5] * SHARDS_OF_OLD})
    table = DeltaTable.create(lake.table_uri(TABLE), to_delta(frame.schema, "benchmark"), partition_by=["day"])
    # Days whose files are named in the log alone: nothing here reads them.
    names = [
        (day, f"day={day}/shard-{shard:05d}-of-{SHARDS_OF_OLD:05d}-{shard:032x}-{shard:016x}.parquet")
        for day in all_days[:-COMMITS_BEHIND]
        for shard in range(SHARDS_OF_OLD)
    ]
    actions: list[AddAction | RemoveAction] = [
        add_action(StagedFile(name, 1, 1), {"day": str(day)}) for day, name in names
    ]
    table.create_write_transaction(actions, mode="append", schema=table.schema(), partition_by=["day"])
    table.update_incremental()
    table.create_checkpoint()
    for day in newest:
        lake.commit(lake.stage_frame(TABLE, day, frame), {"run": "benchmark"})
    log = Path(lake.table_uri(TABLE), "_delta_log")
    pointer = json.loads((log / "_last_checkpoint").read_text())["version"]
    behind = sum(int(path.stem) > pointer for path in log.glob("*.json"))
    title = f"{days:,} days of {SHARDS_OF_OLD} shards, {behind} commits after the newest checkpoint"
    shown = Shown("what", "CPU s", "wall s", title=title)
    for name, do in {
        "partitions": lambda: lake.partitions(TABLE),
        "partition": lambda: lake.partition(TABLE, newest[-1]),
        "scan of a day": lambda: lake.scan(TABLE, newest[-1:]),
        "history of a day": lambda: lake.history(TABLE, newest[-1]),
        "publish a day": lambda: lake.commit(lake.stage_frame(TABLE, newest[-1], frame), {}),
    }.items():
        shown.add_row(name, *seconds(do))
    return shown


def seconds(do: Callable[[], object], rounds: int = 5) -> tuple[str, str]:
    """Medians of CPU and wall seconds; the first round, which loads what is needed, does not count."""
    taken = []
    for _ in range(rounds + 1):
        started = time.process_time(), time.perf_counter()
        do()
        taken.append((time.process_time() - started[0], time.perf_counter() - started[1]))
    cpu, wall = (statistics.median(each) for each in zip(*taken[1:], strict=True))
    return f"{cpu:.3f}", f"{wall:.3f}"


if __name__ == "__main__":
    main()

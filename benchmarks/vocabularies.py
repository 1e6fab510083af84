"""A vocabulary in a checkpoint: lists in its JSON, as 0.1.0 kept it, against columns beside it.

python -m benchmarks.vocabularies --ids 1000000
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.learning.features.encoding import Encoder

KEY, DAY = ("cascade", "student", "distilled"), date(2026, 1, 1)


def main() -> None:
    """Print both sides for integers and for strings."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--ids", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=3)
    chosen = arguments.parse_args()
    table = Table("ids", "kept as", "save CPU s", "load CPU s", "MB", title=f"A vocabulary of {chosen.ids:,} ids")
    for kind, values in (("integer", distinct_ids(chosen.ids)), ("string", distinct_ids(chosen.ids).cast(pl.String))):
        for name, metadata in sides(kind, values).items():
            with tempfile.TemporaryDirectory() as folder:
                store = CheckpointStore(folder)
                saving = median_seconds(lambda: store.save(KEY, DAY, metadata), chosen.rounds)  # noqa: B023
                version = store.save(KEY, DAY, metadata).version
                loading = median_seconds(lambda: encoder_of(store, version), chosen.rounds)  # noqa: B023
                size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
            table.add_row(kind, name, f"{saving:.2f}", f"{loading:.2f}", f"{size / 1e6:.1f}")
    Console().print(table)


def distinct_ids(count: int) -> pl.Series:
    """Distinct ids of 12 digits, sorted."""
    return pl.Series(np.sort(np.random.default_rng(0).choice(2**39, count, replace=False)) + 10**11)


def sides(kind: Any, ids: pl.Series) -> dict[str, dict[str, Any]]:
    """The same encoder's content as lists and as columns."""
    feature = Feature(name="ad", kind="categorical", side="candidate", values=kind)
    columns = Encoder((feature,), {"ad": (ids.sort(), np.arange(1, len(ids) + 1, dtype=np.int32))}).as_json()
    vocabularies = {
        name: {part: column.to_list() for part, column in parts.items()}
        for name, parts in columns["vocabularies"].items()
    }
    return {"lists in JSON": {**columns, "vocabularies": vocabularies}, "columns beside it": columns}


def encoder_of(store: CheckpointStore, version: str) -> Encoder:
    """Read a checkpoint back to its encoder."""
    return Encoder.from_json(store.load(KEY, DAY, version).metadata)


def median_seconds(work: Callable[[], Any], rounds: int) -> float:
    """Median CPU seconds of a call."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()

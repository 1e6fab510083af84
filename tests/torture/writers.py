"""Everything that writes to a lake, as generations that a reader can tell apart, for ever: what is killed.

    python -m tests.torture.writers NAME ROOT FIRST_GENERATION

A generation is a function of its number, so that whatever is read must be one of them, whole.
"""

import datetime as dt
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ukdsl_assets.lake.checkpoints.interrupted import StateFile
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.storage import Storage
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.lake.tables.undated import publish_whole, read_whole

DAY = dt.date(2026, 1, 1)
TABLE, UNDATED, KEY = ("shop", "impressions"), ("theory", "curves"), ("shop", "student", "distilled")
ROWS, SHARDS = 6000, 3


def frame(generation: int) -> pl.DataFrame:
    """The rows of a generation."""
    number = np.arange(ROWS)
    return pl.DataFrame(
        {
            "request_id": number,
            "generation": np.full(ROWS, generation),
            "value": (number * 2_654_435_761 + generation) % 1_000_003,
        }
    )


def tensors(generation: int) -> dict[str, np.ndarray]:
    """The arrays of a generation."""
    random = np.random.default_rng(generation)
    return {
        "embedding": random.normal(size=(400, 64)).astype(np.float32),
        "generation": np.array([generation], np.float32),
    }


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether both have the same arrays."""
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def lake(root: Path) -> Lake:
    return Lake(str(root / "tables"), SHARDS)


def store(root: Path) -> CheckpointStore:
    return CheckpointStore(str(root / "checkpoints"))


def vacuum(root: Path) -> None:
    """What `ukdsl vacuum --older-than-hours 0` does."""
    lake(root).sweep(0)
    Storage(str(root)).sweep_unfinished(0)
    store(root).sweep(0)


@dataclass(frozen=True)
class Writer:
    """One kind of what is written.

    Attributes:
        write: publishes the generation.
        read: gives the generation that readers see, None while there is none; AssertionError where it is not whole.
        longest: seconds after the first write within which a kill falls.
    """

    write: Callable[[Path, int], Any]
    read: Callable[[Path], int | None]
    longest: float


def _publish(root: Path, generation: int) -> None:
    here = lake(root)
    here.commit(here.stage_frame(TABLE, DAY, frame(generation)), {"generation": str(generation)})


def _published(root: Path) -> int | None:
    partition = lake(root).partition(TABLE, DAY)
    if partition is None:
        return None
    rows = lake(root).scan(TABLE, [DAY]).collect()
    generation = int(rows["generation"][0])
    assert rows.height == partition.rows
    assert rows.select(frame(0).columns).sort("request_id").equals(frame(generation))
    return generation


def _undated(root: Path) -> int | None:
    # Version 0 makes the table, 1 is the first of its rows.
    if not (root / "tables" / "theory" / "curves" / "_delta_log" / f"{1:020}.json").exists():
        return None
    rows = read_whole(str(root / "tables"), UNDATED)
    generation = int(rows["generation"][0])
    assert rows.equals(frame(generation))
    return generation


def _checkpoint(root: Path, generation: int) -> None:
    kept = {"generation": generation, "vocabulary": pl.Series("ids", [f"{generation}-{i}" for i in range(2000)])}
    store(root).publish(store(root).save(KEY, DAY, kept, tensors=tensors(generation)))


def _loaded(root: Path) -> int | None:
    if not store(root).days(KEY):
        return None
    found = store(root).load(KEY, DAY)
    generation = int(found.metadata["generation"])
    assert same(dict(found.tensors or {}), tensors(generation))
    assert found.metadata["vocabulary"][-1] == f"{generation}-1999"
    return generation


def _release(root: Path, generation: int) -> None:
    day = DAY + dt.timedelta(days=generation % 5)
    entry = {"day": str(day), "arm": "distilled", "checkpoint": f"{generation:016x}", "note": "n" * 500}
    if generation % 3 == 2:
        store(root).refuse(KEY[:2], entry | {"reasons": ["planted"] * 50})
    else:
        store(root).release(KEY[:2], entry)


def _released(root: Path) -> int | None:
    entry = store(root).released(KEY[:2])
    decisions = [each["entry"] for each in store(root).release_history(KEY[:2]) if each["outcome"] == "released"]
    if entry is None:
        # A first release may be recorded and not yet pointed at.
        assert len(decisions) <= 1
        return None
    assert entry in decisions
    return int(entry["checkpoint"], 16)


def _state_file(root: Path) -> StateFile:
    return StateFile(str(root / "checkpoints"), KEY, "f" * 16, 0.0)


def _state(root: Path) -> int | None:
    kept = _state_file(root).kept()
    if kept is None:
        return None
    position, arrays = kept
    assert same(dict(arrays), tensors(int(position["done"])))
    return int(position["done"])


def _report(root: Path) -> tuple[Storage, str]:
    storage = Storage(str(root))
    return storage, storage.path("reports", "shop", f"day={DAY}", "report.html")


def _write_report(root: Path, generation: int) -> None:
    storage, path = _report(root)
    storage.write(path, f"<{generation}>".encode() * 30_000)


def _read_report(root: Path) -> int | None:
    storage, path = _report(root)
    content = storage.read(path)
    if content is None:
        return None
    generation = int(content[1 : content.index(b">")])
    assert content == f"<{generation}>".encode() * 30_000
    return generation


def _simulated(root: Path, generation: int) -> None:
    from ukdsl_assets.simulation.ads.production import ProductionModels
    from ukdsl_assets.simulation.ads.state import StateFolder

    models = ProductionModels(1, generation)
    StateFolder(str(root / "simulated_state"), 1, "small").save(models)


def _simulated_days(root: Path) -> int | None:
    from ukdsl_assets.simulation.ads.state import StateFolder

    folder = StateFolder(str(root / "simulated_state"), 1, "small")
    days = folder.days()
    return days[-1] if days else None


WRITERS = {
    "a day of a table": Writer(_publish, _published, 0.25),
    "a table without days": Writer(
        lambda root, generation: publish_whole(str(root / "tables"), UNDATED, frame(generation), {}), _undated, 0.12
    ),
    "a checkpoint": Writer(_checkpoint, _loaded, 0.12),
    "a release": Writer(_release, _released, 0.06),
    "the state of a training": Writer(
        lambda root, generation: _state_file(root).keep({"done": generation}, tensors(generation)), _state, 0.05
    ),
    "a report": Writer(_write_report, _read_report, 0.03),
    "the state of a simulation": Writer(_simulated, _simulated_days, 0.12),
}


def main() -> None:
    name, root, first = sys.argv[1:]
    for generation in count(int(first)):
        WRITERS[name].write(Path(root), generation)
        if generation == int(first):
            print("at work", flush=True)


if __name__ == "__main__":
    main()

"""How long a diagnosis of a large day takes: a team's first command, before anything is trained.

    python -m benchmarks.diagnose [--rows 3000000] [--keep FOLDER]

A simulated day of retrieval's 300 candidates a request is written as a team's own Parquet files, as often as it takes,
each time with new ids of its requests, and diagnosed from the files: predictions, labels, probes, explored rows and two
segments. Prints rows, wall and CPU seconds of the command's work, and the most memory.
"""

import argparse
import resource
import tempfile
import time
from datetime import date
from pathlib import Path

import polars as pl
import yaml

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.logs.sources.simulated_ads import SimulatedAdsReader
from ukdsl_assets.pipeline.diagnosis import diagnosed
from ukdsl_assets.reports.diagnosis import printed_diagnosis
from ukdsl_assets.reports.diagnosis_page import render_diagnosis
from ukdsl_assets.settings import Settings

MOST_WALL, MOST_CPU = 10.0, 15.0
# Of which a file of the day is made.
COPIES_A_FILE = 4


def main() -> None:
    """Write the logs, diagnose them, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--keep", type=Path, help="where the logs are, or are written; a temporary folder if left out")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch)
        cascade = tiled(folder, chosen.rows)
        settings = Settings(lake=str(Path(scratch) / "lake"))
        wall, cpu = time.perf_counter(), time.process_time()
        done = diagnosed(settings, cascade, [cascade.first_day])
        read = time.process_time() - cpu
        lines, page = printed_diagnosis(done), render_diagnosis(done)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print("\n".join(lines))
    print(f"\n{done.candidates:,} candidates of {done.requests:,} requests, page of {len(page):,} characters")
    print(f"{wall:.1f} s, {cpu:.1f} CPU seconds ({read:.1f} without the page), {memory:,.0f} MB at most")
    print("within its bounds" if cpu < MOST_CPU else f"MORE than {MOST_CPU:g} CPU seconds")


def tiled(folder: Path, rows: int) -> Cascade:
    """A team's own cascade whose day has at least so many candidates; written unless it is there."""
    shipped = read_cascade(SHIPPED / "simulated_ads.yaml")
    path = folder / "tiled_ads.yaml"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        logs = SimulatedAdsReader(shipped, str(folder / "state"), "small").read(shipped.first_day)
        copies = -(-rows // logs.candidate_log.height)
        step = int(logs.candidate_log["request_id"].max() or 0) + 1  # type: ignore[arg-type]
        for name, frame in zip(logs._fields, logs, strict=True):
            _write(folder / name, shipped.first_day, frame, copies, step)
        declared = shipped.model_dump(mode="json", exclude_unset=True, exclude={"teachers", "students", "origin"})
        declared |= {"name": "tiled_ads", "source": {"kind": "parquet", "path": str(folder)}}
        path.write_text(yaml.safe_dump(declared))
    return read_cascade(path)


def _write(folder: Path, day: date, frame: pl.DataFrame, copies: int, step: int) -> None:
    target = folder / f"day={day}"
    target.mkdir(parents=True)
    for start in range(0, copies, COPIES_A_FILE):
        some = range(start, min(start + COPIES_A_FILE, copies))
        parts = [frame.with_columns(pl.col("request_id") + copy * step) for copy in some]
        pl.concat(parts).write_parquet(target / f"part-{start:04}.parquet")


if __name__ == "__main__":
    main()

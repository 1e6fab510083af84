"""What the simulated cascade costs: its stages alone, whole days as they are served, and a world of days with logs.

    python -m benchmarks.simulation [--days 12] [--requests 10000]

One thread, CPU seconds, the kernels compiled before. A candidate is one of the 300 of a request, counted once whatever
number of stages scores it. A world starts with the warm-up days that it needs before its first day.
"""

import os

# Before the libraries that read them are imported.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS"), "1")

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.logs.sources.simulated_ads import SimulatedAdsReader
from ukdsl_assets.simulation import scales
from ukdsl_assets.simulation.ads.day import PRE_RANKED, RANKED, SimulatedDay, simulate_day
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.truth import CANDIDATES
from ukdsl_assets.simulation.ads.world import World
from ukdsl_assets.simulation.scales import SCALES, WARM_UP_DAYS, Scale

SEED = 100
LEAST_RATE, MOST_SECONDS = 3.5e6, 90.0
REPEATS = 3


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--days", type=int, default=12, help="days of the world")
    arguments.add_argument("--requests", type=int, default=10_000, help="requests of a day")
    chosen = arguments.parse_args()
    scale = Scale(chosen.requests, chosen.requests, SCALES["default"].batch_requests, SCALES["default"].learning_rate)
    rows = [*of_a_day(scale), of_a_world(scale, chosen.days)]
    show(rows, chosen.requests, chosen.days)


def of_a_day(scale: Scale) -> Iterator[tuple[str, float, int]]:
    """(what, CPU seconds, candidates) of a day's parts, the fastest of some repeats."""
    world, models = World(SEED), ProductionModels(SEED, -1)
    few = simulate_day(world, models, 0, 200)
    models.train(few, scale)
    served = simulate_day(world, models, 0, scale.requests)
    count = scale.requests * CANDIDATES
    yield "the three stages score", fastest(lambda: stages(models, served)), count
    yield "a day is served", fastest(lambda: simulate_day(world, models, 0, scale.requests, truths=False)), count
    yield "a day is served, with truths", fastest(lambda: simulate_day(world, models, 0, scale.requests)), count
    yield "production trains on it", fastest(lambda: models.copy().train(served, scale)), count


def stages(models: ProductionModels, served: SimulatedDay) -> None:
    """What the stages of a day compute, of what they were given."""
    requests, ads, slots = served.requests, served.ads, served.slots
    models.retrieval(requests, ads, slots)
    models.pre_ranking(requests, ads, np.take_along_axis(slots, served.pre_ranked, axis=1))
    models.ranking(requests, ads, np.take_along_axis(slots, served.ranked, axis=1), served.signals)


def of_a_world(scale: Scale, days: int) -> tuple[str, float, int]:
    """The logs of some days read as the asset does, warm-up, training and saved states included."""
    scales.SCALES["default"] = scale
    cascade = read_cascade(SHIPPED / "simulated_ads.yaml")
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        source = SimulatedAdsReader(cascade, folder, "default")
        for day in track(range(days), description=f"{WARM_UP_DAYS} days of warm-up, then {days}", transient=True):
            source.read(cascade.first_day + timedelta(days=day))
    seconds = time.process_time() - started
    return f"a world of {days} days with logs", seconds, scale.requests * CANDIDATES * (days + WARM_UP_DAYS)


def fastest(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest of some calls: others only add to it."""
    seconds = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


def show(rows: list[tuple[str, float, int]], requests: int, days: int) -> None:
    """Print the table, the peak memory, and what was asked for."""
    title = f"Simulated cascade: {requests:,} requests a day, {CANDIDATES} -> {PRE_RANKED} -> {RANKED} candidates"
    table = Table("what", "CPU s", "million candidates a CPU second", title=title, title_justify="left")
    for what, seconds, count in rows:
        table.add_row(what, f"{seconds:.2f}", f"{count / seconds / 1e6:.1f}")
    console = Console()
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    console.print(
        f"Asked for: {LEAST_RATE / 1e6} million candidates scored a CPU second (seen, a day served: "
        f"{rows[1][2] / rows[1][1] / 1e6:.1f}); a world of 12 days under {MOST_SECONDS:.0f} CPU s "
        f"(seen, {days} days: {rows[-1][1]:.0f}). Peak memory {peak:.2f} GiB."
    )


if __name__ == "__main__":
    main()

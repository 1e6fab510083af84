"""One terabyte of logs a day on paper: core-hours, nodes, hours and money, and what breaks first.

    python -m benchmarks.terabyte [--rows 8.2e9] [--factor 2] [--price 0.05] [--hours 2] [--json]

Multiplies CPU seconds a row, as `python -m benchmarks.scale --json FILE` wrote them for its largest day, with rows:
nothing is measured here, and no day of this size was run. Rows are candidates that the next stage scored, 122 bytes
each in a terabyte; a student's rows (`teacher_augmented`) are those and its impressions, 1.25 a candidate; one student.
`--factor` is for shards that take longer than others and for work that is done twice, and counts where work is by
shard. `--price` of a core-hour is an assumption, of no provider.
"""

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Shown

from ukdsl_assets.declaration.read import SHIPPED, read_cascade

MEASURED = Path(__file__).parent / "measured" / "scale.json"
TERABYTE, HOUR = 1e12, 3600
ARMS = 2
# What the engine has worked on by shard, logs of Parquet files by part first; training is one process's, on one core.
BY_SHARD = ("logs", "tables", "labels", "exploration", "evaluation")
# Files of one commit, and wall seconds of the commit that replaces a day of as many (deltalake 1.6.6, on 2 shared cores
# of an Intel Xeon, 2026-11-29; the files had next to no rows, and what hashes them was not counted).
COMMITS = ((1_024, 1.0), (10_000, 9.4))
# Wall seconds to open a table of 64,000 live files, with a checkpoint of its log and without; as COMMITS.
OPENED, OPENED_WITHOUT = 1.6 / 64_000, 5.9 / 64_000


@dataclass(frozen=True)
class Cluster:
    """What a day is to be made on, and what is assumed of it.

    Attributes:
        augmented: rows of teacher_augmented a candidate row.
        factor: of core-hours by shard, for skew and retries.
        price: of a core-hour.
        cores: of a node.
        hours: that the day may take; nodes are as many as that needs.
        shards: files of each table's day.
        days: that tables keep.
        files: of the day's logs.
    """

    augmented: float = 1.25
    factor: float = 2.0
    price: float = 0.05
    cores: int = 16
    hours: float = 2.0
    shards: int = 4096
    days: int = 90
    files: int = 1024


@dataclass(frozen=True)
class Step:
    """A step of the day: seconds a row, and wall hours on the cluster's nodes as it runs today."""

    name: str
    rows: float
    cost: float
    core_hours: float
    by_shard: bool
    hours: float


@dataclass(frozen=True)
class Estimate:
    """Of a day.

    Attributes:
        nodes, hours_by_shard: where every step went by shard.
        hours, serial: as it runs today on as many nodes, in all and in steps of one process.
        work, held: money for core-hours with the factor, and for the nodes over the hours of today.
    """

    steps: tuple[Step, ...]
    core_hours: float
    with_factor: float
    nodes: int
    hours_by_shard: float
    hours: float
    serial: float
    work: float
    held: float


def estimate(rows: float, costs: Mapping[str, float], cluster: Cluster) -> Estimate:
    """Linear in rows but for the nodes, which are whole.

    Args:
        rows: candidates of the day, above 0.
        costs: CPU seconds a row by step, of `costs_of`.
    """
    of_step = {name: rows if name == "logs" else rows * cluster.augmented for name in costs}
    core_hours = {name: of_step[name] * cost / HOUR for name, cost in costs.items()}
    total = sum(core_hours.values())
    with_factor = total * cluster.factor
    nodes = math.ceil(with_factor / (cluster.hours * cluster.cores))
    cores = nodes * cluster.cores
    steps = []
    for name, cost in costs.items():
        by_shard = name in BY_SHARD
        hours = core_hours[name] * cluster.factor / cores if by_shard else core_hours[name]
        steps.append(Step(name, of_step[name], cost, core_hours[name], by_shard, hours))
    hours = sum(step.hours for step in steps)
    return Estimate(
        steps=tuple(steps),
        core_hours=total,
        with_factor=with_factor,
        nodes=nodes,
        hours_by_shard=with_factor / cores,
        hours=hours,
        serial=sum(step.hours for step in steps if not step.by_shard),
        work=with_factor * cluster.price,
        held=cores * hours * cluster.price,
    )


def costs_of(measured: Mapping[str, Any]) -> dict[str, float]:
    """CPU seconds a row by step, of the largest day that was measured."""
    largest = measured["days"][max(measured["days"], key=int)]
    return {name: figures["cpu"] / figures["rows"] for name, figures in largest.items()}


def breaks(rows: float, of_day: Estimate, cluster: Cluster) -> list[tuple[str, str, str]]:
    """What gives way, in order: what it is, its figure, what there is to do."""
    an_arm = next(step.core_hours for step in of_day.steps if step.name == "training") / ARMS
    impressions = rows * (cluster.augmented - 1)
    matrix = impressions * bytes_of_a_tree_row()
    opened = cluster.days * cluster.shards
    return [
        (
            "training",
            f"{an_arm:.1f} h an arm, which is a sequence of steps on one core: {an_arm / cluster.hours:.1f} times the "
            f"{cluster.hours:g} h asked for; the arms run at once by UKDSL_STEPS",
            "a smaller consideration_rate",
        ),
        (
            "memory of boosted-tree teachers on all rows",
            f"{impressions / 1e9:.2f}e9 impressions of {bytes_of_a_tree_row()} bytes: {matrix / 2**30:,.0f} GiB a day "
            "of the window, twice that while columns are put together",
            "most_rows, 5,000,000 unless declared otherwise",
        ),
        (
            "the commit of many files",
            f"{seconds_of_a_commit(cluster.shards):.1f} s a table for {cluster.shards:,} files, in one process",
            "no more shards than memory asks for",
        ),
        (
            "the Delta log",
            f"{opened * OPENED:.0f} s to open a table of {cluster.days} days of {cluster.shards:,} files, "
            f"{opened * OPENED_WITHOUT:.0f} s without a checkpoint of its log",
            "keep fewer days, or fewer shards",
        ),
        (
            "the exchange of the logs",
            f"each of {cluster.shards:,} shards reads twice of each of {cluster.files:,} files: "
            f"{2 * cluster.shards * cluster.files / 1e6:,.1f} million requests of a store",
            "larger files, or fewer shards",
        ),
    ]


def bytes_of_a_tree_row() -> int:
    """Of the float32 matrix that trees at the last stage of simulated_ads read; lists of ids are not in it."""
    cascade = read_cascade(SHIPPED / "simulated_ads.yaml")
    features = cascade.features_known_at(cascade.stages[-1].name)
    return 4 * sum(feature.width or 1 for feature in features if feature.kind != "multi_valued")


def seconds_of_a_commit(files: int) -> float:
    """By the line through the two that were measured."""
    (few, fast), (many, slow) = COMMITS
    return max(0.0, fast + (files - few) * (slow - fast) / (many - few))


def main() -> None:
    """Print the estimate, or write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=_positive, default=8.2e9, help="candidate rows a day")
    for name, default in vars(Cluster()).items():
        kind = _positive if isinstance(default, float) else _whole
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--measured", type=Path, default=MEASURED, help="what benchmarks.scale --json wrote")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    chosen = vars(parser.parse_args())
    rows, path, as_json = (chosen.pop(name) for name in ("rows", "measured", "json"))
    measured, cluster = json.loads(path.read_text()), Cluster(**chosen)
    of_day = estimate(rows, costs_of(measured), cluster)
    if as_json:
        print(json.dumps(as_figures(rows, of_day, cluster, measured), indent=1))
    else:
        show(rows, of_day, cluster, measured)


def as_figures(rows: float, of_day: Estimate, cluster: Cluster, measured: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is printed, for a program."""
    return {
        "rows": rows,
        "assumed": vars(cluster),
        "measured": {name: value for name, value in measured.items() if name != "days"},
        **vars(of_day),
        "steps": [vars(step) for step in of_day.steps],
        "dominates": _largest(of_day).name,
        "breaks": [
            dict(zip(("what", "figure", "remedy"), each, strict=True)) for each in breaks(rows, of_day, cluster)
        ],
    }


def show(rows: float, of_day: Estimate, cluster: Cluster, measured: Mapping[str, Any]) -> None:
    """Two tables and what follows from them, in 80 columns."""
    console = Console(width=80, highlight=False)
    table = Shown(title=f"A day of {rows / 1e9:,.2f}e9 candidate rows, one student")
    for column in ("step", "1e9 rows", "us a row", "core-hours", "share", "today", "hours"):
        table.add_column(column, justify="left" if column in ("step", "today") else "right", no_wrap=True)
    for step in of_day.steps:
        table.add_row(
            step.name,
            f"{step.rows / 1e9:,.2f}",
            f"{step.cost * 1e6:.2f}",
            f"{step.core_hours:,.1f}",
            f"{step.core_hours / of_day.core_hours:.0%}",
            "by shard" if step.by_shard else "serial",
            f"{step.hours:,.1f}",
        )
    table.add_section()
    table.add_row("all", "", "", f"{of_day.core_hours:,.1f}", "", "", f"{of_day.hours:,.1f}")
    console.print(table)
    largest, longest = _largest(of_day), max(of_day.steps, key=lambda step: step.hours)
    serial = ", ".join(f"{step.name} {step.hours:,.1f} h" for step in of_day.steps if not step.by_shard)
    for line in (
        f"Work: {of_day.core_hours:,.1f} core-hours, {of_day.with_factor:,.1f} with a factor of {cluster.factor:g} for "
        f"skew and retries; {largest.name} take{'' if largest.name.endswith('s') else 's'} most of it "
        f"({largest.core_hours / of_day.core_hours:.0%}).",
        f"If every step went by shard: {of_day.nodes} nodes of {cluster.cores} cores for "
        f"{of_day.hours_by_shard:.1f} h, {of_day.work:,.2f} at {cluster.price:g} a core-hour (an assumption, of no "
        "provider).",
        f"Today, on as many: {of_day.hours:,.1f} h, of which {of_day.serial:,.1f} h on one core ({serial}; "
        f"longest: {longest.name}); nodes that wait meanwhile cost {of_day.held:,.2f}.",
    ):
        console.print(line)
    table = Shown(title="What breaks first, in order", show_lines=True)
    for column, width in (("", 1), ("what", 14), ("how far", 32), ("what helps today", 20)):
        table.add_column(column, width=width)
    for place, each in enumerate(breaks(rows, of_day, cluster), 1):
        table.add_row(str(place), *each)
    console.print(table)
    said = f"Costs a row: {measured['command']}, {measured['measured']}, {measured['processor']}. {measured['note']}"
    console.print(said.rstrip())


def _largest(of_day: Estimate) -> Step:
    return max(of_day.steps, key=lambda step: step.core_hours)


def _positive(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


if __name__ == "__main__":
    main()

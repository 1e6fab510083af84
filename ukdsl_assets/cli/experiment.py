"""`ukdsl experiment`: who is in which arm, how long it must run, and what it found."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ukdsl_assets.cli.common import check_output, complaints, console, is_stdout, text_width
from ukdsl_assets.errors import ExperimentError

if TYPE_CHECKING:
    from ukdsl_assets.experiments.assignment import Experiment

experiment = typer.Typer(
    no_args_is_help=True, help="Two arms by visitor: assign, plan, read (see Experiment in the documentation)."
)
_SHARES = "control=0.5,treatment=0.5"

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the experiment: it draws the arms, as a salt.")]
Shares = Annotated[str, typer.Option(metavar="ARM=SHARE,...", help="Arms and their shares; the control comes first.")]
Visitor = Annotated[str, typer.Option(metavar="COLUMN", help="Column of the visitor, by whom arms are drawn.")]
Metrics = Annotated[
    list[str], typer.Option("--metric", metavar="NAME", help="Column to sum, or event; the first one decides.")
]
Page = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Page of each row; request_id, or a row a page, if left out.")
]
Day = Annotated[str | None, typer.Option(metavar="COLUMN", help="Day or moment of each row; requested_at if left out.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write all figures here; - prints them in place of all else.")
]


@experiment.command()
def assign(
    name: Name,
    shares: Shares = _SHARES,
    visitors: Annotated[
        list[str] | None, typer.Option("--visitor", metavar="ID", help="A visitor, as often as wanted.")
    ] = None,
    source: Annotated[Path | None, typer.Option("--input", help="Or a Parquet or CSV file of visitors.")] = None,
    column: Annotated[str, typer.Option(help="Column of the visitor in it.")] = "visitor",
    target: Annotated[Path | None, typer.Option("--output", help="CSV file to write: visitor,arm.")] = None,
) -> None:
    """Say which arm visitors are in: by a hash of their id and the experiment's name, always the same."""
    import polars as pl

    from ukdsl_assets.logs.visitor_days import distinct_visitors
    from ukdsl_assets.reports.experiment import arm_lines

    chosen = _experiment(name, shares)
    if (source is None) == (not visitors) or (source is None) != (target is None):
        raise ExperimentError("assign: expected --visitor ID (some), or --input FILE with --output FILE")
    if source is None or target is None:
        console.print("\n".join(arm_lines([(each, chosen.arm_of(each)) for each in visitors or []])), highlight=False)
        return
    check_output("--output", target)
    if target.suffix.lower() != ".csv":
        raise ExperimentError(f"--output: expected a file that ends with .csv, saw {target}")
    ids = distinct_visitors(source, column)
    arms = chosen.arms_of(ids)
    pl.DataFrame([ids, arms]).write_csv(target)
    counted = ", ".join(f"{arm} {int((arms == arm).sum()):,}" for arm in chosen.shares)
    console.print(f"{len(ids):,} visitors: {counted}\n{target}", highlight=False, soft_wrap=True)


@experiment.command()
def power(
    lift: Annotated[float | None, typer.Option(help="The lift to be found, 0.02 for 2%: how long it takes.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="How long it may run: the least lift that is found.")] = None,
    log: Annotated[Path | None, typer.Option(help="A log of pages without an experiment, to measure by.")] = None,
    visitor: Visitor = "visitor",
    metrics: Metrics = [],  # noqa: B006
    events: Annotated[Path | None, typer.Option(help="Event log of these pages; metrics are events.")] = None,
    page: Page = None,
    day: Day = None,
    before_days: Annotated[int, typer.Option(min=0, help="First days of the log that CUPED knows; 0: none.")] = 0,
    rate: Annotated[float | None, typer.Option(help="In place of a log: outcomes per page.")] = None,
    pages: Annotated[float, typer.Option(help="Pages a visitor.")] = 1.0,
    variance: Annotated[
        float | None, typer.Option(help="Over visitors, of outcomes - rate * pages; of one page each if left out.")
    ] = None,
    visitors: Annotated[int, typer.Option(min=1, help="Visitors of both arms ...")] = 10_000,
    in_days: Annotated[float | None, typer.Option(min=0.01, help="... who come in so many days.")] = None,
    shares: Shares = _SHARES,
    chance: Annotated[float, typer.Option("--power", help="With which the lift is found.")] = 0.8,
    looks: Annotated[int, typer.Option(min=1, max=50, help="Planned looks, evenly.")] = 4,
    json_file: JsonFile = None,
) -> None:
    """Say how small a lift an experiment finds, or how long it must run, before it begins."""
    from ukdsl_assets.experiments.power import stated_traffic
    from ukdsl_assets.logs.visitor_days import PageColumns
    from ukdsl_assets.pipeline.experiment import traffic_of
    from ukdsl_assets.reports.experiment import power_json, power_lines

    check_output("--json", json_file, or_print=True)
    chosen = _experiment("power", shares)
    if (log is None) == (rate is None):
        raise ExperimentError("power: expected --log FILE with --metric NAME, or --rate")
    if log is not None:
        with complaints.status("reading the log ..."):
            found = traffic_of(
                chosen, log, PageColumns(visitor, tuple(metrics), page=page, day=day), events, before_days
            )
    else:
        assert rate is not None
        of_shares = list(chosen.shares.values())[:2]
        found = {"outcomes": (rate, stated_traffic(rate, pages, variance, visitors, in_days, of_shares))}
    _tell(
        json_file,
        power_json(found, chance, looks, lift, days),
        power_lines(found, chance, looks, lift, days, text_width()),
    )


@experiment.command()
def read(
    name: Name,
    visitor: Visitor,
    metrics: Metrics,
    log: Annotated[Path | None, typer.Option(help="Log of both arms: Parquet, CSV, or a folder of Parquet.")] = None,
    arm: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Arm of each row; drawn by the name if left out.")
    ] = None,
    control: Annotated[Path | None, typer.Option(help="Or one log of each arm: the control's ...")] = None,
    treatment: Annotated[Path | None, typer.Option(help="... and the treatment's.")] = None,
    events: Annotated[
        list[Path] | None, typer.Option(help="Event log: one for all logs, or one for each; metrics are events.")
    ] = None,
    before: Annotated[Path | None, typer.Option(help="Log of a time before, for CUPED.")] = None,
    shares: Shares = _SHARES,
    days: Annotated[int | None, typer.Option(min=1, help="Days that were planned; one look if left out.")] = None,
    looks: Annotated[int, typer.Option(min=1, max=50, help="Looks that were planned, evenly over the days.")] = 4,
    page: Page = None,
    day: Day = None,
    json_file: JsonFile = None,
) -> None:
    """Read an experiment: ratio check, lifts with intervals, and a verdict whose error of 5% holds over its looks."""
    from ukdsl_assets.experiments.plan import Plan
    from ukdsl_assets.logs.visitor_days import PageColumns
    from ukdsl_assets.pipeline.experiment import read_files
    from ukdsl_assets.reports.experiment import reading_json, reading_lines

    check_output("--json", json_file, or_print=True)
    chosen = _experiment(name, shares)
    if log is not None and control is None and treatment is None:
        logs = [log]
    elif log is None and control is not None and treatment is not None and arm is None:
        logs = [control, treatment]
    else:
        raise ExperimentError(
            "read: expected --log FILE, with --arm COLUMN where the log has one, or --control FILE and --treatment FILE"
        )
    plan = None if days is None else Plan.evenly(days, looks)
    with complaints.status("reading the logs ..."):
        columns = PageColumns(visitor, tuple(metrics), arm, page, day)
        reading = read_files(chosen, logs, columns, plan, before, events or [])
    _tell(json_file, reading_json(reading), reading_lines(reading, text_width()))


def _experiment(name: str, shares: str) -> "Experiment":
    """`static=0.5,students=0.5` as an experiment's shares."""
    from ukdsl_assets.experiments.assignment import Experiment

    parsed: dict[str, float] = {}
    for part in shares.split(","):
        arm, _, share = part.strip().partition("=")
        try:
            number = float(share)
        except ValueError:
            raise ExperimentError(f"--shares: expected ARM=SHARE,ARM=SHARE such as {_SHARES}, saw {shares!r}") from None
        if arm in parsed:
            raise ExperimentError(f"--shares: arm {arm!r} stands twice in {shares!r}; name each once")
        parsed[arm] = number
    return Experiment(name, parsed)


def _tell(json_file: Path | None, figures: dict[str, Any], lines: list[str]) -> None:
    if json_file is not None:
        text = json.dumps(figures, indent=1)
        print(text) if is_stdout(json_file) else json_file.write_text(text + "\n", encoding="utf-8")
    if not is_stdout(json_file):
        console.print("\n".join(lines), highlight=False, soft_wrap=True)

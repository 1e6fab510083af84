"""The report of a cascade and day as one HTML file that needs nothing else: no network, no scripts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, OWN, SCORED
from ukdsl_assets.lake.storage import Storage
from ukdsl_assets.learning.evaluation.by_group import DECILE
from ukdsl_assets.reports import plots
from ukdsl_assets.reports.champion import champion_sentences
from ukdsl_assets.reports.contents import VIEWS, CascadeReport, StudentReport, figures_of, read_report
from ukdsl_assets.reports.printed import (
    days_that_judged,
    decided_on,
    explored_line,
    in_words,
    verdict_domain,
    why_decided,
    withheld_requests,
)
from ukdsl_assets.reports.product import product_sentences
from ukdsl_assets.reports.selection_section import selection_shown
from ukdsl_assets.settings import Settings

FOLDER = Path(__file__).parent
# arXiv 2502.06834, production, pre-ranking: calibration on IMP and CD, change of NE on both; without errors.
PAPER = (
    ("baseline", ("1.01", "1.27", "0", "0")),
    ("with distillation", ("1.03", "1.12", "+0.01%", "\N{MINUS SIGN}1.98%")),
)
ROWS = (("baseline", "baseline"), ("distilled", "with distillation"))
OUTCOMES = {
    "released": "Released",
    "refused": "Refused",
    "not_judged": "Not judged",
    "newer": "Passed, but a newer day stays released",
    "undecided": "No decision yet",
}
SENTENCES = {
    OWN: "On its own choice, the candidates that it would itself hand on",
    SCORED: "On all that its stage scores",
    CD: "On rows that the next stage scored",
}
Row = tuple[str, list[str]]
DASH, MINUS, SPACE = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"


def report_place(cascade: str, day: date) -> tuple[str, ...]:
    """Folders and file of a day's report below the lake."""
    return ("reports", cascade, f"day={day}", "report.html")


@dataclass(frozen=True)
class WrittenReport:
    """What was shown, where the file is (absolute path or URI), its size, and a hash of its content."""

    report: CascadeReport
    uri: str
    bytes: int
    version: str


def write_report(settings: Settings, cascade: Cascade, day: date) -> WrittenReport:
    """Makes the report of a day and puts it into the lake; a report that is there is replaced in one step.

    Raises:
        LakeError: a table that the report needs is not published for the day.
    """
    storage, report = Storage(settings.lake), read_report(settings, cascade, day)
    place, content = report_place(cascade.name, day), render_report(report).encode()
    storage.write(storage.path(*place), content)
    return WrittenReport(report, storage.uri(*place), len(content), sha256(content).hexdigest()[:16])


def render_report(report: CascadeReport) -> str:
    """The HTML text; equal reports give the same text."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cascade = report.cascade
    return environment.get_template("report.html.jinja").render(
        cascade=cascade,
        day=report.day,
        data=data_line(report),
        css=Markup((FOLDER / "report.css").read_text()),
        funnel=Markup(plots.funnel_svg(report.funnel, report.requests)),
        funnel_rows=report.funnel.rows(),
        requests=report.requests,
        delayed=any(task.delayed for task in cascade.tasks),
        stages=Markup(plots.stage_calibration_svg(report.stages)) if len(report.stages) else None,
        stage_rows=stage_rows(report.stages),
        students=[_student(cascade, report.day, student_report) for student_report in report.students],
        paper=PAPER,
    )


def data_line(report: CascadeReport) -> str:
    """Which data the figures are of."""
    cascade = report.cascade
    days = [days_that_judged(cascade, each.evaluation) for each in report.students]
    seed = getattr(cascade.source, "seed", None)
    source = f"source {cascade.source.kind}" + ("" if seed is None else f" (seed {seed})")
    note = f"{cascade.note}, " if cascade.note else ""
    return (
        f"Data: {note}{source}. Students are judged on the {withheld_requests(days, report.day)}: "
        f"{cascade.withheld_share:.0%} of the requests, chosen by hash, on which no model was trained."
    )


def headline_sentences(evaluation: pl.DataFrame, teacher: str, serving: str = "consideration") -> list[str]:
    """What distillation did to a student on a day, in words; NE changes within two standard errors are none.

    The first is of its own choice where the teacher or the truth speaks of it, else of all that its stage scored, else
    of rows that the next stage scored. Empty where the day has no figures of both arms.
    """
    domain, reference = verdict_domain(evaluation, serving)
    before, after = (figures_of(evaluation, arm, domain, reference) for arm in ("baseline", "distilled"))
    considered = figures_of(evaluation, "distilled", CD, "teacher")
    shown = figures_of(evaluation, "distilled", IMP, "label")
    if before is None or after is None or considered is None or shown is None:
        return []
    against = (
        f"its teacher ({teacher})" if reference == "teacher" else "the true probabilities, which this source knows"
    )
    sentences = [
        f"{SENTENCES[domain]}, its predictions are {_off(before)} without distillation and {_off(after)} with it, "
        f"measured against {against}."
    ]
    truth = [figures_of(evaluation, arm, domain, "truth") for arm in ("baseline", "distilled")]
    if reference == "teacher" and truth[0] is not None and truth[1] is not None:
        sentences.append(
            f"Against the true probabilities, which this source knows, they are {_off(truth[0])} without and "
            f"{_off(truth[1])} with distillation."
        )
    sentences.append(
        f"With distillation they are {_better(considered)} on rows that the next stage scored (NE{SPACE}"
        f"{_change(considered)}) and {_better(shown)} on shown ones (NE{SPACE}{_change(shown)})."
    )
    return sentences


def scored_rows(evaluation: pl.DataFrame) -> list[Row]:
    """All that the stage scored and the head's own choice: calibrations of both arms, and how good the choice is.

    Of each domain against the teacher and the truth, in this order; then share of the ideal choice's value, and recall.
    A dash where the day has no such figure; empty where it has none of them.
    """
    views = [(domain, reference) for domain in (SCORED, OWN) for reference in ("teacher", "truth")]
    rows = []
    for arm, title in (*ROWS, ("released", "released before this day")):
        found = {view: figures_of(evaluation, arm, *view) for view in views}
        if any(found.values()):
            order = found[OWN, "truth"]
            shares = [order[name] if order else None for name in ("value_share", "recall")]
            rows.append(
                (title, [*(_calibration(found[view]) for view in views), *(number(each, 3) for each in shares)])
            )
    return rows


def main_rows(evaluation: pl.DataFrame, references: tuple[str, str] = ("label", "teacher")) -> list[Row]:
    """Rows of the paper's table: calibration on IMP and CD, change of NE on both, against the given references."""
    return [(title, row) for arm, title in ROWS if (row := _row(evaluation, arm, references)) is not None]


def progressive_rows(evaluation: pl.DataFrame) -> list[Row]:
    """The same columns for the student released before the day and for the day's own; empty where none was."""
    released = _row(evaluation, "released", ("label", "teacher"))
    if released is None:
        return []
    today = _row(evaluation, "distilled", ("label", "teacher"))
    return [("released before this day", released), *([("distilled on this day", today)] if today else [])]


def stage_rows(stages: pl.DataFrame) -> list[tuple[str, ...]]:
    """Rows of stage_calibration as texts."""
    names = {view: name for view, (name, *_) in plots.COMPARISONS.items()}
    return [
        (
            f"{row['stage']}: {row['task']}",
            names.get((row["domain"], row["reference"]), f"{row['domain']}, {row['reference']}"),
            f"{row['rows']:,}",
            number(row["mean_prediction"], 5),
            number(row["mean_reference"], 5),
            number(row["calibration"], 3),
        )
        for row in stages.iter_rows(named=True)
    ]


def number(value: float | None, digits: int) -> str:
    """A figure as text, a dash where it is undefined."""
    return f"{value:.{digits}f}" if value is not None and math.isfinite(value) else DASH


def _student(cascade: Cascade, day: date, report: StudentReport) -> dict[str, Any]:
    """What the template shows of a student."""
    student, evaluation, groups = report.student, report.evaluation, report.groups
    teacher = cascade.teacher(student.teacher)
    kinds = {
        "logged": "the predictions that it logged",
        "trained": "a model trained on impressions",
        "foundation": "a network of all tasks, trained on impressions",
        "cross_domain": "a model of another cascade, used as it is",
    }
    how = kinds[teacher.kind]
    if teacher.foreign and teacher.recalibration == "labels":
        how = "a model of another cascade, recalibrated by this one's labels"
    segments = {} if groups is None else _segments(groups)
    counted = {view: figures_of(evaluation, "distilled", *view) for view in VIEWS}
    truth = main_rows(evaluation, ("truth", "truth")) if cascade.has_truth else []
    considered = counted[CD, "teacher"]
    return {
        "name": student.name,
        "about": f"{student.architecture.kind} of stage {student.stage} for task {student.task}, taught by "
        f"{teacher.name} ({how} at stage {teacher.stage})",
        "labels": report.labels,
        "stage": student.stage,
        "seed": student.seed,
        "heads": ", ".join(student.heads),
        "outcome": report.outcome,
        "title": OUTCOMES[report.outcome],
        "reasons": report.reasons,
        "decided": _decided(day, report),
        "sentences": [
            *([report.teacher] if report.teacher else []),
            *(
                product_sentences(student.served_heads[-1], evaluation)
                or headline_sentences(evaluation, teacher.name, student.served_heads[-1])
            ),
            *([report.on_exploration] if report.on_exploration else []),
        ],
        "explored": explored_line(student.served_heads[-1], evaluation),
        "scored": scored_rows(evaluation),
        "rows": {domain: f"{row['rows']:,}" if row else "no" for (domain, _), row in counted.items()},
        "serving": considered["head"] if considered else student.served_heads[-1],
        "teacher": teacher.name,
        "main": main_rows(evaluation),
        "truth": [(title, row) for title, row in truth if any(cell != DASH for cell in row)],
        "reliability": None if groups is None else Markup(plots.reliability_svg(groups)),
        "segments": segments,
        "trend": Markup(plots.trends_svg(report.trend, cascade.gates.student_calibration)),
        "trend_days": report.trend["day"].n_unique(),
        "progressive": progressive_rows(evaluation),
        "selection": None if report.selection is None else selection_shown(student, report.selection),
        "gates": report.gates,
        "champion": [] if report.champion is None else champion_sentences(student, report.champion, day),
        "decisions": [_decision(decision) for decision in reversed(report.decisions)],
    }


def _decided(day: date, report: StudentReport) -> str:
    """What follows from the decision of the day, before its reasons."""
    entries = [each["entry"] for each in report.decisions if decided_on(each["entry"]) == str(day)]
    entry = entries[-1] if entries else {"day": str(day)}
    if report.outcome == "released":
        leave = entry.get("accepted")
        gates = f"Accepted by name: {'; '.join(leave)}" if leave else "No gate refuses the release"
        return f"{gates}; {_whose(day, entry)} may serve."
    stays = "what was released before stays" if report.anything_released else "nothing is released"
    if report.outcome == "refused":
        return f"{stays.capitalize()}. Why:"
    return f"Nothing moves: {stays}. There is too little to decide by:"


def _whose(day: date, entry: Mapping[str, Any]) -> str:
    return "this day's student" if entry["day"] == str(day) else f"the student of {entry['day']}"


def _segments(groups: pl.DataFrame) -> dict[str, tuple[Markup, int]]:
    """Segment -> its figure, and how many of its groups are left out."""
    figures = {}
    for name in groups["by"].unique(maintain_order=True):
        if name != DECILE:
            of_segment = groups.filter(by=name)
            left_out = of_segment["group"].n_unique() - len(plots.largest_groups(of_segment))
            figures[name] = (Markup(plots.segment_svg(groups, name)), left_out)
    return figures


def _decision(record: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    entry = record["entry"]
    return (
        entry["day"],
        in_words(record["outcome"]),
        entry["checkpoint"],
        why_decided(entry),
        record["decided_at"][:16].replace("T", " "),
    )


def _row(evaluation: pl.DataFrame, arm: str, references: tuple[str, str]) -> list[str] | None:
    imp, cd = (figures_of(evaluation, arm, *view) for view in zip((IMP, CD), references, strict=True))
    if imp is None and cd is None:
        return None
    changes = ["0", "0"] if arm == "baseline" else [_change(imp), _change(cd)]
    return [_calibration(imp), _calibration(cd), *changes]


def _calibration(row: Mapping[str, Any] | None) -> str:
    return DASH if row is None else _with_error(number(row["calibration"], 3), number(row["calibration_error"], 3), "")


def _change(row: Mapping[str, Any] | None) -> str:
    if row is None or row["ne_change"] is None or not math.isfinite(row["ne_change"]):
        return DASH
    error = row["ne_change_error"]
    return _with_error(
        f"{100 * row['ne_change']:+.2f}".replace("-", MINUS), number(None if error is None else 100 * error, 2), "%"
    )


def _with_error(value: str, error: str, unit: str) -> str:
    return f"{value}{unit}" if error == DASH else f"{value}{SPACE}±{SPACE}{error}{unit}"


def _off(row: Mapping[str, Any]) -> str:
    """26% too high"""
    calibration = row["calibration"]
    if calibration is None or not math.isfinite(calibration):
        return "of unknown calibration"
    share = abs(calibration - 1)
    return "right on average" if share < 0.005 else f"{share:.0%} too {'high' if calibration > 1 else 'low'}"


def _better(row: Mapping[str, Any]) -> str:
    """more accurate, less accurate, or not measurably different, at two standard errors."""
    change, error = row["ne_change"], row["ne_change_error"]
    if change is None or not math.isfinite(change):
        return "not measured"
    if error is None or not abs(change) > 2 * error:
        return "not measurably different"
    return "more accurate" if change < 0 else "less accurate"

"""What a report shows, read back from the lake and nothing else: tables, decisions, verdicts of the gates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.students import SCORED_HEAD, Student
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.learning.evaluation.champion_gates import judge_champion
from ukdsl_assets.learning.evaluation.gates import judge_student
from ukdsl_assets.learning.evaluation.table import COLUMNS, LATER, completed
from ukdsl_assets.pipeline.exploration import judged_teacher
from ukdsl_assets.pipeline.page_examples import PageExamples, page_examples
from ukdsl_assets.pipeline.page_policy import Estimated, estimated_policies, off_policy_table
from ukdsl_assets.reports.changes import DayBefore
from ukdsl_assets.reports.printed import decided_on, teacher_first, teacher_told
from ukdsl_assets.reports.segments import with_names
from ukdsl_assets.settings import Settings

TREND_DAYS = 30
SHOWN_DECISIONS = 10
# What each arm is judged by: shown rows by labels, considered rows by the teacher.
VIEWS = ((IMP, "label"), (CD, "teacher"))
COUNTED = ("candidate_log", "event_log", "impressions", "considerations")


@dataclass(frozen=True)
class StudentReport:
    """One student on one day.

    Attributes:
        evaluation: the day's rows of the table evaluation.
        trend: the same of the last published days up to the day, at most 30, the day included.
        groups: the day's rows of calibration_by_group with the declared names, None where the day has none.
        gates: the verdicts on the distilled arm, None where the evaluation is too old to be judged again.
        decisions: decisions on this and earlier days, oldest first, at most 10.
        selection: what was selected, None for a student without a selection or a day without one.
        labels: what became of labels that come late, empty where there are none.
        outcome: "released", "refused", "not_judged", "withdrawn", "newer" (a newer day stays released) or "undecided".
        reasons: why it was refused, not judged or withdrawn.
        teacher: what is wrong with its teacher, empty for nothing.
        on_exploration: how a right one agrees with rows that chance showed, or why that is not judged.
        champion: champion_comparison of the trailing days up to the day, None where the day has none.
        anything_released: whether anything was released on the day or before.
        before: the same student on the day before of the lake, None where it was not evaluated then.
    """

    student: Student
    evaluation: pl.DataFrame
    trend: pl.DataFrame
    groups: pl.DataFrame | None
    gates: list[GateResult] | None
    decisions: list[dict[str, Any]]
    outcome: str
    reasons: list[str]
    selection: "SelectionReport | None" = None
    labels: str = ""
    teacher: str = ""
    on_exploration: str = ""
    champion: pl.DataFrame | None = None
    anything_released: bool = True
    before: DayBefore | None = None


@dataclass(frozen=True)
class SelectionReport:
    """A student's feature selection on one day.

    Attributes:
        importance: by domain (IMP, CD), the day's rows of impression_importance and consideration_importance.
        unions: feature_union of the last published days up to the day, at most 30, the day included.
        comparison: the day's rows of selection_comparison, None where the day has none.
    """

    importance: dict[str, pl.DataFrame]
    unions: pl.DataFrame
    comparison: pl.DataFrame | None


@dataclass(frozen=True)
class CascadeReport:
    """A cascade on one day.

    Attributes:
        funnel: as of `funnel_of`.
        stages: the day's rows of stage_calibration.
        before: the newest day before it whose log is published, None on the first.
        rows: table -> its rows on the day, of `COUNTED`; rows_before: the same of the day before.
        pages: of a cascade that declares a page.
        estimates: of each policy that is estimated the day's rows of off_policy, those that are published.
    """

    cascade: Cascade
    day: date
    requests: int
    funnel: pl.DataFrame
    stages: pl.DataFrame
    students: list[StudentReport]
    before: date | None = None
    rows: dict[str, int] = field(default_factory=dict)
    rows_before: dict[str, int] = field(default_factory=dict)
    pages: PageExamples | None = None
    estimates: list[tuple[Estimated, pl.DataFrame]] = field(default_factory=list)


def read_report(settings: Settings, cascade: Cascade, day: date) -> CascadeReport:
    """Everything that the report of a day shows; writes nothing.

    Raises:
        LakeError: the day's logs, impressions, stage_calibration or an evaluation are not published; says which.
    """
    lake, store = Lake(settings.tables, settings.shards), CheckpointStore(settings.checkpoints)
    requests, funnel = funnel_of(
        cascade,
        lake.scan((cascade.name, "candidate_log"), [day], columns=["request_id", "deepest_stage", "shown"]),
        lake.scan((cascade.name, "impressions"), [day], columns=[task.name for task in cascade.tasks]),
    )
    order = pl.Enum([stage.name for stage in cascade.stages])
    stages = lake.scan((cascade.name, "stage_calibration"), [day]).collect()
    stages = stages.sort(pl.col("stage").cast(order), "task", maintain_order=True)
    earlier = [each for each in lake.partitions((cascade.name, "candidate_log")) if each < day]
    before = earlier[-1] if earlier else None
    students = [read_student(lake, store, cascade, student, day, before) for student in cascade.students]
    now, then = ({}, {}) if before is None else rows_of(lake, cascade, day, before)
    pages = page_examples(lake, store, cascade, day)
    estimates = read_estimates(lake, cascade, day)
    return CascadeReport(cascade, day, requests, funnel, stages, students, before, now, then, pages, estimates)


def read_estimates(lake: Lake, cascade: Cascade, day: date) -> list[tuple[Estimated, pl.DataFrame]]:
    """Of each policy the day's rows of off_policy, with their column day; unpublished ones are left out."""
    keys = [(of, off_policy_table(cascade, of)) for of in estimated_policies(cascade)]
    return [(of, lake.scan(key, [day]).collect()) for of, key in keys if day in lake.partitions(key)]


def rows_of(lake: Lake, cascade: Cascade, *days: date) -> list[dict[str, int]]:
    """Of each day how many rows the tables of `COUNTED` have; those without a published day are left out."""
    counted = {name: lake.row_counts((cascade.name, name), days) for name in COUNTED}
    return [{name: counts[day] for name, counts in counted.items() if day in counts} for day in days]


def read_student(
    lake: Lake, store: CheckpointStore, cascade: Cascade, student: Student, day: date, before: date | None = None
) -> StudentReport:
    """One student's part of the report; see `read_report`; before: the day that changes are told from."""
    key = (cascade.name, student.name)
    days = [earlier for earlier in lake.partitions((*key, "evaluation")) if earlier < day][1 - TREND_DAYS :]
    trend = completed(lake.scan((*key, "evaluation"), [*days, day]).collect())
    evaluation = trend.filter(day=day)
    grouped = (*key, "calibration_by_group")
    groups = lake.scan(grouped, [day]).collect() if day in lake.partitions(grouped) else None
    history = [decision for decision in store.release_history(key) if decided_on(decision["entry"]) <= str(day)]
    outcome, reasons = outcome_on(day, history, store.released(key))
    of_teacher, champion = judged_teacher(lake, cascade, student, day), read_champion(lake, cascade, student, day)
    gates = every_gate(cascade, student, day, evaluation, of_teacher, champion)
    day_before = None
    if before in days:
        assert before is not None
        evaluated, outcome_then = trend.filter(day=before), outcome_on(before, history, None)[0]
        judged = judged_teacher(lake, cascade, student, before), read_champion(lake, cascade, student, before)
        gates_then = every_gate(cascade, student, before, evaluated, *judged)
        day_before = DayBefore(before, evaluated, outcome_then, gates_then)
    selection = read_selection(lake, key, day)
    labels = store.facts((*key, "distilled"), day).get("labels", "")
    return StudentReport(
        student,
        evaluation,
        trend,
        None if groups is None else with_names(cascade, groups),
        gates,
        history[-SHOWN_DECISIONS:],
        outcome,
        reasons,
        selection,
        labels,
        teacher_first(of_teacher, student.accept),
        teacher_told(of_teacher),
        champion,
        any(decision["outcome"] == "released" for decision in history),
        day_before,
    )


def every_gate(
    cascade: Cascade,
    student: Student,
    day: date,
    evaluation: pl.DataFrame,
    of_teacher: list[GateResult],
    champion: pl.DataFrame | None,
) -> list[GateResult] | None:
    """Verdicts on the teacher, on the student and against the champion; None where the evaluation is too old for it."""
    gates = gates_of(cascade, student, evaluation)
    if gates is None:
        return None
    compared = [] if champion is None else judge_champion(cascade, student, champion, day)
    # What is wrong with the teacher is wrong with all that agrees with it: it comes first.
    return [*of_teacher, *gates, *compared]


def read_champion(lake: Lake, cascade: Cascade, student: Student, day: date) -> pl.DataFrame | None:
    """champion_comparison of the `evaluation_days` up to a day, with their column day; None where the day has none."""
    table = (cascade.name, student.name, "champion_comparison")
    if day not in (published := lake.partitions(table)):
        return None
    first = day - timedelta(days=cascade.evaluation_days - 1)
    return lake.scan(table, [each for each in published if first <= each <= day]).collect()


def read_selection(lake: Lake, key: tuple[str, str], day: date) -> SelectionReport | None:
    """A student's selection of a day; None where it is not published."""
    union, comparison = (*key, "feature_union"), (*key, "selection_comparison")
    published = lake.partitions(union)
    if day not in published:
        return None
    days = [published_day for published_day in published if published_day <= day][-TREND_DAYS:]
    importance = {
        domain: lake.scan((*key, name), [day]).collect()
        for domain, name in ((IMP, "impression_importance"), (CD, "consideration_importance"))
    }
    compared = lake.scan(comparison, [day]).collect() if day in lake.partitions(comparison) else None
    return SelectionReport(importance, lake.scan(union, days).collect(), compared)


def funnel_of(cascade: Cascade, log: pl.LazyFrame, impressions: pl.LazyFrame) -> tuple[int, pl.DataFrame]:
    """How many candidates got how far.

    Args:
        log: columns request_id, deepest_stage and shown of a day's candidate log.
        impressions: one column a task, 1 for a positive label, 0 or null else.

    Returns:
        The number of requests, and a table of columns step (String) and rows (Int64): what each stage scored, what was
        shown, and the positive labels of each task.
    """
    reached = [
        pl.col("deepest_stage").is_in([stage.name for stage in cascade.stages[depth:]]).sum().alias(stage.name)
        for depth, stage in enumerate(cascade.stages)
    ]
    counted = log.select(pl.col("request_id").n_unique(), *reached, pl.col("shown").sum()).collect(engine="streaming")
    positive = impressions.select((pl.col(task.name) == 1).sum() for task in cascade.tasks).collect(engine="streaming")
    rows = counted.row(0, named=True)
    steps = {f"scored by {stage.name}": rows[stage.name] for stage in cascade.stages} | {"shown": rows["shown"]}
    for task in cascade.tasks:
        steps[f"{task.name}, so far" if task.delayed else task.name] = positive[task.name][0]
    return rows["request_id"], pl.DataFrame(
        {"step": list(steps), "rows": list(steps.values())}, schema={"step": pl.String, "rows": pl.Int64}
    )


def serving_rows(frame: pl.DataFrame, arm: str, domain: str, reference: str) -> pl.DataFrame:
    """The rows of the head that an arm is judged by: impression on shown rows, elsewhere what serves.

    Args:
        frame: columns arm, head, domain, reference and day, of one student; evaluation or calibration_by_group.
    """
    of_these = {"arm": arm, "domain": domain, "reference": reference}
    if domain == IMP:
        return frame.filter(head="impression", **of_these)
    # What serves is the last head, but for `scored` on CD: see `judging_head`.
    rows = frame.filter(pl.col("head") != SCORED_HEAD, **of_these) if domain == CD else frame.filter(**of_these)
    if rows["head"].n_unique() < 2:
        return rows
    place = pl.col("head").replace_strict({"impression": 0, "consideration": 1, SCORED_HEAD: 2})
    return rows.filter(place == place.max().over("day"))


def figures_of(evaluation: pl.DataFrame, arm: str, domain: str, reference: str) -> Mapping[str, Any] | None:
    """One row of a day's evaluation by name, None where the day has no such row."""
    rows = serving_rows(evaluation, arm, domain, reference)
    return rows.row(0, named=True) if len(rows) else None


def gates_of(cascade: Cascade, student: Student, evaluation: pl.DataFrame) -> list[GateResult] | None:
    """The gates judged again from a day's evaluation, None for one without errors or of an earlier declaration."""
    judged = evaluation.filter(arm="distilled")
    known = (
        not judged.select("mean_reference", "calibration_error", "ne_change_error").null_count().sum_horizontal().item()
    )
    same_heads = set(judged["head"]) == set(student.served_heads)
    return judge_student(cascade, student, evaluation) if known and same_heads else None


def outcome_on(
    day: date, history: Sequence[Mapping[str, Any]], released: Mapping[str, Any] | None
) -> tuple[str, list[str]]:
    """What was decided on the day, and why it was refused or not judged; see `StudentReport.outcome`.

    Args:
        history: of `release_history`, oldest first.
        released: the released entry, None for none.
    """
    decisions = [decision for decision in history if decided_on(decision["entry"]) == str(day)]
    if decisions:
        return decisions[-1]["outcome"], list(decisions[-1]["entry"].get("reasons", []))
    return ("newer" if released is not None and released["day"] > str(day) else "undecided"), []


def evaluation_of(settings: Settings, cascade: Cascade, days: Sequence[date], *extra: str) -> pl.DataFrame:
    """One row a day, student, arm, head, domain and reference; columns as in `learning.evaluation.table.COLUMNS`.

    Args:
        extra: further columns, of `learning.evaluation.table.LATER`.

    Raises:
        LakeError: when a day of a student is not published.
    """
    lake = Lake(settings.tables, settings.shards)
    tables = [(cascade.name, student.name, "evaluation") for student in cascade.students]
    parts = [completed(lake.scan(table, days).collect()).select(*COLUMNS, *extra) for table in tables]
    schema = COLUMNS | {name: LATER[name] for name in extra}
    return pl.concat(parts).sort("day", "student", maintain_order=True) if parts else pl.DataFrame(schema=schema)

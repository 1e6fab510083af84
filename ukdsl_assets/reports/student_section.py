"""What a report says of one student: its verdict and the reason, sentences, tables and pictures."""

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl
from markupsafe import Markup

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, OWN, SCORED
from ukdsl_assets.learning.evaluation.by_group import DECILE
from ukdsl_assets.reports import pictures
from ukdsl_assets.reports.cells import DASH, SPACE, change, main_rows, progressive_rows, scored_rows
from ukdsl_assets.reports.champion import champion_sentences
from ukdsl_assets.reports.changes import outcome_in_words, student_changes
from ukdsl_assets.reports.contents import VIEWS, StudentReport, figures_of
from ukdsl_assets.reports.printed import decided_on, explored_line, in_words, verdict_domain, why_decided
from ukdsl_assets.reports.product import product_sentences
from ukdsl_assets.reports.selection_section import selection_shown

SENTENCES = {
    OWN: "On its own choice, the candidates that it would itself hand on",
    SCORED: "On all that its stage scores",
    CD: "On rows that the next stage scored",
}
TEACHERS = {
    "logged": "the predictions that it logged",
    "trained": "a model trained on impressions",
    "foundation": "a network of all tasks, trained on impressions",
    "cross_domain": "a model of another cascade, used as it is",
}


def student_shown(cascade: Cascade, day: date, report: StudentReport) -> dict[str, Any]:
    """What the template shows of a student."""
    student, evaluation, groups = report.student, report.evaluation, report.groups
    teacher = cascade.teacher(student.teacher)
    how = TEACHERS[teacher.kind]
    if teacher.foreign and teacher.recalibration == "labels":
        how = "a model of another cascade, recalibrated by this one's labels"
    counted = {view: figures_of(evaluation, "distilled", *view) for view in VIEWS}
    truth = main_rows(evaluation, ("truth", "truth")) if cascade.has_truth else []
    considered = counted[CD, "teacher"]
    told = product_sentences(student.served_heads[-1], evaluation) or headline_sentences(
        evaluation, teacher.name, student.served_heads[-1]
    )
    gates = report.gates or []
    return {
        "name": student.name,
        "about": f"{student.architecture.kind} of stage {student.stage} for task {student.task}, taught by "
        f"{teacher.name} ({how} at stage {teacher.stage})",
        "labels": report.labels,
        "stage": student.stage,
        "seed": student.seed,
        "heads": ", ".join(student.heads),
        "outcome": report.outcome,
        "title": outcome_in_words(report.outcome),
        "reason": reason(day, report),
        "decided": decided(day, report),
        "reasons": report.reasons,
        "changes": None if report.before is None else changes(report),
        "taught": f"{student.name} learns from {teacher.name}: {how}, stage {teacher.stage}.",
        "of_teacher": [each for each in (report.teacher, report.on_exploration) if each],
        "headline": told[:1],
        "sentences": told,
        "explored": explored_line(student.served_heads[-1], evaluation),
        "scored": scored_rows(evaluation),
        "rows": {domain: f"{row['rows']:,}" if row else "no" for (domain, _), row in counted.items()},
        "serving": considered["head"] if considered else student.served_heads[-1],
        "teacher": teacher.name,
        "main": main_rows(evaluation),
        "truth": [(title, row) for title, row in truth if any(cell != DASH for cell in row)],
        "reliability": None if groups is None else pictures.reliability(groups),
        "segments": {} if groups is None else segments_of(groups),
        "trend": pictures.trend(report.trend, cascade.gates.student_calibration),
        "trend_days": report.trend["day"].n_unique(),
        "pooled": cascade.evaluation_days if cascade.evaluation_days > 1 else None,
        "progressive": progressive_rows(evaluation),
        "selection": None if report.selection is None else selection_shown(student, report.selection),
        "gates": report.gates,
        "passed": [gate for gate in gates if gate.passed],
        "open": [gate for gate in gates if not gate.passed],
        "champion": [] if report.champion is None else champion_sentences(student, report.champion, day),
        "decisions": [_decision(decision) for decision in reversed(report.decisions)],
    }


def reason(day: date, report: StudentReport) -> str:
    """Why a student is released, refused, not judged or withdrawn, in one sentence."""
    if report.outcome == "newer":
        return "This day was materialized after a newer one, and a release never goes back."
    if report.outcome == "undecided":
        return "The asset release of this day has not been materialized."
    if report.outcome == "released":
        return decided(day, report)
    if report.outcome == "withdrawn":
        return decided(day, report)
    if not report.reasons:
        return "Its reasons were not recorded."
    name, _, message = report.reasons[0].partition(": ")
    more = len(report.reasons) - 1
    others = f" ({more} more gate{'s' if more > 1 else ''}: see its section)" if more else ""
    told = unprefixed(message).rstrip(".")
    if report.outcome == "refused":
        return f"Gate {gate_in_words(name)} failed{others}: {told}."
    # What was too few says it; the figures stand in the student's section.
    lacking = [clause for clause in told.split("; ") if "too few" in clause or "needed" in clause]
    return f"Gate {gate_in_words(name)} could not be judged{others}: {lacking[0] if lacking else told}."


def gate_in_words(name: str) -> str:
    """“calibrated on scored”"""
    return f"\N{LEFT DOUBLE QUOTATION MARK}{name.replace('_', ' ')}\N{RIGHT DOUBLE QUOTATION MARK}"


def unprefixed(message: str) -> str:
    """A gate's message without the verdict that stands beside it."""
    return message.removeprefix("not judged: ")


def reason_in_words(text: str) -> str:
    """A recorded reason, `gate: message`, with the gate's name as words."""
    name, colon, message = text.partition(": ")
    return f"Gate {gate_in_words(name)}: {unprefixed(message)}" if colon else text


def decided(day: date, report: StudentReport) -> str:
    """What follows from the decision of the day; of one that did not release it stands before its reasons."""
    entries = [each["entry"] for each in report.decisions if decided_on(each["entry"]) == str(day)]
    entry = entries[-1] if entries else {"day": str(day)}
    if report.outcome == "released":
        leave = entry.get("accepted")
        gates = f"Accepted by name: {'; '.join(leave)}" if leave else "No gate refuses the release"
        return f"{gates}; {_whose(day, entry)} may serve."
    if report.outcome == "withdrawn":
        return f"It passed and was withdrawn, {why_decided(entry)}."
    stays = "what was released before stays" if report.anything_released else "nothing is released"
    if report.outcome == "refused":
        return f"{stays.capitalize()}. Why:"
    return f"Nothing moves: {stays}. There is too little to decide by:"


def changes(report: StudentReport) -> list[str]:
    """What changed of a student since the day before, which it has; see `changes.student_changes`."""
    assert report.before is not None
    views = pictures.told_views(report.evaluation)
    then, now = report.before.evaluation, report.evaluation
    pairs = [(figures_of(then, "distilled", *view), figures_of(now, "distilled", *view)) for view in views]
    return student_changes(report.before, report.outcome, report.gates, pairs)


def segments_of(groups: pl.DataFrame) -> dict[str, tuple[Markup, int]]:
    """Segment -> its picture, and how many of its groups are left out."""
    figures = {}
    for name in groups["by"].unique(maintain_order=True):
        if name != DECILE:
            of_segment = groups.filter(by=name)
            left_out = of_segment["group"].n_unique() - len(pictures.largest_groups(of_segment))
            figures[name] = (pictures.segment(groups, name), left_out)
    return figures


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
        f"{change(considered)}) and {_better(shown)} on shown ones (NE{SPACE}{change(shown)})."
    )
    return sentences


def _whose(day: date, entry: Mapping[str, Any]) -> str:
    return "this day's student" if entry["day"] == str(day) else f"the student of {entry['day']}"


def _decision(record: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    entry = record["entry"]
    return (
        entry["day"],
        in_words(record["outcome"]),
        entry["checkpoint"],
        why_decided(entry),
        record["decided_at"][:16].replace("T", " "),
    )


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

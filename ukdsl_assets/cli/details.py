"""What `ukdsl run --details` prints before its result: the last day's tables of each student, and their sentences."""

from datetime import date

import polars as pl

from ukdsl_assets.cli.common import console
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.pipeline.exploration import judged_teacher
from ukdsl_assets.reports.champion import champion_sentences
from ukdsl_assets.reports.contents import read_champion
from ukdsl_assets.reports.decisions import DayDecision
from ukdsl_assets.reports.printed import (
    LEGEND,
    days_that_judged,
    evaluation_table,
    headline,
    judging_rows,
    teacher_first,
    teacher_told,
    withheld_requests,
)
from ukdsl_assets.reports.product import LEGEND as PRODUCT_LEGEND
from ukdsl_assets.reports.selection_section import selection_sentences


def show_details(
    lake: Lake, store: CheckpointStore, cascade: Cascade, day: date, evaluation: pl.DataFrame, of_day: list[DayDecision]
) -> None:
    """Print all tables of a day; evaluation: all students' rows of it; of_day: its decisions, one a student."""
    for student, decision in zip(cascade.students, of_day, strict=True):
        _show_student(lake, store, cascade, student, decision, evaluation.filter(student=student.name))
        console.print()
    console.print(LEGEND)
    if any(cascade.task(student.task).given for student in cascade.students):
        console.print(PRODUCT_LEGEND)
    console.print()


def _show_student(
    lake: Lake,
    store: CheckpointStore,
    cascade: Cascade,
    student: Student,
    decision: DayDecision,
    evaluation: pl.DataFrame,
) -> None:
    key, serving, day = (cascade.name, student.name), student.served_heads[-1], decision.day
    note = f" ({cascade.note})" if cascade.note else ""
    requests = withheld_requests([days_that_judged(cascade, evaluation)], day)
    title = f"{cascade.name}{note}, {student.name}: {requests}, seed {student.seed}"
    of_teacher = judged_teacher(lake, cascade, student, day)
    if off := teacher_first(of_teacher, student.accept):
        console.print(off, style="bold red", highlight=False)
    console.print(evaluation_table(title, judging_rows(evaluation, serving), console.width))
    sentences = [headline(serving, evaluation), teacher_told(of_teacher)]
    if student.selection is not None:
        union = lake.scan((*key, "feature_union"), [day]).collect()
        sentences.append(" ".join(selection_sentences(student, union)[:2]))
    if labels := store.facts((*key, "distilled"), day).get("labels"):
        sentences.append(f"Labels of {labels}.")
    if (compared := read_champion(lake, cascade, student, day)) is not None:
        sentences += champion_sentences(student, compared, day)
    # What is wrong with the teacher stands above, and is a reason too.
    reasons = [reason for reason in decision.reasons if reason.partition(": ")[2] not in off]
    sentences += [f"{decision.verdict}: {reason}." for reason in reasons]
    for sentence in filter(None, sentences):
        console.print(sentence, highlight=False)

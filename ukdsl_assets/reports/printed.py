"""The evaluation and the release history as tables for people: Markdown in the UI, rich in the terminal."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Literal

import polars as pl
from rich.markup import escape
from rich.table import Table

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, EXPLORED, EXPLORED_TRAILING, IMP, OWN, SCORED
from ukdsl_assets.declaration.corrections import BETTER_THAN_CONSTANT, ON_EXPLORATION
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.evaluation.explored import SUMS
from ukdsl_assets.learning.evaluation.scored_gates import explored_told, trailing_or_day
from ukdsl_assets.learning.evaluation.table import days_of, figure, judging_head
from ukdsl_assets.reports.product import product_sentences

UNDEFINED = "not measured"
# What each domain is called in sentences.
WHERE = {
    IMP: "shown rows",
    CD: "rows that the next stage scored",
    SCORED: "all that its stage scores",
    OWN: "own choice",
    EXPLORED: "explored rows",
    EXPLORED_TRAILING: "explored rows of the trailing days",
}
# In tables, where a line must be short.
SHORT = {EXPLORED_TRAILING: "EXPLORED"}
EVALUATION_HEADER = ("arm", "head", "domain", "against", "rows", "calibration", "NE", "NE vs baseline", "AUC")
# On a narrow terminal; what distillation changed is what stays.
LEFT_OUT_FIRST = ("NE", "AUC", "rows")

LEGEND = (
    "IMP: shown rows, judged by head impression, which labels train. All else is judged by the last head, which "
    "serves. CD: rows that the next stage scored, judged by head consideration where a head scored serves. "
    "SCORED: all that the student's own stage scored, where the teacher "
    "labels rejected rows too (probes, or a trained teacher) or the truth is known. OWN: those of them that the head "
    "itself would hand on, each head its own, which is what follows from serving it. EXPLORED: rows shown by chance, "
    "weighted by 1 / propensity, of the trailing days together. No one output is calibrated on all: shown and "
    "considered rows were chosen. NE: normalized entropy, smaller is better; the baseline is trained on labels alone "
    "with equal effort. +-: standard error, over requests. Released: the student released before the day, which has "
    "not seen any of it."
)


def withheld_requests(days: Collection[int], day: date) -> str:
    """Which requests the evaluations of a day are of; days: of `days_that_judged`, one a student, or nothing."""
    least, most = (min(days), max(days)) if days else (1, 1)
    if most == 1:
        return f"withheld requests of {day}"
    return f"withheld requests of the {most if least == most else f'{least} to {most}'} days up to {day}"


def days_that_judged(cascade: Cascade, evaluation: pl.DataFrame) -> int:
    """How many days judged a student on a day; those that the cascade asks for in tables that do not say so."""
    of_days = evaluation.filter(pl.col("domain") != EXPLORED_TRAILING)
    return days_of({"days": of_days["days"].max() if "days" in of_days.columns else None}, cascade.evaluation_days)


def evaluation_rows(evaluation: pl.DataFrame) -> list[tuple[str, ...]]:
    """The evaluation's figures as texts, in its order, without the baseline's change against itself."""
    rows: list[tuple[str, ...]] = []
    for row in evaluation.iter_rows(named=True):
        # Of its own choice there is neither, whose rows are another head's no more.
        change = "" if row["arm"] == "baseline" or not math.isfinite(row["ne"]) else _change(row)
        figures = (
            f"{row['rows']:,}",
            _with_error(row["calibration"], row["calibration_error"]),
            f"{row['ne']:.4f}" if math.isfinite(row["ne"]) else "",
            change,
            _with_error(row["auc"], row["auc_error"]) if math.isfinite(row["ne"]) else "",
        )
        rows.append((row["arm"], row["head"], SHORT.get(row["domain"], row["domain"]), row["reference"], *figures))
    return rows


def evaluation_markdown(evaluation: pl.DataFrame, data: str) -> str:
    """The evaluation of one student and day as a Markdown table below a line that says which data it is of."""
    return f"{data}\n\n{_markdown(EVALUATION_HEADER, evaluation_rows(evaluation))}"


def evaluation_table(title: str, evaluation: pl.DataFrame, width: int | None = None) -> Table:
    """The evaluation of one student and day for the terminal.

    Args:
        width: characters of a line. Of what does not fit, whole columns are left out and named below the table, so that
            80 characters do; on fewer, words and figures are broken, never cut off. None for all columns.
    """
    rows, kept = evaluation_rows(evaluation), list(range(len(EVALUATION_HEADER)))
    left_out: list[str] = []
    for name in LEFT_OUT_FIRST:
        if width is not None and _least_width(rows, kept) > width:
            kept.remove(EVALUATION_HEADER.index(name))
            left_out.append(name)
    whole = width is None or _least_width(rows, kept) <= width
    caption = f"Not shown on {width} characters: {', '.join(left_out)}; the report has all." if left_out else None
    table = Table(
        title=escape(title), title_justify="left", title_style="bold", caption=caption, caption_justify="left"
    )
    if width is not None:
        table.show_edge = table.pad_edge = not left_out
    for place in kept:
        name = EVALUATION_HEADER[place]
        justify: Literal["left", "right"] = "right" if name in EVALUATION_HEADER[4:] else "left"
        table.add_column(name, justify=justify, no_wrap=whole, overflow="fold")
    for row in rows:
        table.add_row(*(row[place] for place in kept), style="dim" if row[0] == "baseline" else "")
    return table


def _least_width(rows: Sequence[tuple[str, ...]], columns: Sequence[int]) -> int:
    """Characters that a table of these columns takes, with what stands between and, if it has all, around them."""
    widths = sum(max(len(row[column]) for row in [EVALUATION_HEADER, *rows]) for column in columns)
    return widths + 3 * (len(columns) - 1) + (4 if len(columns) == len(EVALUATION_HEADER) else 0)


def history_markdown(history: Iterable[Mapping[str, Any]]) -> str:
    """The release history of `CheckpointStore.release_history`, newest first."""
    rows = [
        (
            decision["entry"]["day"],
            in_words(decision["outcome"]),
            decision["entry"]["checkpoint"],
            why_decided(decision["entry"]),
            decision["decided_at"],
        )
        for decision in reversed(list(history))
    ]
    return _markdown(("day", "decision", "checkpoint", "why", "decided at"), rows)


def _markdown(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def teacher_first(results: Iterable[GateResult], accept: Sequence[str] = ()) -> str:
    """What is wrong with a student's teacher, in one sentence that stands before all others; empty for nothing.

    Args:
        results: of `pipeline.exploration.judged_teacher`; accept: gates that the student accepts by name.
    """
    failed = [result for result in results if result.judged and not result.passed]
    if not failed:
        return ""
    refused = any(result.blocks and result.name not in accept for result in failed)
    verdict = "so what agrees with it is not released" if refused else "which is accepted, or only told"
    where = {
        ON_EXPLORATION: "is off where chance showed it",
        BETTER_THAN_CONSTANT: "knows no more than the mean label",
    }
    what = " and ".join(where.get(result.name, f"fails {result.name}") for result in failed)
    return f"The teacher {what}, {verdict}: " + "; ".join(result.message for result in failed) + "."


def teacher_told(results: Iterable[GateResult]) -> str:
    """How a teacher that does not fail agrees with explored rows, or why that is not judged; empty for one that does.

    Args:
        results: as of `teacher_first`, which tells of one that fails.
    """
    told = [
        result.message for result in results if result.name == ON_EXPLORATION and (result.passed or not result.judged)
    ]
    return f"Its teacher, where chance showed rows: {told[0]}." if told else ""


def in_words(outcome: str) -> str:
    """Released, Refused or Not judged."""
    return outcome.replace("_", " ").capitalize()


def decided_on(entry: Mapping[str, Any]) -> str:
    """The day whose requests decided, which older records do not say: then it is the checkpoint's."""
    return str(entry.get("decided_on", entry["day"]))


def headline(serving: str, evaluation: pl.DataFrame) -> str:
    """What distillation did to one student: the serving head where it says most, and impressions by their own head.

    That is the head's own choice where the teacher or the truth speaks of it, else all that was scored, else rows that
    the next stage scored, as `verdict_domain` says. Further lines are explored rows, and the progressive validation,
    where a student had been released before the day. Of a student whose task is given another all lines are
    `product_sentences`.
    """
    if sentences := product_sentences(serving, evaluation):
        return "\n".join(sentences)
    domain, reference = verdict_domain(evaluation, serving)
    before, after = (_of(evaluation, *arm, domain, reference) for arm in _arms(serving, domain))
    compared = f"{_number(before)} -> {_number(after)} against the {reference}"
    if reference == "teacher" and domain != CD:
        true = [_of(evaluation, *arm, domain, "truth") for arm in _arms(serving, domain)]
        if all(true):
            compared += f" (truth {_number(true[0])} -> {_number(true[1])})"
    parts = [f"{WHERE[domain].capitalize()}: calibration {compared}"]
    of_change = domain if domain != OWN else _entropy_domain(evaluation, serving)
    change = _of(evaluation, "distilled", judging_head(serving, of_change), of_change, "teacher")
    if change is not None:
        parts.append(f"NE {_change(change)}" + (f" on {WHERE[of_change]}" if of_change != domain else ""))
    shown = _of(evaluation, "distilled", "impression", IMP, "label")
    lines = [f"{', '.join(parts)}. Impressions: NE {_change(shown) if shown else UNDEFINED} against labels."]
    if domain == CD:
        was, now = (_of(evaluation, *arm, CD, "truth") for arm in _arms(serving, CD))
        if was and now:
            lines.append(
                f"Against the true probabilities, {WHERE[CD]}: calibration {_number(was)} -> {_number(now)}, "
                f"NE {_change(now)}."
            )
    lines.append(explored_line(serving, evaluation))
    heads = evaluation.filter(arm="released")["head"].unique()
    if len(heads):
        # It may have been released before the student got its present heads.
        head = _served_of(heads, serving)
        of_released, against = verdict_domain(evaluation, head, "released")
        chosen, shown = (
            _of(evaluation, "released", *key)
            for key in ((judging_head(head, of_released), of_released, against), ("impression", IMP, "label"))
        )
        assert chosen is not None
        assert shown is not None
        lines.append(
            f"Progressive validation, the student released before this day: {WHERE[of_released]}: calibration "
            f"{_with_error(chosen['calibration'], chosen['calibration_error'])}"
            + (f", NE {_change(chosen)}" if of_released != OWN else "")
            + f". Impressions: calibration {_with_error(shown['calibration'], shown['calibration_error'])}, "
            f"NE {_change(shown)}."
        )
    return "\n".join(lines)


def verdict_domain(evaluation: pl.DataFrame, serving: str, arm: str = "distilled") -> tuple[str, str]:
    """The domain and reference that a verdict takes: the first of these that the head has rows of, or (CD, teacher).

    Its own choice and all that was scored, each against the teacher, then each against the truth.
    """
    views = ((OWN, "teacher"), (SCORED, "teacher"), (OWN, "truth"), (SCORED, "truth"))
    return next((view for view in views if _of(evaluation, arm, serving, *view)), (CD, "teacher"))


def explored_line(serving: str, evaluation: pl.DataFrame) -> str:
    """What the serving head says of explored rows, against labels, or why that is not judged; one sentence."""
    if SUMS not in evaluation.columns or evaluation["effective_rows"].is_null().all():
        return "Explored rows: not judged, evaluated before they were."
    told, few = explored_told(trailing_or_day(evaluation, "distilled", serving))
    if not told:
        return f"Explored rows: not judged, {few}."
    return told[0].upper() + told[1:] + (f"; not judged, {few}." if few else ", against labels.")


def judging_rows(evaluation: pl.DataFrame, serving: str) -> pl.DataFrame:
    """The rows that a person is shown first: impressions by the head of labels, all else by the head that serves.

    Of explored rows those against labels, of the trailing days where there are such.
    """
    heads = {arm: set(evaluation.filter(arm=arm)["head"]) for arm in evaluation["arm"].unique()}
    serves = {arm: _served_of(of, serving) for arm, of in heads.items()}
    considered = {arm: judging_head(head, CD) for arm, head in serves.items()}
    explored = EXPLORED_TRAILING if EXPLORED_TRAILING in evaluation["domain"] else EXPLORED
    by_own, by_considered = (
        pl.col("head") == pl.col("arm").replace_strict(of, return_dtype=pl.String) for of in (serves, considered)
    )
    is_explored = pl.col("domain").is_in([EXPLORED, EXPLORED_TRAILING])
    kept = is_explored.not_() | ((pl.col("domain") == explored) & (pl.col("reference") == "label"))
    by = pl.when(domain=IMP).then(pl.col("head") == "impression").when(domain=CD).then(by_considered)
    return evaluation.filter(kept & by.otherwise(by_own))


def _served_of(heads: Collection[str], serving: str) -> str:
    """What serves of a checkpoint with these heads, which may be of before the student got its present ones."""
    return next(head for head in (serving, "consideration", "impression") if head in heads)


def _arms(serving: str, domain: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("baseline", "impression"), ("distilled", judging_head(serving, domain))


def _of(evaluation: pl.DataFrame, arm: str, head: str, domain: str, reference: str) -> dict[str, Any] | None:
    found = evaluation.filter(arm=arm, head=head, domain=domain, reference=reference)
    return found.row(0, named=True) if len(found) else None


def _entropy_domain(evaluation: pl.DataFrame, serving: str) -> str:
    return SCORED if _of(evaluation, "distilled", serving, SCORED, "teacher") else CD


def _number(row: Mapping[str, Any] | None) -> str:
    return UNDEFINED if row is None or not math.isfinite(row["calibration"]) else f"{row['calibration']:.3f}"


def teacher_markdown(figures: pl.DataFrame, data: str) -> str:
    """The table of `evaluate_teacher`, with a column `labels` before it, below a line that says which data it is of."""
    header = ("labels", "task", "rows", "positives", "calibration", "NE", "AUC")
    rows = [
        (
            row["labels"],
            row["task"],
            f"{row['rows']:,}",
            f"{row['positives']:,}",
            *(_with_error(row[name], row[f"{name}_error"]) for name in ("calibration", "ne", "auc")),
        )
        for row in figures.iter_rows(named=True)
    ]
    return f"{data}, withheld impressions against labels\n\n{_markdown(header, rows)}"


def groups_markdown(by_group: pl.DataFrame, serving: str) -> str:
    """Calibration of the distilled student by decile and segment: impressions, and considered rows."""
    header = ("domain", "by", "group", "rows", "prediction", "reference", "calibration")
    rows = []
    for domain, head, reference in ((IMP, "impression", "label"), (CD, judging_head(serving, CD), "teacher")):
        chosen = by_group.filter(arm="distilled", head=head, domain=domain, reference=reference)
        for row in chosen.iter_rows(named=True):
            means = (f"{row['mean_prediction']:.4f}", f"{row['mean_reference']:.4f}")
            calibration = _with_error(row["calibration"], row["calibration_error"])
            # A segment's value is a user's text.
            group = row["group"].replace("|", "\\|")
            rows.append((f"{domain}, {reference}", row["by"], group, f"{row['rows']:,}", *means, calibration))
    return _markdown(header, rows)


def trends(serving: str, evaluation: pl.DataFrame) -> dict[str, float]:
    """The distilled student's figures that are worth a plot over days; those that are not finite are left out."""
    figures: dict[str, float] = {}
    views = [("cd", CD, judging_head(serving, CD), "teacher"), ("imp", IMP, "impression", "label")]
    views += [(f"own_{reference}", OWN, serving, reference) for reference in ("teacher", "truth")]
    for name, domain, head, reference in views:
        where = {"arm": "distilled", "head": head, "domain": domain, "reference": reference}
        if evaluation.filter(**where).is_empty():
            continue
        figures |= {
            f"{name}_{column}": figure(evaluation, column, **where) for column in ("calibration", "ne", "ne_change")
        }
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _with_error(value: float, error: float) -> str:
    """1.004 +- .012"""
    return f"{value:.3f} +- {_short(error, 3)}" if math.isfinite(value) else UNDEFINED


def _percent(value: float, error: float) -> str:
    """-1.98 +- .17%"""
    return f"{100 * value:+.2f} +- {_short(100 * error, 2)}%" if math.isfinite(value) else UNDEFINED


def _change(row: Mapping[str, Any]) -> str:
    return _percent(row["ne_change"], row["ne_change_error"])


def _short(error: float, digits: int) -> str:
    return f"{error:.{digits}f}".removeprefix("0")


def why_decided(entry: Mapping[str, Any]) -> str:
    """The reasons of a decision, who took it if people did, and which failing gates the declaration accepted."""
    if again := entry.get("given_back"):
        return f"by {again['by']}: {again['reason']}"
    told = list(entry.get("reasons", []))
    if (by := entry.get("by")) and told:
        told[0] = f"by {by}: {told[0]}"
    if leave := entry.get("accepted"):
        told.append(f"accepted by name: {'; '.join(leave)}")
    return "; ".join(told) or "no gate refused it"

"""What the report and the UI say of a student's feature selection: sentences, figures, and table 2 of the day."""

import math
from typing import Any

import polars as pl
from markupsafe import Markup

from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.reports import selection_plots
from ukdsl_assets.reports.contents import SelectionReport
from ukdsl_assets.selection.choice import SIZES, chosen_of
from ukdsl_assets.selection.simplified import selection_of

MINUS, SPACE, DASH = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}", "\N{EN DASH}"
VIEWS = ((IMP, "label"), (IMP, "truth"), (CD, "teacher"), (CD, "truth"))
HEADS = {
    (IMP, "label"): "shown, labels",
    (IMP, "truth"): "shown, truth",
    (CD, "teacher"): "ranked, teacher",
    (CD, "truth"): "ranked, truth",
}


def selection_shown(student: Student, report: SelectionReport) -> dict[str, Any]:
    """What the template shows of a student's selection; `comparison` is None where the day has none."""
    day = report.unions["day"].max()
    union = report.unions.filter(day=day)
    days = report.unions["day"].n_unique()
    importance = report.importance
    return {
        "sentences": selection_sentences(student, union),
        "rankings": Markup(selection_plots.rankings_svg(importance, union)),
        "bars": min(len(union), selection_plots.MOST_FEATURES),
        "candidates": len(union),
        "rows": {domain: f"{importance[domain]['rows'][0]:,}" for domain in (IMP, CD)},
        "trainings": importance[CD]["trainings"][0],
        "repeats": importance[CD]["repeats"][0],
        "stability": Markup(selection_plots.stability_svg(report.unions)) if days > 1 else None,
        "days": days,
        "comparison": None if report.comparison is None else comparison_rows(report.comparison),
        "views": [] if report.comparison is None else [HEADS[view] for view in views_of(report.comparison)],
    }


def selection_sentences(student: Student, union: pl.DataFrame) -> list[str]:
    """What was chosen and what only one ranking sees, in words."""
    selection, chosen = selection_of(student), chosen_of(union)
    budget = f"{selection.budget} features" if selection.budget is not None else f"a cost of {selection.cost_budget:g}"
    cost = float(union.filter(pl.col("place").is_not_null())["cost"].sum())
    use = "The student is trained with them from the next day on" if student.features == "selected" else "It only tells"
    alone = selection_plots.first_in_one_ranking(union)
    sentences = [
        f"Rule {selection.rule.replace('_', ' ')} chose {len(chosen)} of {len(union)} candidates, at a cost of "
        f"{cost:g}; allowed are {budget}. {use}.",
        f"In the order of choice: {', '.join(chosen)}.",
    ]
    for ranking, where in (("impression", "shown"), ("consideration", "considered")):
        if alone[ranking]:
            sentences.append(f"Among the first on {where} rows alone: {', '.join(sorted(alone[ranking]))}.")
    return sentences


def comparison_rows(comparison: pl.DataFrame) -> list[tuple[str, list[str], bool]]:
    """Table 2 of the day: title of the rule, its cells (features, cost, NE changes), whether it is what was chosen."""
    views, rows = views_of(comparison), []
    for rule, size in comparison.select("rule", "size").unique(maintain_order=True).iter_rows():
        mine = {(row["domain"], row["reference"]): row for row in comparison.filter(rule=rule, size=size).to_dicts()}
        first = next(iter(mine.values()))
        base = (rule, size) == ("impression", "equal")
        changes = ["0" if base else _change(mine[view]) for view in views]
        title = f"{rule.replace('_', ' ')}" + ("" if size == "equal" else f", {SIZES[size]}")
        rows.append((title, [str(first["features"]), f"{first['cost']:g}", *changes], bool(first["selected"])))
    return rows


def views_of(comparison: pl.DataFrame) -> list[tuple[str, str]]:
    """The (domain, reference) pairs that the table has, in the order of `VIEWS`."""
    there = set(comparison.select("domain", "reference").iter_rows())
    return [view for view in VIEWS if view in there]


def comparison_markdown(comparison: pl.DataFrame, data: str) -> str:
    """Table 2 of the day for the UI, below a line that says which data it is of."""
    header = ["rule", "features", "cost", *(f"NE, {HEADS[view]}" for view in views_of(comparison))]
    lines = [data, "", "| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    for title, cells, selected in comparison_rows(comparison):
        lines.append("| " + " | ".join([f"**{title}**" if selected else title, *cells]) + " |")
    return "\n".join(lines)


def _change(row: dict[str, Any]) -> str:
    change, error = row["ne_change"], row["ne_change_error"]
    if change is None or not math.isfinite(change):
        return DASH
    text = f"{100 * change:+.2f}".replace("-", MINUS)
    return f"{text}{SPACE}±{SPACE}{100 * error:.2f}%" if error is not None and math.isfinite(error) else f"{text}%"

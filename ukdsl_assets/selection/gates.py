"""Verdicts on a day's selection."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, KEYS
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.frames.missing import missing_in
from ukdsl_assets.gates import GateResult, demand
from ukdsl_assets.selection.choice import budget_of, chosen_of
from ukdsl_assets.selection.rules.clusters import numeric_columns
from ukdsl_assets.selection.simplified import selection_of

RULES = {
    "budget_kept": demand(
        "The chosen features are as many, or cost as much, as the student's budget allows at most.",
        "raise selection.budget or cost_budget, or lower the cost of a feature: at least one must fit.",
    ),
    "no_leakage": demand(
        "No candidate is an outcome: none is implausibly important, equals the label, or is known only of shown rows.",
        "leave the feature out of the student, declare `served_as` where only shown rows have it, or, where it is "
        "sound, raise gates.implausible_importance.",
    ),
    "selection_stable": demand(
        "The chosen features are much the same as on the newest day before; only told.",
        "raise selection.rows, trainings or window_days, so that chance chooses less.",
    ),
    "needed_features_kept": demand(
        "What is dropped here and read elsewhere (segments, other students, what is released) is still in the rows "
        "there.",
        "name the feature under `features` of the student that reads it, or leave it out there.",
    ),
}
# |correlation| with the label from which a feature is taken for the label itself.
OUTCOME_CORRELATION = 0.95
# A feature of few values may be one value on fewer unshown rows by chance.
FEWEST_UNSHOWN = 100


def judge_selection(
    cascade: Cascade,
    student: Student,
    table: pl.DataFrame,
    importance: Mapping[str, pl.DataFrame],
    rows: pl.DataFrame,
    before: pl.DataFrame | None,
    readers: Mapping[str, tuple[Collection[str], Collection[str]]],
) -> list[GateResult]:
    """The gates of a day's selection, in the order of `RULES`.

    Args:
        table: feature_union of the day; importance: by domain, of `importance_tables`.
        rows: withheld rows of teacher_augmented. before: feature_union of the newest day before, None for none.
        readers: who reads features elsewhere -> (features that it reads, columns of the rows that it reads them from).
    """
    features = cascade.candidates_of(student)
    return [
        budget_kept(student, table),
        no_leakage(cascade.gates.implausible_importance, importance, rows, features),
        stable(cascade.gates.selection_stability, table, before),
        needed_features_kept(table, readers),
    ]


def budget_kept(student: Student, table: pl.DataFrame) -> GateResult:
    """That the chosen features are within the declared budget, and at least one."""
    budget = budget_of(selection_of(student))
    chosen = table.filter(pl.col("place").is_not_null())
    cost = float(chosen["cost"].sum())
    within = len(chosen) <= budget.features if budget.features is not None else cost <= budget.reach
    allowed = f"{budget.features} features" if budget.features is not None else f"a cost of {budget.cost:g}"
    return GateResult(
        name="budget_kept",
        passed=within and len(chosen) > 0,
        message=f"{len(chosen)} of {len(table)} candidates at a cost of {cost:g}; expected at least one and at most "
        f"{allowed} (selection)",
        seen={"features": len(chosen), "cost": cost},
    )


def stable(least: float, table: pl.DataFrame, before: pl.DataFrame | None) -> GateResult:
    """Jaccard index of the chosen features, and of the same number at the top of each ranking, with the day before."""
    if before is None:
        return GateResult("selection_stable", True, "no selection before this day to compare with", "WARN")
    size = int(table["place"].count())
    overlaps = {"chosen": jaccard(chosen_of(table), chosen_of(before))}
    for name in ("impression", "consideration"):
        tops = [set(each.filter(pl.col(f"{name}_rank") <= size)["feature"]) for each in (table, before)]
        overlaps[name] = jaccard(*tops)
    new, gone = (
        sorted(set(chosen_of(one)) - set(chosen_of(other))) for one, other in ((table, before), (before, table))
    )
    return GateResult(
        name="selection_stable",
        passed=overlaps["chosen"] >= least,
        severity="WARN",
        message=f"Jaccard index {overlaps['chosen']:.2f} with the newest day before (top of the rankings: shown "
        f"{overlaps['impression']:.2f}, considered {overlaps['consideration']:.2f}); expected at least {least} "
        f"(gates.selection_stability); new: {', '.join(new) or 'none'}; gone: {', '.join(gone) or 'none'}",
        seen=overlaps,
    )


def jaccard(one: Collection[str], other: Collection[str]) -> float:
    """Share of what both hold in what either holds; 1 where both are empty."""
    either = set(one) | set(other)
    return len(set(one) & set(other)) / len(either) if either else 1.0


def no_leakage(
    most: float, importance: Mapping[str, pl.DataFrame], rows: pl.DataFrame, features: Sequence[Feature]
) -> GateResult:
    """That no candidate looks like an outcome.

    Args:
        most: rise of NE above which an importance is implausible.
        rows: of teacher_augmented, with domains IMP and CD.
    """
    suspects: dict[str, str] = {}
    for domain, table in importance.items():
        for name, score in table.filter(pl.col("score") > most).select("feature", "score").iter_rows():
            suspects.setdefault(name, f"permuting it raises NE on {domain} by {score:.2f}, more than {most}")
    shown = rows.filter(domain=IMP)
    keys = [name for name in ("day", *KEYS) if name in rows.columns]
    unshown = rows.filter(domain=CD).join(shown.select(keys), on=keys, how="anti")
    for feature in features:
        correlation = _correlation(shown, feature)
        if correlation >= OUTCOME_CORRELATION:
            suspects.setdefault(feature.name, f"it is the label (correlation {correlation:.3f})")
        distinct = [part[feature.name].n_unique() for part in (shown, unshown)]
        if feature.side == "candidate" and distinct[0] > 1 and distinct[1] == 1 and len(unshown) >= FEWEST_UNSHOWN:
            suspects.setdefault(feature.name, f"it is one value on all {len(unshown)} rows that were not shown")
    reasons = "; ".join(f"`{name}`: {why}" for name, why in suspects.items())
    return GateResult(
        name="no_leakage",
        passed=not suspects,
        message=f"{len(suspects)} of {len(features)} candidates look like an outcome"
        + (f": {reasons}; leave them out of the candidates, or raise gates.implausible_importance" if reasons else ""),
        seen={"suspects": len(suspects)},
    )


def needed_features_kept(
    table: pl.DataFrame, readers: Mapping[str, tuple[Collection[str], Collection[str]]]
) -> GateResult:
    """That a feature dropped here stays where others' evaluation and gates read it; args as in `judge_selection`."""
    dropped = set(table.filter(pl.col("place").is_null())["feature"])
    missing = {who: sorted((dropped & set(read)) - set(columns)) for who, (read, columns) in readers.items()}
    missing = {who: names for who, names in missing.items() if names}
    kept = {who: len(dropped & set(read)) for who, (read, _) in readers.items() if dropped & set(read)}
    unread = sorted(dropped - {name for read, _ in readers.values() for name in read})
    needs = "; ".join(f"{who} needs {', '.join(names)}" for who, names in missing.items())
    still = ", ".join(f"{count} by {who}" for who, count in kept.items()) or "none"
    return GateResult(
        name="needed_features_kept",
        passed=not missing,
        message=f"{len(dropped)} features dropped; read elsewhere: {still}; by nobody: {', '.join(unread) or 'none'}"
        + (f"; not in the rows any more: {needs}; put them back into the candidates" if needs else ""),
        seen={"dropped": len(dropped), "by_nobody": len(unread)},
    )


def _correlation(shown: pl.DataFrame, feature: Feature) -> float:
    """Largest |correlation| with the label of a number, a vector's component, or whether a value is missing where it
    may be; 0 for other ids and without rows."""
    columns = [] if feature.of_ids else [numeric_columns(shown, feature)]
    if feature.may_be_missing:
        columns.append(missing_in(shown, feature).astype(np.float64)[:, None])
    if not columns or len(shown) < 2:
        return 0.0
    label = shown["target"].to_numpy().astype(np.float64)
    both = np.column_stack([*columns, label])
    centred = both - both.mean(0)
    norms = np.sqrt((centred**2).sum(0))
    products = np.abs((centred[:, :-1] * centred[:, -1:]).sum(0))
    scale = norms[:-1] * norms[-1]
    largest = float(np.divide(products, scale, out=np.zeros_like(scale), where=scale > 0).max())
    return largest if math.isfinite(largest) else 0.0
